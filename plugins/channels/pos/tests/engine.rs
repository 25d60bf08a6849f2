//! The till on the real engine, with the real catalogue, prices, stock and orders.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

use std::thread;

use kontor_testkit::{Response, TestHost};
use serde_json::{Value, json};

const GTIN: &str = "4006381333931";

/// Two stores, one till in Bonn; ten lamps in Bonn, three in Ulm.
fn shop() -> TestHost {
    let till = json!({ "id": "bonn-1", "name": "Kasse 1", "location": "bonn" });
    let host = TestHost::builder()
        .plugin(env!("CARGO_MANIFEST_DIR"))
        .plugins(["catalog", "pricing", "inventory", "orders"])
        .config("pos", json!({ "language": "de", "tills": [till] }))
        .start();
    let lamp = json!({
        "id": "lamp", "title": "Schreibtischlampe",
        "variants": [{ "sku": "LAMP", "identifiers": [{ "kind": "gtin", "value": GTIN, "issuer": null }] }],
    });
    let draft = json!({ "id": "unpriced", "title": "Lampenschirm", "variants": [{ "sku": "SHADE" }] });
    host.post_json("catalog", "/v1/products:batch", &json!({ "products": [lamp, draft] })).expect(200);
    price(&host, 1999);
    for (id, name) in [("bonn", "Bonn"), ("ulm", "Ulm")] {
        let place = json!({ "name": name, "kind": "store", "time_zone": "Europe/Berlin" });
        host.put_json("inventory", &format!("/v1/locations/{id}"), &place).expect(200);
    }
    host.put_json("inventory", "/v1/channel-rules/pos", &json!({ "locations": ["bonn"] })).expect(200);
    for (location, counted) in [("bonn", 10), ("ulm", 3)] {
        let count = json!({ "sku": "LAMP", "location": location, "counted": counted, "expected": null, "reference": "opening" });
        host.post_json("inventory", "/v1/counts:batch", &json!({ "counts": [count] })).expect(200);
    }
    host
}

fn price(host: &TestHost, amount_minor: i64) {
    let prices = json!({ "prices": [{ "sku": "LAMP", "amount_minor": amount_minor }] });
    host.put_json("pricing", "/v1/prices:batch", &prices).expect(200);
}

/// On hand and available in Bonn.
fn level(host: &TestHost) -> (i64, i64) {
    let levels: Value = host.get("inventory", "/v1/levels?sku=LAMP").expect(200).json();
    let bonn = levels["levels"].as_array().unwrap().iter().find(|level| level["location"] == "bonn").unwrap();
    (bonn["on_hand"].as_i64().unwrap(), bonn["available_to_sell"].as_i64().unwrap())
}

fn sale(id: &str, goods: &str, quantity: i64, given_minor: i64) -> Value {
    json!({
        "till_id": "bonn-1", "sale_id": id, "goods": goods, "lines": [{ "sku": "LAMP", "quantity": quantity }],
        "tenders": [{ "method": "cash", "amount_minor": given_minor }],
    })
}

fn sell(host: &TestHost, sale: &Value) -> Response {
    host.post_json("pos", "/api/v1/sales", sale)
}

fn orders(host: &TestHost) -> Vec<Value> {
    let list: Value = host.get("orders", "/v1/orders?channel=pos").expect(200).json();
    list["orders"].as_array().unwrap().clone()
}

fn location(answer: &Response) -> String {
    answer.header("location").unwrap().split("/pos").last().unwrap().to_owned()
}

