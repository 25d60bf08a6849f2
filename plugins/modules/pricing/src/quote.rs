//! The total of a basket: a pure function of its lines, prices and rates, the same for every channel.
//!
//! The whole basket is always computed anew; nothing is carried over from an earlier quote. What depends on an order
//! (who gets the odd cent) goes by SKU and line id, not by the order in which lines were scanned or added, so two channels
//! with the same basket have the same total. Looking up prices and rates is not here.

use crate::error::Error;
use crate::money::{allocate, display};
use crate::price_list::check_text;
use crate::tax::{PriceBasis, RoundingLevel, RoundingMode, Sides, tax, tax_by_unit};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Lines of one basket.
pub(crate) const LINES_MAX: usize = 500;
/// Units of one line.
pub(crate) const QUANTITY_MAX: i64 = 1_000_000;
/// The id of the line that shipping gets.
pub(crate) const SHIPPING_LINE: &str = "shipping";

/// On which terms a basket is priced: what its price list says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) price_list: String,
    pub(crate) currency: String,
    pub(crate) basis: PriceBasis,
    pub(crate) level: RoundingLevel,
    pub(crate) mode: RoundingMode,
}

/// A line whose price and rate are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PricedLine {
    pub(crate) line_id: String,
    pub(crate) sku: String,
    pub(crate) quantity: i64,
    pub(crate) unit_price_minor: i64,
    pub(crate) rate_basis_points: u32,
}

/// A line of a quote; gross = net + tax.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct QuoteLine {
    pub(crate) line_id: String,
    pub(crate) sku: String,
    pub(crate) quantity: i64,
    pub(crate) unit_price_minor: i64,
    pub(crate) discount_minor: i64,
    pub(crate) net_minor: i64,
    pub(crate) tax_minor: i64,
    pub(crate) gross_minor: i64,
    pub(crate) rate_basis_points: u32,
}

/// The tax of one rate over the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TaxTotal {
    pub(crate) rate_basis_points: u32,
    pub(crate) net_minor: i64,
    pub(crate) tax_minor: i64,
    pub(crate) gross_minor: i64,
}

/// A priced basket. total = net + tax = goods - discount + shipping, all gross.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Quote {
    pub(crate) currency: String,
    pub(crate) basis: PriceBasis,
    pub(crate) price_list: String,
    pub(crate) lines: Vec<QuoteLine>,
    /// Its rate is that of its largest part; the parts are in the tax totals.
    pub(crate) shipping: QuoteLine,
    pub(crate) tax_totals: Vec<TaxTotal>,
    /// Goods before the discount.
    pub(crate) goods_gross_minor: i64,
    pub(crate) discount_gross_minor: i64,
    pub(crate) shipping_gross_minor: i64,
    pub(crate) net_minor: i64,
    pub(crate) tax_minor: i64,
    pub(crate) total_minor: i64,
}

/// An amount at a rate, to be taxed: what is left of a line after its discount, or a part of shipping.
struct Part {
    rate_basis_points: u32,
    quantity: i64,
    amount: i64,
}

