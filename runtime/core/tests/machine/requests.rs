//! Requests: conflicts, re-execution, lanes, idempotency, faults of the store.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use kontor_core::effects::Environment;
use kontor_core::error::Error;
use kontor_core::executor::{Call, ExecutionError};
use kontor_core::transaction::OperationError;

use crate::support::*;

fn read(value: Option<kontor_core::store::Value>) -> u64 {
    value.map_or(0, |value| String::from_utf8(value.to_vec()).unwrap().parse().unwrap())
}

/// `/add` reads, lets others run, writes one more; `/get` tells.
fn counting(bench: &Bench) {
    bench.scripts.set(
        "p",
        script!(|call, tx| {
            let Call::Http(request) = call else { panic!() };
            let value = read(tx.get("rows", b"n").await.unwrap());
            if request.path == "/add" {
                pause().await;
                tx.put("rows", b"n", (value + 1).to_string().into_bytes()).unwrap();
            }
            ok(value.to_string())
        }),
    );
}

#[test]
fn concurrent_requests_on_one_row_lose_nothing() {
    for seed in 0..20 {
        let bench = Bench::new([plugin("p")]);
        counting(&bench);
        let asks = (0..40).map(|_| bench.ask("p", "/add", bench.context())).collect();
        let mut seen: Vec<u64> = interleave(seed, asks)
            .into_iter()
            .map(|answer| String::from_utf8(answer.unwrap().response.body).unwrap().parse().unwrap())
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..40).collect::<Vec<u64>>(), "each saw another value");
        assert_eq!(bench.body("p", "/get"), "40");
    }
}

#[test]
fn a_loser_under_constant_interference_runs_alone_and_wins() {
    let bench = Bench::new([plugin("p")]);
    // The slow one loses to whatever the others committed while it ran; alone, nobody can make it lose.
    bench.scripts.set(
        "p",
        script!(|call, tx| {
            let Call::Http(request) = call else { panic!() };
            if request.path == "/slow" {
                tx.get("rows", b"hot").await.unwrap();
                for _ in 0..200 {
                    pause().await;
                }
            }
            tx.put("rows", b"hot", request.path.clone().into_bytes()).unwrap();
            ok("")
        }),
    );
    let slow = async { vec![bench.ask("p", "/slow", bench.context()).await] }.boxed();
    let blind = (0..4).map(|_| {
        async {
            let mut answers = Vec::new();
            for _ in 0..1_000 {
                answers.push(bench.ask("p", "/blind", bench.context()).await);
            }
            answers
        }
        .boxed()
    });
    let answers = interleave(11, std::iter::once(slow).chain(blind).collect());
    assert_eq!(answers[0][0].as_ref().unwrap().executions, 8, "2 at once, 5 behind others, the last alone");
    assert!(answers.iter().flatten().all(Result::is_ok));
    let reports = bench.notes.invocations.lock().unwrap();
    let alone: Vec<u32> = reports.iter().filter(|report| report.exclusive).map(|report| report.conflicts).collect();
    assert_eq!(alone, [7]);
    assert!(reports.iter().all(|report| report.exclusive || report.conflicts == 0), "blind writers never lose");
}

#[test]
fn a_hot_counter_conflicts_with_nobody_and_never_leaves_its_bounds() {
    for seed in 0..10 {
        let bench = Bench::new([plugin("p")]);
        bench.scripts.set(
            "p",
            script!(|call, tx| {
                let Call::Http(request) = call else { panic!() };
                match request.path.as_str() {
                    "/fill" => tx.counter_add("stock", b"x", 10, None, None).await.unwrap(),
                    "/left" => return ok(tx.counter_get("stock", b"x").await.unwrap().to_string()),
                    _ => match tx.counter_add("stock", b"x", -1, Some(0), None).await {
                        Ok(()) => {}
                        Err(OperationError::Bound) => return respond(409, "none left"),
                        Err(error) => panic!("{error}"),
                    },
                }
                ok("")
            }),
        );
        bench.get("p", "/fill");
        let asks = (0..200).map(|_| bench.ask("p", "/take", bench.context())).collect();
        let taken =
            interleave(seed, asks).into_iter().filter(|answer| answer.as_ref().unwrap().response.status == 200).count();
        assert_eq!(taken, 10);
        assert_eq!(bench.body("p", "/left"), "0");
        let conflicts: u32 = bench.notes.invocations.lock().unwrap().iter().map(|report| report.conflicts).sum();
        // Only those that meet the bound execute again.
        assert!(conflicts <= 190, "{conflicts}");
    }
}

