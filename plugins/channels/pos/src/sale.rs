//! A sale over the counter: what a valid one is, what its receipt says, and that the same one again changes nothing.

use kontor_sdk::Error;

use crate::cash::{self, Settlement};
use crate::model::{Priced, PricedLine, Receipt, SaleLine, SaleRequest};
use crate::money;

/// Lines of one sale: a receipt must fit into one record.
pub(crate) const LINES_MAX: usize = 200;
/// Units of one line.
pub(crate) const QUANTITY_MAX: i64 = 100_000;
/// The highest receipt sequence of a till.
const SEQUENCE_MAX: u64 = 999_999_999_999;

/// Refuses a malformed sale. Prices, stock and tenders are not looked at.
pub(crate) fn check(request: &SaleRequest) -> Result<(), Error> {
    let id_fits = (8..=40).contains(&request.sale_id.len())
        && request.sale_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !id_fits {
        return invalid("sale_id", "must be 8 to 40 letters, digits and hyphens, such as a UUID");
    }
    if request.lines.is_empty() || request.lines.len() > LINES_MAX {
        return invalid("lines", &format!("1 to {LINES_MAX} are allowed, there are {}", request.lines.len()));
    }
    for (index, line) in request.lines.iter().enumerate() {
        check_line(line, index)?;
    }
    if request.receipt_sequence.is_some_and(|sequence| !(1..=SEQUENCE_MAX).contains(&sequence)) {
        return invalid("receipt_sequence", &format!("must be 1 to {SEQUENCE_MAX}"));
    }
    Ok(())
}

fn check_line(line: &SaleLine, index: usize) -> Result<(), Error> {
    if line.sku.is_empty() || line.sku.chars().count() > 64 {
        return invalid(&format!("lines[{index}].sku"), "must be 1 to 64 characters");
    }
    if !(1..=QUANTITY_MAX).contains(&line.quantity) {
        return invalid(
            &format!("lines[{index}].quantity"),
            &format!("{} is not between 1 and {QUANTITY_MAX}", line.quantity),
        );
    }
    if line.unit_price_minor.is_some_and(|price| !(0..=1_000_000_000).contains(&price)) {
        return invalid(&format!("lines[{index}].unit_price_minor"), "must be 0 to 1000000000");
    }
    Ok(())
}

fn invalid(field: &str, rule: &str) -> Result<(), Error> {
    Err(Error::invalid(format!("{field}: {rule}.")).with("field", field))
}

/// When the sale happened: as the till says, but not later than now. A till whose clock runs ahead does not sell in the future.
pub(crate) fn occurred_at_ms(request: &SaleRequest, now_ms: u64) -> u64 {
    request.occurred_at_ms.filter(|at_ms| *at_ms > 0).map_or(now_ms, |at_ms| at_ms.min(now_ms))
}

/// A receipt's number: the till's id and its sequence.
pub(crate) fn receipt_number(till_id: &str, sequence: u64) -> String {
    format!("{till_id}-{sequence:06}")
}

/// A line of a quote with its gross unit price. Price lists may be net, and a gross line need not be a multiple of its quantity: then
/// the unit price is rounded up, and the difference is the line's discount, so that the line adds up to the unit.
pub(crate) fn gross_unit_price(gross_minor: i64, quantity: i64) -> (i64, i64) {
    let quantity = quantity.max(1);
    let unit = gross_minor.div_euclid(quantity).saturating_add(i64::from(gross_minor.rem_euclid(quantity) > 0));
    (unit, unit.saturating_mul(quantity).saturating_sub(gross_minor))
}

/// How a priced sale is paid. Refuses another total than the till expects, and tenders that do not pay it.
pub(crate) fn settle(request: &SaleRequest, priced: &Priced, coin_minor: i64) -> Result<Settlement, Error> {
    if let Some(expected) = request.expected_total_minor.filter(|expected| *expected != priced.total_minor) {
        return Err(Error::conflict(format!(
            "The total is {}, not {}: a price has changed.",
            money::plain(priced.total_minor, &priced.currency),
            money::plain(expected, &priced.currency)
        ))
        .with_code("total-changed")
        .with("total_minor", priced.total_minor));
    }
    cash::settle(priced.total_minor, &request.tenders, coin_minor, &priced.currency)
}

