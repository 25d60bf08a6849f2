//! The Amazon simulator over HTTP, as a connector meets it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kontor_channels::amazon::{
    AmazonSimulator, Cancellation, Fault, FaultPlan, FulfillmentStatus, ListingInput, Operation, Purchase,
    PurchaseRefused, SimulatorConfig, SubmissionState,
};
use kontor_channels::clock::VirtualClock;
use serde_json::{Value, json};

const START_MS: u64 = 1_790_000_000_000;
const MARKETPLACE: &str = "A1PA6795UKMFR9";
const EVERYTHING: &str = "BUYER,RECIPIENT,PROCEEDS,FULFILLMENT,PACKAGES,CANCELLATION";

/// A simulator with a clock in hand and a client that holds a token.
struct Bench {
    simulator: AmazonSimulator,
    clock: Arc<VirtualClock>,
    client: Client<HttpConnector, Full<Bytes>>,
    token: String,
}

struct Answer {
    status: u16,
    rate: Option<String>,
    body: Value,
}

impl Bench {
    async fn new(config: SimulatorConfig) -> Self {
        let clock = Arc::new(VirtualClock::new(START_MS));
        let simulator = AmazonSimulator::start_with_clock(config, clock.clone()).await.unwrap();
        simulator.create_listing(ListingInput {
            sku: "LAMP-1".into(),
            title: "Desk lamp".into(),
            product_type: "HOME".into(),
            price_minor: Some(1999),
            quantity: Some(10),
        });
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut bench = Self { simulator, clock, client, token: String::new() };
        bench.login().await;
        bench
    }

    /// Fetches a token; on a rough day it takes a few attempts.
    async fn login(&mut self) {
        let form =
            self.simulator.secrets().iter().fold("grant_type=refresh_token".to_owned(), |form, (name, value)| {
                format!("{form}&{}={}", name.replace('-', "_"), value.replace('|', "%7C"))
            });
        for _ in 0..10 {
            let request = Request::post(self.simulator.token_url())
                .header("content-type", "application/x-www-form-urlencoded")
                .body(Full::from(form.clone()))
                .unwrap();
            let Some(answer) = self.send(request).await else { continue };
            if answer.status == 200 {
                assert_eq!(answer.body["expires_in"], 3600);
                self.token = answer.body["access_token"].as_str().unwrap().to_owned();
                return;
            }
        }
        panic!("no token after ten attempts");
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Option<Answer> {
        let response = self.client.request(request).await.ok()?;
        let status = response.status().as_u16();
        let rate = response.headers().get("x-amzn-ratelimit-limit").map(|value| value.to_str().unwrap().to_owned());
        let bytes = response.into_body().collect().await.ok()?.to_bytes();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Some(Answer { status, rate, body })
    }

    async fn call(&self, method: &str, target: &str, body: Option<Value>) -> Option<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.simulator.base_url()))
            .header("user-agent", "bench/1")
            .header("content-type", "application/json")
            .header("x-amz-access-token", &self.token)
            .body(Full::from(body.map_or_else(String::new, |body| body.to_string())))
            .unwrap();
        self.send(request).await
    }

    async fn search(&self, more: &str) -> Answer {
        let target =
            format!("/orders/2026-01-01/orders?lastUpdatedAfter=2026-01-01T00:00:00Z&includedData={EVERYTHING}{more}");
        self.call("GET", &target, None).await.unwrap()
    }

    async fn push_stock(&self, quantity: i64, more: &str) -> Answer {
        let target = format!(
            "/listings/2021-08-01/items/{}/LAMP-1?marketplaceIds={MARKETPLACE}{more}",
            self.simulator.seller_id()
        );
        let body = json!({ "productType": "HOME", "patches": [{
            "op": "replace", "path": "/attributes/fulfillment_availability",
            "value": [{ "fulfillment_channel_code": "DEFAULT", "quantity": quantity }],
        }]});
        self.call("PATCH", &target, Some(body)).await.unwrap()
    }

    async fn ship(&self, order_id: &str, package: &str, item: &str, quantity: i64) -> Answer {
        let body = json!({ "marketplaceId": MARKETPLACE, "packageDetail": {
            "packageReferenceId": package, "carrierCode": "DHL", "trackingNumber": "JD01", "shipDate": "2026-09-22T10:00:00Z",
            "orderItems": [{ "orderItemId": item, "quantity": quantity }],
        }});
        self.call("POST", &format!("/orders/v0/orders/{order_id}/shipmentConfirmation"), Some(body)).await.unwrap()
    }
}

