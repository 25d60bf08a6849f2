//! What a guest may do inside a transaction: nesting, limits, refusals.

use kontor_core::executor::Call;
use kontor_core::transaction::OperationError;

use crate::support::*;

#[test]
fn a_nested_call_that_fails_leaves_no_trace_and_one_that_succeeds_stays() {
    let bench = Bench::new([plugin("p"), plugin("q"), plugin("r")]);
    bench.scripts.set(
        "p",
        script!(|call, tx| {
            let Call::Http(request) = call else { panic!() };
            if request.path == "/get" {
                let call = tx.enter(&id("q")).unwrap();
                let q = tx.counter_get("t", b"c").await.unwrap();
                assert_eq!((tx.plugin().as_str(), tx.caller().unwrap().as_str()), ("q", "p"));
                tx.leave(call, true);
                return ok(format!("{:?} {q}", tx.get("t", b"k").await.unwrap().map(|value| value.to_vec())));
            }
            tx.put("t", b"k", b"p".to_vec()).unwrap();
            // Kept: q adds 1. Undone: q adds 10, and r below it 100.
            let first = tx.enter(&id("q")).unwrap();
            tx.counter_add("t", b"c", 1, None, None).await.unwrap();
            tx.leave(first, true);
            let second = tx.enter(&id("q")).unwrap();
            tx.counter_add("t", b"c", 10, None, None).await.unwrap();
            tx.emit("test.q.done", "k", "{}").unwrap();
            tx.enqueue("work", Some("k"), "{}", 0).await.unwrap();
            let third = tx.enter(&id("r")).unwrap();
            tx.put("t", b"k", b"r".to_vec()).unwrap();
            tx.leave(third, true);
            tx.leave(second, false);
            assert_eq!(tx.plugin().as_str(), "p");
            ok("")
        }),
    );
    bench.get("p", "/put");
    assert_eq!(bench.body("p", "/get"), "Some([112]) 1");
    assert!(block_on(bench.machine.events_since(&bench.merchant, None, 10)).unwrap().events.is_empty());
    assert!(block_on(bench.machine.jobs(&bench.merchant, &id("q"), 10)).unwrap().is_empty());
}

