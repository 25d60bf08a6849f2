//! Inventory as a component on the real engine: what its rules promise holds through the sandbox, with buyers at the same time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use kontor_testkit::{Response, TestHost};
use serde_json::{Value, json};

const PLUGIN: &str = "inventory";

/// Two warehouses, a shop, and a web channel that sells from the warehouses.
fn host(buffer: i64) -> TestHost {
    let host = TestHost::builder().plugin(PLUGIN).start();
    for id in ["main", "spare", "shop"] {
        let location = json!({"name": id, "kind": "warehouse", "time_zone": "Europe/Berlin"});
        host.put_json(PLUGIN, &format!("/v1/locations/{id}"), &location).expect(200);
    }
    let rule = json!({"locations": ["main", "spare"], "buffer": buffer, "maximum": 50});
    host.put_json(PLUGIN, "/v1/channel-rules/web", &rule).expect(200);
    host
}

fn receive(host: &TestHost, sku: &str, location: &str, quantity: i64) {
    let movement = json!({
        "sku": sku, "location": location, "quantity": quantity, "reason": "receive_po", "ref_type": "delivery",
        "ref_id": format!("{sku}-{location}-{quantity}"),
    });
    host.post_json(PLUGIN, "/v1/movements:batch", &json!({"movements": [movement]})).expect(200);
}

fn reserve(host: &TestHost, owner: &str, sku: &str, quantity: i64, expires_at_ms: Option<u64>) -> Response {
    let request = json!({
        "channel": "web", "kind": "cart", "owner": owner, "demands": [{"sku": sku, "quantity": quantity}],
        "expires_at_ms": expires_at_ms,
    });
    host.post_json(PLUGIN, "/v1/reservations", &request)
}

fn id(reservation: Response) -> String {
    reservation.expect(200).json::<Value>()["id"].as_str().unwrap().to_owned()
}

fn offered(host: &TestHost, sku: &str) -> i64 {
    let offers: Value = host.get(PLUGIN, &format!("/v1/offers?channel=web&sku={sku}")).expect(200).json();
    offers["offers"][0]["quantity"].as_i64().unwrap()
}

fn levels(host: &TestHost, sku: &str) -> Vec<(String, i64, i64, i64)> {
    let levels: Value = host.get(PLUGIN, &format!("/v1/levels?sku={sku}")).expect(200).json();
    let number = |level: &Value, field: &str| level[field].as_i64().unwrap();
    let levels = levels["levels"].as_array().unwrap().iter();
    levels
        .map(|level| {
            let location = level["location"].as_str().unwrap().to_owned();
            (location, number(level, "on_hand"), number(level, "reserved"), number(level, "available_to_sell"))
        })
        .collect()
}

fn level(location: &str, on_hand: i64, reserved: i64, available: i64) -> (String, i64, i64, i64) {
    (location.to_owned(), on_hand, reserved, available)
}

fn assert_verified(host: &TestHost) {
    let found: Value = host.get(PLUGIN, "/v1/verify").expect(200).json();
    assert_eq!(found["discrepancies"], json!([]));
    assert_eq!(found["next_cursor"], Value::Null);
}

/// Runs `buyers` calls from eight threads.
fn at_once(buyers: usize, buy: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let buyer = next.fetch_add(1, Ordering::SeqCst);
                    if buyer >= buyers {
                        return;
                    }
                    buy(buyer);
                }
            });
        }
    });
}

