//! Orders and inventory as components on the real engine: one transaction over both, with buyers and reports at the same time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use kontor_testkit::{Response, TestHost};
use serde_json::{Value, json};

const ORDERS: &str = "orders";
const INVENTORY: &str = "inventory";

fn host(stock: &[(&str, i64)]) -> TestHost {
    let prefixes = json!({"number_prefixes": {"amazon": "AMZ"}});
    let host = TestHost::builder().plugins([INVENTORY, ORDERS]).config(ORDERS, prefixes).start();
    let location = json!({"name": "Main", "kind": "warehouse", "time_zone": "Europe/Berlin"});
    host.put_json(INVENTORY, "/v1/locations/main", &location).expect(200);
    for channel in ["web", "amazon"] {
        let rule = json!({"locations": ["main"]});
        host.put_json(INVENTORY, &format!("/v1/channel-rules/{channel}"), &rule).expect(200);
    }
    for (sku, quantity) in stock {
        receive(&host, sku, *quantity, "opening");
    }
    host
}

fn receive(host: &TestHost, sku: &str, quantity: i64, reference: &str) {
    let movement = json!({
        "sku": sku, "location": "main", "quantity": quantity, "reason": "receive_po", "ref_type": "delivery", "ref_id": reference,
    });
    host.post_json(INVENTORY, "/v1/movements:batch", &json!({"movements": [movement]})).expect(200);
}

fn order(channel: &str, external_id: &str, lines: &[(&str, i64)]) -> Value {
    let lines: Vec<_> = lines
        .iter()
        .enumerate()
        .map(|(index, (sku, quantity))| {
            json!({
                "line_id": index.to_string(), "sku": sku, "title": "A lamp", "quantity": quantity, "unit_price_minor": 119,
                "net_minor": quantity * 100, "tax_minor": quantity * 19, "gross_minor": quantity * 119, "rate_basis_points": 1900,
            })
        })
        .collect();
    let total: i64 = lines.iter().map(|line| line["gross_minor"].as_i64().unwrap()).sum();
    json!({
        "channel": channel, "external_id": external_id, "currency": "EUR", "lines": lines, "total_minor": total,
        "payment_method": "invoice", "stock": "reserve",
    })
}

fn place(host: &TestHost, input: &Value) -> Response {
    host.post_json(ORDERS, "/v1/orders", input)
}

fn report(host: &TestHost, state: &str, changed_at_ms: u64, input: &Value) -> String {
    let body = json!({"input": input, "state": state, "changed_at_ms": changed_at_ms});
    let answer: Value = host.post_json(ORDERS, "/v1/channel-orders", &body).expect(200).json();
    answer["outcome"].as_str().unwrap().to_owned()
}

fn get(host: &TestHost, id: &str) -> Value {
    host.get(ORDERS, &format!("/v1/orders/{id}")).expect(200).json()
}

fn level(host: &TestHost, sku: &str) -> (i64, i64, i64) {
    let levels: Value = host.get(INVENTORY, &format!("/v1/levels?sku={sku}")).expect(200).json();
    let number = |field: &str| levels["levels"][0][field].as_i64().unwrap();
    (number("on_hand"), number("reserved"), number("available_to_sell"))
}

fn assert_verified(host: &TestHost) {
    let found: Value = host.get(INVENTORY, "/v1/verify").expect(200).json();
    assert_eq!(found["discrepancies"], json!([]));
}

/// Runs `calls` calls from eight threads.
fn at_once(calls: usize, call: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= calls {
                        return;
                    }
                    call(number);
                }
            });
        }
    });
}

