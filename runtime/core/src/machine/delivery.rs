//! Delivering events. Per subscriber and event key there is a queue in commit order; its head is handed to the subscriber as an
//! invocation whose commit removes it, so that its effects happen exactly once. A head that fails waits (with backoff and
//! jitter) or goes to the dead letters; meanwhile only its own key waits.

use futures_util::future::{BoxFuture, FutureExt};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::Machine;
use super::dead_letters::{NewDeadLetter, bury};
use super::host_transaction::transact;
use super::invoke::{Ended, Invocation, On, Opened, Trigger, execution_code};
use super::work::{Lane, LaneKind, Target, WorkItem, WorkOutcome};
use crate::codec::{decode, encode};
use crate::error::Error;
use crate::executor::{Call, Event, ExecutionError, Reply};
use crate::ids::{InvocationId, MerchantId, PluginId};
use crate::keys::split_text;
use crate::limits::{BACKOFF_MS_MAX, RETRY_AFTER_MS_MAX};
use crate::observer::{DeadLetterReport, InvocationKind};
use crate::overlay::Overlay;
use crate::queueing::{EventSource, LogPosition, QueueEntry, queue, ready_key, ready_marks, retry_key, retry_marks};
use crate::records::DeadSubject;
use crate::revision::Revision;
use crate::store::{Durability, Key, KeyRange, ReadView, Value};
use crate::transaction::Actor;

/// Events of one key that one work item delivers before others get their turn.
const DELIVERIES_PER_ITEM: u32 = 16;
/// How soon to look again when the host could not do it.
pub(super) const POSTPONED_MS: u64 = 1_000;

/// The head of a queue.
#[derive(Clone, Debug)]
struct Head {
    key: Key,
    entry: QueueEntry,
    event: Event,
}

/// What to do about a queue.
enum Next {
    Deliver(Box<Head>),
    /// The head waits until then.
    Wait(u64),
    /// The log does not have the head's event any more.
    Lost(Key, QueueEntry),
    Empty,
}

/// Backoff after so many failures: doubles, up to the longest, with up to half of it taken away at random.
pub(super) fn backoff_ms(first_ms: u64, failures: u32, entropy: [u8; 32]) -> u64 {
    let doubled = first_ms.max(1).saturating_mul(1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX));
    let longest = doubled.clamp(1, BACKOFF_MS_MAX);
    ChaCha20Rng::from_seed(entropy).random_range(longest / 2..=longest)
}

impl Machine {
    /// Hands out the queues of a subscriber that have something to deliver.
    pub(super) async fn find_deliveries(
        &self,
        view: &dyn ReadView,
        lane: &Lane,
        subscriber: &PluginId,
        now_ms: u64,
        room: usize,
    ) -> Result<(Vec<WorkItem>, u64), Error> {
        let mut items = Vec::new();
        let mut next_ms = u64::MAX;
        let merchant = &lane.merchant;
        // Those that are out already take no room.
        let limit = room + self.board.busy_in(lane) + 1;
        let retries = retry_marks(merchant, subscriber);
        let skip = retries.clone().key().len();
        for (key, _) in view.scan(&retries.range(), false, limit).await?.entries {
            let Some((due_ms, rest)) = key.get(skip..).and_then(crate::keys::split_number) else {
                continue;
            };
            if due_ms > now_ms {
                next_ms = next_ms.min(due_ms);
                break;
            }
            let Some((event_key, _)) = split_text(rest) else {
                continue;
            };
            if items.len() == room {
                return Ok((items, now_ms));
            }
            items.extend(self.board.claim(lane, Target::Queue(event_key), Some(due_ms)));
        }
        let ready = ready_marks(merchant, subscriber);
        let skip = ready.clone().key().len();
        for (key, _) in view.scan(&ready.range(), false, limit).await?.entries {
            let Some((event_key, _)) = key.get(skip..).and_then(split_text) else {
                continue;
            };
            if self.board.is_busy(lane, &Target::Queue(event_key.clone())) {
                continue;
            }
            if items.len() == room {
                return Ok((items, now_ms));
            }
            items.extend(self.board.claim(lane, Target::Queue(event_key), None));
        }
        Ok((items, next_ms))
    }

    /// Delivers from one queue.
    pub(super) async fn deliver(
        &self,
        item: &mut WorkItem,
        subscriber: &PluginId,
        event_key: &str,
    ) -> Result<WorkOutcome, Error> {
        let merchant = item.lane.merchant.clone();
        let mut outcome = WorkOutcome::Nothing;
        for _ in 0..DELIVERIES_PER_ITEM {
            let now_ms = self.parts.environment.now_ms();
            let view = self.parts.store.begin().await?;
            match next(view.as_ref(), &merchant, subscriber, event_key, now_ms).await? {
                Next::Deliver(head) => {
                    outcome = self.deliver_head(&merchant, subscriber, event_key, *head).await?;
                    if outcome != WorkOutcome::Done {
                        return Ok(outcome);
                    }
                }
                Next::Wait(until_ms) => {
                    self.rest(&merchant, subscriber, event_key, until_ms, item.marker_ms).await?;
                    return Ok(outcome);
                }
                Next::Lost(key, entry) => {
                    transact!(self, Durability::Visible, |overlay| {
                        remove(overlay, &merchant, subscriber, event_key, &key, &entry);
                        Ok(())
                    })?;
                }
                Next::Empty => {
                    self.tidy(&merchant, subscriber, event_key, item.marker_ms).await?;
                    return Ok(outcome);
                }
            }
        }
        Ok(outcome)
    }