/// Where and when a sale is booked, beyond what the till sent.
#[derive(Clone, Debug)]
pub(crate) struct Booking {
    pub(crate) till_name: String,
    pub(crate) location: String,
    pub(crate) sequence: u64,
    pub(crate) sold_by: String,
    pub(crate) now_ms: u64,
    pub(crate) order_id: String,
    pub(crate) order_number: String,
}

/// The receipt of a sale.
pub(crate) fn receipt(request: &SaleRequest, priced: Priced, settled: &Settlement, booking: Booking) -> Receipt {
    Receipt {
        sale_id: request.sale_id.clone(),
        receipt_number: receipt_number(&request.till_id, booking.sequence),
        till_id: request.till_id.clone(),
        till_name: booking.till_name,
        location: booking.location,
        goods: request.goods,
        sold_by: booking.sold_by,
        occurred_at_ms: occurred_at_ms(request, booking.now_ms),
        recorded_at_ms: booking.now_ms,
        currency: priced.currency,
        lines: priced.lines,
        taxes: priced.taxes,
        total_minor: priced.total_minor,
        tenders: request.tenders.clone(),
        cash_rounding_minor: settled.cash_rounding_minor,
        change_minor: settled.change_minor,
        order_id: booking.order_id,
        order_number: booking.order_number,
    }
}

/// Whether a receipt is that of this sale. An id that stands for two different sales would lose one of them.
pub(crate) fn is_same(receipt: &Receipt, request: &SaleRequest) -> bool {
    let same_line =
        |(printed, asked): (&PricedLine, &SaleLine)| printed.sku == asked.sku && printed.quantity == asked.quantity;
    receipt.till_id == request.till_id
        && receipt.goods == request.goods
        && receipt.tenders == request.tenders
        && receipt.lines.len() == request.lines.len()
        && receipt.lines.iter().zip(&request.lines).all(same_line)
}

