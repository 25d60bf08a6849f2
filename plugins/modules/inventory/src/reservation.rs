//! Reservations: stock held for a cart, a pickup or an order, from the moment it is taken to the moment it leaves the house or is
//! given back. How stock is found is in `allocation.rs`.
//!
//! `active` becomes `committed` (an order's; it lapses no more), and either ends `fulfilled`, `released` or `expired`. A live
//! reservation is counted in `reserved` and missing from what is available to sell; an ended one is in neither. Expiry is
//! decided by the clock whenever a reservation is looked at. Its stock comes back when somebody needs it, or by the sweeper,
//! whichever is first.

use std::collections::BTreeMap;

use crate::allocation::take;
use crate::booking::{Changes, append};
use crate::input::{check_id, check_quantity, check_sku, check_text, sum_demands};
use crate::model::{
    Allocation, BookingKey, Counter, Demand, EXTENDED_LIFE_MS_MAX, EXTENSIONS_MAX, Error, Hold, MovementInput,
    MovementReason, Place, REFERENCE_BYTES_MAX, Reservation, ReservationKind, ReservationRequest, ReservationState,
    Result,
};
use crate::offers::source_of;
use crate::stock::Stock;

/// Lapsed holds of one place given back at a time.
const LAPSED_HOLDS_MAX: u32 = 100;

/// Holds stock, all of it or (with `allow_partial`) what there is.
///
/// The owner has at most one reservation that is alive or fulfilled, and gets it again. One that was released or lapsed is
/// history: the owner may reserve anew.
pub fn reserve(stock: &mut impl Stock, request: &ReservationRequest) -> Result<Reservation> {
    let now_ms = stock.now_ms();
    check_id(&request.channel, "channel")?;
    check_text(&request.owner, "owner", REFERENCE_BYTES_MAX)?;
    let sums = sum_demands(&request.demands)?;
    if request.expires_at_ms.is_some_and(|expires| expires <= now_ms) {
        return Err(Error::Invalid(format!("expires_at_ms: must be later than now ({now_ms})")));
    }
    if let Some(reservation) = reservation_of(stock, &request.owner)? {
        if reservation.has_lapsed(now_ms) {
            end(stock, reservation, ReservationState::Expired)?;
        } else if reservation.is_live() || reservation.state == ReservationState::Fulfilled {
            return Ok(reservation);
        }
    }
    let source = source_of(stock, &request.channel)?;
    let mut allocations = Vec::new();
    let mut shortages = Vec::new();
    for (sku, wanted) in &sums {
        let taken = take(stock, &source, sku, wanted, request.allow_partial)?;
        shortages.extend(taken.shortage);
        allocations.extend(merge(taken.parts));
    }
    if (!request.allow_partial && !shortages.is_empty()) || allocations.is_empty() {
        return Err(Error::Insufficient(shortages));
    }
    let reservation = Reservation {
        id: stock.new_id()?,
        channel: request.channel.clone(),
        kind: request.kind,
        owner: request.owner.clone(),
        state: ReservationState::Active,
        allocations,
        expires_at_ms: request.expires_at_ms,
        created_at_ms: now_ms,
        extensions: 0,
        order_id: None,
    };
    let mut changes = Changes::default();
    for allocation in &reservation.allocations {
        stock.add(Counter::Reserved, &allocation.place(), allocation.quantity, None)?;
        changes.note(&allocation.sku);
    }
    write_index(stock, &reservation)?;
    stock.put_reservation(&reservation)?;
    stock.put_reservation_of(&reservation.owner, &reservation.id)?;
    changes.publish(stock)?;
    Ok(reservation)
}

/// A reservation as it stands now.
pub fn get(stock: &mut impl Stock, id: &str) -> Result<Reservation> {
    let now_ms = stock.now_ms();
    Ok(load(stock, id)?.seen_at(now_ms))
}

