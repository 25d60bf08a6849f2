//! One thread, many tasks, and a seed that decides which of those that can go on goes on next. Nothing else decides: two runs with
//! one seed poll the same tasks in the same order at the same times.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::timeline::Timeline;
use crate::trace::Trace;

/// Polls after which a run counts as endless: the longest takes a twentieth.
const POLLS_MAX: u64 = 20_000_000;

/// What becomes of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The run goes on until all of these have ended.
    Root,
    /// Runs while there is anything else to do.
    Helper,
    /// Runs inside this life of the host, and dies with it.
    Host(u64),
}

/// Which of the tasks that can go on is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Any, each as likely.
    Even,
    /// Mostly the one that was dealt the highest rank: others starve until it waits. Finds what needs a long pause of one task.
    Ranked,
}

type Body = Pin<Box<dyn Future<Output = ()>>>;

struct Task {
    kind: Kind,
    name: String,
    rank: u32,
    body: Body,
    ready: Arc<Flag>,
    waker: Waker,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Inbox {
    spawned: Vec<(Kind, String, Body)>,
    ended_lives: Vec<u64>,
}

/// By which tasks start others.
#[derive(Clone, Default)]
pub(crate) struct Handle(Rc<RefCell<Inbox>>);

impl Handle {
    pub(crate) fn spawn(&self, kind: Kind, name: String, body: impl Future<Output = ()> + 'static) {
        self.0.borrow_mut().spawned.push((kind, name, Box::pin(body)));
    }

    /// Drops everything that runs inside this life of the host, wherever it is, before anything else runs.
    pub(crate) fn end_life(&self, life: u64) {
        self.0.borrow_mut().ended_lives.push(life);
    }
}

/// See the module.
pub(crate) struct Scheduler {
    handle: Handle,
    timeline: Arc<Timeline>,
    trace: Arc<Trace>,
    random: ChaCha8Rng,
    choice: Choice,
    tasks: BTreeMap<u64, Task>,
    next_task: u64,
    pub(crate) polls: u64,
}

impl Scheduler {
    pub(crate) fn new(seed: u64, choice: Choice, timeline: Arc<Timeline>, trace: Arc<Trace>) -> Self {
        let random = ChaCha8Rng::seed_from_u64(seed);
        let handle = Handle::default();
        Self { handle, timeline, trace, random, choice, tasks: BTreeMap::new(), next_task: 0, polls: 0 }
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until all roots have ended, `check` finds something wrong, or it is later than `deadline_ms`. `check` is called after every poll.
    pub(crate) fn run(
        &mut self,
        deadline_ms: u64,
        mut check: impl FnMut() -> Result<(), String>,
    ) -> Result<(), String> {
        loop {
            self.take_in();
            if !self.tasks.values().any(|task| task.kind == Kind::Root) {
                return Ok(());
            }
            let Some(chosen) = self.choose() else {
                match self.timeline.jump() {
                    Some(now_ms) if now_ms <= deadline_ms => continue,
                    Some(_) => return Err(format!("time is up; still at work: {}", self.at_work())),
                    None => return Err(format!("nothing can go on; still at work: {}", self.at_work())),
                }
            };
            self.polls += 1;
            if self.polls > POLLS_MAX {
                return Err(format!("no end after {POLLS_MAX} polls; still at work: {}", self.at_work()));
            }
            self.poll(chosen);
            if self.random.random_ratio(1, 8) {
                self.timeline.drift(1);
            }
            check()?;
        }
    }

    fn take_in(&mut self) {
        loop {
            let (spawned, ended) = {
                let mut inbox = self.handle.0.borrow_mut();
                (std::mem::take(&mut inbox.spawned), std::mem::take(&mut inbox.ended_lives))
            };
            if spawned.is_empty() && ended.is_empty() {
                return;
            }
            for (kind, name, body) in spawned {
                let ready = Arc::new(Flag(AtomicBool::new(true)));
                let waker = Waker::from(Arc::clone(&ready));
                let task = Task { kind, name, rank: self.random.random(), body, ready, waker };
                self.tasks.insert(self.next_task, task);
                self.next_task += 1;
            }
            let dead = |task: &Task| matches!(task.kind, Kind::Host(life) if ended.contains(&life));
            let ids: Vec<u64> = self.tasks.iter().filter(|(_, task)| dead(task)).map(|(id, _)| *id).collect();
            // One by one: what is dropped may wake or start others.
            for id in ids {
                drop(self.tasks.remove(&id));
            }
        }
    }

    fn choose(&mut self) -> Option<u64> {
        let ready = |task: &&Task| task.ready.0.load(Ordering::Relaxed);
        let count = self.tasks.values().filter(ready).count();
        if count == 0 {
            return None;
        }
        let mut of_ready = self.tasks.iter().filter(|(_, task)| ready(task));
        if self.choice == Choice::Ranked && self.random.random_ratio(7, 8) {
            return of_ready.max_by_key(|(_, task)| task.rank).map(|(id, _)| *id);
        }
        let pick = self.random.random_range(0..count);
        of_ready.nth(pick).map(|(id, _)| *id)
    }

    fn poll(&mut self, id: u64) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.ready.0.store(false, Ordering::Relaxed);
        let ended = task.body.as_mut().poll(&mut Context::from_waker(&task.waker)).is_ready();
        self.trace.count(id << 1 | u64::from(ended));
        if ended {
            self.tasks.remove(&id);
        }
    }

    fn at_work(&self) -> String {
        let names: Vec<&str> =
            self.tasks.values().filter(|task| task.kind != Kind::Helper).map(|task| task.name.as_str()).collect();
        names.join(", ")
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // Tasks hold what holds the handle to them: without this nothing would ever be freed.
        self.tasks.clear();
        self.handle.0.borrow_mut().spawned.clear();
    }
}

/// Lets others go first.
pub(crate) fn pause() -> impl Future<Output = ()> + Send {
    let mut paused = false;
    poll_fn(move |context| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
}
