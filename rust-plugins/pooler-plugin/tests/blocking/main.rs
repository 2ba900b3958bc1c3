//! A plugin that may wait, asked by several threads at a time: who waits for whom, whose answer is whose, and what lives how long.

mod puppet;
mod raw;

use pooler_plugin::testing::{BlockingRunner, ClientRequest, Exports, Failure, Request, ServerRequest};
use pooler_plugin::{Accept, ClientAnswer, First, Output, ServerAnswer, sys};
use puppet::{Puppet, start};
use raw::Raw;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

fn said(runner: &BlockingRunner, request: &Request) -> String {
    match runner.route(request) {
        Ok(Output::Error(refusal)) => refusal.message().to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn several_threads_are_in_it_at_a_time() {
    let (runner, ..) = start();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(runner.route(&Request::new("meet: 4")), Ok(Output::skip())));
        }
    });
}

#[test]
fn statements_are_learned_forgotten_and_read_again_while_a_call_waits() {
    let (runner, stage, number) = start();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| runner.route(&Request::new("until learned: 3")));
        assert!(stage.called.of(1));
        let other = Request::new("SELECT 1").id(77);
        runner.learn(&other).unwrap();
        runner.forget(&other);
        runner.reload(&format!(r#"{{"stage": {number}, "word": "second"}}"#)).unwrap();
        assert_eq!(said(&runner, &Request::new("word: ?").id(78)), "second");
        assert_eq!(waiting.join().unwrap(), Ok(Output::skip()));
    });
}

#[test]
fn many_threads_ask_while_statements_are_learned_and_forgotten() {
    const THREADS: u64 = 6;
    const STATEMENTS: u64 = 24;
    let (runner, stage, _) = start();
    let requests: Vec<Request> = (0..STATEMENTS).map(|id| Request::new(format!("SELECT {id}")).id(id + 1)).collect();
    let over = AtomicBool::new(false);
    let forgotten = AtomicUsize::new(0);
    thread::scope(|scope| {
        let askers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (runner, requests) = (&runner, &requests);
                scope.spawn(move || {
                    let mut random = thread + 1;
                    for _ in 0..3000 {
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        let request = &requests[(random >> 33) as usize % requests.len()];
                        assert_eq!(runner.route(request), Ok(Output::skip()));
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for request in &requests {
                    runner.forget(request);
                    forgotten.fetch_add(1, Ordering::Relaxed);
                    thread::yield_now();
                }
            }
        });
        let ended: Vec<_> = askers.into_iter().map(|asker| asker.join()).collect();
        over.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    });
    assert!(forgotten.into_inner() > 0);
    for request in &requests {
        runner.forget(request);
    }
    assert_eq!(stage.alive.load(Ordering::SeqCst), 0, "what is forgotten is dropped");
    runner.learn(&requests[0]).unwrap();
    drop(runner);
    assert_eq!(stage.alive.load(Ordering::SeqCst), 0, "what is still known is dropped with the plugin");
}

#[test]
fn a_statement_that_is_forgotten_while_a_call_reads_it_lives_as_long_as_the_call() {
    // The host keeps it that long anyway; nothing may depend on that.
    let (runner, stage, number) = start();
    drop(runner);
    let exports = Exports::of_blocking::<Puppet>();
    let raw = Raw::create(exports, &format!(r#"{{"stage": {number}}}"#));
    let request = Request::new("until learned: 2").id(9);
    assert_eq!(raw.learn(&request), sys::OK);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| raw.route(&request, 64 << 10).0);
        assert!(stage.called.of(1));
        raw.forget(9);
        assert_eq!(stage.alive.load(Ordering::SeqCst), 1);
        assert_eq!(raw.learn(&Request::new("SELECT 1").id(10)), sys::OK);
        assert_eq!(waiting.join().unwrap(), sys::SKIP);
    });
    assert_eq!(stage.alive.load(Ordering::SeqCst), 1, "only the other one is left");
}

