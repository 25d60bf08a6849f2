//! Tests of the cart over a world in memory.

use super::*;
use crate::delivery::tests::address;
use crate::quote::{QuoteLine, TaxTotal};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};

/// A small shop: two lamps, a draft, and whatever the test takes away.
struct Shop {
    carts: RefCell<BTreeMap<String, Cart>>,
    stock: RefCell<BTreeMap<String, i64>>,
    orders: RefCell<BTreeMap<String, Order>>,
    prices: RefCell<BTreeMap<String, i64>>,
    has_catalogue: bool,
    counts_stock: bool,
    orders_fail: Cell<bool>,
    config: Config,
}

impl Shop {
    fn new() -> Self {
        let map = |pairs: &[(&str, i64)]| pairs.iter().map(|(sku, value)| ((*sku).to_owned(), *value)).collect();
        let option = |id: &str, price_minor, free_from_minor, countries: &[&str]| ShippingOption {
            id: id.into(),
            name: id.into(),
            currency: "EUR".into(),
            price_minor,
            free_from_minor,
            countries: countries.iter().map(|country| (*country).to_owned()).collect(),
        };
        Self {
            carts: RefCell::default(),
            stock: RefCell::new(map(&[("LAMP", 10), ("DESK", 3), ("DRAFT", 5)])),
            orders: RefCell::default(),
            prices: RefCell::new(map(&[("LAMP", 1000), ("DESK", 20_000), ("DRAFT", 1)])),
            has_catalogue: true,
            counts_stock: true,
            orders_fail: Cell::new(false),
            config: Config {
                shipping_options: vec![
                    option("standard", 490, Some(5000), &["DE", "AT"]),
                    option("express", 990, None, &["DE"]),
                ],
                default_tax_class: "standard".into(),
                retention_days: 30,
            },
        }
    }

    fn ready(&self, lines: &[(&str, i64)]) -> String {
        let id = create(self, "web", "DE").unwrap().cart.id;
        for (sku, quantity) in lines {
            add_line(self, &id, sku, *quantity).unwrap();
        }
        set_delivery(self, &id, "ada@example.com", address("DE")).unwrap();
        set_shipping(self, &id, "standard").unwrap();
        id
    }
}

impl World for Shop {
    fn now_ms(&self) -> u64 {
        1_000
    }
    fn config(&self) -> Result<Config, Error> {
        Ok(self.config.clone())
    }
    fn cart(&self, id: &str) -> Result<Option<Cart>, Error> {
        Ok(self.carts.borrow().get(id).cloned())
    }
    fn put_cart(&self, cart: &Cart) -> Result<(), Error> {
        self.carts.borrow_mut().insert(cart.id.clone(), cart.clone());
        Ok(())
    }
    fn new_id(&self) -> String {
        format!("cart-{}", self.carts.borrow().len())
    }
    fn currency(&self, _channel: &str) -> Result<String, Error> {
        Ok("EUR".into())
    }
    fn variants(&self, skus: &[String]) -> Result<Option<BTreeMap<String, Variant>>, Error> {
        let variant = |sku: &String| Variant {
            title: format!("The {sku}"),
            image_url: Some(format!("/{sku}.png")),
            tax_class: "standard".into(),
            for_sale: sku != "DRAFT",
        };
        let known = ["LAMP", "DESK", "DRAFT"];
        let found =
            skus.iter().filter(|sku| known.contains(&sku.as_str())).map(|sku| (sku.clone(), variant(sku))).collect();
        Ok(self.has_catalogue.then_some(found))
    }
    fn quote(&self, _cart: &Cart, lines: &[PriceLine], shipping_minor: i64) -> Result<Quote, Error> {
        let line = |line_id: &str, sku: &str, quantity: i64, unit: i64| QuoteLine {
            line_id: line_id.into(),
            sku: sku.into(),
            quantity,
            unit_price_minor: unit,
            discount_minor: 0,
            net_minor: unit * quantity,
            tax_minor: 0,
            gross_minor: unit * quantity,
            rate_basis_points: 0,
        };
        let mut quoted = Vec::new();
        for priced in lines {
            let price = self
                .prices
                .borrow()
                .get(&priced.sku)
                .copied()
                .ok_or_else(|| Error::Invalid(format!("`{}` has no price", priced.sku)))?;
            quoted.push(line(&priced.line_id, &priced.sku, priced.quantity, price));
        }
        let goods: i64 = quoted.iter().map(|line| line.gross_minor).sum();
        let total = goods + shipping_minor;
        Ok(Quote {
            currency: "EUR".into(),
            prices_are_gross: true,
            price_list: "default".into(),
            lines: quoted,
            shipping: line("shipping", "", 1, shipping_minor),
            tax_totals: vec![TaxTotal { rate_basis_points: 0, net_minor: total, tax_minor: 0, gross_minor: total }],
            goods_gross_minor: goods,
            discount_gross_minor: 0,
            shipping_gross_minor: shipping_minor,
            net_minor: total,
            tax_minor: 0,
            total_minor: total,
        })
    }
    fn short(&self, _channel: &str, sku: &str, wanted: i64) -> Result<Option<i64>, Error> {
        let available = self.stock.borrow().get(sku).copied().unwrap_or_default();
        Ok((self.counts_stock && available < wanted).then_some(available))
    }
    fn reserve(&self, cart: &Cart, expires_at_ms: u64) -> Result<Stock, Error> {
        assert!(expires_at_ms > self.now_ms());
        if !self.counts_stock {
            return Ok(Stock::Uncounted);
        }
        let mut stock = self.stock.borrow_mut();
        let short: Vec<(String, i64, i64)> = cart
            .lines
            .iter()
            .map(|line| (line.sku.clone(), line.quantity, stock.get(&line.sku).copied().unwrap_or_default()))
            .filter(|(_, wanted, there)| there < wanted)
            .collect();
        if !short.is_empty() {
            return Err(Error::Insufficient(short));
        }
        for line in &cart.lines {
            *stock.entry(line.sku.clone()).or_default() -= line.quantity;
        }
        Ok(Stock::Reservation(format!("hold-{}", cart.id)))
    }
    fn place(&self, order: &Order) -> Result<String, Error> {
        if self.orders_fail.get() {
            return Err(Error::Other("the orders module failed".into()));
        }
        self.orders.borrow_mut().insert(order.cart.id.clone(), order.clone());
        Ok(format!("order-{}", order.cart.id))
    }
}

