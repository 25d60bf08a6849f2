//! The checkers: what must be true after every commit, and what must be true in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use kontor_channels::amazon::FulfillmentStatus;
use kontor_core::ids::MerchantId;
use kontor_core::keys::{Space, prefix_range};
use kontor_store::{Engine as _, EngineError, MemoryEngine};
use serde_json::{Value, json};

use crate::base::{LAMP, LAMPS, LISTED_LAMP, LOCATION, MUG, MUGS};
use crate::host::{Ask, Host};
use crate::people::{Handled, Ledger, Told, check_levels};

/// Rows of one page of the host's lists.
const PAGE: usize = 500;

/// After every commit: the counters of stock agree with one another, and nothing below zero was promised. Reads the store itself, as
/// any other process would find it.
pub(crate) fn check_counters(merchant: &MerchantId, memory: &MemoryEngine) -> Result<(), String> {
    let mut prefix = merchant.as_str().as_bytes().to_vec();
    prefix.extend_from_slice(&[0, Space::Counter as u8]);
    prefix.extend_from_slice(b"inventory\0");
    let skip = prefix.len();
    let range = prefix_range(prefix);
    let found = loop {
        match memory.scan(&range, false, 1_000) {
            Ok(found) => break found,
            // The fault plan is asked here too.
            Err(EngineError::Unavailable(_)) => {}
            Err(EngineError::Fatal(_)) => return Ok(()),
        }
    };
    let mut places: BTreeMap<Vec<u8>, BTreeMap<String, i64>> = BTreeMap::new();
    for (key, value) in found.entries {
        let rest = key.get(skip..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
        let table = String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned();
        let number = <[u8; 8]>::try_from(value.as_ref()).map(i64::from_be_bytes);
        let number = number.map_err(|_| format!("a counter of {} bytes", value.len()))?;
        places.entry(rest.get(end..).unwrap_or_default().to_vec()).or_default().insert(table, number);
    }
    for counters in places.values() {
        let number = |name: &str| counters.get(name).copied().unwrap_or(0);
        let (on_hand, reserved, available) = (number("on-hand"), number("reserved"), number("available-to-sell"));
        if available < 0 || reserved < 0 || on_hand - number("unsellable") - reserved != available {
            return Err(format!("the counters of a place contradict each other: {counters:?}"));
        }
    }
    Ok(())
}

/// An order as its module shows it.
#[derive(Clone, Debug)]
pub(crate) struct Order(Value);

impl Order {
    fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn minor(&self, name: &str) -> i64 {
        self.0.get(name).and_then(Value::as_i64).unwrap_or(i64::MIN)
    }

    fn lines(&self) -> &[Value] {
        self.0.get("lines").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    /// Units of an article in these states.
    fn units(&self, sku: &str, states: &[&str]) -> i64 {
        let lines = self.lines().iter().filter(|line| line.get("sku").and_then(Value::as_str) == Some(sku));
        let counts = lines.filter_map(|line| line.get("units").and_then(Value::as_array)).flatten();
        counts
            .filter(|count| count.get("state").and_then(Value::as_str).is_some_and(|state| states.contains(&state)))
            .filter_map(|count| count.get("quantity").and_then(Value::as_i64))
            .sum()
    }

    /// What was ordered, by article.
    fn ordered(&self) -> BTreeMap<String, i64> {
        let mut ordered = BTreeMap::new();
        for line in self.lines() {
            let sku = line.get("sku").and_then(Value::as_str).unwrap_or_default();
            *ordered.entry(sku.to_owned()).or_default() += line.get("quantity").and_then(Value::as_i64).unwrap_or(0);
        }
        ordered
    }

    /// Money: every line adds up, and the order is the sum of its lines and shipping.
    fn check_money(&self) -> Result<(), String> {
        let mut sum = self.minor("shipping_gross_minor");
        let mut is_right = self.minor("shipping_net_minor") + self.minor("shipping_tax_minor") == sum;
        for line in self.lines() {
            let minor = |name: &str| line.get(name).and_then(Value::as_i64).unwrap_or(i64::MIN / 4);
            let gross = minor("gross_minor");
            is_right &= minor("net_minor") + minor("tax_minor") == gross;
            is_right &= minor("unit_price_minor") * minor("quantity") - minor("discount_minor") == gross;
            sum += gross;
        }
        match is_right && sum == self.minor("total_minor") {
            true => Ok(()),
            false => Err(format!("the money of an order does not add up: {}", self.0)),
        }
    }
}

/// What a run came to, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sold {
    pub(crate) asked: u64,
    pub(crate) sold: u64,
    pub(crate) refused: u64,
    pub(crate) units: i64,
}

/// Everything that must be true in the end.
pub(crate) async fn audit(host: &Rc<Host>, ledger: &Ledger) -> Result<Sold, String> {
    let levels = host.must(&Ask::get("inventory", format!("/v1/levels?sku={LAMP}&sku={MUG}"))).await?;
    check_levels(&levels)?;
    let verified = host.must(&Ask::get("inventory", "/v1/verify")).await?;
    if verified.get("discrepancies") != Some(&json!([])) {
        return Err(format!("stock is not what its ledger says: {verified}"));
    }
    let orders = orders(host).await?;
    for order in &orders {
        order.check_money()?;
    }
    check_stock(host, &levels, &orders).await?;
    check_keys(&orders)?;
    let sold = check_visits(ledger, &orders)?;
    check_handled(ledger, &orders)?;
    check_marketplace(host, &levels, &orders)?;
    check_deliveries(host).await?;
    check_lists(host, ledger).await?;
    if host.plan.is_calm {
        check_sold_out(ledger, &levels, &sold)?;
    }
    Ok(sold)
}

async fn orders(host: &Rc<Host>) -> Result<Vec<Order>, String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = host.must(&Ask::get("orders", format!("/v1/orders?limit=100{cursor}"))).await?;
        let summaries = page.get("orders").and_then(Value::as_array).cloned().unwrap_or_default();
        ids.extend(summaries.iter().filter_map(|order| order.get("id")?.as_str().map(str::to_owned)));
        match page.get("next_cursor").and_then(Value::as_str) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let mut orders = Vec::with_capacity(ids.len());
    for id in ids {
        orders.push(Order(host.must(&Ask::get("orders", format!("/v1/orders/{id}"))).await?));
    }
    Ok(orders)
}