    async fn deliver_head(
        &self,
        merchant: &MerchantId,
        subscriber: &PluginId,
        event_key: &str,
        head: Head,
    ) -> Result<WorkOutcome, Error> {
        let id = InvocationId::new(&format!("evt/{}/{subscriber}", head.event.id));
        let invocation = Invocation {
            merchant: self.merchant(merchant).await?,
            plugin: subscriber.clone(),
            id,
            kind: InvocationKind::Event,
            actor: Actor::System,
            scopes: Vec::new(),
            now_ms: self.parts.environment.now_ms(),
            seed: self.parts.environment.entropy(),
            outside: None,
            on: On::Current,
            // Nobody is told that it is done: if a crash takes the commit back, the event is still there.
            durability: Durability::Visible,
        };
        let mut trigger = DeliveryTrigger {
            merchant: merchant.clone(),
            subscriber: subscriber.clone(),
            event_key: event_key.to_owned(),
            head,
            now_ms: invocation.now_ms,
            attempts_max: self.parts.options.delivery_attempts_max.max(1),
            backoff_ms: self.parts.options.delivery_backoff_ms,
            entropy: self.parts.environment.entropy(),
            retry_ms: None,
            dead: None,
        };
        let settled = self.invoke(&invocation, &mut trigger).await?;
        let lane = Lane { merchant: merchant.clone(), kind: LaneKind::Deliveries(subscriber.clone()) };
        match settled.result {
            Ended::Executed(Err(_)) => {}
            Ended::Gone => return Ok(WorkOutcome::Nothing),
            Ended::Executed(Ok(_)) | Ended::Answered(_) => return Ok(WorkOutcome::Done),
        }
        if let Some(report) = trigger.dead {
            self.parts.observer.dead_letter(&report);
            return Ok(WorkOutcome::Dead);
        }
        if let Some(retry_ms) = trigger.retry_ms {
            self.board.hint(lane, retry_ms);
        }
        Ok(WorkOutcome::Retried)
    }

    /// The queue waits for its head: what made us look is removed, the head's own mark stays.
    async fn rest(
        &self,
        merchant: &MerchantId,
        subscriber: &PluginId,
        event_key: &str,
        until_ms: u64,
        marker_ms: Option<u64>,
    ) -> Result<(), Error> {
        let range = queue(merchant, subscriber, event_key).range();
        transact!(self, Durability::Visible, |overlay| {
            let Some(entry) = first_entry(overlay, &range).await? else {
                return Ok(());
            };
            if entry.due_ms != until_ms {
                return Ok(());
            }
            overlay.put(retry_key(merchant, subscriber, until_ms, event_key), Value::new());
            overlay.delete(ready_key(merchant, subscriber, event_key));
            if let Some(stale_ms) = marker_ms.filter(|marker_ms| *marker_ms != until_ms) {
                overlay.delete(retry_key(merchant, subscriber, stale_ms, event_key));
            }
            Ok(())
        })
    }

    /// The queue is empty: its marks are removed, unless something was queued meanwhile.
    async fn tidy(
        &self,
        merchant: &MerchantId,
        subscriber: &PluginId,
        event_key: &str,
        marker_ms: Option<u64>,
    ) -> Result<(), Error> {
        let range = queue(merchant, subscriber, event_key).range();
        transact!(self, Durability::Visible, |overlay| {
            if first_entry(overlay, &range).await?.is_none() {
                overlay.delete(ready_key(merchant, subscriber, event_key));
                if let Some(marker_ms) = marker_ms {
                    overlay.delete(retry_key(merchant, subscriber, marker_ms, event_key));
                }
            }
            Ok(())
        })
    }
}

async fn first_entry(overlay: &mut Overlay, range: &KeyRange) -> Result<Option<QueueEntry>, Error> {
    let found = overlay.scan(range, false, 1, usize::MAX).await?;
    found.entries.first().map(|(_, value)| decode("queue entry", value)).transpose()
}

/// Removes a queue's entry, with its mark; what is behind it comes next.
fn remove(
    overlay: &mut Overlay,
    merchant: &MerchantId,
    subscriber: &PluginId,
    event_key: &str,
    key: &Key,
    entry: &QueueEntry,
) {
    overlay.delete(key.clone());
    if entry.due_ms > 0 {
        overlay.delete(retry_key(merchant, subscriber, entry.due_ms, event_key));
        overlay.put(ready_key(merchant, subscriber, event_key), Value::new());
    }
}

