//! The handle: starts the simulator, plays the buyers, tells what the connector did.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::bucket::{Bucket, Operation, RateLimit, RateLimits};
use super::faults::{Fault, FaultPlan, FaultSource, draw};
use super::market::{Market, MarketSettings};
use super::model::{FulfillmentStatus, Order};
use super::server;
use super::validate::Credentials;
use super::views::{
    Cancellation, ConfirmedShipment, ListingInput, ListingView, Marketplace, OfferChange, PlacedOrder, Purchase,
    PurchaseRefused, Submission,
};
use crate::clock::{Clock, SystemClock};

/// Requests and violations that are kept; older ones are only counted.
const LOG_ENTRIES_MAX: usize = 100_000;

/// How the simulated account and marketplace behave.
#[derive(Clone, Debug)]
pub struct SimulatorConfig {
    /// What all chance follows from.
    pub seed: u64,
    /// The account.
    pub seller_id: String,
    /// Where it sells; buyers buy in the first.
    pub marketplaces: Vec<Marketplace>,
    /// The application's id at Login with Amazon.
    pub client_id: String,
    /// The application's secret.
    pub client_secret: String,
    /// The seller's consent.
    pub refresh_token: String,
    /// How long an access token is good for.
    pub token_ttl_ms: u64,
    /// The usage plans.
    pub rates: RateLimits,
    /// How many times faster than in reality buckets refill, payments clear, submissions are applied and searches settle.
    pub speed: u32,
    /// What goes wrong.
    pub faults: FaultPlan,
    /// Shortest and longest time that an order is pending.
    pub pending_ms: (u64, u64),
    /// Shortest and longest time until an accepted submission is applied.
    pub apply_ms: (u64, u64),
    /// How old an update must be before a search without upper bound finds it.
    pub settling_ms: u64,
}

impl SimulatorConfig {
    /// A German account on a good day, in real time: published rates, half a minute to half an hour pending, 5 to 60 s until
    /// a submission is applied, searches that settle after two minutes.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            seller_id: "A3EXAMPLESELLER".into(),
            marketplaces: vec![Marketplace::germany()],
            client_id: "amzn1.application-oa2-client.simulated".into(),
            client_secret: "simulated-client-secret".into(),
            refresh_token: "Atzr|simulated-refresh-token".into(),
            token_ttl_ms: 3_600_000,
            rates: RateLimits::published(),
            speed: 1,
            faults: FaultPlan::none(),
            pending_ms: (30_000, 1_800_000),
            apply_ms: (5_000, 60_000),
            settling_ms: 120_000,
        }
    }
}

/// A request as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedRequest {
    /// 1 for the first.
    pub number: u64,
    /// When.
    pub at_ms: u64,
    /// What was asked for.
    pub operation: Operation,
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The body; empty for the token endpoint, whose body is secret.
    pub body: String,
    /// The answer's status; none if the connection was broken.
    pub status: Option<u16>,
    /// The fault that it met.
    pub fault: Option<Fault>,
    /// The header by which a caller makes repeats recognisable.
    pub idempotency_key: Option<String>,
}

/// A request that the published contract does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The request's number.
    pub request: u64,
    /// What was asked for.
    pub operation: Operation,
    /// The answer's status.
    pub status: u16,
    /// What was wrong.
    pub text: String,
}

/// The simulator's books, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Orders that buyers placed.
    pub orders_placed: u64,
    /// Units in them.
    pub units_placed: i64,
    /// Orders that were cancelled.
    pub orders_cancelled: u64,
    /// Units in orders that were not cancelled and that the seller ships: what the seller owes.
    pub units_owed: i64,
    /// Purchases that the advertised quantity did not allow.
    pub purchases_refused: u64,
    /// Requests received.
    pub requests: u64,
    /// Requests refused with 429 because the published rate was exceeded.
    pub throttled: u64,
    /// Requests that met a fault.
    pub faults: u64,
    /// Requests outside the contract.
    pub violations: u64,
    /// Patches accepted.
    pub submissions: u64,
    /// Shipments confirmed.
    pub shipments: u64,
}

