//! How queued work is laid out: jobs in slots, events in queues, and the indexes that find them. Pure record keeping over an
//! [`Overlay`]; who runs what, and when, is [`crate::machine`]'s matter.
//!
//! A job waits in a *slot*: its coalescing key, or itself if it has none. Queueing a job reads nothing: it writes the waiting
//! record (the latest wins) and a due mark, twice: `JobSlotDue` lists a slot's marks, so that whoever takes the job can clear them
//! all, `JobDue` lists a job name's marks by time. The earliest mark decides when the slot starts, so that an earlier due time stays.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::codec::encode;
use crate::error::Error;
use crate::executor::{Event, Job};
use crate::ids::{InvocationId, MerchantId, PluginId};
use crate::keys::{KeyBuilder, Space, split_number};
use crate::overlay::Overlay;
use crate::store::{Key, StampedPut, StoreError, Value};

/// Due marks of one slot that are cleared at once.
pub(crate) const SLOT_MARKS_MAX: usize = 10_000;
/// Marks of one slot within this time fall together.
const MARK_GRAIN_MS: u64 = 1_000;

/// Where a job waits or runs.
pub(crate) type Slot = Vec<u8>;

/// A job that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WaitingJob {
    pub(crate) id: String,
    pub(crate) key: Option<String>,
    pub(crate) payload: String,
    /// The attempt that its next start is.
    pub(crate) attempt: u32,
    pub(crate) queued_ms: u64,
}

/// A job that runs, or that ran when the process ended: it runs again as the same invocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunningJob {
    pub(crate) job: Job,
    pub(crate) queued_ms: u64,
    /// The invocation's time.
    pub(crate) now_ms: u64,
    /// The invocation's randomness.
    pub(crate) seed: [u8; 32],
    /// Failures in a row of this slot, for the backoff.
    pub(crate) failures: u32,
    /// Whether the slot has a hold, to be removed when the job succeeds.
    pub(crate) held: bool,
}

/// Keeps a slot from starting after a failure, whatever is queued meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobHold {
    pub(crate) until_ms: u64,
    pub(crate) failures: u32,
}

/// A job to queue.
#[derive(Clone, Debug)]
pub(crate) struct NewJob {
    pub(crate) id: String,
    pub(crate) key: Option<String>,
    pub(crate) payload: String,
    pub(crate) due_ms: u64,
}

/// Tells the machine where to look for work after a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueuedJob {
    pub(crate) plugin: PluginId,
    pub(crate) name: String,
    pub(crate) due_ms: u64,
}

/// An id that is the same in every execution of the invocation.
pub(crate) fn derived_id(invocation: &InvocationId, kind: &str, ordinal: u32) -> String {
    let mut hash = Sha256::new();
    hash.update(invocation.as_str());
    hash.update([0]);
    hash.update(kind);
    hash.update(ordinal.to_be_bytes());
    let mut id = hex::encode(hash.finalize());
    id.truncate(32);
    id
}

/// The slot of a job.
pub(crate) fn slot(key: Option<&str>, id: &str) -> Slot {
    let (tag, text) = match key {
        Some(key) => (2_u8, key),
        None => (1_u8, id),
    };
    let mut slot = Vec::with_capacity(text.len() + 1);
    slot.push(tag);
    slot.extend_from_slice(text.as_bytes());
    slot
}

fn of_job(merchant: &MerchantId, space: Space, plugin: &PluginId, name: &str) -> KeyBuilder {
    KeyBuilder::new(merchant, space).name(plugin.as_str()).name(name)
}

/// The slot as text: tags are ASCII and what follows is UTF-8.
fn slot_text(slot: &[u8]) -> String {
    String::from_utf8_lossy(slot).into_owned()
}

pub(crate) fn waiting_key(merchant: &MerchantId, plugin: &PluginId, name: &str, slot: &[u8]) -> Key {
    of_job(merchant, Space::JobWaiting, plugin, name).rest(slot).key()
}

