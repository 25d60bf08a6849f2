//! Pricing on the real engine.
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

fn host() -> TestHost {
    TestHost::builder().plugin(env!("CARGO_MANIFEST_DIR")).start()
}

fn set(host: &TestHost, prices: Value) -> u64 {
    let answer: Value = host.put_json("pricing", "/v1/prices:batch", &json!({ "prices": prices })).expect(200).json();
    answer["changed"].as_u64().unwrap()
}

fn shelf(host: &TestHost, sku: &str) -> Option<i64> {
    let answer: Value = host.get("pricing", &format!("/v1/shelf-prices?channel=web&sku={sku}")).expect(200).json();
    answer["prices"].get(0).and_then(|price| price["amount_minor"].as_i64())
}

fn line(id: &str, sku: &str, quantity: i64, tax_class: &str) -> Value {
    json!({ "line_id": id, "sku": sku, "quantity": quantity, "tax_class": tax_class })
}

#[test]
fn a_basket_of_mixed_rates_adds_up() {
    let host = host();
    set(&host, json!([{ "sku": "LAMP", "amount_minor": 1999 }, { "sku": "BOOK", "amount_minor": 1000 }]));
    let basket = json!({
        "channel": "web", "country": "DE", "discount_minor": 500, "shipping_minor": 490,
        "lines": [line("1", "LAMP", 3, "standard"), line("2", "BOOK", 1, "reduced")]
    });
    let quote: Value = host.post_json("pricing", "/v1/quotes", &basket).expect(200).json();
    assert_eq!(
        (&quote["currency"], &quote["basis"], &quote["price_list"]),
        (&json!("EUR"), &json!("gross"), &json!("default"))
    );
    assert_eq!(quote["total_minor"], 3 * 1999 + 1000 - 500 + 490);
    let sum = |field: &str| {
        quote["tax_totals"].as_array().unwrap().iter().map(|total| total[field].as_i64().unwrap()).sum::<i64>()
    };
    assert_eq!(
        (json!(sum("tax_minor")), json!(sum("net_minor"))),
        (quote["tax_minor"].clone(), quote["net_minor"].clone())
    );
    assert_eq!(sum("gross_minor"), quote["total_minor"].as_i64().unwrap());
    assert_eq!(
        quote["lines"][0]["discount_minor"].as_i64().unwrap() + quote["lines"][1]["discount_minor"].as_i64().unwrap(),
        500
    );
}

#[test]
fn setting_the_same_prices_again_changes_nothing() {
    let host = host();
    let prices = json!([{ "sku": "A", "amount_minor": 100 }, { "sku": "B", "amount_minor": 200 }]);
    assert_eq!(set(&host, prices.clone()), 2);
    assert_eq!(set(&host, prices), 0);
    assert_eq!(set(&host, json!([{ "sku": "A", "amount_minor": 150 }])), 1);
    let events = host.emitted("kontor.pricing.price-changed.v1");
    assert_eq!(events.iter().map(|event| event.key.as_str()).collect::<Vec<_>>(), ["A", "B", "A"]);
    let last: Value = serde_json::from_str(&events[2].payload).unwrap();
    assert_eq!(
        (&last["amount_minor"], &last["currency"], &last["price_list"]),
        (&json!(150), &json!("EUR"), &json!("default"))
    );
}

#[test]
fn a_sale_begins_and_ends_by_itself_and_others_are_told() {
    let host = host();
    let now = host.now_ms();
    set(&host, json!([{ "sku": "A", "amount_minor": 1000 }]));
    set(
        &host,
        json!([{ "sku": "A", "amount_minor": 800, "valid_from_ms": now + 60_000, "valid_to_ms": now + 120_000 }]),
    );
    host.run_until_idle();
    assert_eq!((shelf(&host, "A"), host.emitted("kontor.pricing.price-changed.v1").len()), (Some(1000), 1));
    host.advance(Duration::from_secs(60));
    host.run_until_idle();
    assert_eq!((shelf(&host, "A"), host.emitted("kontor.pricing.price-changed.v1").len()), (Some(800), 2));
    host.advance(Duration::from_secs(60));
    host.run_until_idle();
    let events = host.emitted("kontor.pricing.price-changed.v1");
    assert_eq!((shelf(&host, "A"), events.len()), (Some(1000), 3));
    assert!(host.jobs("pricing").is_empty());
}

#[test]
fn channels_sell_by_their_own_list() {
    let host = host();
    let list = json!({ "name": "Trade", "currency": "EUR", "basis": "net", "tax_rounding": "document", "rounding": "half_up", "channels": ["b2b"] });
    host.put_json("pricing", "/v1/price-lists/trade", &list).expect(200);
    set(
        &host,
        json!([{ "sku": "A", "amount_minor": 1190 }, { "price_list": "trade", "sku": "A", "amount_minor": 900 }]),
    );
    let total = |channel: &str| -> Value {
        let basket = json!({ "channel": channel, "country": "DE", "lines": [line("1", "A", 1, "standard")] });
        host.post_json("pricing", "/v1/quotes", &basket).expect(200).json::<Value>()["total_minor"].clone()
    };
    assert_eq!((total("web"), total("b2b")), (json!(1190), json!(1071)));
    let dollars = json!({ "name": "Trade", "currency": "USD", "basis": "net", "tax_rounding": "line", "rounding": "half_up", "channels": [] });
    assert!(host.put_json("pricing", "/v1/price-lists/trade", &dollars).expect(422).text().contains("USD"));
    let lists: Value = host.get("pricing", "/v1/price-lists").expect(200).json();
    assert_eq!(lists["price_lists"].as_array().unwrap().len(), 2);
}

#[test]
fn rates_of_the_configuration_hold_until_others_are_set() {
    let host = host();
    set(&host, json!([{ "sku": "A", "amount_minor": 1000 }]));
    let rate = || -> Value {
        let basket = json!({ "channel": "web", "country": "DE", "lines": [line("1", "A", 1, "standard")] });
        host.post_json("pricing", "/v1/quotes", &basket).expect(200).json::<Value>()["lines"][0]["rate_basis_points"]
            .clone()
    };
    assert_eq!(rate(), 1900);
    let rates = json!({ "tax_rates": [{ "country": "DE", "tax_class": "standard", "rate_basis_points": 1600, "name": "MwSt. 16 %" }] });
    host.put_json("pricing", "/v1/tax-rates:batch", &rates).expect(200);
    assert_eq!(rate(), 1600);
}

#[test]
fn refusals_say_what_is_missing_and_change_nothing() {
    let host = host();
    let refused = host.put_json(
        "pricing",
        "/v1/prices:batch",
        &json!({ "prices": [{ "sku": "A", "amount_minor": 100 }, { "sku": "B", "amount_minor": -1 }] }),
    );
    assert_eq!(refused.expect(422).problem_code(), "invalid");
    assert_eq!(shelf(&host, "A"), None, "all or none");
    let quote = |country: &str| {
        host.post_json(
            "pricing",
            "/v1/quotes",
            &json!({ "channel": "web", "country": country, "lines": [line("1", "A", 1, "standard")] }),
        )
    };
    assert!(quote("DE").expect(404).text().contains("`A` has no price"));
    assert!(quote("Germany").expect(422).text().contains("ISO 3166"));
    host.put_json("pricing", "/v1/prices:batch", &json!({ "prices": [{ "sku": "A", "amount": 100 }] })).expect(400);
}
