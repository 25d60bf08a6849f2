//! What moves stock: booked movements, counts, sales over the counter and safety stock. Every booking happens once, by its key;
//! the ledger only grows, and the counters are its projection. Reservations are not here.
//!
//! A booking states what happened in the house, so it is never refused for lack of stock: on hand and what is available to sell
//! may fall below 0. The latter publishes that the place is oversold. Only goods that cannot be sold never go below 0.

use std::collections::{BTreeMap, BTreeSet};

use crate::input::{check_id, check_sku, check_text, sum_demands};
use crate::model::{
    BATCH_MAX, BookingKey, Counter, Demand, Error, Event, Item, MOVEMENTS_MAX, Movement, MovementInput, MovementReason,
    Place, QUANTITY_MAX, REF_TYPE_BYTES_MAX, REFERENCE_BYTES_MAX, Result, StockCount,
};
use crate::stock::Stock;

/// Holds looked at to find the reservation that gives way first; those that lapse soonest come first.
const WEAKEST_HOLDS_MAX: u32 = 100;

/// The SKUs whose availability a call changed: one event each at its end.
#[derive(Debug, Default)]
pub struct Changes {
    skus: BTreeSet<String>,
}

impl Changes {
    /// Notes a change.
    pub fn note(&mut self, sku: &str) {
        if !self.skus.contains(sku) {
            self.skus.insert(sku.to_owned());
        }
    }

    /// Publishes them.
    pub fn publish(self, stock: &mut impl Stock) -> Result<()> {
        for sku in self.skus {
            stock.publish(Event::StockChanged { sku })?;
        }
        Ok(())
    }
}

/// Books up to 1,000 movements, all or none. Returns how many were new.
pub fn book(stock: &mut impl Stock, movements: &[MovementInput]) -> Result<u32> {
    if movements.is_empty() || movements.len() > MOVEMENTS_MAX {
        return Err(Error::Invalid(format!(
            "movements: 1 to {MOVEMENTS_MAX} are allowed, there are {}",
            movements.len()
        )));
    }
    let mut known = KnownLocations::default();
    let mut changes = Changes::default();
    let mut taken = BTreeMap::<Place, (i64, String, String)>::new();
    let mut booked = 0;
    for (index, movement) in movements.iter().enumerate() {
        check_movement(movement, index)?;
        known.require(stock, &movement.location)?;
        if !book_once(stock, movement, &mut changes)? {
            continue;
        }
        booked += 1;
        if movement.quantity < 0 && !movement.reason.is_unsellable() {
            let place = Place::new(&movement.sku, &movement.location);
            let entry = taken.entry(place).or_insert_with(|| (0, movement.ref_type.clone(), movement.ref_id.clone()));
            entry.0 -= movement.quantity;
        }
    }
    for (place, (quantity, ref_type, ref_id)) in taken {
        report_if_oversold(stock, place, quantity, ref_type, ref_id)?;
    }
    changes.publish(stock)?;
    Ok(booked)
}

/// Books one movement unless its key is known. Locations are the caller's to check.
pub fn book_once(stock: &mut impl Stock, input: &MovementInput, changes: &mut Changes) -> Result<bool> {
    let key = BookingKey::of_movement(input);
    if stock.is_booked(&key)? {
        return Ok(false);
    }
    stock.put_booking(&key)?;
    append(stock, input)?;
    let place = Place::new(&input.sku, &input.location);
    know(stock, &place)?;
    stock.add(Counter::OnHand, &place, input.quantity, None)?;
    if input.reason.is_unsellable() {
        if !stock.add(Counter::Unsellable, &place, input.quantity, Some(0))? {
            return Err(Error::Invalid(format!(
                "quantity: {} of {} at {} cannot leave as return_damaged, fewer are unsellable",
                -input.quantity, input.sku, input.location
            )));
        }
    } else {
        stock.add(Counter::AvailableToSell, &place, input.quantity, None)?;
        changes.note(&input.sku);
    }
    Ok(true)
}

