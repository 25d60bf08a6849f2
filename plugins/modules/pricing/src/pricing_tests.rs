//! Tests of the rules over tables in memory.

use super::*;
use std::cell::{Cell, RefCell};

#[derive(Default)]
struct Memory {
    lists: RefCell<BTreeMap<String, PriceList>>,
    channels: RefCell<BTreeMap<String, String>>,
    windows: RefCell<BTreeMap<(String, String), Windows>>,
    notes: RefCell<Vec<(String, String, Window, u64)>>,
    rates: RefCell<BTreeMap<(String, String), TaxRate>>,
    keys_read: Cell<usize>,
}

impl Memory {
    fn reads(&self, keys: usize) {
        self.keys_read.set(self.keys_read.get() + keys);
    }
}

impl Tables for Memory {
    fn config(&self) -> Result<Config, Error> {
        let schema: serde_json::Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
        let default = |name: &str| schema["properties"][name]["default"].clone();
        let config = serde_json::json!({"default_list": default("default_list"), "tax_rates": default("tax_rates")});
        Ok(serde_json::from_value(config).unwrap())
    }
    fn list(&self, id: &str) -> Result<Option<PriceList>, Error> {
        self.reads(1);
        Ok(self.lists.borrow().get(id).cloned())
    }
    fn put_list(&self, list: &PriceList) -> Result<(), Error> {
        self.lists.borrow_mut().insert(list.id.clone(), list.clone());
        Ok(())
    }
    fn lists(&self) -> Result<Vec<PriceList>, Error> {
        Ok(self.lists.borrow().values().cloned().collect())
    }
    fn list_of_channel(&self, channel: &str) -> Result<Option<String>, Error> {
        self.reads(1);
        Ok(self.channels.borrow().get(channel).cloned())
    }
    fn put_list_of_channel(&self, channel: &str, list: &str) -> Result<(), Error> {
        self.channels.borrow_mut().insert(channel.into(), list.into());
        Ok(())
    }
    fn delete_list_of_channel(&self, channel: &str) -> Result<(), Error> {
        self.channels.borrow_mut().remove(channel);
        Ok(())
    }
    fn has_prices(&self, list: &str) -> Result<bool, Error> {
        Ok(self.windows.borrow().keys().any(|(id, _)| id == list))
    }
    fn windows(&self, list: &str, skus: &[String]) -> Result<Vec<Option<Windows>>, Error> {
        self.reads(skus.len());
        Ok(skus.iter().map(|sku| self.windows.borrow().get(&(list.to_owned(), sku.clone())).cloned()).collect())
    }
    fn put_windows(&self, list: &str, sku: &str, windows: &Windows) -> Result<(), Error> {
        self.windows.borrow_mut().insert((list.into(), sku.into()), windows.clone());
        Ok(())
    }
    fn note(&self, list: &str, sku: &str, window: &Window, now_ms: u64) -> Result<(), Error> {
        self.notes.borrow_mut().push((list.into(), sku.into(), *window, now_ms));
        Ok(())
    }
    fn rates(&self, country: &str, tax_classes: &[String]) -> Result<Vec<Option<TaxRate>>, Error> {
        self.reads(tax_classes.len());
        Ok(tax_classes.iter().map(|class| self.rates.borrow().get(&(country.into(), class.clone())).cloned()).collect())
    }
    fn all_rates(&self) -> Result<Vec<TaxRate>, Error> {
        Ok(self.rates.borrow().values().cloned().collect())
    }
    fn put_rate(&self, rate: &TaxRate) -> Result<(), Error> {
        self.rates.borrow_mut().insert((rate.country.clone(), rate.tax_class.clone()), rate.clone());
        Ok(())
    }
}

fn price(list: &str, sku: &str, amount_minor: i64) -> Price {
    Price { price_list: list.into(), sku: sku.into(), amount_minor, valid_from_ms: 0, valid_to_ms: None }
}