/// Moves the lapse of an active reservation to a later time.
pub fn extend(stock: &mut impl Stock, id: &str, expires_at_ms: u64) -> Result<Reservation> {
    let mut reservation = load_alive(stock, id)?;
    if reservation.state != ReservationState::Active {
        return Err(Error::Conflict(format!("reservation {id} belongs to an order and does not lapse")));
    }
    let Some(before) = reservation.expires_at_ms else {
        return Err(Error::Conflict(format!("reservation {id} does not lapse")));
    };
    let latest = reservation.created_at_ms.saturating_add(EXTENDED_LIFE_MS_MAX);
    if expires_at_ms <= before || expires_at_ms > latest {
        return Err(Error::Invalid(format!(
            "expires_at_ms: must be later than {before} and at most {latest} (4 hours after the reservation was made)"
        )));
    }
    if reservation.extensions >= EXTENSIONS_MAX {
        return Err(Error::Conflict(format!("reservation {id} was extended {EXTENSIONS_MAX} times already")));
    }
    delete_index(stock, &reservation)?;
    reservation.expires_at_ms = Some(expires_at_ms);
    reservation.extensions += 1;
    write_index(stock, &reservation)?;
    stock.put_reservation(&reservation)?;
    Ok(reservation)
}

/// Turns an active reservation into one of an order.
pub fn commit(stock: &mut impl Stock, id: &str, order_id: &str) -> Result<Reservation> {
    check_text(order_id, "order_id", REFERENCE_BYTES_MAX)?;
    let mut reservation = load(stock, id)?;
    if let Some(known) = &reservation.order_id {
        if known == order_id && reservation.state != ReservationState::Released {
            return Ok(reservation);
        }
        return Err(Error::Conflict(format!(
            "reservation {id} was committed for order {known} and is {}",
            state_name(reservation.state)
        )));
    }
    require_alive(stock, &reservation)?;
    delete_index(stock, &reservation)?;
    reservation.state = ReservationState::Committed;
    reservation.kind = match reservation.kind {
        ReservationKind::Cart => ReservationKind::Order,
        kind => kind,
    };
    reservation.order_id = Some(order_id.to_owned());
    write_index(stock, &reservation)?;
    stock.put_reservation(&reservation)?;
    Ok(reservation)
}

/// Gives back what has not been fulfilled.
pub fn release(stock: &mut impl Stock, id: &str) -> Result<Reservation> {
    let now_ms = stock.now_ms();
    let reservation = load(stock, id)?;
    if !reservation.is_live() {
        return Ok(reservation);
    }
    let state = match reservation.has_lapsed(now_ms) {
        true => ReservationState::Expired,
        false => ReservationState::Released,
    };
    end(stock, reservation, state)
}

/// Books what leaves the house out of the reservation: on hand and reserved fall together, what is available stays.
pub fn fulfil(stock: &mut impl Stock, id: &str, ref_id: &str, demands: &[Demand]) -> Result<Reservation> {
    check_text(ref_id, "ref_id", REFERENCE_BYTES_MAX)?;
    sum_demands(demands)?;
    let reservation = load(stock, id)?;
    let mut new = Vec::new();
    for (line, demand) in (0u32..).zip(demands) {
        let key = BookingKey::of_operation("shipment", ref_id, line);
        if !stock.is_booked(&key)? {
            new.push((line, demand, key));
        }
    }
    if new.is_empty() {
        return Ok(reservation);
    }
    require_alive(stock, &reservation)?;
    let mut after = reservation.clone();
    for (line, demand, key) in new {
        stock.put_booking(&key)?;
        for (place, quantity) in draw(&mut after, demand, |allocation, part| allocation.fulfilled += part)? {
            let movement = MovementInput {
                sku: place.sku.clone(),
                location: place.location.clone(),
                quantity: -quantity,
                reason: MovementReason::Ship,
                ref_type: "shipment".to_owned(),
                ref_id: ref_id.to_owned(),
                line,
                occurred_at_ms: 0,
            };
            let movement_key = BookingKey::of_movement(&movement);
            if stock.is_booked(&movement_key)? {
                return Err(Error::Conflict(format!(
                    "shipment {ref_id} line {line} was booked for {} at {} already",
                    place.sku, place.location
                )));
            }
            stock.put_booking(&movement_key)?;
            append(stock, &movement)?;
            stock.add(Counter::OnHand, &place, -quantity, None)?;
            stock.add(Counter::Reserved, &place, -quantity, None)?;
        }
    }
    settle(stock, &reservation, after)
}

