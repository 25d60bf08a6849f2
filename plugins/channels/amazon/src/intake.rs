//! Taking orders: the sweep's pages and single orders, into the orders module.

use std::cell::RefCell;
use std::collections::BTreeMap;

use kontor_sdk::outbound;
use kontor_sdk::{HandlerError, Table, Timestamp, clock};
use serde::{Deserialize, Serialize};

use crate::api::{Order, OrderAnswer, SearchAnswer};
use crate::bindings::kontor::commerce::{catalog, orders, pricing};
use crate::client::{Failure, call};
use crate::mapping::{self, Lookup, MappedOrder, State, Stock, map_order};
use crate::outgoing::queue_push;
use crate::settings::{Settings, path_segment};
use crate::shipment::{FROM_AMAZON_PREFIX, missing_units};
use crate::sweep::{Ask, Next, SweepState};
use crate::{FETCH_ORDER, FetchOrder, SWEEP, SWEEP_KEY, convert};

/// All that the account's roles may show.
const INCLUDED_DATA: &str = "BUYER,RECIPIENT,PROCEEDS,PROMOTION,CANCELLATION,FULFILLMENT,PACKAGES";
/// How long an order that could not be taken rests before it is fetched by itself.
const REFETCH_MS: u64 = 60_000;

/// Where the sweep stands.
pub(crate) const STATE: Table<String, SweepState> = Table::new("sweep");
/// When each account was connected.
const CONNECTED: Table<String, u64> = Table::new("connected");
/// The newest version taken of each order: (marketplace, Amazon's number).
pub(crate) const SEEN: Table<(String, String), u64> = Table::new("seen");
/// What a person should look at, by what it is about.
pub(crate) const TROUBLES: Table<String, Trouble> = Table::new("troubles");

/// Something that a person should look at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Trouble {
    /// What happened.
    pub(crate) text: String,
    /// When.
    pub(crate) at_ms: u64,
}

/// Writes down what a person should look at.
pub(crate) fn trouble(about: &str, text: &str) -> kontor_sdk::error::Result<()> {
    kontor_sdk::warn!("{about}: {text}");
    TROUBLES.put(about, &Trouble { text: text.to_owned(), at_ms: clock::now().as_ms() })
}

/// Under which name troubles with taking an order are kept.
pub(crate) fn order_trouble(external_id: &str) -> String {
    format!("order {external_id}")
}

/// Where the sweep stands.
pub(crate) fn state(settings: &Settings) -> kontor_sdk::error::Result<SweepState> {
    Ok(STATE.get(&settings.account)?.unwrap_or_default())
}

/// When the account became this connector's business: when it first advertised or searched. Orders from before touch no stock.
pub(crate) fn connected_at_ms(settings: &Settings) -> kontor_sdk::error::Result<u64> {
    if let Some(at_ms) = CONNECTED.get(&settings.account)? {
        return Ok(at_ms);
    }
    // Amazon tells times to the second.
    let at_ms = clock::now().as_ms() / 1_000 * 1_000;
    CONNECTED.put(&settings.account, &at_ms)?;
    Ok(at_ms)
}

/// One page of the sweep. It never fails as a job: what went wrong is part of the state, where people can see it, and the
/// next attempt is queued with it.
pub(crate) fn sweep(settings: &Settings) -> Result<(), HandlerError> {
    let now = clock::now();
    let mut state = state(settings)?;
    let ask = match state.ask(&settings.sweep(), now.as_ms()) {
        Ok(ask) => ask,
        Err(wait_ms) => return enqueue_sweep(now, wait_ms),
    };
    let page = search(settings, &ask);
    match page {
        Ok(page) => {
            take_page(settings, &page)?;
            let upper_ms = page.last_updated_before.as_deref().and_then(Timestamp::parse_rfc3339).map(Timestamp::as_ms);
            let next_token = page.pagination.and_then(|pagination| pagination.next_token);
            let count = page.orders.len() as u64;
            let next = state.page_taken(count, upper_ms, next_token, now.as_ms());
            STATE.put(&settings.account, &state)?;
            match next {
                Next::Page => enqueue_sweep(now, 0),
                Next::Rest => Ok(()),
            }
        }
        Err(failure) => {
            kontor_sdk::warn!("the sweep failed: {}", failure.text());
            let refused = matches!(failure, Failure::Refused(_));
            let backoff_ms = state.failed(failure.text().to_owned(), refused);
            let wait_ms = match failure {
                Failure::Later(_, Some(wait_ms)) => wait_ms.max(1),
                _ => backoff_ms,
            };
            STATE.put(&settings.account, &state)?;
            enqueue_sweep(now, wait_ms)
        }
    }
}

