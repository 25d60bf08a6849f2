//! The connector on the real engine with the real modules, against the simulated marketplace.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kontor_channels::amazon::{
    AmazonSimulator, Cancellation, Exchanged, Fault, FaultPlan, FulfillmentStatus, ListingInput, Operation, Purchase,
    SimulatorConfig,
};
use kontor_channels::clock::VirtualClock;
use kontor_testkit::{Recorded, Reply, TestHost};
use serde_json::{Value, json};

const MINUTE: Duration = Duration::from_secs(60);

/// A merchant with a lamp, and a marketplace that moves with the merchant's clock.
struct Bench {
    host: TestHost,
    simulator: Arc<AmazonSimulator>,
    clock: Arc<VirtualClock>,
}

impl Bench {
    fn new(config: SimulatorConfig) -> Self {
        Self::with_settings(config, json!({}))
    }

    fn with_settings(config: SimulatorConfig, more: Value) -> Self {
        let clock = Arc::new(VirtualClock::new(0));
        let simulator = Arc::new(AmazonSimulator::without_network(config, clock.clone()));
        let mut settings = json!({
            "endpoint": simulator.base_url(),
            "token_endpoint": simulator.token_url(),
            "seller_id": simulator.seller_id(),
            "product_type": "HOME",
        });
        for (name, value) in more.as_object().unwrap() {
            settings[name] = value.clone();
        }
        let mut builder = TestHost::builder()
            .plugins(["inventory", "orders", "catalog", "pricing"])
            .plugin(env!("CARGO_MANIFEST_DIR"))
            .config("amazon", settings);
        for (name, value) in simulator.secrets() {
            builder = builder.secret("amazon", name, &value);
        }
        let host = builder.start();
        clock.advance(host.now_ms());
        let asked = Arc::clone(&simulator);
        host.on_with("*", "https://amazon.test/*", move |request| answer(&asked, request));
        let bench = Self { host, simulator, clock };
        bench.stock_the_shelves();
        bench
    }

    fn stock_the_shelves(&self) {
        let host = &self.host;
        let location = json!({ "name": "Main", "kind": "warehouse", "time_zone": "Europe/Berlin", "active": true });
        host.put_json("inventory", "/v1/locations/main", &location).expect(200);
        let rule = json!({ "locations": ["main"], "buffer": 0, "maximum": null });
        host.put_json("inventory", "/v1/channel-rules/amazon", &rule).expect(200);
        let list = json!({ "name": "Shop", "currency": "EUR", "basis": "gross", "tax_rounding": "line", "rounding": "half_up", "channels": [] });
        host.put_json("pricing", "/v1/price-lists/default", &list).expect(200);
        let rates = json!({ "tax_rates": [{ "country": "DE", "tax_class": "standard", "rate_basis_points": 1900, "name": "VAT" }] });
        host.put_json("pricing", "/v1/tax-rates:batch", &rates).expect(200);
        let product = json!({ "title": "Desk lamp", "status": "active", "tax_class": "standard", "variants": [{ "sku": "LAMP" }] });
        host.put_json("catalog", "/v1/products/lamp", &product).expect(200);
        self.simulator.create_listing(ListingInput {
            sku: "AMZ-LAMP".into(),
            title: "Desk lamp".into(),
            product_type: "HOME".into(),
            price_minor: None,
            quantity: None,
        });
        self.price(1_999);
        self.receive("delivery-1", 10);
    }

    fn price(&self, amount_minor: i64) {
        let prices = json!({ "prices": [{ "sku": "LAMP", "amount_minor": amount_minor }] });
        self.host.put_json("pricing", "/v1/prices:batch", &prices).expect(200);
    }

    fn receive(&self, delivery: &str, quantity: i64) {
        let movement = json!({ "sku": "LAMP", "location": "main", "quantity": quantity, "reason": "receive_po", "ref_type": "po", "ref_id": delivery, "line": 1, "occurred_at_ms": 0 });
        self.host.post_json("inventory", "/v1/movements:batch", &json!({ "movements": [movement] })).expect(200);
    }

