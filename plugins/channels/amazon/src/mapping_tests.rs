//! What becomes of an order as Amazon tells it. The fixtures are our own, in the shapes of Orders 2026-01-01: several countries,
//! tax contained and on top, business buyers, fulfilment by Amazon, orders in every status.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::api::{Order, SearchAnswer, Status};
use crate::mapping::{Lookup, MappedOrder, MappingError, MappingSettings, State, Stock, map_order, version_ms};

struct Shop;

impl Lookup for Shop {
    fn sku(&self, seller_sku: &str) -> String {
        seller_sku.strip_prefix("AMZ-").unwrap_or(seller_sku).to_owned()
    }

    fn rate_basis_points(&self, sku: &str, country: &str) -> u32 {
        match (sku, country) {
            ("BOOK", "DE") => 700,
            (_, "DE") => 1_900,
            (_, "GB") => 2_000,
            _ => 0,
        }
    }
}

fn settings() -> MappingSettings {
    MappingSettings { country: "DE".into(), currency: "EUR".into(), stock_from_ms: 0 }
}

fn map(value: Value) -> Result<MappedOrder, MappingError> {
    let order: Order = serde_json::from_value(value).expect("the fixture has the shape of an order");
    map_order(&order, &settings(), &Shop)
}

fn money(amount: &str, currency: &str) -> Value {
    json!({ "amount": amount, "currencyCode": currency })
}

/// A German order of two lamps and a book with postage and a discount, as it is once it is paid.
fn german(status: &str) -> Value {
    json!({
        "orderId": "303-1111111-2222222",
        "orderAliases": [{ "aliasId": "OWN-77", "aliasType": "SELLER_ORDER_ID" }],
        "createdTime": "2026-03-01T10:00:00Z",
        "lastUpdatedTime": "2026-03-01T10:30:00Z",
        "programs": ["PRIME", "AMAZON_BUSINESS"],
        "salesChannel": { "channelName": "AMAZON", "marketplaceId": "A1PA6795UKMFR9", "marketplaceName": "Amazon.de" },
        "buyer": { "buyerName": "Lea Sommer", "buyerEmail": "abc@marketplace.example", "buyerPurchaseOrderNumber": "PO-5" },
        "recipient": { "deliveryAddress": {
            "name": "Lea Sommer", "companyName": "Sommer GmbH", "addressLine1": "Lindenallee 5", "addressLine2": "Hof", "addressLine3": "",
            "city": "Bremen", "postalCode": "28195", "countryCode": "de", "stateOrRegion": "", "phone": "+49 421 1",
        }},
        "proceeds": { "grandTotal": money("62.87", "EUR") },
        "fulfillment": {
            "fulfillmentStatus": status, "fulfilledBy": "MERCHANT", "fulfillmentServiceLevel": "STANDARD",
            "shipByWindow": { "earliestDateTime": "2026-03-01T10:30:00Z", "latestDateTime": "2026-03-03T10:30:00Z" },
        },
        "orderItems": [
            {
                "orderItemId": "11", "quantityOrdered": 2,
                "product": { "asin": "B000000001", "title": "Desk lamp", "sellerSku": "AMZ-LAMP", "price": { "unitPrice": money("19.99", "EUR") } },
                "proceeds": { "proceedsTotal": money("41.88", "EUR"), "breakdowns": [
                    { "type": "ITEM", "subtotal": money("39.98", "EUR") },
                    { "type": "SHIPPING", "subtotal": money("3.90", "EUR") },
                    { "type": "DISCOUNT", "subtotal": money("-2.00", "EUR"), "detailedBreakdowns": [
                        { "subtype": "ITEM", "value": money("-1.50", "EUR") }, { "subtype": "SHIPPING", "value": money("-0.50", "EUR") },
                    ]},
                ]},
                "fulfillment": { "quantityFulfilled": 0, "quantityUnfulfilled": 2 },
            },
            {
                "orderItemId": "12", "quantityOrdered": 1,
                "product": { "sellerSku": "BOOK", "price": { "unitPrice": money("18.00", "EUR") } },
                "proceeds": { "proceedsTotal": money("20.99", "EUR"), "breakdowns": [
                    { "type": "ITEM", "subtotal": money("18.00", "EUR") }, { "type": "GIFT_WRAP", "subtotal": money("2.99", "EUR") },
                ]},
            },
        ],
    })
}

