//! Makes the demo's merchant: installs the plugins as one revision, then fills the shop through the modules' own APIs.

use serde_json::{Value, json};

use super::catalogue::{DemoProduct, PRODUCTS};
use super::host::{DemoError, HostClient};
use crate::amazon::{AmazonSimulator, ListingInput};

/// The merchant's id.
pub const MERCHANT: &str = "demo";
/// Where goods for the web are.
pub const WAREHOUSE: &str = "warehouse";
/// The shop in town.
pub const STORE: &str = "berlin";
/// Its till.
pub const TILL: &str = "berlin-1";

/// Tokens that the demo's actors use.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    /// Fills and inspects the shop.
    pub(super) merchant: String,
    /// The tills.
    pub(super) till: String,
    /// For the person who looks at staff pages.
    pub(super) staff: String,
}

/// Creates the merchant and installs `packages`.
pub(super) async fn install(
    admin: &HostClient,
    packages: Vec<Vec<u8>>,
    amazon: &AmazonSimulator,
) -> Result<(), DemoError> {
    match admin.post("/api/v1/merchants", &json!({ "id": MERCHANT, "name": "Kontorhaus" })).await {
        Err(error) if error.status() != Some(409) => return Err(error),
        _ => {}
    }
    let mut changes = Vec::new();
    for bytes in packages {
        let package = admin.upload("/api/v1/packages", "application/vnd.kontor.plugin", bytes).await?;
        let plugin = package.get("plugin").and_then(Value::as_str).unwrap_or_default();
        let mut change = json!({ "kind": "install", "digest": package.get("digest"), "allow_downgrade": true, "grant": { "all": true } });
        if let (Some(members), Some(config)) = (change.as_object_mut(), configuration(plugin, amazon)) {
            members.insert("config".into(), config);
            if plugin == "amazon" {
                // The simulator listens on the loopback address without TLS.
                let grant = json!({ "all": true, "outbound": [{ "host": "127.0.0.1", "allow_http": true, "allow_private": true }] });
                members.insert("grant".into(), grant);
            }
        }
        changes.push(change);
    }
    let body = json!({ "changes": changes, "reason": "set up the demo" });
    admin.post(&format!("/api/v1/merchants/{MERCHANT}/revisions"), &body).await?;
    for (name, value) in amazon.secrets() {
        let path = format!("/api/v1/merchants/{MERCHANT}/plugins/amazon/secrets/{name}");
        admin.put(&path, &json!({ "value": value })).await?;
    }
    Ok(())
}

fn configuration(plugin: &str, amazon: &AmazonSimulator) -> Option<Value> {
    match plugin {
        "storefront" => Some(json!({
            "shop_name": "Kontorhaus", "tagline": "Good things for kitchen and home, since this morning.", "language": "en",
            "channel": "storefront", "country": "DE",
            "categories": ["Kitchen", "Home", "Pantry"],
        })),
        "pos" => Some(json!({
            "language": "en", "country": "DE", "channel": "pos",
            "tills": [{ "id": TILL, "name": "Till 1, Berlin", "location": STORE }],
        })),
        // The simulator's time runs faster than the real marketplace's, and so do its usage plans.
        "amazon" => Some(json!({
            "endpoint": amazon.base_url(), "token_endpoint": amazon.token_url(), "seller_id": amazon.seller_id(),
            "search_interval_ms": 1_000, "search_burst": 20, "overlap_seconds": 300,
        })),
        _ => None,
    }
}

/// Makes the tokens.
pub(super) async fn tokens(admin: &HostClient) -> Result<Tokens, DemoError> {
    let path = format!("/api/v1/merchants/{MERCHANT}/tokens");
    let create = async |name: &str, kind: &str, scopes: &[&str]| -> Result<String, DemoError> {
        let created = admin.post(&path, &json!({ "name": name, "kind": kind, "scopes": scopes })).await?;
        let secret = created.get("secret").and_then(Value::as_str);
        secret.map(str::to_owned).ok_or_else(|| DemoError::Other("the host made no token".into()))
    };
    Ok(Tokens {
        merchant: create("demo: back office", "token", &["*"]).await?,
        till: create("demo: till", "token", &["pos:sell"]).await?,
        staff: create("demo: you", "staff", &["*"]).await?,
    })
}