/// Prices a basket.
pub(crate) fn quote(
    terms: &Terms,
    lines: &[PricedLine],
    discount_minor: i64,
    shipping_minor: i64,
) -> Result<Quote, Error> {
    check(lines, discount_minor, shipping_minor)?;
    // The canonical order: by SKU, then line id. Results go back to the caller's order at the end.
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by_key(|index| lines.get(*index).map(|line| (line.sku.as_str(), line.line_id.as_str())));
    let sorted: Vec<&PricedLine> = order.iter().filter_map(|index| lines.get(*index)).collect();

    let before = sorted.iter().map(|line| line_amount(line)).collect::<Result<Vec<i64>, Error>>()?;
    let goods = sum(&before, "lines")?;
    if discount_minor > goods {
        return Err(Error::Invalid(format!(
            "discount_minor: {} is more than the goods are worth, {}",
            display(discount_minor, &terms.currency),
            display(goods, &terms.currency)
        )));
    }
    let discounts = allocate(discount_minor, &before)?;
    let goods_parts: Vec<Part> = sorted
        .iter()
        .zip(before.iter().zip(&discounts))
        .map(|(line, (amount, discount))| Part {
            rate_basis_points: line.rate_basis_points,
            quantity: line.quantity,
            amount: amount - discount,
        })
        .collect();
    let shipping_parts = spread_shipping(&goods_parts, shipping_minor)?;

    let taxed = tax_parts(terms, &[goods_parts.as_slice(), shipping_parts.as_slice()])?;
    let (goods_sides, shipping_sides) = taxed.split_at(goods_parts.len().min(taxed.len()));

    let undiscounted = undiscounted_gross(terms, &sorted, &before)?;
    let shipping = shipping_line(&shipping_parts, shipping_sides, shipping_minor)?;
    let mut quoted: Vec<(usize, QuoteLine)> = order
        .iter()
        .zip(&sorted)
        .zip(discounts.iter().zip(goods_sides))
        .map(|((index, line), (discount, sides))| (*index, quote_line(line, *discount, *sides)))
        .collect();
    quoted.sort_by_key(|(index, _)| *index);

    let tax_totals = total_by_rate(goods_parts.iter().chain(&shipping_parts).zip(&taxed))?;
    let total = sum_sides(&taxed)?;
    let goods_after = sum_sides(goods_sides)?.gross;
    // Document rounding may give a cent of the goods' tax to shipping: a discount is never shown as negative for it.
    let discount_gross = undiscounted.checked_sub(goods_after).ok_or_else(|| Error::too_large("discount"))?.max(0);
    Ok(Quote {
        currency: terms.currency.clone(),
        basis: terms.basis,
        price_list: terms.price_list.clone(),
        lines: quoted.into_iter().map(|(_, line)| line).collect(),
        shipping_gross_minor: shipping.gross_minor,
        shipping,
        tax_totals,
        goods_gross_minor: goods_after.checked_add(discount_gross).ok_or_else(|| Error::too_large("goods"))?,
        discount_gross_minor: discount_gross,
        net_minor: total.net,
        tax_minor: total.tax,
        total_minor: total.gross,
    })
}

/// Refuses a basket that breaks a rule.
fn check(lines: &[PricedLine], discount_minor: i64, shipping_minor: i64) -> Result<(), Error> {
    if lines.is_empty() || lines.len() > LINES_MAX {
        return Err(Error::Invalid(format!("lines: {} given, 1 to {LINES_MAX} are allowed", lines.len())));
    }
    for (field, amount) in [("discount_minor", discount_minor), ("shipping_minor", shipping_minor)] {
        if amount < 0 {
            return Err(Error::Invalid(format!("{field}: {amount}; it is 0 or more")));
        }
    }
    let mut seen = BTreeSet::new();
    for (index, line) in lines.iter().enumerate() {
        check_text(&format!("lines[{index}].line_id"), &line.line_id, 64)?;
        if !seen.insert(line.line_id.as_str()) {
            return Err(Error::Invalid(format!("lines[{index}].line_id: `{}` is there twice", line.line_id)));
        }
        if !(1..=QUANTITY_MAX).contains(&line.quantity) {
            return Err(Error::Invalid(format!(
                "lines[{index}].quantity: {}; 1 to {QUANTITY_MAX} are allowed",
                line.quantity
            )));
        }
        if line.unit_price_minor < 0 {
            return Err(Error::Invalid(format!(
                "lines[{index}].unit_price_minor: {}; a price is 0 or more",
                line.unit_price_minor
            )));
        }
    }
    Ok(())
}

fn line_amount(line: &PricedLine) -> Result<i64, Error> {
    line.unit_price_minor
        .checked_mul(line.quantity)
        .ok_or_else(|| Error::too_large(&format!("line `{}`", line.line_id)))
}

fn sum(amounts: &[i64], what: &str) -> Result<i64, Error> {
    amounts.iter().try_fold(0_i64, |total, amount| total.checked_add(*amount)).ok_or_else(|| Error::too_large(what))
}

fn sum_sides(sides: &[Sides]) -> Result<Sides, Error> {
    sides.iter().try_fold(Sides::default(), |total, next| total.checked_add(*next))
}

/// Shipping follows the goods: one part for each of their rates, in proportion to what they are worth after the discount.
fn spread_shipping(goods: &[Part], shipping_minor: i64) -> Result<Vec<Part>, Error> {
    if shipping_minor == 0 {
        return Ok(Vec::new());
    }
    let mut worth: BTreeMap<u32, i64> = BTreeMap::new();
    for part in goods {
        let entry = worth.entry(part.rate_basis_points).or_default();
        *entry = entry.checked_add(part.amount).ok_or_else(|| Error::too_large("lines"))?;
    }
    let weights: Vec<i64> = worth.values().copied().collect();
    let shares = allocate(shipping_minor, &weights)?;
    Ok(worth
        .keys()
        .zip(shares)
        .filter(|(_, amount)| *amount > 0)
        .map(|(rate, amount)| Part { rate_basis_points: *rate, quantity: 1, amount })
        .collect())
}