#[test]
fn goods_in_hand_are_sold_once_whatever_the_stock_says() {
    let host = shop();
    let request = sale("sale-0001", "in_hand", 2, 5000);
    let receipt: Value = sell(&host, &request).expect(201).json();
    assert_eq!(receipt["receipt_number"], "bonn-1-000001");
    assert_eq!((&receipt["total_minor"], &receipt["change_minor"]), (&json!(3998), &json!(1002)));
    assert_eq!(receipt["lines"][0]["title"], "Schreibtischlampe");
    assert_eq!(receipt["taxes"][0]["rate_basis_points"], 1900);
    assert_eq!((level(&host), orders(&host).len()), ((8, 8), 1));

    let order: Value =
        host.get("orders", &format!("/v1/orders/{}", receipt["order_id"].as_str().unwrap())).expect(200).json();
    assert_eq!((&order["account"], &order["external_id"]), (&json!("bonn-1"), &json!("sale-0001")));
    assert_eq!((&order["status"], &order["payment"]), (&json!("completed"), &json!("paid")));
    assert_eq!(order["number"], receipt["order_number"]);

    let again: Value = sell(&host, &request).expect(200).json();
    assert_eq!(again, receipt, "the same sale is the same receipt");
    assert_eq!(sell(&host, &sale("sale-0001", "in_hand", 1, 5000)).expect(409).problem_code(), "sale-id-used");
    let kept: Value = host.get("pos", "/api/v1/sales/sale-0001").expect(200).json();
    assert_eq!((kept, level(&host), orders(&host).len()), (receipt, (8, 8), 1));

    // The customer holds twenty, though the books know eight.
    sell(&host, &sale("sale-0002", "in_hand", 20, 50_000)).expect(201);
    assert_eq!(level(&host), (-12, -12));
    let movements: Value = host.get("inventory", "/v1/movements?sku=LAMP&location=bonn").expect(200).json();
    assert_eq!(movements["movements"][0]["reason"], "sale_pos");
}

#[test]
fn goods_from_the_stock_are_sold_only_if_they_are_there() {
    let host = shop();
    let receipt: Value = sell(&host, &sale("sale-0001", "from_stock", 7, 20_000)).expect(201).json();
    assert_eq!(level(&host), (3, 3), "they have left the house");
    let order: Value =
        host.get("orders", &format!("/v1/orders/{}", receipt["order_id"].as_str().unwrap())).expect(200).json();
    assert_eq!((&order["status"], &order["fulfilment"]), (&json!("completed"), &json!("fulfilled")));

    let refused = sell(&host, &sale("sale-0002", "from_stock", 4, 20_000)).expect(409);
    assert_eq!(refused.problem_code(), "insufficient-stock");
    let problem: Value = refused.json();
    assert_eq!(problem["shortages"][0], json!({ "sku": "LAMP", "requested": 4, "available": 3 }));
    assert_eq!((level(&host), orders(&host).len()), ((3, 3), 1), "a refused sale leaves nothing behind");
    host.get("pos", "/api/v1/sales/sale-0002").expect(404);

    // Neither the sale's id nor its number is used up.
    let next: Value = sell(&host, &sale("sale-0002", "from_stock", 3, 20_000)).expect(201).json();
    assert_eq!((&next["receipt_number"], level(&host)), (&json!("bonn-1-000002"), (0, 0)));
    let again: Value = sell(&host, &sale("sale-0002", "from_stock", 3, 20_000)).expect(200).json();
    assert_eq!(again, next);
}

#[test]
fn sales_that_break_a_rule_book_nothing() {
    let host = shop();
    let with = |name: &str, value: Value| {
        let mut request = sale("sale-0001", "in_hand", 1, 5000);
        request[name] = value;
        request
    };
    for (request, status, code) in [
        (sale("sale-0001", "in_hand", 1, 1000), 422, "underpaid"),
        (sale("sale-0001", "in_hand", 0, 1000), 422, "invalid"),
        (with("till_id", json!("ulm-9")), 404, "unknown-till"),
        (with("lines", json!([{ "sku": "NONE", "quantity": 1 }])), 422, "unknown-sku"),
        (with("lines", json!([{ "sku": "SHADE", "quantity": 1 }])), 422, "no-price"),
        (with("tenders", json!([{ "method": "card", "amount_minor": 2000 }])), 422, "card-exceeds-total"),
        (with("expected_total_minor", json!(1899)), 409, "total-changed"),
        (with("location", json!("atlantis")), 422, "invalid"),
        (with("discount", json!(1)), 400, "bad-json"),
    ] {
        let refused = sell(&host, &request).expect(status);
        assert_eq!(refused.problem_code(), code, "{request}: {}", refused.text());
    }
    assert_eq!((level(&host), orders(&host).len()), ((10, 10), 0));

    // A till that was offline brings its own number, time and price.
    let mut offline = sale("sale-0001", "in_hand", 1, 1500);
    offline["receipt_sequence"] = json!(17);
    offline["occurred_at_ms"] = json!(host.now_ms() - 3_600_000);
    offline["lines"][0]["unit_price_minor"] = json!(1499);
    let receipt: Value = sell(&host, &offline).expect(201).json();
    assert_eq!((&receipt["receipt_number"], &receipt["change_minor"]), (&json!("bonn-1-000017"), &json!(1)));
    assert_eq!(receipt["recorded_at_ms"].as_u64().unwrap() - receipt["occurred_at_ms"].as_u64().unwrap(), 3_600_000);
    offline["sale_id"] = json!("sale-0002");
    assert_eq!(sell(&host, &offline).expect(409).problem_code(), "receipt-number-used");
    let next: Value = sell(&host, &sale("sale-0003", "in_hand", 1, 2000)).expect(201).json();
    assert_eq!(next["receipt_number"], "bonn-1-000018");
    let last: Value = host.get("pos", "/api/v1/tills/bonn-1/sales").expect(200).json();
    assert_eq!((&last["sales"][0], last["sales"].as_array().unwrap().len()), (&next, 2));
}

