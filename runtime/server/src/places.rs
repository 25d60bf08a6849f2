//! A bounded number of places in front of the engine: who finds none waits a moment, and who would wait behind too many others is
//! told at once to come back. So a flood costs a refusal each, not memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{WAIT_FOR_PLACE, WAITING_PER_PLACE};
use crate::problem::{Code, Problem};

/// The places.
#[derive(Debug)]
pub(crate) struct Places {
    semaphore: Arc<Semaphore>,
    total: usize,
    patience: Duration,
    waiting: AtomicUsize,
}

/// Counts one that waits, also when its future is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Places {
    pub(crate) fn new(total: usize) -> Self {
        Self::with_patience(total, WAIT_FOR_PLACE)
    }

    fn with_patience(total: usize, patience: Duration) -> Self {
        let total = total.max(1);
        Self { semaphore: Arc::new(Semaphore::new(total)), total, patience, waiting: AtomicUsize::new(0) }
    }

    /// Places taken now.
    pub(crate) fn taken(&self) -> usize {
        self.total - self.semaphore.available_permits()
    }

    /// A place, or the 503 to answer.
    pub(crate) async fn take(&self) -> Result<OwnedSemaphorePermit, Problem> {
        if let Ok(permit) = Arc::clone(&self.semaphore).try_acquire_owned() {
            return Ok(permit);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before < self.total.saturating_mul(WAITING_PER_PLACE) {
            let permit = Arc::clone(&self.semaphore).acquire_owned();
            if let Ok(Ok(permit)) = tokio::time::timeout(self.patience, permit).await {
                return Ok(permit);
            }
        }
        metrics::counter!("kontor_http_saturated_total").increment(1);
        Err(Problem::unavailable(Code::Saturated, "All places for requests are taken; try again in a second.", 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_finds_no_place_in_time_is_sent_away() {
        let places = Places::with_patience(1, Duration::ZERO);
        let held = places.take().await.unwrap();
        assert_eq!(places.taken(), 1);
        assert_eq!(places.take().await.unwrap_err().code(), Code::Saturated);
        drop(held);
        assert!(places.take().await.is_ok());
        assert_eq!(places.waiting.load(Ordering::Relaxed), 0);
    }
}
