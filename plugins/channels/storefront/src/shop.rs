//! Asks the modules and turns their answers into what pages and the API show. Every function is one or two service calls; there is
//! no state here.

use kontor_sdk::http::Error;
use kontor_sdk::services;

use crate::bindings::kontor::commerce::cart::{self, CartError};
use crate::bindings::kontor::commerce::catalog::{self, CatalogError};
use crate::bindings::kontor::commerce::{inventory, orders, pricing, types};
use crate::model::{
    Address, Availability, CartLine, CartView, PlacedOrder, Price, ProductCard, ProductDetail, ProductList,
    ShippingOption, Totals, VariantView,
};

/// Products on a page.
pub(crate) const PRODUCTS_PER_PAGE: u32 = 24;

/// Which products to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// Words.
    pub text: &'a str,
    /// Category path.
    pub category: Option<&'a str>,
    /// Of the last page.
    pub cursor: Option<String>,
    /// 1 to 100.
    pub limit: u32,
}

/// A page of products that are for sale.
pub(crate) fn products(channel: &str, wanted: Wanted<'_>) -> Result<ProductList, Error> {
    let page = catalog::search_products(&catalog::ProductQuery {
        text: wanted.text.to_owned(),
        category: wanted.category.map(str::to_owned),
        status: Some(catalog::ProductStatus::Active),
        cursor: wanted.cursor,
        limit: wanted.limit.clamp(1, 100),
    })
    .map_err(from_catalog)?;
    let skus: Vec<String> =
        page.products.iter().flat_map(|product| &product.variants).map(|variant| variant.sku.clone()).collect();
    let prices = shelf_prices(channel, &skus)?;
    let products = page.products.into_iter().map(|product| card(product, &prices)).collect();
    Ok(ProductList { products, next_cursor: page.next_cursor })
}

fn card(product: catalog::Product, prices: &[pricing::ShelfPrice]) -> ProductCard {
    let own: Vec<&pricing::ShelfPrice> =
        prices.iter().filter(|price| product.variants.iter().any(|variant| variant.sku == price.sku)).collect();
    let lowest = own.iter().map(|price| &price.price).min_by_key(|price| price.amount_minor);
    ProductCard {
        price_varies: own
            .iter()
            .any(|price| Some(price.price.amount_minor) != lowest.map(|lowest| lowest.amount_minor)),
        price: lowest.map(|price| Price { amount_minor: price.amount_minor, currency: price.currency.clone() }),
        id: product.id,
        title: product.title,
        brand: product.brand,
        image_url: product.image_url,
    }
}

/// Prices of any number of SKUs.
fn shelf_prices(channel: &str, skus: &[String]) -> Result<Vec<pricing::ShelfPrice>, Error> {
    let mut prices = Vec::new();
    for batch in skus.chunks(250) {
        prices.extend(pricing::shelf_prices(channel, batch).map_err(from_pricing)?);
    }
    Ok(prices)
}

/// A product that is for sale.
pub(crate) fn product(channel: &str, id: &str) -> Result<ProductDetail, Error> {
    let product = catalog::get_product(id).map_err(from_catalog)?;
    if product.status != catalog::ProductStatus::Active {
        return Err(Error::not_found(format!("There is no product `{id}` for sale.")));
    }
    let skus: Vec<String> = product.variants.iter().map(|variant| variant.sku.clone()).collect();
    let prices = shelf_prices(channel, &skus)?;
    let offers = offers(channel, &skus)?;
    let variants = product
        .variants
        .into_iter()
        .map(|variant| VariantView {
            price: prices
                .iter()
                .find(|price| price.sku == variant.sku)
                .map(|price| Price { amount_minor: price.price.amount_minor, currency: price.price.currency.clone() }),
            availability: offers.as_ref().map_or(Availability::Unknown, |offers| {
                Availability::of(offers.iter().find(|offer| offer.sku == variant.sku).map_or(0, |offer| offer.quantity))
            }),
            title: variant.title,
            sku: variant.sku,
        })
        .collect();
    Ok(ProductDetail {
        id: product.id,
        title: product.title,
        brand: product.brand,
        category: product.category,
        description: product.description,
        image_url: product.image_url,
        variants,
    })
}

/// What the channel may offer; none without an inventory module.
fn offers(channel: &str, skus: &[String]) -> Result<Option<Vec<inventory::ChannelOffer>>, Error> {
    if !services::available("kontor:commerce/inventory@0.1.0") {
        return Ok(None);
    }
    let mut all = Vec::new();
    for batch in skus.chunks(250) {
        all.extend(
            inventory::offers(channel, batch)
                .map_err(|error| Error::unavailable(format!("The stock is not known now: {error:?}")))?,
        );
    }
    Ok(Some(all))
}

/// The product that a SKU belongs to.
pub(crate) fn product_of(sku: &str) -> Result<String, Error> {
    let found = catalog::get_variants(&[sku.to_owned()]).map_err(from_catalog)?;
    let view = found.into_iter().next().ok_or_else(|| Error::not_found(format!("There is no article `{sku}`.")))?;
    Ok(view.product_id)
}

/// Opens a cart.
pub(crate) fn create_cart(channel: &str, country: &str) -> Result<CartView, Error> {
    cart::create(channel, country).map(view).map_err(from_cart)
}

/// A cart.
pub(crate) fn cart(id: &str) -> Result<CartView, Error> {
    cart::get(id).map(view).map_err(from_cart)
}

/// Adds to a cart.
pub(crate) fn add_line(id: &str, sku: &str, quantity: i64) -> Result<CartView, Error> {
    cart::add_line(id, sku, quantity).map(view).map_err(from_cart)
}

/// Changes a line; 0 removes it.
pub(crate) fn set_line(id: &str, line: &str, quantity: i64) -> Result<CartView, Error> {
    cart::set_line(id, line, quantity).map(view).map_err(from_cart)
}

