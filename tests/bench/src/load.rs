//! What the client process is told to do, and what it tells of it. Both go through its standard streams as JSON.

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::measure::Quantiles;

/// Load to put on a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Load {
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
    /// Each with a connection of its own, one request under way at a time (or `pipeline` of them).
    pub(crate) clients: usize,
    pub(crate) seconds: f64,
    pub(crate) seed: u64,
    pub(crate) work: Work,
}

/// What each client does, over and over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    /// One of these requests, by chance.
    Requests {
        requests: Vec<Request>,
        /// Requests sent before the first answer is read.
        pipeline: usize,
        /// Requests a second, all clients together, whether or not answers come; `None`: the next as soon as an answer is there.
        rate: Option<f64>,
        /// Whether answers other than 2xx are expected.
        errors_expected: bool,
    },
    /// A whole order in the web shop: new cart, line, address, shipping options, choice, placing.
    Orders {
        /// Prefix of the shop's API.
        api: String,
        skus: Vec<String>,
        /// Of the Zipf distribution that articles are chosen by; 0: all alike.
        alpha: f64,
    },
}

/// Where the client writes the number of a visit, as many hexadecimal digits.
pub(crate) const VISIT_PLACE: &str = "0000visit-number";

/// A request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Option<String>,
}

impl Request {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: "GET".to_owned(), path: path.into(), body: None }
    }

    /// Asked as a question that was never asked before: with a parameter that has another value each time.
    pub(crate) fn get_anew(path: impl Into<String>) -> Self {
        let path: String = path.into();
        let separator = if path.contains('?') { '&' } else { '?' };
        Self::get(format!("{path}{separator}visit={VISIT_PLACE}"))
    }

    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self { method: "POST".to_owned(), path: path.into(), body: Some(String::new()) }
    }
}

/// What the client saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// From the first request to the last answer.
    pub(crate) seconds: f64,
    /// Requests that were answered as expected.
    pub(crate) requests: u64,
    /// Orders that were acknowledged.
    pub(crate) orders: u64,
    /// What went wrong, with how often.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Of a request (from when it was due, if there is a rate), or of a whole order. Microseconds.
    pub(crate) latency_us: Quantiles,
    /// CPU that the client itself used.
    pub(crate) client_cpu_seconds: f64,
}

impl Seen {
    pub(crate) fn requests_per_second(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    pub(crate) fn orders_per_second(&self) -> f64 {
        self.orders as f64 / self.seconds
    }
}

/// Runs a client process to its end. Any answer that was not expected is an error: then the numbers mean nothing.
pub(crate) async fn put(load: &Load) -> Result<Seen> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("client")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("the client process cannot be started")?;
    let mut stdin = child.stdin.take().context("the client has no standard input")?;
    stdin.write_all(&serde_json::to_vec(load)?).await?;
    drop(stdin);
    let output = child.wait_with_output().await?;
    if !output.status.success() {
        bail!("the client process failed: {}", output.status);
    }
    let seen: Seen = serde_json::from_slice(&output.stdout).context("the client said nothing that can be read")?;
    if let Some((error, times)) = seen.errors.iter().next() {
        bail!("{times} requests went wrong, such as: {error}");
    }
    Ok(seen)
}
