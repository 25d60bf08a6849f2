//! The cart's world: its table in the host's store, and the services of other plugins.
//!
//! Catalogue and inventory are optional: without them the cart works degraded, and asks for nothing that they would know.

use crate::bindings::kontor::commerce0_1_0::{catalog, inventory, orders, pricing, types};
use crate::bindings::kontor::commerce0_2_0::availability;
use crate::cart::{Cart, Config, DAY_MS, Order, PriceLine, Stock, Variant, World};
use crate::delivery::Address;
use crate::error::Error;
use crate::quote::{Quote, QuoteLine, TaxTotal};
use kontor_sdk::{Table, clock, config, id, services};
use std::collections::BTreeMap;

const CARTS: Table<String, Cart> = Table::new("carts");
/// The day on which a cart was opened or last found in use, cart: what the sweep walks, away from today's carts.
const BY_DAY: Table<(u64, String), ()> = Table::new("carts-by-day");

/// Carts that one sweep looks at: a bounded transaction.
const SWEEP_MAX: u32 = 500;
/// Characters of a title in an order.
const TITLE_MAX: usize = 255;

const CATALOG: &str = "kontor:commerce/catalog@0.1.0";
const INVENTORY: &str = "kontor:commerce/inventory@0.1.0";
const AVAILABILITY: &str = "kontor:commerce/availability@0.2.0";
const DEFAULT_LIST: &str = "default";

impl From<kontor_sdk::Error> for Error {
    fn from(error: kontor_sdk::Error) -> Self {
        Self::Other(error.to_string())
    }
}

/// What is asked of pricing comes from the cart's lines: what it misses or refuses is the cart's to mend.
impl From<pricing::PricingError> for Error {
    fn from(error: pricing::PricingError) -> Self {
        match error {
            pricing::PricingError::NotFound(text) => Self::Invalid(format!("there is no {text}")),
            pricing::PricingError::Invalid(text) => Self::Invalid(text),
            pricing::PricingError::Other(text) => Self::Other(text),
        }
    }
}

impl From<catalog::CatalogError> for Error {
    fn from(error: catalog::CatalogError) -> Self {
        match error {
            catalog::CatalogError::NotFound(text) => Self::NotFound(text),
            catalog::CatalogError::Invalid(text) => Self::Invalid(text),
            catalog::CatalogError::Conflict(text) | catalog::CatalogError::Other(text) => Self::Other(text),
        }
    }
}

impl From<availability::AvailabilityError> for Error {
    fn from(error: availability::AvailabilityError) -> Self {
        use availability::AvailabilityError as Refusal;
        match error {
            Refusal::NotFound(text) | Refusal::Invalid(text) => Self::Invalid(text),
            Refusal::Other(text) => Self::Other(text),
        }
    }
}

impl From<inventory::InventoryError> for Error {
    fn from(error: inventory::InventoryError) -> Self {
        match error {
            inventory::InventoryError::Insufficient(shortages) => Self::Insufficient(
                shortages.into_iter().map(|short| (short.sku, short.requested, short.available)).collect(),
            ),
            inventory::InventoryError::NotFound(text) | inventory::InventoryError::Invalid(text) => Self::Invalid(text),
            inventory::InventoryError::Conflict(text) | inventory::InventoryError::Other(text) => Self::Other(text),
        }
    }
}

impl From<orders::OrdersError> for Error {
    fn from(error: orders::OrdersError) -> Self {
        match error {
            orders::OrdersError::Insufficient(shortages) => Self::Insufficient(shortages),
            orders::OrdersError::NotFound(text) | orders::OrdersError::Invalid(text) => Self::Invalid(text),
            orders::OrdersError::Conflict(text) | orders::OrdersError::Other(text) => Self::Other(text),
        }
    }
}

/// The world of this invocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Host;

impl World for Host {
    fn now_ms(&self) -> u64 {
        clock::now().as_ms()
    }

    fn config(&self) -> Result<Config, Error> {
        Ok(config::get()?)
    }

    fn cart(&self, id: &str) -> Result<Option<Cart>, Error> {
        Ok(CARTS.get(id)?)
    }

    fn put_cart(&self, cart: &Cart) -> Result<(), Error> {
        if cart.lines.is_empty() && !CARTS.contains(&cart.id)? {
            BY_DAY.put((cart.updated_at_ms / DAY_MS, &cart.id), &())?;
        }
        Ok(CARTS.put(&cart.id, cart)?)
    }

