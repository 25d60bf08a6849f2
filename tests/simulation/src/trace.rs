//! What happened in a run: a digest of all of it, by which two runs are compared, and on demand the lines themselves.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lines kept when nobody asked for all: what a failure is printed with.
const TAIL_LINES: usize = 40;

/// See the module.
#[derive(Debug)]
pub(crate) struct Trace(Mutex<State>);

#[derive(Debug)]
struct State {
    digest: u64,
    lines: std::collections::VecDeque<String>,
    keep_all: bool,
}

impl Trace {
    pub(crate) fn new(keep_all: bool) -> Self {
        Self(Mutex::new(State { digest: 0xcbf2_9ce4_8422_2325, lines: Default::default(), keep_all }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something that counts for the digest and is too frequent to be told.
    pub(crate) fn count(&self, what: u64) {
        self.state().mix(&what.to_le_bytes());
    }

    /// Something worth a line.
    pub(crate) fn note(&self, at_ms: u64, line: fmt::Arguments<'_>) {
        let line = format!("{at_ms} {line}");
        let mut state = self.state();
        state.mix(line.as_bytes());
        if !state.keep_all && state.lines.len() == TAIL_LINES {
            state.lines.pop_front();
        }
        state.lines.push_back(line);
    }

    pub(crate) fn digest(&self) -> u64 {
        self.state().digest
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.state().lines.iter().cloned().collect()
    }
}

impl State {
    /// FNV-1a.
    fn mix(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
