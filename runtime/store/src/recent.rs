//! What changed lately: key -> version of its last change, for validation. Memory is bounded: the oldest versions are
//! forgotten, and views older than what is remembered are refused. Not here: who commits when.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use kontor_core::store::{Key, KeyRange, ReadSet, Version};

/// Conflicting keys reported at most.
pub(crate) const CONFLICT_KEYS_MAX: usize = 16;
/// Changes newer than the view below which a range is compared with each of them, instead of walking the ordered map.
const WALK_CHANGES_MAX: u64 = 512;

/// How much is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecentLimits {
    /// Changes remembered at most.
    pub changes: usize,
    /// Bytes of their keys at most.
    pub key_bytes: usize,
}

impl Default for RecentLimits {
    /// 256 Ki changes or 32 MiB of keys: at 7,000 transactions/s of 7 writes about 5 s, far above an invocation's time.
    fn default() -> Self {
        Self { changes: 256 * 1024, key_bytes: 32 * 1024 * 1024 }
    }
}

/// Why a read set does not hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// These changed; `newest` is the version of the newest change among them.
    Conflict { keys: Vec<Key>, newest: Version },
    /// The view is from before what is remembered.
    TooOld,
}

/// What one commit changed.
#[derive(Debug)]
struct Change {
    version: Version,
    /// Changes remembered or forgotten before this one: how many are newer than a view is a subtraction.
    before: u64,
    keys: Vec<Arc<[u8]>>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Recent {
    newest_by_key: BTreeMap<Arc<[u8]>, Version>,
    changes: VecDeque<Change>,
    change_count: usize,
    change_total: u64,
    key_bytes: usize,
    floor: Version,
    /// The newest version of which every key is marked.
    complete: Version,
    limits: RecentLimits,
}

impl Recent {
    pub(crate) fn new(floor: Version, limits: RecentLimits) -> Self {
        Self {
            newest_by_key: BTreeMap::new(),
            changes: VecDeque::new(),
            change_count: 0,
            change_total: 0,
            key_bytes: 0,
            floor,
            complete: floor,
            limits,
        }
    }

    /// Views older than this cannot be validated.
    pub(crate) fn floor(&self) -> Version {
        self.floor
    }

    /// Changes remembered.
    pub(crate) fn len(&self) -> usize {
        self.change_count
    }

    /// Whether nothing that was read has changed after `view`.
    pub(crate) fn check(&self, view: Version, reads: &ReadSet) -> Result<(), Refusal> {
        if reads.points.is_empty() && reads.ranges.is_empty() {
            return Ok(());
        }
        if view < self.floor {
            return Err(Refusal::TooOld);
        }
        let newer_from = self.changes.partition_point(|change| change.version <= view);
        let Some(first_newer) = self.changes.get(newer_from) else {
            return Ok(());
        };
        let mut found = Found::default();
        for key in &reads.points {
            if let Some(version) = self.newest_by_key.get(key.as_slice())
                && *version > view
                && found.add(key, *version)
            {
                return found.into_result();
            }
        }
        let newer_changes = self.change_total - first_newer.before;
        for range in &reads.ranges {
            let full = if newer_changes <= WALK_CHANGES_MAX {
                self.check_range_by_changes(newer_from, range, &mut found)
            } else {
                self.check_range_by_key(view, range, &mut found)
            };
            if full {
                break;
            }
        }
        found.into_result()
    }

    /// Whether it is known that nothing newer than `version` changed `key`. A change is marked before it can be read, so what
    /// was read at `version` still stands if this is true.
    pub(crate) fn unchanged_since(&self, key: &[u8], version: Version) -> bool {
        version >= self.floor && self.newest_by_key.get(key).is_none_or(|newest| *newest <= version)
    }

    /// The same of everything that `reads` names; the newest version for which it is known.
    pub(crate) fn none_changed_since(&self, reads: &ReadSet, version: Version) -> Option<Version> {
        self.check(version, reads).ok()?;
        Some(self.complete.max(version))
    }

