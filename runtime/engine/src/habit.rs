//! Whether trying to keep the answers of one function, or of one route, is worth it: learnt from the calls before.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::limits::{ANSWERS_IN_VAIN_MAX, UNFIT_CALLS_SKIPPED, VAIN_CALLS_SKIPPED};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Habit {
    /// Calls to come that are not tried.
    skip: AtomicU32,
    /// Answers kept since one was given again.
    in_vain: AtomicU32,
}

impl Habit {
    /// Whether to try with this call.
    pub(crate) fn tries(&self) -> bool {
        let skipped = self.skip.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        skipped.is_err()
    }

    /// Whether calls are tried at present. Counts none.
    pub(crate) fn is_trying(&self) -> bool {
        self.skip.load(Ordering::Relaxed) == 0
    }

    /// The answer was given again.
    pub(crate) fn paid(&self) {
        // Nearly always so: then the line stays with all who read it.
        if self.in_vain.load(Ordering::Relaxed) != 0 {
            self.in_vain.store(0, Ordering::Relaxed);
        }
    }

    /// The call was not fit: it did something, or depended on what only it can know.
    pub(crate) fn unfit(&self) {
        self.skip.store(UNFIT_CALLS_SKIPPED, Ordering::Relaxed);
    }

    /// An answer was kept.
    pub(crate) fn kept(&self) {
        if self.in_vain.fetch_add(1, Ordering::Relaxed) >= ANSWERS_IN_VAIN_MAX {
            self.in_vain.store(0, Ordering::Relaxed);
            self.skip.store(VAIN_CALLS_SKIPPED, Ordering::Relaxed);
        }
    }
}
