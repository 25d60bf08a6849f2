//! Misbehaves in every way there is: loops, allocates, overflows its stack, floods events and the store, traps. Each is stopped by the
//! host; the bench measures what the neighbours notice of it.

use std::hint::black_box;

use kontor_sdk::http::{NoContent, Result, Router};
use kontor_sdk::{Plugin, Table, events};

const SCRIBBLES: Table<u32, String> = Table::new("scribbles");

/// The plugin.
#[derive(Debug)]
pub struct Hostile;

impl Plugin for Hostile {
    fn routes() -> Router {
        Router::new()
            .post("/spin", spin)
            .post("/hog", hog)
            .post("/overflow", overflow)
            .post("/flood", flood)
            .post("/scribble", scribble)
            .post("/panic", panic)
    }
}

/// Loops until its fuel is used up.
fn spin() -> NoContent {
    let mut turns = 0_u64;
    while black_box(turns) != u64::MAX {
        turns += 1;
    }
    NoContent
}

/// Takes memory, and touches it, until it gets no more.
fn hog() -> NoContent {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    loop {
        taken.push(black_box(vec![1; 64 * 1024]));
    }
}

/// Calls itself until the stack is used up.
fn overflow() -> NoContent {
    black_box(deeper(1));
    NoContent
}

#[expect(unconditional_recursion, reason = "this is what the route is for")]
fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    deeper(depth + 1) + frame.iter().sum::<u64>()
}

/// Emits more events than are allowed, and commits none.
fn flood() -> Result<NoContent> {
    for number in 0_u32..10_000 {
        events::emit("kontor.bench.flood.v1", &number.to_string(), &"x".repeat(1_000))?;
    }
    Ok(NoContent)
}

/// Commits as much as one invocation may write.
fn scribble() -> Result<NoContent> {
    for number in 0..2_000 {
        SCRIBBLES.put(number, &"x".repeat(1_000))?;
    }
    Ok(NoContent)
}

#[expect(clippy::panic, reason = "this is what the route is for")]
fn panic() -> NoContent {
    panic!("as asked");
}

kontor_sdk::export!(Hostile);
