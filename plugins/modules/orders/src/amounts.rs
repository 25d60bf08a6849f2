//! Whether an order's input is well formed and its frozen amounts are consistent. Nothing is corrected and nothing computed anew.
//!
//! How strict depends on where it comes from:
//! - *placed* by our own channels: net + tax = gross and unit price x quantity - discount = gross on every line, and lines +
//!   shipping = total, to the unit;
//! - *imported* history: net + tax = gross and lines + shipping = total; line amounts may have been rounded once from finer prices,
//!   and credits have negative quantities and amounts;
//! - *reported* by a marketplace: its amounts are authoritative. Each line and the shipping may be off by one minor unit from
//!   rounding. More than that puts the order on hold with reason `amounts`: refusing it would lose it.

use std::collections::BTreeSet;

use crate::model::{AMOUNT_MAX, Address, Error, LINES_MAX, LineInput, Order, OrderInput, QUANTITY_MAX, Result};

/// Where an input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Our own channels.
    Placed,
    /// History.
    Imported,
    /// A marketplace.
    Reported,
}

/// Refuses malformed input. Amounts are checked for range only in reports; see [`is_consistent`].
pub fn check(input: &OrderInput, origin: Origin) -> Result<()> {
    check_id(&input.channel, "channel")?;
    check_text(&input.account, "account", 1, 64)?;
    check_text(&input.external_id, "external_id", 1, 128)?;
    if input.currency.len() != 3 || !input.currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return invalid("currency", "must be three upper-case letters (ISO 4217)");
    }
    check_optional(input.email.as_deref(), "email", 254)?;
    check_optional(input.customer_ref.as_deref(), "customer_ref", 128)?;
    check_optional(input.shipping_method.as_deref(), "shipping_method", 100)?;
    check_text(&input.payment_method, "payment_method", 0, 64)?;
    if let Some(address) = &input.shipping_address {
        check_address(address)?;
    }
    if input.attributes.len() > 50 {
        return invalid("attributes", "at most 50 are allowed");
    }
    for (index, attribute) in input.attributes.iter().enumerate() {
        check_text(&attribute.name, &format!("attributes[{index}].name"), 1, 64)?;
        check_text(&attribute.value, &format!("attributes[{index}].value"), 0, 2_000)?;
    }
    let lines_min = usize::from(origin != Origin::Reported);
    if input.lines.len() < lines_min || input.lines.len() > LINES_MAX {
        return invalid("lines", &format!("{lines_min} to {LINES_MAX} are allowed, there are {}", input.lines.len()));
    }
    let mut line_ids = BTreeSet::new();
    for (index, line) in input.lines.iter().enumerate() {
        check_line(line, origin, &format!("lines[{index}]"))?;
        if !line_ids.insert(&line.line_id) {
            return invalid(&format!("lines[{index}].line_id"), &format!("{} is used twice", line.line_id));
        }
    }
    check_header_amounts(input, origin)
}

fn check_line(line: &LineInput, origin: Origin, field: &str) -> Result<()> {
    check_text(&line.line_id, &format!("{field}.line_id"), 1, 128)?;
    let sku_is_sound = (1..=64).contains(&line.sku.chars().count())
        && line.sku.trim() == line.sku
        && !line.sku.chars().any(char::is_control);
    if !sku_is_sound {
        return invalid(&format!("{field}.sku"), "must be 1 to 64 characters without spaces at its ends");
    }
    check_text(&line.title, &format!("{field}.title"), 0, 500)?;
    let lowest = match origin {
        Origin::Placed => 1,
        Origin::Reported => 0,
        Origin::Imported => -QUANTITY_MAX,
    };
    if line.quantity < lowest || line.quantity > QUANTITY_MAX || (line.quantity == 0 && origin == Origin::Imported) {
        return invalid(&format!("{field}.quantity"), &format!("{} is out of range", line.quantity));
    }
    let amounts = [
        ("unit_price_minor", line.unit_price_minor),
        ("discount_minor", line.discount_minor),
        ("net_minor", line.net_minor),
        ("tax_minor", line.tax_minor),
        ("gross_minor", line.gross_minor),
    ];
    for (name, amount) in amounts {
        check_amount(amount, &format!("{field}.{name}"))?;
    }
    if origin != Origin::Reported && line.net_minor + line.tax_minor != line.gross_minor {
        return invalid(
            &format!("{field}.gross_minor"),
            &format!("must be net + tax = {}, it is {}", line.net_minor + line.tax_minor, line.gross_minor),
        );
    }
    if origin == Origin::Placed {
        let gross = i128::from(line.unit_price_minor) * i128::from(line.quantity) - i128::from(line.discount_minor);
        if gross != i128::from(line.gross_minor) {
            return invalid(
                &format!("{field}.gross_minor"),
                &format!("must be unit price x quantity - discount = {gross}, it is {}", line.gross_minor),
            );
        }
        if line.stocked && (line.unit_price_minor < 0 || line.gross_minor < 0) {
            return invalid(&format!("{field}.gross_minor"), "goods cannot cost less than 0");
        }
    }
    Ok(())
}

