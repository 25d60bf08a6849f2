//! How keys are laid out in the store. Every key begins with the merchant (`id`, 0x00), then one byte for the space, then parts
//! whose encodings keep the order of what they encode. Not here: what plugins put into their own keys.
//!
//! Why no two keys can be confused: merchant, plugin, table and job names never contain 0x00, so `name 0x00` is prefix-free;
//! free text (event keys, coalescing keys) is escaped and terminated; numbers have fixed width. A merchant's id begins with a letter,
//! so what belongs to the host as a whole begins with 0x00.

use crate::ids::{InvocationId, MerchantId, PluginId};
use crate::store::{Key, KeyRange};

/// Ends a name.
const END: u8 = 0x00;

/// What a key is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Space {
    /// Values in plugins' tables: plugin, table, key.
    Value = 0x01,
    /// Counters in plugins' tables: plugin, table, key.
    Counter = 0x02,
    /// The number of the current revision.
    RevisionHead = 0x10,
    /// Revisions: number.
    Revision = 0x11,
    /// Which version of a plugin wrote its tables: plugin.
    TableVersion = 0x12,
    /// A migration that has begun: plugin.
    Migration = 0x13,
    /// The event log: stamp.
    EventLog = 0x20,
    /// What is to be delivered: subscriber, event key, stamp.
    Queue = 0x21,
    /// Queues that may have something to deliver: subscriber, event key.
    QueueReady = 0x22,
    /// Queues whose head waits for another try: subscriber, due, event key.
    QueueRetry = 0x23,
    /// Jobs that wait: plugin, name, slot.
    JobWaiting = 0x30,
    /// Jobs that run: plugin, name, slot.
    JobRunning = 0x31,
    /// When jobs are due, for finding them: plugin, name, due, slot.
    JobDue = 0x32,
    /// When a slot is due, for taking it: plugin, name, slot, due.
    JobSlotDue = 0x33,
    /// Slots that may not start yet, after a failure: plugin, name, slot.
    JobHold = 0x34,
    /// When schedules fire: plugin, schedule.
    Schedule = 0x38,
    /// Responses of other servers: invocation, attempt, ordinal.
    Journal = 0x40,
    /// Answers kept for idempotency keys: plugin, key.
    Dedupe = 0x50,
    /// When they are forgotten: time, plugin, key.
    DedupeExpiry = 0x51,
    /// Requests that committed: hour, invocation.
    CommitMark = 0x52,
    /// What was given up: stamp.
    DeadLetter = 0x60,
    /// Secrets: plugin, name.
    Secret = 0x70,
    /// Records of the server.
    Host = 0x7f,
}

/// Every space, in order.
pub const SPACES: [Space; 23] = [
    Space::Value,
    Space::Counter,
    Space::RevisionHead,
    Space::Revision,
    Space::TableVersion,
    Space::Migration,
    Space::EventLog,
    Space::Queue,
    Space::QueueReady,
    Space::QueueRetry,
    Space::JobWaiting,
    Space::JobRunning,
    Space::JobDue,
    Space::JobSlotDue,
    Space::JobHold,
    Space::Schedule,
    Space::Journal,
    Space::Dedupe,
    Space::DedupeExpiry,
    Space::CommitMark,
    Space::DeadLetter,
    Space::Secret,
    Space::Host,
];

/// Of the host as a whole: the list of merchants.
const GLOBAL_MERCHANT: u8 = 0x01;
/// Of the host as a whole: the server's records.
const GLOBAL_HOST: u8 = 0x02;

/// Builds a key part by part.
#[derive(Clone, Debug)]
pub(crate) struct KeyBuilder(Key);

impl KeyBuilder {
    /// A key of a merchant in a space.
    pub(crate) fn new(merchant: &MerchantId, space: Space) -> Self {
        let mut key = Vec::with_capacity(96);
        key.extend_from_slice(merchant.as_str().as_bytes());
        key.push(END);
        key.push(space as u8);
        Self(key)
    }

    /// A name that contains no 0x00.
    pub(crate) fn name(mut self, name: &str) -> Self {
        debug_assert!(!name.as_bytes().contains(&END));
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(END);
        self
    }

    /// Any text, escaped and terminated: 0x00 becomes 0x00 0xff, the end is 0x00 0x01. Order is kept.
    pub(crate) fn text(mut self, text: &str) -> Self {
        push_escaped(&mut self.0, text.as_bytes());
        self
    }

    /// A number in fixed width.
    pub(crate) fn number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// A small number in fixed width.
    pub(crate) fn small(mut self, number: u32) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Bytes as they are: only as the last part.
    pub(crate) fn rest(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The key.
    pub(crate) fn key(self) -> Key {
        self.0
    }

    /// Every key that begins so.
    pub(crate) fn range(self) -> KeyRange {
        prefix_range(self.0)
    }
}

fn push_escaped(key: &mut Key, bytes: &[u8]) {
    for &byte in bytes {
        key.push(byte);
        if byte == END {
            key.push(0xff);
        }
    }
    key.extend_from_slice(&[END, 0x01]);
}

/// Reads an escaped text back: the text, and what follows it.
pub(crate) fn split_text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let mut text = Vec::new();
    let mut rest = bytes;
    loop {
        let (&byte, after) = rest.split_first()?;
        if byte != END {
            text.push(byte);
            rest = after;
            continue;
        }
        let (&escape, after) = after.split_first()?;
        rest = after;
        match escape {
            0xff => text.push(END),
            0x01 => return String::from_utf8(text).ok().map(|text| (text, rest)),
            _ => return None,
        }
    }
}

/// Reads a number back, and what follows it.
pub(crate) fn split_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*head), rest))
}

