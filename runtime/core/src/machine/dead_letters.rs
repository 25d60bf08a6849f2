//! Dead letters: events and jobs that were given up, kept until someone replays or discards them.

use serde::{Deserialize, Serialize};

use super::Machine;
use super::host_transaction::transact;
use super::work::{Lane, LaneKind};
use crate::codec::{decode, encode};
use crate::error::Error;
use crate::executor::Job;
use crate::ids::{MerchantId, PluginId};
use crate::keys::{KeyBuilder, Space, successor};
use crate::limits::PAGE_ENTRIES_MAX;
use crate::observer::DeadLetterReport;
use crate::overlay::Overlay;
use crate::queueing::{self, EventSource, LogPosition, NewJob, QueueEntry};
use crate::records::{DeadLetter, DeadSubject};
use crate::store::{Durability, Key, StampedPut};

/// Longest message that is kept.
const MESSAGE_CHARS_MAX: usize = 2_000;

/// A dead letter to be written; its id is the stamp of the commit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct NewDeadLetter {
    pub(super) plugin: PluginId,
    pub(super) subject: DeadSubject,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) attempts: u32,
    pub(super) at_ms: u64,
}

/// Adds a dead letter to the commit. At most one a commit.
pub(super) fn bury(
    overlay: &mut Overlay,
    merchant: &MerchantId,
    mut letter: NewDeadLetter,
) -> Result<DeadLetterReport, Error> {
    letter.message = letter.message.chars().take(MESSAGE_CHARS_MAX).collect();
    let (subject, key) = match &letter.subject {
        DeadSubject::Event(event) => (event.event_type.clone(), event.key.clone()),
        DeadSubject::Job(job) => (job.name.clone(), job.key.clone().unwrap_or_default()),
    };
    overlay.put_stamped(StampedPut {
        prefix: KeyBuilder::new(merchant, Space::DeadLetter).key(),
        ordinal: 0,
        suffix: Key::new(),
        value: encode(&letter)?,
    });
    Ok(DeadLetterReport {
        merchant: merchant.clone(),
        plugin: letter.plugin,
        subject,
        key,
        code: letter.code,
        message: letter.message,
        attempts: letter.attempts,
    })
}

fn letter_key(merchant: &MerchantId, position: LogPosition) -> Key {
    KeyBuilder::new(merchant, Space::DeadLetter).number(position.version).small(position.ordinal).key()
}

fn parse_id(id: &str) -> Result<LogPosition, Error> {
    LogPosition::parse(id).map_err(|_| Error::DeadLetterUnknown(id.chars().take(60).collect()))
}

impl Machine {
    /// Oldest first, after the id `after`.
    pub async fn dead_letters(
        &self,
        merchant: &MerchantId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, Error> {
        self.merchant(merchant).await?;
        let mut range = KeyBuilder::new(merchant, Space::DeadLetter).range();
        let skip = range.start.len();
        if let Some(after) = after {
            range.start = successor(&letter_key(merchant, parse_id(after)?));
        }
        let mut overlay = Overlay::new(self.parts.store.begin().await?);
        let found = overlay.scan(&range, false, limit.clamp(1, PAGE_ENTRIES_MAX), usize::MAX).await?;
        let mut letters = Vec::with_capacity(found.entries.len());
        for (key, value) in found.entries {
            let Some(position) = key.get(skip..).and_then(LogPosition::from_stamp) else {
                continue;
            };
            let letter: NewDeadLetter = decode("dead letter", &value)?;
            letters.push(DeadLetter {
                id: position.text(),
                plugin: letter.plugin,
                subject: letter.subject,
                code: letter.code,
                message: letter.message,
                attempts: letter.attempts,
                at_ms: letter.at_ms,
            });
        }
        Ok(letters)
    }

    /// Puts it back in the queue, with attempts counted anew. An event goes to the end of its key's queue. A job goes back to its slot,
    /// unless a newer one of its key waits there: then that one is the one to run, and the letter is only removed.
    pub async fn replay_dead_letter(&self, merchant: &MerchantId, id: &str) -> Result<(), Error> {
        self.merchant(merchant).await?;
        let key = letter_key(merchant, parse_id(id)?);
        let now_ms = self.parts.environment.now_ms();
        let lane = transact!(self, Durability::Durable, |overlay| {
            let Some(bytes) = overlay.get(&key).await? else {
                return Err(Error::DeadLetterUnknown(id.to_owned()));
            };
            let letter: NewDeadLetter = decode("dead letter", &bytes)?;
            overlay.delete(key.clone());
            requeue(overlay, merchant, letter, now_ms).await
        })?;
        self.board.hint(Lane { merchant: merchant.clone(), kind: lane }, 0);
        Ok(())
    }

    /// All of one plugin. Returns how many.
    pub async fn replay_dead_letters(&self, merchant: &MerchantId, plugin: &PluginId) -> Result<u64, Error> {
        let mut replayed = 0;
        let mut after: Option<String> = None;
        loop {
            let page = self.dead_letters(merchant, after.as_deref(), PAGE_ENTRIES_MAX).await?;
            let Some(last) = page.last() else {
                return Ok(replayed);
            };
            after = Some(last.id.clone());
            for letter in page.iter().filter(|letter| letter.plugin == *plugin) {
                match self.replay_dead_letter(merchant, &letter.id).await {
                    Ok(()) => replayed += 1,
                    // Someone else was faster.
                    Err(Error::DeadLetterUnknown(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Forgets it.
    pub async fn discard_dead_letter(&self, merchant: &MerchantId, id: &str) -> Result<(), Error> {
        self.merchant(merchant).await?;
        let key = letter_key(merchant, parse_id(id)?);
        transact!(self, Durability::Durable, |overlay| {
            if overlay.get(&key).await?.is_none() {
                return Err(Error::DeadLetterUnknown(id.to_owned()));
            }
            overlay.delete(key.clone());
            Ok(())
        })
    }
}

async fn requeue(
    overlay: &mut Overlay,
    merchant: &MerchantId,
    letter: NewDeadLetter,
    now_ms: u64,
) -> Result<LaneKind, Error> {
    match letter.subject {
        DeadSubject::Event(event) => {
            let event_key = event.key.clone();
            let entry = QueueEntry { source: EventSource::Inline(Box::new(event)), ..QueueEntry::default() };
            queueing::push_entry(overlay, merchant, &letter.plugin, &event_key, 0, &entry)?;
            Ok(LaneKind::Deliveries(letter.plugin))
        }
        DeadSubject::Job(Job { id, name, key, payload, .. }) => {
            let slot = queueing::slot(key.as_deref(), &id);
            if overlay.get(&queueing::waiting_key(merchant, &letter.plugin, &name, &slot)).await?.is_none() {
                let new = NewJob { id, key, payload, due_ms: 0 };
                queueing::enqueue(overlay, merchant, &letter.plugin, &name, new, now_ms)?;
            }
            Ok(LaneKind::Jobs(letter.plugin, name))
        }
    }
}
