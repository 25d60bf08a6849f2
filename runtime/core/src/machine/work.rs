//! Which background work is due. The board is a hint in memory over the indexes in the store: per *lane* (one subscriber's
//! deliveries, one job name, one schedule, housekeeping) the time from which looking into the store is worth it. Losing the
//! board loses nothing: a fresh one looks everywhere once. Not here: doing the work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use futures_util::future::{BoxFuture, FutureExt, poll_fn};

use crate::ids::{MerchantId, PluginId};
use crate::queueing::Slot;

/// What kind of work.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LaneKind {
    /// Events for a subscriber.
    Deliveries(PluginId),
    /// Jobs of one name.
    Jobs(PluginId, String),
    /// A schedule.
    Schedule(PluginId, String),
    /// Forgetting what is old.
    Housekeeping,
}

impl LaneKind {
    /// Whose work it is; housekeeping is nobody's.
    pub(crate) fn plugin(&self) -> Option<&PluginId> {
        match self {
            Self::Deliveries(plugin) | Self::Jobs(plugin, _) | Self::Schedule(plugin, _) => Some(plugin),
            Self::Housekeeping => None,
        }
    }
}

/// Work of one kind for one merchant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lane {
    pub(crate) merchant: MerchantId,
    pub(crate) kind: LaneKind,
}