    /// Compares a range with each newer change. True when enough conflicts were found.
    fn check_range_by_changes(&self, newer_from: usize, range: &KeyRange, found: &mut Found) -> bool {
        for change in self.changes.range(newer_from..) {
            for key in &change.keys {
                if contains(range, key) && found.add(key, change.version) {
                    return true;
                }
            }
        }
        false
    }

    /// Walks the changed keys of a range in order. True when enough conflicts were found.
    fn check_range_by_key(&self, view: Version, range: &KeyRange, found: &mut Found) -> bool {
        if crate::engine::is_empty_range(range) {
            return false;
        }
        let end = match &range.end {
            Some(end) => Bound::Excluded(end.as_slice()),
            None => Bound::Unbounded,
        };
        let bounds = (Bound::Included(range.start.as_slice()), end);
        for (key, version) in self.newest_by_key.range::<[u8], _>(bounds) {
            if *version > view && found.add(key, *version) {
                return true;
            }
        }
        false
    }

    /// Every key of `version` is marked: what is unchanged now is unchanged at that version.
    pub(crate) fn complete(&mut self, version: Version) {
        self.complete = version;
    }

    /// Remembers that `version`, not older than any before, changes `keys`. Forgets the oldest when there are too many.
    pub(crate) fn mark<'a>(&mut self, version: Version, keys: impl Iterator<Item = &'a Key>) {
        let before = self.change_total;
        let mut marked = Vec::new();
        for key in keys {
            let key: Arc<[u8]> = Arc::from(key.as_slice());
            self.key_bytes += key.len();
            self.newest_by_key.insert(Arc::clone(&key), version);
            marked.push(key);
        }
        self.change_count += marked.len();
        self.change_total += marked.len() as u64;
        self.changes.push_back(Change { version, before, keys: marked });
        while self.change_count > self.limits.changes || self.key_bytes > self.limits.key_bytes {
            let Some(oldest) = self.changes.pop_front() else {
                return;
            };
            self.forget(oldest);
        }
    }

    fn forget(&mut self, change: Change) {
        self.floor = self.floor.max(change.version);
        self.change_count -= change.keys.len();
        for key in change.keys {
            self.key_bytes -= key.len();
            if self.newest_by_key.get(&key) == Some(&change.version) {
                self.newest_by_key.remove(&key);
            }
        }
    }
}

/// Conflicts found so far.
#[derive(Debug, Default)]
struct Found {
    keys: Vec<Key>,
    newest: Version,
}

impl Found {
    /// True when there are enough.
    fn add(&mut self, key: &[u8], version: Version) -> bool {
        self.newest = self.newest.max(version);
        if !self.keys.iter().any(|known| known == key) {
            self.keys.push(key.to_vec());
        }
        self.keys.len() >= CONFLICT_KEYS_MAX
    }

    fn into_result(self) -> Result<(), Refusal> {
        if self.keys.is_empty() { Ok(()) } else { Err(Refusal::Conflict { keys: self.keys, newest: self.newest }) }
    }
}

