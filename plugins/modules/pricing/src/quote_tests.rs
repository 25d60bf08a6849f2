//! Tests of the quote: vectors first, then what must hold for every basket.

use super::*;
use PriceBasis::{Gross, Net};
use RoundingLevel::{Document, Line, Unit};
use proptest::prelude::*;

fn terms(basis: PriceBasis, level: RoundingLevel) -> Terms {
    Terms { price_list: "default".into(), currency: "EUR".into(), basis, level, mode: RoundingMode::HalfUp }
}

fn line(id: &str, quantity: i64, unit_price_minor: i64, rate_basis_points: u32) -> PricedLine {
    PricedLine { line_id: id.into(), sku: format!("SKU-{id}"), quantity, unit_price_minor, rate_basis_points }
}

#[test]
fn single_lines_follow_the_vectors_at_every_level() {
    // basis, level, unit price, quantity, rate, net, tax, gross
    let vectors = [
        (Gross, Line, 3823, 10, 2000, 31_858, 6372, 38_230),
        (Gross, Unit, 3823, 10, 2000, 31_860, 6370, 38_230),
        (Gross, Document, 3823, 10, 2000, 31_858, 6372, 38_230),
        (Gross, Line, 1999, 3, 1900, 5039, 958, 5997),
        (Gross, Unit, 1999, 3, 1900, 5040, 957, 5997),
        (Gross, Line, 100, 3, 700, 280, 20, 300),
        (Gross, Unit, 100, 3, 700, 279, 21, 300),
        (Gross, Line, 199, 7, 1900, 1171, 222, 1393),
        (Gross, Unit, 199, 7, 1900, 1169, 224, 1393),
        (Net, Line, 360, 10, 550, 3600, 198, 3798),
        (Net, Unit, 360, 10, 550, 3600, 200, 3800),
        (Net, Document, 360, 10, 550, 3600, 198, 3798),
    ];
    for (basis, level, unit, quantity, rate, net, tax, gross) in vectors {
        let quote = quote(&terms(basis, level), &[line("1", quantity, unit, rate)], 0, 0).unwrap();
        let found = (quote.lines[0].net_minor, quote.lines[0].tax_minor, quote.lines[0].gross_minor);
        assert_eq!(found, (net, tax, gross), "{unit} x {quantity} at {rate}, {basis:?} {level:?}");
        assert_eq!((quote.net_minor, quote.tax_minor, quote.total_minor), (net, tax, gross));
    }
}

#[test]
fn a_discount_is_spread_by_largest_remainder() {
    let lines = [line("a", 1, 1999, 1900), line("b", 1, 501, 1900), line("c", 1, 99, 700)];
    let quote = quote(&terms(Gross, Line), &lines, 1000, 0).unwrap();
    assert_eq!(quote.lines.iter().map(|line| line.discount_minor).collect::<Vec<_>>(), [769, 193, 38]);
    assert_eq!(quote.lines.iter().map(|line| line.gross_minor).collect::<Vec<_>>(), [1230, 308, 61]);
    assert_eq!((quote.goods_gross_minor, quote.discount_gross_minor, quote.total_minor), (2599, 1000, 1599));
}

#[test]
fn shipping_is_taxed_as_the_goods_are() {
    let lines = [line("book", 1, 1000, 700), line("lamp", 1, 3000, 1900)];
    let quote = quote(&terms(Gross, Line), &lines, 0, 490).unwrap();
    // 490 over 1000 : 3000 is 122.5 : 367.5; the tie goes to the lower rate.
    assert_eq!(
        (quote.shipping.net_minor, quote.shipping.tax_minor, quote.shipping.gross_minor),
        (115 + 308, 8 + 59, 490)
    );
    assert_eq!(quote.shipping.rate_basis_points, 1900);
    let expected = [
        TaxTotal { rate_basis_points: 700, net_minor: 935 + 115, tax_minor: 65 + 8, gross_minor: 1123 },
        TaxTotal { rate_basis_points: 1900, net_minor: 2521 + 308, tax_minor: 479 + 59, gross_minor: 3367 },
    ];
    assert_eq!(quote.tax_totals, expected);
    assert_eq!((quote.shipping_gross_minor, quote.total_minor), (490, 4490));
}

