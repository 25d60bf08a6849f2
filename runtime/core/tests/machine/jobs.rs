//! Jobs and schedules.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kontor_core::effects::Environment;
use kontor_core::executor::{Call, ExecutionError, Reply};
use kontor_core::machine::WorkOutcome;
use kontor_core::records::DeadSubject;
use kontor_core::revision::{RateBudget, Schedule};

use crate::support::*;

type Runs = Journal<(String, String, u32, u64)>;

/// `/key:payload:due` queues; runs are written down, and end as `end` says.
fn working(
    change: impl Fn(&mut kontor_core::revision::InstalledPlugin),
    end: impl Fn(&str, u32) -> Option<ExecutionError> + Send + Sync + 'static,
) -> (Bench, Runs) {
    let mut worker = plugin("p");
    change(&mut worker);
    let bench = Bench::new([worker]);
    let (runs, end): (Runs, _) = (Arc::default(), Arc::new(end));
    let noted = runs.clone();
    bench.scripts.set(
        "p",
        script!(
            [noted, end] | call,
            tx | {
                match call {
                    Call::Http(request) => {
                        for part in request.path.trim_start_matches('/').split(',') {
                            let mut parts = part.split(':');
                            let (key, payload) = (parts.next().unwrap(), parts.next().unwrap());
                            let due_ms = parts.next().map_or(0, |due| tx.now_ms() + due.parse::<u64>().unwrap());
                            if payload == "cancel" {
                                return ok(tx.cancel_job("work", key).await.unwrap().to_string());
                            }
                            tx.enqueue("work", (!key.is_empty()).then_some(key), payload, due_ms).await.unwrap();
                        }
                        ok("")
                    }
                    Call::Job(job) => {
                        let key = job.key.clone().unwrap_or_default();
                        noted.lock().unwrap().push((key.clone(), job.payload.clone(), job.attempt, job.due_ms));
                        tx.counter_add("runs", b"n", 1, None, None).await.unwrap();
                        pause().await;
                        end(&job.payload, job.attempt).map_or(Ok(Reply::Done), Err)
                    }
                    _ => panic!(),
                }
            }
        ),
    );
    (bench, runs)
}

fn payloads(runs: &Runs) -> Vec<String> {
    runs.lock().unwrap().iter().map(|(key, payload, attempt, _)| format!("{key}:{payload}#{attempt}")).collect()
}

fn left_in_job_spaces(bench: &Bench) -> usize {
    bench.store.keys().into_iter().filter(|key| (0x30..=0x34).contains(&key[2])).count()
}

#[test]
fn the_latest_payload_wins_and_the_earliest_time_stays() {
    let (bench, runs) = working(|_| {}, |_, _| None);
    bench.get("p", "/a:1:50000,b:1");
    bench.get("p", "/a:2:20000");
    bench.get("p", "/a:3:90000");
    bench.settle();
    assert_eq!(payloads(&runs), ["b:1#1"]);
    bench.pass(19_999);
    assert!(bench.settle().is_empty());
    bench.pass(1);
    bench.settle();
    assert_eq!(payloads(&runs), ["b:1#1", "a:3#1"]);
    bench.pass(100_000);
    assert!(bench.settle().is_empty());
    assert_eq!(left_in_job_spaces(&bench), 0);
    // A new one is not hurried by what is gone.
    bench.get("p", "/a:4:10000");
    assert!(bench.settle().is_empty());
    bench.pass(10_000);
    assert_eq!(bench.settle(), [WorkOutcome::Done]);
}

#[test]
fn queueing_one_key_conflicts_with_nobody() {
    let (bench, runs) = working(|_| {}, |_, _| None);
    let asks = (0..100).map(|n| bench.ask("p", &format!("/hot:{n}"), bench.context())).collect();
    assert!(interleave(2, asks).into_iter().all(|answer| answer.unwrap().executions == 1));
    bench.settle();
    assert_eq!(runs.lock().unwrap().len(), 1);
    assert_eq!(left_in_job_spaces(&bench), 0);
}

#[test]
fn jobs_without_a_key_all_run() {
    let (bench, runs) = working(|_| {}, |_, _| None);
    bench.get("p", "/:1,:2,:3");
    bench.settle();
    let mut payloads = payloads(&runs);
    payloads.sort();
    assert_eq!(payloads, [":1#1", ":2#1", ":3#1"]);
}

