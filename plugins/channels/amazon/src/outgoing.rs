//! What goes to Amazon: offers of listings, and confirmations of shipments.

use kontor_sdk::outbound;
use kontor_sdk::{HandlerError, Table, clock};
use serde::{Deserialize, Serialize};

use crate::api::SubmissionAnswer;
use crate::bindings::kontor::commerce::{catalog, inventory, orders, pricing};
use crate::client::{Failure, call};
use crate::intake::{TROUBLES, connected_at_ms, trouble};
use crate::offer::{Offer, OfferRecord, Outcome, SendOffer, outcome, patch_body};
use crate::settings::{Settings, path_segment};
use crate::shipment::{FROM_AMAZON_PREFIX, Parcel, confirmation};
use crate::{CONFIRM_SHIPMENT, ConfirmShipment, PUSH_OFFER, PushOffer, SEND_OFFER};

/// What is known of each SKU's offer.
pub(crate) const OFFERS: Table<String, OfferRecord> = Table::new("offers");
/// Shipments that Amazon knows: (our order, our shipment).
const CONFIRMED: Table<(String, String), Confirmed> = Table::new("confirmed-shipments");

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Confirmed {
    package_reference_id: u64,
    at_ms: u64,
}

/// The listing of a SKU, if it has one on this account.
pub(crate) fn listing(settings: &Settings, sku: &str) -> Result<Option<catalog::Listing>, HandlerError> {
    match catalog::get_listing(&settings.channel, &settings.account, sku) {
        Ok(listing) => Ok(Some(listing)),
        Err(catalog::CatalogError::NotFound(_)) => Ok(None),
        Err(error) => Err(HandlerError::Retry(format!("the listing of {sku} cannot be read: {error:?}"))),
    }
}

/// Queues a look at what a SKU should offer; with `anew`, it is sent even if it is what was sent last.
pub(crate) fn queue_push(sku: &str, anew: bool) -> kontor_sdk::error::Result<()> {
    if anew {
        // In the table, not in the job: a later job of the same key replaces this one and must not forget it.
        OFFERS.update(sku, |record| record.dirty = true)?;
    }
    PUSH_OFFER.enqueue(&PushOffer { sku: sku.to_owned() }).key(sku).send()?;
    Ok(())
}

/// Reads what the listing should offer now and queues it, if that is news.
pub(crate) fn push_offer(settings: &Settings, job: &PushOffer) -> Result<(), HandlerError> {
    let Some(listing) = listing(settings, &job.sku)? else { return Ok(()) };
    let known = OFFERS.get(&job.sku)?;
    if !listing.active && known.is_none() {
        return Ok(());
    }
    connected_at_ms(settings)?;
    let attribute = listing.attributes.iter().find(|attribute| attribute.name == "product_type");
    let offer = Offer {
        external_id: listing.external_id.clone(),
        product_type: attribute.map_or_else(|| settings.product_type.clone(), |attribute| attribute.value.clone()),
        // A listing that was switched off offers nothing more.
        quantity: if listing.active { offered(settings, &job.sku)? } else { 0 },
        price_minor: if listing.active && settings.push_prices { price(settings, &job.sku)? } else { None },
        currency: settings.currency.clone(),
    };
    let mut record = known.unwrap_or_default();
    if let Some(sending) = record.want(&job.sku, offer) {
        OFFERS.put(&job.sku, &record)?;
        SEND_OFFER.enqueue(&sending).key(&job.sku).send()?;
    }
    Ok(())
}

fn offered(settings: &Settings, sku: &str) -> Result<i64, HandlerError> {
    let offers = inventory::offers(&settings.channel, &[sku.to_owned()])
        .map_err(|error| HandlerError::Retry(format!("the stock of {sku} cannot be read: {error:?}")))?;
    Ok(offers.first().map_or(0, |offer| offer.quantity.max(0)))
}

/// The gross price in the marketplace's currency; none if there is none.
fn price(settings: &Settings, sku: &str) -> Result<Option<i64>, HandlerError> {
    let retry =
        |error: pricing::PricingError| HandlerError::Retry(format!("the price of {sku} cannot be read: {error:?}"));
    let prices = pricing::shelf_prices(&settings.channel, &[sku.to_owned()]).map_err(retry)?;
    let Some(shelf) = prices.into_iter().find(|shelf| shelf.price.currency == settings.currency) else {
        return Ok(None);
    };
    if shelf.basis == pricing::PriceBasis::Gross {
        return Ok((shelf.price.amount_minor > 0).then_some(shelf.price.amount_minor));
    }
    let variants = catalog::get_variants(&[sku.to_owned()]).unwrap_or_default();
    let quote = pricing::quote_basket(&pricing::QuoteRequest {
        channel: settings.channel.clone(),
        price_list: None,
        country: settings.country.clone(),
        lines: vec![pricing::QuoteLineInput {
            line_id: "1".to_owned(),
            sku: sku.to_owned(),
            quantity: 1,
            tax_class: variants.into_iter().next().map_or_else(|| "standard".to_owned(), |variant| variant.tax_class),
            unit_price_minor: None,
        }],
        discount_minor: 0,
        shipping_minor: 0,
    })
    .map_err(retry)?;
    Ok((quote.goods_gross_minor > 0).then_some(quote.goods_gross_minor))
}

