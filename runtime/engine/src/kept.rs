//! A bounded memory of what was answered. Not here: what makes two questions the same ([`crate::answers`], [`crate::responses`]), and
//! whether an answer still stands (the transaction knows).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Parts with a lock of their own.
const SHARDS: usize = 16;

/// What is kept, by a hash of the question. What was not asked for in a while is forgotten.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    shards: Vec<Mutex<Shard<T>>>,
    /// Of one generation of one shard.
    generation_bytes_max: usize,
    given: AtomicU64,
    kept: AtomicU64,
}

/// Two generations: what is asked for moves into the young one; when that is full, the old one is forgotten and takes its place.
#[derive(Debug)]
struct Shard<T> {
    young: HashMap<u64, Weighed<T>>,
    young_bytes: usize,
    old: HashMap<u64, Weighed<T>>,
}

/// With what it takes, bytes.
#[derive(Debug)]
struct Weighed<T> {
    content: Arc<T>,
    bytes: usize,
}

impl<T> Kept<T> {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let shard = || Shard { young: HashMap::new(), young_bytes: 0, old: HashMap::new() };
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(),
            generation_bytes_max: bytes_max / SHARDS / 2,
            given: AtomicU64::new(0),
            kept: AtomicU64::new(0),
        }
    }

    /// Answers given again, and answers kept, since the start.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.given.load(Ordering::Relaxed), self.kept.load(Ordering::Relaxed))
    }

    /// What is kept under this hash. The question may be another one all the same.
    pub(crate) fn find(&self, hash: u64) -> Option<Arc<T>> {
        let mut shard = self.shard(hash)?;
        if let Some(found) = shard.young.get(&hash) {
            return Some(Arc::clone(&found.content));
        }
        let found = shard.old.remove(&hash)?;
        let content = Arc::clone(&found.content);
        shard.insert(hash, found, self.generation_bytes_max);
        Some(content)
    }

    /// An answer was given again.
    pub(crate) fn given(&self) {
        self.given.fetch_add(1, Ordering::Relaxed);
    }

    /// Keeps `content`, which takes so many `bytes`, in the place of an earlier one.
    pub(crate) fn keep(&self, hash: u64, content: T, bytes: usize) {
        let content = Weighed { content: Arc::new(content), bytes };
        if let Some(mut shard) = self.shard(hash) {
            shard.insert(hash, content, self.generation_bytes_max);
            self.kept.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn shard(&self, hash: u64) -> Option<MutexGuard<'_, Shard<T>>> {
        let shard = self.shards.get(hash as usize % SHARDS)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Shard<T> {
    fn insert(&mut self, hash: u64, content: Weighed<T>, bytes_max: usize) {
        self.young_bytes += content.bytes;
        if let Some(replaced) = self.young.insert(hash, content) {
            self.young_bytes -= replaced.bytes;
        }
        if self.young_bytes > bytes_max {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_outlives_what_is_not() {
        // Room for four in each generation of a shard; these hashes share one.
        let kept = Kept::new(4 * 10 * SHARDS * 2);
        let hash = |number: u64| number * SHARDS as u64;
        for number in 0..12 {
            kept.keep(hash(number), number, 10);
            assert_eq!(kept.find(hash(0)).as_deref(), Some(&0), "after {number}");
        }
        assert_eq!(kept.find(hash(1)), None);
        assert_eq!(kept.find(hash(11)).as_deref(), Some(&11));
        assert_eq!(kept.counts(), (0, 12));
    }

    #[test]
    fn a_later_answer_takes_the_place_of_an_earlier_one() {
        let kept = Kept::new(1_000);
        for number in 0..100 {
            kept.keep(7, number, 10);
            assert_eq!(kept.find(7).as_deref(), Some(&number));
        }
    }
}
