//! Leaves the threads that serve requests to what is quick: executions that take long, and those of plugins that usually do, run on
//! threads of their own, slice by slice in turn with one another.
//!
//! A guest lets other tasks run after some fuel, but a thread that is busy with one slice of it keeps whoever comes next waiting; and
//! whatever it does for the guest is held against it when the operating system hands out the processors. Here is only who runs where;
//! what an execution may use in all is fuel's and the time-out's matter.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tracing::Instrument as _;

/// Time on a processor after which an execution is long, and mean of a plugin's executions from which on it begins as one.
const QUICK: Duration = Duration::from_millis(1);

/// Mean, or time of one slice, from which on the time of day is not good enough. Asking how long a thread was on a processor takes the
/// operating system most of a microsecond: too much for executions of which a thousand fit into that time without being long.
const LOOK_CLOSELY: Duration = Duration::from_micros(250);

/// What an execution that broke counts for at least: one alone does not make its plugin a long one, a second soon after it does.
const BROKEN: Duration = Duration::from_millis(3);

/// Niceness of the threads: next to one of the others, a quarter of the processor.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;

/// What a plugin's executions took of late, microseconds: a mean in which older ones count less and less.
#[derive(Debug, Default)]
pub(crate) struct Pace(AtomicU64);

impl Pace {
    fn is_long(&self) -> bool {
        self.mean() > QUICK
    }

    fn mean(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }

    fn note(&self, spent: Duration) {
        let spent_us = u64::try_from(spent.as_micros()).unwrap_or(u64::MAX / 4);
        // Two that end at once may lose one of the two: it is a mean.
        let mean_us = self.0.load(Ordering::Relaxed);
        self.0.store(mean_us.saturating_mul(3).saturating_add(spent_us) / 4, Ordering::Relaxed);
    }
}

/// The threads.
pub(crate) struct LongThreads {
    /// There until it is dropped.
    runtime: Option<Runtime>,
}

impl LongThreads {
    /// Starts so many threads, at least one.
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("kontor-long")
            // A slice each, in turn.
            .event_interval(1)
            .on_thread_start(step_back)
            .enable_all()
            .build()?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Runs `work` where it belongs: here while it is quick, on the threads as soon as it is long. What `broke` counts as long,
    /// however soon it did: a plugin that does so again and again is not served on every thread at once. Dropping the future drops the
    /// work, wherever it is.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        pace: &Pace,
        work: impl Future<Output = T> + Send + 'static,
        broke: impl FnOnce(&T) -> bool,
    ) -> T {
        let closely = pace.mean() > LOOK_CLOSELY;
        let mut timed = Timed { work: Box::pin(work), spent: Duration::ZERO, closely };
        let quick = if pace.is_long() { None } else { timed.while_quick().await };
        let (result, spent) = match (quick, &self.runtime) {
            (Some(result), _) => (result, timed.spent),
            (None, Some(runtime)) => Elsewhere(runtime.spawn(timed.finished().in_current_span())).result().await,
            (None, None) => timed.finished().await,
        };
        pace.note(if broke(&result) { spent.max(BROKEN) } else { spent });
        result
    }
}

/// Lets all threads that are not this one go first: a request that is waited for is quick, and what runs here takes long anyway.
#[cfg(target_os = "linux")]
fn step_back() {
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "long executions run at the priority of requests");
    }
}

/// Elsewhere a priority is the whole process'.
#[cfg(not(target_os = "linux"))]
fn step_back() {}