fn by_invoice(expected_total_minor: Option<i64>) -> Payment {
    Payment { method: "invoice".into(), reference: None, expected_total_minor }
}

fn total(view: &View) -> Option<i64> {
    view.totals.as_ref().map(|quote| quote.total_minor)
}

#[test]
fn a_cart_becomes_one_order_however_often_it_is_placed() {
    let shop = Shop::new();
    let id = shop.ready(&[("LAMP", 2)]);
    assert_eq!(place(&shop, &id, by_invoice(Some(2490))), Ok(format!("order-{id}")));
    assert_eq!(
        place(&shop, &id, by_invoice(Some(1))),
        Ok(format!("order-{id}")),
        "again, whatever total is expected now"
    );
    assert_eq!(shop.stock.borrow()["LAMP"], 8);
    let order = shop.orders.borrow()[&id].clone();
    assert_eq!(
        (order.titles, order.quote.total_minor, order.stock),
        (vec!["The LAMP".to_owned()], 2490, Stock::Reservation(format!("hold-{id}")))
    );
    for change in [
        add_line(&shop, &id, "LAMP", 1),
        set_line(&shop, &id, "1", 0),
        set_shipping(&shop, &id, "express"),
        set_delivery(&shop, &id, "a@b.de", address("DE")),
    ] {
        assert_eq!(change.unwrap_err(), Error::Placed(format!("order-{id}")));
    }
    assert_eq!(get(&shop, &id).unwrap().cart.order_id, Some(format!("order-{id}")));
}

#[test]
fn quantities_of_a_sku_add_up_in_one_line() {
    let shop = Shop::new();
    let id = create(&shop, "web", "DE").unwrap().cart.id;
    add_line(&shop, &id, "LAMP", 4).unwrap();
    add_line(&shop, &id, "DESK", 1).unwrap();
    let view = add_line(&shop, &id, "LAMP", 6).unwrap();
    assert_eq!(
        view.lines.iter().map(|line| (line.line.sku.as_str(), line.line.quantity)).collect::<Vec<_>>(),
        [("LAMP", 10), ("DESK", 1)]
    );
    assert_eq!(
        add_line(&shop, &id, "LAMP", 1).unwrap_err(),
        Error::Insufficient(vec![("LAMP".into(), 11, 10)]),
        "the sum is checked, not the addition"
    );
    assert_eq!(set_line(&shop, &id, "1", 11).unwrap_err(), Error::Insufficient(vec![("LAMP".into(), 11, 10)]));
    assert_eq!(total(&set_line(&shop, &id, "1", 2).unwrap()), Some(22_000));
    let view = set_line(&shop, &id, "1", 0).unwrap();
    assert_eq!(view.lines.len(), 1);
    let view = add_line(&shop, &id, "LAMP", 1).unwrap();
    assert_eq!(view.lines[1].line.id, "3", "the id of a removed line is not used again");
    assert!(matches!(set_line(&shop, &id, "1", 1), Err(Error::NotFound(_))));
}

