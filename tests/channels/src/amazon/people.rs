//! What the marketplace makes up: buyers with addresses, and the text of issues.

use serde_json::{Value, json};

use super::faults::draw;
use super::views::Marketplace;

/// An issue of a listing.
pub(crate) fn issue(code: &str, message: &str, attribute: &str, category: &str) -> Value {
    json!({
        "code": code,
        "message": message,
        "severity": "ERROR",
        "attributeNames": [attribute],
        "categories": [category],
    })
}

/// A buyer and an address, from the order's number.
pub(crate) fn person(seed: u64, order_id: &str, marketplace: Option<&Marketplace>) -> (Value, Value) {
    const FIRST: [&str; 6] = ["Anna", "Jonas", "Mia", "Emil", "Lea", "Oskar"];
    const LAST: [&str; 6] = ["Weber", "Krause", "Lindner", "Albers", "Sommer", "Voigt"];
    const STREET: [&str; 4] = ["Lindenallee", "Hafenstrasse", "Am Markt", "Gartenweg"];
    let number = draw(seed, &["person", order_id]);
    let pick = |list: &[&'static str], shift: u32| {
        let length = u64::try_from(list.len()).unwrap_or(1);
        usize::try_from((number >> shift) % length).ok().and_then(|index| list.get(index)).copied().unwrap_or("")
    };
    let name = format!("{} {}", pick(&FIRST, 0), pick(&LAST, 8));
    let (country, city, postal_code) = match marketplace.map(|marketplace| marketplace.country.as_str()) {
        Some("GB") => ("GB", "Leeds", "LS1 4AP".to_owned()),
        Some("US") => ("US", "Portland", "97201".to_owned()),
        _ => ("DE", "Bremen", format!("28{:03}", number % 900 + 1)),
    };
    let buyer = json!({
        "buyerName": name,
        "buyerEmail": format!("{:012x}@marketplace.example", number >> 16),
    });
    let recipient = json!({ "deliveryAddress": {
        "name": name,
        "addressLine1": format!("{} {}", pick(&STREET, 16), number % 120 + 1),
        "city": city,
        "postalCode": postal_code,
        "countryCode": country,
        "addressType": "RESIDENTIAL",
    }});
    (buyer, recipient)
}
