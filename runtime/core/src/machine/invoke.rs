//! One invocation, from its trigger to a commit that is believed: begin, execute, validate, commit; and again, with the same time
//! and seed, when it lost.
//!
//! Nothing that an execution produced is believed before the store has validated what it read: not its result, not its error, not
//! its trap, and not the absence of any effect. An invocation that loses queues behind others that lost on the same keys, and
//! in the end runs alone in its merchant, so that it always gets through.
//!
//! The number of the current revision is read like any other key: an invocation belongs to the revision that is current when it
//! commits. One that was in flight during a switch is executed again, on the new one.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::Machine;
use super::exchange::Exchanger;
use super::merchants::MerchantState;
use super::work::{Lane, LaneKind};
use crate::codec::encode;
use crate::error::Error;
use crate::executor::{Call, Event, Executed, ExecutionError, Reply};
use crate::ids::{InvocationId, PluginId};
use crate::keys::{KeyBuilder, Space};
use crate::limits::{ATTEMPTS_MAX, EXECUTIONS_MAX, OPTIMISTIC_ATTEMPTS_MAX, SHARED_ATTEMPTS_MAX};
use crate::lock::Guard;
use crate::observer::{InvocationKind, InvocationReport};
use crate::overlay::Overlay;
use crate::queueing::{self, QueueEntry};
use crate::revision::{Revision, RevisionNumber, matches_type};
use crate::store::{CommitError, Durability, Key, StampedPut, StoreError};
use crate::transaction::{Actor, Begin, Outside, Transaction};

/// Keys of losses that are remembered: as many as a store reports for one conflict.
const BLAMED_MAX: usize = 16;

/// What is to be run, and for whom. The same for every execution.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) merchant: Arc<MerchantState>,
    pub(super) plugin: PluginId,
    pub(super) id: InvocationId,
    pub(super) kind: InvocationKind,
    pub(super) actor: Actor,
    pub(super) scopes: Vec<String>,
    pub(super) now_ms: u64,
    pub(super) seed: [u8; 32],
    pub(super) outside: Option<Arc<Exchanger>>,
    pub(super) on: On,
    pub(super) durability: Durability,
}

/// On which revision it runs.
#[derive(Clone, Debug)]
pub(super) enum On {
    /// The current one, whichever that is.
    Current,
    /// The current one, if it has this number.
    Admitted(RevisionNumber),
    /// One that is not current yet, as long as its parent is: a migration.
    Next(Arc<Revision>),
}

/// What caused an invocation, and how it is consumed in the invocation's own commit.
pub(super) trait Trigger: Send {
    /// Reads what caused it. It may be gone: then there is nothing to execute.
    fn open<'a>(&'a mut self, overlay: &'a mut Overlay) -> BoxFuture<'a, Result<Opened, Error>>;

    /// Adds to the commit what goes with the result: the cause is consumed, or noted as failed.
    fn close<'a>(
        &'a mut self,
        overlay: &'a mut Overlay,
        revision: &'a Revision,
        result: &'a Result<Reply, ExecutionError>,
    ) -> BoxFuture<'a, Result<(), Error>>;
}

/// What a trigger found.
#[derive(Debug)]
pub(super) enum Opened {
    /// This is to be called.
    Execute(Call),
    /// It was answered before; this was the reply.
    Answered(Reply),
    /// Whatever caused it was consumed before.
    Gone,
}

/// How an invocation ended.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) result: Ended,
    pub(super) revision: RevisionNumber,
    pub(super) executions: u32,
}

/// See [`Settled`].
#[derive(Debug)]
pub(super) enum Ended {
    /// Executed; the result was validated, and the effects that go with it are committed.
    Executed(Result<Reply, ExecutionError>),
    /// See [`Opened::Answered`].
    Answered(Reply),
    /// See [`Opened::Gone`].
    Gone,
}

/// What the executions so far have shown.
#[derive(Debug, Default)]
struct Course {
    executions: u32,
    losses: u32,
    exclusive: bool,
    blamed: BTreeSet<Key>,
    usage: Vec<(PluginId, crate::executor::Usage)>,
    /// The result of an execution of whose commit nobody knows whether it happened.
    unknown: Option<Result<Reply, ExecutionError>>,
}

/// What one execution came to.
#[derive(Debug)]
enum Round {
    Settled(Ended, RevisionNumber),
    Again,
}

