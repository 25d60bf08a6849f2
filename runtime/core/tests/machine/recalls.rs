//! Answers given again instead of being worked out: as good as executing, or not given.

use std::sync::{Arc, Mutex};

use kontor_core::executor::Call;
use kontor_core::limits::RECORDED_READS_MAX;
use kontor_core::transaction::{Reliance, Transaction};

use crate::support::*;

/// What was once answered, with what it depends on.
type Kept = Arc<Mutex<Option<Arc<(Reliance, u64)>>>>;

/// The number that `q` holds: given again if it stands, otherwise read and kept. True if it was given again.
async fn ask(tx: &mut Transaction, kept: &Kept) -> (u64, bool) {
    let known = kept.lock().unwrap().clone();
    if let Some(known) = known
        && tx.recall(&id("q"), &known.0)
    {
        return (known.1, true);
    }
    let call = tx.enter(&id("q")).unwrap();
    let recording = tx.begin_recording();
    tx.scan("t", None, None, false, 10).await.unwrap();
    pause().await;
    let value = tx.get("t", b"k").await.unwrap().map_or(0, |value| number(&value));
    let reliance = tx.end_recording(recording, RECORDED_READS_MAX);
    tx.leave(call, true);
    // A view may show newer rows from read to read: what is kept then must never be given again.
    if let Some(reliance) = reliance {
        *kept.lock().unwrap() = Some(Arc::new((reliance, value)));
    }
    (value, false)
}

fn number(value: &[u8]) -> u64 {
    String::from_utf8_lossy(value).parse().unwrap()
}

fn put(tx: &mut Transaction, value: u64) {
    let call = tx.enter(&id("q")).unwrap();
    tx.put("t", b"k", value.to_string().into_bytes()).unwrap();
    tx.leave(call, true);
}

#[test]
fn nothing_is_lost_between_an_answer_given_again_and_the_commit() {
    let mut given = 0;
    for seed in 0..60 {
        let bench = Bench::new([plugin("p"), plugin("q")]);
        let faults = Faults { conflicts: 20, too_old: 20, unknown: 0, unavailable: 0 };
        bench.store.set_faults(faults, seed);
        let (kept, journal): (Kept, Journal<bool>) = (Kept::default(), Journal::default());
        let notes = journal.clone();
        bench.scripts.set(
            "p",
            script!(
                [kept, journal] | call,
                tx | {
                    let Call::Http(request) = call else { panic!() };
                    let (value, again) = ask(tx, &kept).await;
                    journal.lock().unwrap().push(again);
                    pause().await;
                    if request.path == "/bump" {
                        put(tx, value + 1);
                    }
                    ok(value.to_string())
                }
            ),
        );
        let path = |n: usize| if n.is_multiple_of(4) { "/bump" } else { "/read" };
        let answers = interleave(seed, (0..80).map(|n| bench.ask("p", path(n), bench.context())).collect());
        let mut bumped: Vec<u64> = answers
            .into_iter()
            .enumerate()
            .filter(|(n, _)| path(*n) == "/bump")
            .map(|(_, answer)| number(&answer.unwrap().response.body))
            .collect();
        bumped.sort_unstable();
        assert_eq!(bumped, (0..20).collect::<Vec<u64>>(), "seed {seed}: each saw another value");
        assert_eq!(bench.body("p", "/read"), "20");
        given += notes.lock().unwrap().iter().filter(|again| **again).count();
    }
    assert!(given > 500, "{given} answers were given again");
}

#[test]
fn own_writes_are_seen_and_are_nobody_elses_answer() {
    let bench = Bench::new([plugin("p"), plugin("q")]);
    let kept = Kept::default();
    let memory = Arc::clone(&kept);
    bench.scripts.set(
        "p",
        script!(
            [memory] | _call,
            tx | {
                assert_eq!(ask(tx, &memory).await, (0, false));
                assert_eq!(ask(tx, &memory).await, (0, true));
                put(tx, 5);
                assert_eq!(ask(tx, &memory).await, (5, false), "its own write");
                let (reliance, value) = &*memory.lock().unwrap().clone().unwrap();
                assert_eq!((*value, tx.recall(&id("q"), reliance)), (0, false), "what it wrote was not kept");
                respond(400, "undone")
            }
        ),
    );
    bench.get("p", "/");
    let memory = Arc::clone(&kept);
    bench.scripts.set(
        "p",
        script!(
            [memory] | _call,
            tx | {
                assert_eq!(ask(tx, &memory).await, (0, true), "it was undone");
                // A row in a range that was listed.
                let call = tx.enter(&id("q")).unwrap();
                tx.put("t", b"another", b"1".to_vec()).unwrap();
                tx.leave(call, true);
                let known = memory.lock().unwrap().clone().unwrap();
                assert!(!tx.recall(&id("q"), &known.0));
                ok("")
            }
        ),
    );
    bench.get("p", "/");
    let memory = Arc::clone(&kept);
    bench.scripts.set(
        "p",
        script!(
            [memory] | _call,
            tx | {
                let known = memory.lock().unwrap().clone().unwrap();
                ok(tx.recall(&id("q"), &known.0).to_string())
            }
        ),
    );
    assert_eq!(bench.body("p", "/"), "false", "somebody committed a row in the range");
}

#[test]
fn what_others_could_not_have_seen_is_not_recorded() {
    let bench = Bench::new([plugin("p")]);
    bench.scripts.set(
        "p",
        script!(|_call, tx| {
            let recording = tx.begin_recording();
            tx.counter_get("c", b"k").await.unwrap();
            assert!(tx.end_recording(recording, RECORDED_READS_MAX).is_some(), "a counter's value");
            let recording = tx.begin_recording();
            tx.counter_at_least("c", b"k", 1).await.unwrap();
            assert!(tx.end_recording(recording, RECORDED_READS_MAX).is_none(), "its bounds");
            let recording = tx.begin_recording();
            tx.put("t", b"k", vec![1]).unwrap();
            assert!(tx.end_recording(recording, RECORDED_READS_MAX).is_none(), "a write");
            for read in 0..3 {
                let recording = tx.begin_recording();
                match read {
                    0 => drop(tx.get("t", b"k").await.unwrap()),
                    1 => drop(tx.get_many("t", &[b"x".to_vec(), b"k".to_vec()]).await.unwrap()),
                    _ => drop(tx.scan("t", None, None, false, 10).await.unwrap()),
                }
                assert!(tx.end_recording(recording, RECORDED_READS_MAX).is_none(), "an own write, read in way {read}");
            }
            let outer = tx.begin_recording();
            let inner = tx.begin_recording();
            tx.get("t", b"x").await.unwrap();
            assert!(tx.end_recording(inner, RECORDED_READS_MAX).is_some());
            tx.counter_add("c", b"k", 1, None, None).await.unwrap();
            assert!(
                tx.end_recording(outer, RECORDED_READS_MAX).is_none(),
                "what an inner one allows, the outer one need not"
            );
            let recording = tx.begin_recording();
            for key in 0..100_u8 {
                tx.get("t", &[b'x', key]).await.unwrap();
            }
            assert!(tx.end_recording(recording, RECORDED_READS_MAX).is_none(), "too much to check");
            ok("")
        }),
    );
    bench.get("p", "/");
}
