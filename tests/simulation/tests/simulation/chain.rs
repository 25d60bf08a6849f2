//! A chain of calls, storefront -> cart -> catalogue, pricing, inventory, orders, that is made to fail at every link in every way that a
//! host can make a plugin fail: out of fuel or memory (it is stopped: a trap) after any part of its work, refused a read, a write, an
//! event or a call (it returns a service error) at any of them; and by a store that fails under it, and a provider that panics or
//! refuses after it has written. Whatever fails, the store is byte for byte what it was: not even bookkeeping of the host is left
//! behind. Whatever succeeds is wholly there.

use std::collections::BTreeMap;

use kontor_core::executor::HttpRequest;
use kontor_core::ids::{InvocationId, PluginId};
use kontor_core::limits::PluginLimits;
use kontor_core::records::RequestContext;
use kontor_core::transaction::Actor;
use kontor_store::{Engine as _, FaultPlan};
use kontor_testkit::{Response, TestHost};
use serde_json::{Value, json};

/// Plugins of the chain, the first called last.
const LINKS: [&str; 6] = ["orders", "inventory", "pricing", "catalog", "cart", "storefront"];
/// Parts of its work after which a plugin runs out of fuel.
const FUEL_PARTS: u64 = 12;
/// More points of failure than any plugin has.
const POINTS_MAX: u32 = 400;
/// Stock that no test sells out.
const PLENTY: i64 = 100_000;

/// By whom the cart is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// The shop: it answers with an error, and all is rolled back.
    Storefront,
    /// A caller that does not care, and commits: what the failed call did must be gone all the same.
    Careless,
}

impl Entry {
    fn plugin(self) -> &'static str {
        match self {
            Self::Storefront => "storefront",
            Self::Careless => "checkout",
        }
    }
}

type Dump = BTreeMap<Vec<u8>, Vec<u8>>;

struct Shop {
    host: TestHost,
    limits: BTreeMap<String, PluginLimits>,
}

impl Shop {
    fn new(orders: &str) -> Self {
        let host = TestHost::builder()
            // Every link is to be there to fail.
            .executing_every_call()
            .plugins(["catalog", "pricing", "inventory", orders, "cart", "storefront", "checkout"])
            .start();
        let lamp = json!({ "id": "lamp", "title": "Desk lamp", "variants": [{ "sku": "LAMP" }] });
        host.post_json("catalog", "/v1/products:batch", &json!({ "products": [lamp] })).expect(200);
        let prices = json!({ "prices": [{ "sku": "LAMP", "amount_minor": 1999 }] });
        host.put_json("pricing", "/v1/prices:batch", &prices).expect(200);
        let place = json!({ "name": "Main", "kind": "warehouse", "time_zone": "Europe/Berlin" });
        host.put_json("inventory", "/v1/locations/main", &place).expect(200);
        host.put_json("inventory", "/v1/channel-rules/storefront", &json!({ "locations": ["main"] })).expect(200);
        let count =
            json!({ "sku": "LAMP", "location": "main", "counted": PLENTY, "expected": null, "reference": "opening" });
        host.post_json("inventory", "/v1/counts:batch", &json!({ "counts": [count] })).expect(200);
        host.run_until_idle();
        let plugins = &host.revision().plugins;
        let limits = plugins.iter().map(|(id, plugin)| (id.to_string(), plugin.spec.limits)).collect();
        Self { host, limits }
    }

    /// A cart that only has to be placed.
    fn cart(&self) -> String {
        let cart: Value = self.host.post_json("storefront", "/api/v1/carts", &json!({})).expect(201).json();
        let id = cart["id"].as_str().unwrap().to_owned();
        let at = |rest: &str| format!("/api/v1/carts/{id}/{rest}");
        self.host.post_json("storefront", &at("lines"), &json!({ "sku": "LAMP", "quantity": 1 })).expect(200);
        let address = json!({ "name": "Ada Example", "line1": "Am Markt 1", "postal_code": "28195", "city": "Bremen", "country": "DE" });
        let delivery = json!({ "email": "ada@example.com", "address": address });
        self.host.put_json("storefront", &at("delivery"), &delivery).expect(200);
        self.host.put_json("storefront", &at("shipping"), &json!({ "shipping_option": "standard" })).expect(200);
        id
    }

