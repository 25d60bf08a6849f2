//! From an order as Amazon tells it to an order as Kontor keeps it.
//!
//! Amazon's prices are authoritative: nothing is priced again, and whatever Amazon adds up to is accounted for to the cent
//! (what no category explains becomes a line of its own). An order that is still `PENDING` has neither prices nor an
//! address, and none are made up for it: it only holds stock.

use kontor_sdk::Timestamp;

use crate::api::{self, Breakdown, Money, OrderItem, Status};
use crate::money;

/// Longest text that is taken over; Amazon's own are shorter as a rule.
const TEXT_BYTES_MAX: usize = 200;

/// What the merchant's configuration says.
#[derive(Clone, Debug)]
pub struct MappingSettings {
    /// Where tax falls due as long as the destination is not known.
    pub country: String,
    /// The currency of orders that name none.
    pub currency: String,
    /// Orders placed before this touch no stock: they lie before the stock was counted.
    pub stock_from_ms: u64,
}

/// What is known of a SKU and of tax, looked up beforehand.
pub trait Lookup {
    /// Our SKU for the seller's SKU at Amazon.
    fn sku(&self, seller_sku: &str) -> String;
    /// The tax rate of our SKU in a country, in basis points.
    fn rate_basis_points(&self, sku: &str, country: &str) -> u32;
}

/// What the channel says of an order now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not ours yet; holds stock softly.
    Pending,
    /// Ours.
    Confirmed,
    /// Over.
    Cancelled,
}

/// Whether the order takes the merchant's stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stock {
    /// Yes.
    Reserve,
    /// No: Amazon ships it from its own warehouse, or it lies in the past.
    None,
}

/// A postal address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Who.
    pub name: String,
    /// Of which company.
    pub company: Option<String>,
    /// Street and number.
    pub line1: String,
    /// More of it.
    pub line2: Option<String>,
    /// Postal code.
    pub postal_code: String,
    /// City.
    pub city: String,
    /// State, province or region.
    pub region: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Phone.
    pub phone: Option<String>,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Amazon's number of the line; of what is no goods, with a suffix.
    pub line_id: String,
    /// Our SKU.
    pub sku: String,
    /// What the buyer read.
    pub title: String,
    /// Units.
    pub quantity: i64,
    /// Gross price of one unit.
    pub unit_price_minor: i64,
    /// What was taken off.
    pub discount_minor: i64,
    /// Without tax.
    pub net_minor: i64,
    /// Tax.
    pub tax_minor: i64,
    /// With tax.
    pub gross_minor: i64,
    /// The rate.
    pub rate_basis_points: u32,
    /// Whether it is goods.
    pub stocked: bool,
}

/// An order, mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedOrder {
    /// Amazon's number.
    pub external_id: String,
    /// The marketplace.
    pub marketplace_id: String,
    /// When it was placed.
    pub placed_at_ms: u64,
    /// What orders its versions: see [`version_ms`].
    pub changed_at_ms: u64,
    /// What the channel says of it.
    pub state: State,
    /// Whether it takes stock.
    pub stock: Stock,
    /// ISO 4217.
    pub currency: String,
    /// Amazon's relay address of the buyer.
    pub email: Option<String>,
    /// Where it goes.
    pub shipping_address: Option<Address>,
    /// How fast.
    pub shipping_method: Option<String>,
    /// What was ordered.
    pub lines: Vec<Line>,
    /// Postage without tax.
    pub shipping_net_minor: i64,
    /// Tax on postage.
    pub shipping_tax_minor: i64,
    /// Postage.
    pub shipping_gross_minor: i64,
    /// What the buyer pays.
    pub total_minor: i64,
    /// What else is worth knowing.
    pub attributes: Vec<(String, String)>,
    /// Line and units that have left, says Amazon.
    pub fulfilled: Vec<(String, i64)>,
    /// Carrier and tracking number of the newest parcel.
    pub parcel: Option<(String, String)>,
}

/// Why an order cannot be taken as it is. The text says what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingError(pub String);

