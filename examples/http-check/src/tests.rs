//! The plugin before a small HTTP server on loopback, which answers as the test says.

use crate::HttpCheck;
use pooler_plugin::testing::{BlockingRunner, Request};
use pooler_plugin::{Output, Refusal, StatementKind, oid};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

type Answer = dyn Fn(&Value) -> String + Send + Sync;

/// What it was asked, and over how many connections. It lives as long as the test's process.
struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<Value>>>,
    connections: Arc<AtomicUsize>,
}

/// `answer`: a whole response; an empty one closes the connection.
fn serve(answer: impl Fn(&Value) -> String + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, connections) = (
        Arc::<Mutex<Vec<Value>>>::default(),
        Arc::<AtomicUsize>::default(),
    );
    let server = Server {
        port,
        asked: Arc::clone(&asked),
        connections: Arc::clone(&connections),
    };
    let answer: Arc<Answer> = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            connections.fetch_add(1, Ordering::SeqCst);
            let (answer, asked) = (Arc::clone(&answer), Arc::clone(&asked));
            thread::spawn(move || converse(stream.unwrap(), &*answer, &asked));
        }
    });
    server
}

fn converse(stream: TcpStream, answer: &Answer, asked: &Mutex<Vec<Value>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let (mut length, mut key) = (0, String::new());
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
            if let Some(value) = line.strip_prefix("x-api-key: ") {
                key = value.to_owned();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let mut question: Value = serde_json::from_slice(&body).unwrap();
        let response = answer(&question);
        question["key"] = key.into();
        asked.lock().unwrap().push(question);
        if response.is_empty() || (&stream).write_all(response.as_bytes()).is_err() {
            return;
        }
    }
}

