//! Frames: every field is read from where it lies, and no frame, cut or damaged, makes the SDK read beyond it or panic.

use pooler_plugin::testing::{FrameBuffer, Request, Runner};
use pooler_plugin::{
    Error, Format, Host, Input, NoConfig, Output, Plugin, Query, Refusal, Role, Shard, StatementKind, oid, sys,
};
use std::fmt::Write;
use std::mem::{offset_of, size_of};

/// Reads everything there is, and answers with what it read.
struct Reader;

impl Plugin for Reader {
    type Config = NoConfig;
    type Statement = String;

    fn new(_: &Host<'_>, _: NoConfig) -> Result<Self, Error> {
        Ok(Reader)
    }

    fn learn(&mut self, query: Query<'_>) -> Result<String, Error> {
        let tree = query.parse_tree_value()?;
        Ok(format!("{:?} {:?}", query.parse_tree(), tree.map(|tree| tree.to_string())))
    }

    fn route(&mut self, input: Input<'_>, learned: Option<&String>) -> Output {
        let mut text = String::new();
        let query = input.query();
        let _ = write!(text, "{:?} {:?} ", input.protocol(), query.map(|query| describe(&query)));
        let flags = [
            input.in_transaction(),
            input.read_only(),
            input.first_statement(),
            input.prepare_only(),
            input.rewritten(),
            input.several_statements(),
        ];
        let _ = write!(text, "{flags:?} {:?} {:?} ", input.decided_role(), input.decided_shard());
        let _ = write!(text, "{:?} {} ", input.ms_since_write(), input.query_id());
        let session = input.session();
        let _ = write!(text, "{} {} {} {} ", session.id(), session.tls(), session.user(), session.database());
        let _ = write!(text, "{:?} {} ", session.application_name(), session.client_address());
        let _ = write!(text, "{} ", session.client_encoding());
        let cluster = input.cluster();
        let _ = write!(text, "{} {} {}", cluster.name(), cluster.shards(), cluster.generation());
        for host in cluster.hosts() {
            let _ = write!(text, " {}", host.shard());
            let _ = write!(text, " {:?} {} {:?} {}", host.role(), host.up(), host.lag_ms(), host.address());
        }
        Output::error(Refusal::new("00000", text).detail(learned.cloned().unwrap_or_default()))
    }
}

fn describe(query: &Query<'_>) -> String {
    let mut text =
        format!("{} {:?} {} {:?}", query.as_str_lossy(), query.kind(), query.facts().bits(), query.grammar());
    let _ = write!(text, " {} {} {:?}", query.id(), query.fingerprint(), query.parse_error());
    for table in query.tables() {
        let _ = write!(text, " table {:?} {:?} {}", table.catalog(), table.schema(), table.name());
        let _ = write!(text, " {} {} {}", table.read(), table.written(), table.locked());
    }
    for function in query.functions() {
        let _ = write!(text, " function {:?} {}", function.schema(), function.name());
    }
    for parameter in query.parameters() {
        let _ = write!(text, " ${:?} {:?}", parameter.type_oid(), parameter.format());
        let _ = write!(
            text,
            " {:?} {:?} {:?}",
            parameter.as_bytes(),
            parameter.as_str(),
            parameter.decode::<Option<i64>>()
        );
    }
    text
}

