//! A merchant with a web shop, tills and an Amazon account, on a real host. What a customer, a cashier or Amazon does is a method.

use std::time::Duration;

use kontor_channels::amazon::{AmazonSimulator, FaultPlan, ListingInput, SimulatorConfig};
use kontor_channels::demo::{DemoError, HostClient};
use serde_json::{Value, json};

use crate::{Host, packages};

const MERCHANT: &str = "acme";
const LOCATION: &str = "main";
const PLUGINS: [&str; 8] = [
    "plugins/modules/catalog",
    "plugins/modules/inventory",
    "plugins/modules/pricing",
    "plugins/modules/cart",
    "plugins/modules/orders",
    "plugins/channels/storefront",
    "plugins/channels/pos",
    "plugins/channels/amazon",
];
const TILLS: u64 = 4;

/// Something to sell.
#[derive(Clone, Copy, Debug)]
pub struct Article {
    /// Also the id of its product.
    pub sku: &'static str,
    /// Gross, EUR.
    pub price_minor: i64,
    /// How many there are.
    pub on_hand: i64,
}

/// Units in the orders of each channel that hold stock, and in those that wait for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sold {
    /// In the web shop.
    pub storefront: u64,
    /// At the tills.
    pub pos: u64,
    /// On Amazon.
    pub amazon: u64,
    /// Orders that Amazon took although there was nothing left.
    pub on_hold: u64,
}

impl Sold {
    /// In all channels.
    pub fn total(self) -> u64 {
        self.storefront + self.pos + self.amazon
    }
}

/// The merchant.
#[derive(Debug)]
pub struct Shop {
    /// Where the merchant's plugins run.
    pub host: Host,
    /// The marketplace.
    pub amazon: AmazonSimulator,
    token: String,
}

impl Shop {
    /// Installs the plugins in `host` and brings the `articles` to all channels.
    pub async fn open(host: Host, seed: u64, articles: &[Article]) -> Self {
        let config = SimulatorConfig { speed: 200, faults: FaultPlan::rough(), ..SimulatorConfig::new(seed) };
        let amazon = AmazonSimulator::start(config).await.unwrap();
        host.run(&["merchant", "create", MERCHANT]);
        let token = host.run_json(&["token", "create", "tests", "--scope", "*"]);
        let shop = Self { host, amazon, token: token["secret"].as_str().unwrap().to_owned() };
        shop.install(&PLUGINS).await;
        for (name, value) in shop.amazon.secrets() {
            let path = format!("/api/v1/merchants/{MERCHANT}/plugins/amazon/secrets/{name}");
            shop.host.admin.put(&path, &json!({ "value": value })).await.unwrap();
        }
        shop.fill(articles).await;
        shop
    }

    /// Installs plugins (directories of the source tree) as one revision.
    pub async fn install(&self, directories: &[&str]) {
        let mut changes = Vec::new();
        for bytes in packages(directories) {
            let package =
                self.host.admin.upload("/api/v1/packages", "application/vnd.kontor.plugin", bytes).await.unwrap();
            let mut change = json!({ "kind": "install", "digest": package["digest"], "grant": { "all": true } });
            match package["plugin"].as_str().unwrap() {
                "amazon" => {
                    let network = json!([{ "host": "127.0.0.1", "allow_http": true, "allow_private": true }]);
                    change["grant"] = json!({ "all": true, "outbound": network });
                    change["config"] = json!({
                        "endpoint": self.amazon.base_url(), "token_endpoint": self.amazon.token_url(),
                        "seller_id": self.amazon.seller_id(),
                        "search_interval_ms": 1_000, "search_burst": 20, "overlap_seconds": 300,
                    });
                }
                "pos" => {
                    let tills =
                        (0..TILLS).map(|till| json!({ "id": till.to_string(), "name": "Till", "location": LOCATION }));
                    change["config"] = json!({ "country": "DE", "tills": tills.collect::<Vec<_>>() });
                }
                "storefront" => change["config"] = json!({ "shop_name": "Acme", "country": "DE" }),
                _ => {}
            }
            changes.push(change);
        }
        let path = format!("/api/v1/merchants/{MERCHANT}/revisions");
        self.host.admin.post(&path, &json!({ "changes": changes })).await.unwrap();
    }

