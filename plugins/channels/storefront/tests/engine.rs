//! The shop on the real engine, as a browser without script uses it: pages, forms, a cookie.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

use std::cell::RefCell;

use kontor_testkit::{Response, TestHost, TestRequest};
use serde_json::{Value, json};

/// Ten lamps at 19.99.
fn shop() -> TestHost {
    let host = TestHost::builder()
        .plugin(env!("CARGO_MANIFEST_DIR"))
        .plugins(["catalog", "pricing", "inventory", "cart", "orders"])
        .config("storefront", json!({ "shop_name": "Lampenladen", "language": "en", "country": "DE" }))
        .start();
    let lamp = json!({ "id": "lamp", "title": "Desk lamp <b>", "variants": [{ "sku": "LAMP" }] });
    host.post_json("catalog", "/v1/products:batch", &json!({ "products": [lamp] })).expect(200);
    price(&host, 1999);
    let place = json!({ "name": "Bonn", "kind": "warehouse", "time_zone": "Europe/Berlin" });
    host.put_json("inventory", "/v1/locations/bonn", &place).expect(200);
    host.put_json("inventory", "/v1/channel-rules/storefront", &json!({ "locations": ["bonn"] })).expect(200);
    let count = json!({ "sku": "LAMP", "location": "bonn", "counted": 10, "reference": "opening" });
    host.post_json("inventory", "/v1/counts:batch", &json!({ "counts": [count] })).expect(200);
    host
}

fn price(host: &TestHost, amount_minor: i64) {
    let prices = json!({ "prices": [{ "sku": "LAMP", "amount_minor": amount_minor }] });
    host.put_json("pricing", "/v1/prices:batch", &prices).expect(200);
}

fn orders(host: &TestHost) -> Vec<Value> {
    let list: Value = host.get("orders", "/v1/orders?channel=storefront").expect(200).json();
    list["orders"].as_array().unwrap().clone()
}

/// Keeps the shop's cookie and follows its redirects.
struct Browser<'a> {
    host: &'a TestHost,
    cookie: RefCell<String>,
}

impl<'a> Browser<'a> {
    fn new(host: &'a TestHost) -> Self {
        Self { host, cookie: RefCell::new(String::new()) }
    }

    fn send(&self, request: TestRequest) -> Response {
        let answer = self.host.send("storefront", request.header("cookie", &self.cookie.borrow()));
        if let Some(set) = answer.header("set-cookie") {
            *self.cookie.borrow_mut() = set.split(';').next().unwrap().to_owned();
        }
        answer
    }

    fn open(&self, path: &str) -> String {
        self.send(TestRequest::new("GET", path)).expect(200).text()
    }

    /// Sends a form; returns where the shop leads to.
    fn submit(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.send(TestRequest::new("POST", path).form(fields)).expect(303);
        answer.header("location").unwrap().split("/storefront").last().unwrap().to_owned()
    }

    /// Sends a form that is refused; returns the page that says so.
    fn refused(&self, path: &str, fields: &[(&str, &str)]) -> String {
        self.send(TestRequest::new("POST", path).form(fields)).expect(409).text()
    }

    fn to_the_review(&self, quantity: &str) {
        self.submit("/cart/lines", &[("sku", "LAMP"), ("quantity", quantity)]);
        assert_eq!(self.submit("/checkout", &ADDRESS), "/checkout/review");
    }
}

const ADDRESS: [(&str, &str); 6] = [
    ("email", "ada@example.com"),
    ("name", "Ada Example"),
    ("line1", "Speicherstadt 1"),
    ("postal_code", "20457"),
    ("city", "Hamburg"),
    ("country", "DE"),
];

#[test]
fn a_visitor_finds_a_product_and_buys_it() {
    let host = shop();
    let browser = Browser::new(&host);
    for path in ["/", "/search?q=lamp", "/products/lamp"] {
        let page = browser.open(path);
        assert!(page.contains("Desk lamp &lt;b&gt;") && page.contains("19.99"), "{path}: {page}");
    }

    assert_eq!(browser.submit("/cart/lines", &[("sku", "LAMP"), ("quantity", "2")]), "/cart");
    let cart = browser.open("/cart");
    assert!(cart.contains("39.98") && cart.contains("/products/lamp\""), "{cart}");
    assert!(browser.open("/checkout").contains("name=\"postal_code\""));
    let nowhere = browser
        .refused("/checkout", &[&ADDRESS[..3], &[("postal_code", ""), ("city", ""), ("country", "DE")]].concat());
    assert!(
        nowhere.contains("role=\"alert\"") && nowhere.contains("Speicherstadt 1"),
        "what was entered stays: {nowhere}"
    );
    assert_eq!(browser.submit("/checkout", &ADDRESS), "/checkout/review");
    let review = browser.open("/checkout/review");
    let total = between(&review, "name=\"expected_total_minor\" value=\"", "\"");
    let place = [("payment", "invoice"), ("expected_total_minor", total.as_str())];
    let thanks = browser.submit("/checkout/place", &place);
    assert_eq!(browser.submit("/checkout/place", &place), thanks, "a second click leads to the same order");
    let order = orders(&host);
    assert_eq!((order.len(), order[0]["total_minor"].to_string()), (1, total));
    assert!(browser.open(&thanks).contains(order[0]["number"].as_str().unwrap()));
    assert!(!browser.open("/cart").contains("LAMP"), "the cart is a new one");
}

