//! What goes between this command and the `importer` plugin.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::source::Row;
use crate::args::ImportArguments;
use crate::failure::{Failure, Result};
use crate::output::table;

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Kinds {
    kinds: Vec<Kind>,
    options: Vec<OptionInfo>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct OptionInfo {
    name: String,
    description: String,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Kind {
    name: String,
    fields: Vec<Field>,
    presets: Vec<Preset>,
    group_fields: Vec<String>,
    pub(super) rows_per_chunk: usize,
    pub(super) groups_per_chunk: usize,
}

#[derive(Debug, Deserialize, Serialize)]
struct Field {
    name: String,
    required: bool,
    description: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct Preset {
    name: String,
    description: String,
    columns: Vec<(String, String)>,
    options: Vec<(String, String)>,
}

#[derive(Debug, Serialize)]
pub(super) struct Begin {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) file_name: String,
    pub(super) rows: u64,
    pub(super) dry_run: bool,
    pub(super) header: Vec<String>,
    pub(super) map: Vec<(String, String)>,
    pub(super) options: Vec<(String, String)>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Begun {
    pub(super) finished: bool,
    /// Chunks that are done: ascending, first and last of each run.
    done: Vec<(u64, u64)>,
}

impl Begun {
    pub(super) fn is_done(&self, chunk: u64) -> bool {
        self.done.iter().any(|(first, last)| (*first..=*last).contains(&chunk))
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Rows {
    pub(super) chunk: u64,
    pub(super) rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ChunkDone {}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Summary {
    pub(super) import: String,
    pub(super) kind: String,
    pub(super) file_name: String,
    pub(super) dry_run: bool,
    #[serde(default)]
    pub(super) already_done: bool,
    pub(super) rows: u64,
    pub(super) classes: Vec<ClassSummary>,
    pub(super) counts: BTreeMap<String, u64>,
    pub(super) currency: String,
    pub(super) amount: String,
    pub(super) booked: String,
    pub(super) issues: u64,
    pub(super) refused: u64,
    #[serde(default)]
    pub(super) report: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct ClassSummary {
    pub(super) class: String,
    pub(super) rows: u64,
    pub(super) quantity: i64,
    pub(super) amount: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Issues {
    pub(super) issues: Vec<Issue>,
    pub(super) next_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Issue {
    pub(super) row: u64,
    pub(super) refused: bool,
    pub(super) message: String,
}

/// Pairs of names and values.
type Pairs = Vec<(String, String)>;

impl Kinds {
    pub(super) fn find(&self, name: &str) -> Result<&Kind> {
        self.kinds.iter().find(|kind| kind.name == name).ok_or_else(|| {
            let known: Vec<&str> = self.kinds.iter().map(|kind| kind.name.as_str()).collect();
            Failure::new("usage", format!("the importer does not know `{name}`; it knows: {}", known.join(", ")))
        })
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        for kind in &self.kinds {
            let rows: Vec<Vec<String>> = kind
                .fields
                .iter()
                .map(|field| {
                    vec![
                        field.name.clone(),
                        if field.required { "required" } else { "" }.into(),
                        field.description.clone(),
                    ]
                })
                .collect();
            text.push_str(&format!("kontor import {} FILE --map FIELD=COLUMN,...\n\n", kind.name));
            text.push_str(&table(&["FIELD", "", "MEANING"], &rows));
            for preset in &kind.presets {
                text.push_str(&format!("\n\n--preset {}: {}", preset.name, preset.description));
            }
            text.push_str("\n\n");
        }
        let rows: Vec<Vec<String>> =
            self.options.iter().map(|option| vec![option.name.clone(), option.description.clone()]).collect();
        text.push_str(&table(&["OPTION", "MEANING"], &rows));
        text
    }
}

impl Kind {
    /// Mapping and options as given, on top of the preset's. Columns of a preset that the file lacks are left out.
    pub(super) fn settings(&self, arguments: &ImportArguments, header: &[String]) -> Result<(Pairs, Pairs)> {
        let has = |column: &str| header.iter().any(|name| name.trim() == column.trim());
        let (mut map, mut options) = match &arguments.preset {
            None => (Vec::new(), Vec::new()),
            Some(name) => {
                let preset = self.presets.iter().find(|preset| preset.name == *name).ok_or_else(|| {
                    let known: Vec<&str> = self.presets.iter().map(|preset| preset.name.as_str()).collect();
                    Failure::new(
                        "usage",
                        format!("{} have no preset `{name}`; there are: {}", self.name, known.join(", ")),
                    )
                })?;
                let columns = preset.columns.iter().filter(|(_, column)| has(column)).cloned().collect();
                (columns, preset.options.clone())
            }
        };
        overlay(&mut map, &arguments.map, "--map", "FIELD=COLUMN")?;
        overlay(&mut options, &arguments.options, "--option", "NAME=VALUE")?;
        Ok((map, options))
    }

    /// Columns by which rows belong together.
    pub(super) fn group_columns(&self, map: &[(String, String)], header: &[String]) -> Vec<usize> {
        let mapped = self.group_fields.iter().filter_map(|field| map.iter().find(|(name, _)| name == field));
        mapped.filter_map(|(_, column)| header.iter().position(|name| name.trim() == column.trim())).collect()
    }
}

fn overlay(pairs: &mut Pairs, given: &[String], flag: &str, form: &str) -> Result<()> {
    for text in given {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| Failure::new("usage", format!("`{text}` after {flag} is not of the form {form}")))?;
        let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
        match pairs.iter_mut().find(|(known, _)| *known == name) {
            Some(pair) => pair.1 = value,
            None => pairs.push((name, value)),
        }
    }
    Ok(())
}