/// All that the server and the handle share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) market: Market,
    pub(crate) faults: FaultSource,
    buckets: BTreeMap<Operation, Bucket>,
    tokens: BTreeMap<String, u64>,
    requests: VecDeque<LoggedRequest>,
    violations: VecDeque<Violation>,
    request_count: u64,
    violation_count: u64,
    throttled: u64,
    fault_count: u64,
}

/// The state, its clock and what does not change.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) credentials: Credentials,
    pub(crate) seller_id: String,
    pub(crate) token_ttl_ms: u64,
    pub(crate) rates: RateLimits,
}

impl Shared {
    /// The state at the present time: everything due has happened.
    pub(crate) fn lock(&self) -> (MutexGuard<'_, State>, u64) {
        let now_ms = self.clock.now_ms();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.market.advance_to(now_ms);
        (state, now_ms)
    }
}

impl State {
    /// A token of the operation's bucket, or the rate and how long there will be none.
    pub(crate) fn take_token(
        &mut self,
        rates: &RateLimits,
        operation: Operation,
        now_ms: u64,
    ) -> Result<(), RateLimit> {
        let Some(limit) = rates.of(operation) else { return Ok(()) };
        let speed = self.market.settings.speed;
        let bucket = self.buckets.entry(operation).or_insert_with(|| Bucket::new(limit, speed, now_ms));
        bucket.take(now_ms).map_err(|_wait_ms| {
            self.throttled += 1;
            limit
        })
    }

    /// A new access token.
    pub(crate) fn issue_token(&mut self, ttl_ms: u64, now_ms: u64) -> String {
        self.tokens.retain(|_, expires_ms| *expires_ms > now_ms);
        let seed = self.market.settings.seed;
        let number = draw(seed, &["token", &self.request_count.to_string()]);
        let token = format!("Atza|{number:016x}{:x}", self.request_count);
        self.tokens.insert(token.clone(), now_ms.saturating_add(ttl_ms));
        token
    }

    /// Whether an access token is good now.
    pub(crate) fn token_is_valid(&self, token: &str, now_ms: u64) -> bool {
        self.tokens.get(token).is_some_and(|expires_ms| *expires_ms > now_ms)
    }

    pub(crate) fn revoke_tokens(&mut self) {
        self.tokens.clear();
    }

    /// Writes a request down and numbers it.
    pub(crate) fn log(&mut self, mut request: LoggedRequest) -> u64 {
        self.request_count += 1;
        request.number = self.request_count;
        self.fault_count += u64::from(request.fault.is_some());
        if self.requests.len() == LOG_ENTRIES_MAX {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
        self.request_count
    }

    /// Writes a violation of the request numbered `request` down.
    pub(crate) fn violation(&mut self, request: u64, operation: Operation, status: u16, text: String) {
        self.violation_count += 1;
        if self.violations.len() == LOG_ENTRIES_MAX {
            self.violations.pop_front();
        }
        self.violations.push_back(Violation { request, operation, status, text });
    }
}

/// What came of an exchange without a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchanged {
    /// An answer.
    Answer {
        /// The status.
        status: u16,
        /// The headers; lower-case names.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// The connection broke; the request may or may not have been carried out.
    Broken,
    /// No answer came in time; the request was carried out.
    TimedOut,
}

#[derive(Debug)]
struct Listener {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// A simulator, behind a server of its own or asked directly. Dropping it stops the server.
#[derive(Debug)]
pub struct AmazonSimulator {
    shared: Arc<Shared>,
    listener: Option<Listener>,
}

impl AmazonSimulator {
    /// Starts on a free loopback port with the system's clock.
    ///
    /// # Errors
    ///
    /// When no loopback port can be bound.
    pub async fn start(config: SimulatorConfig) -> io::Result<Self> {
        Self::start_with_clock(config, Arc::new(SystemClock)).await
    }