fn response(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn allowed() -> String {
    response("200 OK", r#"{"allowed": true}"#)
}

fn start(port: u16, more: &str) -> BlockingRunner {
    BlockingRunner::start::<HttpCheck>(&format!(
        r#"{{"url": "http://127.0.0.1:{port}/check"{more}}}"#
    ))
    .unwrap()
}

fn insert() -> Request {
    Request::new("INSERT INTO orders VALUES ($1, $2)")
        .kind(StatementKind::Insert)
        .parsed()
        .writes()
        .text("7")
        .null()
}

fn refusal(plugin: &BlockingRunner, request: &Request) -> Refusal {
    match plugin.route(request) {
        Ok(Output::Error(refusal)) => *refusal,
        other => panic!("{other:?} is no refusal"),
    }
}

#[test]
fn the_api_is_told_what_is_written_by_whom() {
    let server = serve(|_| allowed());
    let plugin = start(server.port, r#", "headers": {"x-api-key": "secret"}"#);
    let uuid = [
        0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12, 0xd3, 0xa4, 0x56, 0x42, 0x66, 0x14, 0x17, 0x40,
        0x00,
    ];
    let request = insert()
        .user("ann")
        .database("shop")
        .binary(oid::INT4, 42_i32.to_be_bytes())
        .binary(oid::UUID, uuid)
        .binary(oid::TEXT, "é".as_bytes())
        .binary(oid::JSONB, [1, b'{', b'}']);
    assert_eq!(plugin.route(&request), Ok(Output::skip()));
    let question = json!({
        "user": "ann",
        "database": "shop",
        "statement": "INSERT INTO orders VALUES ($1, $2)",
        "params": [
            "7", null, "42", "123e4567-e89b-12d3-a456-426614174000", "é", { "type_oid": oid::JSONB, "hex": "017b7d" },
        ],
        "key": "secret",
    });
    assert_eq!(*server.asked.lock().unwrap(), [question]);
}

#[test]
fn only_what_writes_is_asked_about_when_it_is_executed() {
    let server = serve(|_| allowed());
    let plugin = start(server.port, "");
    for request in [
        Request::new("SELECT 1").parsed().id(1),
        Request::new("INSERT INTO a VALUES ($1)")
            .parsed()
            .writes()
            .prepare_only()
            .id(2),
    ] {
        assert_eq!(plugin.route(&request), Ok(Output::skip()));
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
    // What the parser did not understand may write, too.
    assert_eq!(
        plugin.route(&Request::new("INSRT INTO a").syntax_error("at INSRT").id(3)),
        Ok(Output::skip())
    );
    assert_eq!(server.asked.lock().unwrap().len(), 1);
}

#[test]
fn the_apis_words_go_to_the_client() {
    let server = serve(|question| {
        response(
            "200 OK",
            match question["user"].as_str() {
                Some("plain") => r#"{"allowed": false}"#,
                Some("odd") => r#"{"allowed": false, "message": "a\u0000b", "sqlstate": "00000"}"#,
                _ => {
                    r#"{"allowed": false, "message": "no", "detail": "why", "hint": "what", "sqlstate": "P0001", "more": 1}"#
                }
            },
        )
    });
    let plugin = start(server.port, "");
    assert_eq!(
        refusal(&plugin, &insert()),
        Refusal::new("P0001", "no").detail("why").hint("what")
    );
    assert_eq!(
        refusal(&plugin, &insert().user("plain")),
        Refusal::new("23514", "this may not be written")
    );
    assert_eq!(
        refusal(&plugin, &insert().user("odd")),
        Refusal::new("23514", "ab")
    );
}

#[test]
fn what_is_no_answer_is_refused_or_allowed_as_the_configuration_says() {
    let server = serve(|question| match question["user"].as_str().unwrap() {
        "broken" => response("200 OK", "{"),
        "failing" => response("500 Internal Server Error", r#"{"allowed": true}"#),
        "moved" => {
            "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".to_owned()
        }
        "long" => response(
            "200 OK",
            &format!(r#"{{"allowed": true, "x": "{}"}}"#, "x".repeat(100_000)),
        ),
        _ => String::new(),
    });
    let nobody = 1; // a port that no system gives away
    for (port, user, why) in [
        (server.port, "broken", "the API's answer cannot be read"),
        (
            server.port,
            "failing",
            "the API answered 500 Internal Server Error",
        ),
        (server.port, "moved", "the API answered 302 Found"),
        (server.port, "long", "the API could not be asked: "),
        (server.port, "hung up", "the API could not be asked: "),
        (nobody, "down", "the API could not be asked: "),
    ] {
        let refused = refusal(&start(port, ""), &insert().user(user));
        assert_eq!(
            (refused.sqlstate(), refused.message()),
            (
                "58000",
                "it could not be checked whether this may be written"
            )
        );
        assert!(format!("{refused:?}").contains(why), "{user}: {refused:?}");
        let allowing = start(port, r#", "on_failure": "allow""#);
        assert_eq!(
            allowing.route(&insert().user(user)),
            Ok(Output::skip()),
            "{user}"
        );
    }
}

#[test]
fn it_waits_no_longer_than_it_may() {
    let (never, over) = (
        Arc::new((Mutex::new(false), Condvar::new())),
        Duration::from_secs(60),
    );
    let server = serve({
        let never = Arc::clone(&never);
        move |_| {
            let (flag, changed) = &*never;
            let _ = changed
                .wait_timeout_while(flag.lock().unwrap(), over, |flag| !*flag)
                .unwrap();
            allowed()
        }
    });
    let plugin = start(server.port, r#", "timeout_ms": 100"#);
    let refused = refusal(&plugin, &insert());
    assert!(
        format!("{refused:?}").contains("the API took too long"),
        "{refused:?}"
    );
    *never.0.lock().unwrap() = true;
    never.1.notify_all();
}

#[test]
fn connections_are_kept_and_one_that_was_closed_meanwhile_is_made_anew() {
    let server = serve(|question| {
        let closing = question["user"] == "last";
        let more = if closing { "connection: close\r\n" } else { "" };
        allowed().replacen("\r\n", &format!("\r\n{more}"), 1)
    });
    let plugin = start(server.port, "");
    for _ in 0..5 {
        assert_eq!(plugin.route(&insert()), Ok(Output::skip()));
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    assert_eq!(plugin.route(&insert().user("last")), Ok(Output::skip()));
    assert_eq!(plugin.route(&insert()), Ok(Output::skip()));
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[test]
fn questions_are_asked_side_by_side() {
    const AT_ONCE: usize = 4;
    let (here, changed) = (Mutex::new(0), Condvar::new());
    let server = serve(move |_| {
        let mut count = here.lock().unwrap();
        *count += 1;
        changed.notify_all();
        let enough = changed
            .wait_timeout_while(count, Duration::from_secs(60), |count| *count < AT_ONCE)
            .unwrap();
        if enough.1.timed_out() {
            response("500 Late", "")
        } else {
            allowed()
        }
    });
    let plugin = start(server.port, r#", "timeout_ms": 60000"#);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| assert_eq!(plugin.route(&insert()), Ok(Output::skip())));
        }
    });
}

#[test]
fn what_the_api_would_read_as_another_text_is_refused() {
    let server = serve(|_| allowed());
    let plugin = start(server.port, "");
    let latin = Request::new(b"INSERT INTO a VALUES ('\xc3\xa9')".to_vec())
        .writes()
        .parsed()
        .client_encoding("LATIN1");
    assert_eq!(refusal(&plugin, &latin).sqlstate(), "0A000");
    assert_eq!(
        refusal(
            &plugin,
            &Request::new(b"INSERT INTO a VALUES ('\xff')".to_vec()).id(2)
        )
        .sqlstate(),
        "0A000"
    );
    let plain = insert().client_encoding("LATIN1").text("é").id(3);
    assert_eq!(plugin.route(&plain), Ok(Output::skip()));
    assert_eq!(
        server.asked.lock().unwrap()[0]["params"][2],
        json!({ "type_oid": 0, "hex": "c3a9" })
    );
}

#[test]
fn what_is_too_large_is_a_failure() {
    let server = serve(|_| allowed());
    let plugin = start(server.port, r#", "max_body_bytes": 200"#);
    assert_eq!(plugin.route(&insert()), Ok(Output::skip()));
    let refused = refusal(&plugin, &insert().text("x".repeat(200)));
    assert!(
        format!("{refused:?}").contains("bytes, of 200 that may be sent"),
        "{refused:?}"
    );
}

#[test]
fn a_reload_takes_another_api() {
    let (one, other) = (
        serve(|_| allowed()),
        serve(|_| {
            response(
                "200 OK",
                r#"{"allowed": false, "message": "the other one"}"#,
            )
        }),
    );
    let plugin = start(one.port, "");
    assert_eq!(plugin.route(&insert()), Ok(Output::skip()));
    assert!(plugin.reload(r#"{"url": "https://127.0.0.1/"}"#).is_err());
    assert_eq!(plugin.route(&insert()), Ok(Output::skip()));
    plugin
        .reload(&format!(r#"{{"url": "http://127.0.0.1:{}/"}}"#, other.port))
        .unwrap();
    assert_eq!(refusal(&plugin, &insert()).message(), "the other one");
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    for (config, why) in [
        (r#"{"url": "https://api/"}"#, "is not http:// and a host"),
        (r#"{"url": "/check"}"#, "is not http:// and a host"),
        (
            r#"{"url": "http://api/", "timeout_ms": 0}"#,
            "must be more than 0",
        ),
        (
            r#"{"url": "http://api/", "headers": {"a b": "c"}}"#,
            "that HTTP does not allow",
        ),
        (
            r#"{"url": "http://api/", "on_failure": "dance"}"#,
            "on_failure",
        ),
        ("{}", "url"),
    ] {
        let failure = BlockingRunner::start::<HttpCheck>(config).unwrap_err();
        assert!(failure.message.contains(why), "{config}: {failure}");
    }
}