/// The sides of every part, in their order, rounded at the level that the terms name.
fn tax_parts(terms: &Terms, groups: &[&[Part]]) -> Result<Vec<Sides>, Error> {
    let parts: Vec<&Part> = groups.iter().flat_map(|group| group.iter()).collect();
    let taxes: Vec<i64> = match terms.level {
        RoundingLevel::Unit => parts
            .iter()
            .map(|part| tax_by_unit(part.amount, part.quantity, part.rate_basis_points, terms.basis, terms.mode))
            .collect::<Result<_, Error>>()?,
        RoundingLevel::Line => parts
            .iter()
            .map(|part| tax(part.amount, part.rate_basis_points, terms.basis, terms.mode))
            .collect::<Result<_, Error>>()?,
        RoundingLevel::Document => document_taxes(terms, &parts)?,
    };
    parts.iter().zip(taxes).map(|(part, tax)| Sides::new(part.amount, tax, terms.basis)).collect()
}

/// Rounds once for each rate and divides that tax among the rate's parts.
fn document_taxes(terms: &Terms, parts: &[&Part]) -> Result<Vec<i64>, Error> {
    let mut by_rate: BTreeMap<u32, Vec<(usize, i64)>> = BTreeMap::new();
    for (index, part) in parts.iter().enumerate() {
        by_rate.entry(part.rate_basis_points).or_default().push((index, part.amount));
    }
    let mut taxes: BTreeMap<usize, i64> = BTreeMap::new();
    for (rate, members) in by_rate {
        let amounts: Vec<i64> = members.iter().map(|(_, amount)| *amount).collect();
        let whole = tax(sum(&amounts, "lines")?, rate, terms.basis, terms.mode)?;
        taxes.extend(members.iter().map(|(index, _)| *index).zip(allocate(whole, &amounts)?));
    }
    // Keys are the indices 0..n: ascending order is the parts' order.
    Ok(taxes.into_values().collect())
}

/// What the goods would cost gross without the discount.
fn undiscounted_gross(terms: &Terms, lines: &[&PricedLine], amounts: &[i64]) -> Result<i64, Error> {
    if terms.basis == PriceBasis::Gross {
        return sum(amounts, "lines");
    }
    let parts: Vec<Part> = lines
        .iter()
        .zip(amounts)
        .map(|(line, amount)| Part {
            rate_basis_points: line.rate_basis_points,
            quantity: line.quantity,
            amount: *amount,
        })
        .collect();
    Ok(sum_sides(&tax_parts(terms, &[&parts])?)?.gross)
}

fn quote_line(line: &PricedLine, discount_minor: i64, sides: Sides) -> QuoteLine {
    QuoteLine {
        line_id: line.line_id.clone(),
        sku: line.sku.clone(),
        quantity: line.quantity,
        unit_price_minor: line.unit_price_minor,
        discount_minor,
        net_minor: sides.net,
        tax_minor: sides.tax,
        gross_minor: sides.gross,
        rate_basis_points: line.rate_basis_points,
    }
}

fn shipping_line(parts: &[Part], sides: &[Sides], shipping_minor: i64) -> Result<QuoteLine, Error> {
    let total = sum_sides(sides)?;
    let largest =
        parts.iter().max_by_key(|part| (part.amount, part.rate_basis_points)).map_or(0, |part| part.rate_basis_points);
    Ok(QuoteLine {
        line_id: SHIPPING_LINE.into(),
        sku: String::new(),
        quantity: 1,
        unit_price_minor: shipping_minor,
        discount_minor: 0,
        net_minor: total.net,
        tax_minor: total.tax,
        gross_minor: total.gross,
        rate_basis_points: largest,
    })
}

fn total_by_rate<'a>(parts: impl Iterator<Item = (&'a Part, &'a Sides)>) -> Result<Vec<TaxTotal>, Error> {
    let mut totals: BTreeMap<u32, Sides> = BTreeMap::new();
    for (part, sides) in parts {
        let entry = totals.entry(part.rate_basis_points).or_default();
        *entry = entry.checked_add(*sides)?;
    }
    Ok(totals
        .into_iter()
        .map(|(rate, sides)| TaxTotal {
            rate_basis_points: rate,
            net_minor: sides.net,
            tax_minor: sides.tax,
            gross_minor: sides.gross,
        })
        .collect())
}

#[cfg(test)]
#[path = "quote_tests.rs"]
mod tests;