fn net_list(id: &str, channels: &[&str]) -> PriceList {
    PriceList {
        id: id.into(),
        name: "Trade".into(),
        currency: "EUR".into(),
        basis: PriceBasis::Net,
        tax_rounding: RoundingLevel::Line,
        rounding: RoundingMode::HalfUp,
        channels: channels.iter().map(|channel| (*channel).to_owned()).collect(),
    }
}

fn basket(channel: &str, lines: &[(&str, i64, &str)]) -> Basket {
    let line = |(index, (sku, quantity, tax_class)): (usize, &(&str, i64, &str))| LineInput {
        line_id: index.to_string(),
        sku: (*sku).into(),
        quantity: *quantity,
        tax_class: (*tax_class).into(),
        unit_price_minor: None,
    };
    let lines = lines.iter().enumerate().map(line).collect();
    Basket {
        channel: channel.into(),
        price_list: None,
        country: "DE".into(),
        lines,
        discount_minor: 0,
        shipping_minor: 0,
    }
}

#[test]
fn channels_sell_by_their_list_and_others_by_default() {
    let memory = Memory::default();
    upsert_list(&memory, &net_list("trade", &["b2b"])).unwrap();
    set_prices(&memory, &[price("default", "A", 1190), price("trade", "A", 1000)], 0).unwrap();
    let total = |channel| quote_basket(&memory, &basket(channel, &[("A", 1, "standard")]), || 0).unwrap();
    assert_eq!((total("web").total_minor, total("web").price_list), (1190, "default".into()));
    assert_eq!((total("b2b").total_minor, total("b2b").price_list), (1190, "trade".into()));
    assert_eq!(
        shelf_prices(&memory, "b2b", &["A".into(), "?".into()], || 0)
            .unwrap()
            .iter()
            .map(|p| p.amount_minor)
            .collect::<Vec<_>>(),
        [1000]
    );

    let taken = upsert_list(&memory, &net_list("other", &["b2b"])).unwrap_err();
    assert!(matches!(taken, Error::Invalid(text) if text.contains("`trade`")));
    upsert_list(&memory, &net_list("trade", &[])).unwrap();
    upsert_list(&memory, &net_list("other", &["b2b"])).unwrap();
    assert_eq!(list_of_channel(&memory, "b2b").unwrap().id, "other");
    assert_eq!(
        lists(&memory).unwrap().iter().map(|list| list.id.as_str()).collect::<Vec<_>>(),
        ["default", "other", "trade"]
    );
}

#[test]
fn prices_keep_their_currency() {
    let memory = Memory::default();
    assert_eq!(lists(&memory).unwrap()[0].currency, "EUR", "configured, not written");
    set_prices(&memory, &[price("default", "A", 1)], 0).unwrap();
    assert!(memory.lists.borrow().contains_key("default"), "the first price fixes the list's terms");
    let dollars = PriceList { currency: "USD".into(), ..lists(&memory).unwrap()[0].clone() };
    assert!(matches!(upsert_list(&memory, &dollars), Err(Error::Invalid(text)) if text.starts_with("currency")));
}

#[test]
fn setting_prices_tells_what_changed_now_and_what_will() {
    let memory = Memory::default();
    let set = set_prices(&memory, &[price("default", "A", 1000), price("default", "B", 500)], 50).unwrap();
    assert_eq!((set.changed, set.news.len(), set.due.len()), (2, 2, 0));
    assert_eq!(
        set_prices(&memory, &[price("default", "A", 1000)], 60).unwrap(),
        PricesSet::default(),
        "the same again is no news"
    );

    let sale = Price { valid_from_ms: 100, valid_to_ms: Some(200), ..price("default", "A", 800) };
    let set = set_prices(&memory, &[sale], 60).unwrap();
    assert_eq!((set.changed, set.news.len()), (1, 0), "a sale ahead of time changes nothing now");
    assert_eq!(set.due, [("default".to_owned(), "A".to_owned(), 100)]);
    for (now, amount, next) in [(100, Some(800), Some(200)), (200, Some(1000), None)] {
        let (news, due) = price_due(&memory, "default", "A", now).unwrap();
        assert_eq!((news.amount_minor, due), (amount, next), "at {now}");
    }
    assert_eq!(memory.notes.borrow().len(), 3);
    assert!(matches!(set_prices(&memory, &[price("nowhere", "A", 1)], 0), Err(Error::NotFound(_))));
    assert!(matches!(set_prices(&memory, &vec![price("default", "A", 1); 251], 0), Err(Error::Invalid(_))));
}

