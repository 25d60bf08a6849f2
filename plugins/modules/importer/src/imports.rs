//! The state of imports: which chunks are done and what they amounted to, written in the transaction that does them. Not here:
//! what rows mean (`orders`, `products`, `stock`) and what is done with them (`apply`).

use std::collections::BTreeMap;

use kontor_sdk::http::Error;
use kontor_sdk::money::minor_digits;
use kontor_sdk::{Result, Table};
use serde::{Deserialize, Serialize};

use crate::apply;
use crate::decimal::Decimal;
use crate::mapping::{Kind, Mapping};
use crate::options::{DESCRIPTIONS, Options};
use crate::row::{Account, Class, ClassTotal, Issue};
use crate::wire;

/// Remarks in one page.
const ISSUES_PER_PAGE: u32 = 1_000;
/// Rows of one chunk: a single order may be this long.
const CHUNK_ROWS_MAX: usize = 20_000;

const IMPORTS: Table<String, Import> = Table::new("imports");
const CHUNKS: Table<(String, u64), Chunk> = Table::new("chunks");
const ISSUES: Table<(String, u64, u32), Issue> = Table::new("issues");

/// An import.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Import {
    kind: Kind,
    file_name: String,
    rows: u64,
    dry_run: bool,
    header: Vec<String>,
    map: Vec<(String, String)>,
    options: Vec<(String, String)>,
    finished: bool,
}

/// The account of a chunk. Amounts are millionths as text: the codec has no 128-bit integers.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Chunk {
    classes: Vec<(Class, u64, i64, String)>,
    counts: BTreeMap<String, u64>,
    booked_minor: i64,
    issues: u64,
}

impl Chunk {
    fn new(account: &Account, issues: u64) -> Self {
        let classes = account.classes.iter();
        Self {
            classes: classes
                .map(|(class, t)| (*class, t.rows, t.quantity, t.amount.millionths().to_string()))
                .collect(),
            counts: account.counts.clone(),
            booked_minor: account.booked_minor,
            issues,
        }
    }

    fn account(&self) -> Account {
        let total = |rows: u64, quantity: i64, amount: &str| ClassTotal {
            rows,
            quantity,
            amount: Decimal::from_millionths(amount.parse().unwrap_or_default()),
        };
        Account {
            classes: self
                .classes
                .iter()
                .map(|(class, rows, quantity, amount)| (*class, total(*rows, *quantity, amount)))
                .collect(),
            counts: self.counts.clone(),
            booked_minor: self.booked_minor,
        }
    }
}

/// What can be imported.
pub(crate) fn kinds() -> wire::Kinds {
    let kinds = Kind::ALL.iter().map(|kind| {
        let (rows_per_chunk, groups_per_chunk) = match kind {
            Kind::Products => (5_000, 100),
            Kind::Stock => (250, 250),
            Kind::Orders => (1_000, 100),
        };
        wire::KindInfo {
            name: kind.name(),
            fields: kind.fields(),
            presets: kind.presets(),
            group_fields: kind.group_fields(),
            rows_per_chunk,
            groups_per_chunk,
        }
    });
    let options = DESCRIPTIONS.iter().map(|(name, description)| wire::OptionInfo { name, description });
    wire::Kinds { kinds: kinds.collect(), options: options.collect() }
}

/// Begins an import, or tells where it stands.
pub(crate) fn begin(begin: wire::Begin) -> Result<wire::Begun> {
    let id_fits = (16..=64).contains(&begin.id.len()) && begin.id.bytes().all(|b| b.is_ascii_hexdigit());
    if !id_fits {
        return Err(Error::invalid("`id` must be 16 to 64 hexadecimal digits").with_code("import-id"));
    }
    let mut errors = Mapping::resolve(begin.kind, &begin.header, &begin.map).err().unwrap_or_default();
    let options = Options::parse(begin.kind, &begin.options).unwrap_or_else(|more| {
        errors.extend(more);
        Options::default()
    });
    if !errors.is_empty() {
        return Err(Error::invalid(errors.join("; ")).with_code("import-mapping"));
    }
    if let Some(known) = IMPORTS.get(&begin.id)? {
        return Ok(wire::Begun {
            finished: known.finished,
            done: runs(CHUNKS.scan().prefix((begin.id.clone(),)).keys()?),
        });
    }
    if !begin.dry_run {
        apply::prepare(begin.kind, &options)?;
    }
    let import = Import {
        kind: begin.kind,
        file_name: begin.file_name,
        rows: begin.rows,
        dry_run: begin.dry_run,
        header: begin.header,
        map: begin.map,
        options: begin.options,
        finished: false,
    };
    IMPORTS.put(&begin.id, &import)?;
    Ok(wire::Begun { finished: false, done: Vec::new() })
}