/// What is held during one execution.
#[derive(Debug, Default)]
struct Held {
    _keys: Vec<Guard>,
    _alone: Option<Guard>,
}

impl Machine {
    /// Runs an invocation to its end.
    pub(super) async fn invoke(&self, invocation: &Invocation, trigger: &mut dyn Trigger) -> Result<Settled, Error> {
        let started_ms = self.parts.environment.now_ms();
        let mut course = Course::default();
        let result = self.rounds(invocation, trigger, &mut course).await;
        if let Some(outside) = &invocation.outside {
            drop(outside.take_held());
        }
        self.count_usage(invocation, &course.usage, course.losses, result.as_ref().ok());
        self.parts.observer.invocation(&InvocationReport {
            merchant: invocation.merchant.id.clone(),
            plugin: invocation.plugin.clone(),
            invocation: invocation.id.clone(),
            kind: invocation.kind,
            revision: result.as_ref().map_or(0, |settled| settled.revision),
            outcome: outcome_of(&result),
            executions: course.executions,
            conflicts: course.losses,
            exclusive: course.exclusive,
            started_ms,
            duration_ms: self.parts.environment.now_ms().saturating_sub(started_ms),
            usage: course.usage,
        });
        result
    }

    async fn rounds(
        &self,
        invocation: &Invocation,
        trigger: &mut dyn Trigger,
        course: &mut Course,
    ) -> Result<Settled, Error> {
        while course.losses < ATTEMPTS_MAX && course.executions < EXECUTIONS_MAX {
            let held = self.admit(invocation, course).await;
            let round = Box::pin(self.round(invocation, trigger, course)).await?;
            drop(held);
            if let Round::Settled(result, revision) = round {
                return Ok(Settled { result, revision, executions: course.executions });
            }
        }
        Err(Error::Contended(course.losses.max(1)))
    }

    /// Waits for whatever an execution has to hold: nothing but a share of the merchant at first, the lanes of the keys on which it
    /// lost later, the merchant alone in the end. Invocations that may fetch hold nothing that others would wait for while
    /// they wait for a server.
    async fn admit(&self, invocation: &Invocation, course: &mut Course) -> Held {
        let alone = &invocation.merchant.alone;
        // Whatever the last execution held: waiting for it while holding it would take forever.
        if let Some(outside) = &invocation.outside {
            drop(outside.take_held());
        }
        if course.losses > SHARED_ATTEMPTS_MAX {
            course.exclusive = true;
            let guard = alone.exclusive().await;
            return match &invocation.outside {
                Some(outside) => {
                    outside.hold(Some(guard));
                    Held::default()
                }
                None => Held { _keys: Vec::new(), _alone: Some(guard) },
            };
        }
        if invocation.outside.is_some() {
            return Held::default();
        }
        let mut keys = Vec::new();
        if course.losses >= OPTIMISTIC_ATTEMPTS_MAX {
            // In one order for all, so that nobody waits in a circle.
            let lanes: BTreeSet<usize> = course.blamed.iter().map(|key| self.key_lane(key)).collect();
            for lane in lanes {
                if let Some(lane) = self.key_lanes.get(lane) {
                    keys.push(lane.exclusive().await);
                }
            }
        }
        Held { _keys: keys, _alone: Some(alone.shared().await) }
    }

    fn key_lane(&self, key: &[u8]) -> usize {
        // `DefaultHasher::new` has fixed keys: the same key is in the same lane in every run.
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let lanes = self.key_lanes.len().max(1) as u64;
        (hasher.finish() % lanes) as usize
    }

