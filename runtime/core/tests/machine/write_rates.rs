//! Plugins that write more than their share.

use kontor_core::effects::Environment;
use kontor_core::error::Error;
use kontor_core::executor::Call;
use kontor_core::limits::{VALUE_BYTES_MAX, WRITE_BURST_BYTES, WRITE_BYTES_PER_SECOND, WRITE_QUEUE_MAX};

use crate::support::*;

/// Rows of the largest size that one invocation of these tests writes, and their bytes.
const ROWS: u32 = 16;
const EACH_BYTES: u64 = ROWS as u64 * VALUE_BYTES_MAX as u64;

/// `p` and `q` write 4 MiB for `/write`, queue a job for `/queue` that does so, and read for anything else. How many run at once is noted.
fn scribblers() -> (Bench, Journal<i32>) {
    let bench = Bench::new([plugin("p"), plugin("q")]);
    let running: Journal<i32> = Journal::default();
    for name in ["p", "q"] {
        let running = running.clone();
        bench.scripts.set(
            name,
            script!(
                [running] | call,
                tx | {
                    let writes = match &call {
                        Call::Http(request) if request.path == "/queue" => {
                            tx.enqueue("work", None, "{}", 0).await.unwrap();
                            false
                        }
                        Call::Http(request) => request.path == "/write",
                        _ => true,
                    };
                    if writes {
                        running.lock().unwrap().push(1);
                        for row in 0..ROWS {
                            tx.put("rows", &row.to_be_bytes(), vec![7; VALUE_BYTES_MAX]).unwrap();
                        }
                        pause().await;
                        running.lock().unwrap().push(-1);
                    }
                    match call {
                        Call::Http(_) => ok(""),
                        _ => Ok(kontor_core::executor::Reply::Done),
                    }
                }
            ),
        );
    }
    (bench, running)
}

fn most_at_once(running: &Journal<i32>) -> i32 {
    let steps = running.lock().unwrap();
    steps
        .iter()
        .scan(0, |now, step| {
            *now += step;
            Some(*now)
        })
        .max()
        .unwrap()
}

#[test]
fn a_plugin_over_its_rate_is_served_one_at_a_time_and_nobody_else_waits() {
    let (bench, running) = scribblers();
    let began_ms = bench.clock.now_ms();
    for _ in 0..WRITE_BURST_BYTES / EACH_BYTES {
        bench.get("p", "/write");
    }
    assert_eq!(bench.clock.now_ms(), began_ms, "a burst waits for nothing");
    bench.get("p", "/write");
    running.lock().unwrap().clear();
    let asks = (0..24).map(|_| bench.ask("p", "/write", bench.context())).collect();
    for answer in interleave(11, asks) {
        assert_eq!(answer.unwrap().response.status, 200);
    }
    assert_eq!(most_at_once(&running), 1);
    let waited_ms = bench.clock.now_ms() - began_ms;
    let expected_ms = 24 * EACH_BYTES * 1_000 / WRITE_BYTES_PER_SECOND;
    assert!((expected_ms..=expected_ms + 100).contains(&waited_ms), "{waited_ms} ms instead of {expected_ms} ms");
    let now_ms = bench.clock.now_ms();
    bench.get("q", "/write");
    bench.get("q", "/read");
    assert_eq!(bench.clock.now_ms(), now_ms, "q waits for nothing");
    bench.pass(10_000);
    running.lock().unwrap().clear();
    let asks = (0..4).map(|_| bench.ask("p", "/write", bench.context())).collect();
    assert!(interleave(12, asks).into_iter().all(|answer| answer.is_ok()));
    assert!(most_at_once(&running) > 1, "p is itself again");
}

#[test]
fn a_queue_that_is_full_refuses_and_is_empty_again_when_its_members_gave_up() {
    let (bench, _) = scribblers();
    for _ in 0..=WRITE_BURST_BYTES / EACH_BYTES {
        bench.get("p", "/write");
    }
    let mut waiting: Vec<_> = (0..WRITE_QUEUE_MAX).map(|_| bench.ask("p", "/read", bench.context())).collect();
    for ask in &mut waiting {
        // Polled once: in the queue, and the first one asleep.
        assert!(futures_util::FutureExt::now_or_never(ask).is_none());
    }
    match block_on(bench.ask("p", "/read", bench.context())) {
        Err(error @ Error::Unavailable(_)) => {
            assert!(error.to_string().contains("plugin `p` writes more than"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    drop(waiting);
    bench.pass(10_000);
    bench.get("p", "/read");
}

#[test]
fn work_in_the_background_waits_and_is_not_lost() {
    let (bench, _) = scribblers();
    for _ in 0..20 {
        bench.get("p", "/queue");
    }
    for _ in 0..=WRITE_BURST_BYTES / EACH_BYTES {
        bench.get("p", "/write");
    }
    bench.get("q", "/queue");
    assert_eq!(bench.settle().len(), 1, "the work of q");
    let mut done = 0;
    for _ in 0..100 {
        done += bench.settle().len();
        bench.pass(100);
    }
    assert_eq!(done, 20);
}
