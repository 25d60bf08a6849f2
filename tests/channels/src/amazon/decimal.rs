//! Money as Amazon writes it (a decimal string) and as it can be added up (integers of the minor unit).

/// Digits after the decimal point, ISO 4217.
pub(crate) fn exponent(currency: &str) -> u32 {
    match currency {
        "JPY" | "KRW" | "ISK" | "CLP" | "VND" => 0,
        "BHD" | "KWD" | "TND" | "OMR" | "JOD" => 3,
        _ => 2,
    }
}

/// `19.9` EUR as 1990; none when it is no plain decimal number or has more digits than the currency.
pub(crate) fn parse(amount: &str, currency: &str) -> Option<i64> {
    let (negative, digits) = match amount.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, amount),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || digits.ends_with('.') {
        return None;
    }
    let places = usize::try_from(exponent(currency)).ok()?;
    let significant = fraction.trim_end_matches('0');
    if significant.len() > places {
        return None;
    }
    let minor: i64 = format!("{whole}{significant:0<places$}").parse().ok()?;
    Some(if negative { -minor } else { minor })
}

/// 1990 EUR as `19.90`.
pub(crate) fn format(minor: i64, currency: &str) -> String {
    let places = exponent(currency);
    if places == 0 {
        return minor.to_string();
    }
    let unit = 10_u64.pow(places);
    let sign = if minor < 0 { "-" } else { "" };
    let absolute = minor.unsigned_abs();
    let width = usize::try_from(places).unwrap_or(2);
    format!("{sign}{}.{:0width$}", absolute / unit, absolute % unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_strings_are_exact() {
        for (text, currency, minor) in [
            ("19.90", "EUR", Some(1990)),
            ("19.9", "EUR", Some(1990)),
            ("19", "EUR", Some(1900)),
            ("0.05", "EUR", Some(5)),
            ("-3.50", "EUR", Some(-350)),
            ("5980", "JPY", Some(5980)),
            ("5980.00", "JPY", Some(5980)),
            ("1.234", "BHD", Some(1234)),
            ("1.234", "EUR", None),
            ("1,23", "EUR", None),
            ("1.", "EUR", None),
            (".5", "EUR", None),
            ("1e3", "EUR", None),
            ("", "EUR", None),
        ] {
            assert_eq!(parse(text, currency), minor, "{text} {currency}");
        }
        assert_eq!(format(1990, "EUR"), "19.90");
        assert_eq!(format(-5, "EUR"), "-0.05");
        assert_eq!(format(5980, "JPY"), "5980");
        assert_eq!(format(1234, "BHD"), "1.234");
    }
}