/// What the buyer's order is, from what Amazon tells.
///
/// # Errors
///
/// When what makes it an order is missing or malformed.
pub fn map_order(
    order: &api::Order,
    settings: &MappingSettings,
    lookup: &dyn Lookup,
) -> Result<MappedOrder, MappingError> {
    let refuse = |text: String| MappingError(format!("order {}: {text}", order.order_id));
    let fulfillment = order.fulfillment.as_ref().ok_or_else(|| {
        refuse("it has no fulfillment status; the application needs a role that shows FULFILLMENT".into())
    })?;
    let placed_at_ms = time_ms(&order.created_time).map_err(&refuse)?;
    let state = state_of(fulfillment.fulfillment_status);
    let by_amazon = fulfillment.fulfilled_by.as_deref() == Some("AMAZON");
    let stock = if by_amazon || placed_at_ms < settings.stock_from_ms { Stock::None } else { Stock::Reserve };
    let pending = state == State::Pending;
    let shipping_address = if pending { None } else { address_of(order) };
    let country = shipping_address.as_ref().map_or(settings.country.as_str(), |address| address.country.as_str());
    let currency = currency_of(order).map_err(&refuse)?.unwrap_or_else(|| settings.currency.clone());
    let mut ledger = Ledger { currency: &currency, lines: Vec::new(), shipping: Part::default() };
    for item in &order.order_items {
        ledger.take_item(item, pending, country, lookup).map_err(&refuse)?;
    }
    if !pending {
        ledger.balance(order).map_err(&refuse)?;
    }
    let shipping = ledger.shipping;
    let total_minor = ledger.lines.iter().map(|line| line.gross_minor).sum::<i64>() + shipping.gross();
    let parcel = order.packages.last().map(|package| {
        (package.carrier.clone().unwrap_or_default(), package.tracking_number.clone().unwrap_or_default())
    });
    Ok(MappedOrder {
        external_id: order.order_id.clone(),
        marketplace_id: order.sales_channel.marketplace_id.clone().unwrap_or_default(),
        placed_at_ms,
        changed_at_ms: version_ms(order).map_err(&refuse)?,
        state,
        stock,
        email: order.buyer.as_ref().filter(|_| !pending).and_then(|buyer| filled(buyer.buyer_email.as_ref())),
        shipping_address,
        shipping_method: fulfillment.fulfillment_service_level.clone(),
        shipping_net_minor: shipping.net,
        shipping_tax_minor: shipping.tax,
        shipping_gross_minor: shipping.gross(),
        total_minor,
        attributes: attributes_of(order, fulfillment),
        fulfilled: fulfilled_of(order, fulfillment.fulfillment_status),
        parcel,
        lines: ledger.lines,
        currency,
    })
}

/// What a status means for us.
#[must_use]
pub fn state_of(status: Status) -> State {
    match status {
        Status::PendingAvailability | Status::Pending => State::Pending,
        Status::Unshipped | Status::PartiallyShipped | Status::Shipped => State::Confirmed,
        Status::Unfulfillable | Status::Cancelled => State::Cancelled,
    }
}

/// The number that orders an order's versions: the time of its last change. Amazon tells it to the second, and a payment can
/// clear within one; so where it is a whole second, the milliseconds tell how far the order is: an order never goes back
/// from shipped to pending, so the later status is the later version.
///
/// # Errors
///
/// When the time is malformed.
pub fn version_ms(order: &api::Order) -> Result<u64, String> {
    let changed_ms = time_ms(&order.last_updated_time)?;
    if changed_ms % 1_000 != 0 {
        return Ok(changed_ms);
    }
    let status = order.fulfillment.as_ref().map_or(0, |fulfillment| fulfillment.fulfillment_status as u64);
    let left: i64 =
        order.order_items.iter().filter_map(|item| item.fulfillment.as_ref()).map(|f| f.quantity_fulfilled).sum();
    let asked = order.order_items.iter().any(wants_cancellation);
    Ok(changed_ms + status * 100 + u64::try_from(left.clamp(0, 49)).unwrap_or(0) * 2 + u64::from(asked))
}

fn wants_cancellation(item: &OrderItem) -> bool {
    item.cancellation.as_ref().is_some_and(|cancellation| cancellation.cancellation_request.is_some())
}

fn time_ms(text: &str) -> Result<u64, String> {
    Timestamp::parse_rfc3339(text).map(Timestamp::as_ms).ok_or_else(|| format!("`{text}` is no RFC 3339 time"))
}