#[test]
fn what_cannot_be_bought_is_refused() {
    let shop = Shop::new();
    let id = create(&shop, "web", "DE").unwrap().cart.id;
    assert!(matches!(add_line(&shop, &id, "NONE", 1), Err(Error::NotFound(text)) if text.contains("NONE")));
    assert!(matches!(add_line(&shop, &id, "DRAFT", 1), Err(Error::Invalid(text)) if text.contains("not for sale")));
    for quantity in [0, -1, QUANTITY_MAX + 1, i64::MAX, i64::MIN] {
        assert!(matches!(add_line(&shop, &id, "LAMP", quantity), Err(Error::Invalid(_))), "{quantity}");
    }
    shop.prices.borrow_mut().remove("DESK");
    assert!(matches!(add_line(&shop, &id, "DESK", 1), Err(Error::Invalid(text)) if text.contains("no price")));
    assert!(matches!(add_line(&shop, "nowhere", "LAMP", 1), Err(Error::NotFound(_))));
    assert!(matches!(create(&shop, "web", "Germany"), Err(Error::Invalid(_))));
    assert!(matches!(create(&shop, "", "DE"), Err(Error::Invalid(_))));
}

#[test]
fn a_cart_with_something_that_is_no_longer_sold_can_be_seen_and_mended() {
    let shop = Shop::new();
    let id = shop.ready(&[("LAMP", 1), ("DESK", 1)]);
    shop.prices.borrow_mut().remove("DESK");
    let view = get(&shop, &id).unwrap();
    assert_eq!((view.lines.len(), view.totals), (2, None));
    assert!(place(&shop, &id, by_invoice(None)).is_err());
    assert_eq!(total(&set_line(&shop, &id, "2", 0).unwrap()), Some(1490));
    assert!(place(&shop, &id, by_invoice(None)).is_ok());
}

#[test]
fn shipping_follows_value_and_country() {
    let shop = Shop::new();
    let id = shop.ready(&[("LAMP", 4)]);
    assert_eq!(total(&get(&shop, &id).unwrap()), Some(4490));
    let prices = |id: &str| {
        shipping_options(&shop, id)
            .unwrap()
            .into_iter()
            .map(|option| (option.id, option.price_minor))
            .collect::<Vec<_>>()
    };
    assert_eq!(prices(&id), [("standard".to_owned(), 490), ("express".to_owned(), 990)]);
    add_line(&shop, &id, "LAMP", 1).unwrap();
    assert_eq!(total(&get(&shop, &id).unwrap()), Some(5000), "free from 50.00");
    assert_eq!(prices(&id), [("standard".to_owned(), 0), ("express".to_owned(), 990)]);
    set_shipping(&shop, &id, "express").unwrap();
    let view = set_delivery(&shop, &id, "ada@example.com", address("AT")).unwrap();
    assert_eq!((view.cart.country.as_str(), view.cart.shipping_method), ("AT", None), "express does not go there");
    assert!(
        matches!(set_shipping(&shop, &id, "express"), Err(Error::Invalid(text)) if text.contains("offered are: standard"))
    );
    assert!(
        matches!(place(&shop, &id, by_invoice(None)), Err(Error::Invalid(text)) if text.starts_with("shipping_method"))
    );
}

#[test]
fn placing_names_what_is_missing() {
    let shop = Shop::new();
    let id = create(&shop, "web", "DE").unwrap().cart.id;
    let refusal = |payment| match place(&shop, &id, payment) {
        Err(Error::Invalid(text)) => text.split(':').next().unwrap_or_default().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal(Payment { method: String::new(), ..by_invoice(None) }), "payment.method");
    assert_eq!(refusal(by_invoice(None)), "lines");
    add_line(&shop, &id, "LAMP", 1).unwrap();
    assert_eq!(refusal(by_invoice(None)), "shipping_address");
    set_delivery(&shop, &id, "ada@example.com", address("DE")).unwrap();
    assert_eq!(refusal(by_invoice(None)), "shipping_method");
    set_shipping(&shop, &id, "standard").unwrap();
    assert_eq!(place(&shop, &id, by_invoice(Some(1489))), Err(Error::TotalChanged(1490)));
    assert!(shop.orders.borrow().is_empty());
    assert_eq!(shop.stock.borrow()["LAMP"], 10, "nothing was held");
}