    fn place(&self, entry: Entry, cart: &str, method: &str) -> Response {
        match entry {
            Entry::Storefront => {
                let body = json!({ "payment": { "method": method } });
                self.host.post_json("storefront", &format!("/api/v1/carts/{cart}/place"), &body)
            }
            Entry::Careless => {
                let body = json!({ "method": method, "reference": null, "expected_total_minor": null });
                self.host.post_json("checkout", &format!("/carts/{cart}/tries"), &body)
            }
        }
    }

    /// As [`Shop::place`], by the machine itself: the host of tests reads the store too, and gives up when it fails. The answer's status.
    fn place_below(&self, entry: Entry, cart: &str, number: usize) -> u16 {
        let (path, body) = match entry {
            Entry::Storefront => (format!("/api/v1/carts/{cart}/place"), json!({ "payment": { "method": "invoice" } })),
            Entry::Careless => (
                format!("/carts/{cart}/tries"),
                json!({ "method": "invoice", "reference": null, "expected_total_minor": null }),
            ),
        };
        let request = HttpRequest {
            method: "POST".to_owned(),
            path,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.to_string().into_bytes(),
            ..HttpRequest::default()
        };
        let context = RequestContext {
            invocation: InvocationId::new(&format!("below/{entry:?}/{number}")),
            actor: Actor::Public,
            scopes: Vec::new(),
            may_fetch: false,
            idempotency: None,
            admitted_by: None,
        };
        let plugin = PluginId::new(entry.plugin()).unwrap();
        let asked = self.host.machine().request(self.host.merchant(), &plugin, request, context);
        self.host.block_on(asked).map_or_else(|error| error.status(), |answer| answer.response.status)
    }

    /// Every key and value of the whole store.
    fn dump(&self) -> Dump {
        let mut dump = Dump::new();
        let visited = self.host.store().export(&mut |key, value| {
            dump.insert(key.to_vec(), value.to_vec());
            Ok(())
        });
        visited.unwrap();
        dump
    }

    /// Changes what a plugin may use; all others get what they asked for.
    fn limit(&self, plugin: &str, change: impl FnOnce(&mut PluginLimits)) {
        let current = self.host.revision();
        let mut plugins = current.plugins.clone();
        for (id, installed) in &mut plugins {
            installed.spec.limits = self.limits[id.as_str()];
        }
        let limited = plugins.iter_mut().find(|(id, _)| id.as_str() == plugin).unwrap().1;
        change(&mut limited.spec.limits);
        let switched = self.host.machine().switch(self.host.merchant(), current.number, plugins, "limits");
        self.host.block_on(switched).unwrap();
    }

    fn unlimited(&self) {
        self.limit("cart", |_| {});
    }

    /// What a plugin used in the last request: fuel and memory.
    fn used(&self, plugin: &str) -> (u64, u64) {
        let reports = self.host.invocations();
        let usage = &reports.last().unwrap().usage;
        usage.iter().find(|(id, _)| id.as_str() == plugin).map_or((0, 0), |(_, used)| (used.fuel, used.memory_bytes))
    }