pub(crate) fn running_key(merchant: &MerchantId, plugin: &PluginId, name: &str, slot: &[u8]) -> Key {
    of_job(merchant, Space::JobRunning, plugin, name).rest(slot).key()
}

pub(crate) fn hold_key(merchant: &MerchantId, plugin: &PluginId, name: &str, slot: &[u8]) -> Key {
    of_job(merchant, Space::JobHold, plugin, name).rest(slot).key()
}

/// All due marks of a job name, by time.
pub(crate) fn due_marks(merchant: &MerchantId, plugin: &PluginId, name: &str) -> KeyBuilder {
    of_job(merchant, Space::JobDue, plugin, name)
}

fn slot_marks(merchant: &MerchantId, plugin: &PluginId, name: &str, slot: &[u8]) -> KeyBuilder {
    of_job(merchant, Space::JobSlotDue, plugin, name).text(&slot_text(slot))
}

/// Marks a slot as due.
pub(crate) fn put_mark(
    overlay: &mut Overlay,
    merchant: &MerchantId,
    plugin: &PluginId,
    name: &str,
    slot: &[u8],
    due_ms: u64,
) {
    overlay.put(slot_marks(merchant, plugin, name, slot).number(due_ms).key(), Value::new());
    overlay.put(due_marks(merchant, plugin, name).number(due_ms).rest(slot).key(), Value::new());
}

/// The earliest mark of a slot.
pub(crate) async fn earliest_mark(
    overlay: &mut Overlay,
    merchant: &MerchantId,
    plugin: &PluginId,
    name: &str,
    slot: &[u8],
) -> Result<Option<u64>, StoreError> {
    let base = slot_marks(merchant, plugin, name, slot);
    let skip = base.clone().key().len();
    let found = overlay.scan(&base.range(), false, 1, usize::MAX).await?;
    let mark = found.entries.first().and_then(|(key, _)| key.get(skip..).and_then(split_number));
    Ok(mark.map(|(due_ms, _)| due_ms))
}

/// Clears the marks of a slot; returns the earliest.
pub(crate) async fn clear_marks(
    overlay: &mut Overlay,
    merchant: &MerchantId,
    plugin: &PluginId,
    name: &str,
    slot: &[u8],
) -> Result<Option<u64>, StoreError> {
    let base = slot_marks(merchant, plugin, name, slot);
    let skip = base.clone().key().len();
    let found = overlay.scan(&base.range(), false, SLOT_MARKS_MAX, usize::MAX).await?;
    let mut earliest = None;
    for (key, _) in found.entries {
        let Some((due_ms, _)) = key.get(skip..).and_then(split_number) else {
            continue;
        };
        earliest.get_or_insert(due_ms);
        overlay.delete(due_marks(merchant, plugin, name).number(due_ms).rest(slot).key());
        overlay.delete(key);
    }
    Ok(earliest)
}

/// Queues a job.
pub(crate) fn enqueue(
    overlay: &mut Overlay,
    merchant: &MerchantId,
    plugin: &PluginId,
    name: &str,
    new: NewJob,
    now_ms: u64,
) -> Result<QueuedJob, Error> {
    // Jobs of one key that are due at once share a mark, or a hot key that has to wait would leave one mark a millisecond.
    let due_ms = match (&new.key, new.due_ms <= now_ms) {
        (Some(_), true) => now_ms - now_ms % MARK_GRAIN_MS,
        (None, true) => now_ms,
        (_, false) => new.due_ms,
    };
    let slot = slot(new.key.as_deref(), &new.id);
    let waiting = WaitingJob { id: new.id, key: new.key, payload: new.payload, attempt: 1, queued_ms: now_ms };
    overlay.put(waiting_key(merchant, plugin, name, &slot), encode(&waiting)?);
    put_mark(overlay, merchant, plugin, name, &slot, due_ms);
    Ok(QueuedJob { plugin: plugin.clone(), name: name.to_owned(), due_ms })
}