    fn list(&self, attributes: Value) {
        let listing = json!({ "channel": "amazon", "sku": "LAMP", "external_id": "AMZ-LAMP", "active": true, "attributes": attributes });
        let answer = self.host.post_json("catalog", "/v1/listings:batch", &json!({ "listings": [listing] }));
        assert!((200..300).contains(&answer.status), "{}", answer.text());
    }

    /// Time passes for the merchant and the marketplace alike.
    fn run(&self, duration: Duration) {
        let step = Duration::from_secs(30);
        let mut left = duration;
        self.host.run_until_idle();
        while !left.is_zero() {
            let now = step.min(left);
            left -= now;
            self.clock.advance(u64::try_from(now.as_millis()).unwrap());
            self.host.advance(now);
            self.host.run_until_idle();
        }
    }

    fn status(&self) -> Value {
        self.host.get("amazon", "/v1/status").expect(200).json()
    }

    fn level(&self) -> (i64, i64) {
        let levels: Value = self.host.get("inventory", "/v1/levels?sku=LAMP").expect(200).json();
        (levels["levels"][0]["on_hand"].as_i64().unwrap(), levels["levels"][0]["reserved"].as_i64().unwrap())
    }

    fn orders(&self) -> Vec<Value> {
        let mut orders = Vec::new();
        let mut cursor = String::new();
        loop {
            let page: Value =
                self.host.get("orders", &format!("/v1/orders?channel=amazon&limit=50{cursor}")).expect(200).json();
            orders.extend(page["orders"].as_array().unwrap().iter().cloned());
            let Some(next) = page["next_cursor"].as_str() else { return orders };
            cursor = format!("&cursor={next}");
        }
    }

    fn order(&self, external_id: &str) -> Value {
        let path = format!("/v1/order?channel=amazon&account=default&external_id={external_id}");
        self.host.get("orders", &path).expect(200).json()
    }

    fn buy(&self, quantity: i64) -> String {
        self.simulator.place_order(&Purchase::of("AMZ-LAMP", quantity)).unwrap().order_id
    }
}

/// The simulator behind the host's outbound HTTP.
fn answer(simulator: &AmazonSimulator, request: &Recorded) -> Reply {
    let target = request.url.strip_prefix("https://amazon.test").unwrap();
    let mut headers = request.headers.clone();
    headers.push(("user-agent".to_owned(), "kontor".to_owned()));
    headers.push(("idempotency-key".to_owned(), request.idempotency_key.clone()));
    match simulator.exchange(&request.method, target, &headers, request.body.clone()).unwrap() {
        Exchanged::Broken => Reply::broken(),
        Exchanged::TimedOut => Reply::timeout(),
        Exchanged::Answer { status, headers, body } => headers
            .iter()
            .filter(|(name, _)| name != "content-type")
            .fold(Reply::new(status, "application/json", body), |reply, (name, value)| reply.with_header(name, value)),
    }
}

fn quick(seed: u64) -> SimulatorConfig {
    SimulatorConfig { pending_ms: (60_000, 300_000), apply_ms: (1_000, 10_000), ..SimulatorConfig::new(seed) }
}