#[test]
fn what_changed_meanwhile_is_shown_before_anything_is_bought() {
    let host = shop();
    let browser = Browser::new(&host);
    browser.to_the_review("1");
    let total = between(&browser.open("/checkout/review"), "name=\"expected_total_minor\" value=\"", "\"");
    price(&host, 2999);
    let page = browser.refused("/checkout/place", &[("payment", "invoice"), ("expected_total_minor", &total)]);
    assert!(page.contains("role=\"alert\"") && page.contains("29.99"), "{page}");
    assert_eq!(orders(&host).len(), 0);

    let greedy = Browser::new(&host);
    let page = greedy.refused("/cart/lines", &[("sku", "LAMP"), ("quantity", "11")]);
    assert!(page.contains("10"), "how many there are is said: {page}");
}

#[test]
fn a_cart_is_opened_with_lines_or_not_at_all() {
    let host = shop();
    let open = |lines: Value| host.post_json("storefront", "/api/v1/carts", &json!({ "lines": lines }));
    let cart: Value = open(json!([{ "sku": "LAMP", "quantity": 2 }, { "sku": "LAMP" }])).expect(201).json();
    assert_eq!((&cart["lines"][0]["quantity"], &cart["totals"]["goods_minor"]), (&json!(3), &json!(5997)));
    assert_eq!(cart["lines"].as_array().unwrap().len(), 1);
    let empty: Value = open(json!([])).expect(201).json();
    assert_eq!(empty["lines"], json!([]));

    let refused: Value = open(json!([{ "sku": "LAMP" }, { "sku": "LAMP", "quantity": 10 }])).expect(409).json();
    assert_eq!(refused["shortages"], json!([{ "sku": "LAMP", "requested": 11, "available": 10 }]));
    open(json!([{ "sku": "LAMP" }, { "sku": "NONE" }])).expect(404);
    open(json!([{ "sku": "LAMP", "quantity": 0 }])).expect(422);
    open(json!([{ "sku": "LAMP", "colour": "red" }])).expect(400);
    host.post_json("storefront", "/api/v1/carts", &json!({ "land": "DE" })).expect(400);
    host.send("storefront", TestRequest::new("POST", "/api/v1/carts")).expect(201);
}

/// Buys a lamp by the JSON API.
fn buy(host: &TestHost) {
    let api = |method: &str, path: &str, body: &Value| {
        let request = TestRequest::new(method, &format!("/api/v1/carts{path}")).json(body);
        host.send("storefront", request)
    };
    let cart: Value = api("POST", "", &json!({ "lines": [{ "sku": "LAMP" }] })).expect(201).json();
    let here = format!("/{}", cart["id"].as_str().unwrap());
    let address =
        json!({ "name": "Ada", "line1": "Am Hof 1", "postal_code": "53113", "city": "Bonn", "country": "DE" });
    let delivery = json!({ "email": "ada@example.com", "address": address });
    api("PUT", &format!("{here}/delivery"), &delivery).expect(200);
    let options: Value = api("GET", &format!("{here}/shipping-options"), &json!(null)).expect(200).json();
    let choice = json!({ "shipping_option": options[0]["id"] });
    let cart: Value = api("PUT", &format!("{here}/shipping"), &choice).expect(200).json();
    let payment = json!({ "method": "invoice", "expected_total_minor": cart["totals"]["total_minor"] });
    api("POST", &format!("{here}/place"), &json!({ "payment": payment })).expect(201);
}

#[test]
fn buyers_of_one_article_at_once_do_not_conflict() {
    let host = shop();
    let before = host.invocations().len();
    std::thread::scope(|scope| {
        for _ in 0..9 {
            scope.spawn(|| buy(&host));
        }
    });
    let requests: Vec<_> = host.invocations().split_off(before);
    assert_eq!(requests.len(), 45);
    assert_eq!(requests.iter().map(|report| report.conflicts).sum::<u32>(), 0);
    assert_eq!(orders(&host).len(), 9);
}

fn between(text: &str, before: &str, after: &str) -> String {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("{before} is not in {text}")).1;
    rest.split_once(after).unwrap().0.to_owned()
}
