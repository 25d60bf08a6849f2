//! What a channel reports of its orders. Reports arrive twice, late and out of order: the newest by the channel's own time of change
//! wins, and the order ends the same whichever came first. The exceptions are facts of this house: what has left stays gone, and
//! what was cancelled here stays cancelled.
//!
//! `pending` holds what stock there is softly and makes a draft; `confirmed` makes it an order, and one that lacks stock is put on
//! hold with reason `stock`, holding what there is: it is paid, so it is never refused. A job fills waiting orders, oldest first.

use std::collections::BTreeMap;

use crate::amounts::{self, Origin};
use crate::model::{
    Attribute, Error, Order, OrderInput, OrderStatus, Refusal, Report, ReportOutcome, ReportState, Result, StockSource,
    UnitState,
};
use crate::placing::{self, build, leave_by_another, load, reserve, save};
use crate::units::{self, GONE, TO_LEAVE};
use crate::world::World;

/// Hold: not enough stock.
pub const HOLD_STOCK: &str = "stock";
/// Hold: the amounts contradict each other.
pub const HOLD_AMOUNTS: &str = "amounts";
/// Attribute with the difference of a total that is off by rounding.
pub const ROUNDING_DIFFERENCE: &str = "rounding-difference-minor";

/// Takes a report.
pub fn upsert(world: &mut impl World, report: &Report) -> Result<ReportOutcome> {
    let input = &report.input;
    amounts::check(input, Origin::Reported)?;
    if !matches!(input.stock, StockSource::Reserve | StockSource::None) {
        return Err(Error::Invalid("stock: must be reserve or none for an order that a channel reports".to_owned()));
    }
    if report.changed_at_ms == 0 {
        return Err(Error::Invalid("changed_at_ms: must be the channel's time of last change".to_owned()));
    }
    let before = match world.id_of(&input.key())? {
        Some(id) => Some(load(world, &id)?),
        None => None,
    };
    let mut order = match &before {
        Some(known) if report.changed_at_ms < known.reported_at_ms => return Ok(ReportOutcome::Stale),
        Some(known) if report.changed_at_ms == known.reported_at_ms => return Ok(ReportOutcome::Unchanged),
        Some(known) => known.clone(),
        None => build(world, input)?,
    };
    apply(world, &mut order, report)?;
    order.reported_at_ms = report.changed_at_ms;
    let is_waiting = order.status == OrderStatus::OnHold && order.hold_reason.as_deref() == Some(HOLD_STOCK);
    let outcome = match &before {
        Some(known) if is_same(known, &order) => {
            placing::store(world, &order, false)?;
            return Ok(ReportOutcome::Unchanged);
        }
        _ if is_waiting => ReportOutcome::OnHold,
        Some(_) => ReportOutcome::Updated,
        None => ReportOutcome::Created,
    };
    save(world, before.as_ref(), &mut order, None)?;
    Ok(outcome)
}

/// Whether nothing changed but the time of the report.
fn is_same(known: &Order, order: &Order) -> bool {
    let mut known = known.clone();
    known.reported_at_ms = order.reported_at_ms;
    known == *order
}

fn apply(world: &mut impl World, order: &mut Order, report: &Report) -> Result<()> {
    let input = &report.input;
    take_header(order, input);
    if order.cancelled_here {
        return Ok(());
    }
    let held = units::by_sku(order, &[UnitState::Reserved]);
    let had_shipped = units::gone(order) > 0;
    take_lines(order, input);
    if report.state == ReportState::Cancelled {
        release_all(world, order)?;
        for line in &mut order.lines {
            let states: &[UnitState] = match (line.stocked, units_are_ours(&order.stock)) {
                (true, true) => &TO_LEAVE,
                _ if had_shipped => &[],
                _ => &[UnitState::Open, UnitState::Shipped],
            };
            line.shift(states, UnitState::Cancelled, i64::MAX);
        }
        order.hold_reason = None;
        order.status = match had_shipped {
            true => OrderStatus::Placed,
            false => OrderStatus::Cancelled,
        };
        units::settle(order);
        return Ok(());
    }
    let is_short = match units_are_ours(&order.stock) {
        true => hold(world, order, held, report.state)?,
        false => {
            release_all(world, order)?;
            leave_by_another(order);
            false
        }
    };
    let is_consistent = amounts::is_consistent(order);
    (order.status, order.hold_reason) = match (report.state, is_short, is_consistent) {
        (ReportState::Pending, _, _) => (OrderStatus::Draft, None),
        (_, true, _) => (OrderStatus::OnHold, Some(HOLD_STOCK.to_owned())),
        (_, _, false) => (OrderStatus::OnHold, Some(HOLD_AMOUNTS.to_owned())),
        _ => (OrderStatus::Placed, None),
    };
    units::settle(order);
    Ok(())
}

fn units_are_ours(stock: &StockSource) -> bool {
    *stock != StockSource::None
}

