//! The real time and the real entropy, for the machine.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use kontor_core::effects::Environment;
use rand::Rng as _;
use uuid::Uuid;

/// The operating system's clock and random numbers, tokio's timer.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    fn now_ms(&self) -> u64 {
        static STEADY: Mutex<Option<Steady>> = Mutex::new(None);
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let system_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let instant = Instant::now();
        let mut steady = STEADY.lock().unwrap_or_else(PoisonError::into_inner);
        let next = steady
            .map_or(Steady { now_ms: system_ms, at: instant, ahead: false }, |last| last.next(system_ms, instant));
        if next.ahead && !steady.is_some_and(|last| last.ahead) {
            tracing::warn!(
                ahead_ms = next.now_ms.saturating_sub(system_ms),
                "the system's clock was set back; time goes on at half its speed until the clock has caught up"
            );
        }
        *steady = Some(next);
        next.now_ms
    }

    fn entropy(&self) -> [u8; 32] {
        // Seeded by the operating system and fit for secrets; a system call for every request would cost more than the rest of it.
        rand::rng().random()
    }

    fn sleep(&self, duration_ms: u64) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(duration_ms)))
    }
}

/// A clock that is set back by less than this is being adjusted, not set.
const JUMP_MS: u64 = 1_000;

/// Time that never goes back. What is due now must not become due in an hour because somebody corrected the system's clock. Nor
/// may time stand still until then, or retries and schedules would: it goes on at half its speed.
#[derive(Clone, Copy, Debug)]
struct Steady {
    now_ms: u64,
    /// When that was, by a clock that nobody sets.
    at: Instant,
    /// Whether the system's clock was set back and has not caught up.
    ahead: bool,
}

impl Steady {
    fn next(self, system_ms: u64, instant: Instant) -> Self {
        if system_ms >= self.now_ms {
            return Self { now_ms: system_ms, at: instant, ahead: false };
        }
        let ahead = self.ahead || self.now_ms - system_ms >= JUMP_MS;
        let passed = instant.saturating_duration_since(self.at).as_millis();
        match u64::try_from(passed / 2).unwrap_or(u64::MAX) {
            0 => Self { ahead, ..self },
            half_ms => Self { now_ms: self.now_ms.saturating_add(half_ms), at: instant, ahead },
        }
    }
}

/// An id that nobody guesses and that sorts by time, for requests and invocations.
pub(crate) fn time_ordered_id() -> Uuid {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let now_ms = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
    uuid::Builder::from_unix_timestamp_millis(now_ms, &rand::rng().random()).into_uuid()
}

/// Random bytes of the operating system. It gives them or the machine is beyond help: then the process ends rather than to
/// go on with guessable tokens.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        tracing::error!(%error, "the operating system gives no random numbers");
        std::process::abort();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back_nor_stands_still() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let steady = Steady { now_ms: 10_000_000, at: start, ahead: false };
        let forward = steady.next(10_000_500, at(1));
        assert_eq!(forward.now_ms, 10_000_500);
        // Set back by an hour: half the speed, until the system's clock is ahead again.
        let mut now = forward;
        for second in 1..=10 {
            now = now.next(6_400_500 + second * 1_000, at(1 + second * 1_000));
        }
        assert_eq!(now.now_ms, 10_000_500 + 5_000);
        assert!(now.ahead && !forward.ahead);
        let caught_up = now.next(10_005_501, at(20_000));
        assert_eq!(caught_up.now_ms, 10_005_501);
        assert!(!caught_up.ahead);
    }

    #[test]
    fn looking_often_does_not_stop_the_clock() {
        let start = Instant::now();
        let mut now = Steady { now_ms: 1_000_000, at: start, ahead: false };
        for ms in 1..=1_000 {
            now = now.next(0, start + Duration::from_millis(ms));
        }
        assert_eq!(now.now_ms, 1_000_500);
    }
}
