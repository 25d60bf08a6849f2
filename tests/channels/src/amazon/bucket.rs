//! The published usage plans: a token bucket per operation.

use std::fmt;

/// One token, in the unit in which buckets count.
const TOKEN: u128 = 1_000_000_000;

/// An operation of the API, as the published models name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Login with Amazon: a refresh token for an access token.
    Token,
    /// `searchOrders`, 2026-01-01.
    SearchOrders,
    /// `getOrder`, 2026-01-01.
    GetOrder,
    /// `getListingsItem`, 2021-08-01.
    GetListing,
    /// `patchListingsItem`, 2021-08-01.
    PatchListing,
    /// `confirmShipment`, v0.
    ConfirmShipment,
    /// Anything else: no operation that is simulated.
    Unknown,
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Token => "token",
            Self::SearchOrders => "searchOrders",
            Self::GetOrder => "getOrder",
            Self::GetListing => "getListingsItem",
            Self::PatchListing => "patchListingsItem",
            Self::ConfirmShipment => "confirmShipment",
            Self::Unknown => "unknown",
        })
    }
}

/// How often an operation may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Tokens that come back per second, in millionths: 5,600 = 0.0056 a second.
    pub micro_per_second: u64,
    /// Tokens that a full bucket holds.
    pub burst: u32,
}

impl RateLimit {
    /// The rate as Amazon writes it into `x-amzn-RateLimit-Limit`, such as `0.0056` or `5.0`.
    #[must_use]
    pub fn header_value(&self) -> String {
        let fraction = format!("{:06}", self.micro_per_second % 1_000_000);
        let fraction = fraction.trim_end_matches('0');
        format!("{}.{}", self.micro_per_second / 1_000_000, if fraction.is_empty() { "0" } else { fraction })
    }
}

/// The limits of all operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// `searchOrders`.
    pub search_orders: RateLimit,
    /// `getOrder`.
    pub get_order: RateLimit,
    /// `getListingsItem`.
    pub get_listing: RateLimit,
    /// `patchListingsItem`.
    pub patch_listing: RateLimit,
    /// `confirmShipment`.
    pub confirm_shipment: RateLimit,
}

impl RateLimits {
    /// The defaults that Amazon publishes.
    #[must_use]
    pub const fn published() -> Self {
        Self {
            search_orders: RateLimit { micro_per_second: 5_600, burst: 20 },
            get_order: RateLimit { micro_per_second: 500_000, burst: 30 },
            get_listing: RateLimit { micro_per_second: 5_000_000, burst: 10 },
            patch_listing: RateLimit { micro_per_second: 5_000_000, burst: 5 },
            confirm_shipment: RateLimit { micro_per_second: 2_000_000, burst: 10 },
        }
    }

    /// The limit of `operation`; none for those without a published one.
    #[must_use]
    pub const fn of(&self, operation: Operation) -> Option<RateLimit> {
        match operation {
            Operation::SearchOrders => Some(self.search_orders),
            Operation::GetOrder => Some(self.get_order),
            Operation::GetListing => Some(self.get_listing),
            Operation::PatchListing => Some(self.patch_listing),
            Operation::ConfirmShipment => Some(self.confirm_shipment),
            Operation::Token | Operation::Unknown => None,
        }
    }
}

/// A bucket, full at first.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    limit: RateLimit,
    speed: u32,
    level: u128,
    filled_at_ms: u64,
}

impl Bucket {
    /// A full bucket at `now_ms`, refilled `speed` times as fast as published.
    pub(crate) fn new(limit: RateLimit, speed: u32, now_ms: u64) -> Self {
        Self { limit, speed: speed.max(1), level: u128::from(limit.burst) * TOKEN, filled_at_ms: now_ms }
    }

    /// Takes a token, or says after how many milliseconds there will be one.
    pub(crate) fn take(&mut self, now_ms: u64) -> Result<(), u64> {
        let per_ms = u128::from(self.limit.micro_per_second) * u128::from(self.speed);
        let elapsed_ms = u128::from(now_ms.saturating_sub(self.filled_at_ms));
        let full = u128::from(self.limit.burst) * TOKEN;
        self.level = self.level.saturating_add(elapsed_ms.saturating_mul(per_ms)).min(full);
        self.filled_at_ms = self.filled_at_ms.max(now_ms);
        match self.level.checked_sub(TOKEN) {
            Some(rest) => {
                self.level = rest;
                Ok(())
            }
            None if per_ms == 0 => Err(u64::MAX),
            None => Err(u64::try_from((TOKEN - self.level).div_ceil(per_ms)).unwrap_or(u64::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_orders_refills_one_call_in_179_seconds() {
        let mut bucket = Bucket::new(RateLimits::published().search_orders, 1, 0);
        for _ in 0..20 {
            assert_eq!(bucket.take(0), Ok(()));
        }
        assert_eq!(bucket.take(0), Err(178_572));
        assert_eq!(bucket.take(178_571), Err(1));
        assert_eq!(bucket.take(178_572), Ok(()));
        assert!(bucket.take(178_572).is_err());
    }

    #[test]
    fn a_window_never_gives_more_than_burst_and_refill() {
        for limit in [RateLimits::published().patch_listing, RateLimits::published().get_order] {
            for step_ms in [1_u64, 7, 40, 199, 1_000] {
                let mut bucket = Bucket::new(limit, 1, 0);
                let mut taken = 0_u64;
                for now_ms in (0..60_000).step_by(usize::try_from(step_ms).unwrap()) {
                    while bucket.take(now_ms).is_ok() {
                        taken += 1;
                    }
                    let most = u64::from(limit.burst) + now_ms * limit.micro_per_second / 1_000_000_000;
                    assert!(taken <= most, "{taken} > {most} at {now_ms} ms, every {step_ms} ms");
                    assert!(taken + 1 >= most, "{taken} < {most} at {now_ms} ms, every {step_ms} ms");
                }
            }
        }
    }

    #[test]
    fn speed_multiplies_the_refill_only() {
        let mut bucket = Bucket::new(RateLimits::published().search_orders, 100, 0);
        for _ in 0..20 {
            assert_eq!(bucket.take(0), Ok(()));
        }
        assert_eq!(bucket.take(0), Err(1_786));
    }

    #[test]
    fn the_header_is_written_as_amazon_writes_it() {
        let limits = RateLimits::published();
        assert_eq!(limits.search_orders.header_value(), "0.0056");
        assert_eq!(limits.get_order.header_value(), "0.5");
        assert_eq!(limits.patch_listing.header_value(), "5.0");
    }
}
