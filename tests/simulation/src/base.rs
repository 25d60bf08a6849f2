//! The shop before anything happens: every plugin installed, articles, prices and stock entered, the marketplace's listings told. Made
//! once per process through the plugins' own APIs; every run begins on a copy of what it left in the store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kontor_channels::amazon::{AmazonSimulator, Exchanged, ListingInput, SimulatorConfig};
use kontor_channels::clock::VirtualClock;
use kontor_core::ids::{MerchantId, PluginId};
use kontor_core::revision::InstalledPlugin;
use kontor_core::store::{Key, Value, Version};
use kontor_engine::{Engine, EngineOptions};
use kontor_store::{Batch, Engine as _, FaultPlan, MemoryEngine};
use kontor_testkit::{Recorded, Reply, TestHost};
use serde_json::json;

/// The article that everybody wants.
pub const LAMP: &str = "LAMP";
/// Another that is put into the same carts.
pub const MUG: &str = "MUG";
/// Units of the first there are.
pub const LAMPS: i64 = 10;
/// Units of the second there are.
pub const MUGS: i64 = 8;
/// What the first costs at the beginning, in cents.
pub const LAMP_MINOR: i64 = 1_999;
/// What the second costs.
pub const MUG_MINOR: i64 = 850;
/// Where all of it lies.
pub const LOCATION: &str = "main";
/// The tills.
pub const TILLS: [&str; 2] = ["main-1", "main-2"];
/// Under which the marketplace knows the first.
pub const LISTED_LAMP: &str = "AMZ-LAMP";
/// Where the marketplace is.
pub const ENDPOINT: &str = "https://amazon.test";

/// The chain of modules, and what sells through it.
const PLUGINS: [&str; 9] =
    ["catalog", "inventory", "pricing", "orders", "cart", "storefront", "pos", "amazon", "witness"];

/// See the module.
#[derive(Debug)]
pub struct Base {
    pub(crate) engine: Arc<Engine>,
    pub(crate) merchant: MerchantId,
    pub(crate) now_ms: u64,
    version: Version,
    entries: Vec<(Key, Value)>,
}

/// The names of the till and of its orders' numbers that belong to a revision: they come from two plugins' configurations, so a receipt
/// tells whether it saw a mixture of two revisions.
pub(crate) fn tagged(plugins: &mut BTreeMap<PluginId, InstalledPlugin>, tag: &str) {
    for (id, plugin) in plugins {
        match id.as_str() {
            "pos" => plugin.config["tills"] = tills(tag),
            "orders" => plugin.config["number_prefixes"] = json!({ "pos": tag }),
            _ => {}
        }
    }
}

fn tills(tag: &str) -> serde_json::Value {
    TILLS.iter().map(|till| json!({ "id": till, "name": tag, "location": LOCATION })).collect()
}

impl Base {
    /// Builds the plugins where needed, and the shop. Takes seconds, the first time minutes.
    pub fn new() -> Arc<Self> {
        // So much room that no answer is forgotten because of other runs in this process: the same seed is the same run.
        let options =
            EngineOptions { answers_bytes_max: 1 << 30, responses_bytes_max: 1 << 30, ..EngineOptions::default() };
        let engine = Engine::new(options).unwrap_or_else(|error| panic!("the engine: {error}"));
        let engine = Arc::new(engine);
        let clock = Arc::new(VirtualClock::new(0));
        let simulator = Arc::new(AmazonSimulator::without_network(SimulatorConfig::new(0), clock.clone()));
        let settings = json!({
            "endpoint": simulator.base_url(), "token_endpoint": simulator.token_url(),
            "seller_id": simulator.seller_id(), "product_type": "HOME",
        });
        let mut builder = TestHost::builder()
            .engine(engine.clone())
            .plugins(PLUGINS.map(folder))
            .config("pos", json!({ "tills": tills("R0") }))
            .config("orders", json!({ "number_prefixes": { "pos": "R0" } }))
            .config("witness", json!({ "failures_per_256": 24 }))
            .config("amazon", settings);
        for (name, value) in simulator.secrets() {
            builder = builder.secret("amazon", name, &value);
        }
        let host = builder.start();
        clock.advance(host.now_ms());
        let asked = Arc::clone(&simulator);
        host.on_with("*", &format!("{ENDPOINT}/*"), move |request| answer(&asked, request));
        simulator.create_listing(listing(None));
        stock_the_shelves(&host);
        host.run_until_idle();
        for _ in 0..4 {
            clock.advance(30_000);
            host.advance(Duration::from_secs(30));
            host.run_until_idle();
        }
        assert_eq!(simulator.advertised(LISTED_LAMP), LAMPS, "the marketplace was told");
        let mut entries = Vec::new();
        host.store()
            .export(&mut |key, value| {
                entries.push((key.to_vec(), Value::copy_from_slice(value)));
                Ok(())
            })
            .unwrap_or_else(|error| panic!("the store cannot be exported: {error}"));
        let version = host.store().last_version().unwrap_or_else(|error| panic!("the store's version: {error}"));
        Arc::new(Self { engine, merchant: host.merchant().clone(), now_ms: host.now_ms(), version, entries })
    }

