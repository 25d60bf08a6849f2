//! A plugin that misbehaves in every way it can. Each way writes first: what it wrote must never be seen.

use std::hint::black_box;

use kontor_sdk::http::{Json, Path, Response, Result, Router};
use kontor_sdk::{Counter, Error, Event, HandlerError, Plugin, Table, events};

kontor_sdk::services! {
    mod bindings;
    path: "../hello/wit",
    world: "
        package kontor:conformance-hostile;
        world hostile {
            import kontor:conformance/greeting@0.1.0;
        }
    ",
}

use bindings::kontor::conformance::greeting;

const TRACES: Table<String, String> = Table::new("traces");
const TRIES: Counter<String> = Counter::new("tries");
const FLOOD: &str = "kontor.conformance.flooded.v1";

/// The plugin.
#[derive(Debug)]
pub struct Hostile;

impl Plugin for Hostile {
    fn routes() -> Router {
        Router::new().post("/do/{what}", misbehave).get("/traces", traces)
    }

    /// Never called: nothing that emits its event is allowed to commit.
    fn event(event: Event) -> Result<(), HandlerError> {
        TRACES.put(format!("event {}", event.key), &"was seen".to_owned())?;
        Ok(())
    }
}

fn misbehave(Path(what): Path<String>) -> Result<Response> {
    TRACES.put(&what, &"was here".to_owned())?;
    TRIES.add(&what, 1)?;
    events::emit(FLOOD, &what, &"was here")?;
    match what.as_str() {
        "loop" => spin(),
        "allocate" => hoard(),
        "overflow" => {
            black_box(dig(0));
        }
        "flood" => loop {
            // Told that there were enough, it goes on.
            let _ = events::emit(FLOOD, &what, &"again");
        },
        "scribble" => loop {
            let _ = TRACES.put(&what, &"x".repeat(200_000));
        },
        "nonsense" => return Ok(Response::new(42, "not a type\n", "").with_header("not a header\n", "\u{0}")),
        "trap" => trap(),
        "trap-in-a-nested-call" => {
            // The provider writes, then breaks; then so does this one.
            let _ = greeting::explode(&what);
            trap();
        }
        _ => return Err(Error::not_found(format!("`{what}` is not how this plugin misbehaves."))),
    }
    Ok(Response::new(200, "text/plain", "what?"))
}

fn spin() {
    let mut number = 0_u64;
    loop {
        number = black_box(number.wrapping_add(1));
    }
}

fn hoard() {
    let mut hoard = Vec::new();
    loop {
        hoard.push(vec![1_u8; 1 << 20]);
        black_box(&hoard);
    }
}

/// Deep, with small frames: the sandbox's stack ends before the guest's own (which lies in its memory) does.
fn dig(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX { 0 } else { dig(depth + 1) + 1 }
}

#[expect(clippy::panic, reason = "this is what the function is for")]
fn trap() {
    panic!("as intended");
}

/// What misbehaviour left behind: must be nothing.
fn traces() -> Result<Json<Vec<String>>> {
    Ok(Json(TRACES.scan().keys()?))
}

kontor_sdk::export!(Hostile);
