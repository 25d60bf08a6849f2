//! What happens to an order after it was placed: cancelled, shipped, paid. Each once: cancelling again, the same shipment and the same
//! payment reference change nothing.

use std::collections::BTreeMap;

use crate::amounts::check_text;
use crate::model::{
    AMOUNT_MAX, Attribute, Change, Error, Order, OrderStatus, Payment, QUANTITY_MAX, Result, Shipment, UnitState,
};
use crate::placing::{load, save};
use crate::report::release_all;
use crate::units::{self, TO_LEAVE};
use crate::world::World;

/// States of units that a parcel can take.
const SHIPPABLE: [UnitState; 3] = [UnitState::Packed, UnitState::Picking, UnitState::Reserved];

/// Cancels what has not left the house and releases its stock. Nothing left means the order is cancelled; otherwise it goes on with
/// what has left.
pub fn cancel(world: &mut impl World, id: &str, reason: &str) -> Result<Order> {
    check_text(reason, "reason", 0, 500)?;
    let before = load(world, id)?;
    if before.status == OrderStatus::Cancelled {
        return Ok(before);
    }
    let had_shipped = units::gone(&before) > 0;
    let to_leave: i64 = units::to_leave(&before).values().sum();
    if had_shipped && to_leave == 0 {
        let any_cancelled = before.lines.iter().any(|line| line.count(&[UnitState::Cancelled]) > 0);
        return match any_cancelled {
            true => Ok(before),
            false => Err(Error::Conflict(format!(
                "order {} cannot be cancelled: everything has left the house; take it back as a return",
                before.number
            ))),
        };
    }
    if before.status == OrderStatus::Completed {
        return Err(Error::Conflict(format!("order {} cannot be cancelled: it is completed", before.number)));
    }
    let mut order = before.clone();
    let is_ours = units::is_ours(&order);
    // What has left was drawn from the reservations; they stay on the order only while something of them is to leave.
    release_all(world, &mut order)?;
    for line in &mut order.lines {
        match (line.stocked, had_shipped) {
            (true, _) if is_ours => line.shift(&TO_LEAVE, UnitState::Cancelled, i64::MAX),
            (_, false) => line.shift(&[UnitState::Open, UnitState::Shipped], UnitState::Cancelled, i64::MAX),
            _ => 0,
        };
    }
    order.hold_reason = None;
    if had_shipped {
        order.status = OrderStatus::Placed;
        units::settle(&mut order);
    } else {
        order.status = OrderStatus::Cancelled;
    }
    order.cancelled_here = true;
    order.attributes.retain(|attribute| attribute.name != "cancel-reason");
    order.attributes.push(Attribute { name: "cancel-reason".to_owned(), value: reason.to_owned() });
    save(world, Some(&before), &mut order, Some(Change::Cancelled))?;
    Ok(order)
}

/// Records a parcel: its units leave the stock.
pub fn ship(
    world: &mut impl World,
    id: &str,
    shipment_id: &str,
    carrier: &str,
    tracking_number: &str,
    lines: &[(String, i64)],
) -> Result<Order> {
    check_text(shipment_id, "shipment_id", 1, 64)?;
    check_text(carrier, "carrier", 0, 64)?;
    check_text(tracking_number, "tracking_number", 0, 128)?;
    let before = load(world, id)?;
    if before.shipments.iter().any(|shipment| shipment.id == shipment_id) {
        return Ok(before);
    }
    if before.status != OrderStatus::Placed || !units::is_ours(&before) {
        return Err(Error::Conflict(format!(
            "order {} cannot be shipped: {}",
            before.number,
            why_not_shippable(&before)
        )));
    }
    let mut order = before.clone();
    let parcel = pick(&mut order, lines)?;
    draw_from_reservations(world, &order, shipment_id, parcel.by_sku)?;
    order.shipments.push(Shipment {
        id: shipment_id.to_owned(),
        carrier: carrier.to_owned(),
        tracking_number: tracking_number.to_owned(),
        shipped_at_ms: world.now_ms(),
        lines: parcel.lines,
    });
    units::settle(&mut order);
    save(world, Some(&before), &mut order, Some(Change::Shipped))?;
    Ok(order)
}

fn why_not_shippable(order: &Order) -> String {
    match order.status {
        OrderStatus::Draft => "the channel has not confirmed it".to_owned(),
        OrderStatus::OnHold => format!("it is on hold ({})", order.hold_reason.as_deref().unwrap_or("no reason given")),
        OrderStatus::Cancelled => "it is cancelled".to_owned(),
        OrderStatus::Completed => "everything has left".to_owned(),
        OrderStatus::Placed => "another ships it".to_owned(),
    }
}

