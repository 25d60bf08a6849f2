//! Exact decimal numbers as they stand in files: read without loss, multiplied without loss, rounded once. Not a general number type.

/// Fraction digits that are kept; files with more are refused rather than rounded.
pub(crate) const FRACTION_DIGITS: u32 = 6;
const ONE: i128 = 1_000_000;
/// No amount or quantity of a merchant is larger; keeps every product and sum far from overflow.
const LARGEST: i128 = 1_000_000_000_000 * ONE;

/// An integer number of millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Decimal(i128);

impl Decimal {
    /// Zero.
    pub(crate) const ZERO: Self = Self(0);

    /// From millionths.
    pub(crate) fn from_millionths(value: i128) -> Self {
        Self(value)
    }

    /// As millionths.
    pub(crate) fn millionths(self) -> i128 {
        self.0
    }

    /// Reads `-1234.5`, `1,234.50` (groups of three) or, with `decimal_comma`, `1.234,50`. The error says what is wrong.
    pub(crate) fn parse(text: &str, decimal_comma: bool) -> Result<Self, String> {
        let trimmed = text.trim();
        let refuse =
            |why: &str| Err(format!("`{}` is not a number: {why}", trimmed.chars().take(40).collect::<String>()));
        let (negative, digits) = match trimmed.as_bytes().first() {
            Some(b'-') => (true, trimmed.get(1..).unwrap_or_default()),
            Some(b'+') => (false, trimmed.get(1..).unwrap_or_default()),
            Some(_) => (false, trimmed),
            None => return refuse("the cell is empty"),
        };
        let (point, group) = if decimal_comma { (',', '.') } else { ('.', ',') };
        let (whole, fraction) = digits.split_once(point).unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return refuse("it has no digits");
        }
        let groups: Vec<&str> = whole.split(group).collect();
        let grouped_well = groups.len() == 1
            || groups.iter().enumerate().all(|(i, g)| if i == 0 { (1..=3).contains(&g.len()) } else { g.len() == 3 });
        if !grouped_well {
            return refuse("its groups of digits are not groups of three");
        }
        let fraction_digits = u32::try_from(fraction.len()).unwrap_or(u32::MAX);
        if fraction_digits > FRACTION_DIGITS {
            return refuse("it has more than 6 digits after the point");
        }
        let mut value: i128 = 0;
        for character in whole.chars().filter(|c| *c != group).chain(fraction.chars()) {
            let Some(digit) = character.to_digit(10) else {
                return refuse("use digits, an optional sign and one decimal point");
            };
            value = value.saturating_mul(10).saturating_add(i128::from(digit));
        }
        value = value.saturating_mul(10i128.pow(FRACTION_DIGITS - fraction_digits));
        if value > LARGEST {
            return refuse("it is larger than 1,000,000,000,000");
        }
        Ok(Self(if negative { -value } else { value }))
    }

    /// The integer, if it is one.
    pub(crate) fn integer(self) -> Option<i64> {
        (self.0 % ONE == 0).then(|| i64::try_from(self.0 / ONE).ok()).flatten()
    }

    /// `self` times an integer.
    pub(crate) fn times(self, factor: i64) -> Self {
        Self(self.0.saturating_mul(i128::from(factor)))
    }

    /// In minor units of a currency with `exponent` digits, halves away from zero.
    pub(crate) fn to_minor(self, exponent: u32) -> i64 {
        let unit = 10i128.pow(FRACTION_DIGITS.saturating_sub(exponent.min(FRACTION_DIGITS)));
        let magnitude = (self.0.abs() + unit / 2) / unit;
        i64::try_from(if self.0 < 0 { -magnitude } else { magnitude }).unwrap_or(i64::MAX)
    }
}

impl std::ops::Add for Decimal {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::fmt::Display for Decimal {
    /// Plain notation without trailing zeros, at least two fraction digits: `7852323.674`, `0.50`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let (whole, fraction) = (magnitude / 1_000_000, magnitude % 1_000_000);
        let digits = format!("{fraction:06}");
        let shown = digits.trim_end_matches('0');
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{whole}.{shown:0<2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_rounds() {
        for (text, comma, shown, minor) in [
            ("2.55", false, "2.55", 255),
            ("-11062.06", false, "-11062.06", -1_106_206),
            ("0.001", false, "0.001", 0),
            ("0.005", false, "0.005", 1),
            ("-0.005", false, "-0.005", -1),
            ("1,234.5", false, "1234.50", 123_450),
            ("1.234,50", true, "1234.50", 123_450),
            (" 7 ", false, "7.00", 700),
            (".5", false, "0.50", 50),
        ] {
            let value = Decimal::parse(text, comma).unwrap();
            assert_eq!((value.to_string().as_str(), value.to_minor(2)), (shown, minor), "{text}");
        }
    }

    #[test]
    fn refuses_with_a_reason() {
        for (text, why) in [
            ("", "empty"),
            ("-", "no digits"),
            ("abc", "use digits"),
            ("1.2345678", "more than 6"),
            ("1,23,4", "groups of three"),
            ("1e5", "use digits"),
            ("99999999999999999999999999999999999999999999", "larger"),
        ] {
            let error = Decimal::parse(text, false).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn shows_what_it_read(units in -1_000_000_000_000i64..1_000_000_000_000) {
            let value = Decimal::from_millionths(i128::from(units));
            prop_assert_eq!(Decimal::parse(&value.to_string(), false).unwrap(), value);
        }

        #[test]
        fn rounding_is_odd_and_near(units in -1_000_000_000i64..1_000_000_000, exponent in 0u32..5) {
            let value = Decimal::from_millionths(i128::from(units));
            prop_assert_eq!(value.to_minor(exponent), -Decimal::from_millionths(i128::from(-units)).to_minor(exponent));
            let unit = 10i128.pow(FRACTION_DIGITS - exponent);
            prop_assert!((i128::from(value.to_minor(exponent)) * unit - i128::from(units)).abs() * 2 <= unit);
        }
    }
}
