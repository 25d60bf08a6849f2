//! Placing an order: once by its key, with its stock, in one transaction with whoever asked. Also what every change goes through
//! when it is written.

use std::collections::BTreeMap;

use crate::amounts::{self, Origin};
use crate::model::{
    Change, Error, Held, IMPORT_MAX, Line, LineInput, Order, OrderInput, OrderStatus, Placing, Refusal, Result,
    StockSource, UnitState,
};
use crate::world::World;
use crate::{number, units};

/// Places an order. The same key again returns the first, unchanged; of two at once one conflicts, is executed again, and finds
/// the other's.
pub fn place(world: &mut impl World, input: &OrderInput) -> Result<Placing> {
    amounts::check(input, Origin::Placed)?;
    if let Some(known) = known(world, input)? {
        return Ok(known);
    }
    let mut order = build(world, input)?;
    order.status = OrderStatus::Placed;
    let wanted = units::to_leave(&order);
    match input.stock.clone() {
        StockSource::Reserve => {
            if !wanted.is_empty() {
                let held = reserve_and_commit(world, &mut order, &wanted, false)?;
                units::assign(&mut order, held, UnitState::Backordered);
            }
        }
        StockSource::Reservation(reservation) => take_over(world, &mut order, &reservation, &wanted)?,
        StockSource::HandedOver(location) => {
            if !wanted.is_empty() {
                let ref_id = format!("order/{}", order.id);
                world.sell(&location, &ref_id, order.placed_at_ms, &wanted)?;
            }
            for line in order.lines.iter_mut().filter(|line| line.stocked) {
                line.set_all(UnitState::Collected);
            }
        }
        StockSource::None => leave_by_another(&mut order),
    }
    units::settle(&mut order);
    save(world, None, &mut order, None)?;
    Ok(Placing { order_id: order.id, number: order.number, created: true })
}

/// Places orders of the past, all or none; those known already are left alone. They touch no stock and publish nothing: nobody is
/// to act on them.
pub fn import(world: &mut impl World, inputs: &[OrderInput]) -> Result<Vec<Placing>> {
    if inputs.is_empty() || inputs.len() > IMPORT_MAX {
        return Err(Error::Invalid(format!("orders: 1 to {IMPORT_MAX} are allowed, there are {}", inputs.len())));
    }
    let mut placings = Vec::with_capacity(inputs.len());
    for (index, input) in inputs.iter().enumerate() {
        let at = |error| match error {
            Error::Invalid(text) => Error::Invalid(format!("orders[{index}].{text}")),
            error => error,
        };
        amounts::check(input, Origin::Imported).map_err(at)?;
        if input.stock != StockSource::None {
            return Err(Error::Invalid(format!(
                "orders[{index}].stock: must be none, imported orders lie in the past"
            )));
        }
        if let Some(known) = known(world, input)? {
            placings.push(known);
            continue;
        }
        let mut order = build(world, input)?;
        order.status = OrderStatus::Completed;
        order.announced = true;
        leave_by_another(&mut order);
        units::check(&order)?;
        store(world, &order, true)?;
        placings.push(Placing { order_id: order.id, number: order.number, created: true });
    }
    Ok(placings)
}

fn known(world: &mut impl World, input: &OrderInput) -> Result<Option<Placing>> {
    let Some(id) = world.id_of(&input.key())? else { return Ok(None) };
    let order = load(world, &id)?;
    Ok(Some(Placing { order_id: order.id, number: order.number, created: false }))
}

/// A new order with its id, number and key; units open, nothing held.
pub fn build(world: &mut impl World, input: &OrderInput) -> Result<Order> {
    let now_ms = world.now_ms();
    let placed_at_ms = match input.placed_at_ms {
        0 => now_ms,
        placed_at_ms => placed_at_ms,
    };
    Ok(Order {
        id: world.new_id(),
        number: number::draw(world, &input.channel, placed_at_ms)?,
        channel: input.channel.clone(),
        account: input.account.clone(),
        external_id: input.external_id.clone(),
        placed_at_ms,
        listed_at_ms: placed_at_ms.min(now_ms),
        updated_at_ms: now_ms,
        version: 0,
        status: OrderStatus::Draft,
        hold_reason: None,
        currency: input.currency.clone(),
        email: input.email.clone(),
        customer_ref: input.customer_ref.clone(),
        shipping_address: input.shipping_address.clone(),
        shipping_method: input.shipping_method.clone(),
        lines: input.lines.iter().map(line).collect(),
        shipping_net_minor: input.shipping_net_minor,
        shipping_tax_minor: input.shipping_tax_minor,
        shipping_gross_minor: input.shipping_gross_minor,
        total_minor: input.total_minor,
        reported_paid_minor: input.paid_minor,
        payments: Vec::new(),
        refunded_minor: 0,
        payment_method: input.payment_method.clone(),
        stock: input.stock.clone(),
        reservations: Vec::new(),
        shipments: Vec::new(),
        attributes: input.attributes.clone(),
        reported_at_ms: 0,
        cancelled_here: false,
        announced: false,
    })
}

