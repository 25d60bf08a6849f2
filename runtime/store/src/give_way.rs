//! Large commits let others onto the processor now and then. The committer is a thread like those that answer requests: a commit of
//! some thousand entries takes it milliseconds, and whoever became ready on the same processor meanwhile would wait for all of them. A
//! small one does not pause: many wait for it. Not here: in which order commits are made.

use std::thread;

/// Entries after which the processor is offered to others; a commit with fewer is a small one.
const ENTRIES: usize = 256;

/// Offers the processor after every so many entries; `done` counts them.
pub(crate) fn while_at(done: usize) {
    if done % ENTRIES == ENTRIES - 1 {
        thread::yield_now();
    }
}

/// Offers the processor between two steps of a large commit.
pub(crate) fn between_steps(entries: usize) {
    if entries >= ENTRIES {
        thread::yield_now();
    }
}
