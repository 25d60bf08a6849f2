//! Compares the counters with what they are projections of: on hand and unsellable with the ledger of movements, reserved with the
//! holds of live reservations, what is available to sell with the other four. It reports and changes nothing.
//!
//! A step reads a bounded number of entries. A place with more is continued by the next step with its partial sums, oldest
//! movement first; movements recorded meanwhile are met at the end. Each step is a transaction, so within one the comparison
//! is exact; a place that took several steps while it was being sold may have to be verified again.

use serde::{Deserialize, Serialize};

use crate::model::{Counter, Discrepancy, Error, Item, LedgerPosition, Place, Result, Verification};
use crate::stock::{Direction, Stock};

/// Entries that a step reads before it ends.
const STEP_ENTRIES: u64 = 20_000;
/// Entries read at a time.
const PAGE: u32 = 2_000;
/// Places listed at a time.
const PLACES_PAGE: u32 = 250;

/// Where a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    /// The last place that was begun.
    sku: String,
    location: String,
    /// Present: the place is not finished.
    partial: Option<Sums>,
}

/// Sums over a part of a place's ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sums {
    on_hand: i64,
    unsellable: i64,
    after: Option<LedgerPosition>,
}

/// Takes a step.
pub fn verify(stock: &mut impl Stock, cursor: Option<&str>) -> Result<Verification> {
    let mut found = Verification::default();
    let mut entries = 0;
    let mut after = None;
    if let Some(cursor) = cursor.map(decode).transpose()? {
        let place = Place::new(&cursor.sku, &cursor.location);
        if let Some(sums) = cursor.partial {
            let item = stock.item(&place)?.unwrap_or_default();
            if let Some(next) = verify_place(stock, &place, item, sums, &mut entries, &mut found)? {
                return ended_at(found, place, Some(next));
            }
        }
        after = Some(place);
    }
    loop {
        let places = stock.items_after(after.as_ref(), PLACES_PAGE)?;
        if places.is_empty() {
            return Ok(found);
        }
        for (place, item) in places {
            entries += 1;
            if let Some(next) = verify_place(stock, &place, item, Sums::default(), &mut entries, &mut found)? {
                return ended_at(found, place, Some(next));
            }
            if entries >= STEP_ENTRIES {
                return ended_at(found, place, None);
            }
            after = Some(place);
        }
    }
}

/// Verifies a place, or returns the sums so far when the step has read enough.
fn verify_place(
    stock: &mut impl Stock,
    place: &Place,
    item: Item,
    mut sums: Sums,
    entries: &mut u64,
    found: &mut Verification,
) -> Result<Option<Sums>> {
    loop {
        let page = stock.movements(place, sums.after.as_ref(), Direction::Ascending, PAGE)?;
        *entries += page.len() as u64;
        for movement in &page {
            sums.on_hand += movement.quantity;
            if movement.reason.is_unsellable() {
                sums.unsellable += movement.quantity;
            }
        }
        match page.last() {
            Some(last) => {
                sums.after = Some(LedgerPosition { recorded_at_ms: last.recorded_at_ms, id: last.id.clone() });
            }
            None => break,
        }
        if page.len() < PAGE as usize {
            break;
        }
        if *entries >= STEP_ENTRIES {
            return Ok(Some(sums));
        }
    }
    let held = held_at(stock, place, entries)?;
    let available = sums.on_hand - sums.unsellable - held - item.safety;
    let comparisons = [
        (Counter::OnHand, "on-hand", sums.on_hand),
        (Counter::Unsellable, "unsellable", sums.unsellable),
        (Counter::Reserved, "reserved", held),
        (Counter::AvailableToSell, "available-to-sell", available),
    ];
    for (counter, field, ledger) in comparisons {
        let projected = stock.exact(counter, place)?;
        if projected != ledger {
            found.discrepancies.push(Discrepancy {
                sku: place.sku.clone(),
                location: place.location.clone(),
                field: field.to_owned(),
                projected,
                ledger,
            });
        }
    }
    found.checked += 1;
    Ok(None)
}

fn held_at(stock: &mut impl Stock, place: &Place, entries: &mut u64) -> Result<i64> {
    let mut held = 0;
    let mut after: Option<(u64, String)> = None;
    loop {
        let position = after.as_ref().map(|(expiry, id)| (*expiry, id.as_str()));
        let page = stock.holds(place, position, u64::MAX, PAGE)?;
        *entries += page.len() as u64;
        held += page.iter().map(|hold| hold.quantity).sum::<i64>();
        let more = page.len() == PAGE as usize;
        match page.into_iter().last() {
            Some(last) if more => after = Some((last.expires_at_ms, last.reservation)),
            _ => return Ok(held),
        }
    }
}

fn ended_at(mut found: Verification, place: Place, partial: Option<Sums>) -> Result<Verification> {
    found.next_cursor = Some(encode(&Cursor { sku: place.sku, location: place.location, partial })?);
    Ok(found)
}

/// Hexadecimal, so that it can stand in a URL as it is.
fn encode(cursor: &Cursor) -> Result<String> {
    let json = serde_json::to_vec(cursor).map_err(|error| Error::Other(format!("cursor: {error}")))?;
    Ok(json.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn decode(cursor: &str) -> Result<Cursor> {
    let refused = || Error::Invalid("cursor: must be one that an earlier step returned".to_owned());
    if cursor.len() > 2_000 {
        return Err(refused());
    }
    let mut bytes = Vec::with_capacity(cursor.len() / 2);
    for pair in cursor.as_bytes().chunks(2) {
        let text = std::str::from_utf8(pair).map_err(|_| refused())?;
        bytes.push(u8::from_str_radix(text, 16).map_err(|_| refused())?);
    }
    serde_json::from_slice(&bytes).map_err(|_| refused())
}