/// A line as ordered: all of its units open.
pub fn line(input: &LineInput) -> Line {
    let mut line = Line {
        line_id: input.line_id.clone(),
        sku: input.sku.clone(),
        title: input.title.clone(),
        quantity: input.quantity,
        unit_price_minor: input.unit_price_minor,
        discount_minor: input.discount_minor,
        net_minor: input.net_minor,
        tax_minor: input.tax_minor,
        gross_minor: input.gross_minor,
        rate_basis_points: input.rate_basis_points,
        stocked: input.stocked,
        units: BTreeMap::new(),
    };
    line.set_all(UnitState::Open);
    line
}

/// Units that leave, or have left, by another's hand; those of a credit came back.
pub fn leave_by_another(order: &mut Order) {
    for line in order.lines.iter_mut().filter(|line| line.stocked) {
        line.set_all(match line.quantity < 0 {
            true => UnitState::ReturnedOk,
            false => UnitState::Shipped,
        });
    }
}

/// Reserves for an order and makes the reservation its own; returns what is held by SKU.
pub fn reserve_and_commit(
    world: &mut impl World,
    order: &mut Order,
    wanted: &BTreeMap<String, i64>,
    partial: bool,
) -> std::result::Result<BTreeMap<String, i64>, Refusal> {
    let held = reserve(world, order, wanted, partial)?;
    let reservation = order.reservations.last().cloned().unwrap_or_default();
    world.commit(&reservation, &order.id)?;
    Ok(held)
}

/// Reserves for an order; returns what is held by SKU.
pub fn reserve(
    world: &mut impl World,
    order: &mut Order,
    wanted: &BTreeMap<String, i64>,
    partial: bool,
) -> std::result::Result<BTreeMap<String, i64>, Refusal> {
    // An owner of its own each time: a reservation that ended must not answer for the next.
    let owner = format!("order/{}/{}/{}", order.id, order.version, order.reservations.len());
    let held = world.reserve(&order.channel, &owner, wanted, partial)?;
    order.reservations.push(held.id);
    Ok(held.open)
}

/// Makes a reservation made before (by a cart) the order's. One that lapsed meanwhile is tried anew: the customer is late, not
/// wrong. One that holds less than the order wants is refused, and what it holds beyond goes back.
fn take_over(
    world: &mut impl World,
    order: &mut Order,
    reservation: &str,
    wanted: &BTreeMap<String, i64>,
) -> Result<()> {
    let held = match world.commit(reservation, &order.id) {
        Ok(held) => held,
        Err(Refusal::Conflict(_)) => {
            let open = match wanted.is_empty() {
                true => BTreeMap::new(),
                false => reserve_and_commit(world, order, wanted, false)?,
            };
            units::assign(order, open, UnitState::Backordered);
            return Ok(());
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let Held { id, open } = held;
    let shortages: Vec<_> = wanted
        .iter()
        .map(|(sku, wanted)| (sku.clone(), *wanted, open.get(sku).copied().unwrap_or(0)))
        .filter(|(_, wanted, available)| available < wanted)
        .collect();
    if !shortages.is_empty() {
        return Err(Error::Insufficient(shortages));
    }
    let beyond: BTreeMap<_, _> = open
        .iter()
        .map(|(sku, open)| (sku.clone(), open - wanted.get(sku).copied().unwrap_or(0)))
        .filter(|(_, beyond)| *beyond > 0)
        .collect();
    if !beyond.is_empty() {
        world.release_part(&id, &format!("order/{}/beyond", order.id), &beyond)?;
    }
    order.reservations.push(id);
    units::assign(order, wanted.clone(), UnitState::Backordered);
    Ok(())
}

/// An order by its id.
pub fn load(world: &mut impl World, id: &str) -> Result<Order> {
    amounts::check_text(id, "id", 1, 64)?;
    world.order(id)?.ok_or_else(|| Error::NotFound(format!("there is no order {id}")))
}

/// Writes a changed order as its next version and publishes what happened: `change`, or what the statuses tell.
pub fn save(world: &mut impl World, before: Option<&Order>, order: &mut Order, change: Option<Change>) -> Result<()> {
    units::check(order)?;
    order.version += 1;
    order.updated_at_ms = world.now_ms();
    let is_out = matches!(order.status, OrderStatus::Placed | OrderStatus::OnHold | OrderStatus::Completed);
    let was_cancelled = before.is_some_and(|before| before.status == OrderStatus::Cancelled);
    let change = match change {
        Some(change) => change,
        None if is_out && !order.announced => Change::Placed,
        None if order.status == OrderStatus::Cancelled && !was_cancelled => Change::Cancelled,
        None => Change::Updated,
    };
    order.announced |= change == Change::Placed;
    store(world, order, before.is_none())?;
    let waits = |order: &Order| order.status == OrderStatus::OnHold && order.hold_reason.as_deref() == Some("stock");
    if before.is_some_and(waits) != waits(order) {
        world.set_waiting(order, waits(order))?;
    }
    world.publish(change, order)
}

/// Writes an order with what leads to it.
pub fn store(world: &mut impl World, order: &Order, is_new: bool) -> Result<()> {
    if is_new {
        let key = crate::model::OrderKey {
            channel: order.channel.clone(),
            account: order.account.clone(),
            external_id: order.external_id.clone(),
        };
        world.put_id_of(&key, &order.id)?;
        world.put_number(&order.number, &order.id)?;
    }
    world.put_order(order)?;
    world.put_summary(order.listed_at_ms, &units::summary(order))
}
