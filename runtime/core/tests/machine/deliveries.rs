//! Events: order, exactly once, failures, dead letters, replay.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kontor_core::executor::{Call, ExecutionError, Reply};
use kontor_core::machine::WorkOutcome;
use kontor_core::records::DeadSubject;

use crate::support::*;

/// `p` emits `path` as `key:payload`; `s` subscribes.
fn emitting() -> Bench {
    let mut subscriber = plugin("s");
    subscriber.spec.subscribes = vec!["test.p.*".into()];
    let bench = Bench::new([plugin("p"), subscriber]);
    bench.scripts.set(
        "p",
        script!(|call, tx| {
            let Call::Http(request) = call else { panic!() };
            for part in request.path.trim_start_matches('/').split(',') {
                let (key, payload) = part.split_once(':').unwrap();
                tx.emit("test.p.said", key, payload).unwrap();
            }
            ok("")
        }),
    );
    bench
}

/// `s` appends what it hears to a row per key.
fn hearing(bench: &Bench, fails: impl Fn(&str, &str, u32) -> Option<ExecutionError> + Send + Sync + 'static) {
    let fails = Arc::new(fails);
    bench.scripts.set(
        "s",
        script!(
            [fails] | call,
            tx | {
                match call {
                    Call::Event(event, attempt) => {
                        let mut heard =
                            tx.get("heard", event.key.as_bytes()).await.unwrap().map_or(Vec::new(), |v| v.to_vec());
                        pause().await;
                        heard.extend_from_slice(event.payload.as_bytes());
                        tx.put("heard", event.key.as_bytes(), heard).unwrap();
                        match fails(&event.key, &event.payload, attempt) {
                            Some(error) => Err(error),
                            None => Ok(Reply::Done),
                        }
                    }
                    _ => {
                        let all = tx.scan("heard", None, None, false, 100).await.unwrap();
                        let all: Vec<String> = all
                            .into_iter()
                            .map(|(key, value)| {
                                format!(
                                    "{}={}",
                                    String::from_utf8(key).unwrap(),
                                    String::from_utf8(value.to_vec()).unwrap()
                                )
                            })
                            .collect();
                        ok(all.join(" "))
                    }
                }
            }
        ),
    );
}

#[test]
fn events_arrive_once_and_in_order_per_key_whatever_the_store_does() {
    for seed in 0..40 {
        let bench = emitting();
        hearing(&bench, |_, _, _| None);
        for n in 0..6 {
            bench.get("p", &format!("/a:{n},b:{n},a:{}", n + 1));
        }
        bench.store.set_faults(Faults { conflicts: 150, unknown: 100, unavailable: 50, too_old: 50 }, seed);
        for _ in 0..200 {
            let Ok(items) = block_on(bench.machine.due_work(bench.clock.now_ms.load(Ordering::Relaxed), 4)) else {
                continue;
            };
            let runs = items.into_iter().map(|item| Box::pin(bench.machine.run(item)) as _).collect();
            interleave(seed, runs);
            bench.pass(400);
        }
        bench.store.set_faults(Faults::default(), 0);
        bench.pass(10_000);
        bench.settle();
        assert_eq!(bench.body("s", "/"), "a=011223344556 b=012345", "seed {seed}");
    }
}

#[test]
fn a_crash_between_delivery_and_the_next_look_changes_nothing() {
    let bench = emitting();
    hearing(&bench, |_, _, _| None);
    bench.get("p", "/a:1,a:2,b:3");
    let item = block_on(bench.machine.due_work(bench.clock.now_ms.load(Ordering::Relaxed), 1)).unwrap();
    item.into_iter().for_each(|item| assert_ne!(block_on(bench.machine.run(item)), WorkOutcome::Dead));
    let next = bench.crashed();
    next.settle();
    assert_eq!(next.body("s", "/"), "a=12 b=3");
}

#[test]
fn a_failing_key_blocks_only_itself_and_goes_to_the_dead_letters_in_the_end() {
    let bench = emitting();
    let broken = Arc::new(AtomicBool::new(true));
    let fails = broken.clone();
    hearing(&bench, move |key, payload, _| {
        (key == "bad" && payload == "1" && fails.load(Ordering::Relaxed))
            .then(|| ExecutionError::Retry("not yet".into()))
    });
    bench.get("p", "/bad:1,bad:2,good:1");
    assert_eq!(bench.settle(), [WorkOutcome::Retried, WorkOutcome::Done]);
    bench.get("p", "/good:2,bad:3");
    bench.settle();
    assert_eq!(bench.body("s", "/"), "good=12");
    let mut tries = 1;
    while block_on(bench.machine.dead_letters(&bench.merchant, None, 10)).unwrap().is_empty() {
        bench.pass(60 * 60 * 1000);
        bench.settle();
        tries += 1;
        assert!(tries < 20);
    }
    assert_eq!(tries, 12);
    assert_eq!(bench.body("s", "/"), "bad=23 good=12");
    let letters = block_on(bench.machine.dead_letters(&bench.merchant, None, 10)).unwrap();
    assert_eq!((letters[0].attempts, letters[0].code.as_str(), letters.len()), (12, "retry", 1));
    assert!(matches!(&letters[0].subject, DeadSubject::Event(event) if event.payload == "1"));
    assert_eq!(bench.notes.dead.lock().unwrap().len(), 1);

    broken.store(false, Ordering::Relaxed);
    block_on(bench.machine.replay_dead_letter(&bench.merchant, &letters[0].id)).unwrap();
    bench.settle();
    assert_eq!(bench.body("s", "/"), "bad=231 good=12");
    let gone = block_on(bench.machine.replay_dead_letter(&bench.merchant, &letters[0].id)).unwrap_err();
    assert_eq!(gone.code(), "dead-letter-unknown");
}