/// Removes a waiting job.
pub(crate) async fn cancel(
    overlay: &mut Overlay,
    merchant: &MerchantId,
    plugin: &PluginId,
    name: &str,
    key: &str,
) -> Result<bool, StoreError> {
    let slot = slot(Some(key), "");
    let waiting = waiting_key(merchant, plugin, name, &slot);
    if overlay.get(&waiting).await?.is_none() {
        return Ok(false);
    }
    overlay.delete(waiting);
    clear_marks(overlay, merchant, plugin, name, &slot).await?;
    Ok(true)
}

/// Where an event stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct LogPosition {
    pub(crate) version: u64,
    pub(crate) ordinal: u32,
}

impl LogPosition {
    /// Reads the stamp at the end of a key.
    pub(crate) fn from_stamp(stamp: &[u8]) -> Option<Self> {
        let (version, rest) = split_number(stamp)?;
        let ordinal: [u8; 4] = rest.try_into().ok()?;
        Some(Self { version, ordinal: u32::from_be_bytes(ordinal) })
    }

    /// The key in the log.
    pub(crate) fn key(self, merchant: &MerchantId) -> Key {
        KeyBuilder::new(merchant, Space::EventLog).number(self.version).small(self.ordinal).key()
    }

    /// For people and URLs.
    pub(crate) fn text(self) -> String {
        format!("{:016x}{:08x}", self.version, self.ordinal)
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let invalid = || Error::PositionInvalid(text.chars().take(60).collect());
        if text.len() != 24 || !text.is_ascii() {
            return Err(invalid());
        }
        let (version, ordinal) = text.split_at(16);
        Ok(Self {
            version: u64::from_str_radix(version, 16).map_err(|_| invalid())?,
            ordinal: u32::from_str_radix(ordinal, 16).map_err(|_| invalid())?,
        })
    }
}

/// Where the event of a queue entry is to be found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EventSource {
    /// In the log, at the entry's own stamp.
    #[default]
    Stamp,
    /// In the log, elsewhere: a replay of the log.
    Log(LogPosition),
    /// Here: a replay of a dead letter, which may be older than what the log keeps.
    Inline(Box<Event>),
}

/// An event to be delivered to one subscriber.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QueueEntry {
    pub(crate) source: EventSource,
    /// Attempts that failed.
    pub(crate) attempts: u32,
    /// Not before; 0 before the first failure.
    pub(crate) due_ms: u64,
}

/// The queue of one subscriber and event key.
pub(crate) fn queue(merchant: &MerchantId, subscriber: &PluginId, key: &str) -> KeyBuilder {
    KeyBuilder::new(merchant, Space::Queue).name(subscriber.as_str()).text(key)
}

/// The mark that a queue may have something to deliver.
pub(crate) fn ready_key(merchant: &MerchantId, subscriber: &PluginId, key: &str) -> Key {
    ready_marks(merchant, subscriber).text(key).key()
}

pub(crate) fn ready_marks(merchant: &MerchantId, subscriber: &PluginId) -> KeyBuilder {
    KeyBuilder::new(merchant, Space::QueueReady).name(subscriber.as_str())
}

/// The mark that a queue's head waits until `due_ms`.
pub(crate) fn retry_key(merchant: &MerchantId, subscriber: &PluginId, due_ms: u64, key: &str) -> Key {
    retry_marks(merchant, subscriber).number(due_ms).text(key).key()
}

pub(crate) fn retry_marks(merchant: &MerchantId, subscriber: &PluginId) -> KeyBuilder {
    KeyBuilder::new(merchant, Space::QueueRetry).name(subscriber.as_str())
}

/// Appends an entry to a queue, in commit order.
pub(crate) fn push_entry(
    overlay: &mut Overlay,
    merchant: &MerchantId,
    subscriber: &PluginId,
    key: &str,
    ordinal: u32,
    entry: &QueueEntry,
) -> Result<(), Error> {
    overlay.put_stamped(StampedPut {
        prefix: queue(merchant, subscriber, key).key(),
        ordinal,
        suffix: Key::new(),
        value: encode(entry)?,
    });
    overlay.put(ready_key(merchant, subscriber, key), Value::new());
    Ok(())
}
