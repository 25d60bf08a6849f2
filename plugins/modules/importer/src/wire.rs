//! The JSON that callers send and get. Field names are part of the interface.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::mapping::{Field, Kind, Preset};
use crate::row::{Issue, Row};

/// What can be imported.
#[derive(Debug, Serialize)]
pub(crate) struct Kinds {
    /// Kinds of files.
    pub kinds: Vec<KindInfo>,
    /// Options of all kinds.
    pub options: Vec<OptionInfo>,
}

/// A kind of file.
#[derive(Debug, Serialize)]
pub(crate) struct KindInfo {
    /// Its name.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
    /// Well-known exports.
    pub presets: &'static [Preset],
    /// Rows with equal values in the first mapped of these go into one chunk.
    pub group_fields: &'static [&'static str],
    /// Rows in a chunk, unless a single group has more.
    pub rows_per_chunk: usize,
    /// Groups in a chunk.
    pub groups_per_chunk: usize,
}

/// An option.
#[derive(Debug, Serialize)]
pub(crate) struct OptionInfo {
    /// Its name.
    pub name: &'static str,
    /// For people.
    pub description: &'static str,
}

/// Begins an import, or goes on with one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Begin {
    /// 16 to 64 hexadecimal digits, made from everything that decides the result: the same again is the same import.
    pub id: String,
    /// What the file holds.
    pub kind: Kind,
    /// For people.
    pub file_name: String,
    /// Rows in the file, without the header.
    pub rows: u64,
    /// Change nothing.
    pub dry_run: bool,
    /// Names of the columns.
    pub header: Vec<String>,
    /// Field and column.
    pub map: Vec<(String, String)>,
    /// Name and value.
    pub options: Vec<(String, String)>,
}

/// Where an import stands.
#[derive(Debug, Serialize)]
pub(crate) struct Begun {
    /// All rows were done before.
    pub finished: bool,
    /// Chunks that are done: ascending, first and last of each run.
    pub done: Vec<(u64, u64)>,
}

/// A chunk of rows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rows {
    /// Its number: a chunk is done once.
    pub chunk: u64,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A chunk is done.
#[derive(Debug, Serialize)]
pub(crate) struct ChunkDone {
    /// False: it was done before, and was left alone.
    pub new: bool,
}

/// The account of an import.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    /// The import's id.
    pub import: String,
    /// What the file held.
    pub kind: &'static str,
    /// For people.
    pub file_name: String,
    /// Nothing was changed.
    pub dry_run: bool,
    /// All rows.
    pub rows: u64,
    /// Rows by class.
    pub classes: Vec<ClassSummary>,
    /// What was done.
    pub counts: BTreeMap<String, u64>,
    /// Of the amounts.
    pub currency: String,
    /// Σ quantity × price of all rows, exact.
    pub amount: String,
    /// Σ as booked, in whole minor units.
    pub booked: String,
    /// Remarks on rows.
    pub issues: u64,
    /// Rows refused.
    pub refused: u64,
}

/// One class.
#[derive(Debug, Serialize)]
pub(crate) struct ClassSummary {
    /// Its name.
    pub class: &'static str,
    /// Rows.
    pub rows: u64,
    /// Units.
    pub quantity: i64,
    /// Σ quantity × price, exact.
    pub amount: String,
}

/// A page of remarks, by row.
#[derive(Debug, Serialize)]
pub(crate) struct Issues {
    /// The remarks.
    pub issues: Vec<Issue>,
    /// Absent on the last page.
    pub next_cursor: Option<String>,
}