#[test]
fn a_scan_finds_the_article_with_its_stock_here_and_elsewhere() {
    let host = shop();
    for path in [
        format!("/api/v1/items?code={GTIN}&till_id=bonn-1"),
        "/api/v1/items?code=LAMP&till_id=bonn-1".to_owned(),
        "/api/v1/stock?sku=LAMP&till_id=bonn-1".to_owned(),
    ] {
        let item: Value = host.get("pos", &path).expect(200).json();
        assert_eq!((&item["sku"], &item["price"]["amount_minor"]), (&json!("LAMP"), &json!(1999)));
        assert_eq!((&item["available_here"], &item["available_elsewhere"]), (&json!(10), &json!(3)));
        assert_eq!((&item["stock"][0]["location"], &item["stock"][1]["name"]), (&json!("bonn"), &json!("Ulm")));
    }
    let found: Value = host.get("pos", "/api/v1/search?q=schreibtisch").expect(200).json();
    assert_eq!((&found["items"][0]["sku"], &found["items"][0]["available_elsewhere"]), (&json!("LAMP"), &json!(13)));
    assert_eq!(host.get("pos", "/api/v1/items?code=0000000000000").expect(404).problem_code(), "unknown-code");
    assert_eq!(host.get("pos", "/api/v1/stock?sku=NONE").expect(404).problem_code(), "unknown-sku");
    assert_eq!(host.get("pos", "/api/v1/items?code=LAMP&till_id=x").expect(404).problem_code(), "unknown-till");
}

