//! Value added tax of one amount: from gross or from net, rounded in one place.
//!
//! Only the tax is ever rounded; the other side is the difference, so gross = net + tax holds exactly. Which amounts are
//! taxed (a unit, a line, a whole document) is the quote's business.

use crate::error::Error;
use serde::{Deserialize, Serialize};

/// Rates are basis points: 10,000 = 100 %.
pub(crate) const RATE_BASIS_POINTS_MAX: u32 = 10_000;

/// Whether prices include tax.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PriceBasis {
    /// They do.
    Gross,
    /// They do not.
    Net,
}

/// Where tax is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RoundingLevel {
    /// For each unit, then multiplied.
    Unit,
    /// For each line.
    Line,
    /// For each rate over the whole document, then divided among its lines.
    Document,
}

/// How halves are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RoundingMode {
    /// Away from zero, as German invoices do.
    HalfUp,
    /// To the even neighbour.
    HalfEven,
}

/// The three sides of an amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sides {
    pub(crate) net: i64,
    pub(crate) tax: i64,
    pub(crate) gross: i64,
}

impl Sides {
    /// The sides of `amount`, which is gross or net by `basis`, given its tax.
    pub(crate) fn new(amount: i64, tax: i64, basis: PriceBasis) -> Result<Self, Error> {
        let too_large = || Error::too_large("tax");
        Ok(match basis {
            PriceBasis::Gross => Self { net: amount.checked_sub(tax).ok_or_else(too_large)?, tax, gross: amount },
            PriceBasis::Net => Self { net: amount, tax, gross: amount.checked_add(tax).ok_or_else(too_large)? },
        })
    }

    /// Adds side by side.
    pub(crate) fn checked_add(self, other: Self) -> Result<Self, Error> {
        let add = |a: i64, b: i64| a.checked_add(b).ok_or_else(|| Error::too_large("total"));
        Ok(Self {
            net: add(self.net, other.net)?,
            tax: add(self.tax, other.tax)?,
            gross: add(self.gross, other.gross)?,
        })
    }
}

/// `numerator / denominator`, rounded; `denominator` is above 0. Symmetric around zero.
fn divide(numerator: i128, denominator: i128, mode: RoundingMode) -> i128 {
    let magnitude = numerator.abs();
    let (quotient, rest) = (magnitude / denominator, magnitude % denominator);
    let up = match (rest * 2).cmp(&denominator) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => mode == RoundingMode::HalfUp || quotient % 2 == 1,
    };
    let rounded = quotient + i128::from(up);
    if numerator < 0 { -rounded } else { rounded }
}

/// The tax in (gross basis) or on (net basis) an amount.
pub(crate) fn tax(amount: i64, rate_basis_points: u32, basis: PriceBasis, mode: RoundingMode) -> Result<i64, Error> {
    let rate = i128::from(rate_basis_points);
    let denominator = match basis {
        PriceBasis::Gross => 10_000 + rate,
        PriceBasis::Net => 10_000,
    };
    i64::try_from(divide(i128::from(amount) * rate, denominator, mode)).map_err(|_| Error::too_large("tax"))
}

/// The tax of an amount that `quantity` units make up, rounded for each unit. Where the amount does not divide evenly (a
/// discount was spread over it), the first units are one minor unit dearer, as largest remainder has it.
pub(crate) fn tax_by_unit(
    amount: i64,
    quantity: i64,
    rate_basis_points: u32,
    basis: PriceBasis,
    mode: RoundingMode,
) -> Result<i64, Error> {
    if quantity < 1 {
        return Err(Error::Invalid("quantity: must be at least 1".into()));
    }
    let (each, dearer) = (amount.div_euclid(quantity), amount.rem_euclid(quantity));
    let cheap = i128::from(tax(each, rate_basis_points, basis, mode)?) * i128::from(quantity - dearer);
    let dear =
        if dearer == 0 { 0 } else { i128::from(tax(each + 1, rate_basis_points, basis, mode)?) * i128::from(dearer) };
    i64::try_from(cheap + dear).map_err(|_| Error::too_large("tax"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use PriceBasis::{Gross, Net};
    use RoundingMode::{HalfEven, HalfUp};
    use proptest::prelude::*;

    #[test]
    fn line_and_unit_rounding_follow_the_vectors() {
        // unit price, quantity, rate, basis, tax by line, tax by unit
        let vectors = [
            (3823, 10, 2000, Gross, 6372, 6370),
            (1999, 3, 1900, Gross, 958, 957),
            (100, 3, 700, Gross, 20, 21),
            (199, 7, 1900, Gross, 222, 224),
            (360, 10, 550, Net, 198, 200),
        ];
        for (unit, quantity, rate, basis, by_line, by_unit) in vectors {
            let amount = unit * quantity;
            assert_eq!(tax(amount, rate, basis, HalfUp).unwrap(), by_line, "{unit} x {quantity} at {rate}");
            assert_eq!(
                tax_by_unit(amount, quantity, rate, basis, HalfUp).unwrap(),
                by_unit,
                "{unit} x {quantity} at {rate}"
            );
        }
        // The first vector in full: net 318.58 + tax 63.72 = 382.30.
        assert_eq!(Sides::new(38_230, 6372, Gross).unwrap(), Sides { net: 31_858, tax: 6372, gross: 38_230 });
        assert_eq!(Sides::new(3600, 198, Net).unwrap().gross, 3798);
        assert_eq!(Sides::new(3600, 200, Net).unwrap().gross, 3800);
    }

    #[test]
    fn halves_round_as_the_mode_says() {
        // 50 and 150 at 1 %: 0.5 and 1.5.
        for (amount, mode, expected) in [
            (50, HalfUp, 1),
            (50, HalfEven, 0),
            (150, HalfUp, 2),
            (150, HalfEven, 2),
            (-50, HalfUp, -1),
            (-50, HalfEven, 0),
        ] {
            assert_eq!(tax(amount, 100, Net, mode).unwrap(), expected, "{amount} {mode:?}");
        }
    }

    #[test]
    fn amounts_beyond_64_bits_are_refused() {
        assert!(Sides::new(i64::MAX, tax(i64::MAX, 1900, Net, HalfUp).unwrap(), Net).is_err());
        assert!(tax_by_unit(1, 0, 1900, Gross, HalfUp).is_err());
        let most = Sides { net: i64::MAX, tax: 0, gross: i64::MAX };
        assert!(most.checked_add(most).is_err());
    }

    proptest! {
        #[test]
        fn the_sides_always_agree(amount in 0..1_000_000_000_i64, rate in 0..=RATE_BASIS_POINTS_MAX, gross in any::<bool>(), even in any::<bool>()) {
            let (basis, mode) = (if gross { Gross } else { Net }, if even { HalfEven } else { HalfUp });
            let sides = Sides::new(amount, tax(amount, rate, basis, mode).unwrap(), basis).unwrap();
            prop_assert_eq!(sides.gross, sides.net + sides.tax);
            prop_assert!(sides.net >= 0 && sides.tax >= 0);
        }

        #[test]
        fn a_dearer_line_is_never_taxed_less(amount in 0..1_000_000_i64, more in 0..1_000_i64, quantity in 1..50_i64, rate in 0..=RATE_BASIS_POINTS_MAX) {
            let less = tax_by_unit(amount, quantity, rate, Gross, HalfUp).unwrap();
            prop_assert!(tax_by_unit(amount + more, quantity, rate, Gross, HalfUp).unwrap() >= less);
        }
    }
}