fn check_sums(order: &MappedOrder) {
    for line in &order.lines {
        assert_eq!(line.net_minor + line.tax_minor, line.gross_minor, "{line:?}");
        assert_eq!(line.unit_price_minor * line.quantity - line.discount_minor, line.gross_minor, "{line:?}");
    }
    assert_eq!(order.shipping_net_minor + order.shipping_tax_minor, order.shipping_gross_minor);
    let sum: i64 = order.lines.iter().map(|line| line.gross_minor).sum();
    assert_eq!(sum + order.shipping_gross_minor, order.total_minor);
}

#[test]
fn a_paid_order_is_taken_to_the_cent() {
    let order = map(german("UNSHIPPED")).unwrap();
    check_sums(&order);
    assert_eq!((order.state, order.stock, order.total_minor), (State::Confirmed, Stock::Reserve, 6_287));
    let lamp = &order.lines[0];
    assert_eq!((lamp.line_id.as_str(), lamp.sku.as_str(), lamp.quantity), ("11", "LAMP", 2));
    assert_eq!(
        (lamp.unit_price_minor, lamp.discount_minor, lamp.gross_minor, lamp.tax_minor),
        (1_999, 150, 3_848, 614)
    );
    assert_eq!((order.shipping_gross_minor, order.shipping_tax_minor), (340, 54));
    let book = &order.lines[1];
    assert_eq!(
        (book.sku.as_str(), book.gross_minor, book.tax_minor, book.rate_basis_points),
        ("BOOK", 1_800, 118, 700)
    );
    let wrap = &order.lines[2];
    assert_eq!(
        (wrap.line_id.as_str(), wrap.sku.as_str(), wrap.gross_minor, wrap.stocked),
        ("12:gift-wrap", "AMAZON-GIFT-WRAP", 299, false)
    );
    let address = order.shipping_address.unwrap();
    assert_eq!(
        (address.line1.as_str(), address.line2.as_deref(), address.region, address.country.as_str()),
        ("Lindenallee 5", Some("Hof"), None, "DE")
    );
    assert_eq!(order.email.as_deref(), Some("abc@marketplace.example"));
    let attributes: BTreeMap<_, _> = order.attributes.into_iter().collect();
    for (name, value) in [
        ("amazon-status", "UNSHIPPED"),
        ("fulfilled-by", "MERCHANT"),
        ("marketplace-id", "A1PA6795UKMFR9"),
        ("programs", "PRIME,AMAZON_BUSINESS"),
        ("ship-by", "2026-03-03T10:30:00Z"),
        ("purchase-order", "PO-5"),
        ("seller-order-id", "OWN-77"),
    ] {
        assert_eq!(attributes.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(!attributes.contains_key("cancellation-requested"));
}

#[test]
fn a_pending_order_holds_stock_and_nothing_is_made_up_for_it() {
    for status in ["PENDING", "PENDING_AVAILABILITY"] {
        let mut value = german(status);
        let full = map(value.clone()).unwrap();
        for field in ["buyer", "recipient", "proceeds"] {
            value.as_object_mut().unwrap().remove(field);
        }
        for item in value["orderItems"].as_array_mut().unwrap() {
            item.as_object_mut().unwrap().remove("proceeds");
            item["product"].as_object_mut().unwrap().remove("price");
        }
        let order = map(value).unwrap();
        check_sums(&order);
        assert_eq!((order.state, order.stock, order.total_minor), (State::Pending, Stock::Reserve, 0));
        assert_eq!((&order.email, &order.shipping_address), (&None, &None));
        assert_eq!(order.lines.iter().map(|line| line.quantity).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(order.lines, full.lines, "what Amazon should not tell of a pending order is not believed either");
    }
}

#[test]
fn statuses_and_who_ships_decide_what_becomes_of_the_stock() {
    for (status, state) in [
        ("PENDING_AVAILABILITY", State::Pending),
        ("PENDING", State::Pending),
        ("UNSHIPPED", State::Confirmed),
        ("PARTIALLY_SHIPPED", State::Confirmed),
        ("SHIPPED", State::Confirmed),
        ("CANCELLED", State::Cancelled),
        ("UNFULFILLABLE", State::Cancelled),
    ] {
        assert_eq!(map(german(status)).unwrap().state, state, "{status}");
    }
    let mut by_amazon = german("SHIPPED");
    by_amazon["fulfillment"]["fulfilledBy"] = json!("AMAZON");
    assert_eq!(map(by_amazon).unwrap().stock, Stock::None);
    let order: Order = serde_json::from_value(german("UNSHIPPED")).unwrap();
    let later = MappingSettings { stock_from_ms: 1_900_000_000_000, ..settings() };
    assert_eq!(map_order(&order, &later, &Shop).unwrap().stock, Stock::None, "placed before the stock was counted");
}

#[test]
fn what_has_left_is_told_by_item() {
    let mut shipped = german("SHIPPED");
    shipped["orderItems"][0]["fulfillment"] = json!({ "quantityFulfilled": 2, "quantityUnfulfilled": 0 });
    shipped["packages"] = json!([
        { "packageReferenceId": "1", "carrier": "DHL", "trackingNumber": "JD1", "packageItems": [] },
        { "packageReferenceId": "2", "carrier": "DPD", "trackingNumber": "D2", "packageItems": [] },
    ]);
    let order = map(shipped.clone()).unwrap();
    assert_eq!(order.fulfilled, [("11".to_owned(), 2), ("12".to_owned(), 1)], "SHIPPED without counts means all of it");
    assert_eq!(order.parcel, Some(("DPD".to_owned(), "D2".to_owned())));
    shipped["fulfillment"]["fulfillmentStatus"] = json!("PARTIALLY_SHIPPED");
    assert_eq!(map(shipped).unwrap().fulfilled, [("11".to_owned(), 2)]);
}

#[test]
fn tax_on_top_is_told_from_tax_contained_by_amazons_own_total() {
    let item = |total: &str| {
        json!({
            "orderId": "114-0000000-0000001", "createdTime": "2026-03-10T14:00:00Z", "lastUpdatedTime": "2026-03-10T14:30:00Z",
            "salesChannel": { "channelName": "AMAZON", "marketplaceId": "ATVPDKIKX0DER" },
            "proceeds": { "grandTotal": money(total, "USD") },
            "fulfillment": { "fulfillmentStatus": "UNSHIPPED", "fulfilledBy": "MERCHANT" },
            "orderItems": [{
                "orderItemId": "1", "quantityOrdered": 3, "product": { "sellerSku": "POP", "price": { "unitPrice": money("13.33", "USD") } },
                "proceeds": { "proceedsTotal": money(total, "USD"), "breakdowns": [
                    { "type": "ITEM", "subtotal": money("39.99", "USD") }, { "type": "TAX", "subtotal": money("10.00", "USD") },
                ]},
            }],
        })
    };
    let on_top = map(item("49.99")).unwrap();
    check_sums(&on_top);
    let line = &on_top.lines[0];
    assert_eq!((line.net_minor, line.tax_minor, line.gross_minor), (3_999, 1_000, 4_999));
    assert_eq!((line.unit_price_minor, line.discount_minor), (1_667, 2), "49.99 is not divisible by three");
    let contained = map(item("39.99")).unwrap();
    check_sums(&contained);
    assert_eq!(
        (contained.lines[0].net_minor, contained.lines[0].tax_minor, contained.total_minor),
        (2_999, 1_000, 3_999)
    );
}

#[test]
fn what_no_category_explains_becomes_a_line_of_its_own() {
    let mut value = german("UNSHIPPED");
    value["proceeds"]["grandTotal"] = money("65.00", "EUR");
    let order = map(value).unwrap();
    check_sums(&order);
    assert_eq!(order.total_minor, 6_500);
    let rest = order.lines.last().unwrap();
    assert_eq!((rest.line_id.as_str(), rest.gross_minor, rest.stocked), ("adjustment", 213, false));
}

#[test]
fn currencies_without_minor_digits_are_not_multiplied() {
    let order = map(json!({
        "orderId": "250-0000000-0000001", "createdTime": "2026-03-10T14:00:00Z", "lastUpdatedTime": "2026-03-10T14:30:00Z",
        "salesChannel": { "channelName": "AMAZON", "marketplaceId": "A1VC38T7YXB528" },
        "proceeds": { "grandTotal": money("19940", "JPY") },
        "fulfillment": { "fulfillmentStatus": "SHIPPED", "fulfilledBy": "AMAZON" },
        "orderItems": [
            { "orderItemId": "1", "quantityOrdered": 1, "product": { "sellerSku": "A" }, "proceeds": { "proceedsTotal": money("5980", "JPY") } },
            { "orderItemId": "2", "quantityOrdered": 2, "product": { "sellerSku": "B", "price": { "unitPrice": money("6980", "JPY") } } },
        ],
    }))
    .unwrap();
    check_sums(&order);
    assert_eq!((order.currency.as_str(), order.total_minor, order.stock), ("JPY", 19_940, Stock::None));
}

#[test]
fn an_address_that_is_not_shown_is_no_address() {
    let mut value = german("UNSHIPPED");
    value["recipient"]["deliveryAddress"].as_object_mut().unwrap().remove("addressLine1");
    assert_eq!(map(value).unwrap().shipping_address, None);
}

#[test]
fn what_makes_no_order_is_refused_with_its_number_and_the_reason() {
    type Edit<'a> = &'a dyn Fn(&mut Value);
    let edits: [(Edit<'_>, &str); 6] = [
        (&|v| drop(v.as_object_mut().unwrap().remove("fulfillment")), "no fulfillment status"),
        (&|v| v["createdTime"] = json!("yesterday"), "`yesterday` is no RFC 3339 time"),
        (&|v| v["orderItems"][0]["product"]["sellerSku"] = json!(" "), "no seller SKU"),
        (
            &|v| v["orderItems"][1]["proceeds"]["breakdowns"][0]["subtotal"]["currencyCode"] = json!("USD"),
            "mixes EUR and USD",
        ),
        (&|v| v["proceeds"]["grandTotal"]["amount"] = json!("62.875"), "more digits than the currency"),
        (&|v| v["orderItems"][0]["quantityOrdered"] = json!(-1), "quantity -1"),
    ];
    for (edit, reason) in edits {
        let mut value = german("UNSHIPPED");
        edit(&mut value);
        let MappingError(text) = map(value).unwrap_err();
        assert!(text.starts_with("order 303-1111111-2222222: ") && text.contains(reason), "{text}");
    }
}

#[test]
fn a_search_answer_is_read_even_when_one_order_is_broken() {
    let answer: SearchAnswer = serde_json::from_value(json!({
        "orders": [german("PENDING"), { "orderId": "broken" }],
        "pagination": { "nextToken": "abc" }, "lastUpdatedBefore": "2026-03-01T11:00:00Z",
    }))
    .unwrap();
    assert_eq!(answer.orders.len(), 2);
    assert_eq!(answer.pagination.unwrap().next_token.as_deref(), Some("abc"));
    assert!(serde_json::from_value::<Order>(answer.orders[1].clone()).is_err());
}

/// The life of one order, version by version, as Amazon told it at the time.
fn history(statuses: &[(&str, i64, u64)]) -> Vec<Order> {
    statuses
        .iter()
        .map(|(status, fulfilled, second)| {
            let mut value = german(status);
            value["lastUpdatedTime"] = json!(
                kontor_sdk::Timestamp::from_ms(1_772_359_200_000 + second * 1_000).to_rfc3339().replace(".000", "")
            );
            value["orderItems"][0]["fulfillment"] = json!({ "quantityFulfilled": fulfilled });
            value["orderItems"][1]["fulfillment"] = json!({ "quantityFulfilled": 0 });
            serde_json::from_value(value).unwrap()
        })
        .collect()
}

#[test]
fn versions_within_one_second_are_ordered_by_progress() {
    let versions = history(&[
        ("PENDING", 0, 7),
        ("UNSHIPPED", 0, 7),
        ("PARTIALLY_SHIPPED", 1, 7),
        ("PARTIALLY_SHIPPED", 2, 7),
        ("CANCELLED", 0, 7),
    ]);
    let numbers: Vec<u64> = versions.iter().map(|order| version_ms(order).unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    assert!(numbers.iter().all(|number| number / 1_000 == numbers[0] / 1_000), "the second is Amazon's");
    assert!(Status::Pending < Status::Unshipped && Status::Shipped < Status::Cancelled);
}

/// Takes versions as the connector does: the newest number counts, whatever else comes.
fn settle(versions: &[Order]) -> BTreeMap<String, MappedOrder> {
    let mut orders: BTreeMap<String, MappedOrder> = BTreeMap::new();
    for order in versions {
        let mapped = map_order(order, &settings(), &Shop).unwrap();
        match orders.get(&mapped.external_id) {
            Some(known) if known.changed_at_ms >= mapped.changed_at_ms => {}
            _ => drop(orders.insert(mapped.external_id.clone(), mapped)),
        }
    }
    orders
}

proptest! {
    /// Replays, reorderings and losses that a later sweep makes good end in the same orders.
    #[test]
    fn any_order_of_versions_ends_the_same(
        picks in prop::collection::vec(0_usize..12, 0..60),
        gaps in prop::collection::vec(0_u64..3, 6),
        ends_cancelled in any::<bool>(),
    ) {
        let mut second = 0;
        let mut at = |index: usize| { second += gaps[index]; second };
        let mut life = vec![("PENDING_AVAILABILITY", 0, at(0)), ("PENDING", 0, at(1)), ("UNSHIPPED", 0, at(2))];
        if ends_cancelled {
            life.push(("CANCELLED", 0, at(3)));
        } else {
            life.extend([("PARTIALLY_SHIPPED", 1, at(3)), ("PARTIALLY_SHIPPED", 2, at(4)), ("SHIPPED", 2, at(5))]);
        }
        let versions = history(&life);
        let expected = settle(&versions);
        // Any choice of what was told, in any order and any number of times; the resweep tells the present state last.
        let mut told: Vec<Order> = picks.iter().filter_map(|pick| versions.get(*pick)).cloned().collect();
        told.push(versions.last().unwrap().clone());
        let reached = settle(&told);
        prop_assert_eq!(&reached, &expected);
        told.reverse();
        prop_assert_eq!(&settle(&told), &expected);
        told.extend(versions.clone());
        prop_assert_eq!(&settle(&told), &expected);
    }

    /// Whatever a marketplace adds up, our sums are its sums.
    #[test]
    fn sums_are_amazons_sums(
        items in prop::collection::vec((1_i64..9, 1_i64..50_000, 0_i64..900, 0_i64..500, 0_i64..2_000, any::<bool>()), 1..5),
        tip in 0_i64..300,
    ) {
        let euro = |minor: i64| money(&kontor_sdk::money::decimal(minor, "EUR"), "EUR");
        let mut grand_total = tip;
        let mut lines = Vec::new();
        for (index, (quantity, unit, shipping, discount, tax, on_top)) in items.iter().enumerate() {
            let goods = unit * quantity;
            let discount = (*discount).min(goods);
            let total = goods + shipping - discount + if *on_top { *tax } else { 0 };
            grand_total += total;
            let mut breakdowns = vec![
                json!({ "type": "ITEM", "subtotal": euro(goods) }),
                json!({ "type": "SHIPPING", "subtotal": euro(*shipping) }),
                json!({ "type": "DISCOUNT", "subtotal": euro(-discount) }),
            ];
            if *on_top {
                breakdowns.push(json!({ "type": "TAX", "subtotal": euro(*tax) }));
            }
            lines.push(json!({
                "orderItemId": index.to_string(), "quantityOrdered": quantity,
                "product": { "sellerSku": format!("S-{index}"), "price": { "unitPrice": euro(*unit) } },
                "proceeds": { "proceedsTotal": euro(total), "breakdowns": breakdowns },
            }));
        }
        let mut value = german("UNSHIPPED");
        value["orderItems"] = json!(lines);
        value["proceeds"]["grandTotal"] = euro(grand_total);
        let order = map(value).unwrap();
        check_sums(&order);
        prop_assert_eq!(order.total_minor, grand_total);
    }
}
