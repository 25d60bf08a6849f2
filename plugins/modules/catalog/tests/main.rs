//! The catalogue on the real engine.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

use kontor_testkit::{TestHost, TestRequest};
use serde_json::{Value, json};

fn host() -> TestHost {
    TestHost::builder().plugin(env!("CARGO_MANIFEST_DIR")).start()
}

fn lamp() -> Value {
    json!({
        "id": "lamp", "title": "Desk lamp", "brand": "Lumen", "category": "Home/Lighting", "options": ["Colour"],
        "variants": [
            { "sku": "L-RED", "title": "Red", "option_values": ["Red"], "weight_grams": 900,
              "identifiers": [{ "kind": "gtin", "value": "4006381333931" }] },
            { "sku": "L-BLUE", "title": "Blue", "option_values": ["Blue"] }
        ]
    })
}

fn simple(id: &str, title: &str) -> Value {
    json!({ "id": id, "title": title, "variants": [{ "sku": id.to_uppercase() }] })
}

fn batch(host: &TestHost, products: &[Value]) -> Vec<Value> {
    let answer = host.post_json("catalog", "/v1/products:batch", &json!({ "products": products })).expect(200);
    answer.json::<Value>()["results"].as_array().unwrap().clone()
}

#[test]
fn importing_twice_changes_nothing_the_second_time() {
    let host = host();
    assert_eq!(batch(&host, &[lamp()]), [json!({ "id": "lamp", "outcome": "created" })]);
    assert_eq!(batch(&host, &[lamp()]), [json!({ "id": "lamp", "outcome": "unchanged" })]);
    let mut dearer = lamp();
    dearer["description"] = json!("Warm light.");
    assert_eq!(batch(&host, &[dearer]), [json!({ "id": "lamp", "outcome": "updated" })]);
    let events = host.emitted("kontor.catalog.product-changed.v1");
    assert_eq!(events.len(), 2, "one for each change");
    let first: Value = serde_json::from_str(&events[0].payload).unwrap();
    assert_eq!(
        (events[0].key.as_str(), &first["outcome"], &first["skus"]),
        ("lamp", &json!("created"), &json!(["L-BLUE", "L-RED"]))
    );
}

#[test]
fn items_of_a_batch_are_taken_or_refused_by_themselves() {
    let host = host();
    let mut thief = simple("thief", "Thief");
    thief["variants"][0]["sku"] = json!("L-RED");
    let wrong = json!({ "id": "wrong", "title": "Wrong", "variants": [{ "sku": "W", "identifiers": [{ "kind": "gtin", "value": "4006381333932" }] }] });
    let results = batch(&host, &[lamp(), thief, wrong, simple("desk", "Desk")]);
    assert_eq!(results[1]["error"]["code"], "conflict");
    assert!(results[1]["error"]["detail"].as_str().unwrap().contains("product `lamp`"));
    assert_eq!(results[2]["error"]["code"], "invalid");
    assert_eq!(results[3]["outcome"], "created");
    host.get("catalog", "/v1/products/thief").expect(404);
    host.get("catalog", "/v1/products/desk").expect(200);
}

#[test]
fn variants_are_found_by_sku_and_by_every_form_of_their_gtin() {
    let host = host();
    batch(&host, &[lamp()]);
    for code in ["L-RED", "4006381333931", "04006381333931"] {
        let variant: Value = host.get("catalog", &format!("/v1/variants/{code}")).expect(200).json();
        assert_eq!(
            (&variant["variant_info"]["sku"], &variant["product_title"]),
            (&json!("L-RED"), &json!("Desk lamp")),
            "{code}"
        );
    }
    assert_eq!(host.get("catalog", "/v1/variants/NONE").problem_code(), "not-found");
}