#[test]
fn circles_depth_and_strangers_are_refused() {
    let mut names: Vec<String> = (0..20).map(|n| format!("p{n}")).collect();
    names.push("p".into());
    let bench = Bench::new(names.iter().map(|name| plugin(name)));
    bench.scripts.set(
        "p",
        script!(|_call, tx| {
            let mut open = Vec::new();
            // An executor may enter the first plugin itself, once.
            open.push(tx.enter(&id("p")).unwrap());
            assert!(matches!(tx.enter(&id("p")), Err(OperationError::Denied(_))));
            assert!(matches!(tx.enter(&id("stranger")), Err(OperationError::Denied(_))));
            open.push(tx.enter(&id("p0")).unwrap());
            assert!(matches!(tx.enter(&id("p")), Err(OperationError::Denied(_))));
            for n in 1..20 {
                match tx.enter(&id(&format!("p{n}"))) {
                    Ok(savepoint) => open.push(savepoint),
                    Err(OperationError::Limit(text)) => {
                        assert!(text.contains("depth"));
                        return ok(open.len().to_string());
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            ok("no limit")
        }),
    );
    assert_eq!(bench.body("p", "/"), "16");
}

#[test]
fn limits_are_the_plugins_own_and_are_named() {
    let mut small = plugin("small");
    small.spec.limits.reads = 3;
    small.spec.limits.writes = 2;
    small.spec.limits.events = 1;
    small.spec.limits.jobs = 1;
    let bench = Bench::new([plugin("p"), small]);
    bench.scripts.set(
        "p",
        script!(|_call, tx| {
            let call = tx.enter(&id("small")).unwrap();
            let limit = |result: Result<(), OperationError>, what: &str| match result {
                Err(OperationError::Limit(text)) => assert!(text.starts_with(what), "{text}"),
                other => panic!("{what}: {other:?}"),
            };
            for _ in 0..3 {
                tx.get("t", b"k").await.unwrap();
            }
            limit(tx.get("t", b"k").await.map(drop), "reads");
            tx.put("t", b"k", vec![]).unwrap();
            tx.delete("t", b"k").unwrap();
            limit(tx.put("t", b"k", vec![]), "writes");
            tx.emit("test.small.x", "k", "{}").unwrap();
            limit(tx.emit("test.small.x", "k", "{}").map(drop), "events");
            tx.enqueue("work", None, "{}", 0).await.unwrap();
            limit(tx.enqueue("work", None, "{}", 0).await.map(drop), "jobs");
            tx.leave(call, true);
            tx.get("t", b"k").await.unwrap();
            ok("")
        }),
    );
    bench.get("p", "/");
}

#[test]
fn malformed_input_is_refused_with_a_reason() {
    let bench = Bench::new([plugin("p")]);
    bench.scripts.set(
        "p",
        script!(|_call, tx| {
            let invalid = |result: Result<(), OperationError>, what: &str| match result {
                Err(OperationError::Invalid(text)) => assert!(text.contains(what), "{text}"),
                other => panic!("{what}: {other:?}"),
            };
            invalid(tx.get("Table", b"k").await.map(drop), "table name");
            invalid(tx.get("", b"k").await.map(drop), "table name");
            invalid(tx.get("a\0b", b"k").await.map(drop), "table name");
            invalid(tx.get("t", b"").await.map(drop), "512");
            invalid(tx.get("t", &[0; 513]).await.map(drop), "512");
            invalid(tx.put("t", b"k", vec![0; 300_000]), "262144");
            invalid(tx.scan("t", None, None, false, 0).await.map(drop), "limit");
            invalid(tx.scan("t", None, None, false, 10_001).await.map(drop), "limit");
            invalid(tx.get_many("t", &vec![vec![1]; 1_001]).await.map(drop), "1000");
            invalid(tx.emit("other.p.x", "k", "{}").map(drop), "emits");
            invalid(tx.emit("test.p.x", "", "{}").map(drop), "event key");
            invalid(tx.emit("test.p.x", "k", "{").map(drop), "JSON");
            invalid(tx.enqueue("unknown", None, "{}", 0).await.map(drop), "job");
            invalid(tx.random(70_000).map(drop), "65536");
            invalid(tx.secret("s").map(drop), "secret");
            ok("")
        }),
    );
    bench.get("p", "/");
}

#[test]
fn tables_of_plugins_and_counters_are_apart() {
    let bench = Bench::new([plugin("p"), plugin("q")]);
    bench.scripts.set(
        "p",
        script!(|_call, tx| {
            tx.put("t", b"a", b"p".to_vec()).unwrap();
            tx.put("t-2", b"b", b"other table".to_vec()).unwrap();
            tx.counter_add("t", b"a", 5, None, None).await.unwrap();
            let call = tx.enter(&id("q")).unwrap();
            tx.put("t", b"c", b"q".to_vec()).unwrap();
            let all = tx.scan("t", None, None, true, 10).await.unwrap();
            tx.leave(call, true);
            assert_eq!(all, [(b"c".to_vec(), "q".into())]);
            let all = tx.scan("t", None, Some(b"zz"), false, 10).await.unwrap();
            assert_eq!(all, [(b"a".to_vec(), "p".into())]);
            assert_eq!(tx.scan("t", Some(b"b"), Some(b"a"), false, 10).await.unwrap(), []);
            ok("")
        }),
    );
    bench.get("p", "/");
    bench.get("p", "/");
}

#[test]
fn log_lines_are_kept_when_nothing_else_is() {
    let bench = Bench::new([plugin("p")]);
    bench.scripts.set(
        "p",
        script!(|_call, tx| {
            tx.log(kontor_core::transaction::LogLevel::Info, &"ä".repeat(8_000), vec![("k".into(), "v".into())]);
            for _ in 0..1_500 {
                tx.log(kontor_core::transaction::LogLevel::Debug, "x", vec![]);
            }
            respond(500, "")
        }),
    );
    bench.get("p", "/");
    let lines = bench.notes.lines.lock().unwrap();
    assert_eq!(lines.len(), 1_001);
    assert_eq!(lines[0].message.len(), 8 * 1024);
    assert!(lines[1_000].message.contains("501"));
}
