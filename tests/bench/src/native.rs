//! The native server that the host is compared with: axum, answering with the same record from memory. It is what a programmer would
//! write without plugins, transactions and a disk.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;

use anyhow::Result;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

/// The same as the probe's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) tags: Vec<String>,
}

/// The record with this number.
pub(crate) fn record(number: u32) -> Record {
    Record {
        id: format!("record-{number}"),
        title: format!("A record of some use, number {number}"),
        description:
            "What it is good for is said in a sentence or two, as it would be of anything that someone wants to \
                      know something about before taking it."
                .to_owned(),
        amount_minor: 1_990 + i64::from(number),
        currency: "EUR".to_owned(),
        tags: vec!["useful".to_owned(), "small".to_owned(), "blue".to_owned()],
    }
}

type Records = Arc<HashMap<String, Record>>;

async fn read(State(records): State<Records>, Path(id): Path<String>) -> Result<Json<Record>, StatusCode> {
    records.get(&id).cloned().map(Json).ok_or(StatusCode::NOT_FOUND)
}

/// Serves until the process is ended. Prints the address first.
pub(crate) fn run(records: u32) -> Result<()> {
    let records: Records = Arc::new((0..records).map(record).map(|record| (record.id.clone(), record)).collect());
    let app = Router::new().route("/records/{id}", get(read)).with_state(records);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let mut out = std::io::stdout();
        writeln!(out, "{}", listener.local_addr()?)?;
        out.flush()?;
        // As the host does. Without it an answer to a pipelined request waits for the client's delayed acknowledgement of the one
        // before.
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            // A connection that is gone already fails when it is read.
            let _gone = stream.set_nodelay(true);
        });
        axum::serve(listener, app).await?;
        Ok(())
    })
}
