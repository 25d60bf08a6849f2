//! Answers of service calls that may be given again. A call whose outcome depends on nothing but its parameters, the revision and what
//! it read from the store needs no second execution while nothing of that has changed: the store knows what changed. So plugins may
//! ask one another as often as they like, and nobody keeps copies that grow stale. Not here: what an answer depends on
//! ([`kontor_core::transaction::Reliance`]), and when a call is fit ([`crate::execution`]).

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kontor_core::transaction::Reliance;
use wasmtime::component::Val;

use crate::limits::{ANSWER_BYTES_MAX, ANSWERS_IN_VAIN_MAX, UNFIT_CALLS_SKIPPED, VAIN_CALLS_SKIPPED};

/// Parts with a lock of their own.
const SHARDS: usize = 16;
/// What a value of reflection takes besides its text, bytes: itself, its field's name and what the allocator adds.
const VALUE_BYTES: usize = 96;

/// Which function is asked, of a plan (and so of a merchant and a revision), by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Function {
    /// [`crate::plan::Plan::number`].
    pub(crate) plan: u64,
    /// Position of the caller in the plan: who calls is something that a plugin may ask for.
    pub(crate) caller: usize,
    /// The caller's import, by its position.
    pub(crate) service: usize,
    /// The function of the import.
    pub(crate) function: usize,
}

/// A function with its parameters.
#[derive(Debug)]
pub(crate) struct Question {
    function: Function,
    hash: u64,
    bytes: usize,
}

impl Question {
    /// None if the parameters are too large, or hold what cannot be compared.
    pub(crate) fn new(function: Function, params: &[Val]) -> Option<Self> {
        // Without a seed: what is kept is then the same in every simulation. Who finds collisions harms what is kept, not what is right.
        let mut hasher = DefaultHasher::new();
        function.hash(&mut hasher);
        let mut bytes = 0;
        for value in params {
            walk(value, &mut hasher, &mut bytes)?;
        }
        Some(Self { function, hash: hasher.finish(), bytes })
    }
}

/// What was answered, and on what that depends.
#[derive(Debug)]
pub(crate) struct Answer {
    function: Function,
    params: Vec<Val>,
    pub(crate) results: Vec<Val>,
    pub(crate) reliance: Reliance,
    bytes: usize,
}

/// The answers of all merchants, of bounded size: those not asked for in a while are forgotten.
#[derive(Debug)]
pub(crate) struct Answers {
    shards: Vec<Mutex<Shard>>,
    /// Of one generation of one shard.
    generation_bytes_max: usize,
    given: AtomicU64,
    kept: AtomicU64,
}

/// Two generations: what is asked for moves into the young one; when that is full, the old one is forgotten and takes its place.
#[derive(Debug, Default)]
struct Shard {
    young: HashMap<u64, Arc<Answer>>,
    young_bytes: usize,
    old: HashMap<u64, Arc<Answer>>,
}