/// Gives back part of a reservation.
pub fn release_part(stock: &mut impl Stock, id: &str, ref_id: &str, demands: &[Demand]) -> Result<Reservation> {
    check_text(ref_id, "ref_id", REFERENCE_BYTES_MAX)?;
    sum_demands(demands)?;
    let reservation = load(stock, id)?;
    let key = BookingKey::of_operation("release", ref_id, 0);
    if stock.is_booked(&key)? {
        return Ok(reservation);
    }
    require_alive(stock, &reservation)?;
    stock.put_booking(&key)?;
    let mut after = reservation.clone();
    let mut changes = Changes::default();
    for demand in demands {
        for (place, quantity) in draw(&mut after, demand, |allocation, part| allocation.quantity -= part)? {
            stock.add(Counter::Reserved, &place, -quantity, None)?;
            stock.add(Counter::AvailableToSell, &place, quantity, None)?;
            changes.note(&place.sku);
        }
    }
    changes.publish(stock)?;
    settle(stock, &reservation, after)
}

/// Gives back reservations that have lapsed, at most `limit`. Returns how many.
pub fn sweep(stock: &mut impl Stock, limit: u32) -> Result<u32> {
    let now_ms = stock.now_ms();
    let mut swept = 0;
    for id in stock.lapses(now_ms, limit)? {
        let reservation = load(stock, &id)?;
        if reservation.has_lapsed(now_ms) {
            end(stock, reservation, ReservationState::Expired)?;
            swept += 1;
        }
    }
    Ok(swept)
}

/// Gives back reservations that have lapsed and hold something at a place. Returns how many.
pub fn release_lapsed_at(stock: &mut impl Stock, place: &Place) -> Result<u32> {
    let now_ms = stock.now_ms();
    let mut released = 0;
    for hold in stock.holds(place, None, now_ms, LAPSED_HOLDS_MAX)? {
        let reservation = load(stock, &hold.reservation)?;
        if reservation.has_lapsed(now_ms) {
            end(stock, reservation, ReservationState::Expired)?;
            released += 1;
        }
    }
    Ok(released)
}

/// Ends a live reservation: gives back all that is open.
fn end(stock: &mut impl Stock, mut reservation: Reservation, state: ReservationState) -> Result<Reservation> {
    delete_index(stock, &reservation)?;
    let mut changes = Changes::default();
    for allocation in &reservation.allocations {
        let open = allocation.open();
        if open > 0 {
            let place = allocation.place();
            stock.add(Counter::Reserved, &place, -open, None)?;
            stock.add(Counter::AvailableToSell, &place, open, None)?;
            changes.note(&allocation.sku);
        }
    }
    reservation.state = state;
    stock.put_reservation(&reservation)?;
    changes.publish(stock)?;
    Ok(reservation)
}

/// Writes a live reservation of which something was drawn, and ends it when nothing is open.
fn settle(stock: &mut impl Stock, before: &Reservation, mut after: Reservation) -> Result<Reservation> {
    delete_index(stock, before)?;
    if after.allocations.iter().all(|allocation| allocation.open() == 0) {
        let anything_left = after.allocations.iter().any(|allocation| allocation.fulfilled > 0);
        after.state = match anything_left {
            true => ReservationState::Fulfilled,
            false => ReservationState::Released,
        };
    } else {
        write_index(stock, &after)?;
    }
    stock.put_reservation(&after)?;
    Ok(after)
}

