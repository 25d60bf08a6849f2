//! Who comes to the shop: buyers in three channels, people who reserve and do not buy, staff who ship and cancel, auditors, and
//! clients that append to lists. Each is a good client: it tries again until it knows, always with the same key.

use std::cell::RefCell;
use std::rc::Rc;

use futures_util::future::join;
use kontor_channels::amazon::Purchase;
use kontor_core::effects::Environment;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::base::{LAMP, LAMP_MINOR, LISTED_LAMP, LOCATION, MUG, MUG_MINOR, TILLS};
use crate::history::{History, Operation};
use crate::host::{Ask, Host, Said};
use crate::timeline::HostClock;

/// How often a buyer looks at a changed total again.
const LOOKS_MAX: u32 = 20;

/// What a buyer wanted and what came of it, as the buyer was told.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) channel: &'static str,
    /// Cart or sale: what makes it one order.
    pub(crate) external_id: String,
    pub(crate) wanted: Vec<(&'static str, i64)>,
    pub(crate) told: Told,
}

/// See [`Visit`].
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// It is bought: the order, and what it costs.
    Bought { order_id: String, total_minor: i64 },
    /// There is not enough. Doubtful: an earlier try may have been carried out, or may still be.
    Refused { doubtful: bool },
}

/// What staff did to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handled {
    Shipped,
    Cancelled,
}

/// The prices of the lamp: one after the other, by one hand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prices {
    /// In the order in which they were sent off.
    pub(crate) sent: Vec<i64>,
    /// How many of them are known to be set.
    pub(crate) known: usize,
}

impl Prices {
    /// What could be right for somebody who begins to look when `known` prices were known to be set, and sees it now.
    fn possible(&self, known: usize) -> Vec<i64> {
        std::iter::once(LAMP_MINOR).chain(self.sent.iter().copied()).skip(known).collect()
    }
}

/// What everybody writes down.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) prices: Prices,
    pub(crate) visits: Vec<Visit>,
    pub(crate) handled: Vec<(String, Handled)>,
    /// Of those who do not buy: all of them end.
    pub(crate) reservations: Vec<String>,
    pub(crate) history: History,
}

/// A person, with choices of their own that do not depend on others'.
pub(crate) struct Person {
    pub(crate) host: Rc<Host>,
    pub(crate) ledger: Rc<RefCell<Ledger>>,
    number: u32,
    random: ChaCha8Rng,
}

