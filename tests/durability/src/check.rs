//! What must be in a host, going by what it acknowledged, and the look whether it is.
//!
//! A request that was answered is *acknowledged*; one that was cut off is *open*: it happened wholly or not at all. Besides what was
//! acknowledged, whatever is there must add up: an entry, the counters, its event and its job are one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::Client;

/// The merchant of the suites.
pub const MERCHANT: &str = "acme";
/// Events and jobs that are not done by then are lost.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(20);

/// An entry as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What is added to the total.
    pub amount: i64,
    /// Of its text.
    pub length: usize,
}

impl Entry {
    /// The entry with this id: all of it follows from the id.
    pub fn of(id: u64) -> Self {
        let amount = i64::try_from(id % 1_000).unwrap_or_default() - 300;
        // Mostly small, some of several pages.
        let length = if id.is_multiple_of(5) { (id * 7_919 % 20_000) as usize } else { (id % 300) as usize };
        Self { amount, length }
    }
}

/// What a host acknowledged, and what it may have done.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    merchant: bool,
    /// Acknowledged entries and open ones.
    entries: BTreeSet<u64>,
    open: BTreeSet<u64>,
    /// The newest revision that was acknowledged, with its label.
    revision: Option<(u64, String)>,
    /// A revision whose answer was cut off may be in force.
    open_label: Option<String>,
    next_id: u64,
}

/// `/state` of the plugin.
#[derive(Debug, Deserialize)]
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

#[derive(Debug, Deserialize)]
struct Shown {
    id: u64,
    amount: i64,
    length: usize,
    whole: bool,
}

impl Expected {
    /// Ids for a number of entries that nobody else uses.
    pub fn reserve_ids(&mut self, count: u64) -> u64 {
        let first = self.next_id;
        self.next_id += count;
        first
    }

    /// An entry was sent.
    pub fn sent(&mut self, id: u64) {
        self.open.insert(id);
    }

    /// An entry was acknowledged.
    pub fn acknowledged(&mut self, id: u64) {
        self.open.remove(&id);
        self.entries.insert(id);
    }

    /// An entry may be there or not, whatever is known of it.
    pub fn may_be_there(&mut self, id: u64) {
        self.entries.remove(&id);
        self.open.insert(id);
    }