#[test]
fn what_fails_for_good_is_given_up_at_once_and_can_be_discarded() {
    let bench = emitting();
    hearing(&bench, |_, payload, _| (payload == "1").then(|| ExecutionError::Permanent("never".into())));
    bench.get("p", "/a:1,a:2");
    assert_eq!(bench.settle(), [WorkOutcome::Dead, WorkOutcome::Done]);
    assert_eq!(bench.body("s", "/"), "a=2");
    let letters = block_on(bench.machine.dead_letters(&bench.merchant, None, 10)).unwrap();
    block_on(bench.machine.discard_dead_letter(&bench.merchant, &letters[0].id)).unwrap();
    assert!(block_on(bench.machine.dead_letters(&bench.merchant, None, 10)).unwrap().is_empty());
}

#[test]
fn retry_after_waits_so_long_and_counts_no_attempt() {
    let bench = emitting();
    let attempts: Journal<u32> = Arc::default();
    let noted = attempts.clone();
    hearing(&bench, move |_, _, attempt| {
        let mut noted = noted.lock().unwrap();
        noted.push(attempt);
        (noted.len() < 20).then_some(ExecutionError::RetryAfter(5_000))
    });
    bench.get("p", "/a:1");
    bench.settle();
    bench.pass(4_999);
    assert!(bench.settle().is_empty());
    for _ in 0..20 {
        bench.pass(5_000);
        bench.settle();
    }
    assert_eq!(*attempts.lock().unwrap(), vec![1; 20]);
    assert_eq!(bench.body("s", "/"), "a=1");
}

#[test]
fn queues_that_are_empty_leave_nothing_behind() {
    let bench = emitting();
    hearing(&bench, |_, _, attempt| (attempt < 3).then(|| ExecutionError::Retry(String::new())));
    let count = |space: u8| bench.store.keys().into_iter().filter(|key| key.get(2) == Some(&space)).count();
    bench.get("p", "/a:1,b:1,c:1,a:2");
    for _ in 0..10 {
        bench.settle();
        bench.pass(10_000);
    }
    assert_eq!((count(0x21), count(0x22), count(0x23)), (0, 0, 0));
    assert_eq!(count(0x20), 4, "the log stays");
    assert_eq!(block_on(bench.machine.due_work(bench.clock.now_ms.load(Ordering::Relaxed), 8)).unwrap().len(), 0);
}

#[test]
fn the_log_is_read_in_pages_and_replayed_in_parts() {
    let bench = emitting();
    hearing(&bench, |_, _, _| None);
    for n in 0..5 {
        bench.get("p", &format!("/a:{n},b:{n}"));
    }
    bench.settle();
    let (mut position, mut seen) = (None::<String>, Vec::new());
    loop {
        let page = block_on(bench.machine.events_since(&bench.merchant, position.as_deref(), 3)).unwrap();
        seen.extend(page.events);
        position = Some(page.next);
        if !page.more {
            break;
        }
    }
    assert_eq!(seen.len(), 10);
    assert!(seen.windows(2).all(|pair| pair[0].position < pair[1].position));
    assert_eq!(seen.iter().map(|logged| &logged.event.id).collect::<std::collections::BTreeSet<_>>().len(), 10);
    assert_eq!(position, Some(block_on(bench.machine.events_end(&bench.merchant)).unwrap()));
    let (after, until) = (seen[3].position.clone(), seen[5].position.clone());
    let subscriber = id("s");
    let replay = bench.machine.replay_events(&bench.merchant, &subscriber, Some(&after), Some(&until));
    assert_eq!(block_on(replay).unwrap(), 2);
    bench.settle();
    assert_eq!(bench.body("s", "/"), "a=012342 b=012342");
    let bad = block_on(bench.machine.events_since(&bench.merchant, Some("nonsense"), 3)).unwrap_err();
    assert_eq!(bad.code(), "position-invalid");
}

#[test]
fn subscriptions_begin_with_the_revision_that_adds_them() {
    let bench = emitting();
    hearing(&bench, |_, _, _| None);
    bench.switch([plugin("p"), plugin("s")]);
    bench.get("p", "/a:1");
    let mut subscriber = plugin("s");
    subscriber.spec.subscribes = vec!["test.p.said".into()];
    bench.switch([plugin("p"), subscriber]);
    bench.get("p", "/a:2");
    bench.settle();
    assert_eq!(bench.body("s", "/"), "a=2");
}

#[test]
fn many_keys_are_delivered_side_by_side_by_the_pump() {
    let bench = emitting();
    hearing(&bench, |_, _, _| None);
    for n in 0..30 {
        bench.get("p", &format!("/k{n}:1,k{n}:2,k{}:3", n % 3));
    }
    let (machine, clock) = (bench.machine.clone(), bench.clock.clone());
    let stop = Box::pin(async move {
        for _ in 0..3_000 {
            pause().await;
        }
        drop(clock);
    });
    block_on(machine.pump(8, stop)).unwrap();
    let heard: BTreeMap<String, String> = bench
        .body("s", "/")
        .split(' ')
        .map(|part| part.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())).unwrap())
        .collect();
    assert_eq!(heard.len(), 30);
    assert!(
        heard.iter().all(|(key, value)| value.len() == if ["k0", "k1", "k2"].contains(&key.as_str()) { 12 } else { 2 })
    );
}