#[test]
fn document_rounding_gives_the_tax_of_the_sum() {
    // Three times 0.33 at 19 %: by line 3 x 5 = 15, of the sum 0.99 it is 16.
    let lines = [line("a", 1, 33, 1900), line("b", 1, 33, 1900), line("c", 1, 33, 1900)];
    assert_eq!(quote(&terms(Gross, Line), &lines, 0, 0).unwrap().tax_minor, 15);
    let whole = quote(&terms(Gross, Document), &lines, 0, 0).unwrap();
    assert_eq!(whole.tax_minor, 16);
    assert_eq!(whole.lines.iter().map(|line| line.tax_minor).collect::<Vec<_>>(), [6, 5, 5]);
}

#[test]
fn a_discount_on_net_prices_is_shown_gross() {
    let quote = quote(&terms(Net, Line), &[line("a", 2, 5000, 1900)], 1000, 500).unwrap();
    assert_eq!((quote.goods_gross_minor, quote.discount_gross_minor), (11_900, 1190));
    assert_eq!((quote.shipping_gross_minor, quote.total_minor), (595, 11_305));
}

#[test]
fn everything_given_away_costs_nothing() {
    let given = quote(&terms(Gross, Line), &[line("a", 3, 100, 1900)], 300, 0).unwrap();
    assert_eq!((given.total_minor, given.tax_minor, given.discount_gross_minor), (0, 0, 300));
    let free = quote(&terms(Gross, Unit), &[line("a", 1, 0, 1900)], 0, 490).unwrap();
    assert_eq!(free.total_minor, 490);
}

#[test]
fn wrong_baskets_are_refused_by_field() {
    let good = line("a", 1, 100, 1900);
    let cases: [(&str, Vec<PricedLine>, i64, i64); 9] = [
        ("lines:", vec![], 0, 0),
        ("lines[0].quantity", vec![PricedLine { quantity: 0, ..good.clone() }], 0, 0),
        ("lines[0].quantity", vec![PricedLine { quantity: QUANTITY_MAX + 1, ..good.clone() }], 0, 0),
        ("lines[0].unit_price_minor", vec![PricedLine { unit_price_minor: -1, ..good.clone() }], 0, 0),
        ("lines[1].line_id", vec![good.clone(), good.clone()], 0, 0),
        ("discount_minor", vec![good.clone()], -1, 0),
        ("discount_minor: 1.01 EUR is more than the goods are worth, 1.00 EUR", vec![good.clone()], 101, 0),
        ("shipping_minor", vec![good.clone()], 0, -1),
        ("line `a`", vec![PricedLine { unit_price_minor: i64::MAX, quantity: 2, ..good }], 0, 0),
    ];
    for (expected, lines, discount, shipping) in cases {
        match quote(&terms(Gross, Line), &lines, discount, shipping) {
            Err(Error::Invalid(text)) => assert!(text.starts_with(expected), "{text}"),
            other => panic!("{expected}: {other:?}"),
        }
    }
    let sums_up_too_high = [line("a", 1, i64::MAX, 0), line("b", 1, 1, 0)];
    assert!(matches!(quote(&terms(Gross, Line), &sums_up_too_high, 0, 0), Err(Error::Invalid(_))));
    assert!(matches!(quote(&terms(Net, Line), &[line("a", 1, i64::MAX, 1900)], 0, 0), Err(Error::Invalid(_))));
}

fn any_basis() -> impl Strategy<Value = PriceBasis> {
    prop_oneof![Just(Gross), Just(Net)]
}

fn any_level() -> impl Strategy<Value = RoundingLevel> {
    prop_oneof![Just(Unit), Just(Line), Just(Document)]
}