fn enqueue_sweep(now: Timestamp, wait_ms: u64) -> Result<(), HandlerError> {
    let due = Timestamp::from_ms(now.as_ms().saturating_add(wait_ms));
    SWEEP.enqueue(&serde_json::json!({})).key(SWEEP_KEY).due(due).send()?;
    Ok(())
}

fn search(settings: &Settings, ask: &Ask) -> Result<SearchAnswer, Failure> {
    let mut request = outbound::get(settings.url("/orders/2026-01-01/orders"))
        .query("lastUpdatedAfter", Timestamp::from_ms(ask.after_ms).to_rfc3339())
        .query("marketplaceIds", settings.marketplace_ids.join(","))
        .query("includedData", INCLUDED_DATA)
        .query("maxResultsPerPage", settings.page_size);
    if let Some(token) = &ask.token {
        request = request.query("paginationToken", token);
    }
    Ok(call(settings, &request)?.json()?)
}

/// Takes the orders of a page. One that cannot be taken does not hold up the others: it is written down and fetched by itself.
fn take_page(settings: &Settings, page: &SearchAnswer) -> Result<(), HandlerError> {
    let lookup = Catalogue::new(settings);
    let stock_from_ms = connected_at_ms(settings)?;
    for value in &page.orders {
        let order_id = value.get("orderId").and_then(serde_json::Value::as_str).unwrap_or("without a number");
        let taken = serde_json::from_value::<Order>(value.clone())
            .map_err(|error| format!("order {order_id}: it does not have the shape of an order: {error}"))
            .and_then(|order| take(settings, stock_from_ms, &order, &lookup));
        if let Err(text) = taken {
            trouble(&order_trouble(order_id), &text)?;
            let due = Timestamp::from_ms(clock::now().as_ms().saturating_add(REFETCH_MS));
            FETCH_ORDER.enqueue(&FetchOrder { order_id: order_id.to_owned() }).key(order_id).due(due).send()?;
        }
    }
    Ok(())
}

/// Fetches one order and takes it.
pub(crate) fn fetch_order(settings: &Settings, job: &FetchOrder) -> Result<(), HandlerError> {
    let path = format!("/orders/2026-01-01/orders/{}", path_segment(&job.order_id));
    let request = outbound::get(settings.url(&path)).query("includedData", INCLUDED_DATA);
    let answer: OrderAnswer = call(settings, &request)?.json()?;
    let stock_from_ms = connected_at_ms(settings)?;
    take(settings, stock_from_ms, &answer.order, &Catalogue::new(settings)).map_err(HandlerError::Retry)
}

/// Takes one version of an order. Versions may come in any order and any number of times; the newest counts.
fn take(settings: &Settings, stock_from_ms: u64, order: &Order, lookup: &Catalogue<'_>) -> Result<(), String> {
    let text = |error: kontor_sdk::Error| error.to_string();
    let version_ms = mapping::version_ms(order)?;
    let key = (order.sales_channel.marketplace_id.clone().unwrap_or_default(), order.order_id.clone());
    if SEEN.get(&key).map_err(text)?.is_some_and(|seen_ms| seen_ms >= version_ms) {
        return Ok(());
    }
    let mapped = map_order(order, &settings.mapping(stock_from_ms), lookup).map_err(|error| error.0)?;
    let report = convert::channel_order(&mapped, settings);
    let outcome =
        orders::upsert_channel_order(&report).map_err(|error| format!("order {}: {error:?}", order.order_id))?;
    SEEN.put(&key, &version_ms).map_err(text)?;
    TROUBLES.delete(order_trouble(&order.order_id)).map_err(text)?;
    if outcome == orders::ChannelOrderOutcome::OnHold {
        let why = "sold on Amazon, but there is not enough stock: the order is on hold";
        trouble(&order_trouble(&order.order_id), why).map_err(text)?;
    }
    if mapped.stock == Stock::Reserve && outcome != orders::ChannelOrderOutcome::Stale {
        // Amazon has taken the sale off what it advertises by itself: what was pushed last is no longer what is there.
        for line in mapped.lines.iter().filter(|line| line.stocked) {
            queue_push(&line.sku, true).map_err(text)?;
        }
        if mapped.state == State::Confirmed && !mapped.fulfilled.is_empty() {
            record_shipments(settings, &mapped)?;
        }
    }
    Ok(())
}

