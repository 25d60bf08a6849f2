//! Money in minor units: currencies, and the one way in which an amount is divided.
//!
//! Nothing here knows of tax or prices. Floating point does not occur.

use crate::error::Error;

/// Refuses what cannot be an ISO 4217 code.
pub(crate) fn check_currency(currency: &str) -> Result<(), Error> {
    if currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        Ok(())
    } else {
        Err(Error::Invalid(format!(
            "currency: `{currency}` is no ISO 4217 code; write three upper-case letters such as EUR"
        )))
    }
}

/// An amount for people: `19.99 EUR`, `500 JPY`.
pub(crate) fn display(amount_minor: i64, currency: &str) -> String {
    format!("{} {currency}", kontor_sdk::money::decimal(amount_minor, currency))
}

/// Divides `total` in proportion to `weights` by largest remainder: every part is the exact share rounded down, and what is
/// left goes, unit by unit, to the largest fractions (on a tie to the lower index). The parts always add up to `total`; a
/// negative total is divided as its absolute value. Weights that are all 0 count as equal.
pub(crate) fn allocate(total: i64, weights: &[i64]) -> Result<Vec<i64>, Error> {
    if weights.is_empty() {
        return if total == 0 {
            Ok(Vec::new())
        } else {
            Err(Error::Invalid("there is nothing to spread an amount over".into()))
        };
    }
    if weights.iter().any(|weight| *weight < 0) {
        return Err(Error::Invalid("an amount cannot be spread over negative amounts".into()));
    }
    let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
    let (equal, sum) = if sum == 0 { (true, weights.len() as i128) } else { (false, sum) };
    let magnitude = i128::from(total).abs();

    // |total| < 2^64 and a weight < 2^63: the product fits.
    let mut parts: Vec<(i128, i128)> = weights
        .iter()
        .map(|weight| {
            let product = magnitude * if equal { 1 } else { i128::from(*weight) };
            (product / sum, product % sum)
        })
        .collect();
    let given: i128 = parts.iter().map(|(share, _)| share).sum();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|index| (std::cmp::Reverse(parts.get(*index).map_or(0, |(_, fraction)| *fraction)), *index));
    // Fractions add up to the leftover times the sum, so the leftover is smaller than the number of parts.
    let leftover = usize::try_from(magnitude - given).unwrap_or(0);
    for index in order.into_iter().take(leftover) {
        if let Some((share, _)) = parts.get_mut(index) {
            *share += 1;
        }
    }
    parts
        .into_iter()
        .map(|(share, _)| i64::try_from(if total < 0 { -share } else { share }).map_err(|_| Error::too_large("share")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn allocation_follows_the_vectors() {
        let vectors: [(i64, &[i64], &[i64]); 9] = [
            (1000, &[1999, 501, 99], &[769, 193, 38]),
            (100, &[333, 333, 334], &[33, 33, 34]),
            (500, &[1000, 1000, 1000], &[167, 167, 166]),
            (1, &[1, 1, 1], &[1, 0, 0]),
            (-1000, &[1999, 501, 99], &[-769, -193, -38]),
            (7, &[0, 0, 0], &[3, 2, 2]),
            (0, &[5, 5], &[0, 0]),
            (10, &[0, 5], &[0, 10]),
            (i64::MAX, &[i64::MAX, i64::MAX], &[4_611_686_018_427_387_904, 4_611_686_018_427_387_903]),
        ];
        for (total, weights, expected) in vectors {
            assert_eq!(allocate(total, weights).unwrap(), expected, "{total} over {weights:?}");
        }
        assert_eq!(allocate(0, &[]).unwrap(), Vec::<i64>::new());
        assert!(allocate(1, &[]).is_err());
        assert!(allocate(1, &[1, -1]).is_err());
        assert_eq!(allocate(i64::MIN, &[1]).unwrap(), [i64::MIN]);
    }

    #[test]
    fn amounts_are_written_with_the_digits_of_their_currency() {
        let vectors = [
            (1999, "EUR", "19.99 EUR"),
            (5, "EUR", "0.05 EUR"),
            (-1999, "EUR", "-19.99 EUR"),
            (500, "JPY", "500 JPY"),
            (1234, "BHD", "1.234 BHD"),
            (12345, "CLF", "1.2345 CLF"),
            (0, "ISK", "0 ISK"),
            (i64::MIN, "EUR", "-92233720368547758.08 EUR"),
        ];
        for (amount, currency, expected) in vectors {
            assert_eq!(display(amount, currency), expected);
        }
    }

    #[test]
    fn currencies_are_three_upper_case_letters() {
        assert!(check_currency("EUR").is_ok());
        for wrong in ["", "EU", "eur", "EURO", "E1R", "€"] {
            assert!(check_currency(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn allocations_add_up_and_stay_near_their_share(total in any::<i64>(), weights in prop::collection::vec(0..=i64::MAX, 1..20)) {
            let parts = allocate(total, &weights).unwrap();
            prop_assert_eq!(parts.iter().map(|part| i128::from(*part)).sum::<i128>(), i128::from(total));
            let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
            for (part, weight) in parts.iter().zip(&weights) {
                prop_assert!(*part == 0 || (*part < 0) == (total < 0));
                if sum > 0 {
                    let floor = i128::from(total).abs() * i128::from(*weight) / sum;
                    let magnitude = i128::from(*part).abs();
                    prop_assert!(magnitude == floor || magnitude == floor + 1);
                }
            }
        }

        #[test]
        fn a_discount_never_exceeds_what_it_is_taken_from(weights in prop::collection::vec(0..1_000_000_i64, 1..20), percent in 0..=100_i64) {
            let total = weights.iter().sum::<i64>() * percent / 100;
            for (part, weight) in allocate(total, &weights).unwrap().iter().zip(&weights) {
                prop_assert!(part <= weight);
            }
        }
    }
}
