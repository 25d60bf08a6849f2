//! What there is and who may offer it: locations, channel rules, stock levels, channel offers and the ledger's pages.
//!
//! Levels and offers are exact, so a caller that also writes depends on exact values: ask for them where a number is shown or
//! pushed. On the way to an order ask for shortages; there a reservation decides.

use crate::allocation::Source;
use crate::input::{check_id, check_sku, check_text, sum_wishes};
use crate::model::{
    BATCH_MAX, CHANNEL_LOCATIONS_MAX, ChannelOffer, ChannelRule, Counter, Error, LedgerPosition, Location, Movement,
    MovementPage, Place, QUANTITY_MAX, Result, Shortage, StockLevel,
};
use crate::stock::{Direction, Stock};

/// Lapsed holds added up at a time.
const HOLDS_PAGE: u32 = 1_000;
/// Longest page of movements.
const MOVEMENTS_PAGE_MAX: u32 = 250;

/// Creates or replaces a location.
pub fn upsert_location(stock: &mut impl Stock, location: &Location) -> Result<()> {
    check_id(&location.id, "id")?;
    check_text(&location.name, "name", 200)?;
    check_text(&location.time_zone, "time_zone", 64)?;
    if stock.location(&location.id)?.as_ref() == Some(location) {
        return Ok(());
    }
    stock.put_location(location)
}

/// Creates or replaces what a channel may offer.
pub fn set_channel_rule(stock: &mut impl Stock, rule: &ChannelRule) -> Result<()> {
    check_id(&rule.channel, "channel")?;
    if rule.locations.is_empty() || rule.locations.len() > CHANNEL_LOCATIONS_MAX {
        return Err(Error::Invalid(format!(
            "locations: 1 to {CHANNEL_LOCATIONS_MAX} are allowed, there are {}",
            rule.locations.len()
        )));
    }
    for (index, location) in rule.locations.iter().enumerate() {
        if rule.locations.iter().take(index).any(|earlier| earlier == location) {
            return Err(Error::Invalid(format!("locations[{index}]: {location} is named twice")));
        }
        if stock.location(location)?.is_none() {
            return Err(Error::NotFound(format!("there is no location `{location}`; create it first")));
        }
    }
    if !(0..=QUANTITY_MAX).contains(&rule.buffer) {
        return Err(Error::Invalid(format!("buffer: must be 0 to {QUANTITY_MAX}")));
    }
    if rule.maximum.is_some_and(|maximum| !(0..=QUANTITY_MAX).contains(&maximum)) {
        return Err(Error::Invalid(format!("maximum: must be 0 to {QUANTITY_MAX}")));
    }
    if stock.channel_rule(&rule.channel)?.as_ref() == Some(rule) {
        return Ok(());
    }
    stock.put_channel_rule(rule)
}

/// The rule of a channel.
pub fn channel_rule(stock: &mut impl Stock, channel: &str) -> Result<ChannelRule> {
    check_id(channel, "channel")?;
    stock.channel_rule(channel)?.ok_or_else(|| {
        Error::NotFound(format!("channel `{channel}` has no rule that names its locations; set one first"))
    })
}

/// Whose stock a channel may take: its active locations.
pub fn source_of(stock: &mut impl Stock, channel: &str) -> Result<Source> {
    let rule = channel_rule(stock, channel)?;
    let mut locations = Vec::with_capacity(rule.locations.len());
    for id in rule.locations {
        if stock.location(&id)?.is_some_and(|location| location.active) {
            locations.push(id);
        }
    }
    Ok(Source { locations, buffer: rule.buffer })
}

/// Levels of up to 250 SKUs at every location that knows them.
pub fn levels(stock: &mut impl Stock, skus: &[String]) -> Result<Vec<StockLevel>> {
    check_skus(skus)?;
    let mut levels = Vec::new();
    for sku in skus {
        for (place, item) in stock.items_of(sku)? {
            let lapsed = lapsed_at(stock, &place)?;
            levels.push(StockLevel {
                on_hand: stock.exact(Counter::OnHand, &place)?,
                unsellable: stock.exact(Counter::Unsellable, &place)?,
                reserved: stock.exact(Counter::Reserved, &place)? - lapsed,
                safety: item.safety,
                available_to_sell: stock.exact(Counter::AvailableToSell, &place)? + lapsed,
                sku: place.sku,
                location: place.location,
            });
        }
    }
    Ok(levels)
}

/// What the channel may offer of up to 250 SKUs, in the order asked: what is available at its locations, less its buffer, at most
/// its maximum. The maximum caps the offer only; it does not refuse a reservation.
pub fn offers(stock: &mut impl Stock, channel: &str, skus: &[String]) -> Result<Vec<ChannelOffer>> {
    check_skus(skus)?;
    let rule = channel_rule(stock, channel)?;
    let source = source_of(stock, channel)?;
    let mut offers = Vec::with_capacity(skus.len());
    for sku in skus {
        offers.push(ChannelOffer { sku: sku.clone(), quantity: offered(stock, &rule, &source, sku)? });
    }
    Ok(offers)
}