/// The receipt of a sale that was booked before, or why the id cannot be used again.
pub(crate) fn known(receipt: Receipt, request: &SaleRequest) -> Result<Receipt, Error> {
    match is_same(&receipt, request) {
        true => Ok(receipt),
        false => Err(Error::conflict(format!(
            "sale_id: {} is the sale with receipt {} already, with other goods or payment. Give every sale an id of its own.",
            receipt.sale_id, receipt.receipt_number
        ))
        .with_code("sale-id-used")
        .with("receipt_number", receipt.receipt_number)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Goods, Method, TaxLine, Tender};

    pub(crate) fn request() -> SaleRequest {
        SaleRequest {
            till_id: "bonn-1".into(),
            sale_id: "01928f2e-7c1a-7000-8000-000000000001".into(),
            location: None,
            lines: vec![
                SaleLine { sku: "MUG".into(), quantity: 2, unit_price_minor: None },
                SaleLine { sku: "TEA".into(), quantity: 1, unit_price_minor: None },
            ],
            tenders: vec![Tender { method: Method::Cash, amount_minor: 5000 }],
            occurred_at_ms: Some(1_795_356_300_000),
            goods: Goods::InHand,
            receipt_sequence: None,
            expected_total_minor: None,
        }
    }

    pub(crate) fn priced() -> Priced {
        let line = |sku: &str, title: &str, quantity, unit, net, gross, rate| PricedLine {
            sku: sku.into(),
            title: title.into(),
            quantity,
            unit_price_minor: unit,
            discount_minor: 0,
            net_minor: net,
            tax_minor: gross - net,
            gross_minor: gross,
            rate_basis_points: rate,
        };
        Priced {
            currency: "EUR".into(),
            lines: vec![
                line("MUG", "Mug <blue>", 2, 1290, 2168, 2580, 1900),
                line("TEA", "Tea", 1, 499, 466, 499, 700),
            ],
            taxes: vec![
                TaxLine { rate_basis_points: 700, net_minor: 466, tax_minor: 33, gross_minor: 499 },
                TaxLine { rate_basis_points: 1900, net_minor: 2168, tax_minor: 412, gross_minor: 2580 },
            ],
            total_minor: 3079,
        }
    }

    pub(crate) fn printed() -> Receipt {
        let settled = settle(&request(), &priced(), 1).unwrap();
        let booking = Booking {
            till_name: "Till 1".into(),
            location: "bonn".into(),
            sequence: 42,
            sold_by: "staff:anna".into(),
            now_ms: 1_795_356_360_000,
            order_id: "01jd".into(),
            order_number: "P-261122-7K3QM".into(),
        };
        receipt(&request(), priced(), &settled, booking)
    }

    #[test]
    fn a_receipt_says_what_was_sold_and_paid() {
        let receipt = printed();
        assert_eq!(receipt.receipt_number, "bonn-1-000042");
        assert_eq!((receipt.total_minor, receipt.change_minor, receipt.cash_rounding_minor), (3079, 1921, 0));
        assert_eq!((receipt.occurred_at_ms, receipt.recorded_at_ms), (1_795_356_300_000, 1_795_356_360_000));
        assert_eq!(receipt.units(), 3);
        assert_eq!(receipt.lines.iter().map(|line| line.gross_minor).sum::<i64>(), receipt.total_minor);
        assert_eq!(receipt.taxes.iter().map(|tax| tax.gross_minor).sum::<i64>(), receipt.total_minor);
    }

    type Change = fn(&mut SaleRequest);

    #[test]
    fn malformed_sales_are_refused_with_the_field() {
        let cases: [(&str, Change); 9] = [
            ("sale_id", |sale| sale.sale_id = "short".into()),
            ("sale_id", |sale| sale.sale_id = "with spaces in it".into()),
            ("sale_id", |sale| sale.sale_id = "a".repeat(41)),
            ("lines", |sale| sale.lines.clear()),
            ("lines", |sale| sale.lines = vec![sale.lines[0].clone(); 201]),
            ("lines[1].quantity", |sale| sale.lines[1].quantity = 0),
            ("lines[0].sku", |sale| sale.lines[0].sku.clear()),
            ("lines[0].unit_price_minor", |sale| sale.lines[0].unit_price_minor = Some(-1)),
            ("receipt_sequence", |sale| sale.receipt_sequence = Some(0)),
        ];
        for (field, change) in cases {
            let mut sale = request();
            change(&mut sale);
            let error = check(&sale).unwrap_err();
            assert_eq!((error.status(), error.code()), (422, "invalid"));
            assert_eq!(error.to_problem()["field"], field);
        }
        check(&request()).unwrap();
    }

    #[test]
    fn the_same_sale_again_is_the_same_receipt() {
        let mut again = request();
        again.occurred_at_ms = None;
        assert_eq!(known(printed(), &again).unwrap(), printed());
        let cases: [Change; 6] = [
            |sale| sale.till_id = "bonn-2".into(),
            |sale| sale.goods = Goods::FromStock,
            |sale| sale.lines[0].quantity = 3,
            |sale| sale.lines[0].sku = "CUP".into(),
            |sale| sale.lines.truncate(1),
            |sale| sale.tenders[0].amount_minor = 4000,
        ];
        for change in cases {
            let mut other = request();
            change(&mut other);
            let error = known(printed(), &other).unwrap_err();
            assert_eq!((error.status(), error.code()), (409, "sale-id-used"), "{other:?}");
        }
    }

    #[test]
    fn another_total_than_expected_is_refused() {
        let mut sale = request();
        sale.expected_total_minor = Some(3000);
        let error = settle(&sale, &priced(), 1).unwrap_err();
        assert_eq!((error.code(), &error.to_problem()["total_minor"]), ("total-changed", &3079.into()));
        sale.expected_total_minor = Some(3079);
        assert_eq!(settle(&sale, &priced(), 1).unwrap().change_minor, 1921);
    }

    #[test]
    fn a_till_does_not_sell_in_the_future() {
        for (said, now, at) in [(None, 100, 100), (Some(0), 100, 100), (Some(40), 100, 40), (Some(400), 100, 100)] {
            let mut sale = request();
            sale.occurred_at_ms = said;
            assert_eq!(occurred_at_ms(&sale, now), at);
        }
    }

    proptest! {
        #[test]
        fn lines_add_up_to_the_unit(gross in 0i64..10_000_000, quantity in 1i64..1_000) {
            let (unit, discount) = gross_unit_price(gross, quantity);
            prop_assert_eq!(unit * quantity - discount, gross);
            prop_assert!((0..quantity).contains(&discount));
        }

        #[test]
        fn whole_prices_stay_as_they_are(unit in 0i64..1_000_000, quantity in 1i64..1_000) {
            prop_assert_eq!(gross_unit_price(unit * quantity, quantity), (unit, 0));
        }
    }
}