impl Person {
    pub(crate) fn new(host: &Rc<Host>, ledger: &Rc<RefCell<Ledger>>, number: u32) -> Self {
        let seed = host.plan.seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ u64::from(number);
        let random = ChaCha8Rng::seed_from_u64(seed);
        Self { host: Rc::clone(host), ledger: Rc::clone(ledger), number, random }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    async fn wait(&mut self, most_ms: u64) {
        let wait_ms = self.random.random_range(0..=most_ms);
        self.host.timeline.sleep(wait_ms).await;
    }

    fn wish(&mut self) -> Vec<(&'static str, i64)> {
        let (pairs, both) = (self.host.plan.pairs, self.host.plan.both);
        let mut wanted = vec![(LAMP, if self.chance(pairs) { 2 } else { 1 })];
        if self.chance(both) {
            wanted.push((MUG, self.random.random_range(1..=2)));
        }
        wanted
    }

    fn remember(&self, visit: Visit) {
        self.host.note(format_args!("{visit:?}"));
        self.ledger.borrow_mut().visits.push(visit);
    }

    /// Looks at the lamp in the shop: a price that was replaced before is not shown.
    async fn look(&self) -> Result<(), String> {
        let known = self.ledger.borrow().prices.known;
        let product = self.host.must(&Ask::get("storefront", "/api/v1/products/lamp")).await?;
        let shown = product.pointer("/variants/0/price/amount_minor").and_then(Value::as_i64);
        let possible = self.ledger.borrow().prices.possible(known);
        match shown.is_some_and(|shown| possible.contains(&shown)) {
            true => Ok(()),
            false => Err(format!("the lamp is shown for {shown:?}, not for one of {possible:?}")),
        }
    }

    // ---- the web shop ----

    /// Cart, lines, address, shipping, order; sometimes places twice at once.
    pub(crate) async fn shop_online(mut self) -> Result<(), String> {
        self.wait(self.host.plan.rush_ms).await;
        self.look().await?;
        let (wanted, name) = (self.wish(), format!("web-{}", self.number));
        let host = Rc::clone(&self.host);
        let api = "/api/v1/carts";
        let opening = Ask::post("storefront", api, json!({})).key(format!("{name}/cart"));
        let cart = host.must(&opening).await?;
        let id = cart.get("id").and_then(Value::as_str).ok_or("a cart has no id")?.to_owned();
        let cart = format!("{api}/{id}");
        let visit = |told| Visit { channel: "storefront", external_id: id.clone(), wanted: wanted.clone(), told };
        let mut doubtful = false;
        for (sku, quantity) in &wanted {
            let line = json!({ "sku": sku, "quantity": quantity });
            let said = host
                .insist(&Ask::post("storefront", format!("{cart}/lines"), line).key(format!("{name}/{sku}")))
                .await?;
            if said.code() == "insufficient-stock" {
                self.remember(visit(Told::Refused { doubtful: false }));
                return Ok(());
            }
            expect(&said, 200, "a line")?;
        }
        let address = json!({ "name": "Ada Example", "line1": "Am Markt 1", "postal_code": "28195", "city": "Bremen", "country": "DE" });
        let delivery = json!({ "email": format!("{name}@example.com"), "address": address });
        host.must(&Ask::put("storefront", format!("{cart}/delivery"), delivery)).await?;
        let priced = host
            .must(&Ask::put("storefront", format!("{cart}/shipping"), json!({ "shipping_option": "standard" })))
            .await?;
        let mut total_minor = total_of(&priced)?;
        for _ in 0..LOOKS_MAX {
            let payment = json!({ "payment": { "method": "invoice", "expected_total_minor": total_minor } });
            let mut placing = Ask::post("storefront", format!("{cart}/place"), payment);
            if self.chance(50) {
                placing = placing.key(format!("{name}/place/{total_minor}"));
            }
            let said = match self.chance(20) {
                true => match join(host.insist(&placing), host.insist(&placing)).await {
                    (Ok(one), Ok(other)) => both(one, other)?,
                    (Err(error), _) | (_, Err(error)) => return Err(error),
                },
                false => host.insist(&placing).await?,
            };
            doubtful |= said.doubtful;
            match (said.status, said.code()) {
                (200 | 201, _) => {
                    let order_id = said.text("order_id");
                    self.remember(visit(Told::Bought { order_id: order_id.clone(), total_minor }));
                    return self.handle_order(&order_id).await;
                }
                (_, "insufficient-stock") => {
                    self.remember(visit(Told::Refused { doubtful }));
                    return Ok(());
                }
                (_, "total-changed") => {
                    total_minor = total_of(&host.must(&Ask::get("storefront", cart.clone())).await?)?;
                }
                _ => return Err(format!("placing a cart answered {}: {}", said.status, said.body)),
            }
        }
        Err("the total never stays the same".to_owned())
    }

    // ---- the till ----

    /// One request, again and again until it is answered. The till has fixed its price.
    pub(crate) async fn shop_in_store(mut self) -> Result<(), String> {
        self.wait(self.host.plan.rush_ms).await;
        let (wanted, sale_id) = (self.wish(), format!("sale-{:08}", self.number));
        let price = |sku: &str| if sku == LAMP { LAMP_MINOR } else { MUG_MINOR };
        let total_minor: i64 = wanted.iter().map(|(sku, quantity)| price(sku) * quantity).sum();
        let lines: Vec<Value> = wanted
            .iter()
            .map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity, "unit_price_minor": price(sku) }))
            .collect();
        let till = TILLS.get(self.random.random_range(0..TILLS.len())).copied().unwrap_or_default();
        let sale = json!({
            "till_id": till, "sale_id": sale_id, "goods": "from_stock", "lines": lines,
            "tenders": [{ "method": "card", "amount_minor": total_minor }],
        });
        let mut selling = Ask::post("pos", "/api/v1/sales", sale);
        if self.chance(30) {
            selling = selling.key(sale_id.clone());
        }
        let said = self.host.insist(&selling).await?;
        let told = match (said.status, said.code()) {
            (200 | 201, _) => {
                let tag = |text: &str| text.split('-').next().unwrap_or_default().to_owned();
                let (till, number) = (said.text("till_name"), said.text("order_number"));
                if till != tag(&number) {
                    return Err(format!("a receipt mixes two revisions: till {till}, order {number}"));
                }
                Told::Bought { order_id: said.text("order_id"), total_minor }
            }
            (_, "insufficient-stock") => Told::Refused { doubtful: said.doubtful },
            _ => return Err(format!("a sale answered {}: {}", said.status, said.body)),
        };
        self.remember(Visit { channel: "pos", external_id: sale_id, wanted, told });
        Ok(())
    }

    // ---- the marketplace ----

    /// Buys there; the host learns of it when it asks.
    pub(crate) async fn shop_on_marketplace(mut self) -> Result<(), String> {
        self.wait(self.host.plan.rush_ms).await;
        let quantity = if self.chance(self.host.plan.pairs) { 2 } else { 1 };
        let wanted = vec![(LAMP, quantity)];
        let visit = |external_id, told| Visit { channel: "amazon", external_id, wanted, told };
        match self.host.market.simulator.place_order(&Purchase::of(LISTED_LAMP, quantity)) {
            Ok(placed) => {
                let told = Told::Bought { order_id: String::new(), total_minor: 0 };
                self.remember(visit(placed.order_id, told));
            }
            Err(_) => self.remember(visit(String::new(), Told::Refused { doubtful: false })),
        }
        Ok(())
    }

    // ---- others ----

    /// Reserves, and lets it lapse or gives it back.
    pub(crate) async fn hold(mut self) -> Result<(), String> {
        self.wait(self.host.plan.rush_ms).await;
        let host = Rc::clone(&self.host);
        let now_ms = HostClock(host.timeline.clone()).now_ms();
        let life_ms = self.random.random_range(120_000..400_000_u64);
        let demand = json!({ "sku": LAMP, "quantity": self.random.random_range(1..=3) });
        let wish = json!({
            "channel": "storefront", "kind": "pickup", "owner": format!("holder-{}", self.number),
            "demands": [demand], "expires_at_ms": now_ms + life_ms, "allow_partial": self.chance(50),
        });
        let said = host.insist(&Ask::post("inventory", "/v1/reservations", wish)).await?;
        if said.status != 200 {
            return Ok(());
        }
        let id = said.text("id");
        if self.chance(50) {
            self.wait(30_000).await;
            host.must(&Ask::post("inventory", format!("/v1/reservations/{id}/release"), json!({}))).await?;
        }
        self.ledger.borrow_mut().reservations.push(id);
        Ok(())
    }

    /// Staff cancel an order of the web shop, or ship it.
    async fn handle_order(&mut self, order_id: &str) -> Result<(), String> {
        let (cancelled, shipped) = (self.host.plan.cancelled, self.host.plan.shipped);
        let draw = self.random.random_range(0..100);
        let host = Rc::clone(&self.host);
        let handled = if draw < cancelled {
            self.wait(10_000).await;
            let path = format!("/v1/orders/{order_id}/cancel");
            host.must(&Ask::post("orders", path, json!({ "reason": "regret" }))).await?;
            Handled::Cancelled
        } else if draw < cancelled + shipped {
            self.wait(10_000).await;
            let parcel =
                json!({ "shipment_id": format!("parcel-{}", self.number), "carrier": "DHL", "tracking_number": "JD1" });
            host.must(&Ask::post("orders", format!("/v1/orders/{order_id}/ship"), parcel)).await?;
            Handled::Shipped
        } else {
            return Ok(());
        };
        self.ledger.borrow_mut().handled.push((order_id.to_owned(), handled));
        Ok(())
    }

    /// Looks at the books while everybody sells: a read-only answer must be as consistent as any other.
    pub(crate) async fn audit(mut self) -> Result<(), String> {
        for _ in 0..3 {
            self.wait(self.host.plan.rush_ms).await;
            self.look().await?;
            let levels = self.host.must(&Ask::get("inventory", format!("/v1/levels?sku={LAMP}&sku={MUG}"))).await?;
            check_levels(&levels)?;
            let verified = self.host.must(&Ask::get("inventory", "/v1/verify")).await?;
            if verified.get("discrepancies") != Some(&json!([])) {
                return Err(format!("stock is not what its ledger says: {verified}"));
            }
        }
        Ok(())
    }

    /// Appends to lists and reads them, several in one transaction. Half of the clients try until they know; the others ask once and
    /// may never know.
    pub(crate) async fn append(mut self) -> Result<(), String> {
        let insists = self.number.is_multiple_of(2);
        for turn in 0..self.host.plan.appends {
            self.wait(self.host.plan.rush_ms / 4).await;
            let operations: Vec<Operation> = (0..self.random.random_range(1..=4_u64))
                .map(|place| {
                    let key = ["x", "y", "z"].get(self.random.random_range(0..3)).copied().unwrap_or("x").to_owned();
                    let value = u64::from(self.number) << 32 | u64::from(turn) << 8 | place;
                    if self.chance(55) { Operation::Append(key, value) } else { Operation::Read(key, None) }
                })
                .collect();
            let asked: Vec<Value> = operations
                .iter()
                .map(|operation| match operation {
                    Operation::Append(key, value) => json!({ "append": [key, value] }),
                    Operation::Read(key, _) => json!({ "read": key }),
                })
                .collect();
            let now_ms = self.host.timeline.now_ms();
            let begun = self.ledger.borrow_mut().history.invoke(self.number, now_ms, operations);
            let mut ask = Ask::post("witness", "/transactions", json!(asked));
            // The network may repeat what is asked once, too. Where nobody does, the machine alone must not do it twice.
            if insists || self.host.may_double() {
                ask = ask.key(format!("append-{}-{turn}", self.number));
            }
            let said = match insists {
                true => Some(self.host.insist(&ask).await?),
                false => self.host.ask(&ask).await,
            };
            let now_ms = self.host.timeline.now_ms();
            let history = &mut self.ledger.borrow_mut().history;
            match said {
                Some(said) if said.status == 200 => history.ok(begun, now_ms, &reads_of(&said.body)?),
                Some(said) if said.status < 500 => {
                    return Err(format!("appending answered {}: {}", said.status, said.body));
                }
                _ => history.unknown(begun, now_ms),
            }
        }
        Ok(())
    }
}