#[test]
fn stock_that_went_meanwhile_is_named_at_placing() {
    let shop = Shop::new();
    let id = shop.ready(&[("LAMP", 5)]);
    shop.stock.borrow_mut().insert("LAMP".into(), 4);
    assert_eq!(place(&shop, &id, by_invoice(None)), Err(Error::Insufficient(vec![("LAMP".into(), 5, 4)])));
    assert_eq!(get(&shop, &id).unwrap().cart.order_id, None);
}

#[test]
fn an_order_that_fails_leaves_the_cart_open() {
    let shop = Shop::new();
    let id = shop.ready(&[("LAMP", 1)]);
    shop.orders_fail.set(true);
    assert!(matches!(place(&shop, &id, by_invoice(None)), Err(Error::Other(_))));
    assert_eq!(get(&shop, &id).unwrap().cart.order_id, None);
    shop.orders_fail.set(false);
    assert!(place(&shop, &id, by_invoice(None)).is_ok());
}

#[test]
fn without_catalogue_and_inventory_it_sells_by_sku() {
    let shop = Shop { has_catalogue: false, counts_stock: false, ..Shop::new() };
    let id = shop.ready(&[("LAMP", 100)]);
    let view = get(&shop, &id).unwrap();
    assert_eq!((view.lines[0].title.as_str(), view.lines[0].image_url.as_deref()), ("LAMP", None));
    place(&shop, &id, by_invoice(None)).unwrap();
    assert_eq!(shop.orders.borrow()[&id].stock, Stock::Uncounted);
}

#[test]
fn without_ways_to_ship_none_is_chosen() {
    let mut shop = Shop::new();
    shop.config.shipping_options.clear();
    let id = create(&shop, "web", "DE").unwrap().cart.id;
    add_line(&shop, &id, "LAMP", 1).unwrap();
    set_delivery(&shop, &id, "ada@example.com", address("DE")).unwrap();
    assert!(place(&shop, &id, by_invoice(Some(1000))).is_ok());
}

#[test]
fn carts_are_bounded_and_forgotten() {
    let shop = Shop { has_catalogue: false, counts_stock: false, ..Shop::new() };
    let id = create(&shop, "web", "DE").unwrap().cart.id;
    for number in 0..LINES_MAX {
        shop.prices.borrow_mut().insert(format!("S{number}"), 1);
        add_line(&shop, &id, &format!("S{number}"), 1).unwrap();
    }
    assert!(matches!(add_line(&shop, &id, "LAMP", 1), Err(Error::Invalid(text)) if text.contains("100 lines")));
    assert!(add_line(&shop, &id, "S0", 1).is_ok());
    let cart = get(&shop, &id).unwrap().cart;
    assert!(!is_stale(&cart, 1_000 + 30 * DAY_MS - 1, 30) && is_stale(&cart, 1_000 + 30 * DAY_MS, 30));
    assert!(!is_stale(&cart, u64::MAX - 1, u64::MAX));
}

proptest! {
    #[test]
    fn whatever_is_done_to_a_cart_its_lines_stay_within_bounds(steps in prop::collection::vec((0..4_u8, 0..3_usize, -2..15_i64), 0..30)) {
        let shop = Shop::new();
        let id = create(&shop, "web", "DE").unwrap().cart.id;
        for (step, which, quantity) in steps {
            let _refused = match step {
                0 | 1 => add_line(&shop, &id, ["LAMP", "DESK", "DRAFT"][which], quantity),
                2 => set_line(&shop, &id, &(which + 1).to_string(), quantity),
                _ => set_delivery(&shop, &id, "ada@example.com", address("DE")),
            };
            let view = get(&shop, &id).unwrap();
            let skus: std::collections::BTreeSet<&str> = view.lines.iter().map(|line| line.line.sku.as_str()).collect();
            prop_assert_eq!(skus.len(), view.lines.len(), "one line for each SKU");
            for line in &view.lines {
                prop_assert!(line.line.quantity >= 1 && line.line.quantity <= shop.stock.borrow()[&line.line.sku]);
            }
            prop_assert_eq!(total(&view).is_some(), !view.lines.is_empty());
        }
        prop_assert_eq!(shop.stock.borrow()["LAMP"], 10, "a cart that is not placed holds nothing");
    }
}
