//! Reading the event log, and replaying parts of it to a subscriber.

use super::Machine;
use super::host_transaction::transact;
use super::work::{Lane, LaneKind};
use crate::codec::decode;
use crate::error::Error;
use crate::executor::Event;
use crate::ids::{MerchantId, PluginId};
use crate::keys::{KeyBuilder, Space, successor};
use crate::limits::PAGE_ENTRIES_MAX;
use crate::overlay::Overlay;
use crate::queueing::{EventSource, LogPosition, QueueEntry, push_entry};
use crate::records::{EventPage, LoggedEvent};
use crate::store::{Commit, CommitError, Durability, ReadSet};

/// Events that one commit of a replay queues.
const REPLAY_BATCH: usize = 200;

/// Before every event.
const BEGINNING: LogPosition = LogPosition { version: 0, ordinal: 0 };

impl Machine {
    /// Events after `position` (`None`: from the beginning), at most `limit` (up to 1,000).
    pub async fn events_since(
        &self,
        merchant: &MerchantId,
        position: Option<&str>,
        limit: usize,
    ) -> Result<EventPage, Error> {
        self.merchant(merchant).await?;
        let mut range = KeyBuilder::new(merchant, Space::EventLog).range();
        let skip = range.start.len();
        let after = position.map(LogPosition::parse).transpose()?;
        if let Some(after) = after {
            range.start = successor(&after.key(merchant));
        }
        let view = self.parts.store.begin().await?;
        let version = view.version();
        let found = Overlay::new(view).scan(&range, false, limit.clamp(1, PAGE_ENTRIES_MAX), usize::MAX).await?;
        if let Some((last, _)) = found.entries.last() {
            // A page may be shown to someone outside, so it has to be durable: waiting for its last event is waiting for all.
            let reads = ReadSet { points: vec![last.clone()], ..ReadSet::default() };
            let commit = Commit { view_version: version, reads, ..Commit::default() };
            match self.parts.store.commit(commit, Durability::Durable).await {
                // The view was overtaken: what it showed was committed all the same.
                Ok(_) | Err(CommitError::Conflict { .. } | CommitError::TooOld | CommitError::Bound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut next = after.unwrap_or(BEGINNING);
        let mut events = Vec::with_capacity(found.entries.len());
        for (key, value) in &found.entries {
            let Some(position) = key.get(skip..).and_then(LogPosition::from_stamp) else {
                continue;
            };
            next = position;
            events.push(LoggedEvent { position: position.text(), event: decode("event", value)? });
        }
        Ok(EventPage { events, next: next.text(), more: found.more, version })
    }

    /// The position after the newest event.
    pub async fn events_end(&self, merchant: &MerchantId) -> Result<String, Error> {
        self.merchant(merchant).await?;
        let range = KeyBuilder::new(merchant, Space::EventLog).range();
        let skip = range.start.len();
        let view = self.parts.store.begin().await?;
        let newest = view.scan(&range, true, 1).await?;
        let position = newest.entries.first().and_then(|(key, _)| key.get(skip..).and_then(LogPosition::from_stamp));
        Ok(position.unwrap_or(BEGINNING).text())
    }

    /// Resolves once a commit newer than `version` is visible, with its version.
    pub async fn wait_for_commit(&self, version: u64) -> u64 {
        self.parts.store.wait_newer(version).await
    }

    /// Queues the events after `after` up to `until` (inclusive) again for one subscriber, whatever their type was subscribed to when they
    /// were emitted; only types that it subscribes to now. Returns how many.
    pub async fn replay_events(
        &self,
        merchant: &MerchantId,
        subscriber: &PluginId,
        after: Option<&str>,
        until: Option<&str>,
    ) -> Result<u64, Error> {
        let revision = self.current(merchant).await?;
        let Some(installed) = revision.plugins.get(subscriber) else {
            return Err(Error::PluginUnknown { merchant: merchant.clone(), plugin: subscriber.clone() });
        };
        let until = match until {
            Some(until) => LogPosition::parse(until)?,
            None => LogPosition::parse(&self.events_end(merchant).await?)?,
        };
        let mut after = after.map(str::to_owned);
        let mut replayed = 0;
        loop {
            let page = self.events_since(merchant, after.as_deref(), REPLAY_BATCH).await?;
            let mut batch: Vec<(LogPosition, Event)> = Vec::new();
            for logged in page.events {
                let position = LogPosition::parse(&logged.position)?;
                let wanted = |pattern: &String| crate::revision::matches_type(pattern, &logged.event.event_type);
                if position <= until && installed.spec.subscribes.iter().any(wanted) {
                    batch.push((position, logged.event));
                }
            }
            if !batch.is_empty() {
                transact!(self, Durability::Durable, |overlay| {
                    for (ordinal, (position, event)) in (0_u32..).zip(&batch) {
                        let entry = QueueEntry { source: EventSource::Log(*position), ..QueueEntry::default() };
                        push_entry(overlay, merchant, subscriber, &event.key, ordinal, &entry)?;
                    }
                    Ok(())
                })?;
                replayed += batch.len() as u64;
                let kind = LaneKind::Deliveries(subscriber.clone());
                self.board.hint(Lane { merchant: merchant.clone(), kind }, 0);
            }
            if !page.more || LogPosition::parse(&page.next)? >= until {
                return Ok(replayed);
            }
            after = Some(page.next);
        }
    }
}
