//! Asks the modules, and turns their answers into what the till shows and sells. There is no state here.

use std::collections::BTreeSet;

use kontor_sdk::Error;
use serde_json::json;

use crate::bindings::kontor::commerce::catalog::{self, CatalogError};
use crate::bindings::kontor::commerce::inventory::{self, InventoryError};
use crate::bindings::kontor::commerce::orders::{self, OrdersError};
use crate::bindings::kontor::commerce::pricing::{self, PricingError};
use crate::bindings::kontor::commerce::types::Attribute;
use crate::model::{
    Goods, Item, Price, Priced, PricedLine, Receipt, SaleLine, SaleRequest, StockPlace, TaxLine, places, title,
};
use crate::sale::{gross_unit_price, occurred_at_ms};
use crate::settings::Settings;

/// SKUs that one call takes.
const SKUS_MAX: usize = 250;

/// The article with a barcode, SKU or other identifier.
pub(crate) fn find(settings: &Settings, code: &str, here: Option<&str>) -> Result<Item, Error> {
    let variant = catalog::find_variant(code).map_err(from_catalog)?;
    let mut items = items(settings, vec![variant], here)?;
    items.pop().ok_or_else(|| Error::not_found(format!("There is no article `{code}`.")))
}

/// The SKU that a code stands for; none if there is no such article.
pub(crate) fn sku_of(code: &str) -> Result<Option<String>, Error> {
    match catalog::find_variant(code) {
        Ok(found) => Ok(Some(found.variant_info.sku)),
        Err(CatalogError::NotFound(_) | CatalogError::Invalid(_)) => Ok(None),
        Err(error) => Err(from_catalog(error)),
    }
}

/// Whether an article can be sold now.
pub(crate) fn has_price(settings: &Settings, sku: &str) -> Result<bool, Error> {
    Ok(!pricing::shelf_prices(&settings.channel, &[sku.to_owned()]).map_err(from_pricing)?.is_empty())
}

/// Articles for sale in whose names, brands or identifiers all the words occur.
pub(crate) fn search(settings: &Settings, words: &str, here: Option<&str>, limit: u32) -> Result<Vec<Item>, Error> {
    let page = catalog::search_products(&catalog::ProductQuery {
        text: words.to_owned(),
        category: None,
        status: Some(catalog::ProductStatus::Active),
        cursor: None,
        limit: limit.clamp(1, 50),
    })
    .map_err(from_catalog)?;
    let mut variants = Vec::new();
    for product in page.products {
        for variant in product.variants {
            variants.push(catalog::VariantView {
                product_id: product.id.clone(),
                product_title: product.title.clone(),
                product_status: product.status,
                tax_class: product.tax_class.clone(),
                image_url: product.image_url.clone(),
                variant_info: variant,
            });
        }
    }
    variants.truncate(limit.clamp(1, 50) as usize);
    items(settings, variants, here)
}

/// Stock of one SKU at every location.
pub(crate) fn stock(settings: &Settings, sku: &str, here: Option<&str>) -> Result<Item, Error> {
    let variants = catalog::get_variants(&[sku.to_owned()]).map_err(from_catalog)?;
    let mut items = items(settings, variants, here)?;
    items.pop().ok_or_else(|| Error::not_found(format!("There is no article `{sku}`.")).with_code("unknown-sku"))
}

fn items(settings: &Settings, variants: Vec<catalog::VariantView>, here: Option<&str>) -> Result<Vec<Item>, Error> {
    let skus: Vec<String> = variants.iter().map(|variant| variant.variant_info.sku.clone()).take(SKUS_MAX).collect();
    if skus.is_empty() {
        return Ok(Vec::new());
    }
    let prices = pricing::shelf_prices(&settings.channel, &skus).map_err(from_pricing)?;
    let levels = inventory::levels(&skus).map_err(from_inventory)?;
    let locations = inventory::list_locations().map_err(from_inventory)?;
    Ok(variants.into_iter().map(|variant| item(variant, &prices, &levels, &locations, here)).collect())
}

/// An article with its stock at every active location, and at those that have some of it.
fn item(
    variant: catalog::VariantView,
    prices: &[pricing::ShelfPrice],
    levels: &[inventory::StockLevel],
    locations: &[inventory::Location],
    here: Option<&str>,
) -> Item {
    let sku = variant.variant_info.sku;
    let places_of = locations.iter().filter_map(|location| {
        let level = levels.iter().find(|level| level.sku == sku && level.location == location.id);
        let is_here = here == Some(location.id.as_str());
        (is_here || level.is_some() || (location.active && location.kind == inventory::LocationKind::Store)).then(
            || StockPlace {
                location: location.id.clone(),
                name: location.name.clone(),
                kind: match location.kind {
                    inventory::LocationKind::Store => "store",
                    inventory::LocationKind::Warehouse => "warehouse",
                    inventory::LocationKind::ThirdParty => "third_party",
                },
                here: is_here,
                on_hand: level.map_or(0, |level| level.on_hand),
                available: level.map_or(0, |level| level.available_to_sell),
            },
        )
    });
    let (stock, available_here, available_elsewhere) = places(places_of.collect());
    let price = prices
        .iter()
        .find(|price| price.sku == sku)
        .map(|price| Price { amount_minor: price.price.amount_minor, currency: price.price.currency.clone() });
    Item {
        product_id: variant.product_id,
        title: title(&variant.product_title, &variant.variant_info.title),
        image_url: variant.image_url,
        price,
        available_here,
        available_elsewhere,
        stock,
        sku,
    }
}