    /// Tries to place the cart; whether it was placed. Either all of it is there, or nothing of it.
    fn is_placed_wholly_or_not_at_all(&self, entry: Entry, cart: &str, what: &str) -> bool {
        let before = self.dump();
        let answer = self.place(entry, cart, "invoice");
        let after = self.dump();
        if before == after {
            let told = answer.status < 300 && entry == Entry::Storefront;
            assert!(!told, "{what}: {} is told as placed and is not: {}", answer.status, answer.text());
            return false;
        }
        let changed: Vec<String> = after
            .iter()
            .filter(|(key, value)| before.get(*key) != Some(value))
            .map(|(key, _)| key.escape_ascii().to_string())
            .collect();
        assert!(answer.status < 300, "{what}: answered {} and left {changed:#?}", answer.status);
        self.unlimited();
        let shown: Value = self.host.get("storefront", &format!("/api/v1/carts/{cart}")).expect(200).json();
        let path = format!("/v1/order?channel=storefront&external_id={cart}");
        let order: Value = self.host.get("orders", &path).expect(200).json();
        assert_eq!((&shown["order_id"], &order["status"]), (&order["id"], &json!("placed")), "{what}: {changed:#?}");
        assert_eq!(order["lines"][0]["units"], json!([{ "state": "reserved", "quantity": 1 }]), "{what}");
        let verified: Value = self.host.get("inventory", "/v1/verify").expect(200).json();
        assert_eq!(verified["discrepancies"], json!([]), "{what}");
        true
    }

    /// Makes a plugin fail at its first use of something, its second and so on, until it is allowed enough. How often it failed.
    fn fails_until_enough(
        &self,
        entry: Entry,
        cart: &mut String,
        what: &str,
        plugin: &str,
        set: impl Fn(&mut PluginLimits, u32),
    ) -> u32 {
        for allowed in 0..POINTS_MAX {
            self.limit(plugin, |limits| set(limits, allowed));
            if self.is_placed_wholly_or_not_at_all(entry, cart, &format!("{plugin}, {what} {allowed}, {entry:?}")) {
                self.unlimited();
                *cart = self.cart();
                return allowed;
            }
        }
        panic!("{plugin} fails with {POINTS_MAX} {what}");
    }
}

#[test]
fn a_chain_that_fails_at_any_link_leaves_no_trace() {
    let shop = Shop::new("orders");
    for entry in [Entry::Storefront, Entry::Careless] {
        shop.unlimited();
        let cart = shop.cart();
        assert!(shop.is_placed_wholly_or_not_at_all(entry, &cart, "nothing fails"));
        // The look at the cart and the order came after; the placing is the last request with all of the chain in it.
        let mut cart = shop.cart();
        shop.place(entry, &cart, "invoice").expect(if entry == Entry::Storefront { 201 } else { 200 });
        let used: BTreeMap<&str, (u64, u64)> = LINKS.into_iter().map(|link| (link, shop.used(link))).collect();
        cart = shop.cart();
        let mut failures: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for link in LINKS.into_iter().filter(|link| entry == Entry::Storefront || *link != "storefront") {
            let (fuel, memory) = used[link];
            assert!(fuel > 0 && memory > 0, "{link} takes no part");
            // Stopped in the middle: a trap.
            for part in 0..FUEL_PARTS {
                shop.limit(link, |limits| limits.fuel = fuel * part / FUEL_PARTS);
                let what = format!("{link} out of fuel after {part}/{FUEL_PARTS}, {entry:?}");
                if shop.is_placed_wholly_or_not_at_all(entry, &cart, &what) {
                    // What comes after placing, the number on the answer, may fail.
                    assert!(link == "orders" && entry == Entry::Storefront, "{what} was placed");
                    shop.unlimited();
                    cart = shop.cart();
                } else {
                    *failures.entry((link, "fuel")).or_default() += 1;
                }
            }
            shop.limit(link, |limits| limits.memory_bytes = memory - 1);
            assert!(!shop.is_placed_wholly_or_not_at_all(entry, &cart, &format!("{link} out of memory")));
            *failures.entry((link, "memory")).or_default() += 1;
            // Refused: a service error.
            type Set = fn(&mut PluginLimits, u32);
            let refusals: [(&str, Set); 4] = [
                ("reads", |limits, allowed| limits.reads = allowed),
                ("writes", |limits, allowed| limits.writes = allowed),
                ("events", |limits, allowed| limits.events = allowed),
                ("jobs", |limits, allowed| limits.jobs = allowed),
            ];
            for (what, set) in refusals {
                let failed = shop.fails_until_enough(entry, &mut cart, what, link, set);
                failures.insert((link, what), failed);
            }
        }
        let what = "calls of the whole chain";
        let calls =
            shop.fails_until_enough(entry, &mut cart, what, entry.plugin(), |limits, n| limits.service_calls = n);
        failures.insert((entry.plugin(), what), calls);
        eprintln!("{entry:?}: {failures:?}");
        // Every link failed, those that write after every write, those that publish after every event.
        for ((link, what), least) in [
            (("orders", "writes"), 5),
            (("inventory", "writes"), 5),
            (("cart", "writes"), 1),
            (("orders", "events"), 1),
            (("inventory", "events"), 1),
            (("orders", "fuel"), 3),
            (("inventory", "fuel"), 12),
            (("pricing", "fuel"), 12),
            (("catalog", "fuel"), 12),
            (("cart", "fuel"), 12),
            (("pricing", "reads"), 1),
            (("catalog", "reads"), 1),
            ((entry.plugin(), what), 6),
        ] {
            let failed = failures.get(&(link, what)).copied().unwrap_or(0);
            assert!(failed >= least, "{link} failed at {failed} points of its {what}, not {least}: {failures:?}");
        }
    }
}