#[test]
fn two_jobs_of_a_key_never_run_at_once_and_the_newer_comes_after() {
    let (bench, runs) = working(|_| {}, |_, _| None);
    bench.get("p", "/a:1");
    let now_ms = bench.clock.now_ms();
    let find = || {
        block_on(bench.machine.due_work(now_ms, 8))
            .unwrap()
            .into_iter()
            .filter(|item| item.describe().starts_with("job"))
            .collect::<Vec<_>>()
    };
    let mut items = find();
    assert_eq!(items.len(), 1);
    let running = Box::pin(bench.machine.run(items.remove(0)));
    let mut running = running;
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..4 {
        // On its way: claimed, in the handler.
        assert!(std::future::Future::poll(running.as_mut(), &mut context).is_pending());
    }
    bench.get("p", "/a:2");
    assert!(find().is_empty());
    assert_eq!(block_on(running), WorkOutcome::Done);
    bench.settle();
    assert_eq!(payloads(&runs), ["a:1#1", "a:2#1"]);
}

#[test]
fn a_failed_job_comes_back_with_backoff_and_ends_in_the_dead_letters() {
    let broken = Arc::new(AtomicBool::new(true));
    let fails = broken.clone();
    let (bench, runs) =
        working(|_| {}, move |_, _| fails.load(Ordering::Relaxed).then(|| ExecutionError::Retry("no".into())));
    bench.get("p", "/a:1");
    assert_eq!(bench.settle(), [WorkOutcome::Retried]);
    bench.pass(400);
    assert!(bench.settle().is_empty(), "at least half of the backoff");
    bench.pass(600);
    assert_eq!(bench.settle(), [WorkOutcome::Retried]);
    bench.pass(2_000);
    assert_eq!(bench.settle(), [WorkOutcome::Dead]);
    assert_eq!(payloads(&runs), ["a:1#1", "a:1#2", "a:1#3"]);
    assert_eq!(left_in_job_spaces(&bench), 0);
    broken.store(false, Ordering::Relaxed);
    assert_eq!(block_on(bench.machine.replay_dead_letters(&bench.merchant, &id("p"))).unwrap(), 1);
    assert_eq!(bench.settle(), [WorkOutcome::Done]);
    assert!(block_on(bench.machine.dead_letters(&bench.merchant, None, 10)).unwrap().is_empty());
    assert_eq!(left_in_job_spaces(&bench), 0);
}

#[test]
fn a_newer_job_supersedes_a_failed_one_but_not_its_backoff() {
    let (bench, runs) = working(|_| {}, |payload, _| (payload == "1").then(|| ExecutionError::Retry("no".into())));
    bench.get("p", "/a:1");
    bench.settle();
    bench.get("p", "/a:2");
    assert!(bench.settle().is_empty(), "the backoff holds");
    bench.pass(1_000);
    bench.settle();
    assert_eq!(payloads(&runs), ["a:1#1", "a:2#1"]);
    assert_eq!(left_in_job_spaces(&bench), 0);
}

#[test]
fn permanent_failures_and_retry_after() {
    let (bench, runs) = working(
        |_| {},
        |payload, _| match payload {
            "1" => Some(ExecutionError::Permanent("never".into())),
            _ => None,
        },
    );
    bench.get("p", "/a:1");
    assert_eq!(bench.settle(), [WorkOutcome::Dead]);
    let letters = block_on(bench.machine.dead_letters(&bench.merchant, None, 10)).unwrap();
    assert!(matches!(&letters[0].subject, DeadSubject::Job(job) if job.payload == "1"));

    let (bench, runs_2) = {
        let tries = std::sync::atomic::AtomicU32::new(0);
        working(
            |_| {},
            move |_, _| (tries.fetch_add(1, Ordering::Relaxed) < 10).then_some(ExecutionError::RetryAfter(3_000)),
        )
    };
    bench.get("p", "/a:1");
    for _ in 0..11 {
        bench.settle();
        bench.pass(3_000);
    }
    let attempts: Vec<u32> = runs_2.lock().unwrap().iter().map(|run| run.2).collect();
    assert_eq!(attempts, vec![1; 11]);
    assert_eq!(left_in_job_spaces(&bench), 0);
    assert_eq!(payloads(&runs).len(), 1);
}

#[test]
fn a_waiting_job_can_be_cancelled() {
    let (bench, runs) = working(|_| {}, |_, _| None);
    bench.get("p", "/a:1:1000");
    assert_eq!(bench.body("p", "/a:cancel"), "true");
    assert_eq!(bench.body("p", "/a:cancel"), "false");
    bench.pass(5_000);
    bench.settle();
    assert!(runs.lock().unwrap().is_empty());
    assert_eq!(left_in_job_spaces(&bench), 0);
}