/// Appends to the ledger.
pub fn append(stock: &mut impl Stock, input: &MovementInput) -> Result<()> {
    let recorded_at_ms = stock.now_ms();
    let movement = Movement {
        id: stock.new_id()?,
        sku: input.sku.clone(),
        location: input.location.clone(),
        quantity: input.quantity,
        reason: input.reason,
        ref_type: input.ref_type.clone(),
        ref_id: input.ref_id.clone(),
        line: input.line,
        occurred_at_ms: match input.occurred_at_ms {
            0 => recorded_at_ms,
            occurred_at_ms => occurred_at_ms,
        },
        recorded_at_ms,
        actor: stock.actor(),
    };
    stock.put_movement(&movement)
}

/// Books the differences of up to 250 counts, all or none. Returns how many levels changed.
///
/// A count without a difference is remembered too: should it be delivered again after a sale, it must not undo the sale.
pub fn count(stock: &mut impl Stock, counts: &[StockCount]) -> Result<u32> {
    if counts.is_empty() || counts.len() > BATCH_MAX {
        return Err(Error::Invalid(format!("counts: 1 to {BATCH_MAX} are allowed, there are {}", counts.len())));
    }
    let mut known = KnownLocations::default();
    let mut changes = Changes::default();
    let mut seen = BTreeSet::new();
    let mut changed = 0;
    for (index, count) in counts.iter().enumerate() {
        check_count(count, index)?;
        known.require(stock, &count.location)?;
        if !seen.insert((&count.reference, &count.sku, &count.location)) {
            return Err(Error::Invalid(format!(
                "counts[{index}]: {} at {} is counted twice under reference {}",
                count.sku, count.location, count.reference
            )));
        }
        if count_once(stock, count, &mut changes)? {
            changed += 1;
        }
    }
    changes.publish(stock)?;
    Ok(changed)
}

fn count_once(stock: &mut impl Stock, count: &StockCount, changes: &mut Changes) -> Result<bool> {
    let mut movement = MovementInput {
        sku: count.sku.clone(),
        location: count.location.clone(),
        quantity: 0,
        reason: MovementReason::CountAdjust,
        ref_type: "count".to_owned(),
        ref_id: count.reference.clone(),
        line: 0,
        occurred_at_ms: 0,
    };
    let key = BookingKey::of_movement(&movement);
    if stock.is_booked(&key)? {
        return Ok(false);
    }
    let place = Place::new(&count.sku, &count.location);
    let on_hand = stock.exact(Counter::OnHand, &place)?;
    if let Some(expected) = count.expected
        && expected != on_hand
    {
        return Err(Error::Conflict(format!(
            "{} at {}: on hand is {on_hand}, not {expected} as expected; read the level again",
            count.sku, count.location
        )));
    }
    movement.quantity = count.counted - on_hand;
    if movement.quantity == 0 {
        know(stock, &place)?;
        stock.put_booking(&key)?;
        return Ok(false);
    }
    book_once(stock, &movement, changes)?;
    if movement.quantity < 0 {
        report_if_oversold(stock, place, -movement.quantity, movement.ref_type, movement.ref_id)?;
    }
    Ok(true)
}

/// Books a sale over the counter. The customer holds the goods: it is never refused for lack of stock.
pub fn sell(
    stock: &mut impl Stock,
    location: &str,
    ref_id: &str,
    occurred_at_ms: u64,
    demands: &[Demand],
) -> Result<()> {
    check_id(location, "location")?;
    check_text(ref_id, "ref_id", REFERENCE_BYTES_MAX)?;
    let sums = sum_demands(demands)?;
    if let Some(other) = demands.iter().filter_map(|demand| demand.location.as_deref()).find(|other| *other != location)
    {
        return Err(Error::Invalid(format!("demands: a sale at {location} cannot take goods at {other}")));
    }
    KnownLocations::default().require(stock, location)?;
    let key = BookingKey::of_operation("sale", ref_id, 0);
    if stock.is_booked(&key)? {
        return Ok(());
    }
    stock.put_booking(&key)?;
    let mut changes = Changes::default();
    for (sku, wanted) in sums {
        let quantity = wanted.total();
        let movement = MovementInput {
            sku: sku.clone(),
            location: location.to_owned(),
            quantity: -quantity,
            reason: MovementReason::SalePos,
            ref_type: "sale".to_owned(),
            ref_id: ref_id.to_owned(),
            line: 0,
            occurred_at_ms,
        };
        if book_once(stock, &movement, &mut changes)? {
            let place = Place::new(&sku, location);
            report_if_oversold(stock, place, quantity, movement.ref_type, movement.ref_id)?;
        }
    }
    changes.publish(stock)
}