fn any_lines() -> impl Strategy<Value = Vec<PricedLine>> {
    prop::collection::vec(
        (1..40_i64, 0..20_000_i64, prop_oneof![Just(0_u32), Just(550), Just(700), Just(1900)], 0..4_u8),
        1..12,
    )
    .prop_map(|lines| {
        lines
            .into_iter()
            .enumerate()
            .map(|(index, (quantity, price, rate, sku))| PricedLine {
                sku: format!("S{sku}"),
                ..line(&index.to_string(), quantity, price, rate)
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn sums_are_exact_and_nothing_is_negative(
        basis in any_basis(), level in any_level(), even in any::<bool>(), lines in any_lines(), percent in 0..=100_i64, shipping in 0..2000_i64,
    ) {
        let goods: i64 = lines.iter().map(|line| line.quantity * line.unit_price_minor).sum();
        let discount = goods * percent / 100;
        let terms = Terms { mode: if even { RoundingMode::HalfEven } else { RoundingMode::HalfUp }, ..terms(basis, level) };
        let quote = quote(&terms, &lines, discount, shipping).unwrap();

        let all: Vec<&QuoteLine> = quote.lines.iter().chain([&quote.shipping]).collect();
        for part in &all {
            prop_assert_eq!(part.gross_minor, part.net_minor + part.tax_minor);
            prop_assert!(part.net_minor >= 0 && part.tax_minor >= 0 && part.discount_minor >= 0, "{:?}", part);
        }
        for (field, total) in [("net", quote.net_minor), ("tax", quote.tax_minor), ("gross", quote.total_minor)] {
            let side = |line: &QuoteLine| match field { "net" => line.net_minor, "tax" => line.tax_minor, _ => line.gross_minor };
            let by_rate = |rate: &TaxTotal| match field { "net" => rate.net_minor, "tax" => rate.tax_minor, _ => rate.gross_minor };
            prop_assert_eq!(all.iter().map(|line| side(line)).sum::<i64>(), total, "lines, {}", field);
            prop_assert_eq!(quote.tax_totals.iter().map(by_rate).sum::<i64>(), total, "rates, {}", field);
        }
        prop_assert_eq!(quote.lines.iter().map(|line| line.discount_minor).sum::<i64>(), discount);
        prop_assert_eq!(quote.total_minor, quote.goods_gross_minor - quote.discount_gross_minor + quote.shipping_gross_minor);
        prop_assert_eq!(quote.total_minor, quote.net_minor + quote.tax_minor);
        prop_assert!(quote.discount_gross_minor >= 0);
        if basis == Gross {
            prop_assert_eq!(quote.total_minor, goods - discount + shipping);
            prop_assert_eq!(quote.discount_gross_minor, discount);
        } else {
            prop_assert_eq!(quote.net_minor, goods - discount + shipping);
        }
    }

    #[test]
    fn the_order_of_lines_changes_nothing(
        basis in any_basis(), level in any_level(), lines in any_lines(), seed in any::<u64>(), percent in 0..=100_i64, shipping in 0..2000_i64,
    ) {
        let goods: i64 = lines.iter().map(|line| line.quantity * line.unit_price_minor).sum();
        let mut shuffled = lines.clone();
        let mut state = seed;
        for index in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(index, (state >> 33) as usize % (index + 1));
        }
        let by_id = |lines: &[PricedLine]| {
            let mut quote = quote(&terms(basis, level), lines, goods * percent / 100, shipping).unwrap();
            quote.lines.sort_by(|a, b| a.line_id.cmp(&b.line_id));
            quote
        };
        prop_assert_eq!(by_id(&lines), by_id(&shuffled));
    }

    #[test]
    fn amounts_of_any_size_never_panic(
        basis in any_basis(), level in any_level(), quantity in any::<i64>(), price in any::<i64>(), other in any::<i64>(), rate in 0..=10_000_u32, discount in any::<i64>(), shipping in any::<i64>(),
    ) {
        let lines = [line("a", quantity, price, rate), line("b", 1, other, 1900)];
        let _result = quote(&terms(basis, level), &lines, discount, shipping);
        let _fitting = quote(&terms(basis, level), &[line("a", quantity.rem_euclid(QUANTITY_MAX) + 1, price.saturating_abs() / QUANTITY_MAX, rate)], 0, shipping.saturating_abs());
    }
}