#[test]
fn what_is_missing_is_named() {
    let memory = Memory::default();
    set_prices(&memory, &[price("default", "A", 1000)], 0).unwrap();
    let refuse = |basket: Basket| quote_basket(&memory, &basket, || 0).unwrap_err();
    assert!(matches!(refuse(basket("web", &[("B", 1, "standard")])), Error::NotFound(text) if text.contains("`B`")));
    assert!(matches!(refuse(basket("web", &[("A", 1, "luxury")])), Error::NotFound(text) if text.contains("`luxury`")));
    assert!(
        matches!(refuse(Basket { country: "US".into(), ..basket("web", &[("A", 1, "standard")]) }), Error::NotFound(text) if text.contains("US"))
    );
    assert!(matches!(
        refuse(Basket { country: "Germany".into(), ..basket("web", &[("A", 1, "standard")]) }),
        Error::Invalid(_)
    ));
    assert!(matches!(
        refuse(Basket { price_list: Some("none".into()), ..basket("web", &[("A", 1, "standard")]) }),
        Error::NotFound(_)
    ));
    assert!(matches!(refuse(basket("web", &[])), Error::Invalid(_)));
}

#[test]
fn rates_that_are_set_win_over_configured_ones() {
    let memory = Memory::default();
    set_prices(&memory, &[price("default", "A", 1000)], 0).unwrap();
    let rate = |class: &str| {
        quote_basket(&memory, &basket("web", &[("A", 1, class)]), || 0).unwrap().lines[0].rate_basis_points
    };
    assert_eq!((rate("standard"), rate("reduced"), rate("zero")), (1900, 700, 0));
    let changed = TaxRate {
        country: "DE".into(),
        tax_class: "standard".into(),
        rate_basis_points: 1600,
        name: "MwSt. 16 %".into(),
    };
    set_rates(&memory, std::slice::from_ref(&changed)).unwrap();
    assert_eq!(rate("standard"), 1600);
    assert_eq!(
        rates(&memory)
            .unwrap()
            .iter()
            .filter(|rate| rate.country == "DE" && rate.tax_class == "standard")
            .collect::<Vec<_>>(),
        [&changed]
    );
    assert!(set_rates(&memory, &[TaxRate { rate_basis_points: 20_000, ..changed }]).is_err());
}

#[test]
fn a_price_that_someone_fixed_is_not_looked_up() {
    let memory = Memory::default();
    let mut fixed = basket("web", &[("UNKNOWN", 2, "standard")]);
    fixed.lines[0].unit_price_minor = Some(999);
    assert_eq!(quote_basket(&memory, &fixed, || 0).unwrap().total_minor, 1998);
}

#[test]
fn a_quote_reads_few_keys() {
    let memory = Memory::default();
    let prices: Vec<Price> = (0..200).map(|n| price("default", &format!("S{n}"), 100)).collect();
    set_prices(&memory, &prices, 0).unwrap();
    memory.keys_read.set(0);
    quote_basket(&memory, &basket("web", &[("S1", 1, "standard"), ("S2", 1, "standard"), ("S3", 1, "reduced")]), || 0)
        .unwrap();
    assert_eq!(memory.keys_read.get(), 1 + 1 + 3 + 2, "channel, list, three prices, two rates");
}