fn status(order: &Value) -> &str {
    order["fulfillment"]["fulfillmentStatus"].as_str().unwrap()
}

#[tokio::test]
async fn an_order_lives_from_pending_to_shipped() {
    let bench = Bench::new(SimulatorConfig::new(7)).await;
    let placed = bench.simulator.place_order(&Purchase { shipping_minor: 390, ..Purchase::of("LAMP-1", 3) }).unwrap();
    assert_eq!(bench.simulator.advertised("LAMP-1"), 7);
    assert_eq!(placed.lines, [("LAMP-1".to_owned(), 3, 10)]);

    let at_once = bench.search("").await;
    assert_eq!(at_once.body["orders"], json!([]), "updates settle for two minutes");
    bench.clock.advance(120_000);
    let orders = bench.search("&fulfillmentStatuses=PENDING,UNSHIPPED").await.body["orders"].clone();
    let pending = &orders[0];
    assert_eq!(pending["orderId"], json!(placed.order_id));
    if status(pending) == "PENDING" {
        assert!(
            pending.get("recipient").is_none() && pending.get("proceeds").is_none() && pending.get("buyer").is_none()
        );
        assert!(pending["orderItems"][0]["product"].get("price").is_none());
    }

    bench.clock.advance(1_800_000 + 120_000);
    let answer = bench.search("").await;
    let order = &answer.body["orders"][0];
    assert_eq!(status(order), "UNSHIPPED");
    assert_eq!(order["proceeds"]["grandTotal"], json!({ "amount": "63.87", "currencyCode": "EUR" }));
    assert_eq!(order["orderItems"][0]["proceeds"]["breakdowns"][1]["subtotal"]["amount"], "3.90");
    assert_eq!(order["recipient"]["deliveryAddress"]["countryCode"], "DE");
    assert!(order.get("simulatedPrices").is_none());
    assert!(answer.body["lastUpdatedBefore"].is_string() && answer.body.get("createdBefore").is_none());

    let item = order["orderItems"][0]["orderItemId"].as_str().unwrap();
    assert_eq!(bench.ship(&placed.order_id, "1", item, 2).await.status, 204);
    assert_eq!(bench.simulator.order(&placed.order_id).unwrap().status(), Some(FulfillmentStatus::PartiallyShipped));
    assert_eq!(bench.ship(&placed.order_id, "1", item, 2).await.status, 204, "a repeat edits the same parcel");
    assert_eq!(bench.ship(&placed.order_id, "2", item, 2).await.status, 400, "more than was ordered");
    assert_eq!(bench.ship(&placed.order_id, "2", item, 1).await.status, 204);
    let shipments = bench.simulator.shipments();
    assert_eq!(shipments.iter().map(|shipment| shipment.repeated).collect::<Vec<_>>(), [false, true, false]);
    let order = bench
        .call("GET", &format!("/orders/2026-01-01/orders/{}?includedData=FULFILLMENT,PACKAGES", placed.order_id), None)
        .await
        .unwrap();
    assert_eq!(status(&order.body["order"]), "SHIPPED");
    assert_eq!(order.body["order"]["packages"].as_array().unwrap().len(), 2);
    assert!(order.body["order"].get("recipient").is_none(), "only the data sets asked for are shown");
    assert!(!bench.simulator.cancel_order(&placed.order_id, Cancellation::Buyer), "it has left the house");
    let summary = bench.simulator.summary();
    assert_eq!((summary.orders_placed, summary.units_placed, summary.units_owed, summary.violations), (1, 3, 3, 1));
    bench.simulator.stop().await;
}

