//! A ledger whose state shows what a crash did. An entry is written together with two counters, an event and a job; the event's
//! handler and the job count how often they ran for it. Whatever is lost, half there or done twice shows in `/state`.

use kontor_sdk::http::{Json, Result, Router, StatusCode};
use kontor_sdk::{Counter, Error, Event, EventType, HandlerError, Job, JobType, Plugin, Table, config};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    amount: i64,
    text: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Written {
    id: u64,
}

#[derive(Deserialize)]
struct Config {
    label: String,
}

const ENTRIES: Table<u64, Entry> = Table::new("entries");
/// How often the event of an entry was handled, and its job run.
const HANDLED: Table<u64, u32> = Table::new("handled");
const SETTLED: Table<u64, u32> = Table::new("settled");
/// What the tables must add up to.
const TOTALS: Counter<String> = Counter::new("totals");
const WRITTEN: EventType<Written> = EventType::new("kontor.conformance.entry-written.v1");
const SETTLE: JobType<Written> = JobType::new("settle");

/// Queues of events: in each the order is kept.
const QUEUES: u64 = 4;

/// The text of an entry, so that one that was mixed with another's or cut short is seen.
fn text_of(id: u64, length: usize) -> String {
    (0..length as u64).map(|place| char::from(b'a' + ((id.wrapping_mul(31) + place * 7) % 26) as u8)).collect()
}

/// The plugin.
#[derive(Debug)]
pub struct Ledger;

impl Plugin for Ledger {
    fn routes() -> Router {
        Router::new().post("/entries", write).get("/state", state)
    }

    fn event(event: Event) -> Result<(), HandlerError> {
        if let Some(written) = WRITTEN.read(&event)? {
            HANDLED.put(written.id, &(HANDLED.get(written.id)?.unwrap_or(0) + 1))?;
            TOTALS.add("handled", 1)?;
        }
        Ok(())
    }

    fn job(job: Job) -> Result<(), HandlerError> {
        if let Some(written) = SETTLE.read(&job)? {
            SETTLED.put(written.id, &(SETTLED.get(written.id)?.unwrap_or(0) + 1))?;
            TOTALS.add("settled", 1)?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct NewEntry {
    id: u64,
    amount: i64,
    length: usize,
}

fn write(Json(new): Json<NewEntry>) -> Result<StatusCode> {
    if !ENTRIES.insert(new.id, &Entry { amount: new.amount, text: text_of(new.id, new.length) })? {
        return Err(Error::conflict(format!("The entry {} is there already.", new.id)));
    }
    TOTALS.add("amount", new.amount)?;
    TOTALS.add("entries", 1)?;
    WRITTEN.emit(&format!("queue-{}", new.id % QUEUES), &Written { id: new.id })?;
    SETTLE.enqueue(&Written { id: new.id }).key(&new.id.to_string()).send()?;
    Ok(StatusCode::CREATED)
}

#[derive(Serialize)]
struct Shown {
    id: u64,
    amount: i64,
    length: usize,
    whole: bool,
}

#[derive(Serialize)]
struct State {
    label: String,
    entries: Vec<Shown>,
    handled: Vec<(u64, u32)>,
    settled: Vec<(u64, u32)>,
    total_amount: i64,
    total_entries: i64,
    total_handled: i64,
    total_settled: i64,
}

fn state() -> Result<Json<State>> {
    let shown = |(id, entry): (u64, Entry)| {
        let length = entry.text.len();
        Shown { id, amount: entry.amount, length, whole: entry.text == text_of(id, length) }
    };
    Ok(Json(State {
        label: config::get::<Config>()?.label,
        entries: ENTRIES.scan().entries()?.into_iter().map(shown).collect(),
        handled: HANDLED.scan().entries()?,
        settled: SETTLED.scan().entries()?,
        total_amount: TOTALS.get("amount")?,
        total_entries: TOTALS.get("entries")?,
        total_handled: TOTALS.get("handled")?,
        total_settled: TOTALS.get("settled")?,
    }))
}

kontor_sdk::export!(Ledger);