/// What goes into a parcel.
struct Parcel {
    /// Line id and quantity, each line once.
    lines: Vec<(String, i64)>,
    by_sku: BTreeMap<String, i64>,
}

/// Moves units to shipped.
fn pick(order: &mut Order, lines: &[(String, i64)]) -> Result<Parcel> {
    if lines.is_empty() {
        return Err(Error::Invalid("lines: a parcel has at least one".to_owned()));
    }
    let mut wanted = BTreeMap::<&str, i64>::new();
    for (index, (line_id, quantity)) in lines.iter().enumerate() {
        if !(1..=QUANTITY_MAX).contains(quantity) {
            return Err(Error::Invalid(format!("lines[{index}]: quantity must be at least 1, it is {quantity}")));
        }
        *wanted.entry(line_id).or_default() += quantity;
    }
    let mut by_sku = BTreeMap::new();
    for (line_id, quantity) in &wanted {
        let number = order.number.clone();
        let Some(line) = order.lines.iter_mut().find(|line| line.line_id == *line_id) else {
            return Err(Error::NotFound(format!("order {number} has no line {line_id}")));
        };
        if !line.stocked {
            return Err(Error::Invalid(format!("line {line_id} is no goods and cannot be shipped")));
        }
        let moved = line.shift(&SHIPPABLE, UnitState::Shipped, *quantity);
        if moved < *quantity {
            return Err(Error::Conflict(format!(
                "order {number}, line {line_id}: {moved} can be shipped, {quantity} were asked"
            )));
        }
        *by_sku.entry(line.sku.clone()).or_default() += quantity;
    }
    let lines = wanted.into_iter().map(|(line_id, quantity)| (line_id.to_owned(), quantity)).collect();
    Ok(Parcel { lines, by_sku })
}

/// Books the parcel out of the order's reservations, oldest first.
fn draw_from_reservations(
    world: &mut impl World,
    order: &Order,
    shipment_id: &str,
    mut remaining: BTreeMap<String, i64>,
) -> Result<()> {
    for reservation in &order.reservations {
        let mut part = BTreeMap::new();
        for (sku, open) in world.held(reservation)?.open {
            let wanted = remaining.entry(sku.clone()).or_default();
            let quantity = open.min(*wanted);
            if quantity > 0 {
                *wanted -= quantity;
                part.insert(sku, quantity);
            }
        }
        if !part.is_empty() {
            world.fulfil(reservation, &format!("{}/{shipment_id}/{reservation}", order.id), &part)?;
        }
    }
    match remaining.into_iter().find(|(_, missing)| *missing > 0) {
        None => Ok(()),
        Some((sku, missing)) => Err(Error::Other(format!(
            "order {}: {missing} of {sku} are reserved by its units but held by no reservation",
            order.number
        ))),
    }
}

/// Records money received, also on orders that are cancelled: that it came is a fact. It may be more than the total.
pub fn record_payment(world: &mut impl World, id: &str, reference: &str, amount_minor: i64) -> Result<Order> {
    check_text(reference, "reference", 1, 128)?;
    if !(1..=AMOUNT_MAX).contains(&amount_minor) {
        return Err(Error::Invalid(format!("amount_minor: must be at least 1, it is {amount_minor}")));
    }
    let before = load(world, id)?;
    if let Some(known) = before.payments.iter().find(|payment| payment.reference == reference) {
        return match known.amount_minor == amount_minor {
            true => Ok(before),
            false => Err(Error::Conflict(format!(
                "payment {reference} was recorded with {}, not {amount_minor}",
                known.amount_minor
            ))),
        };
    }
    let mut order = before.clone();
    order.payments.push(Payment { reference: reference.to_owned(), amount_minor, received_at_ms: world.now_ms() });
    units::settle(&mut order);
    save(world, Some(&before), &mut order, Some(Change::Updated))?;
    Ok(order)
}

/// The lines of an order with what a parcel could take of them now.
pub fn shippable(world: &mut impl World, id: &str) -> Result<Vec<(String, i64)>> {
    let order = load(world, id)?;
    let lines = order.lines.iter().filter(|line| line.stocked);
    Ok(lines.map(|line| (line.line_id.clone(), line.count(&SHIPPABLE))).filter(|(_, quantity)| *quantity > 0).collect())
}
