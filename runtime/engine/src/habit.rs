//! Whether trying to keep the answers of one function, or of one route, is worth it: learnt from the calls before.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::limits::{ANSWERS_IN_VAIN_AGAIN_MAX, ANSWERS_IN_VAIN_MAX, UNFIT_CALLS_SKIPPED, VAIN_CALLS_SKIPPED};

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
            // What was in vain once is tried more briefly the next time.
            self.in_vain.store(ANSWERS_IN_VAIN_MAX - ANSWERS_IN_VAIN_AGAIN_MAX, Ordering::Relaxed);
            self.skip.store(VAIN_CALLS_SKIPPED, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of so many calls, how many were tried.
    fn tried(habit: &Habit, calls: u32) -> u32 {
        (0..calls)
            .map(|_| {
                let tries = habit.tries();
                if tries {
                    habit.kept();
                }
                u32::from(tries)
            })
            .sum()
    }

    #[test]
    fn what_nobody_asks_for_is_hardly_tried_any_more_until_it_pays() {
        let habit = Habit::default();
        let first = ANSWERS_IN_VAIN_MAX + 1;
        assert_eq!(tried(&habit, first + VAIN_CALLS_SKIPPED), first);
        let again = ANSWERS_IN_VAIN_AGAIN_MAX + 1;
        assert_eq!(tried(&habit, 10 * (again + VAIN_CALLS_SKIPPED)), 10 * again);
        habit.paid();
        assert_eq!(tried(&habit, first + VAIN_CALLS_SKIPPED), first, "then it is tried as in the beginning");
    }
}
