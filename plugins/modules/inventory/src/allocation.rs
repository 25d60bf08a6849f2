//! Finding stock for a demand, so that many buyers of one SKU do not get in each other's way.
//!
//! What is available to sell of a place is a counter. A *blind* take lowers it under a bound that the host checks again at
//! commit: buyers of a hot SKU commute. Only where no single location can meet the demand blindly are exact values read, which
//! conflict with concurrent takes; that happens for the last units and for demands that must be split.
//!
//! A channel's buffer is stock that the channel may not touch: the sum over its locations of what is available stays at least
//! the buffer. The blind take keeps the *whole* buffer at the one location that it takes from. That is sound whatever the
//! others hold (they add at least 0), and needs no look at them. When it is refused everywhere, the exact values decide, and
//! then every unit above the buffer can be had. So near the buffer a later location may be used before an earlier one is empty.

use crate::input::Wanted;
use crate::model::{Counter, Error, Place, Result, Shortage};
use crate::reservation::release_lapsed_at;
use crate::stock::Stock;

/// Rounds of giving back lapsed reservations before a demand is refused. Each gives back up to a hundred, so this only bounds
/// the work of one call.
const LAPSED_ROUNDS_MAX: u32 = 10;

/// Whose stock a demand may take.
#[derive(Clone, Debug)]
pub struct Source {
    /// Active locations in the channel's order.
    pub locations: Vec<String>,
    /// What stays untouched, summed over them.
    pub buffer: i64,
}

/// What was taken for a demand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// How much at which place.
    pub parts: Vec<(Place, i64)>,
    /// What could not be had.
    pub shortage: Option<Shortage>,
}

/// Takes what `wanted` says of a SKU out of what is available to sell, or, with `allow_partial`, as much as there is. The caller
/// books it as reserved. A shortage leaves partial takes behind: the call must then fail as a whole.
pub fn take(stock: &mut impl Stock, source: &Source, sku: &str, wanted: &Wanted, allow_partial: bool) -> Result<Taken> {
    let mut taken = Vec::new();
    let mut missing = 0;
    for (location, quantity) in &wanted.at {
        let Some(location) = source.locations.iter().find(|known| *known == location) else {
            return Err(Error::Invalid(format!("demands: {location} is not an active location of the channel")));
        };
        let candidates = std::slice::from_ref(location);
        missing += take_from(stock, source, candidates, sku, *quantity, allow_partial, &mut taken)?;
    }
    if wanted.anywhere > 0 {
        missing += take_from(stock, source, &source.locations, sku, wanted.anywhere, allow_partial, &mut taken)?;
    }
    let requested = wanted.total();
    let shortage = (missing > 0).then(|| Shortage { sku: sku.to_owned(), requested, available: requested - missing });
    Ok(Taken { parts: taken, shortage })
}

/// Takes `quantity` from the candidates; returns how much is missing.
fn take_from(
    stock: &mut impl Stock,
    source: &Source,
    candidates: &[String],
    sku: &str,
    quantity: i64,
    allow_partial: bool,
    taken: &mut Vec<(Place, i64)>,
) -> Result<i64> {
    for _ in 0..LAPSED_ROUNDS_MAX {
        if let Some(place) = take_blindly(stock, source, candidates, sku, quantity)? {
            taken.push((place, quantity));
            return Ok(0);
        }
        let mut given_back = 0;
        for location in &source.locations {
            given_back += release_lapsed_at(stock, &Place::new(sku, location))?;
        }
        if given_back == 0 {
            break;
        }
    }
    let split = split_exactly(stock, source, candidates, sku, quantity)?;
    let found: i64 = split.iter().map(|(_, part)| part).sum();
    if found == quantity || allow_partial {
        for (place, part) in split {
            if !stock.add(Counter::AvailableToSell, &place, -part, Some(0))? {
                return Err(Error::Other(format!(
                    "the stock of {sku} at {} changed while it was read",
                    place.location
                )));
            }
            taken.push((place, part));
        }
    }
    Ok(quantity - found)
}

/// Takes all of it from the first candidate that has it and the buffer besides.
fn take_blindly(
    stock: &mut impl Stock,
    source: &Source,
    candidates: &[String],
    sku: &str,
    quantity: i64,
) -> Result<Option<Place>> {
    for location in candidates {
        let place = Place::new(sku, location);
        if stock.add(Counter::AvailableToSell, &place, -quantity, Some(source.buffer))? {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// How up to `quantity` could be taken from the candidates in their order, by exact values.
fn split_exactly(
    stock: &mut impl Stock,
    source: &Source,
    candidates: &[String],
    sku: &str,
    quantity: i64,
) -> Result<Vec<(Place, i64)>> {
    // Sold out is the usual reason to come here on a hot SKU, and can be told without depending on an exact value.
    let lowest_useful = match source.locations.len() {
        1 => source.buffer + 1,
        _ => 1,
    };
    let mut any_left = false;
    for location in &source.locations {
        any_left = any_left || stock.at_least(Counter::AvailableToSell, &Place::new(sku, location), lowest_useful)?;
    }
    if !any_left {
        return Ok(Vec::new());
    }
    let mut available = Vec::with_capacity(source.locations.len());
    for location in &source.locations {
        let exact = stock.exact(Counter::AvailableToSell, &Place::new(sku, location))?;
        available.push((location, exact.max(0)));
    }
    let above_buffer = available.iter().map(|(_, quantity)| quantity).sum::<i64>() - source.buffer;
    let mut remaining = quantity.min(above_buffer.max(0));
    let mut split = Vec::new();
    for candidate in candidates {
        let there = available.iter().find(|(location, _)| *location == candidate).map_or(0, |(_, quantity)| *quantity);
        let part = there.min(remaining);
        if part > 0 {
            split.push((Place::new(sku, candidate), part));
            remaining -= part;
        }
    }
    Ok(split)
}