/// Names of articles, as far as they are known.
pub(crate) fn titles(skus: &[String]) -> Result<Vec<(String, String)>, Error> {
    let mut known = Vec::new();
    for batch in skus.chunks(SKUS_MAX) {
        let variants = catalog::get_variants(batch).map_err(from_catalog)?;
        known.extend(
            variants
                .into_iter()
                .map(|view| (view.variant_info.sku, title(&view.product_title, &view.variant_info.title))),
        );
    }
    Ok(known)
}

/// Prices what is to be sold.
pub(crate) fn price(settings: &Settings, lines: &[SaleLine]) -> Result<Priced, Error> {
    let skus: Vec<String> = lines.iter().map(|line| line.sku.clone()).collect::<BTreeSet<_>>().into_iter().collect();
    let mut views = Vec::with_capacity(skus.len());
    for batch in skus.chunks(SKUS_MAX) {
        views.extend(catalog::get_variants(batch).map_err(from_catalog)?);
    }
    let view = |sku: &str| views.iter().find(|view| view.variant_info.sku == sku);
    let unknown: Vec<&str> = skus.iter().map(String::as_str).filter(|sku| view(sku).is_none()).collect();
    if !unknown.is_empty() {
        return Err(Error::invalid(format!("lines: the catalogue has no article {}.", unknown.join(", ")))
            .with_code("unknown-sku")
            .with("skus", json!(unknown)));
    }
    let inputs = (1u32..).zip(lines).map(|(number, line)| pricing::QuoteLineInput {
        line_id: number.to_string(),
        sku: line.sku.clone(),
        quantity: line.quantity,
        tax_class: view(&line.sku).map_or_else(|| "standard".to_owned(), |view| view.tax_class.clone()),
        unit_price_minor: line.unit_price_minor,
    });
    let quote = pricing::quote_basket(&pricing::QuoteRequest {
        channel: settings.channel.clone(),
        price_list: None,
        country: settings.country.clone(),
        lines: inputs.collect(),
        discount_minor: 0,
        shipping_minor: 0,
    })
    .map_err(|error| match error {
        PricingError::NotFound(text) => Error::invalid(text).with_code("no-price"),
        error => from_pricing(error),
    })?;
    let priced = quote.lines.iter().map(|line| {
        let (unit_price_minor, discount_minor) = gross_unit_price(line.gross_minor, line.quantity);
        PricedLine {
            title: view(&line.sku)
                .map_or_else(|| line.sku.clone(), |view| title(&view.product_title, &view.variant_info.title)),
            sku: line.sku.clone(),
            quantity: line.quantity,
            unit_price_minor,
            discount_minor,
            net_minor: line.net_minor,
            tax_minor: line.tax_minor,
            gross_minor: line.gross_minor,
            rate_basis_points: line.rate_basis_points,
        }
    });
    let taxes = quote.tax_totals.iter().map(|tax| TaxLine {
        rate_basis_points: tax.rate_basis_points,
        net_minor: tax.net_minor,
        tax_minor: tax.tax_minor,
        gross_minor: tax.gross_minor,
    });
    Ok(Priced {
        lines: priced.collect(),
        taxes: taxes.collect(),
        currency: quote.currency,
        total_minor: quote.total_minor,
    })
}

/// Holds goods at the place of the sale, before it is placed.
pub(crate) fn hold(settings: &Settings, request: &SaleRequest, location: &str) -> Result<String, Error> {
    let demands = request.lines.iter().map(|line| inventory::Demand {
        sku: line.sku.clone(),
        quantity: line.quantity,
        location: Some(location.to_owned()),
    });
    let reservation = inventory::reserve(&inventory::ReservationRequest {
        channel: settings.channel.clone(),
        kind: inventory::ReservationKind::Order,
        owner: format!("{}/{}", settings.channel, request.sale_id),
        demands: demands.collect(),
        expires_at_ms: None,
        allow_partial: false,
    })
    .map_err(from_inventory)?;
    Ok(reservation.id)
}

/// What is to be written on the order beside its lines.
#[derive(Clone, Debug)]
pub(crate) struct OrderNotes {
    pub(crate) receipt_number: String,
    pub(crate) payment_method: &'static str,
    pub(crate) cash_rounding_minor: i64,
    pub(crate) sold_by: String,
}