#[test]
fn lists_are_paged_and_searched() {
    let host = host();
    let products: Vec<Value> = (0..25).map(|n| simple(&format!("p{n:02}"), &format!("Thing number {n:02}"))).collect();
    batch(&host, &products);
    batch(&host, &[lamp()]);
    let ids = |query: &str| {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let page: Value = host.get("catalog", &format!("/v1/products?{query}&cursor={cursor}")).expect(200).json();
            ids.extend(
                page["products"].as_array().unwrap().iter().map(|product| product["id"].as_str().unwrap().to_owned()),
            );
            match page["next_cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => return ids,
            }
        }
    };
    let all = ids("limit=7");
    assert_eq!((all.len(), all[0].as_str()), (26, "lamp"), "by title, every product once");
    assert_eq!(ids("text=thing&limit=4").len(), 25);
    assert_eq!(ids("text=THING%2017&limit=4"), ["p17"]);
    assert_eq!(ids("category=Home&limit=4"), ["lamp"]);
    assert_eq!(ids("text=lum%20desk&limit=4"), ["lamp"]);
    assert!(ids("status=archived&limit=4").is_empty());
    host.get("catalog", "/v1/products?limit=0").expect(422);
    host.get("catalog", "/v1/products?cursor=zz").expect(422);
    host.get("catalog", "/v1/products?colour=red").expect(400);
}

#[test]
fn listings_are_kept_by_account() {
    let host = host();
    batch(&host, &[lamp()]);
    let listing = |sku: &str, external_id: &str| json!({ "channel": "market", "sku": sku, "external_id": external_id, "active": true });
    let put = |listings: &[Value]| -> Value {
        host.post_json("catalog", "/v1/listings:batch", &json!({ "listings": listings })).expect(200).json::<Value>()["results"].clone()
    };
    let results =
        put(&[listing("L-RED", "X-1"), listing("L-BLUE", "X-1"), listing("NONE", "X-2"), listing("L-RED", "X-1")]);
    assert_eq!(
        [&results[0]["outcome"], &results[1]["error"]["code"], &results[2]["error"]["code"], &results[3]["outcome"]],
        [&json!("created"), &json!("conflict"), &json!("not-found"), &json!("unchanged")]
    );
    let page: Value = host.get("catalog", "/v1/listings?channel=market").expect(200).json();
    assert_eq!((page["listings"].as_array().unwrap().len(), &page["listings"][0]["account"]), (1, &json!("default")));
    assert_eq!(host.emitted("kontor.catalog.listing-changed.v1").len(), 1);
}

#[test]
fn what_is_misspelt_or_too_much_is_refused_with_its_place() {
    let host = host();
    let put = |body: &Value| host.post_json("catalog", "/v1/products:batch", body);
    let misspelt = put(&json!({ "products": [{ "id": "a", "titel": "A" }] })).expect(400);
    assert!(misspelt.text().contains("titel"), "{}", misspelt.text());
    let many: Vec<Value> = (0..251).map(|n| simple(&format!("p{n}"), "P")).collect();
    put(&json!({ "products": many })).expect(422);
    let body = host.put_json("catalog", "/v1/products/other", &lamp()).expect(422);
    assert!(body.text().contains("another product"));
    let text = host.send("catalog", TestRequest::new("POST", "/v1/products:batch").body("application/json", "{"));
    assert_eq!(text.expect(400).problem_code(), "bad-json");
}

#[test]
fn a_full_batch_fits_into_one_transaction() {
    let host = host();
    let products: Vec<Value> = (0..250)
        .map(|n| json!({ "id": format!("p{n}"), "title": format!("Assorted glass bottle number {n} with cork and label"), "category": "Home/Kitchen/Bottles",
            "options": ["Size"], "variants": (0..4).map(|v| json!({ "sku": format!("GB-{n}-{v}"), "option_values": [v.to_string()] })).collect::<Vec<_>>() }))
        .collect();
    assert!(batch(&host, &products).iter().all(|result| result["outcome"] == "created"));
    assert!(batch(&host, &products).iter().all(|result| result["outcome"] == "unchanged"));
}