#[test]
fn additions_far_from_their_bounds_execute_once() {
    let bench = Bench::new([plugin("p")]);
    bench.scripts.set(
        "p",
        script!(|_call, tx| {
            tx.counter_add("stock", b"x", -1, Some(-1_000_000), None).await.unwrap();
            ok("")
        }),
    );
    let asks = (0..300).map(|_| bench.ask("p", "/take", bench.context())).collect();
    assert!(interleave(5, asks).into_iter().all(|answer| answer.unwrap().executions == 1));
}

#[test]
fn an_execution_that_is_repeated_sees_the_same_time_and_randomness() {
    let bench = Bench::new([plugin("p")]);
    let seen: Journal<(u64, Vec<u8>)> = Arc::default();
    let (noted, clock) = (seen.clone(), bench.clock.clone());
    bench.scripts.set(
        "p",
        script!(
            [noted, clock] | _call,
            tx | {
                let random = tx.random(16).unwrap();
                noted.lock().unwrap().push((tx.now_ms(), random));
                clock.now_ms.fetch_add(5, Ordering::Relaxed);
                tx.get("rows", b"n").await.unwrap();
                tx.put("rows", b"n", vec![1]).unwrap();
                ok("")
            }
        ),
    );
    bench.store.set_faults(Faults { conflicts: 600, too_old: 100, ..Faults::default() }, 4);
    bench.get("p", "/");
    let seen = seen.lock().unwrap();
    assert!(seen.len() > 1);
    assert!(seen.iter().all(|entry| *entry == seen[0]));
    drop(seen);
    assert!(bench.clock.now_ms() > 1_700_000_000_000);
}

#[test]
fn a_trap_or_an_error_is_not_believed_before_what_was_read_is_validated() {
    let bench = Bench::new([plugin("p")]);
    // Between the two reads someone writes both rows: only a doomed execution sees them differ.
    bench.scripts.set(
        "p",
        script!(|call, tx| {
            let Call::Http(request) = call else { panic!() };
            if request.path == "/write" {
                let n = read(tx.get("rows", b"a").await.unwrap()) + 1;
                tx.put("rows", b"a", n.to_string().into_bytes()).unwrap();
                tx.put("rows", b"b", n.to_string().into_bytes()).unwrap();
                return ok("");
            }
            let a = tx.get("rows", b"a").await.unwrap();
            pause().await;
            pause().await;
            let b = tx.get("rows", b"b").await.unwrap();
            if a != b {
                let plugin = tx.plugin().clone();
                return Err(ExecutionError::Stopped { plugin, code: "trap", message: "a != b".into() });
            }
            ok("")
        }),
    );
    let mut executions = 0;
    for seed in 0..60 {
        let asks =
            (0..12).map(|n| bench.ask("p", if n % 2 == 0 { "/write" } else { "/check" }, bench.context())).collect();
        for answer in interleave(seed, asks) {
            executions += answer.unwrap().executions;
        }
    }
    assert!(executions > 60 * 12, "the interleavings never made an execution lose");
}

#[test]
fn statuses_from_400_change_nothing() {
    let bench = Bench::new([plugin("p")]);
    bench.scripts.set(
        "p",
        script!(|call, tx| {
            let Call::Http(request) = call else { panic!() };
            let value = tx.get("rows", b"n").await.unwrap();
            if request.path == "/get" {
                return ok(value.map_or("none", |_| "some"));
            }
            tx.put("rows", b"n", vec![1]).unwrap();
            tx.counter_add("rows", b"n", 1, None, None).await.unwrap();
            tx.emit("test.p.done", "k", "{}").unwrap();
            tx.enqueue("work", None, "{}", 0).await.unwrap();
            respond(422, "no")
        }),
    );
    let before = bench.store.keys();
    assert_eq!(bench.get("p", "/put").response.status, 422);
    assert_eq!(bench.store.keys(), before);
    assert_eq!(bench.body("p", "/get"), "none");
}