    /// One execution, with its validation and commit.
    async fn round(
        &self,
        invocation: &Invocation,
        trigger: &mut dyn Trigger,
        course: &mut Course,
    ) -> Result<Round, Error> {
        course.executions += 1;
        let view = self.parts.store.begin().await?;
        let current = self.head(&invocation.merchant, view.as_ref()).await?;
        let revision = match &invocation.on {
            On::Current => current,
            On::Admitted(number) if current.number == *number => current,
            On::Admitted(_) => {
                return Err(Error::RevisionChanged { current: current.number });
            }
            On::Next(next) if next.parent == current.number => next.clone(),
            On::Next(next) => {
                return Err(Error::RevisionConflict { expected: next.parent, current: current.number });
            }
        };
        let secrets = invocation.merchant.secrets(view.as_ref()).await?;
        let begun = Transaction::begin(Begin {
            merchant: invocation.merchant.id.clone(),
            invocation: invocation.id.clone(),
            plugin: invocation.plugin.clone(),
            revision: revision.clone(),
            view,
            now_ms: invocation.now_ms,
            seed: invocation.seed,
            actor: invocation.actor.clone(),
            scopes: invocation.scopes.clone(),
            secrets,
            outside: invocation.outside.clone().map(|outside| outside as Arc<dyn Outside>),
        });
        let mut transaction = match begun {
            Ok(transaction) => Box::new(transaction),
            Err(_) => {
                let (merchant, plugin) = (invocation.merchant.id.clone(), invocation.plugin.clone());
                return Err(Error::PluginUnknown { merchant, plugin });
            }
        };
        transaction.overlay().depend_on(invocation.merchant.head_key());
        let call = match trigger.open(transaction.overlay()).await? {
            Opened::Execute(call) => call,
            Opened::Answered(reply) => {
                return self
                    .settle_unexecuted(invocation, course, transaction, &revision, Ended::Answered(reply))
                    .await;
            }
            Opened::Gone => {
                // If a commit of ours may have happened, this is how we learn that it did.
                let ended = course.unknown.clone().map_or(Ended::Gone, Ended::Executed);
                return self.settle_unexecuted(invocation, course, transaction, &revision, ended).await;
            }
        };
        let executed = self.parts.executor.execute(revision.clone(), &invocation.plugin, call, transaction).await;
        self.settle(invocation, trigger, course, &revision, executed).await
    }

    /// Validates that there was nothing to execute.
    async fn settle_unexecuted(
        &self,
        invocation: &Invocation,
        course: &mut Course,
        mut transaction: Box<Transaction>,
        revision: &Revision,
        ended: Ended,
    ) -> Result<Round, Error> {
        transaction.undo_all(Overlay::START);
        let commit = transaction.finish().overlay.into_commit();
        match self.parts.store.commit(commit, invocation.durability).await {
            Ok(_) => Ok(Round::Settled(ended, revision.number)),
            Err(error) => self.lost(invocation, course, error).map(|()| Round::Again),
        }
    }

    /// Commits what an execution left, if it may be believed.
    async fn settle(
        &self,
        invocation: &Invocation,
        trigger: &mut dyn Trigger,
        course: &mut Course,
        revision: &Arc<Revision>,
        executed: Executed,
    ) -> Result<Round, Error> {
        let Executed { mut transaction, mut result, usage } = executed;
        add_usage(&mut course.usage, usage);
        match transaction.broken() {
            Some(StoreError::Fatal(message)) => return Err(Error::StoreStopped(message.clone())),
            Some(StoreError::Unavailable(message)) => result = Err(ExecutionError::Unavailable(message.clone())),
            None => {}
        }
        // The host itself failed: there is nothing to validate, and nothing may be noted against the plugin.
        match result {
            Err(ExecutionError::Unavailable(message)) => return Err(Error::Unavailable(message)),
            Err(ExecutionError::Host(message)) => return Err(Error::HostFault(message)),
            _ => {}
        }
        let kept = match &result {
            Ok(Reply::Http(response)) => response.status < 400,
            Ok(Reply::Done | Reply::Migrated(_)) => true,
            Err(_) => false,
        };
        if !kept {
            transaction.undo_all(Overlay::START);
        }
        let mut finished = transaction.finish();
        let mut hints: Vec<(Lane, u64)> =
            fan_out(&invocation.merchant.id, &mut finished.overlay, revision, &finished.events)?
                .into_iter()
                .map(|subscriber| (self.lane(invocation, LaneKind::Deliveries(subscriber)), 0))
                .collect();
        hints.extend(
            finished
                .queued
                .into_iter()
                .map(|job| (self.lane(invocation, LaneKind::Jobs(job.plugin, job.name)), job.due_ms)),
        );
        trigger.close(&mut finished.overlay, revision, &result).await?;
        let share = match &invocation.outside {
            // What ran without holding its merchant still does not commit into the middle of one that runs alone.
            Some(outside) => match outside.take_held() {
                Some(guard) => Some(guard),
                None => Some(invocation.merchant.alone.shared().await),
            },
            None => None,
        };
        let commit = finished.overlay.into_commit();
        let bytes = commit.written_bytes();
        let committed = self.parts.store.commit(commit, invocation.durability).await;
        drop(share);
        if bytes > 0 && matches!(committed, Ok(_) | Err(CommitError::OutcomeUnknown(_))) {
            invocation.merchant.write_rates.wrote(&invocation.plugin, bytes, self.parts.environment.now_ms());
        }
        match committed {
            Ok(_) => {
                for line in &finished.logs {
                    self.parts.observer.log(line);
                }
                self.board.hint_all(hints);
                Ok(Round::Settled(Ended::Executed(result), revision.number))
            }
            Err(CommitError::OutcomeUnknown(_)) => {
                // Looking at the trigger again tells: if the commit happened, it is gone.
                self.board.hint_all(hints);
                course.unknown = Some(result);
                course.losses += 1;
                Ok(Round::Again)
            }
            Err(error) => self.lost(invocation, course, error).map(|()| Round::Again),
        }
    }