#[test]
fn a_job_that_ran_when_the_process_ended_runs_again() {
    let (bench, runs) = working(|_| {}, |_, _| None);
    bench.get("p", "/a:1");
    let items = block_on(bench.machine.due_work(bench.clock.now_ms(), 8)).unwrap();
    let item = items.into_iter().find(|item| item.describe().starts_with("job")).unwrap();
    let mut running = Box::pin(bench.machine.run(item));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    while runs.lock().unwrap().is_empty() {
        assert!(std::future::Future::poll(running.as_mut(), &mut context).is_pending());
    }
    let next = bench.crashed();
    let jobs = block_on(next.machine.jobs(&next.merchant, &id("p"), 10)).unwrap();
    assert!(jobs.len() == 1 && jobs[0].running);
    // Something newer waits behind it, and does not overtake.
    next.get("p", "/a:2");
    next.settle();
    assert_eq!(payloads(&runs), ["a:1#1", "a:1#1", "a:2#1"]);
    assert_eq!(left_in_job_spaces(&next), 0);
}

#[test]
fn jobs_run_once_whatever_the_store_does() {
    for seed in 0..40 {
        let (bench, runs) = working(|_| {}, |_, attempt| (attempt == 1).then(|| ExecutionError::Retry("once".into())));
        let paths: Vec<String> = (0..8).map(|n| format!("k{n}:{n}")).collect();
        bench.get("p", &format!("/{}", paths.join(",")));
        bench.store.set_faults(Faults { conflicts: 150, unknown: 100, unavailable: 50, too_old: 50 }, seed);
        for _ in 0..150 {
            let Ok(items) = block_on(bench.machine.due_work(bench.clock.now_ms(), 4)) else { continue };
            let tasks = items.into_iter().map(|item| Box::pin(bench.machine.run(item)) as _).collect();
            interleave(seed, tasks);
            bench.pass(400);
        }
        bench.store.set_faults(Faults::default(), 0);
        for _ in 0..4 {
            bench.pass(10_000);
            bench.settle();
        }
        let left: Vec<_> = bench.store.keys().into_iter().filter(|key| (0x30..=0x34).contains(&key[2])).collect();
        assert!(left.is_empty(), "seed {seed}: {left:?}");
        // Executions may repeat; commits do not: the counter has one per job that ended well.
        let noted = runs.lock().unwrap();
        assert!((0..8).all(|n| noted.iter().any(|run| run.1 == n.to_string() && run.2 == 2)), "seed {seed}");
        let key = bench.store.keys().into_iter().find(|key| key[2] == 0x02).unwrap();
        let view = block_on(kontor_core::store::TxStore::begin(bench.store.as_ref())).unwrap();
        let count = block_on(view.get(&key)).unwrap().unwrap();
        assert_eq!(i64::from_be_bytes(count.as_ref().try_into().unwrap()), 8, "seed {seed}");
    }
}

#[test]
fn starts_keep_to_the_rate_budget() {
    let (bench, runs) = working(
        |worker| {
            worker.spec.jobs[0].budget = Some("pushes".into());
            worker.spec.outbound[0].budgets = vec![RateBudget {
                name: "pushes".into(),
                method: "*".into(),
                path: "/{*rest}".into(),
                rate_millihertz: 2_000,
                burst: 4,
            }];
        },
        |_, _| None,
    );
    let paths: Vec<String> = (0..20).map(|n| format!("k{n}:{n}")).collect();
    bench.get("p", &format!("/{}", paths.join(",")));
    bench.settle();
    assert_eq!(runs.lock().unwrap().len(), 1, "the bucket does not begin full");
    for second in 1..=9 {
        for _ in 0..10 {
            bench.pass(100);
            bench.settle();
        }
        assert_eq!(runs.lock().unwrap().len(), 1 + 2 * second);
    }
    bench.pass(3_600_000);
    bench.settle();
    assert_eq!(runs.lock().unwrap().len(), 20);
}

#[test]
fn schedules_fire_on_time_and_missed_fires_come_as_one() {
    let every_minute = |worker: &mut kontor_core::revision::InstalledPlugin| {
        worker.spec.schedules = vec![Schedule {
            name: "tick".into(),
            cron: "* * * * *".into(),
            time_zone: Some("Europe/Berlin".into()),
            job: "work".into(),
        }];
    };
    let (bench, runs) = working(every_minute, |_, _| None);
    bench.settle();
    assert!(runs.lock().unwrap().is_empty());
    for _ in 0..3 {
        bench.pass(60_000);
        bench.settle();
    }
    assert_eq!(runs.lock().unwrap().len(), 3);
    assert!(runs.lock().unwrap().iter().all(|run| run.0 == "tick"));
    let next = bench.crashed();
    next.pass(3_600_000);
    next.settle();
    assert_eq!(runs.lock().unwrap().len(), 4, "an hour missed is one fire");
    // Gone from the manifest, gone from the clock.
    next.switch([plugin("p")]);
    next.pass(3_600_000);
    next.settle();
    assert_eq!(runs.lock().unwrap().len(), 4);
}
