//! Keeps what checkers of isolation and delivery read: lists to which transactions append, and every event that was delivered, in
//! the order of delivery per key. A delivery may be told to fail after it was written down: then it must leave no trace.

use kontor_sdk::http::{Json, Result, Router};
use kontor_sdk::{Event, HandlerError, Plugin, Table, config, random};
use serde::{Deserialize, Serialize};

const LISTS: Table<String, Vec<u64>> = Table::new("lists");
/// Ids of events by their key.
const DELIVERIES: Table<String, Vec<String>> = Table::new("deliveries");

#[derive(Deserialize)]
struct Config {
    failures_per_256: u8,
}

/// What a transaction does, in order: `{"append": ["x", 3]}` or `{"read": "x"}`.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Operation {
    Append(String, u64),
    Read(String),
}

/// What an operation found; nothing for an append.
#[derive(Serialize)]
struct Outcome {
    read: Option<Vec<u64>>,
}

/// The plugin.
#[derive(Debug)]
pub struct Witness;

impl Plugin for Witness {
    fn routes() -> Router {
        Router::new().post("/transactions", transact).get("/lists", lists).get("/deliveries", deliveries)
    }

    fn event(event: Event) -> Result<(), HandlerError> {
        let mut told = DELIVERIES.get(&event.key)?.unwrap_or_default();
        told.push(event.id.clone());
        DELIVERIES.put(&event.key, &told)?;
        let [draw] = random::array::<1>();
        match draw < config::get::<Config>()?.failures_per_256 {
            true => Err(HandlerError::retry("fails as configured")),
            false => Ok(()),
        }
    }
}

fn transact(Json(operations): Json<Vec<Operation>>) -> Result<Json<Vec<Outcome>>> {
    let mut outcomes = Vec::with_capacity(operations.len());
    for operation in operations {
        outcomes.push(match operation {
            Operation::Append(key, value) => {
                let mut list = LISTS.get(&key)?.unwrap_or_default();
                list.push(value);
                LISTS.put(&key, &list)?;
                Outcome { read: None }
            }
            Operation::Read(key) => Outcome { read: Some(LISTS.get(&key)?.unwrap_or_default()) },
        });
    }
    Ok(Json(outcomes))
}

/// Each key with what belongs to it, in order.
type ByKey<T> = Vec<(String, Vec<T>)>;

fn lists() -> Result<Json<ByKey<u64>>> {
    Ok(Json(LISTS.scan().entries()?))
}

fn deliveries() -> Result<Json<ByKey<String>>> {
    Ok(Json(DELIVERIES.scan().entries()?))
}

kontor_sdk::export!(Witness);