/// Sends an offer, unless a later one is on its way.
pub(crate) fn send_offer(settings: &Settings, sending: &SendOffer) -> Result<(), HandlerError> {
    let Some(mut record) = OFFERS.get(&sending.sku)?.filter(|record| record.is_current(sending)) else { return Ok(()) };
    let path = format!(
        "/listings/2021-08-01/items/{}/{}",
        path_segment(&settings.seller_id),
        path_segment(&sending.offer.external_id)
    );
    let body = patch_body(&sending.offer, settings.marketplace_id()).into_bytes();
    let request = outbound::patch(settings.url(&path))
        .query("marketplaceIds", settings.marketplace_id())
        .body("application/json", body);
    let result = match call(settings, &request) {
        Ok(response) => outcome(&response.json::<SubmissionAnswer>()?),
        Err(Failure::Refused(text)) => Outcome::Refused(text),
        Err(failure) => return Err(failure.into()),
    };
    match &result {
        Outcome::Accepted(submission_id) => record.accepted(sending, submission_id, clock::now().as_ms()),
        Outcome::Refused(text) => {
            kontor_sdk::warn!("Amazon refuses the offer of {}: {text}", sending.sku);
            record.refused(text.clone());
        }
    }
    OFFERS.put(&sending.sku, &record)?;
    tell_listing(settings, &sending.sku, record.error)
}

/// Keeps the listing's last complaint current.
fn tell_listing(settings: &Settings, sku: &str, error: Option<String>) -> Result<(), HandlerError> {
    let Some(listing) = listing(settings, sku)? else { return Ok(()) };
    if listing.last_error == error {
        return Ok(());
    }
    let listing = catalog::Listing { last_error: error, ..listing };
    catalog::upsert_listing(&listing)
        .map(|_| ())
        .map_err(|error| HandlerError::Retry(format!("the listing of {sku} cannot be written: {error:?}")))
}

/// Confirms the next shipment of an order that Amazon does not know yet.
pub(crate) fn confirm_shipment(settings: &Settings, job: &ConfirmShipment) -> Result<(), HandlerError> {
    let order = match orders::get(&job.order_id) {
        Ok(order) => order,
        Err(orders::OrdersError::NotFound(text)) => return Err(HandlerError::Permanent(text)),
        Err(error) => return Err(HandlerError::Retry(format!("order {} cannot be read: {error:?}", job.order_id))),
    };
    if order.channel != settings.channel || order.account != settings.account {
        return Ok(());
    }
    let mut waiting = Vec::new();
    for (index, shipment) in order.shipments.iter().enumerate() {
        if !shipment.id.starts_with(FROM_AMAZON_PREFIX) && !CONFIRMED.contains((&order.id, &shipment.id))? {
            waiting.push((index, shipment));
        }
    }
    let Some((index, shipment)) = waiting.first() else { return Ok(()) };
    let about = format!("shipment {}", shipment.id);
    let marketplace = order.attributes.iter().find(|attribute| attribute.name == "marketplace-id");
    let parcel = Parcel {
        id: shipment.id.clone(),
        carrier: shipment.carrier.clone(),
        tracking_number: shipment.tracking_number.clone(),
        shipped_at_ms: shipment.shipped_at_ms,
        lines: shipment.lines.clone(),
    };
    let marketplace_id =
        marketplace.map_or_else(|| settings.marketplace_id().to_owned(), |attribute| attribute.value.clone());
    let sent = match confirmation(&parcel, *index, &marketplace_id) {
        Err(text) => Err(Failure::Refused(text)),
        Ok(body) => {
            let path = format!("/orders/v0/orders/{}/shipmentConfirmation", path_segment(&order.external_id));
            call(settings, &outbound::post(settings.url(&path)).json(&body))
        }
    };
    match sent {
        Ok(_) => TROUBLES.delete(&about)?,
        // Written down and not tried again: the same confirmation would be refused again.
        Err(Failure::Refused(text)) => trouble(&about, &format!("order {}: {text}", order.external_id))?,
        Err(failure) => return Err(failure.into()),
    }
    let package_reference_id = *index as u64 + 1;
    CONFIRMED.put((&order.id, &shipment.id), &Confirmed { package_reference_id, at_ms: clock::now().as_ms() })?;
    if waiting.len() > 1 {
        CONFIRM_SHIPMENT.enqueue(job).key(&job.order_id).send()?;
    }
    Ok(())
}