    async fn fill(&self, articles: &[Article]) {
        let merchant = self.merchant();
        let at = |plugin: &str, path: &str| format!("/m/{MERCHANT}/{plugin}{path}");
        let location = json!({ "name": "Main", "kind": "store", "time_zone": "Europe/Berlin" });
        merchant.put(&at("inventory", &format!("/v1/locations/{LOCATION}")), &location).await.unwrap();
        for channel in ["storefront", "pos", "amazon"] {
            let rule = json!({ "locations": [LOCATION], "buffer": 0 });
            merchant.put(&at("inventory", &format!("/v1/channel-rules/{channel}")), &rule).await.unwrap();
        }
        if articles.is_empty() {
            return;
        }
        let of_each = |make: fn(&Article) -> Value| -> Vec<Value> { articles.iter().map(make).collect() };
        let products = of_each(|article| {
            json!({
                "id": article.sku.to_lowercase(), "title": format!("Article {}", article.sku), "status": "active",
                "variants": [{ "sku": article.sku }],
            })
        });
        accepted(merchant.post(&at("catalog", "/v1/products:batch"), &json!({ "products": products })).await);
        let prices = of_each(|article| json!({ "sku": article.sku, "amount_minor": article.price_minor }));
        accepted(merchant.put(&at("pricing", "/v1/prices:batch"), &json!({ "prices": prices })).await);
        let counts = of_each(
            |article| json!({ "sku": article.sku, "location": LOCATION, "counted": article.on_hand, "reference": "opening" }),
        );
        accepted(merchant.post(&at("inventory", "/v1/counts:batch"), &json!({ "counts": counts })).await);
        for article in articles {
            self.list_on_amazon(article.sku, article.on_hand).await;
        }
    }

    /// Offers an article on Amazon, and waits until it shows this quantity.
    pub async fn list_on_amazon(&self, sku: &str, quantity: i64) {
        self.amazon.create_listing(ListingInput {
            sku: sku.to_owned(),
            title: sku.to_owned(),
            product_type: "PRODUCT".to_owned(),
            price_minor: None,
            quantity: None,
        });
        let listing =
            json!({ "channel": "amazon", "account": "default", "sku": sku, "external_id": sku, "active": true });
        let path = self.at("catalog", "/v1/listings:batch");
        accepted(self.merchant().post(&path, &json!({ "listings": [listing] })).await);
        let shown = eventually(async || self.amazon.advertised(sku) == quantity).await;
        assert!(shown, "Amazon shows {} of {sku}, not {quantity}\n{}", self.amazon.advertised(sku), self.host.log());
    }

    /// Everything that a merchant's back office may do.
    pub fn merchant(&self) -> HostClient {
        self.host.admin.with_token(&self.token)
    }

    /// Somebody who only looks at the shop.
    pub fn visitor(&self) -> HostClient {
        self.host.admin.with_token("")
    }

    /// The path of a plugin's route.
    pub fn at(&self, plugin: &str, path: &str) -> String {
        format!("/m/{MERCHANT}/{plugin}{path}")
    }

    /// A cart that is ready to be placed, and its total.
    pub async fn filled_cart(&self, sku: &str, quantity: i64) -> Result<(String, i64), DemoError> {
        let visitor = self.visitor();
        let carts = self.at("storefront", "/api/v1/carts");
        let cart = visitor.post(&carts, &json!({})).await?;
        let cart = format!("{carts}/{}", cart["id"].as_str().unwrap());
        visitor.post(&format!("{cart}/lines"), &json!({ "sku": sku, "quantity": quantity })).await?;
        let address = json!({
            "name": "Ada Example", "line1": "Speicherstadt 1", "postal_code": "20457", "city": "Hamburg", "country": "DE",
        });
        visitor.put(&format!("{cart}/delivery"), &json!({ "email": "ada@example.com", "address": address })).await?;
        let priced = visitor.put(&format!("{cart}/shipping"), &json!({ "shipping_option": "standard" })).await?;
        Ok((cart, priced["totals"]["total_minor"].as_i64().unwrap()))
    }

    /// Places a filled cart.
    pub async fn place(&self, (cart, total_minor): &(String, i64)) -> Result<Value, DemoError> {
        let payment = json!({ "payment": { "method": "invoice", "expected_total_minor": total_minor } });
        self.visitor().post(&format!("{cart}/place"), &payment).await
    }

