//! Looks whether a store holds what the machine would have written: every record readable, every index with what it points to. It is
//! given all entries in the order of their keys and says what is wrong where. Not here: reading the store, and whether its
//! bytes are what was written (its engine's and its archive's checksums), and what plugins keep in their tables.

use std::collections::BTreeSet;

use serde::de::IgnoredAny;

use crate::executor::Event;
use crate::keys::{SPACES, Space, split_number, split_text};
use crate::queueing::{EventSource, JobHold, QueueEntry, RunningJob, WaitingJob};
use crate::revision::Revision;
use crate::store::Version;

/// Problems that are kept; all are counted.
const PROBLEMS_MAX: usize = 100;
/// Bytes of a stamp: version and ordinal.
const STAMP_BYTES: usize = 12;

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    /// Stable.
    pub code: String,
    /// The key, printable.
    pub at: String,
    /// For people.
    pub what: String,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AuditReport {
    /// Entries seen.
    pub entries: u64,
    /// Merchants.
    pub merchants: u64,
    /// Revisions.
    pub revisions: u64,
    /// Events in the log.
    pub events: u64,
    /// Events to be delivered.
    pub queued: u64,
    /// Jobs that wait or run.
    pub jobs: u64,
    /// Packages that current revisions need, by digest, sorted.
    pub packages: Vec<String>,
    /// How much is wrong.
    pub problem_count: u64,
    /// The first of it.
    pub problems: Vec<Problem>,
}

/// See the module.
#[derive(Debug)]
pub struct Audit {
    version: Version,
    report: AuditReport,
    listed: BTreeSet<Vec<u8>>,
    merchant: OfMerchant,
}

/// What is known of the merchant whose keys are being seen.
#[derive(Debug, Default)]
struct OfMerchant {
    id: Vec<u8>,
    head: Option<u64>,
    revisions: BTreeSet<u64>,
    packages: Vec<(u64, Vec<String>)>,
    events: BTreeSet<Vec<u8>>,
    queues: BTreeSet<Vec<u8>>,
    marked_queues: BTreeSet<Vec<u8>>,
    /// Slots: plugin, name and slot, as in the keys.
    waiting: BTreeSet<Vec<u8>>,
    due: BTreeSet<(Vec<u8>, u64)>,
    slot_due: BTreeSet<(Vec<u8>, u64)>,
}

impl Audit {
    /// Of a store at `version`.
    pub fn new(version: Version) -> Self {
        Self { version, report: AuditReport::default(), listed: BTreeSet::new(), merchant: OfMerchant::default() }
    }

    /// The next entry.
    pub fn visit(&mut self, key: &[u8], value: &[u8]) {
        self.report.entries += 1;
        if let Some(global) = key.strip_prefix(&[0]) {
            match global.split_first() {
                Some((1, id)) => {
                    self.listed.insert(id.to_vec());
                    self.report.merchants += 1;
                }
                Some((2, _)) => {}
                _ => self.problem("key-unknown", key, "no key of the host looks like this"),
            }
            return;
        }
        let Some((id, rest)) = split_at_zero(key) else {
            self.problem("key-unknown", key, "the key has no merchant");
            return;
        };
        if id != self.merchant.id.as_slice() {
            self.end_merchant();
            self.merchant.id = id.to_vec();
            if !self.listed.contains(id) {
                self.problem("merchant-unknown", key, "the merchant is not in the list of merchants");
            }
        }
        let space = rest.split_first().and_then(|(byte, rest)| {
            let space = SPACES.into_iter().find(|space| *space as u8 == *byte)?;
            Some((space, rest))
        });
        match space {
            Some((space, rest)) => {
                if self.entry(space, key, rest, value).is_none() {
                    self.problem("key-damaged", key, "the key is not laid out as its kind wants");
                }
            }
            None => self.problem("key-unknown", key, "there is no such kind of record"),
        }
    }

    /// All entries were seen.
    pub fn finish(mut self) -> AuditReport {
        self.end_merchant();
        self.report.packages.sort();
        self.report.packages.dedup();
        self.report
    }