/// Everything but the lines, as the channel has it now. When it was placed, and its number, stay.
fn take_header(order: &mut Order, input: &OrderInput) {
    order.currency.clone_from(&input.currency);
    order.email.clone_from(&input.email);
    order.customer_ref.clone_from(&input.customer_ref);
    order.shipping_address.clone_from(&input.shipping_address);
    order.shipping_method.clone_from(&input.shipping_method);
    order.shipping_net_minor = input.shipping_net_minor;
    order.shipping_tax_minor = input.shipping_tax_minor;
    order.shipping_gross_minor = input.shipping_gross_minor;
    order.total_minor = input.total_minor;
    order.reported_paid_minor = input.paid_minor;
    order.payment_method.clone_from(&input.payment_method);
    order.stock = input.stock.clone();
    order.attributes.clone_from(&input.attributes);
    let parts = input.lines.iter().map(|line| line.gross_minor).sum::<i64>() + input.shipping_gross_minor;
    if parts != input.total_minor {
        let value = (input.total_minor - parts).to_string();
        order.attributes.push(Attribute { name: ROUNDING_DIFFERENCE.to_owned(), value });
    }
}

/// The lines as the channel has them now; units that have left stay gone, even where the channel wants fewer or none.
fn take_lines(order: &mut Order, input: &OrderInput) {
    let is_ours = units_are_ours(&order.stock);
    let old = std::mem::take(&mut order.lines);
    let gone_of = |line_id: &str| {
        old.iter().find(|line| line.line_id == line_id && line.stocked && is_ours).filter(|line| line.count(&GONE) > 0)
    };
    for input in &input.lines {
        let mut line = placing::line(input);
        if let Some(old) = gone_of(&input.line_id) {
            line.quantity = line.quantity.max(old.count(&GONE));
            line.set_all(UnitState::Open);
            for state in GONE {
                line.shift(&[UnitState::Open], state, old.count(&[state]));
            }
        }
        order.lines.push(line);
    }
    let dropped = old.iter().filter(|line| {
        gone_of(&line.line_id).is_some() && !input.lines.iter().any(|kept| kept.line_id == line.line_id)
    });
    for line in dropped {
        let mut line = line.clone();
        for state in TO_LEAVE {
            line.set(state, 0);
        }
        line.set(UnitState::Cancelled, 0);
        line.quantity = line.count(&GONE);
        order.lines.push(line);
    }
}

/// Makes what is held fit what is to leave. Returns whether it is short.
///
/// What is held already stays held, unless the channel now wants less of something: then all is given back and taken anew within
/// this transaction, where nobody can come between.
fn hold(
    world: &mut impl World,
    order: &mut Order,
    mut held: BTreeMap<String, i64>,
    state: ReportState,
) -> Result<bool> {
    let wanted = units::to_leave(order);
    let wants_less = held.iter().any(|(sku, held)| wanted.get(sku).copied().unwrap_or(0) < *held);
    if wants_less {
        release_all(world, order)?;
        held.clear();
    }
    let missing = missing(&wanted, &held);
    if !missing.is_empty() {
        match reserve(world, order, &missing, true) {
            Ok(more) => more.into_iter().for_each(|(sku, more)| *held.entry(sku).or_default() += more),
            // A channel without a rule has no stock: that must not lose its order either.
            Err(Refusal::Insufficient(_) | Refusal::NotFound(_)) => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    if state == ReportState::Confirmed {
        for reservation in order.reservations.clone() {
            world.commit(&reservation, &order.id)?;
        }
    }
    let is_short = wanted.iter().any(|(sku, wanted)| held.get(sku).copied().unwrap_or(0) < *wanted);
    let otherwise = match state {
        ReportState::Pending => UnitState::Open,
        _ => UnitState::Backordered,
    };
    units::assign(order, held, otherwise);
    Ok(is_short)
}

fn missing(wanted: &BTreeMap<String, i64>, held: &BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    wanted
        .iter()
        .map(|(sku, wanted)| (sku.clone(), wanted - held.get(sku).copied().unwrap_or(0)))
        .filter(|(_, missing)| *missing > 0)
        .collect()
}

/// Gives back all that is held and has not left.
pub fn release_all(world: &mut impl World, order: &mut Order) -> Result<()> {
    for reservation in std::mem::take(&mut order.reservations) {
        world.release(&reservation)?;
    }
    Ok(())
}

/// Tries to fill orders that wait for stock, oldest first, at most `limit`. Returns how many are filled.
pub fn fill_waiting(world: &mut impl World, limit: u32) -> Result<u32> {
    let mut filled = 0;
    for id in world.waiting(limit)? {
        let before = load(world, &id)?;
        let mut order = before.clone();
        let held = units::by_sku(&order, &[UnitState::Reserved]);
        let is_short = hold(world, &mut order, held, ReportState::Confirmed)?;
        if !is_short {
            (order.status, order.hold_reason) = match amounts::is_consistent(&order) {
                true => (OrderStatus::Placed, None),
                false => (OrderStatus::OnHold, Some(HOLD_AMOUNTS.to_owned())),
            };
            units::settle(&mut order);
            filled += 1;
        }
        if order != before {
            save(world, Some(&before), &mut order, None)?;
        }
    }
    Ok(filled)
}