/// Every key that begins with `prefix`.
pub fn prefix_range(prefix: Key) -> KeyRange {
    let end = prefix_end(&prefix);
    KeyRange { start: prefix, end }
}

/// The first key after all that begin with `prefix`.
pub fn prefix_end(prefix: &[u8]) -> Option<Key> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// The key right after `key`.
pub fn successor(key: &[u8]) -> Key {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next
}

/// Everything that belongs to a merchant.
pub fn merchant_range(merchant: &MerchantId) -> KeyRange {
    let mut prefix = merchant.as_str().as_bytes().to_vec();
    prefix.push(END);
    prefix_range(prefix)
}

/// The entry of a merchant in the list of merchants.
pub fn merchant_entry(merchant: &MerchantId) -> Key {
    let mut key = vec![END, GLOBAL_MERCHANT];
    key.extend_from_slice(merchant.as_str().as_bytes());
    key
}

/// The list of merchants.
pub fn merchants_range() -> KeyRange {
    prefix_range(vec![END, GLOBAL_MERCHANT])
}

/// A record of the server.
pub(crate) fn host(merchant: Option<&MerchantId>, key: &str) -> Key {
    match merchant {
        Some(merchant) => KeyBuilder::new(merchant, Space::Host).rest(key.as_bytes()).key(),
        None => {
            let mut record = vec![END, GLOBAL_HOST];
            record.extend_from_slice(key.as_bytes());
            record
        }
    }
}

/// Where a plugin's table begins, for values or counters.
pub(crate) fn table(merchant: &MerchantId, space: Space, plugin: &PluginId, table: &str) -> KeyBuilder {
    KeyBuilder::new(merchant, space).name(plugin.as_str()).name(table)
}

/// The number of the current revision.
pub fn revision_head(merchant: &MerchantId) -> Key {
    KeyBuilder::new(merchant, Space::RevisionHead).key()
}

/// The journal of one invocation's attempt.
pub(crate) fn journal(merchant: &MerchantId, invocation: &InvocationId, attempt: u32) -> KeyBuilder {
    KeyBuilder::new(merchant, Space::Journal).text(invocation.as_str()).small(attempt)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn merchant(name: &str) -> MerchantId {
        MerchantId::new(name).unwrap()
    }

    fn contains(range: &KeyRange, key: &[u8]) -> bool {
        key >= range.start.as_slice() && range.end.as_ref().is_none_or(|end| key < end.as_slice())
    }

    #[test]
    fn spaces_never_overlap() {
        let m = merchant("m");
        let ranges: Vec<KeyRange> = SPACES.iter().map(|space| KeyBuilder::new(&m, *space).range()).collect();
        for pair in ranges.windows(2) {
            assert!(pair[0].end.as_ref().unwrap() <= &pair[1].start);
        }
        for range in &ranges {
            let all = merchant_range(&m);
            assert!(contains(&all, &range.start) && range.end.as_ref().unwrap() <= all.end.as_ref().unwrap());
        }
        assert_eq!(SPACES.len(), SPACES.iter().map(|s| *s as u8).collect::<std::collections::BTreeSet<_>>().len());
    }

    #[test]
    fn one_merchants_range_excludes_every_others() {
        for (a, b) in [("a", "ab"), ("a", "a-"), ("a", "a0"), ("shop", "shop-2"), ("z", "a")] {
            let (a, b) = (merchant(a), merchant(b));
            for space in SPACES {
                let key = KeyBuilder::new(&b, space).rest(&[0xff; 9]).key();
                assert!(!contains(&merchant_range(&a), &key));
                assert!(contains(&merchant_range(&b), &key));
            }
            assert!(!contains(&merchant_range(&a), &merchant_entry(&b)));
            assert!(!contains(&merchant_range(&a), &host(None, "x")));
        }
    }

    #[test]
    fn prefix_end_skips_trailing_ff() {
        assert_eq!(prefix_end(&[1, 0xff, 0xff]), Some(vec![2]));
        assert_eq!(prefix_end(&[0xff]), None);
        assert_eq!(prefix_end(&[]), None);
    }

    proptest! {
        #[test]
        fn escaping_keeps_order_and_reads_back(a in ".{0,8}", b in ".{0,8}", tail in proptest::collection::vec(any::<u8>(), 0..4)) {
            let m = merchant("m");
            let base = KeyBuilder::new(&m, Space::Queue).key().len();
            let (x, y) = (KeyBuilder::new(&m, Space::Queue).text(&a), KeyBuilder::new(&m, Space::Queue).text(&b));
            let x = x.rest(&tail).key();
            let y = y.rest(&tail).key();
            if a != b {
                prop_assert_eq!(a.as_bytes() < b.as_bytes(), x < y);
                prop_assert!(!y.starts_with(&KeyBuilder::new(&m, Space::Queue).text(&a).key()));
            }
            let (text, rest) = split_text(&x[base..]).unwrap();
            prop_assert_eq!(text, a);
            prop_assert_eq!(rest, &tail[..]);
        }

        #[test]
        fn tables_never_run_into_each_other(p in "[a-c]{1,3}", q in "[a-c]{1,3}", s in "[a-c]{1,3}", t in "[a-c]{1,3}", key in proptest::collection::vec(any::<u8>(), 0..6)) {
            let m = merchant("m");
            let (p, q) = (PluginId::new(&p).unwrap(), PluginId::new(&q).unwrap());
            let inside = table(&m, Space::Value, &p, &s).rest(&key).key();
            prop_assert_eq!(contains(&table(&m, Space::Value, &q, &t).range(), &inside), p == q && s == t);
        }
    }
}