/// Draws a demand from the open parts of a reservation, in their order.
fn draw(
    reservation: &mut Reservation,
    demand: &Demand,
    mut book: impl FnMut(&mut Allocation, i64),
) -> Result<Vec<(Place, i64)>> {
    check_sku(&demand.sku, "demands.sku")?;
    check_quantity(demand.quantity, "demands.quantity")?;
    let mut remaining = demand.quantity;
    let mut drawn = Vec::new();
    for allocation in &mut reservation.allocations {
        let matches = allocation.sku == demand.sku
            && demand.location.as_ref().is_none_or(|location| *location == allocation.location);
        let part = allocation.open().min(remaining);
        if matches && part > 0 {
            book(allocation, part);
            drawn.push((allocation.place(), part));
            remaining -= part;
        }
    }
    if remaining > 0 {
        return Err(Error::Conflict(format!(
            "reservation {} holds {} of {} open, {} were asked",
            reservation.id,
            demand.quantity - remaining,
            demand.sku,
            demand.quantity
        )));
    }
    Ok(drawn)
}

/// One allocation a place.
fn merge(taken: Vec<(Place, i64)>) -> Vec<Allocation> {
    let mut by_place = BTreeMap::<Place, (usize, i64)>::new();
    for (order, (place, quantity)) in taken.into_iter().enumerate() {
        by_place.entry(place).or_insert((order, 0)).1 += quantity;
    }
    let mut merged: Vec<_> = by_place.into_iter().collect();
    merged.sort_by_key(|(_, (order, _))| *order);
    merged
        .into_iter()
        .map(|(place, (_, quantity))| Allocation { sku: place.sku, location: place.location, quantity, fulfilled: 0 })
        .collect()
}

fn write_index(stock: &mut impl Stock, reservation: &Reservation) -> Result<()> {
    let expires_at_ms = reservation.hold_expiry_ms();
    for allocation in reservation.allocations.iter().filter(|part| part.open() > 0) {
        stock.put_hold(
            &allocation.place(),
            &Hold {
                expires_at_ms,
                reservation: reservation.id.clone(),
                quantity: allocation.open(),
                kind: reservation.kind,
            },
        )?;
    }
    match expires_at_ms {
        u64::MAX => Ok(()),
        expires_at_ms => stock.put_lapse(expires_at_ms, &reservation.id),
    }
}

fn delete_index(stock: &mut impl Stock, reservation: &Reservation) -> Result<()> {
    let expires_at_ms = reservation.hold_expiry_ms();
    for allocation in reservation.allocations.iter().filter(|part| part.open() > 0) {
        stock.delete_hold(&allocation.place(), expires_at_ms, &reservation.id)?;
    }
    match expires_at_ms {
        u64::MAX => Ok(()),
        expires_at_ms => stock.delete_lapse(expires_at_ms, &reservation.id),
    }
}

fn load(stock: &mut impl Stock, id: &str) -> Result<Reservation> {
    check_text(id, "id", REFERENCE_BYTES_MAX)?;
    stock.reservation(id)?.ok_or_else(|| Error::NotFound(format!("there is no reservation {id}")))
}

fn load_alive(stock: &mut impl Stock, id: &str) -> Result<Reservation> {
    let reservation = load(stock, id)?;
    require_alive(stock, &reservation)?;
    Ok(reservation)
}

fn require_alive(stock: &mut impl Stock, reservation: &Reservation) -> Result<()> {
    let state = reservation.clone().seen_at(stock.now_ms()).state;
    match state {
        ReservationState::Active | ReservationState::Committed => Ok(()),
        _ => Err(Error::Conflict(format!(
            "reservation {} is {} and holds no stock; reserve again",
            reservation.id,
            state_name(state)
        ))),
    }
}

fn reservation_of(stock: &mut impl Stock, owner: &str) -> Result<Option<Reservation>> {
    match stock.reservation_of(owner)? {
        Some(id) => stock.reservation(&id),
        None => Ok(None),
    }
}

/// The state's name for people.
fn state_name(state: ReservationState) -> &'static str {
    match state {
        ReservationState::Active => "active",
        ReservationState::Committed => "committed",
        ReservationState::Fulfilled => "fulfilled",
        ReservationState::Released => "released",
        ReservationState::Expired => "expired",
    }
}