/// Sets who and where to.
pub(crate) fn set_delivery(id: &str, email: &str, address: &Address) -> Result<CartView, Error> {
    let some =
        |value: &Option<String>| value.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let address = types::Address {
        name: address.name.trim().to_owned(),
        company: some(&address.company),
        line1: address.line1.trim().to_owned(),
        line2: some(&address.line2),
        postal_code: address.postal_code.trim().to_owned(),
        city: address.city.trim().to_owned(),
        region: some(&address.region),
        country: address.country.trim().to_owned(),
        phone: some(&address.phone),
    };
    cart::set_delivery(id, email.trim(), &address).map(view).map_err(from_cart)
}

/// Ways to ship.
pub(crate) fn shipping_options(id: &str) -> Result<Vec<ShippingOption>, Error> {
    let options = cart::shipping_options(id).map_err(from_cart)?;
    Ok(options.into_iter().map(|o| ShippingOption { id: o.id, name: o.name, price_minor: o.price_minor }).collect())
}

/// Chooses one.
pub(crate) fn set_shipping(id: &str, option: &str) -> Result<CartView, Error> {
    cart::set_shipping(id, option).map(view).map_err(from_cart)
}

/// Places the cart. Placing it again returns the same order.
pub(crate) fn place(
    id: &str,
    method: &str,
    reference: Option<String>,
    expected_total_minor: Option<i64>,
) -> Result<PlacedOrder, Error> {
    let payment = cart::Payment { method: method.to_owned(), reference, expected_total_minor };
    match cart::place(id, &payment) {
        Ok(order_id) | Err(CartError::Placed(order_id)) => Ok(placed(order_id)),
        Err(error) => Err(from_cart(error)),
    }
}

/// The order that a cart became.
pub(crate) fn placed(order_id: String) -> PlacedOrder {
    let known = services::available("kontor:commerce/orders@0.1.0").then(|| orders::get(&order_id).ok()).flatten();
    PlacedOrder { number: known.map_or_else(|| order_id.clone(), |order| order.number), order_id }
}

/// Finds the products of a cart's lines, for pages that link to them. An article that left the catalogue has none.
pub(crate) fn find_products(cart: &mut CartView) {
    let skus: Vec<String> = cart.lines.iter().map(|line| line.sku.clone()).collect();
    let variants = catalog::get_variants(&skus).unwrap_or_default();
    for line in &mut cart.lines {
        let found = variants.iter().find(|found| found.variant_info.sku == line.sku);
        line.product_id = found.map(|found| found.product_id.clone());
    }
}

fn view(cart: cart::CartView) -> CartView {
    let quoted = cart.totals.as_ref();
    let lines = cart
        .lines
        .iter()
        .map(|line| {
            let priced = quoted.and_then(|quote| quote.lines.iter().find(|priced| priced.line_id == line.id));
            CartLine {
                id: line.id.clone(),
                sku: line.sku.clone(),
                product_id: None,
                title: line.title.clone(),
                image_url: line.image_url.clone(),
                quantity: line.quantity,
                unit_price_minor: priced.map_or(0, |priced| priced.unit_price_minor),
                total_minor: priced.map_or(0, |priced| priced.gross_minor),
            }
        })
        .collect();
    let totals = quoted.map(|quote| Totals {
        goods_minor: quote.goods_gross_minor,
        shipping_minor: quote.shipping_gross_minor,
        tax_minor: quote.tax_minor,
        total_minor: quote.total_minor,
    });
    let address = cart.shipping_address.map(|a| Address {
        name: a.name,
        company: a.company,
        line1: a.line1,
        line2: a.line2,
        postal_code: a.postal_code,
        city: a.city,
        region: a.region,
        country: a.country,
        phone: a.phone,
    });
    CartView {
        id: cart.id,
        currency: cart.currency,
        lines,
        email: cart.email,
        shipping_address: address,
        shipping_method: cart.shipping_method,
        totals,
        order_id: cart.order_id,
    }
}

fn from_catalog(error: CatalogError) -> Error {
    match error {
        CatalogError::NotFound(text) => Error::not_found(text),
        CatalogError::Invalid(text) => Error::invalid(text),
        CatalogError::Conflict(text) => Error::conflict(text),
        CatalogError::Other(text) => Error::unavailable(text),
    }
}

fn from_pricing(error: pricing::PricingError) -> Error {
    match error {
        pricing::PricingError::NotFound(text) => Error::not_found(text),
        pricing::PricingError::Invalid(text) => Error::invalid(text),
        pricing::PricingError::Other(text) => Error::unavailable(text),
    }
}

fn from_cart(error: CartError) -> Error {
    match error {
        CartError::NotFound(text) => Error::not_found(text),
        CartError::Invalid(text) => Error::invalid(text),
        CartError::Insufficient(shortages) => {
            let list: Vec<serde_json::Value> = shortages
                .iter()
                .map(|(sku, requested, available)| serde_json::json!({ "sku": sku, "requested": requested, "available": available }))
                .collect();
            let text: Vec<String> = shortages
                .iter()
                .map(|(sku, requested, available)| format!("{sku} ({requested} wanted, {available} available)"))
                .collect();
            Error::conflict(format!("Not enough in stock: {}.", text.join(", ")))
                .with_code("insufficient-stock")
                .with("shortages", list)
        }
        CartError::Placed(order) => {
            Error::conflict("This cart was placed already.").with_code("cart-placed").with("order_id", order)
        }
        CartError::TotalChanged(total) => {
            Error::conflict(format!("The total is now {total}.")).with_code("total-changed").with("total_minor", total)
        }
        CartError::Other(text) => Error::unavailable(text),
    }
}