/// Which of the wishes, added up by SKU, are more than the channel may offer. Exact values are read only of what no single location
/// can offer and of what is over the maximum: those who can be served do not get in each other's way.
pub fn shortages(stock: &mut impl Stock, channel: &str, wishes: &[ChannelOffer]) -> Result<Vec<Shortage>> {
    let sums = sum_wishes(wishes)?;
    let rule = channel_rule(stock, channel)?;
    let source = source_of(stock, channel)?;
    let mut shortages = Vec::new();
    for (sku, requested) in sums {
        let within_maximum = rule.maximum.is_none_or(|maximum| requested <= maximum);
        if within_maximum && has_somewhere(stock, &source, &sku, requested)? {
            continue;
        }
        let available = offered(stock, &rule, &source, &sku)?;
        if available < requested {
            shortages.push(Shortage { sku, requested, available });
        }
    }
    Ok(shortages)
}

fn offered(stock: &mut impl Stock, rule: &ChannelRule, source: &Source, sku: &str) -> Result<i64> {
    let mut available = 0;
    for location in &source.locations {
        let place = Place::new(sku, location);
        let exact = stock.exact(Counter::AvailableToSell, &place)? + lapsed_at(stock, &place)?;
        available += exact.max(0);
    }
    let offered = (available - source.buffer).max(0);
    Ok(rule.maximum.map_or(offered, |maximum| offered.min(maximum)))
}

/// Whether one location alone has that much above the channel's buffer. What the others have can only add to it.
fn has_somewhere(stock: &mut impl Stock, source: &Source, sku: &str, quantity: i64) -> Result<bool> {
    for location in &source.locations {
        if stock.at_least(Counter::AvailableToSell, &Place::new(sku, location), quantity + source.buffer)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Movements of a SKU, newest first, over all locations or at one.
pub fn movements(
    stock: &mut impl Stock,
    sku: &str,
    location: Option<&str>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<MovementPage> {
    check_sku(sku, "sku")?;
    if !(1..=MOVEMENTS_PAGE_MAX).contains(&limit) {
        return Err(Error::Invalid(format!("limit: must be 1 to {MOVEMENTS_PAGE_MAX}, it is {limit}")));
    }
    let after = cursor.map(parse_position).transpose()?;
    let places = match location {
        Some(location) => {
            check_id(location, "location")?;
            vec![Place::new(sku, location)]
        }
        None => stock.items_of(sku)?.into_iter().map(|(place, _)| place).collect(),
    };
    // Each place's next page is enough to tell the next page over all of them.
    let mut found = Vec::<Movement>::new();
    for place in &places {
        found.extend(stock.movements(place, after.as_ref(), Direction::Descending, limit + 1)?);
    }
    found.sort_by(|left, right| (right.recorded_at_ms, &right.id).cmp(&(left.recorded_at_ms, &left.id)));
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next_cursor = found.last().filter(|_| more).map(|last| format!("{}.{}", last.recorded_at_ms, last.id));
    Ok(MovementPage { movements: found, next_cursor })
}

fn parse_position(cursor: &str) -> Result<LedgerPosition> {
    cursor
        .split_once('.')
        .and_then(|(time, id)| {
            Some(LedgerPosition {
                recorded_at_ms: time.parse().ok()?,
                id: (!id.is_empty() && id.len() <= 64).then(|| id.to_owned())?,
            })
        })
        .ok_or_else(|| Error::Invalid("cursor: must be one that an earlier page returned".to_owned()))
}

/// What lapsed reservations still hold at a place in the counters: it counts as available.
fn lapsed_at(stock: &mut impl Stock, place: &Place) -> Result<i64> {
    // What was worked out without looking at the clock can be given again: most places hold nothing most of the time.
    if stock.holds(place, None, u64::MAX, 1)?.is_empty() {
        return Ok(0);
    }
    let now_ms = stock.now_ms();
    let mut lapsed = 0;
    let mut after: Option<(u64, String)> = None;
    loop {
        let position = after.as_ref().map(|(expiry, id)| (*expiry, id.as_str()));
        let page = stock.holds(place, position, now_ms, HOLDS_PAGE)?;
        lapsed += page.iter().map(|hold| hold.quantity).sum::<i64>();
        match page.into_iter().last() {
            Some(last) => after = Some((last.expires_at_ms, last.reservation)),
            None => return Ok(lapsed),
        }
    }
}

fn check_skus(skus: &[String]) -> Result<()> {
    if skus.is_empty() || skus.len() > BATCH_MAX {
        return Err(Error::Invalid(format!("skus: 1 to {BATCH_MAX} are allowed, there are {}", skus.len())));
    }
    for (index, sku) in skus.iter().enumerate() {
        check_sku(sku, &format!("skus[{index}]"))?;
    }
    Ok(())
}
