//! How amounts are written down. An amount is an integer of its currency's minor unit; nothing here calculates with it.

use std::fmt::Write;

/// How people of a language write numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English: `€1,234.50`.
    #[default]
    En,
    /// German: `1.234,50 €`.
    De,
}

/// Digits after the point (ISO 4217): 2 for `EUR`, 0 for `JPY`. Codes that are not listed there have 2.
pub fn minor_digits(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

/// For programs: 1990 EUR is `19.90`, 500 JPY is `500`.
pub fn decimal(amount_minor: i64, currency: &str) -> String {
    let sign = if amount_minor < 0 { "-" } else { "" };
    format!("{sign}{}", digits(amount_minor, currency, '.', None))
}

/// For people: 199900 EUR is `€1,999.00` or `1.999,00 €`.
pub fn display(amount_minor: i64, currency: &str, language: Language) -> String {
    let (point, group) = match language {
        Language::En => ('.', ','),
        Language::De => (',', '.'),
    };
    let number = digits(amount_minor, currency, point, Some(group));
    let sign = if amount_minor < 0 { "\u{2212}" } else { "" };
    match (language, symbol(currency)) {
        (Language::En, Some(symbol)) => format!("{sign}{symbol}{number}"),
        (Language::En, None) => format!("{sign}{currency}\u{a0}{number}"),
        (Language::De, symbol) => format!("{sign}{number}\u{a0}{}", symbol.unwrap_or(currency)),
    }
}

/// The amount without its sign.
fn digits(amount_minor: i64, currency: &str, point: char, group: Option<char>) -> String {
    let minor_digits = minor_digits(currency);
    let unit = 10_u64.pow(minor_digits);
    let magnitude = amount_minor.unsigned_abs();
    let whole = (magnitude / unit).to_string();
    let mut text = String::with_capacity(whole.len() + 8);
    for (position, digit) in whole.chars().enumerate() {
        if let Some(separator) = group.filter(|_| position > 0 && (whole.len() - position).is_multiple_of(3)) {
            text.push(separator);
        }
        text.push(digit);
    }
    if minor_digits > 0 {
        // Writing to a string does not fail.
        let _ = write!(text, "{point}{:0width$}", magnitude % unit, width = minor_digits as usize);
    }
    text
}

fn symbol(currency: &str) -> Option<&'static str> {
    match currency {
        "EUR" => Some("€"),
        "GBP" => Some("£"),
        "USD" => Some("$"),
        "JPY" => Some("¥"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_as_people_and_programs_write_them() {
        for (amount, currency, en, de, program) in [
            (1999, "EUR", "€19.99", "19,99\u{a0}€", "19.99"),
            (5, "EUR", "€0.05", "0,05\u{a0}€", "0.05"),
            (0, "EUR", "€0.00", "0,00\u{a0}€", "0.00"),
            (-123_456_789, "GBP", "\u{2212}£1,234,567.89", "\u{2212}1.234.567,89\u{a0}£", "-1234567.89"),
            (1200, "JPY", "¥1,200", "1.200\u{a0}¥", "1200"),
            (1500, "BHD", "BHD\u{a0}1.500", "1,500\u{a0}BHD", "1.500"),
            (
                i64::MIN,
                "USD",
                "\u{2212}$92,233,720,368,547,758.08",
                "\u{2212}92.233.720.368.547.758,08\u{a0}$",
                "-92233720368547758.08",
            ),
        ] {
            assert_eq!(display(amount, currency, Language::En), en);
            assert_eq!(display(amount, currency, Language::De), de);
            assert_eq!(decimal(amount, currency), program);
        }
    }
}