#[tokio::test]
async fn a_buyer_can_buy_what_is_advertised_and_nothing_else() {
    let bench = Bench::new(SimulatorConfig::new(7)).await;
    let sold_out = PurchaseRefused::SoldOut { sku: "LAMP-1".into(), requested: 11, advertised: 10 };
    assert_eq!(bench.simulator.place_order(&Purchase::of("LAMP-1", 11)), Err(sold_out));
    let twice = Purchase { lines: vec![("LAMP-1".into(), 6), ("LAMP-1".into(), 5)], ..Purchase::of("LAMP-1", 1) };
    assert!(bench.simulator.place_order(&twice).is_err(), "demands for one SKU are added up");
    assert!(bench.simulator.place_order(&Purchase::of("NONE", 1)).is_err());
    assert_eq!(bench.simulator.place_order(&Purchase::of("LAMP-1", 0)), Err(PurchaseRefused::Empty));
    assert!(bench.simulator.place_order(&Purchase::of("LAMP-1", 10)).is_ok());
    assert!(bench.simulator.place_order(&Purchase::of("LAMP-1", 1)).is_err());
    assert_eq!(bench.simulator.summary().purchases_refused, 5);

    // Stock that was pushed late can be bought although it is gone: that is what the books are for.
    let answer = bench.push_stock(4, "").await;
    assert_eq!((answer.status, answer.body["status"].as_str().unwrap()), (200, "ACCEPTED"));
    assert_eq!(bench.simulator.advertised("LAMP-1"), 0, "accepted is not applied");
    bench.clock.advance(60_000);
    assert_eq!(bench.simulator.advertised("LAMP-1"), 4);
    assert_eq!(bench.simulator.submissions()[0].state, SubmissionState::Applied);
    assert_eq!(bench.simulator.offer_changes().iter().map(|change| change.quantity_after).collect::<Vec<_>>(), [0, 4]);
}

#[tokio::test]
async fn requests_outside_the_contract_are_refused_and_written_down() {
    let mut bench = Bench::new(SimulatorConfig::new(7)).await;
    let preview = bench.push_stock(5, "&mode=VALIDATION_PREVIEW&includedData=identifiers,issues").await;
    assert_eq!((preview.status, preview.body["status"].as_str()), (200, Some("VALID")));
    let invalid = bench.push_stock(-5, "").await;
    assert_eq!((invalid.status, invalid.body["status"].as_str()), (200, Some("INVALID")));
    assert_eq!(invalid.body["issues"][0]["attributeNames"], json!(["fulfillment_availability"]));
    bench.clock.advance(60_000);
    assert_eq!(bench.simulator.advertised("LAMP-1"), 10, "neither was applied");
    assert_eq!(bench.simulator.violations(), []);

    let bad = bench.search("&maxResults=5").await;
    assert_eq!((bad.status, bad.body["errors"][0]["code"].as_str()), (400, Some("InvalidInput")));
    assert_eq!(bench.push_stock(5, "&mode=FAST").await.status, 400);
    assert_eq!(bench.call("GET", "/orders/v0/orders", None).await.unwrap().status, 404);
    bench.token = String::from("made-up");
    assert_eq!(bench.search("").await.status, 403);
    let violations: Vec<_> =
        bench.simulator.violations().into_iter().map(|violation| (violation.operation, violation.status)).collect();
    assert_eq!(violations, [(Operation::SearchOrders, 400), (Operation::PatchListing, 400), (Operation::Unknown, 404)]);
}

