//! Requests take their steps side by side: those that have arrived are read one after another, then executed one after another, then
//! answered one after another. A request alone runs through as it would without.
//!
//! Reading HTTP, running guests and writing to a socket are each more code than a processor keeps close. Whoever takes all three at a
//! stretch fetches all of it anew for every request; whoever does the same for many in a row fetches it once.
//!
//! A step ends only where nothing is held that others wait for: not between the beginning of a view and its validation.

use std::future::poll_fn;
use std::task::Poll;

/// Ends a step: those in line for this thread take theirs before the caller takes its next one. Not `tokio::task::yield_now`, after
/// which the thread asks the operating system for news first.
pub(crate) async fn end_of_step() {
    let mut ended = false;
    poll_fn(|context| {
        if ended {
            return Poll::Ready(());
        }
        ended = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// Notes each of its steps.
    async fn steps(name: char, notes: Arc<Mutex<String>>) {
        for step in ['1', '2'] {
            notes.lock().unwrap().extend([name, step, ' ']);
            end_of_step().await;
        }
    }

    #[tokio::test]
    async fn all_take_the_first_step_before_any_takes_the_second() {
        let notes = Arc::new(Mutex::new(String::new()));
        let tasks: Vec<_> = "abc".chars().map(|name| tokio::spawn(steps(name, Arc::clone(&notes)))).collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*notes.lock().unwrap(), "a1 b1 c1 a2 b2 c2 ");
    }
}
