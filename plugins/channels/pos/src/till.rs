//! What a till keeps, and a sale from its check to its receipt. A sale, its order and its stock are one transaction: an error anywhere
//! leaves nothing behind.

use kontor_sdk::{Error, Table, clock, id, identity};

use crate::basket::Basket;
use crate::model::{Receipt, SaleRequest};
use crate::sale::{self, Booking};
use crate::settings::Settings;
use crate::shop::{self, OrderNotes};

/// Baskets that a till can put aside.
const PARKED_MAX: usize = 50;

/// Receipts by the id of their sale.
const RECEIPTS: Table<String, Receipt> = Table::new("receipts");
/// Ids of sales by till and receipt sequence: a number is used once.
const NUMBERS: Table<(String, u64), String> = Table::new("receipt-numbers");
/// The open basket of a till.
const BASKETS: Table<String, Basket> = Table::new("baskets");
/// Baskets put aside, by till and sale id.
const PARKED: Table<(String, String), Basket> = Table::new("parked-baskets");

/// Books a sale. The same sale again returns its receipt; the flag says whether it is new.
pub(crate) fn sell(settings: &Settings, request: &SaleRequest) -> Result<(Receipt, bool), Error> {
    sale::check(request)?;
    let till = settings.till(&request.till_id)?;
    if let Some(receipt) = RECEIPTS.get(&request.sale_id)? {
        return sale::known(receipt, request).map(|receipt| (receipt, false));
    }
    let priced = shop::price(settings, &request.lines)?;
    let settled = sale::settle(request, &priced, settings.coin_minor(&priced.currency))?;
    let sequence = draw_number(request)?;
    let location = request.location.clone().unwrap_or_else(|| till.location.clone());
    let now_ms = clock::now().as_ms();
    let notes = OrderNotes {
        receipt_number: sale::receipt_number(&till.id, sequence),
        payment_method: settled.method,
        cash_rounding_minor: settled.cash_rounding_minor,
        sold_by: identity::actor_name(),
    };
    let placing = shop::place(settings, request, &location, &priced, notes, now_ms)?;
    let booking = Booking {
        till_name: till.name.clone(),
        location,
        sequence,
        sold_by: identity::actor_name(),
        now_ms,
        order_id: placing.order_id,
        order_number: placing.number,
    };
    let receipt = sale::receipt(request, priced, &settled, booking);
    RECEIPTS.put(&request.sale_id, &receipt)?;
    Ok((receipt, true))
}

/// The sale's place in the till's sequence: the till's own, or the next.
fn draw_number(request: &SaleRequest) -> Result<u64, Error> {
    let till = request.till_id.as_str();
    let sequence = match request.receipt_sequence {
        Some(sequence) => sequence,
        None => NUMBERS.scan().prefix((till,)).reverse().first()?.map_or(1, |((_, last), _)| last + 1),
    };
    if NUMBERS.insert((till, sequence), &request.sale_id)? {
        return Ok(sequence);
    }
    Err(Error::conflict(format!(
        "receipt_sequence: {} was used for another sale. Give every receipt a number of its own.",
        sale::receipt_number(till, sequence)
    ))
    .with_code("receipt-number-used"))
}

/// The receipt of a sale.
pub(crate) fn receipt(sale_id: &str) -> Result<Receipt, Error> {
    RECEIPTS
        .get(sale_id)?
        .ok_or_else(|| Error::not_found(format!("There is no sale `{sale_id}`.")).with_code("unknown-sale"))
}

/// The last sales of a till by receipt number, newest first.
pub(crate) fn last_sales(till: &str, limit: u32) -> Result<Vec<Receipt>, Error> {
    let ids = NUMBERS.scan().prefix((till,)).reverse().limit(limit.clamp(1, 100)).values()?;
    Ok(RECEIPTS.get_many(ids)?.into_iter().flatten().collect())
}

/// The open basket of a till.
pub(crate) fn basket(till: &str) -> Result<Basket, Error> {
    Ok(BASKETS.get(till)?.unwrap_or_default())
}

/// Changes the open basket; one that is empty afterwards is forgotten.
pub(crate) fn change_basket(till: &str, change: impl FnOnce(&mut Basket) -> Result<(), Error>) -> Result<(), Error> {
    let mut basket = BASKETS.get(till)?.unwrap_or_else(|| Basket::new(id::new()));
    change(&mut basket)?;
    match basket.lines.is_empty() {
        true => BASKETS.delete(till),
        false => BASKETS.put(till, &basket),
    }
}

/// Forgets the open basket, if it is that of this sale.
pub(crate) fn close_basket(till: &str, sale_id: &str) -> Result<(), Error> {
    match BASKETS.get(till)?.is_some_and(|basket| basket.sale_id == sale_id) {
        true => BASKETS.delete(till),
        false => Ok(()),
    }
}

/// Forgets the open basket.
pub(crate) fn discard_basket(till: &str) -> Result<(), Error> {
    BASKETS.delete(till)
}

/// Puts the open basket aside. An empty one stays.
pub(crate) fn park(till: &str) -> Result<(), Error> {
    let Some(mut basket) = BASKETS.get(till)? else { return Ok(()) };
    if parked(till)?.len() >= PARKED_MAX {
        return Err(Error::conflict(format!("The till `{till}` has {PARKED_MAX} parked baskets already."))
            .with_code("parked-full"));
    }
    basket.parked_at_ms = clock::now().as_ms();
    PARKED.put((till, &basket.sale_id), &basket)?;
    BASKETS.delete(till)
}

/// Takes up a basket that was put aside; the open one is put aside instead.
pub(crate) fn resume(till: &str, sale_id: &str) -> Result<(), Error> {
    let Some(basket) = PARKED.get((till, sale_id))? else { return Ok(()) };
    PARKED.delete((till, sale_id))?;
    park(till)?;
    BASKETS.put(till, &basket)
}

/// Baskets put aside, oldest first.
pub(crate) fn parked(till: &str) -> Result<Vec<Basket>, Error> {
    let mut baskets = PARKED.scan().prefix((till,)).values()?;
    baskets.sort_by_key(|basket| basket.parked_at_ms);
    Ok(baskets)
}
