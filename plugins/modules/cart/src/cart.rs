//! A cart from its opening to the order that it becomes.
//!
//! Everything that the cart needs from elsewhere (its own table, catalogue, prices, stock, orders) is asked of a [`World`], so the
//! rules here are tested without any of it. Placing is idempotent: a cart becomes at most one order, whoever asks how often.

use crate::delivery::{Address, ShippingOption, check_country, check_email, check_text};
use crate::error::Error;
use crate::quote::Quote;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Lines of one cart.
pub(crate) const LINES_MAX: usize = 100;
/// Units of one line.
pub(crate) const QUANTITY_MAX: i64 = 10_000;
/// How long placing holds stock before the order takes it over; both happen in one transaction.
const RESERVATION_MS: u64 = 15 * 60 * 1000;
/// A day.
pub(crate) const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A line: a SKU is in one line only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) id: String,
    pub(crate) sku: String,
    pub(crate) quantity: i64,
}

/// A cart as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cart {
    pub(crate) id: String,
    pub(crate) channel: String,
    pub(crate) currency: String,
    pub(crate) country: String,
    pub(crate) lines: Vec<Line>,
    /// The number of the next line: ids of removed lines are not used again.
    pub(crate) next_line: u32,
    #[serde(default)]
    pub(crate) email: Option<String>,
    #[serde(default)]
    pub(crate) shipping_address: Option<Address>,
    #[serde(default)]
    pub(crate) shipping_method: Option<String>,
    #[serde(default)]
    pub(crate) order_id: Option<String>,
    pub(crate) updated_at_ms: u64,
}

/// What the merchant configured.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Config {
    pub(crate) shipping_options: Vec<ShippingOption>,
    pub(crate) default_tax_class: String,
    pub(crate) retention_days: u64,
}

/// What the catalogue says of a SKU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variant {
    pub(crate) title: String,
    pub(crate) image_url: Option<String>,
    pub(crate) tax_class: String,
    pub(crate) for_sale: bool,
}

/// A line to be priced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PriceLine {
    pub(crate) line_id: String,
    pub(crate) sku: String,
    pub(crate) quantity: i64,
    pub(crate) tax_class: String,
}

/// How the customer pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payment {
    pub(crate) method: String,
    pub(crate) reference: Option<String>,
    pub(crate) expected_total_minor: Option<i64>,
}

/// What holds an order's stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stock {
    /// A reservation with this id.
    Reservation(String),
    /// Nobody counts stock.
    Uncounted,
}

/// An order to be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) cart: Cart,
    pub(crate) titles: Vec<String>,
    pub(crate) quote: Quote,
    pub(crate) payment: Payment,
    pub(crate) stock: Stock,
}

/// Everything outside a cart.
pub(crate) trait World {
    fn now_ms(&self) -> u64;
    fn config(&self) -> Result<Config, Error>;
    fn cart(&self, id: &str) -> Result<Option<Cart>, Error>;
    fn put_cart(&self, cart: &Cart) -> Result<(), Error>;
    /// An unguessable id.
    fn new_id(&self) -> String;
    /// The currency in which a channel sells.
    fn currency(&self, channel: &str) -> Result<String, Error>;
    /// What the catalogue knows of SKUs; `None` when there is no catalogue.
    fn variants(&self, skus: &[String]) -> Result<Option<BTreeMap<String, Variant>>, Error>;
    fn quote(&self, cart: &Cart, lines: &[PriceLine], shipping_minor: i64) -> Result<Quote, Error>;
    /// How many units the cart's channel can offer, if those are less than `wanted`; `None` also when nobody says so.
    fn short(&self, channel: &str, sku: &str, wanted: i64) -> Result<Option<i64>, Error>;
    /// Holds the cart's stock; `Uncounted` when nobody counts.
    fn reserve(&self, cart: &Cart, expires_at_ms: u64) -> Result<Stock, Error>;
    /// Places an order under the cart's id as key. Its id.
    fn place(&self, order: &Order) -> Result<String, Error>;
}

/// A line as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LineView {
    pub(crate) line: Line,
    pub(crate) title: String,
    pub(crate) image_url: Option<String>,
}

