//! Amounts that people type, and rates. How amounts are written is the SDK's [`money`].

use kontor_sdk::money::{self, Language, minor_digits};

/// An amount in messages for programs: `EUR 19.99`.
pub(crate) fn plain(amount_minor: i64, currency: &str) -> String {
    format!("{currency} {}", money::decimal(amount_minor, currency))
}

/// A rate: `19 %`, `5.5 %`.
pub(crate) fn rate(basis_points: u32, language: Language) -> String {
    let point = if language == Language::De { ',' } else { '.' };
    let fraction = match (basis_points % 100 / 10, basis_points % 10) {
        (0, 0) => String::new(),
        (tenths, 0) => format!("{point}{tenths}"),
        (tenths, hundredths) => format!("{point}{tenths}{hundredths}"),
    };
    format!("{}{fraction}\u{a0}%", basis_points / 100)
}

/// Reads an amount that a person typed, such as `50`, `19,99`, `19.99` or `1.200,50`. A last separator with no more digits behind it
/// than the currency has is a decimal one; one with three digits separates thousands.
pub(crate) fn parse(text: &str, currency: &str) -> Option<i64> {
    let digits = minor_digits(currency) as usize;
    let text: String = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '€' | '$' | '£' | '¥')).collect();
    let (whole, fraction) = match text.rfind(['.', ',']) {
        Some(at) => {
            let (whole, rest) = text.split_at(at);
            let fraction = rest.get(1..)?;
            let same_before = rest.chars().next().is_some_and(|separator| whole.contains(separator));
            match fraction.len() {
                0 => return None,
                length if length <= digits && !same_before => (whole, fraction),
                3 => (text.as_str(), ""),
                _ => return None,
            }
        }
        None => (text.as_str(), ""),
    };
    let groups: Vec<&str> = whole.split(['.', ',']).collect();
    let all_digits = groups.iter().chain(&[fraction]).all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let separators_agree = !(whole.contains('.') && whole.contains(','));
    let groups_fit = groups.iter().skip(1).all(|group| group.len() == 3)
        && groups.first().is_some_and(|first| !first.is_empty() && (groups.len() == 1 || first.len() <= 3));
    if !all_digits || !separators_agree || !groups_fit {
        return None;
    }
    let number: i64 = groups.concat().parse().ok()?;
    let scaled = number.checked_mul(10i64.pow(digits as u32))?;
    let fraction: i64 = format!("{fraction:0<digits$}0").parse::<i64>().ok()? / 10;
    scaled.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_in_messages_and_rates() {
        assert_eq!((plain(-123_456, "GBP"), plain(1200, "JPY")), ("GBP -1234.56".into(), "JPY 1200".into()));
        assert_eq!(
            (rate(1900, Language::De), rate(550, Language::De), rate(725, Language::En)),
            ("19\u{a0}%".into(), "5,5\u{a0}%".into(), "7.25\u{a0}%".into())
        );
    }

    #[test]
    fn amounts_as_people_type_them() {
        for (text, currency, amount) in [
            ("50", "EUR", Some(5000)),
            ("19,99", "EUR", Some(1999)),
            ("19.99", "EUR", Some(1999)),
            (" 19,9 € ", "EUR", Some(1990)),
            ("1.200,50", "EUR", Some(120_050)),
            ("1,200.50", "EUR", Some(120_050)),
            ("1.200", "EUR", Some(120_000)),
            ("1.200.300", "EUR", Some(120_030_000)),
            ("1200", "JPY", Some(1200)),
            ("1.5", "JPY", None),
            ("1.500", "BHD", Some(1500)),
            ("", "EUR", None),
            ("abc", "EUR", None),
            ("-5", "EUR", None),
            ("5,", "EUR", None),
            (",50", "EUR", None),
            ("1,2,3", "EUR", None),
            ("12,3456", "EUR", None),
            ("1.20,50", "EUR", None),
            ("99999999999999999999", "EUR", None),
            ("99999999999999999", "EUR", None),
        ] {
            assert_eq!(parse(text, currency), amount, "{text} {currency}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(amount in 0i64..1_000_000_000_000, currency in prop::sample::select(vec!["EUR", "JPY", "GBP"]), german: bool) {
            let language = if german { Language::De } else { Language::En };
            prop_assert_eq!(parse(&money::display(amount, currency, language), currency), Some(amount));
        }

        #[test]
        fn nothing_typed_breaks_it(text in "\\PC{0,24}") {
            let _ = parse(&text, "EUR");
        }
    }
}
