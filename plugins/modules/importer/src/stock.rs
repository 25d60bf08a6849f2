//! Rows to stock levels.

use std::collections::BTreeMap;

use crate::decimal::Decimal;
use crate::mapping::Mapping;
use crate::options::Options;
use crate::row::{Account, Class, Issue, Row};

/// A level to be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    /// As kept.
    pub sku: String,
    /// Location id.
    pub location: String,
    /// Units on hand.
    pub quantity: i64,
    /// Where problems are reported.
    pub row: u64,
}

/// What a chunk of rows makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// One per SKU and location.
    pub levels: Vec<Level>,
    /// Every row counted once.
    pub account: Account,
    /// For the report.
    pub issues: Vec<Issue>,
}

/// Reads `rows`; rows of one SKU must all be there. Of several rows for one place the last wins.
pub(crate) fn read_levels(rows: &[Row], mapping: &Mapping, options: &Options) -> Outcome {
    let mut outcome = Outcome::default();
    let mut levels: BTreeMap<(String, String), Level> = BTreeMap::new();
    for row in rows {
        match read(row, mapping, options) {
            Err(message) => {
                outcome.account.add(Class::Refused, 0, Decimal::ZERO);
                outcome.issues.push(Issue { row: row.number, refused: true, message });
            }
            Ok(level) => {
                if let Some(earlier) = levels.insert((level.sku.clone(), level.location.clone()), level) {
                    outcome.account.add(Class::SupersededLevel, earlier.quantity, Decimal::ZERO);
                    let message = format!("row {} says it again; that one was taken", row.number);
                    outcome.issues.push(Issue { row: earlier.row, refused: false, message });
                }
            }
        }
    }
    for level in levels.into_values() {
        outcome.account.add(Class::StockLevel, level.quantity, Decimal::ZERO);
        outcome.levels.push(level);
    }
    outcome
}

fn read(row: &Row, mapping: &Mapping, options: &Options) -> Result<Level, String> {
    let need = |field: &str| mapping.cell(&row.cells, field).ok_or_else(|| format!("`{field}` is empty"));
    let quantity = Decimal::parse(need("quantity")?, options.decimal_comma)?
        .integer()
        .filter(|quantity| (0..=100_000_000).contains(quantity))
        .ok_or("`quantity` must be a whole number from 0 to 100,000,000")?;
    let sku = options.sku(need("sku")?);
    if sku.chars().count() > 64 {
        return Err("`sku` is longer than 64 characters".into());
    }
    let location = mapping.cell(&row.cells, "location").unwrap_or(&options.location).to_owned();
    Ok(Level { sku, location, quantity, row: row.number })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Kind;

    #[test]
    fn last_row_of_a_place_wins() {
        let header: Vec<String> = ["sku", "quantity", "location"].map(str::to_owned).to_vec();
        let map: Vec<(String, String)> = header.iter().map(|name| (name.clone(), name.clone())).collect();
        let mapping = Mapping::resolve(Kind::Stock, &header, &map).unwrap();
        let rows: Vec<Row> = ["A|5|", "A|7|berlin", "A|6|", "B|-1|", "B|x|"]
            .iter()
            .enumerate()
            .map(|(i, line)| Row { number: i as u64 + 2, cells: line.split('|').map(str::to_owned).collect() })
            .collect();
        let outcome = read_levels(&rows, &mapping, &Options::default());
        let levels: Vec<_> = outcome.levels.iter().map(|l| (l.sku.as_str(), l.location.as_str(), l.quantity)).collect();
        assert_eq!(levels, [("A", "berlin", 7), ("A", "main", 6)]);
        assert_eq!(outcome.account.rows(), 5);
        assert_eq!(outcome.account.classes[&Class::Refused].rows, 2);
        assert_eq!(outcome.issues.iter().filter(|i| i.refused).count(), 2);
    }
}