#[test]
fn stock_goes_out_orders_come_in_and_shipments_are_confirmed() {
    let bench = Bench::new(quick(1));
    bench.list(json!([]));
    bench.run(MINUTE);
    assert_eq!(bench.simulator.advertised("AMZ-LAMP"), 10);
    assert_eq!(bench.simulator.listings()[0].price_minor, Some(1_999));
    let sent = bench.simulator.submissions().len();

    let external_id = bench.buy(3);
    bench.run(3 * MINUTE);
    let order = bench.order(&external_id);
    assert!(["draft", "placed"].contains(&order["status"].as_str().unwrap()), "{order}");
    assert_eq!(bench.level(), (10, 3), "a pending order holds stock");
    bench.run(10 * MINUTE);
    let order = bench.order(&external_id);
    assert_eq!((order["status"].as_str(), order["payment"].as_str()), (Some("placed"), Some("paid")), "{order}");
    assert_eq!((order["total_minor"].as_i64(), order["lines"][0]["sku"].as_str()), (Some(5_997), Some("LAMP")));
    assert_eq!(order["lines"][0]["tax_minor"].as_i64(), Some(958));
    assert_eq!(order["shipping_address"]["country"].as_str(), Some("DE"));
    assert_eq!(bench.simulator.advertised("AMZ-LAMP"), 7);
    assert!(bench.simulator.submissions().len() > sent, "what Amazon sold is pushed again");

    let id = order["id"].as_str().unwrap();
    let parcel = json!({ "shipment_id": "parcel-1", "carrier": "DHL", "tracking_number": "JD014", "lines": [{ "line_id": order["lines"][0]["line_id"], "quantity": 2 }] });
    bench.host.post_json("orders", &format!("/v1/orders/{id}/ship"), &parcel).expect(200);
    bench.run(MINUTE);
    let rest = json!({ "shipment_id": "parcel-2", "carrier": "Bike courier", "tracking_number": "B-2" });
    bench.host.post_json("orders", &format!("/v1/orders/{id}/ship"), &rest).expect(200);
    bench.run(10 * MINUTE);
    let shipments = bench.simulator.shipments();
    let told: Vec<_> =
        shipments.iter().map(|s| (s.package_reference_id.as_str(), s.carrier_code.as_str(), s.items[0].1)).collect();
    assert_eq!(told, [("1", "DHL", 2), ("2", "Other", 1)]);
    assert_eq!(bench.simulator.order(&external_id).unwrap().status(), Some(FulfillmentStatus::Shipped));
    let order = bench.order(&external_id);
    assert_eq!(order["fulfilment"].as_str(), Some("fulfilled"));
    assert_eq!(
        order["shipments"].as_array().unwrap().len(),
        2,
        "what was confirmed does not come back as another shipment"
    );
    assert_eq!(bench.level(), (7, 0));
    assert_eq!(bench.simulator.violations(), []);
    assert_eq!(bench.simulator.summary().throttled, 0);
    assert!(bench.host.dead_letters().is_empty(), "{:?}", bench.host.dead_letters());
    let page = bench.host.get("amazon", "/").expect(200).text();
    assert!(page.contains("A3EXAMPLESELLER") && page.contains("Nothing."), "{page}");
}

#[test]
fn what_is_shipped_or_cancelled_at_amazon_is_shipped_or_cancelled_here() {
    let bench = Bench::new(quick(2));
    bench.list(json!([]));
    bench.run(MINUTE);
    let (kept, cancelled) = (bench.buy(2), bench.buy(1));
    bench.run(10 * MINUTE);
    assert_eq!(bench.level(), (10, 3));
    assert!(bench.simulator.cancel_order(&cancelled, Cancellation::Buyer));
    let item = bench.simulator.order(&kept).unwrap().order_items[0].order_item_id.clone();
    let body = json!({ "marketplaceId": "A1PA6795UKMFR9", "packageDetail": {
        "packageReferenceId": "77", "carrierCode": "DPD", "trackingNumber": "D-77", "shipDate": "2026-01-01T10:00:00Z",
        "orderItems": [{ "orderItemId": item, "quantity": 2 }],
    }});
    // By hand, in the seller's console: with a session of its own.
    let login = bench.simulator.secrets().iter().fold("grant_type=refresh_token".to_owned(), |form, (name, value)| {
        format!("{form}&{}={}", name.replace('-', "_"), value.replace('|', "%7C"))
    });
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let form = [header("content-type", "application/x-www-form-urlencoded"), header("user-agent", "x")];
    let Ok(Exchanged::Answer { body: token, .. }) =
        bench.simulator.exchange("POST", "/auth/o2/token", &form, login.into_bytes())
    else {
        panic!("no token");
    };
    let token: Value = serde_json::from_slice(&token).unwrap();
    let headers = [
        header("content-type", "application/json"),
        header("user-agent", "x"),
        header("x-amz-access-token", token["access_token"].as_str().unwrap()),
    ];
    let path = format!("/orders/v0/orders/{kept}/shipmentConfirmation");
    let done = bench.simulator.exchange("POST", &path, &headers, body.to_string().into_bytes()).unwrap();
    assert!(matches!(done, Exchanged::Answer { status: 204, .. }), "{done:?}");
    bench.run(10 * MINUTE);
    let order = bench.order(&kept);
    assert_eq!(order["fulfilment"].as_str(), Some("fulfilled"), "{order}");
    assert_eq!(order["shipments"][0]["tracking_number"].as_str(), Some("D-77"));
    assert_eq!(bench.order(&cancelled)["status"].as_str(), Some("cancelled"));
    assert_eq!(bench.level(), (8, 0));
    assert_eq!(bench.simulator.shipments().len(), 1, "what Amazon told is not told back");
    assert_eq!(bench.simulator.advertised("AMZ-LAMP"), 8);
}

