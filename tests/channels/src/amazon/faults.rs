//! What goes wrong, by seed.
//!
//! A draw depends on the seed, the operation, what the request is about and how often that was asked before, not on
//! the order in which unrelated requests arrive: two runs that send the same requests meet the same faults.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::bucket::Operation;

/// A fault of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 429 although the published rate was kept: other limits may bite first.
    Throttle,
    /// 500; nothing was done.
    InternalError,
    /// 503; nothing was done.
    Unavailable,
    /// The connection breaks before the request is looked at.
    DropBefore,
    /// The request is carried out, and then the connection breaks: the caller cannot know.
    DropAfter,
    /// The request is carried out, and the answer does not come within the caller's patience.
    Hang,
}

/// How often what goes wrong. Shares are in ten-thousandths of the exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultPlan {
    /// Share of `Fault::Throttle`.
    pub throttle: u32,
    /// Share of `Fault::InternalError`.
    pub internal_error: u32,
    /// Share of `Fault::Unavailable`.
    pub unavailable: u32,
    /// Share of `Fault::DropBefore`.
    pub drop_before: u32,
    /// Share of `Fault::DropAfter`.
    pub drop_after: u32,
    /// Share of `Fault::Hang`.
    pub hang: u32,
    /// How long a hanging answer hangs before the connection breaks, in real milliseconds.
    pub hang_ms: u64,
    /// Share of the orders in a page that are in it twice, or again in the next one.
    pub duplicate_order: u32,
    /// Whether the orders of a search come in any order.
    pub shuffle: bool,
    /// How far behind the replica may be that answers for an order: updates come late, and an older version after a newer
    /// one. A connector whose windows overlap by less than this loses updates.
    pub lag_ms_max: u64,
    /// Share of the placed orders that are cancelled instead of confirmed (a payment that fails, a buyer's regret).
    pub cancel: u32,
}

impl FaultPlan {
    /// A day on which everything works.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            throttle: 0,
            internal_error: 0,
            unavailable: 0,
            drop_before: 0,
            drop_after: 0,
            hang: 0,
            hang_ms: 2_000,
            duplicate_order: 0,
            shuffle: false,
            lag_ms_max: 0,
            cancel: 0,
        }
    }

    /// A bad day: one exchange in eight fails, an order in ten is told twice, replicas lag by up to two minutes, one
    /// order in twenty is cancelled.
    #[must_use]
    pub const fn rough() -> Self {
        Self {
            throttle: 300,
            internal_error: 300,
            unavailable: 200,
            drop_before: 150,
            drop_after: 250,
            hang: 50,
            hang_ms: 2_000,
            duplicate_order: 1_000,
            shuffle: true,
            lag_ms_max: 120_000,
            cancel: 500,
        }
    }
}

impl Default for FaultPlan {
    fn default() -> Self {
        Self::none()
    }
}

/// A number that follows from the seed and `parts` alone.
pub(crate) fn draw(seed: u64, parts: &[&str]) -> u64 {
    // FNV-1a over the parts with a separator, then one block of ChaCha to spread it.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325 ^ seed;
    for part in parts {
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    ChaCha8Rng::seed_from_u64(hash).next_u64()
}

/// A number from `low` to `high`, both included.
pub(crate) fn draw_between(seed: u64, parts: &[&str], low: u64, high: u64) -> u64 {
    let span = high.saturating_sub(low).saturating_add(1);
    low.saturating_add(draw(seed, parts) % span.max(1))
}

/// Whether something with this share (ten-thousandths) happens.
pub(crate) fn happens(seed: u64, parts: &[&str], share: u32) -> bool {
    draw(seed, parts) % 10_000 < u64::from(share)
}

/// Chooses the faults of exchanges.
#[derive(Debug, Default)]
pub(crate) struct FaultSource {
    asked: BTreeMap<(Operation, String), u64>,
    injected: BTreeMap<Operation, VecDeque<Fault>>,
}

impl FaultSource {
    /// The next exchange of `operation` meets `fault`, whatever the plan says.
    pub(crate) fn inject(&mut self, operation: Operation, fault: Fault) {
        self.injected.entry(operation).or_default().push_back(fault);
    }

    /// The fault of the next exchange of `operation` about `subject`.
    pub(crate) fn next(&mut self, plan: &FaultPlan, seed: u64, operation: Operation, subject: &str) -> Option<Fault> {
        if let Some(fault) = self.injected.get_mut(&operation).and_then(VecDeque::pop_front) {
            return Some(fault);
        }
        let count = self.asked.entry((operation, subject.to_owned())).or_default();
        *count += 1;
        let number = draw(seed, &["fault", &operation.to_string(), subject, &count.to_string()]) % 10_000;
        let mut upper = 0;
        for (share, fault) in [
            (plan.throttle, Fault::Throttle),
            (plan.internal_error, Fault::InternalError),
            (plan.unavailable, Fault::Unavailable),
            (plan.drop_before, Fault::DropBefore),
            (plan.drop_after, Fault::DropAfter),
            (plan.hang, Fault::Hang),
        ] {
            upper += u64::from(share);
            if number < upper {
                return Some(fault);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_requests_meet_the_same_faults_in_any_order() {
        let plan = FaultPlan::rough();
        let mut first = FaultSource::default();
        let mut second = FaultSource::default();
        let forward: Vec<_> = (0..500)
            .map(|i| (i % 7, first.next(&plan, 42, Operation::PatchListing, &format!("SKU-{}", i % 7))))
            .collect();
        let mut by_subject: BTreeMap<i32, Vec<Option<Fault>>> = BTreeMap::new();
        for (subject, fault) in forward {
            by_subject.entry(subject).or_default().push(fault);
        }
        let mut hit = 0;
        for (subject, faults) in by_subject {
            for fault in faults {
                assert_eq!(second.next(&plan, 42, Operation::PatchListing, &format!("SKU-{subject}")), fault);
                hit += u32::from(fault.is_some());
            }
        }
        assert!((30..110).contains(&hit), "{hit} of 500 exchanges met a fault");
    }

    #[test]
    fn an_injected_fault_comes_once() {
        let mut source = FaultSource::default();
        source.inject(Operation::GetOrder, Fault::Unavailable);
        assert_eq!(source.next(&FaultPlan::none(), 1, Operation::SearchOrders, ""), None);
        assert_eq!(source.next(&FaultPlan::none(), 1, Operation::GetOrder, "x"), Some(Fault::Unavailable));
        assert_eq!(source.next(&FaultPlan::none(), 1, Operation::GetOrder, "x"), None);
    }
}