/// Ids of all orders, page by page.
fn all_orders(host: &TestHost, channel: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page: Value = host.get(ORDERS, &format!("/v1/orders?limit=7&channel={channel}{cursor}")).expect(200).json();
        ids.extend(page["orders"].as_array().unwrap().iter().map(|order| order["id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

#[test]
fn an_order_is_placed_shipped_and_paid() {
    let host = host(&[("LAMP", 5)]);
    let placing: Value = place(&host, &order("web", "cart-1", &[("LAMP", 3)])).expect(200).json();
    let id = placing["order_id"].as_str().unwrap();
    assert!(placing["number"].as_str().unwrap().starts_with("W-260101-"), "{placing}");
    assert_eq!(level(&host, "LAMP"), (5, 3, 2));

    let parcel = json!({"shipment_id": "p1", "carrier": "DHL", "tracking_number": "00340", "lines": [{"line_id": "0", "quantity": 1}]});
    for _ in 0..2 {
        host.post_json(ORDERS, &format!("/v1/orders/{id}/ship"), &parcel).expect(200);
    }
    assert_eq!(level(&host, "LAMP"), (4, 2, 2));
    let shipped: Value =
        host.post_json(ORDERS, &format!("/v1/orders/{id}/ship"), &json!({"shipment_id": "p2"})).expect(200).json();
    assert_eq!((shipped["fulfilment"].clone(), shipped["status"].clone()), (json!("fulfilled"), json!("placed")));
    let payment = json!({"reference": "bank-1", "amount_minor": 357});
    let paid: Value = host.post_json(ORDERS, &format!("/v1/orders/{id}/payments"), &payment).expect(200).json();
    assert_eq!((paid["payment"].clone(), paid["status"].clone()), (json!("paid"), json!("completed")));
    assert_eq!(level(&host, "LAMP"), (2, 0, 2));
    assert_verified(&host);

    let types: Vec<_> =
        host.events().into_iter().filter(|event| event.key == id).map(|event| event.event_type).collect();
    assert_eq!(
        types,
        [
            "kontor.orders.order-placed.v1",
            "kontor.orders.order-shipped.v1",
            "kontor.orders.order-shipped.v1",
            "kontor.orders.order-updated.v1"
        ]
    );
    let shipped: Value = serde_json::from_str(&host.emitted("kontor.orders.order-shipped.v1")[1].payload).unwrap();
    assert_eq!(shipped["shipment"]["lines"], json!([{"line_id": "0", "quantity": 2}]));
}

#[test]
fn of_two_hundred_buyers_of_ten_units_ten_place_an_order() {
    let host = host(&[("LAMP", 10)]);
    let (sold, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    at_once(200, |buyer| {
        let answer = place(&host, &order("web", &format!("cart-{buyer}"), &[("LAMP", 1)]));
        match answer.status {
            200 => sold.fetch_add(1, Ordering::SeqCst),
            409 if answer.problem_code() == "insufficient" => refused.fetch_add(1, Ordering::SeqCst),
            _ => panic!("{}: {}", answer.status, answer.text()),
        };
    });
    assert_eq!((sold.into_inner(), refused.into_inner()), (10, 190));
    assert_eq!(level(&host, "LAMP"), (10, 10, 0));
    assert_eq!(all_orders(&host, "web").len(), 10);
    assert_eq!(host.emitted("kontor.orders.order-placed.v1").len(), 10);
    assert_verified(&host);
}

#[test]
fn orders_of_one_hot_sku_do_not_conflict() {
    let host = host(&[("LAMP", 1_000)]);
    let before = host.invocations().len();
    at_once(200, |buyer| {
        place(&host, &order("web", &format!("cart-{buyer}"), &[("LAMP", 2)])).expect(200);
    });
    let reports = &host.invocations()[before..];
    assert_eq!(reports.iter().map(|report| report.conflicts).sum::<u32>(), 0);
    assert_eq!(level(&host, "LAMP"), (1_000, 400, 600));
    let orders: BTreeSet<_> = all_orders(&host, "web").into_iter().collect();
    assert_eq!(orders.len(), 200);
    assert_verified(&host);
}

#[test]
fn a_checkout_that_races_its_own_retries_makes_one_order() {
    let host = host(&[("LAMP", 100)]);
    let (created, ids) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
    at_once(64, |call| {
        let placing: Value =
            place(&host, &order("web", &format!("cart-{}", call % 4), &[("LAMP", 3)])).expect(200).json();
        created.fetch_add(usize::from(placing["created"] == true), Ordering::SeqCst);
        ids.lock().unwrap().insert(placing["order_id"].as_str().unwrap().to_owned());
    });
    assert_eq!((created.into_inner(), ids.into_inner().unwrap().len()), (4, 4));
    assert_eq!(level(&host, "LAMP"), (100, 12, 88));
    assert_verified(&host);
}

#[test]
fn reports_that_are_repeated_late_and_concurrent_make_one_order_as_the_newest_says() {
    let host = host(&[("LAMP", 100)]);
    let states = ["pending", "confirmed", "confirmed", "cancelled", "confirmed"];
    at_once(60, |call| {
        let step = (call * 7) % states.len();
        let input = order("amazon", &format!("E-{}", call % 3), &[("LAMP", 1 + step as i64)]);
        report(&host, states[step], 1_000 + step as u64, &input);
    });
    for key in 0..3 {
        let input = order("amazon", &format!("E-{key}"), &[("LAMP", 5)]);
        assert!(["unchanged", "updated"].contains(&report(&host, "confirmed", 1_004, &input).as_str()));
        assert_eq!(report(&host, "cancelled", 1_003, &input), "stale");
    }
    let orders = all_orders(&host, "amazon");
    assert_eq!(orders.len(), 3);
    for id in orders {
        let order = get(&host, &id);
        assert_eq!((order["status"].clone(), order["lines"][0]["quantity"].clone()), (json!("placed"), json!(5)));
        assert!(order["number"].as_str().unwrap().starts_with("AMZ-"));
    }
    assert_eq!(level(&host, "LAMP"), (100, 15, 85));
    assert_verified(&host);
}

#[test]
fn a_paid_order_without_stock_is_kept_on_hold_and_filled_when_stock_arrives() {
    let host = host(&[("LAMP", 1)]);
    let mut input = order("amazon", "E-1", &[("LAMP", 3)]);
    input["paid_minor"] = input["total_minor"].clone();
    assert_eq!(report(&host, "confirmed", 10, &input), "on_hold");
    let id = all_orders(&host, "amazon").remove(0);
    let held = get(&host, &id);
    assert_eq!((held["status"].clone(), held["hold_reason"].clone()), (json!("on_hold"), json!("stock")));
    assert_eq!(level(&host, "LAMP"), (1, 1, 0));
    receive(&host, "LAMP", 5, "po-1");
    host.run_for(Duration::from_secs(120), Duration::from_secs(30));
    assert_eq!(get(&host, &id)["status"], "placed");
    assert_eq!(level(&host, "LAMP"), (6, 3, 3));
    let shipped: Value =
        host.post_json(ORDERS, &format!("/v1/orders/{id}/ship"), &json!({"shipment_id": "p1"})).expect(200).json();
    assert_eq!(shipped["status"], "completed");
    assert_eq!(level(&host, "LAMP"), (3, 0, 3));
    assert!(host.dead_letters().is_empty());
    assert_verified(&host);
}

#[test]
fn what_is_refused_leaves_no_trace_in_either_plugin() {
    let host = host(&[("LAMP", 5), ("DESK", 1)]);
    let events = host.events().len();
    let short = place(&host, &order("web", "cart-1", &[("LAMP", 2), ("DESK", 1), ("DESK", 1)])).expect(409);
    assert_eq!(short.json::<Value>()["shortages"], json!([{"sku": "DESK", "requested": 2, "available": 1}]));
    let mut odd = order("web", "cart-1", &[("LAMP", 2)]);
    odd["total_minor"] = json!(1);
    assert_eq!(place(&host, &odd).expect(422).problem_code(), "invalid");
    let mut gone = order("web", "cart-1", &[("LAMP", 2)]);
    gone["stock"] = json!({"reservation": "no-such"});
    place(&host, &gone).expect(422);
    host.get(ORDERS, "/v1/order?channel=web&external_id=cart-1").expect(404);
    assert_eq!((level(&host, "LAMP"), level(&host, "DESK")), ((5, 0, 5), (1, 0, 1)));
    assert_eq!(host.events().len(), events);
    assert_verified(&host);
}

#[test]
fn a_carts_reservation_becomes_the_orders_and_cancelling_gives_it_back() {
    let host = host(&[("LAMP", 5)]);
    let request =
        json!({"channel": "web", "kind": "cart", "owner": "cart-1", "demands": [{"sku": "LAMP", "quantity": 2}]});
    let reservation: Value = host.post_json(INVENTORY, "/v1/reservations", &request).expect(200).json();
    let mut input = order("web", "cart-1", &[("LAMP", 2)]);
    input["stock"] = json!({"reservation": reservation["id"]});
    let placing: Value = place(&host, &input).expect(200).json();
    let id = placing["order_id"].as_str().unwrap();
    assert_eq!(
        (level(&host, "LAMP"), get(&host, id)["reservation_id"].clone()),
        ((5, 2, 3), reservation["id"].clone())
    );
    for _ in 0..2 {
        let cancelled: Value = host
            .post_json(ORDERS, &format!("/v1/orders/{id}/cancel"), &json!({"reason": "changed my mind"}))
            .expect(200)
            .json();
        assert_eq!(cancelled["status"], "cancelled");
    }
    assert_eq!(level(&host, "LAMP"), (5, 0, 5));
    assert_eq!(host.emitted("kontor.orders.order-cancelled.v1").len(), 1);
    assert_verified(&host);
}

#[test]
fn a_sale_over_the_counter_is_booked_out_at_once_and_never_refused() {
    let host = host(&[("LAMP", 1)]);
    let mut input = order("web", "till-1-1", &[("LAMP", 2)]);
    input["stock"] = json!({"handed_over": "main"});
    input["paid_minor"] = input["total_minor"].clone();
    let placing: Value = place(&host, &input).expect(200).json();
    let sold = get(&host, placing["order_id"].as_str().unwrap());
    assert_eq!((sold["status"].clone(), sold["fulfilment"].clone()), (json!("completed"), json!("fulfilled")));
    assert_eq!(level(&host, "LAMP"), (-1, 0, -1));
    assert_eq!(host.emitted("kontor.inventory.oversold.v1").len(), 1);
    assert_verified(&host);
}

#[test]
fn a_full_import_with_an_invoice_of_a_thousand_lines_fits_the_limits_and_repeats_without_effect() {
    let host = host(&[]);
    let many: Vec<(String, i64)> = (0..1_114).map(|n| (format!("SKU-{n}"), 2)).collect();
    let many: Vec<(&str, i64)> = many.iter().map(|(sku, quantity)| (sku.as_str(), *quantity)).collect();
    let mut orders: Vec<Value> =
        (0..249).map(|n| order("web", &format!("5{n:05}"), &[("LAMP", 6), ("DESK", 1)])).collect();
    orders.push(order("web", "573585", &many));
    for order in &mut orders {
        order["stock"] = json!("none");
        order["placed_at_ms"] = json!(1_291_190_760_000_u64);
    }
    let body = json!({"orders": orders});
    for created in [true, false] {
        let answer: Value = host.post_json(ORDERS, "/v1/orders:import", &body).expect(200).json();
        let placings = answer["placings"].as_array().unwrap();
        assert_eq!(placings.len(), 250);
        assert!(placings.iter().all(|placing| placing["created"] == created));
    }
    assert_eq!(all_orders(&host, "web").len(), 250);
    let long: Value = host.get(ORDERS, "/v1/order?channel=web&external_id=573585").expect(200).json();
    assert_eq!((long["lines"].as_array().unwrap().len(), long["total_minor"].clone()), (1_114, json!(1_114 * 238)));
    assert!(long["number"].as_str().unwrap().starts_with("W-101201-"));
    assert!(host.emitted("kontor.orders.order-placed.v1").is_empty());
}