/// A cart as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) cart: Cart,
    pub(crate) lines: Vec<LineView>,
    pub(crate) totals: Option<Quote>,
}

/// A cart with what is known of its SKUs.
struct Known {
    cart: Cart,
    variants: Option<BTreeMap<String, Variant>>,
    config: Config,
}

impl Known {
    fn read(world: &impl World, cart: Cart) -> Result<Self, Error> {
        let skus: Vec<String> = cart.lines.iter().map(|line| line.sku.clone()).collect();
        let variants = if skus.is_empty() { None } else { world.variants(&skus)? };
        Ok(Self { cart, variants, config: world.config()? })
    }

    fn variant(&self, sku: &str) -> Option<&Variant> {
        self.variants.as_ref()?.get(sku)
    }

    /// Without a catalogue everything is for sale.
    fn check_for_sale(&self, sku: &str) -> Result<(), Error> {
        if self.variants.is_none() {
            return Ok(());
        }
        match self.variant(sku) {
            None => Err(Error::NotFound(format!("SKU `{sku}`"))),
            Some(variant) if variant.for_sale => Ok(()),
            Some(_) => Err(not_for_sale(sku)),
        }
    }

    /// Without a catalogue, and for what left it, a SKU is its own title.
    fn title(&self, sku: &str) -> String {
        self.variant(sku).map_or_else(|| sku.to_owned(), |variant| variant.title.clone())
    }

    fn options(&self) -> impl Iterator<Item = &ShippingOption> {
        self.config.shipping_options.iter().filter(|option| option.goes_to(&self.cart.country, &self.cart.currency))
    }

    fn chosen(&self) -> Option<&ShippingOption> {
        let method = self.cart.shipping_method.as_deref()?;
        self.options().find(|option| option.id == method)
    }

    /// The price of everything. Whether shipping is free depends on what the goods cost, which the first quote tells.
    fn quote(&self, world: &impl World) -> Result<Quote, Error> {
        let lines = self.cart.lines.iter().map(|line| PriceLine {
            line_id: line.id.clone(),
            sku: line.sku.clone(),
            quantity: line.quantity,
            tax_class: self
                .variant(&line.sku)
                .map_or_else(|| self.config.default_tax_class.clone(), |variant| variant.tax_class.clone()),
        });
        let lines: Vec<PriceLine> = lines.collect();
        let listed = self.chosen().map_or(0, |option| option.price_minor);
        let quote = world.quote(&self.cart, &lines, listed)?;
        let due = self.chosen().map_or(0, |option| option.price_for(quote.goods_minor()));
        if due == listed { Ok(quote) } else { world.quote(&self.cart, &lines, due) }
    }

    fn view(self, totals: Option<Quote>) -> View {
        let lines = self.cart.lines.iter().map(|line| LineView {
            line: line.clone(),
            title: self.title(&line.sku),
            image_url: self.variant(&line.sku).and_then(|variant| variant.image_url.clone()),
        });
        View { lines: lines.collect(), totals, cart: self.cart }
    }

    /// The view with its totals; an error if the cart cannot be priced.
    fn priced(self, world: &impl World) -> Result<View, Error> {
        let totals = if self.cart.lines.is_empty() { None } else { Some(self.quote(world)?) };
        Ok(self.view(totals))
    }

    /// The view, without totals if the cart cannot be priced: what is no longer sold must not keep a customer from seeing the
    /// cart and taking it out.
    fn shown(self, world: &impl World) -> View {
        let totals = if self.cart.lines.is_empty() { None } else { self.quote(world).ok() };
        self.view(totals)
    }
}

/// Opens a cart.
pub(crate) fn create(world: &impl World, channel: &str, country: &str) -> Result<View, Error> {
    check_text("channel", channel, 64)?;
    check_country("country", country)?;
    let cart = Cart {
        id: world.new_id(),
        channel: channel.into(),
        currency: world.currency(channel)?,
        country: country.into(),
        lines: vec![],
        next_line: 1,
        email: None,
        shipping_address: None,
        shipping_method: None,
        order_id: None,
        updated_at_ms: world.now_ms(),
    };
    world.put_cart(&cart)?;
    Ok(View { cart, lines: vec![], totals: None })
}

