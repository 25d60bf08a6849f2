//! Work that comes to its end whoever waits for it: polled by whoever does, and carried on by a task of its own when they go away, still
//! as part of the request in which it began. A task for every request would cost two switches of it; hardly any client goes away.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::CatchUnwind;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TrackedFuture;
use tracing::{Instrument as _, Span};

use crate::telemetry::request_lines::CurrentRequest;

/// What a panic left.
type Panic = Box<dyn Any + Send>;
/// Counted until its end, with its panics inside. In a box at once: what is put around it would else move all of its state.
type Work<F> = TrackedFuture<CatchUnwind<AssertUnwindSafe<Pin<Box<F>>>>>;

/// See the module. A panic of the work stays inside and is its result.
pub(super) struct Finishing<F: Future<Output: Send> + Send + 'static> {
    /// None once it ended.
    work: Option<Work<F>>,
    span: Span,
    request: Option<CurrentRequest>,
}

impl<F: Future<Output: Send> + Send + 'static> Finishing<F> {
    /// The tracker counts the work until its end, wherever it runs.
    pub(super) fn new(tracker: &TaskTracker, work: F) -> Self {
        let work = tracker.track_future(AssertUnwindSafe(Box::pin(work)).catch_unwind());
        Self { work: Some(work), span: Span::current(), request: CurrentRequest::here() }
    }
}

impl<F: Future<Output: Send> + Send + 'static> Future for Finishing<F> {
    type Output = Result<F::Output, Panic>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.work else {
            return Poll::Pending;
        };
        let polled = Pin::new(work).poll(context);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Finishing<F> {
    fn drop(&mut self) {
        // Without a runtime the process is ending, and nothing can go on.
        if let (Some(work), Ok(runtime)) = (self.work.take(), Handle::try_current()) {
            let work = work.instrument(self.span.clone());
            match self.request.clone() {
                Some(request) => runtime.spawn(request.lines_of(work)),
                None => runtime.spawn(work),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn work_ends_here_or_elsewhere_but_ends() {
        let tracker = TaskTracker::new();
        assert_eq!(Finishing::new(&tracker, async { 7 }).await.unwrap(), 7);
        assert!(Finishing::new(&tracker, async { panic!("as asked") }).await.is_err());
        assert!(tracker.is_empty());

        let (go_on, told) = oneshot::channel::<()>();
        let (ended, seen) = oneshot::channel();
        let mut abandoned = Finishing::new(&tracker, async move {
            told.await.unwrap();
            ended.send("done").unwrap();
        });
        assert!((&mut abandoned).now_or_never().is_none());
        drop(abandoned);
        assert_eq!(tracker.len(), 1);
        go_on.send(()).unwrap();
        assert_eq!(seen.await.unwrap(), "done");
        tracker.close();
        tracker.wait().await;
    }
}