/// Fills the shop. Doing it again changes nothing but the stock, which is brought to what it was at first.
pub(super) async fn fill(merchant: &HostClient, amazon: &AmazonSimulator, run: &str) -> Result<(), DemoError> {
    let at = |plugin: &str, path: &str| format!("/m/{MERCHANT}/{plugin}{path}");
    for (id, name, kind) in [(WAREHOUSE, "Warehouse Hamburg", "warehouse"), (STORE, "Store Berlin", "store")] {
        let body = json!({ "name": name, "kind": kind, "time_zone": "Europe/Berlin" });
        merchant.put(&at("inventory", &format!("/v1/locations/{id}")), &body).await?;
    }
    // The buffer is what shop and till may sell of an article while the marketplace still shows the quantity of before.
    for (channel, locations, buffer) in
        [("storefront", vec![WAREHOUSE, STORE], 0), ("pos", vec![STORE, WAREHOUSE], 0), ("amazon", vec![WAREHOUSE], 10)]
    {
        let body = json!({ "locations": locations, "buffer": buffer });
        merchant.put(&at("inventory", &format!("/v1/channel-rules/{channel}")), &body).await?;
    }
    let products: Vec<Value> = PRODUCTS.iter().map(product).collect();
    let answer = merchant.post(&at("catalog", "/v1/products:batch"), &json!({ "products": products })).await?;
    refuse_refusals(&answer)?;

    let variants = || PRODUCTS.iter().flat_map(|product| product.variants);
    let prices: Vec<Value> = variants().map(|v| json!({ "sku": v.sku, "amount_minor": v.price_minor })).collect();
    merchant.put(&at("pricing", "/v1/prices:batch"), &json!({ "prices": prices })).await?;

    let counts: Vec<Value> = variants()
        .flat_map(|v| {
            [(WAREHOUSE, v.warehouse), (STORE, v.store)].map(|(location, counted)| {
            json!({ "sku": v.sku, "location": location, "counted": counted, "reference": format!("opening-{run}") })
        })
        })
        .collect();
    merchant.post(&at("inventory", "/v1/counts:batch"), &json!({ "counts": counts })).await?;

    let listings: Vec<Value> = variants()
        .map(|v| json!({ "channel": "amazon", "account": "default", "sku": v.sku, "external_id": v.sku, "active": true }))
        .collect();
    for product in PRODUCTS {
        for variant in product.variants {
            let title = if variant.value.is_empty() {
                product.title.to_owned()
            } else {
                format!("{}, {}", product.title, variant.value)
            };
            let product_type = "PRODUCT".to_owned();
            amazon.create_listing(ListingInput {
                sku: variant.sku.to_owned(),
                title,
                product_type,
                price_minor: None,
                quantity: None,
            });
        }
    }
    let answer = merchant.post(&at("catalog", "/v1/listings:batch"), &json!({ "listings": listings })).await?;
    refuse_refusals(&answer)
}

fn product(product: &DemoProduct) -> Value {
    let variants: Vec<Value> = product
        .variants
        .iter()
        .map(|variant| {
            let values: Vec<&str> = if product.option.is_empty() { Vec::new() } else { vec![variant.value] };
            json!({
                "sku": variant.sku, "title": variant.value, "option_values": values,
                "identifiers": [{ "kind": "gtin", "value": variant.gtin }],
            })
        })
        .collect();
    let options: Vec<&str> = if product.option.is_empty() { Vec::new() } else { vec![product.option] };
    json!({
        "id": product.id, "title": product.title, "description": product.description, "brand": product.brand,
        "category": product.category, "status": "active", "tax_class": product.tax_class, "options": options, "variants": variants,
    })
}

/// A batch takes or refuses each of its members: in the demo none may be refused.
fn refuse_refusals(answer: &Value) -> Result<(), DemoError> {
    let results = answer.get("results").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    match results.iter().find(|result| result.get("error").is_some_and(|error| !error.is_null())) {
        None => Ok(()),
        Some(refused) => Err(DemoError::Other(format!("the shop cannot be filled: {refused}"))),
    }
}