    fn new_id(&self) -> String {
        id::token()
    }

    fn currency(&self, channel: &str) -> Result<String, Error> {
        let lists = pricing::list_price_lists()?;
        let own = lists.iter().find(|list| list.channels.iter().any(|sells| sells == channel));
        own.or_else(|| lists.iter().find(|list| list.id == DEFAULT_LIST)).map(|list| list.currency.clone()).ok_or_else(
            || Error::Invalid(format!("channel: `{channel}` has no price list, and there is no list `{DEFAULT_LIST}`")),
        )
    }

    fn variants(&self, skus: &[String]) -> Result<Option<BTreeMap<String, Variant>>, Error> {
        if !services::available(CATALOG) {
            return Ok(None);
        }
        let views = catalog::get_variants(skus)?;
        Ok(Some(views.into_iter().map(|view| (view.variant_info.sku.clone(), variant(view))).collect()))
    }

    fn quote(&self, cart: &Cart, lines: &[PriceLine], shipping_minor: i64) -> Result<Quote, Error> {
        let line = |line: &PriceLine| pricing::QuoteLineInput {
            line_id: line.line_id.clone(),
            sku: line.sku.clone(),
            quantity: line.quantity,
            tax_class: line.tax_class.clone(),
            unit_price_minor: None,
        };
        let request = pricing::QuoteRequest {
            channel: cart.channel.clone(),
            price_list: None,
            country: cart.country.clone(),
            lines: lines.iter().map(line).collect(),
            discount_minor: 0,
            shipping_minor,
        };
        Ok(pricing::quote_basket(&request)?.into())
    }

    fn short(&self, channel: &str, sku: &str, wanted: i64) -> Result<Option<i64>, Error> {
        if !services::available(AVAILABILITY) {
            return Ok(None);
        }
        let wish = availability::Wish { sku: sku.to_owned(), quantity: wanted };
        let shortages = availability::shortages(channel, &[wish])?;
        Ok(shortages.first().map(|shortage| shortage.available))
    }

    fn reserve(&self, cart: &Cart, expires_at_ms: u64) -> Result<Stock, Error> {
        if !services::available(INVENTORY) {
            return Ok(Stock::Uncounted);
        }
        let demand = |line: &crate::cart::Line| inventory::Demand {
            sku: line.sku.clone(),
            quantity: line.quantity,
            location: None,
        };
        let reservation = inventory::reserve(&inventory::ReservationRequest {
            channel: cart.channel.clone(),
            kind: inventory::ReservationKind::Cart,
            owner: cart.id.clone(),
            demands: cart.lines.iter().map(demand).collect(),
            expires_at_ms: Some(expires_at_ms),
            allow_partial: false,
        })?;
        Ok(Stock::Reservation(reservation.id))
    }

    fn place(&self, order: &Order) -> Result<String, Error> {
        Ok(orders::place(&order_input(order))?.order_id)
    }
}

fn variant(view: catalog::VariantView) -> Variant {
    let title = match view.variant_info.title.as_str() {
        "" => view.product_title,
        own => format!("{}, {own}", view.product_title),
    };
    Variant {
        title: title.chars().take(TITLE_MAX).collect(),
        image_url: view.image_url,
        tax_class: view.tax_class,
        for_sale: view.product_status == catalog::ProductStatus::Active,
    }
}

/// The order that a cart becomes. Its key is the cart's id: whoever completes the cart, it is one order.
fn order_input(order: &Order) -> orders::OrderInput {
    let Order { cart, titles, quote, payment, stock } = order;
    let lines = quote.lines.iter().zip(titles).map(|(line, title)| {
        let (unit_price_minor, discount_minor) = line.gross_unit(quote.prices_are_gross);
        orders::OrderLineInput {
            line_id: line.line_id.clone(),
            sku: line.sku.clone(),
            title: title.clone(),
            quantity: line.quantity,
            unit_price_minor,
            discount_minor,
            net_minor: line.net_minor,
            tax_minor: line.tax_minor,
            gross_minor: line.gross_minor,
            rate_basis_points: line.rate_basis_points,
            stocked: true,
        }
    });
    let reference = payment
        .reference
        .iter()
        .map(|value| types::Attribute { name: "payment-reference".into(), value: value.clone() });
    orders::OrderInput {
        channel: cart.channel.clone(),
        account: "default".into(),
        external_id: cart.id.clone(),
        placed_at_ms: 0,
        currency: quote.currency.clone(),
        email: cart.email.clone(),
        customer_ref: None,
        shipping_address: cart.shipping_address.clone().map(Into::into),
        shipping_method: cart.shipping_method.clone(),
        lines: lines.collect(),
        shipping_net_minor: quote.shipping.net_minor,
        shipping_tax_minor: quote.shipping.tax_minor,
        shipping_gross_minor: quote.shipping.gross_minor,
        total_minor: quote.total_minor,
        payment_method: payment.method.clone(),
        paid_minor: 0,
        stock: match stock {
            Stock::Reservation(id) => orders::StockSource::Reservation(id.clone()),
            Stock::Uncounted => orders::StockSource::None,
        },
        attributes: reference.collect(),
    }
}

