//! How amounts are shown. Amounts stay integers; this only writes them down.

/// A language of the pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Language {
    /// English.
    #[default]
    En,
    /// German.
    De,
}

/// `19.99` minor units of a currency as people of `language` write it: `€19.99`, `19,99 €`.
pub(crate) fn format(amount_minor: i64, currency: &str, language: Language) -> String {
    let exponent = exponent(currency);
    let unit = 10u64.pow(exponent);
    let magnitude = amount_minor.unsigned_abs();
    let (point, group) = match language {
        Language::En => ('.', ','),
        Language::De => (',', '.'),
    };
    let mut number = grouped(magnitude / unit, group);
    if exponent > 0 {
        let fraction = magnitude % unit;
        number.push(point);
        number.push_str(&format!("{fraction:0width$}", width = exponent as usize));
    }
    let sign = if amount_minor < 0 { "\u{2212}" } else { "" };
    match (language, symbol(currency)) {
        (Language::En, Some(symbol)) => format!("{sign}{symbol}{number}"),
        (Language::En, None) => format!("{sign}{currency}\u{a0}{number}"),
        (Language::De, symbol) => format!("{sign}{number}\u{a0}{}", symbol.unwrap_or(currency)),
    }
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

/// Digits after the point (ISO 4217).
fn exponent(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "VND" | "VUV"
        | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

fn grouped(number: u64, separator: char) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(separator);
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_as_people_write_them() {
        for (amount, currency, en, de) in [
            (1999, "EUR", "€19.99", "19,99\u{a0}€"),
            (5, "EUR", "€0.05", "0,05\u{a0}€"),
            (-123_456_789, "GBP", "\u{2212}£1,234,567.89", "\u{2212}1.234.567,89\u{a0}£"),
            (1200, "JPY", "¥1,200", "1.200\u{a0}¥"),
            (1500, "BHD", "BHD\u{a0}1.500", "1,500\u{a0}BHD"),
        ] {
            assert_eq!(
                (format(amount, currency, Language::En).as_str(), format(amount, currency, Language::De).as_str()),
                (en, de)
            );
        }
    }
}
