//! Leaves a processor for what is quick: executions that take long, and those of plugins that usually do, take turns with one another.
//!
//! A guest lets other tasks run after some fuel, but a thread that is busy with one slice of it keeps whoever comes next waiting, and
//! with as many long executions as threads everybody waits, at every step of a request. Here is only who runs when; what an
//! execution may use in all is fuel's and the time-out's matter.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Time on a processor after which an execution is long, and mean of a plugin's executions from which on it begins as one.
const QUICK: Duration = Duration::from_millis(2);

/// What an execution that broke counts for at least: one alone does not make its plugin a long one, a second soon after it does.
const BROKEN: Duration = Duration::from_millis(6);

type Turn = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

/// What a plugin's executions took of late, microseconds: a mean in which older ones count less and less.
#[derive(Debug, Default)]
pub(crate) struct Pace(AtomicU64);

impl Pace {
    fn is_long(&self) -> bool {
        Duration::from_micros(self.0.load(Ordering::Relaxed)) > QUICK
    }

    fn note(&self, spent: Duration) {
        let spent_us = u64::try_from(spent.as_micros()).unwrap_or(u64::MAX / 4);
        // Two that end at once may lose one of the two: it is a mean.
        let mean_us = self.0.load(Ordering::Relaxed);
        self.0.store(mean_us.saturating_mul(3).saturating_add(spent_us) / 4, Ordering::Relaxed);
    }
}

/// Runs `work`, slice by slice in turn with other long ones as soon as it is one itself. What `broke` counts as long, however soon it
/// did: a plugin that does so again and again is not served on every thread at once.
pub(crate) async fn paced<T>(
    turns: &Arc<Semaphore>,
    pace: &Pace,
    work: impl Future<Output = T>,
    broke: impl FnOnce(&T) -> bool,
) -> T {
    let mut work = pin!(work);
    let (mut spent, begins_long) = (Duration::ZERO, pace.is_long());
    let mut turn: Option<Turn> = None;
    let result = poll_fn(|context| {
        let permit = if begins_long || spent > QUICK {
            let waiting = turn.get_or_insert_with(|| Box::pin(Arc::clone(turns).acquire_owned()));
            match waiting.as_mut().poll(context) {
                Poll::Ready(permit) => {
                    turn = None;
                    permit.ok()
                }
                Poll::Pending => return Poll::Pending,
            }
        } else {
            None
        };
        let begun = Instant::now();
        let polled = work.as_mut().poll(context);
        spent += begun.elapsed();
        drop(permit);
        polled
    })
    .await;
    pace.note(if broke(&result) { spent.max(BROKEN) } else { spent });
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Works for a while, lets others run, and notes that it was its turn.
    async fn slices(name: usize, order: &std::sync::Mutex<Vec<usize>>) {
        for _ in 0..3 {
            let begun = Instant::now();
            while begun.elapsed() < 2 * QUICK {}
            order.lock().unwrap().push(name);
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn long_ones_take_turns_and_quick_ones_do_not_wait() {
        let (turns, order) = (Arc::new(Semaphore::new(1)), std::sync::Mutex::default());
        let (long, quick) = (Pace::default(), Pace::default());
        let held = Arc::clone(&turns).try_acquire_owned().unwrap();
        assert_eq!(paced(&turns, &quick, async { 7 }, |_| false).await, 7);
        let mut first = pin!(paced(&turns, &long, slices(1, &order), |()| false));
        let mut second = pin!(paced(&turns, &long, slices(2, &order), |()| false));
        // Nobody is long before the first slice; from then on both wait for the turn that is taken.
        for _ in 0..3 {
            assert!(futures_util::poll!(first.as_mut()).is_pending());
            assert!(futures_util::poll!(second.as_mut()).is_pending());
        }
        assert_eq!(*order.lock().unwrap(), [1, 2]);
        drop(held);
        futures_util::future::join(first, second).await;
        assert_eq!(*order.lock().unwrap(), [1, 2, 1, 2, 1, 2]);
        assert!(long.is_long() && !quick.is_long());
        assert_eq!(turns.available_permits(), 1);
    }

    #[tokio::test]
    async fn who_breaks_again_and_again_waits_for_a_turn_however_soon_it_breaks() {
        let (turns, pace) = (Arc::new(Semaphore::new(1)), Pace::default());
        for broken in 0..10 {
            assert_eq!(pace.is_long(), broken > 1, "after {broken}");
            paced(&turns, &pace, async {}, |()| true).await;
        }
        for _ in 0..10 {
            paced(&turns, &pace, async {}, |()| false).await;
        }
        assert!(!pace.is_long());
    }

    #[test]
    fn a_plugin_that_became_quick_is_quick_again() {
        let pace = Pace::default();
        pace.note(Duration::from_secs(10));
        assert!(pace.is_long());
        for _ in 0..40 {
            pace.note(Duration::from_micros(100));
        }
        assert!(!pace.is_long());
    }
}