#[test]
fn a_provider_that_breaks_or_refuses_after_it_has_written_leaves_no_trace() {
    let shop = Shop::new("order-book");
    let cart = shop.cart();
    for entry in [Entry::Storefront, Entry::Careless] {
        for method in ["refused", "broken"] {
            let before = shop.dump();
            let answer = shop.place(entry, &cart, method);
            assert!(entry == Entry::Careless || answer.status >= 400, "{}", answer.text());
            assert_eq!(shop.dump(), before, "{entry:?} {method}: {}", answer.text());
        }
    }
    // The stand-in takes what it is not told to break.
    shop.place(Entry::Storefront, &cart, "invoice").expect(201);
    assert_eq!(shop.host.get("order-book", "/placed").expect(200).json::<Vec<Value>>().len(), 1);
}

#[test]
fn a_store_that_fails_under_the_chain_is_left_without_a_trace() {
    let shop = Shop::new("orders");
    // One read in so many fails: the first of them lies anywhere in the chain.
    let reads = (0..40_u32).map(|seed| FaultPlan {
        seed: u64::from(seed),
        read_unavailable_ppm: 30_000 + seed * 8_000,
        ..FaultPlan::default()
    });
    let commits = [
        FaultPlan { commit_unavailable_ppm: 1_000_000, ..FaultPlan::default() },
        FaultPlan { unknown_lost_ppm: 1_000_000, ..FaultPlan::default() },
        FaultPlan { conflict_ppm: 1_000_000, ..FaultPlan::default() },
    ];
    for entry in [Entry::Storefront, Entry::Careless] {
        let mut cart = shop.cart();
        let mut failed = 0;
        for (number, plan) in commits.into_iter().chain(reads.clone()).enumerate() {
            let before = shop.dump();
            shop.host.store().set_faults(plan);
            let status = shop.place_below(entry, &cart, number);
            shop.host.store().set_faults(FaultPlan::default());
            if shop.dump() == before {
                assert!(status >= 400 || entry == Entry::Careless, "{plan:?} {entry:?} answered {status}");
                failed += 1;
                continue;
            }
            // It got through: then all of it is there, and the next one needs another cart.
            assert!(status < 300, "{plan:?} {entry:?} answered {status} and left a trace");
            shop.host.get("orders", &format!("/v1/order?channel=storefront&external_id={cart}")).expect(200);
            cart = shop.cart();
        }
        assert!(failed >= 30, "only {failed} of 43 failed");
        shop.place(entry, &cart, "invoice").expect(if entry == Entry::Storefront { 201 } else { 200 });
    }
}