#[test]
fn a_refused_listing_says_why_and_is_pushed_again_when_it_is_mended() {
    let bench = Bench::new(quick(3));
    bench.list(json!([{ "name": "product_type", "value": "SHOES" }]));
    bench.run(MINUTE);
    assert_eq!(bench.simulator.advertised("AMZ-LAMP"), 0);
    let refused = bench.simulator.submissions().len();
    assert_eq!(refused, 1, "a refusal is not repeated");
    let status = bench.status();
    let error = status["listing_errors"][0]["error"].as_str().unwrap();
    assert!(error.contains("SHOES") && status["listing_errors"][0]["sku"] == "LAMP", "{status}");
    let listings: Value = bench.host.get("catalog", "/v1/listings?channel=amazon&account=default").expect(200).json();
    assert_eq!(listings["listings"][0]["last_error"].as_str(), Some(error));
    bench.list(json!([{ "name": "product_type", "value": "HOME" }]));
    bench.run(MINUTE);
    assert_eq!(bench.simulator.advertised("AMZ-LAMP"), 10);
    assert_eq!(bench.status()["listing_errors"], json!([]));
    let listings: Value = bench.host.get("catalog", "/v1/listings?channel=amazon&account=default").expect(200).json();
    assert_eq!(listings["listings"][0]["last_error"], Value::Null);
}

#[test]
fn a_hundred_changes_of_a_sku_become_few_pushes_inside_the_rate() {
    let bench = Bench::new(quick(4));
    bench.list(json!([]));
    bench.run(MINUTE);
    let before = bench.simulator.submissions().len();
    for delivery in 0..100 {
        bench.receive(&format!("more-{delivery}"), 1);
    }
    bench.run(2 * MINUTE);
    assert_eq!(bench.simulator.advertised("AMZ-LAMP"), 110);
    assert!(
        bench.simulator.submissions().len() - before <= 7,
        "{} pushes",
        bench.simulator.submissions().len() - before
    );
    assert_eq!(bench.simulator.summary().throttled, 0);
}

#[test]
fn wrong_secrets_are_told_and_nothing_is_lost_until_they_are_right() {
    let bench = Bench::new(quick(5));
    bench.host.set_secret("amazon", "client-secret", "wrong");
    bench.list(json!([]));
    bench.run(5 * MINUTE);
    let error = bench.status()["sweep_error"].as_str().unwrap_or_default().to_owned();
    assert!(error.contains("invalid_client") && error.contains("three secrets"), "{error}");
    for (name, value) in bench.simulator.secrets() {
        bench.host.set_secret("amazon", name, &value);
    }
    bench.run(15 * MINUTE);
    assert_eq!(bench.simulator.advertised("AMZ-LAMP"), 10);
    assert_eq!(bench.status()["sweep_error"], Value::Null);
    bench.simulator.revoke_tokens();
    bench.price(2_499);
    bench.run(MINUTE);
    assert_eq!(
        bench.simulator.listings()[0].price_minor,
        Some(2_499),
        "a revoked token is replaced within the same job"
    );
    assert!(bench.host.dead_letters().is_empty(), "{:?}", bench.host.dead_letters());
}