#[tokio::test]
async fn tokens_expire_and_rates_hold_in_virtual_time() {
    let mut bench = Bench::new(SimulatorConfig::new(7)).await;
    for call in 0..20 {
        let answer = bench.search("").await;
        assert_eq!((answer.status, answer.rate.as_deref()), (200, Some("0.0056")), "call {call}");
    }
    let throttled = bench.search("").await;
    assert_eq!((throttled.status, throttled.body["errors"][0]["code"].as_str()), (429, Some("QuotaExceeded")));
    assert_eq!(bench.push_stock(3, "").await.status, 200, "every operation has its own bucket");
    bench.clock.advance(178_571);
    assert_eq!(bench.search("").await.status, 429);
    bench.clock.advance(1);
    assert_eq!(bench.search("").await.status, 200);
    assert_eq!(bench.simulator.summary().throttled, 2);
    bench.clock.advance(3_600_000);
    assert_eq!(bench.search("").await.status, 403, "the token is an hour old");
    bench.login().await;
    assert_eq!(bench.search("").await.status, 200);
    assert_eq!(bench.simulator.violations(), []);
}

#[tokio::test]
async fn pages_hold_every_order_once_and_tokens_are_for_their_own_search() {
    let bench = Bench::new(SimulatorConfig::new(7)).await;
    let mut placed: Vec<String> =
        (0..10).map(|_| bench.simulator.place_order(&Purchase::of("LAMP-1", 1)).unwrap().order_id).collect();
    bench.clock.advance(3_600_000 - 1);
    let first = bench.search("&maxResultsPerPage=4").await;
    let mut seen: Vec<String> = Vec::new();
    let mut page = first.body;
    let mut pages = 0;
    loop {
        pages += 1;
        seen.extend(
            page["orders"].as_array().unwrap().iter().map(|order| order["orderId"].as_str().unwrap().to_owned()),
        );
        let Some(token) = page["pagination"]["nextToken"].as_str().map(str::to_owned) else { break };
        let foreign = bench.search(&format!("&paginationToken={token}&fulfilledBy=MERCHANT")).await;
        assert_eq!(foreign.status, 400, "a token belongs to its parameters");
        page = bench.search(&format!("&maxResultsPerPage=4&paginationToken={token}")).await.body;
    }
    placed.sort();
    seen.sort();
    assert_eq!((pages, seen), (3, placed));
    assert_eq!(bench.search("&paginationToken=unknown").await.status, 400);
}

#[tokio::test]
async fn injected_faults_break_the_exchange_as_they_say() {
    let bench = Bench::new(SimulatorConfig::new(7)).await;
    bench.simulator.inject(Operation::PatchListing, Fault::DropBefore);
    bench.simulator.inject(Operation::PatchListing, Fault::DropAfter);
    bench.simulator.inject(Operation::PatchListing, Fault::InternalError);
    bench.simulator.inject(Operation::PatchListing, Fault::Throttle);
    let target =
        format!("/listings/2021-08-01/items/{}/LAMP-1?marketplaceIds={MARKETPLACE}", bench.simulator.seller_id());
    let body = json!({ "productType": "HOME", "patches": [{
        "op": "replace", "path": "/attributes/fulfillment_availability",
        "value": [{ "fulfillment_channel_code": "DEFAULT", "quantity": 2 }],
    }]});
    assert!(bench.call("PATCH", &target, Some(body.clone())).await.is_none());
    assert_eq!(bench.simulator.submissions().len(), 0, "dropped before it was carried out");
    assert!(bench.call("PATCH", &target, Some(body.clone())).await.is_none());
    assert_eq!(bench.simulator.submissions().len(), 1, "carried out, but the answer is lost");
    assert_eq!(bench.call("PATCH", &target, Some(body.clone())).await.unwrap().status, 500);
    assert_eq!(bench.call("PATCH", &target, Some(body.clone())).await.unwrap().status, 429);
    assert_eq!(bench.call("PATCH", &target, Some(body)).await.unwrap().status, 200);
    assert_eq!((bench.simulator.summary().faults, bench.simulator.summary().throttled), (4, 0));
}