/// Deletes carts that were idle for too long, a bounded number. True if there may be more.
pub(crate) fn sweep() -> Result<bool, Error> {
    let (now_ms, retention_days) = (Host.now_ms(), Host.config()?.retention_days);
    let Some(before) = (now_ms / DAY_MS).checked_sub(retention_days) else { return Ok(false) };
    let seen = BY_DAY.scan().range((0, "")..(before, "")).limit(SWEEP_MAX).keys()?;
    for (day, id) in &seen {
        BY_DAY.delete((*day, id))?;
        match CARTS.get(id)? {
            Some(cart) if crate::cart::is_stale(&cart, now_ms, retention_days) => CARTS.delete(id)?,
            Some(cart) => BY_DAY.put((cart.updated_at_ms / DAY_MS, id), &())?,
            None => {}
        }
    }
    Ok(seen.len() == SWEEP_MAX as usize)
}

impl From<types::Address> for Address {
    fn from(address: types::Address) -> Self {
        let types::Address { name, company, line1, line2, postal_code, city, region, country, phone } = address;
        Self { name, company, line1, line2, postal_code, city, region, country, phone }
    }
}

impl From<Address> for types::Address {
    fn from(address: Address) -> Self {
        let Address { name, company, line1, line2, postal_code, city, region, country, phone } = address;
        Self { name, company, line1, line2, postal_code, city, region, country, phone }
    }
}

/// The same fields on both sides.
macro_rules! same_fields {
    ($ours:ident, $theirs:ident: $($field:ident),+) => {
        impl From<pricing::$theirs> for $ours {
            fn from(value: pricing::$theirs) -> Self {
                Self { $($field: value.$field,)+ }
            }
        }
        impl From<$ours> for pricing::$theirs {
            fn from(value: $ours) -> Self {
                Self { $($field: value.$field,)+ }
            }
        }
    };
}

same_fields!(QuoteLine, QuoteLine: line_id, sku, quantity, unit_price_minor, discount_minor, net_minor, tax_minor, gross_minor, rate_basis_points);
same_fields!(TaxTotal, TaxTotal: rate_basis_points, net_minor, tax_minor, gross_minor);

fn all<A: Into<B>, B>(items: Vec<A>) -> Vec<B> {
    items.into_iter().map(Into::into).collect()
}

impl From<pricing::Quote> for Quote {
    fn from(quote: pricing::Quote) -> Self {
        Self {
            currency: quote.currency,
            prices_are_gross: quote.basis == pricing::PriceBasis::Gross,
            price_list: quote.price_list,
            lines: all(quote.lines),
            shipping: quote.shipping.into(),
            tax_totals: all(quote.tax_totals),
            goods_gross_minor: quote.goods_gross_minor,
            discount_gross_minor: quote.discount_gross_minor,
            shipping_gross_minor: quote.shipping_gross_minor,
            net_minor: quote.net_minor,
            tax_minor: quote.tax_minor,
            total_minor: quote.total_minor,
        }
    }
}

impl From<Quote> for pricing::Quote {
    fn from(quote: Quote) -> Self {
        Self {
            currency: quote.currency,
            basis: if quote.prices_are_gross { pricing::PriceBasis::Gross } else { pricing::PriceBasis::Net },
            price_list: quote.price_list,
            lines: all(quote.lines),
            shipping: quote.shipping.into(),
            tax_totals: all(quote.tax_totals),
            goods_gross_minor: quote.goods_gross_minor,
            discount_gross_minor: quote.discount_gross_minor,
            shipping_gross_minor: quote.shipping_gross_minor,
            net_minor: quote.net_minor,
            tax_minor: quote.tax_minor,
            total_minor: quote.total_minor,
        }
    }
}