/// The currency of the first amount that the order names.
fn currency_of(order: &api::Order) -> Result<Option<String>, String> {
    let grand_total = order.proceeds.as_ref().and_then(|proceeds| proceeds.grand_total.as_ref());
    let of_item = |item: &OrderItem| {
        let total = item.proceeds.as_ref().and_then(|proceeds| proceeds.proceeds_total.as_ref());
        let price = item.product.price.as_ref().and_then(|price| price.unit_price.as_ref());
        total.or(price).map(|money| money.currency_code.clone())
    };
    let currency =
        grand_total.map(|money| money.currency_code.clone()).or_else(|| order.order_items.iter().find_map(of_item));
    match currency {
        Some(code) if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) => {
            Err(format!("`{code}` is no currency code"))
        }
        currency => Ok(currency),
    }
}

/// The text without control characters and spaces at its ends, cut to what every field of an order can hold; none if that
/// leaves nothing.
fn filled(text: Option<&String>) -> Option<String> {
    let mut clean: String = text?.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.truncate(clean.floor_char_boundary(TEXT_BYTES_MAX));
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}

fn address_of(order: &api::Order) -> Option<Address> {
    let address = order.recipient.as_ref()?.delivery_address.as_ref()?;
    let buyer_name = order.buyer.as_ref().and_then(|buyer| filled(buyer.buyer_name.as_ref()));
    let company = filled(address.company_name.as_ref());
    // Without a street, a name or a country it is no address that a parcel can be sent to: the account's role does not show it.
    let line1 = filled(address.address_line1.as_ref())?;
    let country = filled(address.country_code.as_ref())?.to_ascii_uppercase();
    let more: Vec<String> = [&address.address_line2, &address.address_line3, &address.district_or_county]
        .into_iter()
        .filter_map(|line| filled(line.as_ref()))
        .collect();
    Some(Address {
        name: filled(address.name.as_ref()).or(buyer_name).or_else(|| company.clone())?,
        company,
        line1,
        line2: (!more.is_empty()).then(|| more.join(", ")),
        postal_code: filled(address.postal_code.as_ref()).unwrap_or_default(),
        city: filled(address.city.as_ref()).or_else(|| filled(address.municipality.as_ref())).unwrap_or_default(),
        region: filled(address.state_or_region.as_ref()),
        country,
        phone: filled(address.phone.as_ref()),
    })
}

fn attributes_of(order: &api::Order, fulfillment: &api::Fulfillment) -> Vec<(String, String)> {
    let mut attributes = vec![
        ("amazon-status".to_owned(), fulfillment.fulfillment_status.to_string()),
        ("fulfilled-by".to_owned(), fulfillment.fulfilled_by.clone().unwrap_or_else(|| "MERCHANT".to_owned())),
    ];
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            attributes.push((name.to_owned(), value));
        }
    };
    add("marketplace-id", order.sales_channel.marketplace_id.clone());
    add("programs", (!order.programs.is_empty()).then(|| order.programs.join(",")));
    add("ship-by", fulfillment.ship_by_window.as_ref().and_then(|window| window.latest_date_time.clone()));
    add("purchase-order", order.buyer.as_ref().and_then(|buyer| filled(buyer.buyer_purchase_order_number.as_ref())));
    let alias = order.order_aliases.iter().find(|alias| alias.alias_type == "SELLER_ORDER_ID");
    add("seller-order-id", alias.map(|alias| alias.alias_id.clone()));
    add("cancellation-requested", order.order_items.iter().any(wants_cancellation).then(|| "true".to_owned()));
    attributes
}

fn fulfilled_of(order: &api::Order, status: Status) -> Vec<(String, i64)> {
    let units = |item: &OrderItem| match &item.fulfillment {
        Some(fulfillment) => fulfillment.quantity_fulfilled,
        None if status == Status::Shipped => item.quantity_ordered,
        None => 0,
    };
    order
        .order_items
        .iter()
        .map(|item| (item.order_item_id.clone(), units(item)))
        .filter(|(_, units)| *units > 0)
        .collect()
}

/// An amount with its tax.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    net: i64,
    tax: i64,
}

impl Part {
    fn gross(self) -> i64 {
        self.net + self.tax
    }