    /// A store of its own with the shop in it.
    pub(crate) fn store(&self, faults: FaultPlan) -> Arc<MemoryEngine> {
        let store = MemoryEngine::new(FaultPlan::default());
        let writes = self.entries.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
        let made = store.apply(Batch { version: self.version, writes }).and_then(|()| store.sync());
        made.unwrap_or_else(|error| panic!("the store cannot be filled: {error}"));
        store.set_faults(faults);
        Arc::new(store)
    }
}

/// A plugin's folder, wherever the process was started.
fn folder(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folders = ["plugins/modules", "plugins/channels", "tests/conformance/plugins"];
    let found = folders.iter().map(|folder| root.join(folder).join(name)).find(|path| path.is_dir());
    found.unwrap_or_else(|| panic!("there is no plugin `{name}`")).display().to_string()
}

/// The marketplace's listing of the lamp.
pub(crate) fn listing(quantity: Option<i64>) -> ListingInput {
    ListingInput {
        sku: LISTED_LAMP.into(),
        title: "Desk lamp".into(),
        product_type: "HOME".into(),
        price_minor: quantity.map(|_| LAMP_MINOR),
        quantity,
    }
}

fn stock_the_shelves(host: &TestHost) {
    let place = json!({ "name": "Main", "kind": "warehouse", "time_zone": "Europe/Berlin", "active": true });
    host.put_json("inventory", &format!("/v1/locations/{LOCATION}"), &place).expect(200);
    for channel in ["storefront", "pos", "amazon"] {
        let rule = json!({ "locations": [LOCATION], "buffer": 0, "maximum": null });
        host.put_json("inventory", &format!("/v1/channel-rules/{channel}"), &rule).expect(200);
    }
    for (id, sku) in [("lamp", LAMP), ("mug", MUG)] {
        let product = json!({ "title": id, "status": "active", "tax_class": "standard", "variants": [{ "sku": sku }] });
        host.put_json("catalog", &format!("/v1/products/{id}"), &product).expect(200);
    }
    let prices =
        [(LAMP, LAMP_MINOR), (MUG, MUG_MINOR)].map(|(sku, minor)| json!({ "sku": sku, "amount_minor": minor }));
    host.put_json("pricing", "/v1/prices:batch", &json!({ "prices": prices })).expect(200);
    let counts = [(LAMP, LAMPS), (MUG, MUGS)].map(|(sku, counted)| {
        json!({ "sku": sku, "location": LOCATION, "counted": counted, "expected": null, "reference": "opening" })
    });
    host.post_json("inventory", "/v1/counts:batch", &json!({ "counts": counts })).expect(200);
    let listing = json!({ "channel": "amazon", "sku": LAMP, "external_id": LISTED_LAMP, "active": true });
    let listed = host.post_json("catalog", "/v1/listings:batch", &json!({ "listings": [listing] }));
    assert!((200..300).contains(&listed.status), "{}", listed.text());
}

/// The marketplace while the shop is made: a good day.
fn answer(simulator: &AmazonSimulator, request: &Recorded) -> Reply {
    let target = request.url.strip_prefix(ENDPOINT).unwrap_or(&request.url);
    let mut headers = request.headers.clone();
    headers.push(("user-agent".to_owned(), "kontor".to_owned()));
    match simulator.exchange(&request.method, target, &headers, request.body.clone()) {
        Ok(Exchanged::Answer { status, body, .. }) => Reply::new(status, "application/json", body),
        Ok(Exchanged::Broken | Exchanged::TimedOut) | Err(_) => Reply::broken(),
    }
}