#[test]
fn a_request_with_an_idempotency_key_is_carried_out_once() {
    for seed in 0..30 {
        let bench = Bench::new([plugin("p")]);
        counting(&bench);
        let context = |key: &str| {
            let mut context = bench.context();
            context.idempotency = Some(key.into());
            context
        };
        let asks = (0..8).map(|_| bench.ask("p", "/add", context("one"))).collect();
        let answers: Vec<_> = interleave(seed, asks).into_iter().map(Result::unwrap).collect();
        assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
        assert!(answers.iter().all(|answer| answer.response == answers[0].response));
        assert_eq!(bench.body("p", "/get"), "1");
        let other = block_on(bench.ask("p", "/other", context("one")));
        assert_eq!(other, Err(Error::IdempotencyMismatch("one".into())));
        assert!(!block_on(bench.ask("p", "/add", context("two"))).unwrap().replayed);
        // Another actor's key is another key.
        let mut token = context("one");
        token.actor = kontor_core::transaction::Actor::Token("t".into());
        assert!(!block_on(bench.ask("p", "/add", token)).unwrap().replayed);
        // After a day it is forgotten.
        bench.pass(25 * 60 * 60 * 1000);
        bench.settle();
        assert!(!block_on(bench.ask("p", "/add", context("one"))).unwrap().replayed);
        assert_eq!(bench.body("p", "/get"), "4");
    }
}

#[test]
fn a_commit_of_unknown_outcome_happens_once() {
    let mut unknown = 0;
    for seed in 0..200 {
        let bench = Bench::new([plugin("p")]);
        counting(&bench);
        bench.store.set_faults(Faults { unknown: 300, conflicts: 100, ..Faults::default() }, seed);
        let answers: Vec<_> = (0..5).map(|_| block_on(bench.ask("p", "/add", bench.context()))).collect();
        unknown += answers.iter().filter(|answer| answer.as_ref().is_ok_and(|answer| answer.executions > 1)).count();
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        bench.store.set_faults(Faults::default(), 0);
        assert_eq!(bench.body("p", "/get"), "5", "seed {seed}");
    }
    assert!(unknown > 0);
}

#[test]
fn a_store_that_cannot_serve_is_told_to_the_caller() {
    let bench = Bench::new([plugin("p")]);
    counting(&bench);
    bench.store.set_faults(Faults { unavailable: 1_000, ..Faults::default() }, 0);
    let error = block_on(bench.ask("p", "/add", bench.context())).unwrap_err();
    assert_eq!((error.code(), error.status()), ("unavailable", 503));
    bench.store.set_faults(Faults::default(), 0);
    assert_eq!(bench.body("p", "/get"), "0");
}

#[test]
fn who_is_not_there_is_named() {
    let bench = Bench::new([plugin("p")]);
    assert_eq!(block_on(bench.ask("nobody", "/", bench.context())).unwrap_err().code(), "plugin-unknown");
    let other = kontor_core::ids::MerchantId::new("other").unwrap();
    let request = kontor_core::executor::HttpRequest::default();
    let error = block_on(bench.machine.request(&other, &id("p"), request, bench.context())).unwrap_err();
    assert_eq!(error, Error::MerchantUnknown(other));
}

#[test]
fn futures_of_the_machine_can_move_between_threads() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let bench = Bench::new([plugin("p")]);
    counting(&bench);
    let request = kontor_core::executor::HttpRequest { path: "/add".into(), ..Default::default() };
    block_on(is_send(bench.machine.request(&bench.merchant, &id("p"), request, bench.context()))).unwrap();
    drop(is_send(bench.machine.switch(&bench.merchant, 0, Default::default(), "")));
    drop(is_send(bench.machine.replay_dead_letters(&bench.merchant, &id("p"))));
    drop(is_send(bench.machine.clone().pump(1, Box::pin(async {}))));
}

#[test]
fn merchants_do_not_see_each_other() {
    let bench = Bench::new([plugin("p")]);
    counting(&bench);
    let other = kontor_core::ids::MerchantId::new("m-2").unwrap();
    block_on(bench.machine.create_merchant(&other)).unwrap();
    assert_eq!(block_on(bench.machine.create_merchant(&other)).unwrap_err().code(), "merchant-exists");
    block_on(bench.machine.switch(&other, 0, [(id("p"), plugin("p"))].into(), "same plugin")).unwrap();
    bench.get("p", "/add");
    let request = kontor_core::executor::HttpRequest { path: "/get".into(), ..Default::default() };
    let answer = block_on(bench.machine.request(&other, &id("p"), request, bench.context())).unwrap();
    assert_eq!(answer.response.body, b"0");
    assert_eq!(block_on(bench.machine.merchants()).unwrap(), [bench.merchant.clone(), other]);
}

#[test]
fn usage_is_counted_per_plugin() {
    let bench = Bench::new([plugin("p")]);
    counting(&bench);
    for _ in 0..3 {
        bench.get("p", "/add");
    }
    let usage = bench.machine.usage()[&(bench.merchant.clone(), id("p"))];
    assert_eq!((usage.invocations, usage.fuel, usage.failures), (4, 40, 0), "the migration counts too");
}