#[test]
fn a_notification_fetches_the_order_at_once_and_a_repeated_one_changes_nothing() {
    let bench = Bench::new(quick(6));
    bench.list(json!([]));
    bench.run(MINUTE);
    let external_id = bench.buy(1);
    let notification = json!({ "NotificationType": "ORDER_CHANGE", "Payload": { "OrderChangeNotification": { "AmazonOrderId": external_id } } });
    bench.host.post_json("amazon", "/v1/notifications", &notification).expect(202);
    bench.host.run_until_idle();
    assert_eq!(bench.order(&external_id)["status"].as_str(), Some("draft"));
    for _ in 0..3 {
        bench.host.post_json("amazon", "/v1/notifications", &notification).expect(202);
        bench.run(MINUTE);
    }
    assert_eq!((bench.orders().len(), bench.level()), (1, (10, 1)));
    bench.host.post_json("amazon", "/v1/notifications", &json!({ "NotificationType": "ORDER_CHANGE" })).expect(400);
}

#[test]
fn an_order_that_cannot_be_read_does_not_hold_up_the_others() {
    let bench = Bench::new(quick(7));
    bench.list(json!([]));
    bench.run(MINUTE);
    let broken = json!({
        "orderId": "300-0000000-0000001", "createdTime": "2026-01-01T00:00:30Z", "lastUpdatedTime": "2026-01-01T00:00:40Z",
        "salesChannel": { "channelName": "AMAZON", "marketplaceId": "A1PA6795UKMFR9" },
        "fulfillment": { "fulfillmentStatus": "UNSHIPPED", "fulfilledBy": "MERCHANT" },
        "proceeds": { "grandTotal": { "amount": "12,50", "currencyCode": "EUR" } },
        "orderItems": [{ "orderItemId": "1", "quantityOrdered": 1, "product": { "sellerSku": "AMZ-LAMP" } }],
    });
    bench.simulator.load_order(broken).unwrap();
    let sound = bench.buy(1);
    bench.run(12 * MINUTE);
    assert_eq!(bench.order(&sound)["status"].as_str(), Some("placed"));
    let status = bench.status();
    assert_eq!(status["troubles"][0]["about"], "order 300-0000000-0000001", "{status}");
    assert!(status["troubles"][0]["text"].as_str().unwrap().contains("12,50"), "{status}");
}

#[test]
fn what_amazon_sold_while_the_till_took_the_last_one_waits_for_stock_and_is_told() {
    let bench = Bench::new(quick(10));
    bench.list(json!([]));
    bench.run(MINUTE);
    let sale = json!({ "location": "main", "ref_id": "receipt-1", "occurred_at_ms": 0, "demands": [{ "sku": "LAMP", "quantity": 9 }] });
    bench.host.post_json("inventory", "/v1/sales", &sale).expect(204);
    let external_id = bench.buy(3);
    bench.run(12 * MINUTE);
    let order = bench.order(&external_id);
    assert_eq!((order["status"].as_str(), order["hold_reason"].as_str()), (Some("on_hold"), Some("stock")), "{order}");
    let status = bench.status();
    assert_eq!(status["troubles"][0]["about"], json!(format!("order {external_id}")), "{status}");
    assert_eq!(bench.simulator.advertised("AMZ-LAMP"), 0);
    bench.receive("delivery-2", 5);
    bench.run(12 * MINUTE);
    assert_eq!(bench.order(&external_id)["status"].as_str(), Some("placed"));
    assert_eq!(bench.status()["troubles"], json!([]));
    assert_eq!(
        bench.simulator.advertised("AMZ-LAMP"),
        3,
        "1 left of the first delivery and 5 of the second, less 3 sold"
    );
}

