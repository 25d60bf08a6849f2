//! A clock that stands still until it is told to go on, and entropy from a seed.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::{BoxFuture, FutureExt};
use kontor_core::effects::Environment;

/// 2026-01-01T00:00:00Z
const START_MS: u64 = 1_767_225_600_000;

#[derive(Debug)]
pub(crate) struct TestClock {
    now_ms: AtomicU64,
    seed: AtomicU64,
}

impl TestClock {
    pub(crate) fn new(seed: u64) -> Self {
        Self { now_ms: AtomicU64::new(START_MS), seed: AtomicU64::new(seed) }
    }

    pub(crate) fn set_ms(&self, now_ms: u64) {
        self.now_ms.store(now_ms, Ordering::SeqCst);
    }

    pub(crate) fn advance_ms(&self, duration_ms: u64) {
        self.now_ms.fetch_add(duration_ms, Ordering::SeqCst);
    }

    /// The next number of SplitMix64.
    pub(crate) fn number(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.seed.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Environment for TestClock {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn entropy(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.number().to_be_bytes());
        }
        bytes
    }

    /// Backoff after a lost race: letting others run is enough.
    fn sleep(&self, _duration_ms: u64) -> BoxFuture<'static, ()> {
        tokio::task::yield_now().boxed()
    }
}