/// What has left according to Amazon and not according to us (shipped in Seller Central) leaves the stock here too.
fn record_shipments(settings: &Settings, mapped: &MappedOrder) -> Result<(), String> {
    let order = orders::find(&settings.channel, &settings.account, &mapped.external_id)
        .map_err(|error| format!("order {}: {error:?}", mapped.external_id))?;
    let here: Vec<(String, i64)> = order.shipments.iter().flat_map(|shipment| shipment.lines.clone()).collect();
    let missing = missing_units(&mapped.fulfilled, &here);
    if missing.is_empty() {
        return Ok(());
    }
    let total: i64 = mapped.fulfilled.iter().map(|(_, units)| units).sum();
    let (carrier, tracking_number) = mapped.parcel.clone().unwrap_or_default();
    let shipment_id = format!("{FROM_AMAZON_PREFIX}{total}");
    if let Err(error) = orders::ship(&order.id, &shipment_id, &carrier, &tracking_number, &missing) {
        // The order itself is taken; a person must say where these units came from.
        let text = format!("Amazon says that units have left which cannot be shipped here: {error:?}");
        trouble(&format!("shipment of order {}", mapped.external_id), &text).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// SKUs and tax rates, looked up once per invocation.
struct Catalogue<'a> {
    settings: &'a Settings,
    skus: RefCell<BTreeMap<String, String>>,
    tax_classes: RefCell<BTreeMap<String, String>>,
    rates: BTreeMap<(String, String), u32>,
}

impl<'a> Catalogue<'a> {
    fn new(settings: &'a Settings) -> Self {
        let rates = pricing::list_tax_rates().unwrap_or_default();
        Self {
            settings,
            skus: RefCell::default(),
            tax_classes: RefCell::default(),
            rates: rates.into_iter().map(|rate| ((rate.country, rate.tax_class), rate.rate_basis_points)).collect(),
        }
    }

    fn tax_class(&self, sku: &str) -> String {
        if let Some(class) = self.tax_classes.borrow().get(sku) {
            return class.clone();
        }
        let found = catalog::get_variants(&[sku.to_owned()]).unwrap_or_default();
        let class = found.into_iter().next().map_or_else(|| "standard".to_owned(), |variant| variant.tax_class);
        self.tax_classes.borrow_mut().insert(sku.to_owned(), class.clone());
        class
    }
}

impl Lookup for Catalogue<'_> {
    fn sku(&self, seller_sku: &str) -> String {
        if let Some(sku) = self.skus.borrow().get(seller_sku) {
            return sku.clone();
        }
        // A seller SKU without a listing of ours is our SKU under the same name, or one that nobody knows yet.
        let sku = catalog::find_listing(&self.settings.channel, &self.settings.account, seller_sku)
            .map_or_else(|_| seller_sku.to_owned(), |listing| listing.sku);
        self.skus.borrow_mut().insert(seller_sku.to_owned(), sku.clone());
        sku
    }

    fn rate_basis_points(&self, sku: &str, country: &str) -> u32 {
        let class = self.tax_class(sku);
        self.rates.get(&(country.to_owned(), class)).copied().unwrap_or(self.settings.default_tax_rate_basis_points)
    }
}