fn check_header_amounts(input: &OrderInput, origin: Origin) -> Result<()> {
    let amounts = [
        ("shipping_net_minor", input.shipping_net_minor),
        ("shipping_tax_minor", input.shipping_tax_minor),
        ("shipping_gross_minor", input.shipping_gross_minor),
        ("total_minor", input.total_minor),
        ("paid_minor", input.paid_minor),
    ];
    for (name, amount) in amounts {
        check_amount(amount, name)?;
    }
    if origin == Origin::Reported {
        return Ok(());
    }
    if input.shipping_net_minor + input.shipping_tax_minor != input.shipping_gross_minor {
        return invalid("shipping_gross_minor", "must be shipping net + shipping tax");
    }
    let total = sum_of_parts(input);
    if total != input.total_minor {
        return invalid("total_minor", &format!("must be lines + shipping = {total}, it is {}", input.total_minor));
    }
    if origin == Origin::Placed && (input.total_minor < 0 || input.paid_minor < 0 || input.shipping_gross_minor < 0) {
        return invalid("total_minor", "total, paid and shipping cannot be less than 0");
    }
    Ok(())
}

/// Whether an order's amounts, as reported, agree but for rounding: one minor unit a line, and one for the shipping.
pub fn is_consistent(order: &Order) -> bool {
    let lines_agree = order.lines.iter().all(|line| (line.net_minor + line.tax_minor - line.gross_minor).abs() <= 1);
    let shipping = order.shipping_net_minor + order.shipping_tax_minor - order.shipping_gross_minor;
    let tolerance = i64::try_from(order.lines.len()).unwrap_or(i64::MAX).saturating_add(1);
    let total = order.lines.iter().map(|line| line.gross_minor).sum::<i64>() + order.shipping_gross_minor;
    lines_agree && shipping.abs() <= 1 && (total - order.total_minor).abs() <= tolerance
}

fn sum_of_parts(input: &OrderInput) -> i64 {
    input.lines.iter().map(|line| line.gross_minor).sum::<i64>() + input.shipping_gross_minor
}

fn check_address(address: &Address) -> Result<()> {
    let parts = [
        ("name", Some(&address.name)),
        ("company", address.company.as_ref()),
        ("line1", Some(&address.line1)),
        ("line2", address.line2.as_ref()),
        ("postal_code", Some(&address.postal_code)),
        ("city", Some(&address.city)),
        ("region", address.region.as_ref()),
        ("country", Some(&address.country)),
        ("phone", address.phone.as_ref()),
    ];
    for (name, part) in parts {
        check_optional(part.map(String::as_str), &format!("shipping_address.{name}"), 200)?;
    }
    Ok(())
}

fn check_amount(amount: i64, field: &str) -> Result<()> {
    match (-AMOUNT_MAX..=AMOUNT_MAX).contains(&amount) {
        true => Ok(()),
        false => invalid(field, &format!("{amount} is out of range")),
    }
}

fn check_optional(text: Option<&str>, field: &str, bytes_max: usize) -> Result<()> {
    text.map_or(Ok(()), |text| check_text(text, field, 0, bytes_max))
}

/// Text of `bytes_min` to `bytes_max` bytes without control characters.
pub fn check_text(text: &str, field: &str, bytes_min: usize, bytes_max: usize) -> Result<()> {
    if (bytes_min..=bytes_max).contains(&text.len()) && !text.chars().any(char::is_control) {
        return Ok(());
    }
    invalid(field, &format!("must be {bytes_min} to {bytes_max} bytes of text without control characters"))
}

/// Ids of channels are 1 to 32 characters `[a-z0-9-]`.
pub fn check_id(id: &str, field: &str) -> Result<()> {
    let is_sound = (1..=32).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    match is_sound {
        true => Ok(()),
        false => invalid(field, "must be 1 to 32 characters of a-z, 0-9 and -"),
    }
}

fn invalid(field: &str, rule: &str) -> Result<()> {
    Err(Error::Invalid(format!("{field}: {rule}")))
}