fn level(levels: &Value, sku: &str, name: &str) -> i64 {
    let rows = levels.get("levels").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let row = rows.iter().find(|row| row.get("sku").and_then(Value::as_str) == Some(sku));
    row.and_then(|row| row.get(name)).and_then(Value::as_i64).unwrap_or(i64::MIN / 4)
}

/// Never more than there was; what orders hold is what is reserved; what has left is in the ledger as movements.
async fn check_stock(host: &Rc<Host>, levels: &Value, orders: &[Order]) -> Result<(), String> {
    for (sku, there_were) in [(LAMP, LAMPS), (MUG, MUGS)] {
        let held: i64 = orders.iter().map(|order| order.units(sku, &["reserved"])).sum();
        let gone: i64 = orders.iter().map(|order| order.units(sku, &["shipped", "collected"])).sum();
        let (on_hand, reserved) = (level(levels, sku, "on_hand"), level(levels, sku, "reserved"));
        if held + gone > there_were {
            return Err(format!("oversold: {held} units of {sku} are held and {gone} gone, there were {there_were}"));
        }
        if held != reserved || there_were - gone != on_hand {
            return Err(format!(
                "{sku}: orders hold {held} and {gone} are gone, stock says {reserved} reserved, {on_hand} on hand of \
                 {there_were}"
            ));
        }
        let page =
            host.must(&Ask::get("inventory", format!("/v1/movements?sku={sku}&location={LOCATION}&limit=250"))).await?;
        let movements = page.get("movements").and_then(Value::as_array).cloned().unwrap_or_default();
        let sum: i64 = movements.iter().filter_map(|movement| movement.get("quantity")?.as_i64()).sum();
        let reference = |movement: &Value| {
            let part = |name: &str| movement.get(name).map(Value::to_string).unwrap_or_default();
            (part("ref_type"), part("ref_id"), part("line"))
        };
        let references: BTreeSet<_> = movements.iter().map(reference).collect();
        if sum != on_hand || references.len() != movements.len() {
            return Err(format!("the ledger of {sku} sums up to {sum}, {on_hand} are on hand: {movements:?}"));
        }
    }
    Ok(())
}

