//! The cart on the real engine, with the real catalogue, prices, stock and orders; and without what it can do without.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

use kontor_testkit::TestHost;
use serde_json::{Value, json};
use std::time::Duration;

/// A shop with ten lamps, whose orders are kept by `orders` (the real module, or the order book).
fn shop(orders: &str) -> TestHost {
    let host = TestHost::builder()
        .plugin(env!("CARGO_MANIFEST_DIR"))
        .plugins(["catalog", "pricing", "inventory", orders, "checkout"])
        .start();
    let lamp = json!({ "id": "lamp", "title": "Desk lamp", "variants": [{ "sku": "LAMP" }] });
    let draft = json!({ "id": "draft", "title": "Draft", "status": "draft", "variants": [{ "sku": "DRAFT" }] });
    host.post_json("catalog", "/v1/products:batch", &json!({ "products": [lamp, draft] })).expect(200);
    price(&host, 1999);
    let place = json!({ "name": "Berlin", "kind": "warehouse", "time_zone": "Europe/Berlin" });
    host.put_json("inventory", "/v1/locations/berlin", &place).expect(200);
    host.put_json("inventory", "/v1/channel-rules/web", &json!({ "locations": ["berlin"] })).expect(200);
    let count = json!({ "sku": "LAMP", "location": "berlin", "counted": 10, "expected": null, "reference": "opening" });
    host.post_json("inventory", "/v1/counts:batch", &json!({ "counts": [count] })).expect(200);
    host
}

fn price(host: &TestHost, amount_minor: i64) {
    let prices = json!({ "prices": [{ "sku": "LAMP", "amount_minor": amount_minor }] });
    host.put_json("pricing", "/v1/prices:batch", &prices).expect(200);
}

fn open(host: &TestHost) -> String {
    let cart: Value =
        host.post_json("checkout", "/carts", &json!({ "channel": "web", "country": "DE" })).expect(200).json();
    cart["id"].as_str().unwrap().to_owned()
}

fn add(host: &TestHost, cart: &str, quantity: i64) -> kontor_testkit::Response {
    host.post_json("checkout", &format!("/carts/{cart}/lines"), &json!({ "sku": "LAMP", "quantity": quantity }))
}

fn deliver(host: &TestHost, cart: &str) {
    let address = json!({
        "name": "Ada Lovelace", "company": null, "line1": "Unter den Linden 1", "line2": null, "postal_code": "10117", "city": "Berlin",
        "region": null, "country": "DE", "phone": null
    });
    let delivery = json!({ "email": "ada@example.com", "shipping_address": address });
    host.put_json("checkout", &format!("/carts/{cart}/delivery"), &delivery).expect(200);
    host.put_json("checkout", &format!("/carts/{cart}/shipping"), &json!({ "shipping_option": "standard" }))
        .expect(200);
}

fn ready(host: &TestHost, quantity: i64) -> String {
    let cart = open(host);
    add(host, &cart, quantity).expect(200);
    deliver(host, &cart);
    cart
}

fn payment(method: &str, expected: Option<i64>) -> Value {
    json!({ "method": method, "reference": null, "expected_total_minor": expected })
}

fn place(host: &TestHost, cart: &str, payment: &Value) -> kontor_testkit::Response {
    host.post_json("checkout", &format!("/carts/{cart}/order"), payment)
}

fn level(host: &TestHost, field: &str) -> i64 {
    let levels: Value = host.get("inventory", "/v1/levels?sku=LAMP").expect(200).json();
    levels["levels"][0][field].as_i64().unwrap()
}

#[test]
fn a_cart_becomes_one_order_with_its_stock() {
    let host = shop("orders");
    let cart = ready(&host, 2);
    let view: Value = host.get("checkout", &format!("/carts/{cart}")).expect(200).json();
    assert_eq!(
        (&view["lines"][0]["title"], &view["totals"]["total_minor"]),
        (&json!("Desk lamp"), &json!(2 * 1999 + 490))
    );
    assert_eq!(level(&host, "reserved"), 0, "a cart holds nothing until it is placed");

    let order: String = place(&host, &cart, &payment("invoice", Some(4488))).expect(200).json();
    let again: String = place(&host, &cart, &payment("invoice", Some(4488))).expect(200).json();
    assert_eq!(order, again, "placing again is the same order");
    assert_eq!((level(&host, "on_hand"), level(&host, "reserved"), level(&host, "available_to_sell")), (10, 2, 8));

    let placed: Value = host.get("orders", &format!("/v1/orders/{order}")).expect(200).json();
    assert_eq!(
        (&placed["external_id"], &placed["total_minor"], &placed["email"]),
        (&json!(cart), &json!(4488), &json!("ada@example.com"))
    );
    let list: Value = host.get("orders", "/v1/orders").expect(200).json();
    assert_eq!(list["orders"].as_array().unwrap().len(), 1);
    assert_eq!(add(&host, &cart, 1).expect(409).problem_code(), "placed");
}