fn reads_of(body: &Value) -> Result<Vec<Option<Vec<u64>>>, String> {
    let outcomes = body.as_array().ok_or_else(|| format!("no list of outcomes: {body}"))?;
    let numbers = |list: &Vec<Value>| list.iter().filter_map(Value::as_u64).collect();
    Ok(outcomes.iter().map(|outcome| outcome.get("read").and_then(Value::as_array).map(numbers)).collect())
}

fn total_of(cart: &Value) -> Result<i64, String> {
    cart.pointer("/totals/total_minor").and_then(Value::as_i64).ok_or_else(|| format!("a cart has no total: {cart}"))
}

fn expect(said: &Said, status: u16, what: &str) -> Result<(), String> {
    match said.status == status {
        true => Ok(()),
        false => Err(format!("{what} answered {}: {}", said.status, said.body)),
    }
}

/// Two tries of one placing at once: an order that one of them has is the order of both.
fn both(one: Said, other: Said) -> Result<Said, String> {
    let is_order = |said: &Said| said.status < 300;
    match (is_order(&one), is_order(&other)) {
        (true, true) if one.text("order_id") != other.text("order_id") => {
            Err(format!("one cart became two orders: {} and {}", one.body, other.body))
        }
        (true, _) => Ok(one),
        (_, true) => Ok(other),
        _ => Ok(Said { doubtful: true, ..other }),
    }
}

/// Whether levels of stock are right in themselves.
pub(crate) fn check_levels(levels: &Value) -> Result<(), String> {
    for level in levels.get("levels").and_then(Value::as_array).into_iter().flatten() {
        let number = |name: &str| level.get(name).and_then(Value::as_i64).unwrap_or(i64::MIN);
        let available = number("on_hand") - number("unsellable") - number("reserved") - number("safety");
        if available != number("available_to_sell") || available < 0 || level.get("location") != Some(&json!(LOCATION))
        {
            return Err(format!("a level contradicts itself: {level}"));
        }
    }
    Ok(())
}