#[test]
fn stock_is_reserved_committed_fulfilled_and_released() {
    let host = host(1);
    receive(&host, "LAMP", "main", 3);
    receive(&host, "LAMP", "spare", 4);
    assert_eq!(offered(&host, "LAMP"), 6);

    let first = id(reserve(&host, "cart-1", "LAMP", 5, None));
    assert_eq!(first, id(reserve(&host, "cart-1", "LAMP", 5, None)), "the owner gets its reservation again");
    let refused = reserve(&host, "cart-2", "LAMP", 2, None).expect(409);
    assert_eq!(refused.json::<Value>()["shortages"], json!([{"sku": "LAMP", "requested": 2, "available": 1}]));

    let path = |action: &str| format!("/v1/reservations/{first}/{action}");
    host.post_json(PLUGIN, &path("commit"), &json!({"order_id": "order-1"})).expect(200);
    for _ in 0..2 {
        let parcel = json!({"ref_id": "parcel-1", "demands": [{"sku": "LAMP", "quantity": 4}]});
        host.post_json(PLUGIN, &path("fulfil"), &parcel).expect(200);
    }
    assert_eq!(levels(&host, "LAMP"), [level("main", 0, 0, 0), level("spare", 3, 1, 2)]);
    for _ in 0..2 {
        let released: Value = host.post_json(PLUGIN, &path("release"), &json!({})).expect(200).json();
        assert_eq!(released["state"], "released");
    }
    assert_eq!(levels(&host, "LAMP"), [level("main", 0, 0, 0), level("spare", 3, 0, 3)]);
    assert_eq!(offered(&host, "LAMP"), 2);
    assert_verified(&host);

    let ledger: Value = host.get(PLUGIN, "/v1/movements?sku=LAMP").expect(200).json();
    let quantities: Vec<_> = ledger["movements"].as_array().unwrap().iter().map(|m| m["quantity"].clone()).collect();
    assert_eq!(quantities.len(), 4);
    assert_eq!(ledger["movements"][0]["actor"], "token:test");
    let changed = host.emitted("kontor.inventory.stock-changed.v1");
    // Two deliveries, one reservation, one release; a parcel takes what was not for sale any more.
    assert_eq!(changed.len(), 4);
    assert!(changed.iter().all(|event| event.key == "LAMP"));
}

