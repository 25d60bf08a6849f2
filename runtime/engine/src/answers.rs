//! Answers of service calls that may be given again. A call whose outcome depends on nothing but its parameters, the revision and what
//! it read from the store needs no second execution while nothing of that has changed: the store knows what changed. So plugins may
//! ask one another as often as they like, and nobody keeps copies that grow stale. Not here: what an answer depends on
//! ([`kontor_core::transaction::Reliance`]), when a call is fit ([`crate::service`]), and how much is kept ([`crate::kept`]).

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use kontor_core::transaction::Reliance;
use rustc_hash::FxHasher;
use wasmtime::component::Val;

use crate::kept::Kept;
use crate::limits::ANSWER_BYTES_MAX;

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
        let mut hasher = FxHasher::default();
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
}

/// The answers of all merchants.
pub(crate) type Answers = Kept<Answer>;

impl Answers {
    /// What was answered to this question. Whether it still stands is to be asked of the transaction.
    pub(crate) fn answer(&self, question: &Question, params: &[Val]) -> Option<Arc<Answer>> {
        self.find(question.hash).filter(|answer| answer.function == question.function && answer.params == params)
    }

    /// Keeps an answer. False if it is too large, or holds what cannot be compared.
    pub(crate) fn keep_answer(&self, question: &Question, params: &[Val], results: &[Val], reliance: Reliance) -> bool {
        let (mut hasher, mut bytes) = (FxHasher::default(), question.bytes + reliance.bytes());
        for value in results {
            if walk(value, &mut hasher, &mut bytes).is_none() {
                return false;
            }
        }
        let answer =
            Answer { function: question.function, params: params.to_vec(), results: results.to_vec(), reliance };
        self.keep(question.hash, answer, bytes);
        true
    }
}

/// Hashes a value and adds up what it takes. None if it is too much in all, or cannot be compared.
fn walk(value: &Val, hasher: &mut FxHasher, bytes: &mut usize) -> Option<()> {
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

fn walk_some(value: Option<&Val>, hasher: &mut FxHasher, bytes: &mut usize) -> Option<()> {
    value.is_some().hash(hasher);
    value.map_or(Some(()), |value| walk(value, hasher, bytes))
}