/// Sets the safety stock of a SKU at a location: what is available to sell falls and rises with it.
pub fn set_safety(stock: &mut impl Stock, sku: &str, location: &str, quantity: i64) -> Result<()> {
    check_sku(sku, "sku")?;
    check_id(location, "location")?;
    if !(0..=QUANTITY_MAX).contains(&quantity) {
        return Err(Error::Invalid(format!("quantity: must be 0 to {QUANTITY_MAX}, it is {quantity}")));
    }
    KnownLocations::default().require(stock, location)?;
    let place = Place::new(sku, location);
    let item = stock.item(&place)?;
    let before = item.map_or(0, |item| item.safety);
    if item.is_some() && before == quantity {
        return Ok(());
    }
    stock.put_item(&place, &Item { safety: quantity })?;
    if before == quantity {
        return Ok(());
    }
    stock.add(Counter::AvailableToSell, &place, before - quantity, None)?;
    let mut changes = Changes::default();
    changes.note(sku);
    changes.publish(stock)
}

/// Notes that a place has stock to speak of. Written once: afterwards only read, so that bookings do not conflict over it.
fn know(stock: &mut impl Stock, place: &Place) -> Result<()> {
    if stock.item(place)?.is_none() {
        stock.put_item(place, &Item::default())?;
    }
    Ok(())
}

/// Publishes that a place is oversold if it is. Asks only whether, so that sales of the same SKU do not conflict.
fn report_if_oversold(
    stock: &mut impl Stock,
    place: Place,
    quantity: i64,
    ref_type: String,
    ref_id: String,
) -> Result<()> {
    if stock.at_least(Counter::AvailableToSell, &place, 0)? {
        return Ok(());
    }
    let weakest_reservation = stock
        .holds(&place, None, u64::MAX, WEAKEST_HOLDS_MAX)?
        .into_iter()
        .min_by_key(|hold| hold.kind.strength())
        .map(|hold| hold.reservation);
    stock.publish(Event::Oversold { place, quantity, ref_type, ref_id, weakest_reservation })
}

/// Locations found to exist in this call, so that each is read once.
#[derive(Debug, Default)]
pub struct KnownLocations(BTreeSet<String>);

impl KnownLocations {
    /// Refuses a location that does not exist. An inactive one still takes bookings: its stock must be able to leave.
    pub fn require(&mut self, stock: &mut impl Stock, id: &str) -> Result<()> {
        if self.0.contains(id) {
            return Ok(());
        }
        if stock.location(id)?.is_none() {
            return Err(Error::NotFound(format!("there is no location `{id}`; create it first")));
        }
        self.0.insert(id.to_owned());
        Ok(())
    }
}

fn check_movement(movement: &MovementInput, index: usize) -> Result<()> {
    check_sku(&movement.sku, &format!("movements[{index}].sku"))?;
    check_id(&movement.location, &format!("movements[{index}].location"))?;
    check_text(&movement.ref_type, &format!("movements[{index}].ref_type"), REF_TYPE_BYTES_MAX)?;
    check_text(&movement.ref_id, &format!("movements[{index}].ref_id"), REFERENCE_BYTES_MAX)?;
    if movement.quantity == 0 || !(-QUANTITY_MAX..=QUANTITY_MAX).contains(&movement.quantity) {
        return Err(Error::Invalid(format!(
            "movements[{index}].quantity: must be -{QUANTITY_MAX} to {QUANTITY_MAX} and not 0, it is {}",
            movement.quantity
        )));
    }
    Ok(())
}

fn check_count(count: &StockCount, index: usize) -> Result<()> {
    check_sku(&count.sku, &format!("counts[{index}].sku"))?;
    check_id(&count.location, &format!("counts[{index}].location"))?;
    check_text(&count.reference, &format!("counts[{index}].reference"), REFERENCE_BYTES_MAX)?;
    if !(0..=QUANTITY_MAX).contains(&count.counted) {
        return Err(Error::Invalid(format!(
            "counts[{index}].counted: must be 0 to {QUANTITY_MAX}, it is {}",
            count.counted
        )));
    }
    Ok(())
}
