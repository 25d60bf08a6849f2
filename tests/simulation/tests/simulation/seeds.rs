//! Seeds, each a run of its own with the whole crowd: 200 buyers, a third in each channel, for the same ten lamps. One in 8 is a day on
//! which nothing goes wrong: then every lamp must be sold. Seeds that failed once are run first, with the crowd that they draw.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use kontor_simulation::{Base, Case, run};

/// Seeds of the test run, beside those of `seeds.txt`.
const SEEDS: u64 = 1_000;
/// Runs at once.
const THREADS: usize = 2;
/// Failures that are told; more would only hide them.
const TOLD_MAX: usize = 5;

fn base() -> &'static Arc<Base> {
    static BASE: OnceLock<Arc<Base>> = OnceLock::new();
    BASE.get_or_init(Base::new)
}

/// The seeds that are always run first.
fn kept() -> Vec<u64> {
    include_str!("../../seeds.txt")
        .lines()
        .filter_map(|line| line.split('#').next().map(str::trim).filter(|seed| !seed.is_empty()))
        .map(|seed| seed.parse().unwrap_or_else(|error| panic!("seeds.txt: `{seed}`: {error}")))
        .collect()
}

#[test]
fn nothing_is_lost_sold_twice_or_half_done_in_any_schedule() {
    let base = base();
    let kept = kept();
    let crowds = (0..SEEDS).map(|seed| Case { seed, whole_crowd: true });
    let cases: Vec<Case> = kept.into_iter().map(Case::from).chain(crowds).collect();
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let totals = Mutex::new([0_u64; 5]);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match run(base, *case, false) {
                        Ok(report) => {
                            let mut totals = totals.lock().unwrap();
                            let more =
                                [report.asked, report.sold, report.conflicts, report.exclusive, report.lives - 1];
                            totals.iter_mut().zip(more).for_each(|(total, more)| *total += more);
                        }
                        Err(failure) => {
                            let mut failures = failures.lock().unwrap();
                            if failures.len() < TOLD_MAX {
                                eprintln!("{failure}\n");
                            }
                            failures.push(*case);
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} of {} runs fail: {failures:?}; keep seeds that fail with the crowd that they draw in seeds.txt",
        failures.len(),
        cases.len()
    );
    // A simulation in which nothing happens proves nothing.
    let [asked, sold, conflicts, exclusive, crashes] = totals.into_inner().unwrap();
    eprintln!("{asked} buyers, {sold} orders, {conflicts} conflicts, {exclusive} ran alone, {crashes} crashes");
    for (what, seen, least) in [
        ("conflicts", conflicts, 5 * SEEDS),
        ("invocations that ran alone", exclusive, SEEDS / 4),
        ("crashes", crashes, SEEDS / 4),
    ] {
        assert!(seen > least, "only {seen} {what} in {SEEDS} seeds");
    }
}

#[test]
fn a_seed_is_one_run() {
    let base = base();
    let told = |seed| run(base, seed, false).unwrap_or_else(|failure| panic!("{failure}"));
    // Most with trouble, every eighth on a calm day, the last with a crowd: what depends on more than the seed may show in few of them.
    let mut before = 0;
    for seed in 25..=64 {
        let one = told(seed);
        assert_eq!(one, told(seed), "seed {seed}");
        assert_ne!(one.digest, before, "seed {seed} is the run before it");
        before = one.digest;
    }
}