impl Drop for LongThreads {
    fn drop(&mut self) {
        // Waiting for the threads is not allowed where futures run, and nobody waits for their work any more.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Work, with the time that it spent on a processor.
struct Timed<T> {
    work: Pin<Box<dyn Future<Output = T> + Send>>,
    spent: Duration,
    /// Whether to ask the operating system for that time.
    closely: bool,
}

/// How long this thread was on a processor.
#[cfg(target_os = "linux")]
fn on_processor() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Elsewhere it is taken to be there all the time.
#[cfg(not(target_os = "linux"))]
fn on_processor() -> Duration {
    static BEGUN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    BEGUN.elapsed()
}

impl<T> Timed<T> {
    fn poll(&mut self, context: &mut std::task::Context<'_>) -> Poll<T> {
        if self.closely {
            let begun = on_processor();
            let polled = self.work.as_mut().poll(context);
            self.spent += on_processor().saturating_sub(begun);
            return polled;
        }
        let begun = Instant::now();
        let polled = self.work.as_mut().poll(context);
        let took = begun.elapsed();
        // It may be that others had the processor: a quick execution then takes milliseconds, and must not have its whole plugin taken for
        // a long one just when there is the least room. So this alone makes nobody long; it has the next ones looked at closely.
        self.spent += took.min(QUICK);
        self.closely = took > LOOK_CLOSELY;
        polled
    }

    /// The result, or nothing once it is a long one.
    async fn while_quick(&mut self) -> Option<T> {
        poll_fn(|context| match self.poll(context) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending if self.spent > QUICK => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// On a thread for what is long, where it offers the processor to others after each slice: the operating system may leave it a thread
    /// for milliseconds, of whatever priority, though a request became ready there.
    async fn finished(mut self) -> (T, Duration) {
        self.closely = true;
        let result = poll_fn(|context| {
            let polled = self.poll(context);
            thread::yield_now();
            polled
        })
        .await;
        (result, self.spent)
    }
}

/// Work on another thread, dropped there when this is dropped here.
struct Elsewhere<T>(JoinHandle<T>);

impl<T> Elsewhere<T> {
    async fn result(mut self) -> T {
        match (&mut self.0).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The threads end when the engine is dropped, and executions borrow it.
                Err(_ended) => pending().await,
            },
        }
    }
}

impl<T> Drop for Elsewhere<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::Mutex;

    fn be_busy(time: Duration) {
        let begun = on_processor();
        while on_processor() - begun < time {}
    }

    /// Slices of work, each noted with its thread's name.
    async fn slices(count: usize, each: Duration, seen: Arc<Mutex<Vec<String>>>) {
        for _ in 0..count {
            be_busy(each);
            seen.lock().unwrap().push(thread::current().name().unwrap_or_default().to_owned());
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn long_work_goes_on_elsewhere_and_quick_work_stays() {
        let (threads, pace) = (LongThreads::start(1).unwrap(), Pace::default());
        let (here, seen) = (thread::current().name().unwrap_or_default().to_owned(), Arc::default());
        threads.run(&pace, slices(3, Duration::ZERO, Arc::clone(&seen)), |()| false).await;
        assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), [here.as_str(); 3]);
        assert!(!pace.is_long());

        threads.run(&pace, slices(3, 6 * QUICK, Arc::clone(&seen)), |()| false).await;
        assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), [here.as_str(), here.as_str(), "kontor-long"]);
        assert!(pace.is_long());

        // From now on it begins there.
        threads.run(&pace, slices(1, Duration::ZERO, Arc::clone(&seen)), |()| false).await;
        assert_eq!(*seen.lock().unwrap(), ["kontor-long"]);
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn who_waits_for_a_processor_is_not_long() {
        let (threads, pace) = (LongThreads::start(1).unwrap(), Pace::default());
        let in_one_piece = |waits: bool| async move {
            if waits { thread::spawn(|| be_busy(10 * QUICK)).join().unwrap() } else { be_busy(10 * QUICK) }
        };
        for _ in 0..5 {
            threads.run(&pace, in_one_piece(true), |()| false).await;
            assert!(!pace.is_long());
        }
        // The first of them has the second looked at closely.
        for _ in 0..2 {
            threads.run(&pace, in_one_piece(false), |()| false).await;
        }
        assert!(pace.is_long());
    }

    #[tokio::test]
    async fn a_panic_elsewhere_is_a_panic_here_and_what_is_dropped_here_is_dropped_there() {
        let (threads, pace) = (LongThreads::start(1).unwrap(), Pace::default());
        pace.note(Duration::from_secs(10));
        let panics = std::panic::AssertUnwindSafe(threads.run(&pace, async { panic!("as asked") }, |()| false));
        assert!(futures_util::FutureExt::catch_unwind(panics).await.is_err());

        let (held, dropped) = tokio::sync::oneshot::channel::<()>();
        let mut work = Box::pin(threads.run(
            &pace,
            async move {
                let _held = held;
                pending::<()>().await;
            },
            |()| false,
        ));
        assert!(futures_util::poll!(work.as_mut()).is_pending());
        drop(work);
        assert!(dropped.await.is_err());
    }

    #[tokio::test]
    async fn who_breaks_again_and_again_is_long_however_soon_it_breaks() {
        let (threads, pace) = (LongThreads::start(1).unwrap(), Pace::default());
        for broken in 0..10 {
            assert_eq!(pace.is_long(), broken > 1, "after {broken}");
            threads.run(&pace, async {}, |()| true).await;
        }
        for _ in 0..10 {
            threads.run(&pace, async {}, |()| false).await;
        }
        assert!(!pace.is_long());
    }

    #[test]
    fn a_plugin_that_became_quick_is_quick_again() {
        let pace = Pace::default();
        pace.note(Duration::from_secs(10));
        assert!(pace.is_long());
        for _ in 0..40 {
            pace.note(Duration::from_micros(100));
        }
        assert!(!pace.is_long());
    }
}