#[test]
fn a_person_scans_pays_and_prints() {
    let host = shop();
    let post = |path: &str, fields: &[(&str, &str)]| host.post_form("pos", &format!("/tills/bonn-1{path}"), fields);
    let page = |path: &str| host.get("pos", &format!("/tills/bonn-1{path}")).expect(200).text();

    assert_eq!(location(&host.get("pos", "/").expect(303)), "/tills/bonn-1", "one till needs no choice");
    assert_eq!(location(&post("/scan", &[("code", GTIN)]).expect(303)), "/tills/bonn-1");
    post("/scan", &[("code", "2*LAMP")]).expect(303);
    assert!(page("").contains("59,97\u{a0}€"), "{}", page(""));
    post("/lines", &[("sku", "LAMP"), ("change", "less")]).expect(303);
    assert!(page("").contains("39,98\u{a0}€"), "{}", page(""));
    assert!(post("/scan", &[("code", "nichts")]).expect(404).text().contains("Nichts gefunden zu „nichts“."));
    assert!(post("/scan", &[("code", "SHADE")]).expect(409).text().contains("hat in diesem Kanal keinen Preis"));
    assert!(post("/scan", &[("code", "schreib")]).expect(200).text().contains("name=\"sku\" value=\"LAMP\""));

    // Put aside for the next customer, and taken up again.
    post("/park", &[]).expect(303);
    let parked = page("");
    assert!(parked.contains("Den ersten Artikel scannen") && parked.contains("Geparkt"), "{parked}");
    let sale_id = parked.split("name=\"basket\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    post("/resume", &[("basket", &sale_id)]).expect(303);

    let pay = page("/pay");
    assert!(pay.contains(&format!("name=\"sale_id\" value=\"{sale_id}\"")) && pay.contains("value=\"3998\""), "{pay}");
    let pay_with = |total: &str, given: &str| {
        let fields = [
            ("sale_id", sale_id.as_str()),
            ("expected_total_minor", total),
            ("given", given),
            ("method", "cash"),
            ("goods", "in_hand"),
        ];
        post("/pay", &fields)
    };
    assert!(pay_with("3998", "30").expect(409).text().contains("Es fehlen noch: 9,98\u{a0}€"));
    assert!(pay_with("3998", "viel").expect(409).text().contains("Das ist kein Betrag: viel"));
    assert!(pay_with("3900", "50").expect(409).text().contains("Ein Preis hat sich geändert"));
    assert_eq!(level(&host), (10, 10));
    let receipt_path = format!("/tills/bonn-1/sales/{sale_id}");
    assert_eq!(location(&pay_with("3998", "50").expect(303)), receipt_path);
    assert_eq!(location(&pay_with("3998", "50").expect(303)), receipt_path, "a second tap leads to the same receipt");
    assert_eq!((level(&host), orders(&host).len()), ((8, 8), 1));

    let receipt = page(&format!("/sales/{sale_id}"));
    for part in ["bonn-1-000001", "Schreibtischlampe", "10,02\u{a0}€", "<dd>anna</dd>", "Bonn"] {
        assert!(receipt.contains(part), "{part} is missing in {receipt}");
    }
    assert!(page("").contains("Den ersten Artikel scannen"));
    assert!(page("/sales").contains("bonn-1-000001"));
    let stock = page(&format!("/stock?code={GTIN}"));
    assert!(stock.contains("Ulm") && stock.contains("hier: 8 · Bestand: 11"), "{stock}");
    let answer = host.get("pos", "/tills/bonn-1").expect(200);
    assert!(answer.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert!(host.get("pos", "/tills/none").expect(404).text().contains("Nicht gefunden"));
    host.get("pos", "/assets/style-0.1.0.css").expect(200);
}

#[test]
fn an_article_that_lost_its_price_can_be_removed() {
    let host = shop();
    let post = |path: &str, fields: &[(&str, &str)]| host.post_form("pos", &format!("/tills/bonn-1{path}"), fields);
    let gone = json!({ "prices": [{ "sku": "SHADE", "amount_minor": 500, "valid_to_ms": host.now_ms() + 60_000 }] });
    host.put_json("pricing", "/v1/prices:batch", &gone).expect(200);
    post("/scan", &[("code", "SHADE")]).expect(303);
    host.advance(std::time::Duration::from_secs(120));
    let page = host.get("pos", "/tills/bonn-1").expect(200).text();
    assert!(page.contains("Ein Artikel kann nicht verkauft werden") && page.contains("Lampenschirm"), "{page}");
    assert_eq!(location(&host.get("pos", "/tills/bonn-1/pay").expect(303)), "/tills/bonn-1");
    post("/lines", &[("sku", "SHADE"), ("change", "remove")]).expect(303);
    assert!(host.get("pos", "/tills/bonn-1").expect(200).text().contains("Den ersten Artikel scannen"));
}

#[test]
fn sales_at_the_same_time_share_neither_goods_nor_numbers() {
    let host = shop();
    let answers: Vec<Response> = thread::scope(|scope| {
        let buyers: Vec<_> = (0..6)
            .map(|buyer| {
                let host = &host;
                scope.spawn(move || sell(host, &sale(&format!("sale-000{buyer}"), "from_stock", 3, 20_000)))
            })
            .collect();
        buyers.into_iter().map(|buyer| buyer.join().unwrap()).collect()
    });
    let sold: Vec<Value> = answers.iter().filter(|answer| answer.status == 201).map(Response::json).collect();
    let refused = answers.iter().filter(|answer| answer.status == 409);
    assert!(refused.clone().all(|answer| answer.problem_code() == "insufficient-stock"), "{answers:?}");
    assert_eq!((sold.len(), refused.count()), (3, 3), "{answers:?}");
    let mut numbers: Vec<&str> = sold.iter().map(|receipt| receipt["receipt_number"].as_str().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, ["bonn-1-000001", "bonn-1-000002", "bonn-1-000003"]);
    assert_eq!((level(&host), orders(&host).len()), ((1, 1), 3));

    let same: Vec<Response> = thread::scope(|scope| {
        let taps: Vec<_> = (0..4)
            .map(|_| {
                let host = &host;
                scope.spawn(move || sell(host, &sale("one-sale", "in_hand", 1, 2000)))
            })
            .collect();
        taps.into_iter().map(|tap| tap.join().unwrap()).collect()
    });
    assert_eq!(same.iter().filter(|answer| answer.status == 201).count(), 1, "{same:?}");
    assert_eq!(same.iter().filter(|answer| answer.status == 200).count(), 3, "{same:?}");
    assert_eq!(level(&host), (0, 0));
}