/// What exactly an item does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// Deliver from the queue of this event key.
    Queue(String),
    /// Run what waits, or was left running, in this slot.
    Slot(Slot),
    /// The lane itself.
    Lane,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Board {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When each lane is worth looking at.
    lanes: BTreeMap<Lane, u64>,
    /// What was handed out and has not ended.
    busy: BTreeSet<(Lane, Target)>,
    /// Slots that were left running, by lane: they run again, not before the time given.
    left: BTreeMap<Lane, BTreeMap<Slot, u64>>,
    /// The lane served last, so that the next one comes first.
    served: Option<Lane>,
    generation: u64,
    wakers: Vec<Waker>,
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Work of this kind may be due at `due_ms`.
    pub(crate) fn hint(&self, lane: Lane, due_ms: u64) {
        self.hint_all([(lane, due_ms)]);
    }

    pub(crate) fn hint_all(&self, hints: impl IntoIterator<Item = (Lane, u64)>) {
        let mut state = self.state();
        let mut any = false;
        for (lane, due_ms) in hints {
            let known = state.lanes.entry(lane).or_insert(u64::MAX);
            *known = (*known).min(due_ms);
            any = true;
        }
        if any {
            state.generation += 1;
            for waker in state.wakers.drain(..) {
                waker.wake();
            }
        }
    }

    /// Forgets the lanes of a merchant that `keep` does not want.
    pub(crate) fn retain(&self, merchant: &MerchantId, keep: impl Fn(&LaneKind) -> bool) {
        let mut state = self.state();
        state.lanes.retain(|lane, _| lane.merchant != *merchant || keep(&lane.kind));
        state.left.retain(|lane, _| lane.merchant != *merchant || keep(&lane.kind));
    }

    /// A slot was left running.
    pub(crate) fn leave(&self, lane: Lane, slot: Slot, due_ms: u64) {
        if self.state().busy.contains(&(lane.clone(), Target::Slot(slot.clone()))) {
            return;
        }
        self.leave_own(lane, slot, due_ms);
    }

    /// As [`Board::leave`], by whoever runs it now.
    pub(crate) fn leave_own(&self, lane: Lane, slot: Slot, due_ms: u64) {
        self.state().left.entry(lane.clone()).or_default().insert(slot, due_ms);
        self.hint(lane, due_ms);
    }

    /// The lanes worth looking at, each once, beginning after the one served last; they are marked as looked at.
    pub(crate) fn take_due(&self, now_ms: u64) -> Vec<Lane> {
        let mut state = self.state();
        let mut due: Vec<Lane> =
            state.lanes.iter().filter(|(_, due_ms)| **due_ms <= now_ms).map(|(lane, _)| lane.clone()).collect();
        if let Some(served) = &state.served {
            let split = due.partition_point(|lane| lane <= served);
            due.rotate_left(split);
        }
        for lane in &due {
            state.lanes.insert(lane.clone(), u64::MAX);
        }
        due
    }

    /// Puts a lane back without waking anyone: it was not looked at, or there is more in it.
    pub(crate) fn put_back(&self, lane: &Lane, due_ms: u64) {
        let mut state = self.state();
        let known = state.lanes.entry(lane.clone()).or_insert(u64::MAX);
        *known = (*known).min(due_ms);
    }

    /// Slots of the lane that were left running and are due again.
    pub(crate) fn left(&self, lane: &Lane, now_ms: u64) -> (Vec<Slot>, Option<u64>) {
        let state = self.state();
        let Some(left) = state.left.get(lane) else {
            return (Vec::new(), None);
        };
        let due = left.iter().filter(|(_, due_ms)| **due_ms <= now_ms).map(|(slot, _)| slot.clone()).collect();
        (due, left.values().filter(|due_ms| **due_ms > now_ms).min().copied())
    }

    pub(crate) fn busy_in(&self, lane: &Lane) -> usize {
        let first = (lane.clone(), Target::Queue(String::new()));
        self.state().busy.range(first..).take_while(|(busy, _)| busy == lane).count()
    }

    pub(crate) fn is_busy(&self, lane: &Lane, target: &Target) -> bool {
        self.state().busy.contains(&(lane.clone(), target.clone()))
    }

    /// Hands a piece of work out, unless it is out already.
    pub(crate) fn claim(self: &Arc<Self>, lane: &Lane, target: Target, marker_ms: Option<u64>) -> Option<WorkItem> {
        let mut state = self.state();
        if !state.busy.insert((lane.clone(), target.clone())) {
            return None;
        }
        if let (Target::Slot(slot), Some(left)) = (&target, state.left.get_mut(lane)) {
            left.remove(slot);
            if left.is_empty() {
                state.left.remove(lane);
            }
        }
        state.served = Some(lane.clone());
        Some(WorkItem { lane: lane.clone(), target, marker_ms, revisit_ms: 0, board: self.clone() })
    }

    pub(crate) fn next_due_ms(&self) -> Option<u64> {
        self.state().lanes.values().filter(|due_ms| **due_ms < u64::MAX).min().copied()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.state().generation
    }

    pub(crate) fn wait(self: &Arc<Self>, generation: u64) -> BoxFuture<'static, ()> {
        let board = self.clone();
        poll_fn(move |context| {
            let mut state = board.state();
            if state.generation > generation {
                return Poll::Ready(());
            }
            if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                state.wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
        .boxed()
    }
}

/// A piece of background work that is due: an event to deliver, a job, a schedule, housekeeping. Handed out once at a time; when it
/// is dropped without having run, it is handed out again.
#[derive(Debug)]
pub struct WorkItem {
    pub(crate) lane: Lane,
    pub(crate) target: Target,
    /// The due mark by which it was found.
    pub(crate) marker_ms: Option<u64>,
    /// When the lane is worth another look.
    pub(crate) revisit_ms: u64,
    board: Arc<Board>,
}

impl WorkItem {
    /// For whom.
    pub fn merchant(&self) -> &MerchantId {
        &self.lane.merchant
    }

    /// A short name of what it is, for logs.
    pub fn describe(&self) -> String {
        match &self.lane.kind {
            LaneKind::Deliveries(plugin) => format!("deliver to {plugin}"),
            LaneKind::Jobs(plugin, name) => format!("job {plugin}/{name}"),
            LaneKind::Schedule(plugin, name) => format!("schedule {plugin}/{name}"),
            LaneKind::Housekeeping => "housekeeping".to_owned(),
        }
    }
}

impl Drop for WorkItem {
    fn drop(&mut self) {
        self.board.state().busy.remove(&(self.lane.clone(), self.target.clone()));
        // Whatever became of it, the lane is worth another look: there may be more, or it was not done.
        self.board.hint(self.lane.clone(), self.revisit_ms);
    }
}

/// What became of a [`WorkItem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkOutcome {
    /// It was done.
    Done,
    /// There was nothing to do any more.
    Nothing,
    /// It failed and will be tried again.
    Retried,
    /// It went to the dead letters.
    Dead,
    /// The host could not do it now (store unavailable, pool exhausted); it will be handed out again.
    Postponed,
}