#[test]
fn of_two_hundred_buyers_of_ten_units_ten_get_one() {
    let host = host(0);
    receive(&host, "LAMP", "main", 6);
    receive(&host, "LAMP", "spare", 4);
    let (sold, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    at_once(200, |buyer| {
        let answer = reserve(&host, &format!("cart-{buyer}"), "LAMP", 1, None);
        match answer.status {
            200 => sold.fetch_add(1, Ordering::SeqCst),
            409 if answer.problem_code() == "insufficient" => refused.fetch_add(1, Ordering::SeqCst),
            _ => panic!("{}: {}", answer.status, answer.text()),
        };
    });
    assert_eq!((sold.into_inner(), refused.into_inner()), (10, 190));
    assert_eq!(levels(&host, "LAMP"), [level("main", 6, 6, 0), level("spare", 4, 4, 0)]);
    assert_verified(&host);
}

#[test]
fn buyers_and_tills_that_sell_one_sku_at_once_do_not_conflict() {
    let host = host(5);
    receive(&host, "LAMP", "main", 1_000);
    receive(&host, "LAMP", "shop", 1_000);
    let before = host.invocations().len();
    at_once(200, |buyer| {
        if buyer % 2 == 0 {
            reserve(&host, &format!("cart-{buyer}"), "LAMP", 2, None).expect(200);
        } else {
            let sale = json!({"location": "shop", "ref_id": format!("sale-{buyer}"), "demands": [{"sku": "LAMP", "quantity": 3}]});
            host.post_json(PLUGIN, "/v1/sales", &sale).expect(204);
        }
    });
    let reports = &host.invocations()[before..];
    assert_eq!(reports.len(), 200);
    assert_eq!(reports.iter().map(|report| report.conflicts).sum::<u32>(), 0);
    assert_eq!(levels(&host, "LAMP"), [level("main", 1_000, 200, 800), level("shop", 700, 0, 700)]);
    assert_verified(&host);
}

#[test]
fn a_reservation_lapses_by_the_clock_and_the_sweeper_tells_the_channels() {
    let host = host(0);
    receive(&host, "LAMP", "main", 2);
    receive(&host, "LAMP", "spare", 1);
    let now_ms = host.now_ms();
    let lapsing = id(reserve(&host, "cart-1", "LAMP", 2, Some(now_ms + 30_000)));
    reserve(&host, "cart-2", "LAMP", 2, Some(now_ms + 600_000)).expect(409);
    host.advance(Duration::from_secs(30));
    assert_eq!(offered(&host, "LAMP"), 3);
    let second = id(reserve(&host, "cart-2", "LAMP", 2, Some(now_ms + 600_000)));
    let seen: Value = host.get(PLUGIN, &format!("/v1/reservations/{lapsing}")).expect(200).json();
    assert_eq!(seen["state"], "expired");
    host.post_json(PLUGIN, &format!("/v1/reservations/{lapsing}/commit"), &json!({"order_id": "late"})).expect(409);

    let told = host.emitted("kontor.inventory.stock-changed.v1").len();
    host.run_for(Duration::from_secs(720), Duration::from_secs(60));
    let seen: Value = host.get(PLUGIN, &format!("/v1/reservations/{second}")).expect(200).json();
    assert_eq!(seen["state"], "expired");
    assert_eq!(host.emitted("kontor.inventory.stock-changed.v1").len(), told + 1);
    assert_eq!(levels(&host, "LAMP"), [level("main", 2, 0, 2), level("spare", 1, 0, 1)]);
    assert!(host.dead_letters().is_empty());
    assert_verified(&host);
}

#[test]
fn a_sale_that_oversells_is_booked_and_names_the_weakest_reservation() {
    let host = host(0);
    receive(&host, "LAMP", "main", 1);
    let cart = id(reserve(&host, "cart-1", "LAMP", 1, None));
    let sale = json!({"location": "main", "ref_id": "till-1-77", "occurred_at_ms": 5, "demands": [{"sku": "LAMP", "quantity": 1}]});
    for _ in 0..2 {
        host.post_json(PLUGIN, "/v1/sales", &sale).expect(204);
    }
    assert_eq!(levels(&host, "LAMP"), [level("main", 0, 1, -1)]);
    let oversold = host.emitted("kontor.inventory.oversold.v1");
    assert_eq!(oversold.len(), 1);
    let payload: Value = serde_json::from_str(&oversold[0].payload).unwrap();
    assert_eq!(payload["weakest_reservation"], json!(cart));
    assert_eq!((payload["quantity"].clone(), payload["ref_id"].clone()), (json!(1), json!("till-1-77")));
    assert_verified(&host);
}

#[test]
fn counts_of_an_import_are_booked_once_and_compared_before_they_are_set() {
    let host = host(0);
    let counts: Vec<_> = (0..250)
        .map(|n| json!({"sku": format!("SKU-{n}"), "location": "main", "counted": n, "reference": "opening"}))
        .collect();
    let changed: Value = host.post_json(PLUGIN, "/v1/counts:batch", &json!({"counts": counts})).expect(200).json();
    assert_eq!(changed["changed"], 249);
    let changed: Value = host.post_json(PLUGIN, "/v1/counts:batch", &json!({"counts": counts})).expect(200).json();
    assert_eq!(changed["changed"], 0);
    let wrong = json!({"counts": [
        {"sku": "SKU-1", "location": "main", "counted": 9, "reference": "recount"},
        {"sku": "SKU-2", "location": "main", "expected": 3, "counted": 9, "reference": "recount"},
    ]});
    let refused = host.post_json(PLUGIN, "/v1/counts:batch", &wrong).expect(409);
    assert!(refused.text().contains("on hand is 2, not 3"), "{}", refused.text());
    assert_eq!(levels(&host, "SKU-1"), [level("main", 1, 0, 1)], "all or none");
    let unknown = json!({"counts": [{"sku": "A", "location": "moon", "counted": 1, "reference": "r"}]});
    assert_eq!(host.post_json(PLUGIN, "/v1/counts:batch", &unknown).expect(404).problem_code(), "not-found");
    let misspelt = json!({"counts": [{"sku": "A", "location": "main", "count": 1, "reference": "r"}]});
    assert_eq!(host.post_json(PLUGIN, "/v1/counts:batch", &misspelt).expect(400).problem_code(), "bad-json");
    assert_verified(&host);
}

#[test]
fn a_full_batch_of_movements_fits_the_limits() {
    let host = host(0);
    let movements: Vec<_> = (0..1_000)
        .map(|n| {
            json!({
                "sku": format!("SKU-{n}"), "location": "main", "quantity": 5, "reason": "receive_po",
                "ref_type": "delivery", "ref_id": "po-1", "line": n,
            })
        })
        .collect();
    let body = json!({"movements": movements});
    for booked in [1_000, 0] {
        let answer: Value = host.post_json(PLUGIN, "/v1/movements:batch", &body).expect(200).json();
        assert_eq!(answer["booked"], booked);
    }
    assert_verified(&host);
}