/// A request that uses every field.
fn full() -> Request {
    Request::new("UPDATE a.t SET x = f($1) WHERE y = $2 AND z = $3")
        .kind(StatementKind::Update)
        .id(5)
        .fingerprint(0x1234_5678_9abc_def0)
        .grammar(18)
        .writes()
        .unknown_function()
        .table("c.a.t", sys::TABLE_WRITE)
        .table("u", sys::TABLE_READ | sys::TABLE_LOCK)
        .function("pg_catalog.now")
        .function("f")
        .parse_tree(r#"{"version":180000,"stmts":[{"a":"\"[{"}]}"#)
        .text("42")
        .binary(oid::INT8, 43_i64.to_be_bytes())
        .null()
        .read_only()
        .later_statement()
        .rewritten()
        .several_statements()
        .decided_role(Role::Read)
        .decided_shard(Shard::Number(1))
        .ms_since_write(250)
        .query_id(u64::MAX)
        .session_id(77)
        .tls()
        .user("alice")
        .database("shop")
        .application_name("psql")
        .client_address("::1")
        .client_encoding("LATIN1")
        .cluster_name("main")
        .generation(3)
        .shards(2)
        .host(0, Role::Write, None, "db1:5432")
        .host(1, Role::Read, Some(12), "db2:5432")
        .host_down(1, Role::Write, "db3:5432")
}

fn answer(runner: &mut Runner, request: &Request) -> (String, Option<String>) {
    match runner.route(request) {
        Ok(Output::Error(refusal)) => {
            let debug = format!("{refusal:?}");
            let detail = debug.split_once("detail: Some(").map(|(_, detail)| detail.to_owned());
            (refusal.message().to_owned(), detail)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_field_is_read() {
    let mut runner = Runner::start::<Reader>("{}").expect("it starts");
    let (text, learned) = answer(&mut runner, &full());
    let expected = "Extended Some(\"UPDATE a.t SET x = f($1) WHERE y = $2 AND z = $3 Update 19 Some(18) 5 1311768467463790320 None \
        table Some(\\\"c\\\") Some(\\\"a\\\") t false true false table None None u true false true \
        function Some(\\\"pg_catalog\\\") now function None f \
        $0 Text Some([52, 50]) Some(\\\"42\\\") Ok(Some(42)) \
        $20 Binary Some([0, 0, 0, 0, 0, 0, 0, 43]) None Ok(Some(43)) \
        $0 Text None None Ok(None)\") \
        [true, true, false, false, true, true] Some(Read) Some(Number(1)) Some(250) 18446744073709551615 \
        77 true alice shop \"psql\" ::1 LATIN1 main 2 3 \
        0 Write true None db1:5432 1 Read true Some(12) db2:5432 1 Write false None db3:5432";
    assert_eq!(text, expected);
    let learned = learned.expect("it was learned");
    assert!(learned.contains("180000"), "the parse tree is there when the statement is learned: {learned}");
}

#[test]
fn what_is_not_said_has_a_default() {
    let mut runner = Runner::start::<Reader>("{}").expect("it starts");
    let (text, _) = answer(&mut runner, &Request::new("SELECT 1").id(6));
    let expected = "Simple Some(\"SELECT 1 Other 0 None 6 0 None\") [false, false, true, false, false, false] None None None 1 \
        1 false app app \"\" 127.0.0.1 UTF8 app 1 1";
    assert_eq!(text, expected);
}

#[test]
fn an_input_without_statement_session_and_cluster_is_read() {
    let mut frame = FrameBuffer::zeroed(size_of::<sys::Input>());
    put(&mut frame, offset_of!(sys::Input, size), size_of::<sys::Input>() as u32);
    let mut runner = Runner::start::<Reader>("{}").expect("it starts");
    let Ok(Output::Error(refusal)) = runner.route_frame(&frame) else { panic!("it answers") };
    assert!(refusal.message().starts_with("Simple None"), "{refusal:?}");
}

#[test]
fn structs_that_have_grown_are_read_as_far_as_they_are_known() {
    // As a later host would send it: each struct says that it is larger, the array's stride is larger.
    let mut runner = Runner::start::<Reader>("{}").expect("it starts");
    let request = Request::new("SELECT 1").id(6);
    let (expected, _) = answer(&mut runner, &request);
    let old = request.frame();
    let grown = 32;
    let shift = |offset: u32| if offset == 0 { 0 } else { offset + grown };
    let header = size_of::<sys::Input>();
    let mut bytes = old.bytes()[..header].to_vec();
    bytes.extend(vec![0xee; grown as usize]);
    bytes.extend(&old.bytes()[header..]);
    let mut frame = FrameBuffer::from_bytes(&bytes);
    put(&mut frame, offset_of!(sys::Input, size), header as u32 + grown);
    for field in [offset_of!(sys::Input, statement), offset_of!(sys::Input, session), offset_of!(sys::Input, cluster)] {
        let at = get(&frame, field);
        put(&mut frame, field, shift(at));
    }
    // Everything within the structs moved along: statement, session and cluster hold slices.
    let statement = get(&frame, offset_of!(sys::Input, statement)) as usize;
    let session = get(&frame, offset_of!(sys::Input, session)) as usize;
    let cluster = get(&frame, offset_of!(sys::Input, cluster)) as usize;
    for field in [
        statement + offset_of!(sys::Statement, sql),
        session + offset_of!(sys::Session, user),
        session + offset_of!(sys::Session, database),
        session + offset_of!(sys::Session, application_name),
        session + offset_of!(sys::Session, client_address),
        session + offset_of!(sys::Session, client_encoding),
        cluster + offset_of!(sys::Cluster, name),
    ] {
        let at = get(&frame, field);
        put(&mut frame, field, shift(at));
    }
    let Ok(Output::Error(refusal)) = runner.route_frame(&frame) else { panic!("it answers") };
    assert_eq!(refusal.message(), expected);
}

#[test]
fn a_struct_smaller_than_its_first_version_is_refused() {
    let mut frame = full().frame();
    put(&mut frame, offset_of!(sys::Input, size), size_of::<sys::Input>() as u32 - 8);
    refused(&frame, "smaller than the ABI's first version");
}

#[test]
fn what_does_not_lie_in_the_frame_is_refused() {
    let statement = get(&full().frame(), offset_of!(sys::Input, statement)) as usize;
    let parameters = get(&full().frame(), offset_of!(sys::Input, parameters)) as usize;
    let tables = get(&full().frame(), statement + offset_of!(sys::Statement, tables)) as usize;
    let spoilt = |at: usize, value: u32| {
        let mut frame = full().frame();
        put(&mut frame, at, value);
        frame
    };
    refused(&spoilt(offset_of!(sys::Input, statement), u32::MAX - 7), "a struct does not lie in the frame");
    refused(&spoilt(offset_of!(sys::Input, session), 1), "not 8-byte aligned");
    refused(&spoilt(offset_of!(sys::Input, parameters) + 4, u32::MAX), "an array does not lie in the frame");
    refused(&spoilt(offset_of!(sys::Input, parameters) + 8, 8), "stride is smaller");
    refused(&spoilt(parameters, u32::MAX), "a slice does not lie in the frame");
    refused(&spoilt(parameters, 0), "a parameter has no value and is not NULL");
    refused(&spoilt(parameters + offset_of!(sys::Parameter, format), 2), "neither text nor binary");
    refused(&spoilt(statement + offset_of!(sys::Statement, sql), 0), "a statement has no text");
    refused(&spoilt(tables + offset_of!(sys::Table, name), 0), "a table has no name");
    refused(&spoilt(tables + offset_of!(sys::Table, schema) + 4, u32::MAX), "a slice does not lie in the frame");
    refused(&FrameBuffer::default(), "a struct");
}

fn refused(frame: &FrameBuffer, reason: &str) {
    let mut runner = Runner::start::<Reader>("{}").expect("it starts");
    let failure = runner.route_frame(frame).expect_err("the frame is malformed");
    assert_eq!(failure.status, sys::BAD_INPUT);
    assert!(failure.message.contains(reason), "{failure}");
    assert_eq!(runner.learn_frame(frame).map_err(|failure| failure.status), Err(sys::BAD_INPUT));
}

#[test]
fn frames_cut_at_every_byte_are_refused_or_read() {
    let mut runner = Runner::start::<Reader>("{}").expect("it starts");
    for whole in [full().frame(), full().learn_frame()] {
        for length in 0..whole.len() {
            let cut = FrameBuffer::from_bytes(&whole.bytes()[..length]);
            for result in [runner.route_frame(&cut).map(drop), runner.learn_frame(&cut)] {
                if let Err(failure) = result {
                    assert_ne!(failure.status, sys::PANICKED, "cut at {length}: {failure}");
                }
            }
        }
    }
}

#[test]
fn damaged_frames_do_not_panic() {
    let mut runner = Runner::start::<Reader>("{}").expect("it starts");
    let mut seed = 0x5eed_u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    for whole in [full().frame(), full().learn_frame()] {
        for round in 0..4_000 {
            let mut frame = whole.clone();
            for _ in 0..=next() % 3 {
                // Numbers that offsets, counts and strides go wrong at, and anything.
                let value = match next() % 4 {
                    0 => next() as u32,
                    1 => (next() % whole.len()) as u32,
                    2 => u32::MAX - (next() % 16) as u32,
                    _ => (next() % 64) as u32,
                };
                put(&mut frame, next() % (whole.len() / 4) * 4, value);
            }
            for result in [runner.route_frame(&frame).map(drop), runner.learn_frame(&frame)] {
                if let Err(failure) = result {
                    assert_ne!(failure.status, sys::PANICKED, "round {round}: {failure}");
                }
            }
        }
    }
}

#[test]
fn null_and_the_empty_string_are_two_things() {
    let frame = Request::new("SELECT $1, $2").text("").null().frame();
    let mut runner = Runner::start::<Reader>("{}").expect("it starts");
    let Ok(Output::Error(refusal)) = runner.route_frame(&frame) else { panic!("it answers") };
    assert!(refusal.message().contains("$0 Text Some([]) Some(\\\"\\\")"), "{refusal:?}");
    assert!(refusal.message().contains("$0 Text None None Ok(None)"), "{refusal:?}");
}

#[test]
fn unknown_values_of_the_host_mean_other() {
    let mut frame = Request::new("SELECT 1").frame();
    let statement = get(&frame, offset_of!(sys::Input, statement)) as usize;
    put(&mut frame, statement + offset_of!(sys::Statement, kind), 9_999);
    put(&mut frame, offset_of!(sys::Input, flags), 0xffff_0000 | sys::ROLE_DECIDED);
    put(&mut frame, offset_of!(sys::Input, role), 77);
    let mut runner = Runner::start::<Reader>("{}").expect("it starts");
    let Ok(Output::Error(refusal)) = runner.route_frame(&frame) else { panic!("it answers") };
    assert!(refusal.message().contains("SELECT 1 Other"), "{refusal:?}");
    assert!(refusal.message().contains("[false, false, false, false, false, false] None None"), "{refusal:?}");
}

#[test]
fn prefixes_and_keywords() {
    struct Prefixes;
    impl Plugin for Prefixes {
        type Config = NoConfig;
        type Statement = ();
        fn new(_: &Host<'_>, _: NoConfig) -> Result<Self, Error> {
            Ok(Prefixes)
        }
        fn learn(&mut self, _: Query<'_>) -> Result<(), Error> {
            Ok(())
        }
        fn route(&mut self, input: Input<'_>, _: Option<&()>) -> Output {
            let query = input.query().expect("a statement");
            let (prefix, keyword) = (query.starts_with("SELECT"), query.starts_with_keyword("select"));
            Output::failed(format!(
                "{prefix} {keyword} {:?}",
                query.parameters().next().map(|p| p.format() == Format::Text)
            ))
        }
    }
    let mut runner = Runner::start::<Prefixes>("{}").expect("it starts");
    let mut ask = |sql: &str| {
        let failure = runner.route(&Request::new(sql)).expect_err("it tells by failing");
        let words: Vec<bool> = failure.message.split(' ').take(2).map(|word| word == "true").collect();
        (words[0], words[1])
    };
    assert_eq!(ask("SELECT 1"), (true, true));
    assert_eq!(ask(" \n\tSELECT 1"), (true, true));
    assert_eq!(ask("select 1"), (false, true), "starts_with is exact");
    assert_eq!(ask("SELECTED"), (true, false), "a keyword ends where the word does");
    assert_eq!(ask("SELECT*FROM t"), (true, true));
    assert_eq!(ask("-- x\n/* a /* b */ c */ SELECT 1"), (false, true), "comments are skipped, nested ones too");
    assert_eq!(ask("/* open SELECT"), (false, false));
    assert_eq!(ask("-- SELECT"), (false, false));
    assert_eq!(ask("SEL"), (false, false));
    assert_eq!(ask(""), (false, false));
}

fn put(frame: &mut FrameBuffer, at: usize, value: u32) {
    frame.bytes_mut()[at..at + 4].copy_from_slice(&value.to_ne_bytes());
}

fn get(frame: &FrameBuffer, at: usize) -> u32 {
    u32::from_ne_bytes(frame.bytes()[at..at + 4].try_into().expect("four bytes"))
}
