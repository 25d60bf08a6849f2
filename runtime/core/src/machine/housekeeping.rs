//! Forgetting what is old: answers kept for idempotency keys, commit marks, journals that nobody came back for, the tail of the
//! event log. In small transactions, now and then.

use super::Machine;
use super::exchange::JournalRecord;
use super::host_transaction::transact;
use super::request::{MARK_BUCKET_MS, expired_record};
use super::work::{WorkItem, WorkOutcome};
use crate::codec::decode;
use crate::error::Error;
use crate::executor::Event;
use crate::ids::MerchantId;
use crate::keys::{KeyBuilder, Space, split_number, successor};
use crate::store::{Durability, Key};

/// How often.
const EVERY_MS: u64 = 10 * 60 * 1000;
/// Records removed in one transaction.
const BATCH: usize = 500;
/// Journals are kept so long: an invocation that was interrupted comes back within minutes, or never.
const JOURNAL_MS: u64 = 7 * 24 * 60 * 60 * 1000;

impl Machine {
    /// One round of forgetting.
    pub(super) async fn keep_house(&self, item: &mut WorkItem) -> Result<WorkOutcome, Error> {
        let merchant = item.lane.merchant.clone();
        let now_ms = self.parts.environment.now_ms();
        let full = self.forget_answers(&merchant, now_ms).await?
            | self.forget_marks(&merchant, now_ms).await?
            | self.forget_events(&merchant, now_ms).await?;
        self.forget_journals(&merchant, now_ms).await?;
        item.revisit_ms = if full { 0 } else { now_ms.saturating_add(EVERY_MS) };
        Ok(WorkOutcome::Done)
    }

    /// Whether there may be more.
    async fn forget_answers(&self, merchant: &MerchantId, now_ms: u64) -> Result<bool, Error> {
        let mut range = KeyBuilder::new(merchant, Space::DedupeExpiry).range();
        let skip = range.start.len();
        range.end = Some(KeyBuilder::new(merchant, Space::DedupeExpiry).number(now_ms).key());
        transact!(self, Durability::Visible, |overlay| {
            let found = overlay.scan(&range, false, BATCH, usize::MAX).await?;
            for (key, _) in found.entries {
                if let Some((_, tail)) = key.get(skip..).and_then(split_number) {
                    overlay.delete(expired_record(merchant, tail));
                }
                overlay.delete(key);
            }
            Ok(found.more)
        })
    }

    async fn forget_marks(&self, merchant: &MerchantId, now_ms: u64) -> Result<bool, Error> {
        let mut range = KeyBuilder::new(merchant, Space::CommitMark).range();
        // The hour before this one stays: an invocation may have begun in it.
        let bucket = (now_ms / MARK_BUCKET_MS).saturating_sub(1);
        range.end = Some(KeyBuilder::new(merchant, Space::CommitMark).number(bucket).key());
        transact!(self, Durability::Visible, |overlay| {
            let found = overlay.scan(&range, false, BATCH, usize::MAX).await?;
            for (key, _) in found.entries {
                overlay.delete(key);
            }
            Ok(found.more)
        })
    }

    async fn forget_events(&self, merchant: &MerchantId, now_ms: u64) -> Result<bool, Error> {
        let range = KeyBuilder::new(merchant, Space::EventLog).range();
        let before_ms = now_ms.saturating_sub(self.parts.options.event_retention_ms);
        transact!(self, Durability::Visible, |overlay| {
            let oldest = overlay.scan(&range, false, 1, usize::MAX).await?;
            let Some((_, value)) = oldest.entries.first() else {
                return Ok(false);
            };
            let event: Event = decode("event", value)?;
            if event.time_ms >= before_ms {
                return Ok(false);
            }
            let found = overlay.scan(&range, false, BATCH, usize::MAX).await?;
            for (key, value) in found.entries {
                let event: Event = decode("event", &value)?;
                if event.time_ms >= before_ms {
                    return Ok(false);
                }
                overlay.delete(key);
            }
            Ok(found.more)
        })
    }

    async fn forget_journals(&self, merchant: &MerchantId, now_ms: u64) -> Result<(), Error> {
        let before_ms = now_ms.saturating_sub(JOURNAL_MS);
        let mut range = KeyBuilder::new(merchant, Space::Journal).range();
        loop {
            let view = self.parts.store.begin().await?;
            let page = view.scan(&range, false, 16).await?;
            let mut old: Vec<Key> = Vec::new();
            for (key, value) in &page.entries {
                // A record that cannot be read answers nobody.
                if decode("journal", value).map_or(true, |record: JournalRecord| record.recorded_ms < before_ms) {
                    old.push(key.clone());
                }
            }
            if !old.is_empty() {
                transact!(self, Durability::Visible, |overlay| {
                    for key in &old {
                        overlay.delete(key.clone());
                    }
                    Ok(())
                })?;
            }
            match page.entries.last().filter(|_| page.more) {
                Some((last, _)) => range.start = successor(last),
                None => return Ok(()),
            }
        }
    }
}
