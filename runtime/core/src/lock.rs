//! A fair asynchronous lock, shared or exclusive, that needs no runtime: waiters are served in the order in which they came, so
//! nobody starves. Not here: who takes it when ([`crate::machine`]).

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct FairLock {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Holders that share.
    shared: u64,
    /// Whether someone holds it alone.
    exclusive: bool,
    /// The next waiter's number.
    next: u64,
    /// Who waits, in order.
    queue: VecDeque<Waiter>,
    /// Who was let in and has not been polled since.
    granted: BTreeSet<u64>,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    exclusive: bool,
    waker: Option<Waker>,
}

impl FairLock {
    pub(crate) fn shared(self: &Arc<Self>) -> Acquire {
        Acquire { lock: self.clone(), exclusive: false, number: None }
    }

    pub(crate) fn exclusive(self: &Arc<Self>) -> Acquire {
        Acquire { lock: self.clone(), exclusive: true, number: None }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn free_for(&self, exclusive: bool) -> bool {
        !self.exclusive && (!exclusive || self.shared == 0)
    }

    fn take(&mut self, exclusive: bool) {
        if exclusive {
            self.exclusive = true;
        } else {
            self.shared += 1;
        }
    }

    fn release(&mut self, exclusive: bool) {
        if exclusive {
            self.exclusive = false;
        } else {
            self.shared = self.shared.saturating_sub(1);
        }
        self.admit();
    }

    /// Lets in from the head of the queue whoever fits.
    fn admit(&mut self) {
        while let Some(head) = self.queue.front() {
            if !self.free_for(head.exclusive) {
                break;
            }
            if let Some(waiter) = self.queue.pop_front() {
                self.take(waiter.exclusive);
                self.granted.insert(waiter.number);
                if let Some(waker) = waiter.waker {
                    waker.wake();
                }
            }
        }
    }
}

/// Waits for the lock.
#[derive(Debug)]
pub(crate) struct Acquire {
    lock: Arc<FairLock>,
    exclusive: bool,
    number: Option<u64>,
}

impl Future for Acquire {
    type Output = Guard;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Guard> {
        let this = &mut *self;
        let mut state = this.lock.state();
        match this.number {
            None if state.queue.is_empty() && state.free_for(this.exclusive) => state.take(this.exclusive),
            None => {
                let number = state.next;
                state.next += 1;
                let waiter = Waiter { number, exclusive: this.exclusive, waker: Some(context.waker().clone()) };
                state.queue.push_back(waiter);
                this.number = Some(number);
                return Poll::Pending;
            }
            Some(number) if state.granted.remove(&number) => this.number = None,
            Some(number) => {
                if let Some(waiter) = state.queue.iter_mut().find(|waiter| waiter.number == number) {
                    waiter.waker = Some(context.waker().clone());
                }
                return Poll::Pending;
            }
        }
        drop(state);
        Poll::Ready(Guard { lock: this.lock.clone(), exclusive: this.exclusive })
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut state = self.lock.state();
        if state.granted.remove(&number) {
            state.release(self.exclusive);
        } else {
            state.queue.retain(|waiter| waiter.number != number);
            // The one that left may have been what kept those behind it waiting.
            state.admit();
        }
    }
}

/// Holds the lock until it is dropped.
#[derive(Debug)]
pub(crate) struct Guard {
    lock: Arc<FairLock>,
    exclusive: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.lock.state().release(self.exclusive);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn shared_holders_share_and_exclusive_ones_wait_their_turn() {
        let lock = Arc::new(FairLock::default());
        let first = lock.shared().now_or_never().unwrap();
        let second = lock.shared().now_or_never().unwrap();
        let mut alone = Box::pin(lock.exclusive());
        assert!(alone.as_mut().now_or_never().is_none());
        // Fair: who comes after a waiting exclusive one waits behind it.
        let mut third = Box::pin(lock.shared());
        assert!(third.as_mut().now_or_never().is_none());
        drop(first);
        assert!(alone.as_mut().now_or_never().is_none());
        drop(second);
        let held = alone.as_mut().now_or_never().unwrap();
        assert!(third.as_mut().now_or_never().is_none());
        drop(held);
        assert!(third.as_mut().now_or_never().is_some());
    }

    #[test]
    fn a_waiter_that_gives_up_blocks_nobody() {
        let lock = Arc::new(FairLock::default());
        let held = lock.shared().now_or_never().unwrap();
        let mut alone = Box::pin(lock.exclusive());
        assert!(alone.as_mut().now_or_never().is_none());
        let mut behind = Box::pin(lock.shared());
        assert!(behind.as_mut().now_or_never().is_none());
        drop(alone);
        let shared = behind.as_mut().now_or_never().unwrap();
        let mut granted_unseen = Box::pin(lock.exclusive());
        assert!(granted_unseen.as_mut().now_or_never().is_none());
        drop((held, shared));
        drop(granted_unseen);
        assert!(lock.exclusive().now_or_never().is_some());
    }
}