    /// `None` when the key is not laid out as it should be.
    fn entry(&mut self, space: Space, key: &[u8], rest: &[u8], value: &[u8]) -> Option<()> {
        match space {
            Space::Counter => {
                if value.len() != 8 {
                    self.problem("counter-damaged", key, &format!("a counter has 8 bytes, this has {}", value.len()));
                }
            }
            Space::RevisionHead => self.merchant.head = self.decoded("revision head", key, value),
            Space::Revision => {
                let (number, _) = split_number(rest)?;
                self.report.revisions += 1;
                self.merchant.revisions.insert(number);
                if let Some(revision) = self.decoded::<Revision>("revision", key, value) {
                    if revision.number != number {
                        self.problem("record-misplaced", key, &format!("it holds revision {}", revision.number));
                    }
                    let digests = revision.plugins.values().map(|plugin| plugin.spec.digest.clone()).collect();
                    self.merchant.packages.push((number, digests));
                }
            }
            Space::EventLog => {
                self.stamp(key, rest)?;
                self.report.events += 1;
                self.merchant.events.insert(rest.to_vec());
                self.decoded::<Event>("event", key, value);
            }
            Space::Queue => self.queue_entry(key, rest, value)?,
            Space::QueueReady => {
                self.merchant.marked_queues.insert(rest.to_vec());
            }
            Space::QueueRetry => {
                let (plugin, after) = split_at_zero(rest)?;
                let (_, event_key) = split_number(after)?;
                self.merchant.marked_queues.insert([plugin, &[0], event_key].concat());
            }
            Space::JobWaiting => {
                self.report.jobs += 1;
                self.merchant.waiting.insert(rest.to_vec());
                self.decoded::<WaitingJob>("waiting job", key, value);
            }
            Space::JobRunning => {
                self.report.jobs += 1;
                self.decoded::<RunningJob>("running job", key, value);
            }
            Space::JobHold => {
                self.decoded::<JobHold>("job hold", key, value);
            }
            Space::JobDue => {
                let (job, after) = split_job(rest)?;
                let (due_ms, slot) = split_number(after)?;
                self.merchant.due.insert(([job, slot].concat(), due_ms));
            }
            Space::JobSlotDue => {
                let (job, after) = split_job(rest)?;
                let (slot, after) = split_text(after)?;
                let (due_ms, _) = split_number(after)?;
                self.merchant.slot_due.insert(([job, slot.as_bytes()].concat(), due_ms));
            }
            Space::DeadLetter => {
                self.stamp(key, rest)?;
                self.decoded::<IgnoredAny>("dead letter", key, value);
            }
            Space::TableVersion | Space::Migration | Space::Schedule | Space::Journal | Space::Dedupe => {
                self.decoded::<IgnoredAny>("record", key, value);
            }
            Space::Value | Space::DedupeExpiry | Space::CommitMark | Space::Secret | Space::Host => {}
        }
        Some(())
    }

    fn queue_entry(&mut self, key: &[u8], rest: &[u8], value: &[u8]) -> Option<()> {
        let (queue, stamp) = rest.split_at_checked(rest.len().checked_sub(STAMP_BYTES)?)?;
        self.stamp(key, stamp)?;
        self.report.queued += 1;
        self.merchant.queues.insert(queue.to_vec());
        if let Some(entry) = self.decoded::<QueueEntry>("queue entry", key, value)
            && entry.source == EventSource::Stamp
            && !self.merchant.events.contains(stamp)
        {
            self.problem("event-missing", key, "the event that is to be delivered is not in the log");
        }
        Some(())
    }

    fn stamp(&mut self, key: &[u8], stamp: &[u8]) -> Option<()> {
        let (version, _) = split_number(stamp)?;
        if stamp.len() != STAMP_BYTES {
            return None;
        }
        if version > self.version {
            let what = format!("it was written by version {version}, the store is at {}", self.version);
            self.problem("version-ahead", key, &what);
        }
        Some(())
    }

    fn decoded<T: serde::de::DeserializeOwned>(&mut self, what: &str, key: &[u8], value: &[u8]) -> Option<T> {
        match rmp_serde::from_slice(value) {
            Ok(record) => Some(record),
            Err(error) => {
                self.problem("record-damaged", key, &format!("the {what} cannot be read: {error}"));
                None
            }
        }
    }