    fn add(&mut self, other: Self) {
        self.net += other.net;
        self.tax += other.tax;
    }
}

/// Collects lines and postage of an order.
struct Ledger<'a> {
    currency: &'a str,
    lines: Vec<Line>,
    shipping: Part,
}

/// The proceeds of a line by category, in minor units.
struct Amounts<'a> {
    currency: &'a str,
    breakdowns: &'a [Breakdown],
    /// The tax comes on top of the other categories.
    tax_on_top: bool,
}

impl Amounts<'_> {
    fn minor(&self, money: &Money) -> Result<i64, String> {
        if money.currency_code != self.currency {
            return Err(format!("it mixes {} and {}", self.currency, money.currency_code));
        }
        money::parse(&money.amount, self.currency)
    }

    fn of(&self, kind: &str) -> Result<i64, String> {
        self.breakdowns.iter().filter(|b| b.kind == kind).map(|b| self.minor(&b.subtotal)).sum()
    }

    /// The part of `TAX` or `DISCOUNT` that is on `subtype`. Without details all of it is on the goods.
    fn part(&self, kind: &str, subtype: &str) -> Result<i64, String> {
        let mut sum = 0;
        for breakdown in self.breakdowns.iter().filter(|breakdown| breakdown.kind == kind) {
            let total = self.minor(&breakdown.subtotal)?.abs();
            let mut detailed = 0;
            for detail in &breakdown.detailed_breakdowns {
                let value = detail.value.as_ref().map_or(Ok(0), |value| self.minor(value))?.abs();
                detailed += value;
                if detail.subtype.as_deref() == Some(subtype) {
                    sum += value;
                }
            }
            if subtype == "ITEM" {
                sum += total - detailed;
            }
        }
        Ok(sum)
    }

    fn has_tax(&self) -> bool {
        self.breakdowns.iter().any(|breakdown| breakdown.kind == "TAX")
    }

    /// A category after discount, with its tax; and the discount.
    fn category(&self, amount: i64, subtype: &str, rate: u32) -> Result<(Part, i64), String> {
        let discount = self.part("DISCOUNT", subtype)?;
        let rest = amount - discount;
        let part = if !self.has_tax() {
            let tax = money::tax_in_gross(rest, rate);
            Part { net: rest - tax, tax }
        } else {
            let tax = self.part("TAX", subtype)?;
            if self.tax_on_top { Part { net: rest, tax } } else { Part { net: rest - tax, tax } }
        };
        Ok((part, discount))
    }
}