/// Places the order of a sale, with its stock: handed over, or out of a reservation and out of the house at once.
pub(crate) fn place(
    settings: &Settings,
    request: &SaleRequest,
    location: &str,
    priced: &Priced,
    notes: OrderNotes,
    now_ms: u64,
) -> Result<orders::Placing, Error> {
    let stock = match request.goods {
        Goods::InHand => orders::StockSource::HandedOver(location.to_owned()),
        Goods::FromStock => orders::StockSource::Reservation(hold(settings, request, location)?),
    };
    let lines = (1u32..).zip(&priced.lines).map(|(number, line)| orders::OrderLineInput {
        line_id: number.to_string(),
        sku: line.sku.clone(),
        title: line.title.clone(),
        quantity: line.quantity,
        unit_price_minor: line.unit_price_minor,
        discount_minor: line.discount_minor,
        net_minor: line.net_minor,
        tax_minor: line.tax_minor,
        gross_minor: line.gross_minor,
        rate_basis_points: line.rate_basis_points,
        stocked: true,
    });
    let mut attributes = vec![
        attribute("location", location),
        attribute("receipt-number", &notes.receipt_number),
        attribute("goods", request.goods.as_str()),
        attribute("sold-by", &notes.sold_by),
    ];
    if notes.cash_rounding_minor != 0 {
        attributes.push(attribute("cash-rounding-minor", &notes.cash_rounding_minor.to_string()));
    }
    let placing = orders::place(&orders::OrderInput {
        channel: settings.channel.clone(),
        account: request.till_id.clone(),
        external_id: request.sale_id.clone(),
        placed_at_ms: occurred_at_ms(request, now_ms),
        currency: priced.currency.clone(),
        email: None,
        customer_ref: None,
        shipping_address: None,
        shipping_method: None,
        lines: lines.collect(),
        shipping_net_minor: 0,
        shipping_tax_minor: 0,
        shipping_gross_minor: 0,
        total_minor: priced.total_minor,
        payment_method: notes.payment_method.to_owned(),
        paid_minor: priced.total_minor,
        stock,
        attributes,
    })
    .map_err(from_orders)?;
    if request.goods == Goods::FromStock {
        let shipped: Vec<(String, i64)> =
            (1u32..).zip(&priced.lines).map(|(number, line)| (number.to_string(), line.quantity)).collect();
        orders::ship(&placing.order_id, &request.sale_id, "counter", "", &shipped).map_err(from_orders)?;
    }
    Ok(placing)
}

fn attribute(name: &str, value: &str) -> Attribute {
    Attribute { name: name.to_owned(), value: value.to_owned() }
}

/// Names of locations, for receipts.
pub(crate) fn location_name(receipt: &Receipt) -> String {
    let locations = inventory::list_locations().unwrap_or_default();
    locations
        .into_iter()
        .find(|location| location.id == receipt.location)
        .map_or_else(|| receipt.location.clone(), |l| l.name)
}

fn insufficient(shortages: impl Iterator<Item = (String, i64, i64)>) -> Error {
    let list: Vec<(String, i64, i64)> = shortages.collect();
    let text: Vec<String> = list
        .iter()
        .map(|(sku, requested, available)| format!("{sku} ({requested} wanted, {available} available)"))
        .collect();
    let members: Vec<serde_json::Value> = list
        .iter()
        .map(|(sku, requested, available)| json!({ "sku": sku, "requested": requested, "available": available }))
        .collect();
    Error::conflict(format!("Not enough in stock: {}. Nothing was sold.", text.join(", ")))
        .with_code("insufficient-stock")
        .with("shortages", members)
}

fn from_catalog(error: CatalogError) -> Error {
    match error {
        CatalogError::NotFound(text) => Error::not_found(text),
        CatalogError::Invalid(text) => Error::invalid(text),
        CatalogError::Conflict(text) => Error::conflict(text),
        CatalogError::Other(text) => Error::unavailable(text),
    }
}

fn from_pricing(error: PricingError) -> Error {
    match error {
        PricingError::NotFound(text) => Error::not_found(text),
        PricingError::Invalid(text) => Error::invalid(text),
        PricingError::Other(text) => Error::unavailable(text),
    }
}

fn from_inventory(error: InventoryError) -> Error {
    match error {
        InventoryError::NotFound(text) | InventoryError::Invalid(text) => Error::invalid(text),
        InventoryError::Insufficient(shortages) => {
            insufficient(shortages.into_iter().map(|shortage| (shortage.sku, shortage.requested, shortage.available)))
        }
        InventoryError::Conflict(text) => Error::conflict(text),
        InventoryError::Other(text) => Error::unavailable(text),
    }
}

fn from_orders(error: OrdersError) -> Error {
    match error {
        OrdersError::NotFound(text) | OrdersError::Invalid(text) => Error::invalid(text),
        OrdersError::Insufficient(shortages) => insufficient(shortages.into_iter()),
        OrdersError::Conflict(text) => Error::conflict(text),
        OrdersError::Other(text) => Error::unavailable(text),
    }
}