/// Ascending chunk numbers as runs.
fn runs(keys: Vec<(String, u64)>) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for (_, number) in keys {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    runs
}

/// Does a chunk, once.
pub(crate) fn rows(id: &str, body: wire::Rows) -> Result<wire::ChunkDone> {
    let import = find(id)?;
    if body.rows.len() > CHUNK_ROWS_MAX {
        return Err(Error::invalid(format!("a chunk has at most {CHUNK_ROWS_MAX} rows")).with_code("import-chunk"));
    }
    let key = (id.to_owned(), body.chunk);
    if CHUNKS.contains(&key)? {
        return Ok(wire::ChunkDone { new: false });
    }
    if import.finished {
        return Err(
            Error::conflict("this import is finished: its rows were all accounted for").with_code("import-finished")
        );
    }
    let mapping = Mapping::resolve(import.kind, &import.header, &import.map)
        .map_err(|errors| Error::internal(errors.join("; ")))?;
    let options = Options::parse(import.kind, &import.options).map_err(|errors| Error::internal(errors.join("; ")))?;
    let (account, issues) = apply::chunk(import.kind, &body.rows, &mapping, &options, import.dry_run)?;
    for (position, issue) in (0u32..).zip(&issues) {
        ISSUES.put(&(id.to_owned(), issue.row, position), issue)?;
    }
    CHUNKS.put(&key, &Chunk::new(&account, issues.len() as u64))?;
    Ok(wire::ChunkDone { new: true })
}

/// Adds up the chunks. The import is finished when every row is accounted for.
pub(crate) fn finish(id: &str) -> Result<wire::Summary> {
    let import = find(id)?;
    let options = Options::parse(import.kind, &import.options).map_err(|errors| Error::internal(errors.join("; ")))?;
    let mut account = Account::default();
    let mut issues = 0;
    for chunk in CHUNKS.scan().prefix((id.to_owned(),)).values()? {
        account.merge(&chunk.account());
        issues += chunk.issues;
    }
    if account.rows() != import.rows {
        let message = format!("{} of {} rows have been sent: send the others first", account.rows(), import.rows);
        return Err(Error::conflict(message).with_code("import-incomplete"));
    }
    if !import.finished {
        IMPORTS.put(id, &Import { finished: true, ..import.clone() })?;
    }
    let digits = minor_digits(&options.currency);
    let booked = Decimal::from_millionths(i128::from(account.booked_minor) * 10i128.pow(6 - digits.min(6)));
    Ok(wire::Summary {
        import: id.to_owned(),
        kind: import.kind.name(),
        file_name: import.file_name,
        dry_run: import.dry_run,
        rows: account.rows(),
        classes: account
            .classes
            .iter()
            .map(|(class, total)| wire::ClassSummary {
                class: class.name(),
                rows: total.rows,
                quantity: total.quantity,
                amount: total.amount.to_string(),
            })
            .collect(),
        refused: account.classes.get(&Class::Refused).map_or(0, |total| total.rows),
        amount: account.amount().to_string(),
        booked: booked.to_string(),
        currency: options.currency,
        counts: account.counts,
        issues,
    })
}

/// A page of remarks.
pub(crate) fn issues(id: &str, cursor: Option<&str>) -> Result<wire::Issues> {
    find(id)?;
    let page = ISSUES.scan().prefix((id.to_owned(),)).page(cursor, ISSUES_PER_PAGE)?;
    Ok(wire::Issues { issues: page.items.into_iter().map(|(_, issue)| issue).collect(), next_cursor: page.next_cursor })
}

fn find(id: &str) -> Result<Import> {
    IMPORTS.get(id)?.ok_or_else(|| Error::not_found(format!("there is no import `{id}`")).with_code("import-unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_numbers_become_runs() {
        let keys = |numbers: &[u64]| numbers.iter().map(|n| (String::new(), *n)).collect::<Vec<_>>();
        assert_eq!(runs(keys(&[0, 1, 2, 5, 7, 8])), [(0, 2), (5, 5), (7, 8)]);
        assert_eq!(runs(keys(&[])), []);
    }

    #[test]
    fn a_stored_account_is_the_account() {
        let mut account = Account::default();
        account.add(Class::SaleLine, 3, Decimal::from_millionths(-7_500_000));
        account.add(Class::Refused, 0, Decimal::ZERO);
        account.count("orders_created", 2);
        account.booked_minor = -750;
        assert_eq!(Chunk::new(&account, 1).account(), account);
    }
}