#[test]
fn quantities_of_a_sku_are_summed_before_they_are_checked() {
    let host = shop("orders");
    let cart = open(&host);
    add(&host, &cart, 6).expect(200);
    let refused = add(&host, &cart, 5).expect(409);
    assert_eq!(refused.json::<Value>()["error"], json!({ "Insufficient": [["LAMP", 11, 10]] }));
    let view: Value = add(&host, &cart, 4).expect(200).json();
    assert_eq!((view["lines"].as_array().unwrap().len(), &view["lines"][0]["quantity"]), (1, &json!(10)));
    let line = view["lines"][0]["id"].as_str().unwrap();
    let empty: Value =
        host.put_json("checkout", &format!("/carts/{cart}/lines/{line}"), &json!({ "quantity": 0 })).expect(200).json();
    assert_eq!((&empty["lines"], &empty["totals"]), (&json!([]), &Value::Null));
}

#[test]
fn two_carts_for_the_last_units_make_one_order() {
    let host = shop("orders");
    let (first, second) = (ready(&host, 10), ready(&host, 1));
    place(&host, &first, &payment("invoice", None)).expect(200);
    assert_eq!(place(&host, &second, &payment("invoice", None)).expect(409).problem_code(), "insufficient");
    assert_eq!((level(&host, "reserved"), level(&host, "available_to_sell")), (10, 0));
}

#[test]
fn another_total_than_the_customer_saw_is_refused_with_the_new_one() {
    let host = shop("orders");
    let cart = ready(&host, 1);
    price(&host, 2999);
    let refused = place(&host, &cart, &payment("invoice", Some(2489))).expect(409);
    assert_eq!(refused.json::<Value>()["error"], json!({ "TotalChanged": 3489 }));
    assert_eq!(level(&host, "reserved"), 0);
    place(&host, &cart, &payment("invoice", Some(3489))).expect(200);
}

#[test]
fn what_is_missing_or_not_for_sale_is_named() {
    let host = shop("orders");
    let cart = open(&host);
    let line =
        |sku: &str| host.post_json("checkout", &format!("/carts/{cart}/lines"), &json!({ "sku": sku, "quantity": 1 }));
    assert!(line("DRAFT").expect(422).text().contains("not for sale"));
    line("NONE").expect(404);
    assert!(place(&host, &cart, &payment("invoice", None)).expect(422).text().contains("the cart is empty"));
    host.get("checkout", "/carts/nowhere").expect(404);
}

#[test]
fn an_order_that_fails_leaves_no_trace_of_the_chain() {
    let host = shop("order-book");
    let cart = ready(&host, 3);
    for method in ["refused", "broken"] {
        // The caller commits what is left: the failed call's reservation, order and mark on the cart must not be part of it.
        let said: String =
            host.post_json("checkout", &format!("/carts/{cart}/tries"), &payment(method, None)).expect(200).json();
        assert!(!said.starts_with("order-"), "{said}");
        assert_eq!((level(&host, "reserved"), level(&host, "available_to_sell")), (0, 10), "{method}");
        assert_eq!(host.get("order-book", "/placed").expect(200).json::<Value>(), json!([]), "{method}");
        let view: Value = host.get("checkout", &format!("/carts/{cart}")).expect(200).json();
        assert_eq!(view["order_id"], Value::Null, "{method}");
    }
    place(&host, &cart, &payment("invoice", None)).expect(200);
    assert_eq!(level(&host, "reserved"), 3);
}

#[test]
fn without_catalogue_and_inventory_it_sells_by_sku() {
    let host =
        TestHost::builder().plugin(env!("CARGO_MANIFEST_DIR")).plugins(["pricing", "order-book", "checkout"]).start();
    price(&host, 1999);
    let cart = ready(&host, 1_000);
    let view: Value = host.get("checkout", &format!("/carts/{cart}")).expect(200).json();
    assert_eq!(
        (&view["lines"][0]["title"], &view["totals"]["lines"][0]["rate_basis_points"]),
        (&json!("LAMP"), &json!(1900))
    );
    place(&host, &cart, &payment("invoice", None)).expect(200);
    let placed: Value = host.get("order-book", "/placed").expect(200).json();
    assert_eq!(
        (&placed[0]["stock"], &placed[0]["total_minor"]),
        (&json!("None"), &json!(1_999_000)),
        "free from 50.00"
    );
}

#[test]
fn idle_carts_are_deleted_and_busy_ones_kept() {
    let host = shop("orders");
    let (idle, busy) = (open(&host), open(&host));
    host.run_for(Duration::from_secs(20 * 86_400), Duration::from_secs(86_400));
    add(&host, &busy, 1).expect(200);
    host.run_for(Duration::from_secs(12 * 86_400), Duration::from_secs(86_400));
    host.get("checkout", &format!("/carts/{idle}")).expect(404);
    host.get("checkout", &format!("/carts/{busy}")).expect(200);
    host.run_for(Duration::from_secs(31 * 86_400), Duration::from_secs(86_400));
    host.get("checkout", &format!("/carts/{busy}")).expect(404);
}
