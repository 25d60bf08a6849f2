//! What the bench measures the host with: a handler that does nothing, one that reads a record and answers JSON, and ones that
//! call another plugin's service as often as they are told.

use kontor_sdk::http::{Json, NoContent, Path, Result, Router};
use kontor_sdk::{Error, Plugin, Table};
use serde::{Deserialize, Serialize};

kontor_sdk::services! {
    mod bindings;
    path: "../echo/wit",
    world: "
        package kontor:bench-probe;
        world probe {
            import kontor:bench/echo@0.1.0;
        }
    ",
}

use bindings::kontor::bench::echo::{self, EchoError, Item, Parcel};

/// What is read: some 300 bytes of JSON, like a small product. The native server that the bench compares with has the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its name.
    pub id: String,
    /// A line of text.
    pub title: String,
    /// A paragraph.
    pub description: String,
    /// In minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// Some words.
    pub tags: Vec<String>,
}

const RECORDS: Table<String, Record> = Table::new("records");

/// The plugin.
#[derive(Debug)]
pub struct Probe;

impl Plugin for Probe {
    fn routes() -> Router {
        Router::new()
            .get("/empty", empty)
            .get("/records/{id}", read)
            .put("/records/{id}", write)
            .post("/calls/number/{times}", call_number)
            .post("/calls/parcel/{times}", call_parcel)
    }
}

fn empty() -> NoContent {
    NoContent
}

fn read(Path(id): Path<String>) -> Result<Json<Record>> {
    RECORDS.get(&id)?.map(Json).ok_or_else(|| Error::not_found(format!("There is no record `{id}`.")))
}

fn write(Path(id): Path<String>, Json(record): Json<Record>) -> Result<NoContent> {
    RECORDS.put(&id, &record)?;
    Ok(NoContent)
}

fn refused(error: EchoError) -> Error {
    Error::bad_gateway(error.to_string())
}

fn call_number(Path(times): Path<i64>) -> Result<NoContent> {
    for value in 0..times {
        if echo::number(value).map_err(refused)? != value {
            return Err(Error::internal("The echo was another number."));
        }
    }
    Ok(NoContent)
}

fn call_parcel(Path(times): Path<i64>) -> Result<NoContent> {
    let parcel = Parcel {
        id: "0190c5a0-0000-7000-8000-000000000000".to_owned(),
        currency: "EUR".to_owned(),
        items: (0..3_i64)
            .map(|number| Item {
                code: format!("CODE-{number}"),
                title: "A thing of some use, blue".to_owned(),
                count: number + 1,
                amount_minor: 1_990,
            })
            .collect(),
    };
    for _ in 0..times {
        let back = echo::send(&parcel).map_err(refused)?;
        if back.items.len() != parcel.items.len() {
            return Err(Error::internal("The echo was another parcel."));
        }
    }
    Ok(NoContent)
}

kontor_sdk::export!(Probe);