/// A cart, priced now.
pub(crate) fn get(world: &impl World, id: &str) -> Result<View, Error> {
    Ok(Known::read(world, read(world, id)?)?.shown(world))
}

fn read(world: &impl World, id: &str) -> Result<Cart, Error> {
    let plausible = (1..=128).contains(&id.len());
    let cart = if plausible { world.cart(id)? } else { None };
    // The id is as good as a key to the cart: it is not repeated in a text that may be logged.
    cart.ok_or_else(|| Error::NotFound("there is no such cart; it may have been idle for too long".into()))
}

/// A cart that can still be changed.
fn open(world: &impl World, id: &str) -> Result<Cart, Error> {
    let cart = read(world, id)?;
    match cart.order_id {
        Some(order) => Err(Error::Placed(order)),
        None => Ok(cart),
    }
}

fn save(world: &impl World, mut cart: Cart) -> Result<Cart, Error> {
    cart.updated_at_ms = world.now_ms();
    world.put_cart(&cart)?;
    Ok(cart)
}

/// Adds a quantity of a SKU; a line of the same SKU grows.
pub(crate) fn add_line(world: &impl World, id: &str, sku: &str, quantity: i64) -> Result<View, Error> {
    check_text("sku", sku, 64)?;
    check_quantity(quantity, 1)?;
    let mut cart = open(world, id)?;
    let full = cart.lines.len() >= LINES_MAX;
    let wanted = match cart.lines.iter_mut().find(|line| line.sku == sku) {
        Some(line) => {
            line.quantity = line.quantity.saturating_add(quantity);
            line.quantity
        }
        None if full => {
            return Err(Error::Invalid(format!("sku: the cart has {LINES_MAX} lines already, the most there can be")));
        }
        None => {
            cart.lines.push(Line { id: cart.next_line.to_string(), sku: sku.into(), quantity });
            cart.next_line = cart.next_line.saturating_add(1);
            quantity
        }
    };
    // The catalogue is asked once, for the check and for the view.
    let mut known = Known::read(world, cart)?;
    known.check_for_sale(sku)?;
    check_quantity(wanted, 1)?;
    check_offer(world, &known.cart.channel, sku, wanted)?;
    known.cart = save(world, known.cart)?;
    known.priced(world)
}

/// Sets a line's quantity; 0 removes it.
pub(crate) fn set_line(world: &impl World, id: &str, line_id: &str, quantity: i64) -> Result<View, Error> {
    check_quantity(quantity, 0)?;
    let mut cart = open(world, id)?;
    let line = cart
        .lines
        .iter_mut()
        .find(|line| line.id == line_id)
        .ok_or_else(|| Error::NotFound(format!("the cart has no line `{line_id}`")))?;
    let grown = (quantity > line.quantity).then(|| line.sku.clone());
    line.quantity = quantity;
    cart.lines.retain(|line| line.quantity > 0);
    let mut known = Known::read(world, cart)?;
    if let Some(sku) = grown {
        known.check_for_sale(&sku)?;
        check_offer(world, &known.cart.channel, &sku, quantity)?;
    }
    known.cart = save(world, known.cart)?;
    Ok(known.shown(world))
}

/// Sets who buys and where it goes. Tax falls due there.
pub(crate) fn set_delivery(world: &impl World, id: &str, email: &str, address: Address) -> Result<View, Error> {
    check_email(email)?;
    address.check()?;
    let mut cart = open(world, id)?;
    cart.country.clone_from(&address.country);
    cart.email = Some(email.into());
    cart.shipping_address = Some(address);
    let mut known = Known::read(world, cart)?;
    if known.chosen().is_none() {
        // What was chosen before does not go there.
        known.cart.shipping_method = None;
    }
    known.cart = save(world, known.cart)?;
    known.priced(world)
}

/// A way to ship with what it costs for this cart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OptionView {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) price_minor: i64,
}