fn contains(range: &KeyRange, key: &[u8]) -> bool {
    key >= range.start.as_slice() && range.end.as_ref().is_none_or(|end| key < end.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: &str, end: Option<&str>) -> ReadSet {
        let range = KeyRange { start: start.into(), end: end.map(Into::into) };
        ReadSet { ranges: vec![range], ..ReadSet::default() }
    }

    fn points(keys: &[&str]) -> ReadSet {
        ReadSet { points: keys.iter().map(|key| Key::from(*key)).collect(), ..ReadSet::default() }
    }

    fn keys(names: &[&str]) -> Vec<Key> {
        names.iter().map(|key| Key::from(*key)).collect()
    }

    #[test]
    fn a_version_of_which_keys_are_still_to_be_marked_is_not_one_to_rely_on() {
        let mut recent = Recent::new(0, RecentLimits::default());
        let reads = points(&["z"]);
        recent.mark(1, keys(&["a"]).iter());
        recent.complete(1);
        recent.mark(2, keys(&["b"]).iter());
        assert_eq!(recent.none_changed_since(&reads, 0), Some(1), "2 may yet change it");
        recent.mark(2, keys(&["z"]).iter());
        recent.complete(2);
        assert_eq!((recent.none_changed_since(&reads, 1), recent.none_changed_since(&reads, 2)), (None, Some(2)));
        assert!(recent.check(1, &range("y", None)).is_err() && recent.check(1, &range("c", Some("y"))).is_ok());
    }

    #[test]
    fn points_and_ranges_conflict_with_newer_changes_only() {
        let mut recent = Recent::new(0, RecentLimits::default());
        recent.mark(1, keys(&["a", "m"]).iter());
        recent.mark(2, keys(&["b"]).iter());
        assert_eq!(recent.check(2, &points(&["a", "b", "m"])), Ok(()));
        assert_eq!(recent.check(1, &points(&["a", "m"])), Ok(()));
        let conflict = Refusal::Conflict { keys: keys(&["b"]), newest: 2 };
        assert_eq!(recent.check(1, &points(&["a", "b"])), Err(conflict));
        for (start, end, hit) in [
            ("a", Some("b"), false),
            ("a", Some("c"), true),
            ("b", None, true),
            ("c", None, false),
            ("c", Some("a"), false),
        ] {
            assert_eq!(recent.check(1, &range(start, end)).is_err(), hit, "{start}..{end:?}");
        }
    }

    #[test]
    fn both_ways_to_check_a_range_agree() {
        let mut recent = Recent::new(0, RecentLimits::default());
        for version in 1..=50_u64 {
            recent.mark(version, keys(&[&format!("k{:02}", version * 7 % 50)]).iter());
        }
        for view in 0..=50 {
            for start in 0..50 {
                let reads = range(&format!("k{start:02}"), Some(&format!("k{:02}", start + 3)));
                let mut by_key = Found::default();
                recent.check_range_by_key(view, &reads.ranges[0], &mut by_key);
                let newer_from = recent.changes.partition_point(|change| change.version <= view);
                let mut by_change = Found::default();
                recent.check_range_by_changes(newer_from, &reads.ranges[0], &mut by_change);
                by_key.keys.sort();
                by_change.keys.sort();
                assert_eq!(by_key.keys, by_change.keys, "view {view}, start {start}");
                assert_eq!(by_key.newest, by_change.newest);
            }
        }
    }

    #[test]
    fn memory_is_bounded_and_old_views_are_refused() {
        let mut recent = Recent::new(0, RecentLimits { changes: 10, key_bytes: 1_000 });
        for version in 1..=100 {
            recent.mark(version, keys(&["same", &format!("k{version}")]).iter());
        }
        assert_eq!(recent.len(), 10);
        assert_eq!(recent.floor(), 95);
        assert_eq!(recent.newest_by_key.len(), 6);
        assert_eq!(recent.check(94, &points(&["other"])), Err(Refusal::TooOld));
        assert!(!recent.unchanged_since(b"other", 94), "what is not remembered is not known");
        assert!(recent.unchanged_since(b"other", 95) && recent.unchanged_since(b"k96", 96));
        assert!(!recent.unchanged_since(b"k96", 95) && !recent.unchanged_since(b"same", 99));
        assert_eq!(recent.check(0, &ReadSet::default()), Ok(()), "who read nothing cannot have read something old");
        assert_eq!(recent.check(95, &points(&["k95"])), Ok(()));
        assert!(recent.check(95, &points(&["k96"])).is_err());
        assert!(recent.check(99, &points(&["same"])).is_err());
    }

    #[test]
    fn at_most_sixteen_keys_are_reported() {
        let mut recent = Recent::new(0, RecentLimits::default());
        let many: Vec<String> = (0..40).map(|n| format!("k{n:02}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        recent.mark(1, keys(&many).iter());
        for reads in [points(&many), range("k", None)] {
            match recent.check(0, &reads) {
                Err(Refusal::Conflict { keys, .. }) => assert_eq!(keys.len(), CONFLICT_KEYS_MAX),
                other => panic!("{other:?}"),
            }
        }
    }
}
