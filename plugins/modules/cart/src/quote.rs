//! A priced cart, as the pricing module computed it, and how it becomes the lines of an order.

/// A priced line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QuoteLine {
    pub(crate) line_id: String,
    pub(crate) sku: String,
    pub(crate) quantity: i64,
    pub(crate) unit_price_minor: i64,
    pub(crate) discount_minor: i64,
    pub(crate) net_minor: i64,
    pub(crate) tax_minor: i64,
    pub(crate) gross_minor: i64,
    pub(crate) rate_basis_points: u32,
}

impl QuoteLine {
    /// Gross price of a unit and discount of the line, so that unit price x quantity - discount = gross. Where prices are gross
    /// they are what the customer saw; where they are net, the unit's gross price is rounded up and the rest is discount.
    pub(crate) fn gross_unit(&self, prices_are_gross: bool) -> (i64, i64) {
        if prices_are_gross {
            return (self.unit_price_minor, self.discount_minor);
        }
        let quantity = i128::from(self.quantity.max(1));
        let unit = i128::from(self.gross_minor).div_euclid(quantity)
            + i128::from(i128::from(self.gross_minor).rem_euclid(quantity) > 0);
        let discount = unit * quantity - i128::from(self.gross_minor);
        // Below quantity, which is bounded: both fit.
        (i64::try_from(unit).unwrap_or(i64::MAX), i64::try_from(discount).unwrap_or(0))
    }
}

/// Tax of one rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaxTotal {
    pub(crate) rate_basis_points: u32,
    pub(crate) net_minor: i64,
    pub(crate) tax_minor: i64,
    pub(crate) gross_minor: i64,
}

/// A priced cart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quote {
    pub(crate) currency: String,
    pub(crate) prices_are_gross: bool,
    pub(crate) price_list: String,
    pub(crate) lines: Vec<QuoteLine>,
    pub(crate) shipping: QuoteLine,
    pub(crate) tax_totals: Vec<TaxTotal>,
    pub(crate) goods_gross_minor: i64,
    pub(crate) discount_gross_minor: i64,
    pub(crate) shipping_gross_minor: i64,
    pub(crate) net_minor: i64,
    pub(crate) tax_minor: i64,
    pub(crate) total_minor: i64,
}

impl Quote {
    /// What the goods are worth after discounts, on the basis of the price list: what thresholds are compared with.
    pub(crate) fn goods_minor(&self) -> i64 {
        let side = |line: &QuoteLine| if self.prices_are_gross { line.gross_minor } else { line.net_minor };
        self.lines.iter().map(side).fold(0_i64, i64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(quantity: i64, gross_minor: i64) -> QuoteLine {
        QuoteLine {
            line_id: "1".into(),
            sku: "A".into(),
            quantity,
            unit_price_minor: 360,
            discount_minor: 0,
            net_minor: gross_minor,
            tax_minor: 0,
            gross_minor,
            rate_basis_points: 0,
        }
    }

    #[test]
    fn net_prices_become_gross_units() {
        assert_eq!(line(10, 3798).gross_unit(false), (380, 2));
        assert_eq!(line(1, 100).gross_unit(false), (100, 0));
        assert_eq!(line(10, 3600).gross_unit(true), (360, 0));
    }

    proptest! {
        #[test]
        fn unit_price_times_quantity_less_discount_is_gross(quantity in 1..10_000_i64, gross in 0..1_000_000_000_i64) {
            let (unit, discount) = line(quantity, gross).gross_unit(false);
            prop_assert_eq!(unit * quantity - discount, gross);
            prop_assert!(discount >= 0 && discount < quantity);
        }
    }
}