impl Answers {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            generation_bytes_max: bytes_max / SHARDS / 2,
            given: AtomicU64::new(0),
            kept: AtomicU64::new(0),
        }
    }

    /// Answers given again, and answers kept, since the start.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.given.load(Ordering::Relaxed), self.kept.load(Ordering::Relaxed))
    }

    /// What was answered to this question. Whether it still stands is to be asked of the transaction.
    pub(crate) fn find(&self, question: &Question, params: &[Val]) -> Option<Arc<Answer>> {
        let mut shard = self.shard(question.hash)?;
        let answer = match shard.young.get(&question.hash) {
            Some(answer) => Arc::clone(answer),
            None => {
                let answer = shard.old.remove(&question.hash)?;
                shard.insert(question.hash, Arc::clone(&answer), self.generation_bytes_max);
                answer
            }
        };
        drop(shard);
        (answer.function == question.function && answer.params == params).then_some(answer)
    }

    /// An answer was given again.
    pub(crate) fn given(&self) {
        self.given.fetch_add(1, Ordering::Relaxed);
    }

    /// Keeps an answer in the place of an earlier one. False if it is too large, or holds what cannot be compared.
    pub(crate) fn keep(&self, question: &Question, params: &[Val], results: &[Val], reliance: Reliance) -> bool {
        let (mut hasher, mut bytes) = (DefaultHasher::new(), question.bytes + reliance.bytes());
        for value in results {
            if walk(value, &mut hasher, &mut bytes).is_none() {
                return false;
            }
        }
        let answer =
            Answer { function: question.function, params: params.to_vec(), results: results.to_vec(), reliance, bytes };
        let Some(mut shard) = self.shard(question.hash) else {
            return false;
        };
        shard.insert(question.hash, Arc::new(answer), self.generation_bytes_max);
        drop(shard);
        self.kept.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn shard(&self, hash: u64) -> Option<MutexGuard<'_, Shard>> {
        let shard = self.shards.get(hash as usize % SHARDS)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shard {
    fn insert(&mut self, hash: u64, answer: Arc<Answer>, bytes_max: usize) {
        self.young_bytes += answer.bytes;
        if let Some(replaced) = self.young.insert(hash, answer) {
            self.young_bytes -= replaced.bytes;
        }
        if self.young_bytes > bytes_max {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

/// Whether trying to keep a function's answers is worth it, learnt from the calls before.
#[derive(Debug, Default)]
pub(crate) struct Habit {
    /// Calls to come that are not tried.
    skip: AtomicU32,
    /// Answers kept since one was given again.
    in_vain: AtomicU32,
}

impl Habit {
    /// Whether to try with this call.
    pub(crate) fn tries(&self) -> bool {
        let skipped = self.skip.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        skipped.is_err()
    }

    /// The answer was given again.
    pub(crate) fn paid(&self) {
        self.in_vain.store(0, Ordering::Relaxed);
    }

    /// The call was not fit: it did something, or depended on what only it can know.
    pub(crate) fn unfit(&self) {
        self.skip.store(UNFIT_CALLS_SKIPPED, Ordering::Relaxed);
    }

    /// An answer was kept.
    pub(crate) fn kept(&self) {
        if self.in_vain.fetch_add(1, Ordering::Relaxed) >= ANSWERS_IN_VAIN_MAX {
            self.in_vain.store(0, Ordering::Relaxed);
            self.skip.store(VAIN_CALLS_SKIPPED, Ordering::Relaxed);
        }
    }
}

/// Hashes a value and adds up what it takes. None if it is too much in all, or cannot be compared.
fn walk(value: &Val, hasher: &mut DefaultHasher, bytes: &mut usize) -> Option<()> {
    *bytes += VALUE_BYTES;
    if *bytes > ANSWER_BYTES_MAX {
        return None;
    }
    std::mem::discriminant(value).hash(hasher);
    match value {
        Val::Bool(value) => value.hash(hasher),
        Val::S8(value) => value.hash(hasher),
        Val::U8(value) => value.hash(hasher),
        Val::S16(value) => value.hash(hasher),
        Val::U16(value) => value.hash(hasher),
        Val::S32(value) => value.hash(hasher),
        Val::U32(value) => value.hash(hasher),
        Val::S64(value) => value.hash(hasher),
        Val::U64(value) => value.hash(hasher),
        Val::Float32(value) => value.to_bits().hash(hasher),
        Val::Float64(value) => value.to_bits().hash(hasher),
        Val::Char(value) => value.hash(hasher),
        Val::String(text) | Val::Enum(text) => {
            *bytes += text.len();
            text.hash(hasher);
        }
        Val::List(values) | Val::Tuple(values) => {
            values.len().hash(hasher);
            for value in values {
                walk(value, hasher, bytes)?;
            }
        }
        // The names of fields are the type's, which is the same for one function.
        Val::Record(fields) => {
            for (name, value) in fields {
                *bytes += name.len();
                walk(value, hasher, bytes)?;
            }
        }
        Val::Variant(case, value) => {
            *bytes += case.len();
            case.hash(hasher);
            walk_some(value.as_deref(), hasher, bytes)?;
        }
        Val::Option(value) => walk_some(value.as_deref(), hasher, bytes)?,
        Val::Result(Ok(value) | Err(value)) => walk_some(value.as_deref(), hasher, bytes)?,
        Val::Flags(names) => {
            for name in names {
                *bytes += name.len();
                name.hash(hasher);
            }
        }
        // Maps, resources, streams and futures: not in service interfaces.
        _ => return None,
    }
    (*bytes <= ANSWER_BYTES_MAX).then_some(())
}

fn walk_some(value: Option<&Val>, hasher: &mut DefaultHasher, bytes: &mut usize) -> Option<()> {
    value.is_some().hash(hasher);
    value.map_or(Some(()), |value| walk(value, hasher, bytes))
}