/// The ways to ship to the cart's address.
pub(crate) fn shipping_options(world: &impl World, id: &str) -> Result<Vec<OptionView>, Error> {
    let mut known = Known::read(world, read(world, id)?)?;
    known.cart.shipping_method = None;
    let goods = if known.cart.lines.is_empty() { 0 } else { known.quote(world)?.goods_minor() };
    let view = |option: &ShippingOption| OptionView {
        id: option.id.clone(),
        name: option.name.clone(),
        price_minor: option.price_for(goods),
    };
    Ok(known.options().map(view).collect())
}

/// Chooses a way to ship.
pub(crate) fn set_shipping(world: &impl World, id: &str, option: &str) -> Result<View, Error> {
    let mut known = Known::read(world, open(world, id)?)?;
    known.cart.shipping_method = Some(option.to_owned());
    if known.chosen().is_none() {
        let offered: Vec<&str> = known.options().map(|option| option.id.as_str()).collect();
        return Err(Error::Invalid(format!(
            "shipping_option: `{option}` does not go to {} in {}; offered are: {}",
            known.cart.country,
            known.cart.currency,
            if offered.is_empty() { "none".into() } else { offered.join(", ") }
        )));
    }
    known.cart = save(world, known.cart)?;
    known.priced(world)
}

/// Places the cart: prices it, holds the stock, makes the order. The order's id; the same when it was placed before.
pub(crate) fn place(world: &impl World, id: &str, payment: Payment) -> Result<String, Error> {
    let cart = read(world, id)?;
    if let Some(order) = cart.order_id {
        return Ok(order);
    }
    check_text("payment.method", &payment.method, 32)?;
    payment.reference.as_deref().map_or(Ok(()), |reference| check_text("payment.reference", reference, 200))?;
    let known = Known::read(world, cart)?;
    check_complete(&known)?;
    let quote = known.quote(world)?;
    if payment.expected_total_minor.is_some_and(|expected| expected != quote.total_minor) {
        return Err(Error::TotalChanged(quote.total_minor));
    }
    let stock = world.reserve(&known.cart, world.now_ms().saturating_add(RESERVATION_MS))?;
    let titles = known.cart.lines.iter().map(|line| known.title(&line.sku)).collect();
    let mut order = Order { cart: known.cart, titles, quote, payment, stock };
    let order_id = world.place(&order)?;
    order.cart.order_id = Some(order_id.clone());
    save(world, order.cart)?;
    Ok(order_id)
}

/// Refuses to place what is not ready, naming what is missing.
fn check_complete(known: &Known) -> Result<(), Error> {
    let missing = |what: &str| Err(Error::Invalid(what.into()));
    if known.cart.lines.is_empty() {
        return missing("lines: the cart is empty; put something into it first");
    }
    if known.cart.email.is_none() || known.cart.shipping_address.is_none() {
        return missing("shipping_address: it is missing; say who buys and where it goes first");
    }
    if !known.config.shipping_options.is_empty() && known.chosen().is_none() {
        return missing("shipping_method: it is missing; choose one of the ways to ship first");
    }
    if known.variants.is_some() {
        for line in &known.cart.lines {
            if !known.variant(&line.sku).is_some_and(|variant| variant.for_sale) {
                return Err(not_for_sale(&line.sku));
            }
        }
    }
    Ok(())
}

fn not_for_sale(sku: &str) -> Error {
    Error::Invalid(format!("sku: `{sku}` is not for sale; take it out of the cart"))
}

fn check_quantity(quantity: i64, least: i64) -> Result<(), Error> {
    if (least..=QUANTITY_MAX).contains(&quantity) {
        Ok(())
    } else {
        Err(Error::Invalid(format!("quantity: {quantity} of one SKU; {least} to {QUANTITY_MAX} are allowed")))
    }
}

fn check_offer(world: &impl World, channel: &str, sku: &str, wanted: i64) -> Result<(), Error> {
    match world.short(channel, sku, wanted)? {
        Some(available) => Err(Error::Insufficient(vec![(sku.into(), wanted, available)])),
        None => Ok(()),
    }
}

/// Whether a cart was idle for so long that it goes.
pub(crate) fn is_stale(cart: &Cart, now_ms: u64, retention_days: u64) -> bool {
    cart.updated_at_ms.saturating_add(retention_days.saturating_mul(DAY_MS)) <= now_ms
}

#[cfg(test)]
#[path = "cart_tests.rs"]
mod tests;
