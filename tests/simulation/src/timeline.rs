//! Virtual time. It stands still while anything can run, and jumps to the next timer when nothing can. The host's clock is another
//! one: it may be off, and may jump either way, while the time that passes between two events stays what it is.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::future::{BoxFuture, FutureExt};
use kontor_channels::clock::Clock;
use kontor_core::effects::Environment;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// See the module.
#[derive(Debug)]
pub(crate) struct Timeline(Mutex<State>);

#[derive(Debug)]
struct State {
    now_ms: u64,
    /// How far the host's clock is ahead.
    skew_ms: i64,
    timers: BTreeMap<(u64, u64), Waker>,
    next_timer: u64,
    entropy: ChaCha8Rng,
}

impl Timeline {
    pub(crate) fn new(now_ms: u64, seed: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            now_ms,
            skew_ms: 0,
            timers: BTreeMap::new(),
            next_timer: 0,
            entropy: ChaCha8Rng::seed_from_u64(seed),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time that really is.
    pub(crate) fn now_ms(&self) -> u64 {
        self.state().now_ms
    }

    /// From now on the host's clock is so far ahead (or behind).
    pub(crate) fn set_skew_ms(&self, skew_ms: i64) {
        self.state().skew_ms = skew_ms;
    }

    /// Lets time pass while tasks run.
    pub(crate) fn drift(&self, by_ms: u64) {
        let mut state = self.state();
        state.now_ms += by_ms;
        state.ring();
    }

    /// Goes on to the next timer; the time then, or nothing when there is no timer.
    pub(crate) fn jump(&self) -> Option<u64> {
        let mut state = self.state();
        let (due_ms, _) = *state.timers.first_key_value()?.0;
        state.now_ms = state.now_ms.max(due_ms);
        state.ring();
        Some(state.now_ms)
    }

    /// Resolves after so long.
    pub(crate) fn sleep(self: &Arc<Self>, duration_ms: u64) -> Sleep {
        let due_ms = self.now_ms().saturating_add(duration_ms);
        Sleep { timeline: Arc::clone(self), due_ms, timer: None }
    }
}

impl State {
    fn ring(&mut self) {
        while let Some(timer) = self.timers.first_entry() {
            if timer.key().0 > self.now_ms {
                return;
            }
            timer.remove().wake();
        }
    }
}

/// See [`Timeline::sleep`].
#[derive(Debug)]
pub(crate) struct Sleep {
    timeline: Arc<Timeline>,
    due_ms: u64,
    timer: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.timeline.state();
        if state.now_ms >= this.due_ms {
            return Poll::Ready(());
        }
        let number = *this.timer.get_or_insert(state.next_timer);
        state.next_timer = state.next_timer.max(number + 1);
        state.timers.insert((this.due_ms, number), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.timer {
            self.timeline.state().timers.remove(&(self.due_ms, number));
        }
    }
}

/// The host's clock and entropy.
#[derive(Debug)]
pub(crate) struct HostClock(pub(crate) Arc<Timeline>);

impl Environment for HostClock {
    fn now_ms(&self) -> u64 {
        let state = self.0.state();
        state.now_ms.saturating_add_signed(state.skew_ms)
    }

    fn entropy(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.0.state().entropy.fill_bytes(&mut bytes);
        bytes
    }

    fn sleep(&self, duration_ms: u64) -> BoxFuture<'static, ()> {
        self.0.sleep(duration_ms).boxed()
    }
}

/// The clock of everybody else.
#[derive(Debug)]
pub(crate) struct WorldClock(pub(crate) Arc<Timeline>);

impl Clock for WorldClock {
    fn now_ms(&self) -> u64 {
        self.0.now_ms()
    }
}