    /// What can only be said when all of a merchant's entries were seen.
    fn end_merchant(&mut self) {
        let merchant = std::mem::take(&mut self.merchant);
        if merchant.id.is_empty() {
            return;
        }
        let at = [merchant.id.as_slice(), &[0]].concat();
        match merchant.head {
            Some(0) => {}
            Some(head) if merchant.revisions.contains(&head) => {
                let needed = merchant.packages.into_iter().find(|(number, _)| *number == head);
                self.report.packages.extend(needed.into_iter().flat_map(|(_, digests)| digests));
            }
            Some(head) => {
                self.problem("revision-missing", &at, &format!("revision {head} is in force and is not there"));
            }
            None => self.problem("revision-missing", &at, "it is not said which revision is in force"),
        }
        for queue in merchant.queues.difference(&merchant.marked_queues) {
            self.problem("queue-unmarked", queue, "events wait here, and no mark says so: they would not be delivered");
        }
        let due: BTreeSet<&Vec<u8>> = merchant.slot_due.iter().map(|(slot, _)| slot).collect();
        for slot in merchant.waiting.iter().filter(|slot| !due.contains(slot)) {
            self.problem("job-unmarked", slot, "a job waits here, and no mark says when it is due: it would not run");
        }
        for (slot, due_ms) in merchant.slot_due.symmetric_difference(&merchant.due) {
            self.problem("job-mark-single", slot, &format!("the two marks of {due_ms} ms are not both there"));
        }
    }

    fn problem(&mut self, code: &str, at: &[u8], what: &str) {
        self.report.problem_count += 1;
        if self.report.problems.len() < PROBLEMS_MAX {
            let at: String = at.escape_ascii().to_string().chars().take(200).collect();
            self.report.problems.push(Problem { code: code.to_owned(), at, what: what.to_owned() });
        }
    }
}

/// Up to the first 0x00, and what follows it.
fn split_at_zero(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

/// Plugin and name with their ends, and what follows.
fn split_job(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (plugin, rest) = split_at_zero(bytes)?;
    let (name, _) = split_at_zero(rest)?;
    bytes.split_at_checked(plugin.len() + name.len() + 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::MerchantId;
    use crate::keys::{KeyBuilder, merchant_entry};
    use crate::store::Key;

    fn key(space: Space) -> KeyBuilder {
        KeyBuilder::new(&MerchantId::new("m").unwrap(), space)
    }

    fn codes(entries: Vec<(Key, Vec<u8>)>) -> Vec<String> {
        let mut entries = entries;
        entries.push((merchant_entry(&MerchantId::new("m").unwrap()), vec![0]));
        entries.push((key(Space::RevisionHead).key(), vec![0]));
        entries.sort();
        let mut audit = Audit::new(10);
        entries.iter().for_each(|(key, value)| audit.visit(key, value));
        audit.finish().problems.into_iter().map(|problem| problem.code).collect()
    }

    #[test]
    fn what_is_wrong_is_said_by_name() {
        let job = |space| key(space).name("p").name("n");
        let queued = rmp_serde::to_vec_named(&QueueEntry::default()).unwrap();
        type Entries = Vec<(Key, Vec<u8>)>;
        let cases: Vec<(Entries, &[&str])> = vec![
            (vec![], &[]),
            (vec![(key(Space::Counter).name("p").name("t").key(), vec![1; 7])], &["counter-damaged"]),
            (vec![(key(Space::Revision).number(3).key(), vec![0xc1])], &["record-damaged"]),
            (vec![(key(Space::EventLog).number(11).small(0).key(), vec![0xc1])], &["version-ahead", "record-damaged"]),
            (vec![(key(Space::EventLog).number(1).key(), vec![])], &["key-damaged"]),
            (
                vec![(key(Space::Queue).name("p").text("k").number(1).small(0).key(), queued)],
                &["event-missing", "queue-unmarked"],
            ),
            (vec![(job(Space::JobDue).number(5).rest(b"\x01x").key(), vec![])], &["job-mark-single"]),
            (vec![(b"m\0\x7e".to_vec(), vec![])], &["key-unknown"]),
            (vec![(b"z\0\x7f".to_vec(), vec![])], &["merchant-unknown", "revision-missing"]),
        ];
        for (entries, expected) in cases {
            assert_eq!(codes(entries.clone()), expected, "{entries:?}");
        }
        let two = vec![
            (job(Space::JobDue).number(5).rest(b"\x01x").key(), vec![]),
            (job(Space::JobSlotDue).text("\u{1}x").number(5).key(), vec![]),
        ];
        assert_eq!(codes(two), Vec::<String>::new());
    }
}
