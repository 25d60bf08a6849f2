//! Rows to orders of the past: which row is what, and the document that the rows of one number make.
//!
//! Nothing is dropped for being odd. A number's rows become one document; a document whose rows are credits is a credit; rows that
//! are no sale at all (a correction of stock without price and customer) are counted in their class and make no document.

use std::collections::BTreeSet;

use kontor_sdk::money::minor_digits;

use crate::date;
use crate::decimal::Decimal;
use crate::mapping::Mapping;
use crate::options::Options;
use crate::row::{Account, Class, Issue, Row};

/// A line of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Unique in the document: the row's number in the file.
    pub line_id: String,
    /// As kept.
    pub sku: String,
    /// May be empty.
    pub title: String,
    /// Negative on a credit.
    pub quantity: i64,
    /// Price of one unit, rounded to the minor unit.
    pub unit_price_minor: i64,
    /// Quantity × exact price, rounded once.
    pub gross_minor: i64,
    /// The tax contained in it.
    pub tax_minor: i64,
    /// Goods or a charge.
    pub goods: bool,
}

/// An order or credit of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    /// Its number.
    pub number: String,
    /// Of its earliest row.
    pub placed_at_ms: u64,
    /// If known.
    pub customer: Option<String>,
    /// If known.
    pub email: Option<String>,
    /// As text.
    pub country: Option<String>,
    /// Whether it is a credit: no line sells.
    pub credit: bool,
    /// At least one.
    pub lines: Vec<Line>,
    /// Σ of the lines.
    pub total_minor: i64,
}

/// What a chunk of rows makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// In the order of their first rows.
    pub documents: Vec<Document>,
    /// Every row counted once.
    pub account: Account,
    /// For the report.
    pub issues: Vec<Issue>,
}

/// A row, read.
struct Cells<'a> {
    number: &'a str,
    sku: String,
    title: &'a str,
    quantity: i64,
    price: Decimal,
    placed_at_ms: u64,
    customer: Option<&'a str>,
    email: Option<&'a str>,
    country: Option<&'a str>,
}

fn read<'a>(row: &'a Row, mapping: &Mapping, options: &Options) -> Result<Cells<'a>, String> {
    let need = |field: &str| mapping.cell(&row.cells, field).ok_or_else(|| format!("`{field}` is empty"));
    let sku = options.sku(need("sku")?);
    if sku.chars().count() > 64 {
        return Err("`sku` is longer than 64 characters".into());
    }
    let number = need("order")?;
    if number.chars().count() > 64 {
        return Err("`order` is longer than 64 characters".into());
    }
    let quantity = Decimal::parse(need("quantity")?, options.decimal_comma)?
        .integer()
        .filter(|quantity| *quantity != 0 && quantity.abs() <= 100_000_000)
        .ok_or("`quantity` must be a whole number other than 0, at most 100,000,000")?;
    let price = Decimal::parse(need("price")?, options.decimal_comma)?;
    let placed_at_ms = date::parse(need("date")?, options.utc_offset_minutes)?;
    Ok(Cells {
        number,
        sku,
        title: mapping.cell(&row.cells, "title").unwrap_or_default(),
        quantity,
        price,
        placed_at_ms,
        customer: mapping.cell(&row.cells, "customer"),
        email: mapping.cell(&row.cells, "email"),
        country: mapping.cell(&row.cells, "country"),
    })
}

/// The class of a row that was read; `earlier` are (sku, quantity, price) of earlier rows of its number.
fn classify(cells: &Cells<'_>, goods: bool, repeated: bool, sale: bool) -> Class {
    let free = cells.price == Decimal::ZERO;
    if cells.price < Decimal::ZERO {
        Class::AccountingLine
    } else if free && (cells.quantity < 0 || (cells.customer.is_none() && !sale)) {
        Class::StockAdjustment
    } else {
        match (cells.quantity < 0, goods) {
            (true, true) => Class::CreditLine,
            (true, false) => Class::ChargeCreditLine,
            (false, false) => Class::ChargeLine,
            (false, true) if free => Class::FreeLine,
            (false, true) if repeated => Class::RepeatedSaleLine,
            (false, true) => Class::SaleLine,
        }
    }
}