/// The versions (number, status) of the orders that a series of sweeps told, on a rough day with this seed.
async fn rough_day(seed: u64) -> (Vec<(String, String)>, Vec<(String, Option<FulfillmentStatus>)>) {
    let mut config = SimulatorConfig::new(seed);
    config.faults = FaultPlan { hang: 0, ..FaultPlan::rough() };
    config.pending_ms = (1_000, 300_000);
    let mut bench = Bench::new(config).await;
    let mut told = Vec::new();
    for _ in 0..40 {
        drop(bench.simulator.place_order(&Purchase::of("LAMP-1", 1)));
        bench.simulator.create_listing(ListingInput {
            sku: "LAMP-1".into(),
            title: "Desk lamp".into(),
            product_type: "HOME".into(),
            price_minor: Some(1999),
            quantity: Some(10),
        });
        bench.clock.advance(180_000);
        if bench.simulator.summary().requests % 15 == 0 {
            bench.login().await;
        }
        let target =
            format!("/orders/2026-01-01/orders?lastUpdatedAfter=2026-01-01T00:00:00Z&includedData={EVERYTHING}");
        let Some(answer) = bench.call("GET", &target, None).await else { continue };
        for order in answer.body["orders"].as_array().into_iter().flatten() {
            told.push((order["orderId"].as_str().unwrap().to_owned(), status(order).to_owned()));
        }
    }
    assert_eq!(bench.simulator.violations(), []);
    let finals = bench.simulator.orders().into_iter().map(|order| (order.order_id.clone(), order.status())).collect();
    (told, finals)
}

#[tokio::test]
async fn a_rough_day_is_the_same_for_the_same_seed_and_tells_things_late_and_twice() {
    let (told, finals) = rough_day(11).await;
    assert_eq!((&told, &finals), (&rough_day(11).await.0, &rough_day(11).await.1));
    assert_ne!(told, rough_day(12).await.0);
    let mut repeated_in_a_page = 0;
    for pair in told.windows(2) {
        repeated_in_a_page += usize::from(pair[0] == pair[1]);
    }
    let went_back = told
        .iter()
        .enumerate()
        .filter(|(index, (id, state))| {
            state == "PENDING" && told[..*index].iter().any(|(earlier, before)| earlier == id && before != "PENDING")
        })
        .count();
    assert!(
        told.len() > 200 && (repeated_in_a_page > 0 || went_back > 0),
        "{repeated_in_a_page} {went_back} {}",
        told.len()
    );
    assert!(finals.iter().any(|(_, state)| *state == Some(FulfillmentStatus::Cancelled)), "{finals:?}");
}

#[tokio::test]
async fn orders_are_loaded_as_they_are() {
    let bench = Bench::new(SimulatorConfig::new(7)).await;
    let order = |updated: &str, state: &str| {
        json!({
            "orderId": "301-0000001-0000001",
            "orderAliases": [{ "aliasId": "MINE-1", "aliasType": "SELLER_ORDER_ID" }],
            "createdTime": "2026-09-01T08:00:00Z",
            "lastUpdatedTime": updated,
            "programs": ["PRIME"],
            "salesChannel": { "channelName": "AMAZON", "marketplaceId": MARKETPLACE },
            "fulfillment": { "fulfillmentStatus": state, "fulfilledBy": "MERCHANT" },
            "orderItems": [{ "orderItemId": "1", "quantityOrdered": 1, "product": { "sellerSku": "LAMP-1" } }],
        })
    };
    bench.simulator.load_order(order("2026-09-01T09:00:00Z", "UNSHIPPED")).unwrap();
    bench.simulator.load_order(order("2026-09-01T08:00:00Z", "PENDING")).unwrap();
    let told = bench.search("").await.body["orders"].clone();
    assert_eq!((told.as_array().unwrap().len(), status(&told[0])), (1, "UNSHIPPED"));
    assert_eq!(told[0]["orderAliases"][0]["aliasId"], "MINE-1", "what the simulator does not know passes through");
    assert!(bench.simulator.load_order(json!({ "orderId": "x" })).unwrap_err().contains("createdTime"));
    assert!(bench.simulator.load_order(order("yesterday", "PENDING")).unwrap_err().contains("yesterday"));
}