#[test]
fn nothing_is_asked_before_the_account_is_set_up() {
    let bench = Bench::with_settings(quick(8), json!({ "seller_id": "" }));
    bench.list(json!([]));
    bench.run(10 * MINUTE);
    assert_eq!(bench.simulator.requests(), []);
    assert_eq!(bench.host.post_json("amazon", "/v1/sweep", &json!({})).problem_code(), "not-configured");
    assert!(bench.host.get("amazon", "/").expect(200).text().contains("not set up"));
}

#[test]
fn an_answer_that_is_lost_after_the_shipment_was_confirmed_does_no_harm() {
    let bench = Bench::new(quick(9));
    bench.list(json!([]));
    bench.run(MINUTE);
    let external_id = bench.buy(1);
    bench.run(12 * MINUTE);
    let id = bench.order(&external_id)["id"].as_str().unwrap().to_owned();
    bench.simulator.inject(Operation::ConfirmShipment, Fault::DropAfter);
    bench.simulator.inject(Operation::ConfirmShipment, Fault::Throttle);
    let parcel = json!({ "shipment_id": "parcel-1", "carrier": "DHL", "tracking_number": "JD014" });
    bench.host.post_json("orders", &format!("/v1/orders/{id}/ship"), &parcel).expect(200);
    bench.run(15 * MINUTE);
    let told: Vec<_> =
        bench.simulator.shipments().iter().map(|s| (s.package_reference_id.clone(), s.repeated)).collect();
    assert_eq!(told, [("1".to_owned(), false), ("1".to_owned(), true)], "the same parcel twice, not two parcels");
    assert_eq!(bench.simulator.order(&external_id).unwrap().packages.len(), 1);
    assert_eq!(bench.order(&external_id)["shipments"].as_array().unwrap().len(), 1);
}

/// A rough day: what the marketplace owes its buyers is, in the end, exactly what the merchant has in orders and stock.
fn rough_day(seed: u64) {
    let mut config = quick(seed);
    config.faults = FaultPlan::rough();
    let bench = Bench::new(config);
    bench.receive("plenty", 190);
    bench.list(json!([]));
    bench.run(5 * MINUTE);
    for round in 0..20 {
        for quantity in 1..=1 + round % 2 {
            drop(bench.simulator.place_order(&Purchase::of("AMZ-LAMP", quantity)));
        }
        bench.run(3 * MINUTE);
    }
    bench.simulator.set_faults(FaultPlan::none());
    bench.run(60 * MINUTE);

    let summary = bench.simulator.summary();
    assert!(
        summary.orders_placed > 15 && summary.faults > 5 && summary.orders_cancelled > 0,
        "seed {seed}: {summary:?}"
    );
    let here: BTreeMap<String, String> = bench
        .orders()
        .iter()
        .map(|order| (order["external_id"].as_str().unwrap().to_owned(), order["status"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(here.len(), bench.orders().len(), "seed {seed}: one order each");
    let there: BTreeMap<String, String> = bench
        .simulator
        .orders()
        .iter()
        .map(|order| {
            let state = if order.status() == Some(FulfillmentStatus::Cancelled) { "cancelled" } else { "placed" };
            (order.order_id.clone(), state.to_owned())
        })
        .collect();
    assert_eq!(here, there, "seed {seed}");
    assert_eq!(bench.level(), (200, summary.units_owed), "seed {seed}");
    assert_eq!(bench.simulator.advertised("AMZ-LAMP"), 200 - summary.units_owed, "seed {seed}");
    assert_eq!(bench.simulator.violations(), [], "seed {seed}");
    assert_eq!(summary.throttled, 0, "seed {seed}: the published rates were kept");
    assert!(bench.host.dead_letters().is_empty(), "seed {seed}: {:?}", bench.host.dead_letters());
}

#[test]
fn rough_days_end_with_one_order_each_and_the_right_stock() {
    for seed in [101, 102, 103] {
        rough_day(seed);
    }
}