/// Reads `rows`; rows of one number must all be there. Order of documents and lines is that of the rows.
pub(crate) fn read_orders(rows: &[Row], mapping: &Mapping, options: &Options) -> Outcome {
    let mut outcome = Outcome::default();
    let mut groups: Vec<(&str, Vec<(&Row, Cells<'_>)>)> = Vec::new();
    for row in rows {
        match read(row, mapping, options) {
            Ok(cells) => match groups.iter_mut().rev().find(|(number, _)| *number == cells.number) {
                Some((_, members)) => members.push((row, cells)),
                None => groups.push((cells.number, vec![(row, cells)])),
            },
            Err(message) => {
                outcome.account.add(Class::Refused, 0, refused_amount(row, mapping, options));
                outcome.issues.push(Issue { row: row.number, refused: true, message });
            }
        }
    }
    for (number, members) in groups {
        if let Some(document) = read_document(number, &members, options, &mut outcome) {
            outcome.account.booked_minor = outcome.account.booked_minor.saturating_add(document.total_minor);
            outcome.documents.push(document);
        }
    }
    outcome.account.count("orders_read", outcome.documents.iter().filter(|d| !d.credit).count() as u64);
    outcome.account.count("credits_read", outcome.documents.iter().filter(|d| d.credit).count() as u64);
    outcome
}

/// What a refused row would have added to the sum, as far as it can be read: the account must equal the file.
fn refused_amount(row: &Row, mapping: &Mapping, options: &Options) -> Decimal {
    let number =
        |field| mapping.cell(&row.cells, field).and_then(|cell| Decimal::parse(cell, options.decimal_comma).ok());
    match (number("quantity").and_then(Decimal::integer), number("price")) {
        (Some(quantity), Some(price)) => price.times(quantity),
        _ => Decimal::ZERO,
    }
}

fn read_document(
    number: &str,
    members: &[(&Row, Cells<'_>)],
    options: &Options,
    outcome: &mut Outcome,
) -> Option<Document> {
    let digits = minor_digits(&options.currency);
    let sale = members.iter().any(|(_, cells)| cells.price > Decimal::ZERO && cells.quantity > 0);
    let mut seen: BTreeSet<(&str, i64, Decimal)> = BTreeSet::new();
    let mut lines = Vec::new();
    for (row, cells) in members {
        let goods = options.is_goods(&cells.sku);
        let repeated = !seen.insert((&cells.sku, cells.quantity, cells.price));
        let class = classify(cells, goods, repeated, sale);
        let amount = cells.price.times(cells.quantity);
        outcome.account.add(class, cells.quantity, amount);
        if class == Class::StockAdjustment {
            continue;
        }
        let gross_minor = amount.to_minor(digits);
        if Decimal::from_millionths(i128::from(gross_minor) * 10i128.pow(6 - digits.min(6))) != amount {
            outcome.issues.push(Issue {
                row: row.number,
                refused: false,
                message: format!("{amount} {} is no whole number of minor units; booked rounded", options.currency),
            });
        }
        lines.push(Line {
            line_id: row.number.to_string(),
            sku: cells.sku.clone(),
            title: cells.title.to_owned(),
            quantity: cells.quantity,
            unit_price_minor: cells.price.to_minor(digits),
            gross_minor,
            tax_minor: contained_tax(gross_minor, options.tax_rate_basis_points),
            goods,
        });
    }
    let first = members.first().map(|(_, cells)| cells)?;
    if lines.is_empty() {
        return None;
    }
    let pick = |of: fn(&Cells<'_>) -> Option<String>| members.iter().find_map(|(_, cells)| of(cells));
    Some(Document {
        number: number.to_owned(),
        placed_at_ms: members.iter().map(|(_, cells)| cells.placed_at_ms).min().unwrap_or(first.placed_at_ms),
        customer: pick(|cells| cells.customer.map(str::to_owned)),
        email: pick(|cells| cells.email.map(str::to_owned)),
        country: pick(|cells| cells.country.map(str::to_owned)),
        credit: !lines.iter().any(|line| line.quantity > 0 && line.gross_minor >= 0),
        total_minor: lines.iter().map(|line| line.gross_minor).fold(0, i64::saturating_add),
        lines,
    })
}

/// `round(gross × rate / (100 % + rate))`, halves away from zero.
fn contained_tax(gross_minor: i64, rate_basis_points: u32) -> i64 {
    let (gross, rate) = (i128::from(gross_minor), i128::from(rate_basis_points));
    let divisor = 10_000 + rate;
    let magnitude = (gross.abs() * rate * 2 + divisor) / (divisor * 2);
    i64::try_from(if gross < 0 { -magnitude } else { magnitude }).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Kind;
    use proptest::prelude::*;

    fn mapping() -> Mapping {
        let header: Vec<String> =
            ["order", "sku", "title", "quantity", "date", "price", "customer", "country"].map(str::to_owned).to_vec();
        let map: Vec<(String, String)> = header.iter().map(|name| (name.clone(), name.clone())).collect();
        Mapping::resolve(Kind::Orders, &header, &map).unwrap()
    }

    fn options() -> Options {
        Options {
            currency: "GBP".into(),
            not_goods: vec!["POST".into(), "B".into()],
            sku_upper: true,
            ..Options::default()
        }
    }

    fn rows(lines: &[&str]) -> Vec<Row> {
        lines
            .iter()
            .enumerate()
            .map(|(i, line)| Row { number: i as u64 + 2, cells: line.split('|').map(str::to_owned).collect() })
            .collect()
    }

    fn classes(lines: &[&str]) -> Vec<(&'static str, u64)> {
        let outcome = read_orders(&rows(lines), &mapping(), &options());
        outcome.account.classes.iter().map(|(class, total)| (class.name(), total.rows)).collect()
    }

    #[test]
    fn every_row_has_a_class() {
        for (line, class) in [
            ("1|A|Mug|2|2011-01-01|2.50|17|UK", "sale-line"),
            ("1|a|Mug|1|2011-01-01|0|17|UK", "free-line"),
            ("1|POST|Postage|1|2011-01-01|4.95|17|UK", "charge-line"),
            ("C1|A|Mug|-2|2011-01-01|2.50|17|UK", "credit-line"),
            ("C1|post|Postage|-1|2011-01-01|4.95||UK", "charge-credit-line"),
            ("A1|B|Adjust bad debt|1|2011-01-01|-11062.06||UK", "accounting-line"),
            ("1|A|damaged|-10|2011-01-01|0||UK", "stock-adjustment"),
            ("1|A|found|10|2011-01-01|0||UK", "stock-adjustment"),
            ("1|A|Mug|0|2011-01-01|1||UK", "refused"),
            ("1|A|Mug|1.5|2011-01-01|1||UK", "refused"),
            ("1|A|Mug|1|gestern|1||UK", "refused"),
            ("|A|Mug|1|2011-01-01|1||UK", "refused"),
        ] {
            assert_eq!(classes(&[line]), [(class, 1)], "{line}");
        }
    }

    #[test]
    fn one_number_is_one_document() {
        let outcome = read_orders(
            &rows(&[
                "7|A|Mug|2|2011-01-02|2.50||UK",
                "8|A|Mug|1|2011-01-01|2.50|9|UK",
                "7|A|Mug|2|2011-01-01|2.50|17|UK",
                "7|B2|Free|1|2011-01-02|0||UK",
                "7|PADS|Pad|1|2011-01-02|0.001||UK",
            ]),
            &mapping(),
            &options(),
        );
        let [seven, eight] = outcome.documents.as_slice() else { panic!("{outcome:?}") };
        assert_eq!((seven.number.as_str(), seven.lines.len(), seven.total_minor, seven.credit), ("7", 4, 1000, false));
        assert_eq!((seven.customer.as_deref(), seven.placed_at_ms), (Some("17"), 1_293_840_000_000));
        assert_eq!(eight.total_minor, 250);
        assert_eq!(outcome.account.amount().to_string(), "12.501");
        assert_eq!(outcome.account.booked_minor, 1250);
        assert!(outcome.issues[0].message.contains("booked rounded"));
        assert_eq!(outcome.account.classes[&Class::RepeatedSaleLine].rows, 1);
    }

    #[test]
    fn tax_is_contained() {
        for (gross, rate, tax) in [(3823, 2000, 637), (1999, 1900, 319), (-1999, 1900, -319), (100, 0, 0)] {
            assert_eq!(contained_tax(gross, rate), tax);
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost(lines in prop::collection::vec((0u8..4, 0u8..3, -3i64..4, 0i64..3), 1..40)) {
            let text: Vec<String> = lines.iter().map(|(order, sku, quantity, price)| {
                format!("{order}|{}|x|{quantity}|2011-01-01|{}.125||", ["A", "POST", "B2"][usize::from(*sku)], price - 1)
            }).collect();
            let borrowed: Vec<&str> = text.iter().map(String::as_str).collect();
            let outcome = read_orders(&rows(&borrowed), &mapping(), &options());
            prop_assert_eq!(outcome.account.rows(), lines.len() as u64);
            let exact = text.iter().fold(Decimal::ZERO, |sum, line| {
                let cells: Vec<&str> = line.split('|').collect();
                sum + Decimal::parse(cells[5], false).unwrap().times(cells[3].parse().unwrap())
            });
            prop_assert_eq!(outcome.account.amount(), exact);
            let booked: i64 = outcome.documents.iter().map(|d| d.total_minor).sum();
            prop_assert_eq!(booked, outcome.account.booked_minor);
        }
    }
}