#[test]
fn what_it_does_not_want_is_not_asked_about() {
    let (runner, stage, number) = start();
    let request = Request::new("not mine").id(3);
    assert_eq!(runner.route(&request), Ok(Output::skip()));
    assert_eq!(stage.called.count(), 0);
    runner.forget(&request);
    assert_eq!(stage.alive.load(Ordering::SeqCst), 0);
    assert_eq!(runner.route(&Request::new("SELECT 1").id(3)), Ok(Output::skip()));
    assert_eq!(stage.called.count(), 1);

    let raw = Raw::create(Exports::of_blocking::<Puppet>(), &format!(r#"{{"stage": {number}}}"#));
    assert_eq!(raw.learn(&request), sys::NOT_MINE);
    assert_eq!(raw.learn(&Request::new("want: panic").id(4)), sys::PANICKED);
}

#[test]
fn answers_that_do_not_fit_are_each_callers_own() {
    let (mut runner, ..) = start();
    runner.set_capacity(size_of::<sys::Output>() + 64);
    let runner = &runner;
    thread::scope(|scope| {
        for thread in 0..6 {
            scope.spawn(move || {
                for round in 0..200 {
                    let words = format!("{thread}.{round} ");
                    let request = Request::new(format!("say: {words}")).id(1000 * thread + round);
                    assert_eq!(said(runner, &request), words.repeat(1000));
                }
            });
        }
    });
}

#[test]
fn logins_and_server_connections_wait_side_by_side_too() {
    let (mut runner, ..) = start();
    runner.set_capacity(size_of::<sys::Output>());
    let runner = &runner;
    thread::scope(|scope| {
        let client = scope.spawn(|| runner.client_connect(&ClientRequest::new("ann", "app")));
        let server = scope.spawn(|| runner.server_connect(&ServerRequest::new().database("shop", "app")));
        let accepted = ClientAnswer::accept(Accept::new().database("ann".repeat(1000)));
        assert_eq!(client.join().unwrap(), Ok(accepted));
        assert_eq!(server.join().unwrap(), Ok(ServerAnswer::first(First::new().session("shop".repeat(1000)))));
    });
}

#[test]
fn a_panic_is_its_own_calls_failure() {
    let (runner, ..) = start();
    let runner = &runner;
    thread::scope(|scope| {
        for thread in 0..4_u64 {
            scope.spawn(move || {
                for round in 0..100_u64 {
                    let id = 1000 * thread + round;
                    let failed = runner.route(&Request::new(format!("panic: no {id}")).id(id)).unwrap_err();
                    assert_eq!(failed.status, sys::PANICKED);
                    assert!(failed.message.starts_with(&format!("no {id} (at ")), "{failed}");
                    assert_eq!(runner.route(&Request::new("SELECT 1").id(9999)), Ok(Output::skip()));
                }
            });
        }
    });
    let failed = runner.learn(&Request::new("learn: panic").id(99_998)).unwrap_err();
    assert_eq!(failed.status, sys::PANICKED);
    let failed = runner.learn(&Request::new("learn: fail").id(99_998));
    assert_eq!(failed, Err(Failure { status: sys::FAILED, message: "not learned".to_owned() }));
    assert_eq!(runner.route(&Request::new("SELECT 2").id(99_999)), Ok(Output::skip()));
}

#[test]
fn what_a_statement_was_before_is_not_known_after_it_could_not_be_learned_anew() {
    let (_, _, number) = start();
    let raw = Raw::create(Exports::of_blocking::<Puppet>(), &format!(r#"{{"stage": {number}}}"#));
    assert_eq!(raw.learn(&Request::new("SELECT 1").id(5)), sys::OK);
    assert_eq!(raw.learn(&Request::new("learn: fail").id(5)), sys::FAILED);
    assert_eq!(raw.route(&Request::new("SELECT 1").id(5), 4096).0, sys::FAILED);
}

#[test]
fn an_answer_is_fetched_once_under_its_number_on_any_thread() {
    let (_, _, number) = start();
    let raw = Raw::create(Exports::of_blocking::<Puppet>(), &format!(r#"{{"stage": {number}}}"#));
    let ask = |words: &str| raw.route(&Request::new(format!("say: {words}")), size_of::<sys::Output>());
    let (first, first_number) = ask("a");
    let (second, second_number) = thread::scope(|scope| scope.spawn(|| ask("b")).join().unwrap());
    assert_eq!((first, second), (sys::NEEDS_SPACE, sys::NEEDS_SPACE));
    assert_ne!(first_number, second_number);
    // Too small once more: it waits on, under a number.
    let (status, again) = raw.fetch(first_number, size_of::<sys::Output>());
    assert_eq!(status, sys::NEEDS_SPACE);
    assert_eq!(raw.fetch(second_number, 4096), (sys::ERROR, 0), "the number is not part of the answer");
    assert_eq!(raw.fetch(again, 4096).0, sys::ERROR);
    for number in [first_number, second_number, again, 0, u64::MAX] {
        assert_eq!(raw.fetch(number, 4096).0, sys::BAD_INPUT);
    }
}
