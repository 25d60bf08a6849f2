//! Amounts: Amazon writes decimal strings, Kontor counts integers of the minor unit. No floats in between.

use kontor_sdk::money::minor_digits;

/// `19.9` EUR as 1990.
///
/// # Errors
///
/// When the text is no plain decimal number, is too large, or has more digits than the currency.
pub fn parse(amount: &str, currency: &str) -> Result<i64, String> {
    let refuse = |why: &str| Err(format!("the amount `{amount}` {currency} {why}"));
    let (negative, digits) = match amount.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, amount),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let numeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || digits.ends_with('.') || !numeric(whole) || !numeric(fraction) {
        return refuse("is no plain decimal number");
    }
    let significant = fraction.trim_end_matches('0');
    let places = minor_digits(currency) as usize;
    if significant.len() > places {
        return refuse("has more digits than the currency");
    }
    match format!("{whole}{significant:0<places$}").parse::<i64>() {
        Ok(minor) if negative => Ok(-minor),
        Ok(minor) => Ok(minor),
        Err(_) => refuse("is too large"),
    }
}

/// The tax that is contained in a gross amount, rounded half up (away from zero for credits).
#[must_use]
pub fn tax_in_gross(gross_minor: i64, rate_basis_points: u32) -> i64 {
    let rate = i128::from(rate_basis_points);
    let denominator = 10_000 + rate;
    let scaled = i128::from(gross_minor.unsigned_abs()) * rate * 2 + denominator;
    let tax = i64::try_from(scaled / (denominator * 2)).unwrap_or(i64::MAX);
    if gross_minor < 0 { -tax } else { tax }
}

/// The rate, in basis points, that makes `tax_minor` of `net_minor`, to the nearest; 0 where there is no net.
#[must_use]
pub fn rate_of(net_minor: i64, tax_minor: i64) -> u32 {
    if net_minor <= 0 || tax_minor <= 0 {
        return 0;
    }
    let net = i128::from(net_minor);
    u32::try_from((i128::from(tax_minor) * 20_000 + net) / (net * 2)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use kontor_sdk::money::decimal;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimal_strings_become_minor_units() {
        for (text, currency, minor) in [
            ("19.90", "EUR", 1990),
            ("19.9", "EUR", 1990),
            ("0.05", "EUR", 5),
            ("-3.50", "EUR", -350),
            ("19940", "JPY", 19940),
            ("1.234", "KWD", 1234),
            ("62.5000", "TRY", 6250),
        ] {
            assert_eq!(parse(text, currency), Ok(minor), "{text} {currency}");
        }
        for (text, currency) in [
            ("19.999", "EUR"),
            ("5980.5", "JPY"),
            ("1,5", "EUR"),
            ("1e3", "EUR"),
            ("", "EUR"),
            (".5", "EUR"),
            ("99999999999999999999", "EUR"),
        ] {
            assert!(parse(text, currency).is_err(), "{text} {currency}");
        }
    }

    #[test]
    fn tax_is_taken_out_of_gross() {
        assert_eq!(tax_in_gross(11_900, 1_900), 1_900);
        assert_eq!(tax_in_gross(1_999, 1_900), 319);
        assert_eq!(tax_in_gross(-1_999, 1_900), -319);
        assert_eq!(tax_in_gross(1_999, 0), 0);
        assert_eq!(rate_of(3_999, 1_000), 2_501);
        assert_eq!(rate_of(0, 5), 0);
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(minor in -1_000_000_000_000_i64..1_000_000_000_000, currency in prop::sample::select(vec!["EUR", "JPY", "KWD", "CLF"])) {
            prop_assert_eq!(parse(&decimal(minor, currency), currency), Ok(minor));
        }

        #[test]
        fn net_and_tax_are_gross(gross in 0_i64..1_000_000_000, rate in 0_u32..5_000) {
            let tax = tax_in_gross(gross, rate);
            prop_assert!(tax >= 0 && tax <= gross);
        }
    }
}