    fn lane(&self, invocation: &Invocation, kind: LaneKind) -> Lane {
        Lane { merchant: invocation.merchant.id.clone(), kind }
    }

    /// Notes why an execution did not count.
    fn lost(&self, invocation: &Invocation, course: &mut Course, error: CommitError) -> Result<(), Error> {
        let mut blame = |keys: Vec<Key>| {
            course.losses += 1;
            course.blamed.extend(keys);
            while course.blamed.len() > BLAMED_MAX {
                course.blamed.pop_last();
            }
        };
        match error {
            // The revision was switched meanwhile: nobody's loss.
            CommitError::Conflict { keys } if keys.contains(&invocation.merchant.head_key()) => {}
            CommitError::Conflict { keys } => blame(keys),
            CommitError::Bound { key } => blame(vec![key]),
            CommitError::TooOld => {}
            // Without writes there is no outcome to know: it was not validated.
            CommitError::OutcomeUnknown(_) => course.losses += 1,
            error => return Err(error.into()),
        }
        Ok(())
    }
}

/// Appends the events to the log, and queues them for whoever subscribes. Returns the subscribers.
fn fan_out(
    merchant: &crate::ids::MerchantId,
    overlay: &mut Overlay,
    revision: &Revision,
    events: &[Event],
) -> Result<BTreeSet<PluginId>, Error> {
    let mut subscribers = BTreeSet::new();
    for (ordinal, event) in (0_u32..).zip(events) {
        overlay.put_stamped(StampedPut {
            prefix: KeyBuilder::new(merchant, Space::EventLog).key(),
            ordinal,
            suffix: Key::new(),
            value: encode(event)?,
        });
        for (subscriber, plugin) in &revision.plugins {
            if plugin.spec.subscribes.iter().any(|pattern| matches_type(pattern, &event.event_type)) {
                queueing::push_entry(overlay, merchant, subscriber, &event.key, ordinal, &QueueEntry::default())?;
                subscribers.insert(subscriber.clone());
            }
        }
    }
    Ok(subscribers)
}

fn add_usage(total: &mut Vec<(PluginId, crate::executor::Usage)>, more: Vec<(PluginId, crate::executor::Usage)>) {
    for (plugin, usage) in more {
        match total.iter_mut().find(|(known, _)| *known == plugin) {
            Some((_, sum)) => {
                sum.calls += usage.calls;
                sum.fuel = sum.fuel.saturating_add(usage.fuel);
                sum.memory_bytes = sum.memory_bytes.max(usage.memory_bytes);
            }
            None => total.push((plugin, usage)),
        }
    }
}

fn outcome_of(result: &Result<Settled, Error>) -> String {
    match result.as_ref().map(|settled| &settled.result) {
        Ok(Ended::Gone) => "gone".to_owned(),
        Ok(Ended::Answered(_)) => "replayed".to_owned(),
        Ok(Ended::Executed(Ok(Reply::Http(response)))) => match response.status {
            ..400 => "ok".to_owned(),
            400..500 => "http-4xx".to_owned(),
            _ => "http-5xx".to_owned(),
        },
        Ok(Ended::Executed(Ok(_))) => "ok".to_owned(),
        Ok(Ended::Executed(Err(error))) => execution_code(error).to_owned(),
        Err(error) => error.code().to_owned(),
    }
}

/// A stable code of why an execution failed.
pub(super) fn execution_code(error: &ExecutionError) -> &'static str {
    match error {
        ExecutionError::Retry(_) | ExecutionError::RetryAfter(_) => "retry",
        ExecutionError::Permanent(_) => "permanent",
        ExecutionError::Stopped { code, .. } => code,
        ExecutionError::Unavailable(_) => "unavailable",
        ExecutionError::Host(_) => "host-fault",
    }
}