    /// Entries that were acknowledged.
    pub fn acknowledged_entries(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Does whatever of the set-up is not done yet; what was acknowledged must be there. An error that is a cut connection is for the
    /// caller to judge.
    pub fn set_up(&mut self, client: &mut Client, package: &[u8]) -> Result<()> {
        let merchants = success(client.get("/api/v1/merchants")?)?;
        let known = merchants.as_array().is_some_and(|all| all.iter().any(|m| m.get("id") == Some(&json!(MERCHANT))));
        ensure!(known || !self.merchant, "lost: the merchant was acknowledged and is not there");
        if !known {
            success(client.post("/api/v1/merchants", &json!({ "id": MERCHANT }))?)?;
        }
        self.merchant = true;
        let installed = client.get(&format!("/api/v1/merchants/{MERCHANT}/plugins/ledger"))?.is_success();
        ensure!(installed || self.revision.is_none(), "lost: the plugin was installed and is not there");
        if !installed {
            self.install(client, package, "first")?;
        } else if self.revision.is_none() {
            // Its answer was cut off.
            self.configure(client, "second")?;
        }
        Ok(())
    }

    /// Uploads the package and installs it (again) with another label: a revision.
    pub fn install(&mut self, client: &mut Client, package: &[u8], label: &str) -> Result<()> {
        let kept = success(client.send("POST", "/api/v1/packages", "application/vnd.kontor.plugin", package)?)?;
        let change = json!({ "kind": "install", "digest": kept.get("digest"), "config": { "label": label },
            "grant": { "all": true }, "allow_downgrade": true });
        self.change(client, label, change)
    }

    /// Changes the label: a revision.
    pub fn configure(&mut self, client: &mut Client, label: &str) -> Result<()> {
        self.change(client, label, json!({ "kind": "configure", "plugin": "ledger", "config": { "label": label } }))
    }

    fn change(&mut self, client: &mut Client, label: &str, change: Value) -> Result<()> {
        self.open_label = Some(label.to_owned());
        let path = format!("/api/v1/merchants/{MERCHANT}/revisions");
        let done = success(client.post(&path, &json!({ "changes": [change] }))?)?;
        let number = done.get("revision").and_then(Value::as_u64).context("no revision in the answer")?;
        self.revision = Some((number, label.to_owned()));
        self.open_label = None;
        Ok(())
    }

    /// Takes over which revisions another, who changed them meanwhile, knows.
    pub fn take_revision(&mut self, other: Self) {
        self.revision = other.revision;
        self.open_label = other.open_label;
    }

    /// Looks at everything, once events and jobs are done.
    pub fn check(&mut self, client: &mut Client) -> Result<()> {
        let state = settled(client)?;
        let there: BTreeMap<u64, &Shown> = state.entries.iter().map(|entry| (entry.id, entry)).collect();
        for id in &self.entries {
            ensure!(there.contains_key(id), "lost: entry {id} was acknowledged and is not there");
        }
        for (id, shown) in &there {
            ensure!(self.entries.contains(id) || self.open.contains(id), "entry {id} was never sent");
            let sent = Entry::of(*id);
            ensure!(
                shown.whole && shown.amount == sent.amount && shown.length == sent.length,
                "entry {id} is not as sent"
            );
        }
        let sum: i64 = there.values().map(|entry| entry.amount).sum();
        ensure!(state.total_amount == sum, "half done: the total is {}, the entries' sum {sum}", state.total_amount);
        let count = there.len() as i64;
        ensure!(state.total_entries == count, "half done: {} counted, {count} there", state.total_entries);
        for (what, times, total) in
            [("event", &state.handled, state.total_handled), ("job", &state.settled, state.total_settled)]
        {
            let done: Vec<u64> = times.iter().map(|(id, _)| *id).collect();
            ensure!(done.iter().eq(there.keys()), "an {what} was lost, or came from an entry that is not there");
            if let Some((id, times)) = times.iter().find(|(_, times)| *times != 1) {
                bail!("the {what} of entry {id} was handled {times} times");
            }
            ensure!(total == count, "the counter of {what}s says {total} for {count} entries");
        }
        self.check_revisions(client, &state.label)?;
        // From now on nothing is open: it is there or it never will be.
        self.entries = there.into_keys().collect();
        self.open.clear();
        Ok(())
    }

    fn check_revisions(&mut self, client: &mut Client, label: &str) -> Result<()> {
        let Some((acknowledged, acknowledged_label)) = self.revision.clone() else {
            return Ok(());
        };
        let revisions = success(client.get(&format!("/api/v1/merchants/{MERCHANT}/revisions"))?)?;
        let revisions: Vec<&Value> = revisions.as_array().into_iter().flatten().collect();
        let number = |revision: &Value| revision.get("number").and_then(Value::as_u64);
        let numbers: BTreeSet<u64> = revisions.iter().filter_map(|revision| number(revision)).collect();
        let current = revisions.iter().find(|revision| revision.get("current") == Some(&Value::Bool(true)));
        let current = current.and_then(|revision| number(revision)).context("no revision is in force")?;
        ensure!(numbers.contains(&acknowledged), "lost: revision {acknowledged} was acknowledged and is not there");
        if current == acknowledged {
            ensure!(
                label == acknowledged_label,
                "revision {current} has the label {label:?}, not {acknowledged_label:?}"
            );
        } else {
            ensure!(
                current == acknowledged + 1,
                "revision {current} is in force after {acknowledged} was acknowledged"
            );
            ensure!(Some(label) == self.open_label.as_deref(), "revision {current} has the label {label:?}");
        }
        self.revision = Some((current, label.to_owned()));
        self.open_label = None;
        Ok(())
    }
}

/// Waits until all events and jobs are done.
fn settled(client: &mut Client) -> Result<State> {
    let until = Instant::now() + SETTLE_TIMEOUT;
    loop {
        let answer = success(client.get(&format!("/m/{MERCHANT}/ledger/state"))?)?;
        let state: State = serde_json::from_value(answer).context("the state of the plugin")?;
        let entries = state.entries.len();
        if state.handled.len() >= entries && state.settled.len() >= entries {
            return Ok(state);
        }
        if Instant::now() > until {
            let (handled, settled) = (state.handled.len(), state.settled.len());
            bail!("of {entries} entries {handled} events and {settled} jobs are done after {SETTLE_TIMEOUT:?}");
        }
        std::thread::yield_now();
    }
}

/// The body of an answer that is no error.
fn success(answer: crate::http::Answer) -> Result<Value> {
    ensure!(answer.is_success(), "the host answered {}: {}", answer.status, answer.body);
    Ok(answer.body)
}