impl Ledger<'_> {
    fn take_item(&mut self, item: &OrderItem, pending: bool, country: &str, lookup: &dyn Lookup) -> Result<(), String> {
        let seller_sku = filled(item.product.seller_sku.as_ref())
            .ok_or_else(|| format!("item {} has no seller SKU", item.order_item_id))?;
        if item.quantity_ordered < 0 {
            return Err(format!("item {} has the quantity {}", item.order_item_id, item.quantity_ordered));
        }
        let sku = lookup.sku(&seller_sku);
        let rate = lookup.rate_basis_points(&sku, country);
        let mut line = Line {
            line_id: item.order_item_id.clone(),
            title: filled(item.product.title.as_ref()).unwrap_or_else(|| seller_sku.clone()),
            sku,
            // 0 where the line was cancelled as a whole.
            quantity: item.quantity_ordered,
            unit_price_minor: 0,
            discount_minor: 0,
            net_minor: 0,
            tax_minor: 0,
            gross_minor: 0,
            rate_basis_points: rate,
            stocked: true,
        };
        if pending {
            self.lines.push(line);
            return Ok(());
        }
        let amounts = self.amounts(item)?;
        let unit_price = item.product.price.as_ref().and_then(|price| price.unit_price.as_ref());
        let unit_price = unit_price.map(|money| amounts.minor(money)).transpose()?;
        let goods = if amounts.breakdowns.iter().any(|breakdown| breakdown.kind == "ITEM") {
            amounts.of("ITEM")?
        } else if let (true, Some(total)) = (
            amounts.breakdowns.is_empty(),
            item.proceeds.as_ref().and_then(|proceeds| proceeds.proceeds_total.as_ref()),
        ) {
            amounts.minor(total)?
        } else {
            unit_price.unwrap_or(0) * item.quantity_ordered
        };
        let (part, discount) = amounts.category(goods, "ITEM", rate)?;
        line.net_minor = part.net;
        line.tax_minor = part.tax;
        line.gross_minor = part.gross();
        (line.unit_price_minor, line.discount_minor) =
            match unit_price_and_discount(part.gross() + discount, line.quantity) {
                Some((unit, rest)) => (unit, discount + rest),
                None => (unit_price.unwrap_or(0), discount),
            };
        if amounts.has_tax() {
            line.rate_basis_points = money::rate_of(part.net, part.tax);
        }
        let (postage, _) = amounts.category(amounts.of("SHIPPING")?, "SHIPPING", rate)?;
        let mut fees = Vec::new();
        for (kind, suffix, title) in [
            ("GIFT_WRAP", "gift-wrap", "Gift wrap"),
            ("COD_FEE", "cod-fee", "Cash on delivery"),
            ("OTHER", "other", "Other charges"),
        ] {
            let (fee, discount) = amounts.category(amounts.of(kind)?, kind, rate)?;
            if fee.gross() != 0 {
                fees.push(fee_line(&format!("{}:{suffix}", item.order_item_id), kind, title, fee, discount));
            }
        }
        self.shipping.add(postage);
        self.lines.push(line);
        self.lines.append(&mut fees);
        Ok(())
    }

    fn amounts<'b>(&self, item: &'b OrderItem) -> Result<Amounts<'b>, String>
    where
        Self: 'b,
    {
        let breakdowns = item.proceeds.as_ref().map_or(&[][..], |proceeds| &proceeds.breakdowns);
        let mut amounts = Amounts { currency: self.currency, breakdowns, tax_on_top: true };
        // Amazon's own total tells whether tax comes on top (as in the USA) or is contained (as in Europe).
        if let Some(total) = item.proceeds.as_ref().and_then(|proceeds| proceeds.proceeds_total.as_ref()) {
            let total = amounts.minor(total)?;
            let mut without_tax = 0;
            for kind in ["ITEM", "SHIPPING", "GIFT_WRAP", "COD_FEE", "OTHER"] {
                without_tax += amounts.of(kind)?;
            }
            without_tax -= amounts.of("DISCOUNT")?.abs();
            amounts.tax_on_top = total != without_tax;
        }
        Ok(amounts)
    }

    /// What Amazon's total has and no line explains becomes a line of its own.
    fn balance(&mut self, order: &api::Order) -> Result<(), String> {
        let Some(grand_total) = order.proceeds.as_ref().and_then(|proceeds| proceeds.grand_total.as_ref()) else {
            return Ok(());
        };
        let amounts = Amounts { currency: self.currency, breakdowns: &[], tax_on_top: true };
        let sum = self.lines.iter().map(|line| line.gross_minor).sum::<i64>() + self.shipping.gross();
        let rest = amounts.minor(grand_total)? - sum;
        if rest != 0 {
            let part = Part { net: rest, tax: 0 };
            self.lines.push(fee_line("adjustment", "ADJUSTMENT", "Difference to Amazon's total", part, 0));
        }
        Ok(())
    }
}

/// A unit price whose multiple is the amount before discount, rounded up, and by how much the multiple is more: where tax comes
/// on top, an amount need not be divisible. None without units.
fn unit_price_and_discount(before_discount: i64, quantity: i64) -> Option<(i64, i64)> {
    if quantity < 1 {
        return None;
    }
    let unit = before_discount.div_euclid(quantity) + i64::from(before_discount.rem_euclid(quantity) > 0);
    Some((unit, unit * quantity - before_discount))
}

fn fee_line(line_id: &str, kind: &str, title: &str, part: Part, discount: i64) -> Line {
    Line {
        line_id: line_id.to_owned(),
        sku: format!("AMAZON-{}", kind.replace('_', "-")),
        title: title.to_owned(),
        quantity: 1,
        unit_price_minor: part.gross() + discount,
        discount_minor: discount,
        net_minor: part.net,
        tax_minor: part.tax,
        gross_minor: part.gross(),
        rate_basis_points: money::rate_of(part.net, part.tax),
        stocked: false,
    }
}