    /// Buys in the web shop: five requests.
    pub async fn buy(&self, sku: &str, quantity: i64) -> Result<Value, DemoError> {
        let cart = self.filled_cart(sku, quantity).await?;
        self.place(&cart).await
    }

    /// Sells at a till, from the stock on the shelf. The same name is the same sale.
    pub async fn sell(&self, sale: &str, article: &Article, quantity: i64) -> Result<Value, DemoError> {
        let till = sale.bytes().map(u64::from).sum::<u64>() % TILLS;
        let sale = json!({
            "till_id": till.to_string(), "sale_id": format!("sale-{sale}"), "location": LOCATION, "goods": "from_stock",
            "lines": [{ "sku": article.sku, "quantity": quantity }],
            "tenders": [{ "method": "card", "amount_minor": article.price_minor * quantity }],
        });
        self.merchant().post(&self.at("pos", "/api/v1/sales"), &sale).await
    }

    /// Has the merchant look for Amazon's orders until all of them are known.
    pub async fn fetch_amazon_orders(&self) {
        let merchant = self.merchant();
        let mut last = (self.amazon.summary(), Vec::new());
        let all_known = eventually(async || {
            // A sweep may meet one of the marketplace's faults; the next one goes on.
            let _ = merchant.post(&self.at("amazon", "/v1/sweep"), &json!({})).await;
            last = (self.amazon.summary(), self.orders("amazon").await);
            let owed = last.0.orders_placed - last.0.orders_cancelled;
            let known = |order: &&Value| ["placed", "completed", "on_hold"].contains(&status(order));
            last.1.iter().filter(known).count() as u64 >= owed
        });
        assert!(all_known.await, "the merchant does not know of all of Amazon's orders: {last:?}\n{}", self.host.log());
    }

    /// All orders of a channel.
    pub async fn orders(&self, channel: &str) -> Vec<Value> {
        let merchant = self.merchant();
        let (mut orders, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/orders?channel={channel}&limit=250{cursor}");
            let page = merchant.get(&self.at("orders", &path)).await.unwrap();
            orders.extend(page["orders"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return orders,
            }
        }
    }

    /// What the books say was sold.
    pub async fn sold(&self) -> Sold {
        let units = |orders: &[Value]| -> u64 {
            let holding = orders.iter().filter(|order| ["placed", "completed"].contains(&status(order)));
            holding.map(|order| order["units"].as_u64().unwrap()).sum()
        };
        let amazon = self.orders("amazon").await;
        Sold {
            storefront: units(&self.orders("storefront").await),
            pos: units(&self.orders("pos").await),
            amazon: units(&amazon),
            on_hold: amazon.iter().filter(|order| status(order) == "on_hold").count() as u64,
        }
    }

    /// On hand less reserved, as the stock projection has it.
    pub async fn unsold(&self, sku: &str) -> i64 {
        let levels = self.merchant().get(&self.at("inventory", &format!("/v1/levels?sku={sku}"))).await.unwrap();
        let number = |level: &Value, name: &str| level[name].as_i64().unwrap();
        levels["levels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|level| number(level, "on_hand") - number(level, "reserved"))
            .sum()
    }

    /// The stock projection must be what the ledger says.
    pub async fn assert_ledger_is_projection(&self) {
        let verified = self.merchant().get(&self.at("inventory", "/v1/verify")).await.unwrap();
        assert_eq!(verified["discrepancies"], json!([]), "{verified}");
        assert_eq!(verified["next_cursor"], Value::Null, "{verified}");
    }

    /// The same shop after its host was killed and started again.
    #[must_use]
    pub fn after_a_crash(self) -> Self {
        Self { host: self.host.crash_and_restart(), ..self }
    }
}

fn status(order: &Value) -> &str {
    order["status"].as_str().unwrap()
}

/// A batch takes or refuses each of its members: here none may be refused.
fn accepted(answer: Result<Value, DemoError>) {
    let answer = answer.unwrap();
    for result in answer["results"].as_array().into_iter().flatten() {
        assert!(result["error"].is_null(), "{result}");
    }
}

/// Asks until it is so, or it has taken too long. What a test waits for here happens in another process, on its own time.
async fn eventually(mut so: impl AsyncFnMut() -> bool) -> bool {
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    let asked = async {
        while !so().await {
            tick.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asked).await.is_ok()
}