async fn next(
    view: &dyn ReadView,
    merchant: &MerchantId,
    subscriber: &PluginId,
    event_key: &str,
    now_ms: u64,
) -> Result<Next, Error> {
    let base = queue(merchant, subscriber, event_key);
    let skip = base.clone().key().len();
    let Some((key, value)) = view.scan(&base.range(), false, 1).await?.entries.into_iter().next() else {
        return Ok(Next::Empty);
    };
    let entry: QueueEntry = decode("queue entry", &value)?;
    if entry.due_ms > now_ms {
        return Ok(Next::Wait(entry.due_ms));
    }
    let position = match &entry.source {
        EventSource::Inline(event) => {
            let event = event.as_ref().clone();
            return Ok(Next::Deliver(Box::new(Head { key, entry, event })));
        }
        EventSource::Log(position) => Some(*position),
        EventSource::Stamp => key.get(skip..).and_then(LogPosition::from_stamp),
    };
    let record = match position {
        Some(position) => view.get(&position.key(merchant)).await?,
        None => None,
    };
    match record {
        Some(bytes) => {
            let event = decode("event", &bytes)?;
            Ok(Next::Deliver(Box::new(Head { key, entry, event })))
        }
        None => Ok(Next::Lost(key, entry)),
    }
}

#[derive(Debug)]
struct DeliveryTrigger {
    merchant: MerchantId,
    subscriber: PluginId,
    event_key: String,
    head: Head,
    now_ms: u64,
    attempts_max: u32,
    backoff_ms: u64,
    entropy: [u8; 32],
    /// Set when it failed and will be tried again.
    retry_ms: Option<u64>,
    /// Set when it was given up.
    dead: Option<DeadLetterReport>,
}

impl DeliveryTrigger {
    fn attempt(&self) -> u32 {
        self.head.entry.attempts.saturating_add(1)
    }

    fn failed(&mut self, overlay: &mut Overlay, error: &ExecutionError) -> Result<(), Error> {
        let attempt = self.attempt();
        let (attempts, due_ms) = match error {
            ExecutionError::RetryAfter(ms) => {
                (self.head.entry.attempts, self.now_ms.saturating_add((*ms).clamp(1, RETRY_AFTER_MS_MAX)))
            }
            ExecutionError::Permanent(_) => return self.give_up(overlay, error),
            _ if attempt >= self.attempts_max => return self.give_up(overlay, error),
            _ => (attempt, self.now_ms.saturating_add(backoff_ms(self.backoff_ms, attempt, self.entropy))),
        };
        let old = &self.head.entry;
        if old.due_ms > 0 {
            overlay.delete(retry_key(&self.merchant, &self.subscriber, old.due_ms, &self.event_key));
        }
        let entry = QueueEntry { source: old.source.clone(), attempts, due_ms };
        overlay.put(self.head.key.clone(), encode(&entry)?);
        overlay.put(retry_key(&self.merchant, &self.subscriber, due_ms, &self.event_key), Value::new());
        overlay.delete(ready_key(&self.merchant, &self.subscriber, &self.event_key));
        self.retry_ms = Some(due_ms);
        Ok(())
    }

    fn give_up(&mut self, overlay: &mut Overlay, error: &ExecutionError) -> Result<(), Error> {
        remove(overlay, &self.merchant, &self.subscriber, &self.event_key, &self.head.key, &self.head.entry);
        // The rest of the queue goes on.
        overlay.put(ready_key(&self.merchant, &self.subscriber, &self.event_key), Value::new());
        let attempts = self.attempt();
        let letter = NewDeadLetter {
            plugin: self.subscriber.clone(),
            subject: DeadSubject::Event(self.head.event.clone()),
            code: execution_code(error).to_owned(),
            message: error.to_string(),
            attempts,
            at_ms: self.now_ms,
        };
        self.dead = Some(bury(overlay, &self.merchant, letter)?);
        Ok(())
    }
}

impl Trigger for DeliveryTrigger {
    fn open<'a>(&'a mut self, overlay: &'a mut Overlay) -> BoxFuture<'a, Result<Opened, Error>> {
        async move {
            let Some(bytes) = overlay.get(&self.head.key).await? else {
                return Ok(Opened::Gone);
            };
            let entry: QueueEntry = decode("queue entry", &bytes)?;
            if entry != self.head.entry {
                return Ok(Opened::Gone);
            }
            Ok(Opened::Execute(Call::Event(self.head.event.clone(), self.attempt())))
        }
        .boxed()
    }

    fn close<'a>(
        &'a mut self,
        overlay: &'a mut Overlay,
        _revision: &'a Revision,
        result: &'a Result<Reply, ExecutionError>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            (self.retry_ms, self.dead) = (None, None);
            match result {
                Ok(_) => {
                    remove(
                        overlay,
                        &self.merchant,
                        &self.subscriber,
                        &self.event_key,
                        &self.head.key,
                        &self.head.entry,
                    );
                    Ok(())
                }
                Err(error) => self.failed(overlay, error),
            }
        }
        .boxed()
    }
}