    /// Starts on a free loopback port with `clock`.
    ///
    /// # Errors
    ///
    /// When no loopback port can be bound.
    pub async fn start_with_clock(config: SimulatorConfig, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let mut simulator = Self::without_network(config, clock);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(server::serve(listener, Arc::clone(&simulator.shared), stopped));
        simulator.listener = Some(Listener { address, stop, task });
        Ok(simulator)
    }

    /// A simulator that only [`AmazonSimulator::exchange`] reaches: for tests that play the network themselves.
    #[must_use]
    pub fn without_network(config: SimulatorConfig, clock: Arc<dyn Clock>) -> Self {
        let market = Market::new(MarketSettings {
            seed: config.seed,
            marketplaces: config.marketplaces,
            plan: config.faults,
            speed: config.speed,
            pending_ms: config.pending_ms,
            apply_ms: config.apply_ms,
            settling_ms: config.settling_ms,
        });
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                market,
                faults: FaultSource::default(),
                buckets: BTreeMap::new(),
                tokens: BTreeMap::new(),
                requests: VecDeque::new(),
                violations: VecDeque::new(),
                request_count: 0,
                violation_count: 0,
                throttled: 0,
                fault_count: 0,
            }),
            clock,
            credentials: Credentials {
                client_id: config.client_id,
                client_secret: config.client_secret,
                refresh_token: config.refresh_token,
            },
            seller_id: config.seller_id,
            token_ttl_ms: config.token_ttl_ms,
            rates: config.rates,
        });
        Self { shared, listener: None }
    }

    /// The address of the API, such as `http://127.0.0.1:40123`; without a network one that leads nowhere.
    #[must_use]
    pub fn base_url(&self) -> String {
        match &self.listener {
            Some(listener) => format!("http://{}", listener.address),
            None => "https://amazon.test".to_owned(),
        }
    }

    /// The address of Login with Amazon's token endpoint.
    #[must_use]
    pub fn token_url(&self) -> String {
        format!("{}/auth/o2/token", self.base_url())
    }

    /// Asks directly: what a request over the network would come to. `target` is path and query.
    ///
    /// # Errors
    ///
    /// When method, target or a header cannot be sent over HTTP at all.
    pub fn exchange(
        &self,
        method: &str,
        target: &str,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> Result<Exchanged, http::Error> {
        server::exchange_directly(&self.shared, method, target, headers, body)
    }

    /// The account.
    #[must_use]
    pub fn seller_id(&self) -> &str {
        &self.shared.seller_id
    }

    /// The secrets by the names that the connector uses: `client-id`, `client-secret`, `refresh-token`.
    #[must_use]
    pub fn secrets(&self) -> [(&'static str, String); 3] {
        let credentials = &self.shared.credentials;
        [
            ("client-id", credentials.client_id.clone()),
            ("client-secret", credentials.client_secret.clone()),
            ("refresh-token", credentials.refresh_token.clone()),
        ]
    }

    /// Creates or replaces a listing.
    pub fn create_listing(&self, listing: ListingInput) {
        let (mut state, now_ms) = self.shared.lock();
        state.market.create_listing(listing, now_ms);
    }

    /// All listings, by SKU.
    #[must_use]
    pub fn listings(&self) -> Vec<ListingView> {
        self.shared.lock().0.market.listing_views()
    }

    /// Units that the listing advertises now.
    #[must_use]
    pub fn advertised(&self, sku: &str) -> i64 {
        let (state, _) = self.shared.lock();
        state.market.listing(sku).and_then(|listing| listing.input.quantity).unwrap_or(0)
    }

    /// Buys.
    ///
    /// # Errors
    ///
    /// When the listing does not advertise enough, or is not for sale.
    pub fn place_order(&self, purchase: &Purchase) -> Result<PlacedOrder, PurchaseRefused> {
        let (mut state, now_ms) = self.shared.lock();
        state.market.place_order(purchase, now_ms)
    }

    /// Ends an order that has not left the house; false if that is not possible.
    pub fn cancel_order(&self, order_id: &str, by: Cancellation) -> bool {
        let (mut state, now_ms) = self.shared.lock();
        state.market.cancel(order_id, by, now_ms)
    }

    /// The buyer asks for cancellation; false if the order does not wait for shipment.
    pub fn request_cancellation(&self, order_id: &str) -> bool {
        let (mut state, now_ms) = self.shared.lock();
        state.market.request_cancellation(order_id, now_ms)
    }

    /// Takes an order as it is, in the shape of Orders 2026-01-01; a further version of a known order is added to its history.
    ///
    /// # Errors
    ///
    /// When it does not have that shape; the text says where.
    pub fn load_order(&self, order: Value) -> Result<(), String> {
        let (mut state, _) = self.shared.lock();
        state.market.load_order(order)
    }

    /// The newest version of an order.
    #[must_use]
    pub fn order(&self, order_id: &str) -> Option<Order> {
        self.shared.lock().0.market.latest(order_id).cloned()
    }

    /// The newest version of every order, by number.
    #[must_use]
    pub fn orders(&self) -> Vec<Order> {
        self.shared.lock().0.market.latest_orders().cloned().collect()
    }

    /// Every purchase, in order, with what was advertised.
    #[must_use]
    pub fn placed_orders(&self) -> Vec<PlacedOrder> {
        self.shared.lock().0.market.placed.clone()
    }

    /// Every change of what listings advertise, in order.
    #[must_use]
    pub fn offer_changes(&self) -> Vec<OfferChange> {
        self.shared.lock().0.market.offer_changes.clone()
    }

    /// Every patch received, in order.
    #[must_use]
    pub fn submissions(&self) -> Vec<Submission> {
        self.shared.lock().0.market.submissions.clone()
    }

    /// Every shipment confirmed, in order.
    #[must_use]
    pub fn shipments(&self) -> Vec<ConfirmedShipment> {
        self.shared.lock().0.market.shipments.clone()
    }

    /// The latest requests, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.shared.lock().0.requests.iter().cloned().collect()
    }

    /// The latest requests outside the contract, in order.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        self.shared.lock().0.violations.iter().cloned().collect()
    }

    /// Makes the next exchange of `operation` meet `fault`; several queue up.
    pub fn inject(&self, operation: Operation, fault: Fault) {
        self.shared.lock().0.faults.inject(operation, fault);
    }

    /// Changes what goes wrong from now on.
    pub fn set_faults(&self, plan: FaultPlan) {
        self.shared.lock().0.market.settings.plan = plan;
    }

    /// Makes all access tokens invalid, as when the seller renews the application's consent.
    pub fn revoke_tokens(&self) {
        self.shared.lock().0.revoke_tokens();
    }

    /// The books, added up.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let (state, _) = self.shared.lock();
        let mut summary = Summary {
            purchases_refused: state.market.refused,
            requests: state.request_count,
            throttled: state.throttled,
            faults: state.fault_count,
            violations: state.violation_count,
            submissions: u64::try_from(state.market.submissions.len()).unwrap_or(u64::MAX),
            shipments: u64::try_from(state.market.shipments.len()).unwrap_or(u64::MAX),
            ..Summary::default()
        };
        for placed in &state.market.placed {
            let units: i64 = placed.lines.iter().map(|(_, quantity, _)| quantity).sum();
            summary.orders_placed += 1;
            summary.units_placed += units;
            let Some(order) = state.market.latest(&placed.order_id) else { continue };
            if order.status() == Some(FulfillmentStatus::Cancelled) {
                summary.orders_cancelled += 1;
            } else if order.fulfilled_by() == "MERCHANT" {
                summary.units_owed += units;
            }
        }
        summary
    }

    /// Stops the server and waits until it is gone.
    pub async fn stop(self) {
        if let Some(listener) = self.listener {
            listener.stop.send_replace(true);
            // The task ends by itself; a panic in it would already have been reported.
            drop(listener.task.await);
        }
    }
}