/// At most one order per cart, sale and marketplace order; no number twice.
fn check_keys(orders: &[Order]) -> Result<(), String> {
    let (mut keys, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for order in orders {
        if !keys.insert((order.text("channel"), order.text("account"), order.text("external_id"))) {
            return Err(format!("two orders of one key: {}", order.0));
        }
        if !numbers.insert(order.text("number")) {
            return Err(format!("two orders of one number: {}", order.0));
        }
    }
    Ok(())
}

/// What people were told is what the books say: sold + refused = asked, and every order is somebody's.
fn check_visits(ledger: &Ledger, orders: &[Order]) -> Result<Sold, String> {
    let mut found: BTreeMap<(&str, &str), &Order> =
        orders.iter().map(|order| ((order.text("channel"), order.text("external_id")), order)).collect();
    let mut sold = Sold::default();
    for visit in &ledger.visits {
        sold.asked += 1;
        let order = found.remove(&(visit.channel, visit.external_id.as_str()));
        match (&visit.told, order) {
            (Told::Bought { order_id, total_minor }, Some(order)) => {
                let wanted: BTreeMap<String, i64> =
                    visit.wanted.iter().map(|(sku, quantity)| ((*sku).to_owned(), *quantity)).collect();
                let is_marketplace = visit.channel == "amazon";
                if !is_marketplace
                    && (order.text("id") != order_id
                        || order.ordered() != wanted
                        || order.minor("total_minor") != *total_minor)
                {
                    return Err(format!("{visit:?} became another order: {}", order.0));
                }
                sold.sold += 1;
                sold.units += order.ordered().values().sum::<i64>();
            }
            (Told::Bought { .. }, None) if visit.channel == "amazon" => {
                return Err(format!("the marketplace sold, the merchant never learned of it: {visit:?}"));
            }
            (Told::Bought { .. }, None) => return Err(format!("an order that was acknowledged is lost: {visit:?}")),
            (Told::Refused { doubtful: false }, Some(order)) => {
                return Err(format!("{visit:?}, and yet there is an order: {}", order.0));
            }
            // An earlier try of the same cart went through after its client had given up on it.
            (Told::Refused { doubtful: true }, Some(order)) => {
                sold.sold += 1;
                sold.units += order.ordered().values().sum::<i64>();
            }
            (Told::Refused { .. }, None) => sold.refused += 1,
        }
    }
    match found.into_values().next() {
        Some(order) => Err(format!("an order that nobody asked for: {}", order.0)),
        None => Ok(sold),
    }
}

/// What staff did is done.
fn check_handled(ledger: &Ledger, orders: &[Order]) -> Result<(), String> {
    for (id, handled) in &ledger.handled {
        let order = orders.iter().find(|order| order.text("id") == id).ok_or("an order is gone")?;
        let is_done = match handled {
            Handled::Cancelled => order.text("status") == "cancelled",
            Handled::Shipped => order.text("fulfilment") == "fulfilled",
        };
        if !is_done {
            return Err(format!("{handled:?} was acknowledged, and is not so: {}", order.0));
        }
    }
    Ok(())
}

/// The marketplace's books and ours: its orders as they stand there, one each; what it advertises is what there is.
fn check_marketplace(host: &Rc<Host>, levels: &Value, orders: &[Order]) -> Result<(), String> {
    let simulator = &host.market.simulator;
    for theirs in simulator.orders() {
        let ours = orders.iter().find(|order| order.text("external_id") == theirs.order_id);
        let ours = ours.ok_or_else(|| format!("order {} of the marketplace is unknown here", theirs.order_id))?;
        let wanted: i64 = theirs.order_items.iter().map(|item| item.quantity_ordered).sum();
        let is_cancelled = theirs.status() == Some(FulfillmentStatus::Cancelled);
        let statuses: &[&str] = if is_cancelled { &["cancelled"] } else { &["placed", "completed", "on_hold"] };
        if !statuses.contains(&ours.text("status")) || ours.ordered().values().sum::<i64>() != wanted {
            return Err(format!("the marketplace says {theirs:?}, we say {}", ours.0));
        }
        // Who waits, waits because there is nothing left.
        let waiting = ours.units(LAMP, &["open", "backordered"]);
        if !is_cancelled && waiting > 0 && level(levels, LAMP, "available_to_sell") > 0 {
            return Err(format!("an order waits although there is stock: {}", ours.0));
        }
    }
    let (advertised, available) = (simulator.advertised(LISTED_LAMP), level(levels, LAMP, "available_to_sell"));
    if advertised != available {
        return Err(format!("the marketplace advertises {advertised}, {available} are available"));
    }
    match simulator.violations().first() {
        Some(violation) => Err(format!("a request outside the marketplace's contract: {violation:?}")),
        None => Ok(()),
    }
}

/// Every event was handled once, those of a key in the order of the log, and nothing was given up.
async fn check_deliveries(host: &Rc<Host>) -> Result<(), String> {
    let machine = host.machine().ok_or("the host is down")?;
    let mut logged: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut position = None;
    loop {
        let page = machine.events_since(host.merchant(), position.as_deref(), PAGE).await;
        let page = page.map_err(|error| error.to_string())?;
        for entry in page.events {
            let event = entry.event;
            if ["kontor.inventory.", "kontor.orders."].iter().any(|prefix| event.event_type.starts_with(prefix)) {
                logged.entry(event.key).or_default().push(event.id);
            }
        }
        if !page.more {
            break;
        }
        position = Some(page.next);
    }
    let told = host.must(&Ask::get("witness", "/deliveries")).await?;
    let told: BTreeMap<String, Vec<String>> = serde_json::from_value(Value::Object(
        told.as_array()
            .into_iter()
            .flatten()
            .filter_map(|pair| Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.clone())))
            .collect(),
    ))
    .map_err(|error| format!("the witness's answer: {error}"))?;
    for (key, events) in &logged {
        let told = told.get(key).map(Vec::as_slice).unwrap_or_default();
        if told != events {
            return Err(format!("events of {key}: the log has {events:?}, delivered were {told:?}"));
        }
    }
    if told.len() != logged.len() {
        return Err("events were delivered that the log does not have".to_owned());
    }
    let dead = machine.dead_letters(host.merchant(), None, PAGE).await.map_err(|error| error.to_string())?;
    match dead.first() {
        Some(letter) => Err(format!("{} dead letters; the first: {letter:?}", dead.len())),
        None => Ok(()),
    }
}

async fn check_lists(host: &Rc<Host>, ledger: &Ledger) -> Result<(), String> {
    let lists = host.must(&Ask::get("witness", "/lists")).await?;
    let lists: Vec<(String, Vec<u64>)> = serde_json::from_value(lists).map_err(|error| format!("lists: {error}"))?;
    ledger.history.check(&lists.into_iter().collect())
}

/// On a day on which nothing goes wrong, and more single lamps are wanted than there are, every one is sold.
fn check_sold_out(ledger: &Ledger, levels: &Value, sold: &Sold) -> Result<(), String> {
    let asked = i64::try_from(ledger.visits.len()).unwrap_or(i64::MAX);
    let left = level(levels, LAMP, "available_to_sell");
    match left == (LAMPS - asked).max(0) {
        true => Ok(()),
        false => Err(format!("{left} lamps are left though {asked} were wanted: {sold:?}")),
    }
}
