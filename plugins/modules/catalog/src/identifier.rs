//! The numbers by which the world knows a variant: how they are checked, and in which form they are compared.
//!
//! GTINs (EAN, UPC, GTIN-8, GTIN-14) and ISBNs are one number space: all are compared as 14 digits. Which variant a number
//! belongs to is not here.

use crate::error::Error;
use crate::product::check_key;
use serde::{Deserialize, Serialize};

/// The kind of an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum IdentifierKind {
    /// Global trade item number.
    Gtin,
    /// International standard book number; a GTIN once it has 13 digits.
    Isbn,
    /// Manufacturer's part number; several manufacturers may use the same.
    Mpn,
    /// Amazon's number.
    Asin,
    /// What a supplier calls it.
    SupplierSku,
    /// What a channel calls it.
    ChannelSku,
}

impl IdentifierKind {
    /// One letter, for keys. The order is that in which `find` prefers them.
    pub(crate) fn letter(self) -> &'static str {
        match self {
            Self::Gtin | Self::Isbn => "a",
            Self::Asin => "b",
            Self::ChannelSku => "c",
            Self::SupplierSku => "d",
            Self::Mpn => "e",
        }
    }
}

/// A number by which the world knows a variant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identifier {
    pub(crate) kind: IdentifierKind,
    pub(crate) value: String,
    #[serde(default)]
    pub(crate) issuer: Option<String>,
}

/// An identifier in the form in which it is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Code {
    pub(crate) value: String,
    /// `IdentifierKind::letter`.
    pub(crate) kind: String,
    /// Empty where the issuer does not matter.
    pub(crate) issuer: String,
    pub(crate) sku: String,
}

impl Code {
    /// Whether no other variant may have it. Part numbers are unique only within a manufacturer, which we may not know.
    pub(crate) fn is_unique(&self) -> bool {
        self.kind != IdentifierKind::Mpn.letter()
    }

    /// Whether it is the same number of the same issuer.
    pub(crate) fn is_same_number(&self, other: &Self) -> bool {
        (&self.value, &self.kind, &self.issuer) == (&other.value, &other.kind, &other.issuer)
    }
}

impl Identifier {
    /// Checks the identifier and gives the form in which it is compared.
    pub(crate) fn code(&self, field: &str, sku: &str) -> Result<Code, Error> {
        let issuer = self.issuer.as_deref().unwrap_or_default();
        if !issuer.is_empty() {
            check_key(&format!("{field}.issuer"), issuer)?;
        }
        let (value, keeps_issuer) = match self.kind {
            IdentifierKind::Gtin => {
                let digits =
                    normalise_gtin(&self.value).map_err(|reason| Error::Invalid(format!("{field}.value: {reason}")))?;
                let restricted = is_restricted(&digits);
                (digits, restricted)
            }
            IdentifierKind::Isbn => (
                normalise_isbn(&self.value).map_err(|reason| Error::Invalid(format!("{field}.value: {reason}")))?,
                false,
            ),
            IdentifierKind::Asin => {
                let value = self.value.to_ascii_uppercase();
                if value.len() != 10 || !value.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                    return Err(Error::Invalid(format!(
                        "{field}.value: `{}` is no ASIN; it has 10 letters and digits",
                        self.value
                    )));
                }
                (value, false)
            }
            IdentifierKind::Mpn => (upper(text(field, &self.value)?), true),
            IdentifierKind::SupplierSku | IdentifierKind::ChannelSku => {
                if issuer.is_empty() {
                    return Err(Error::Invalid(format!("{field}.issuer: say whose number `{}` is", self.value)));
                }
                (text(field, &self.value)?.to_owned(), true)
            }
        };
        Ok(Code {
            value,
            kind: self.kind.letter().into(),
            issuer: if keeps_issuer { issuer.into() } else { String::new() },
            sku: sku.into(),
        })
    }
}

fn text<'a>(field: &str, value: &'a str) -> Result<&'a str, Error> {
    check_key(&format!("{field}.value"), value).map(|()| value)
}

/// Part numbers are printed in either case. ASCII alone: other letters may grow.
fn upper(value: &str) -> String {
    value.to_ascii_uppercase()
}

/// The forms in which a scanned or typed code may be stored, the likeliest first.
pub(crate) fn forms(code: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for form in [normalise_gtin(code).ok(), normalise_isbn(code).ok(), Some(code.to_owned()), Some(upper(code))]
        .into_iter()
        .flatten()
    {
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
    forms
}

/// Checks a GTIN of 8, 12, 13 or 14 digits and gives its 14-digit form. The error says what is wrong with it.
pub(crate) fn normalise_gtin(value: &str) -> Result<String, String> {
    if !matches!(value.len(), 8 | 12 | 13 | 14) || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{value}` is no GTIN; it has 8, 12, 13 or 14 digits"));
    }
    let (body, check) = value.split_at(value.len() - 1);
    let expected = check_digit(body);
    if check.bytes().next() != Some(b'0' + expected) {
        return Err(format!(
            "`{value}` is no GTIN: the check digit is {check}, but {expected} would fit; look for a mistyped digit"
        ));
    }
    Ok(format!("{value:0>14}"))
}

/// The mod-10 check digit of digits without one: weights 3 and 1 from the right.
pub(crate) fn check_digit(body: &str) -> u8 {
    let sum: u32 = body
        .bytes()
        .rev()
        .zip([3, 1].into_iter().cycle())
        .map(|(byte, weight)| u32::from(byte.saturating_sub(b'0')) * weight)
        .sum();
    // A remainder of ten fits.
    ((10 - sum % 10) % 10) as u8
}

/// Whether a 14-digit GTIN lies in a range that every company uses for itself (weighed goods, shelf labels): GS1 prefixes
/// 02 and 20 to 29, and GTIN-8 that begin with 2. Such a number means nothing outside the company that printed it.
pub(crate) fn is_restricted(gtin14: &str) -> bool {
    let prefix = gtin14.get(1..3).unwrap_or_default();
    let short = gtin14.starts_with("000000") && gtin14.get(6..7) == Some("2");
    prefix == "02" || prefix.starts_with('2') || short
}

/// Checks an ISBN of 10 or 13 digits, hyphens allowed, and gives its 14-digit GTIN form.
fn normalise_isbn(value: &str) -> Result<String, String> {
    let digits: String = value.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    if digits.len() == 13 && (digits.starts_with("978") || digits.starts_with("979")) {
        return normalise_gtin(&digits);
    }
    let wrong = || {
        format!("`{value}` is no ISBN; it has 10 digits, or 13 that begin with 978 or 979, and a fitting check digit")
    };
    let (body, check) = digits.split_at_checked(9).ok_or_else(wrong)?;
    if check.len() != 1 || !body.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let sum: u32 = body.bytes().zip((2..=10).rev()).map(|(byte, weight)| u32::from(byte - b'0') * weight).sum();
    let expected = match (11 - sum % 11) % 11 {
        10 => 'X'.to_string(),
        digit => digit.to_string(),
    };
    if !check.eq_ignore_ascii_case(&expected) {
        return Err(wrong());
    }
    let body = format!("978{body}");
    Ok(format!("{:0>14}", format!("{body}{}", check_digit(&body))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn check_digits_follow_the_vectors() {
        for (body, expected) in [("400638133393", 1), ("03600029145", 2), ("9638507", 4), ("", 0)] {
            assert_eq!(check_digit(body), expected, "{body}");
        }
    }

    #[test]
    fn gtins_of_every_length_are_compared_as_14_digits() {
        for (value, expected) in [
            ("4006381333931", "04006381333931"),
            ("036000291452", "00036000291452"),
            ("0036000291452", "00036000291452"),
            ("96385074", "00000096385074"),
            ("04006381333931", "04006381333931"),
        ] {
            assert_eq!(normalise_gtin(value).as_deref(), Ok(expected));
        }
        for wrong in ["", "4006381333932", "400638133393", "40063813339312", "400638133393X", "４００６３８１３"]
        {
            assert!(normalise_gtin(wrong).is_err(), "{wrong}");
        }
        assert!(normalise_gtin("4006381333932").unwrap_err().contains("1 would fit"));
    }

    #[test]
    fn books_are_found_under_both_numbers() {
        for value in ["0-306-40615-2", "0306406152", "978-0-306-40615-7", "9780306406157"] {
            assert_eq!(normalise_isbn(value).as_deref(), Ok("09780306406157"), "{value}");
        }
        assert_eq!(normalise_isbn("080442957X").as_deref(), Ok("09780804429573"));
        for wrong in ["0306406153", "9780306406158", "4006381333931", "ÄÖÜÄÖ", ""] {
            assert!(normalise_isbn(wrong).is_err(), "{wrong}");
        }
        assert_eq!(forms("0306406152").first().map(String::as_str), Some("09780306406157"));
    }

    #[test]
    fn in_store_ranges_are_known() {
        for (gtin, restricted) in [
            ("2012345678900", true),
            ("2912345678901", true),
            ("0212345678901", true),
            ("0112345678901", false),
            ("4006381333931", false),
            ("3012345678901", false),
        ] {
            assert_eq!(is_restricted(&format!("{gtin:0>14}")), restricted, "{gtin}");
        }
        assert!(is_restricted("00000020123451"), "a GTIN-8 that begins with 2");
        assert!(!is_restricted("00000096385074"));
    }

    #[test]
    fn codes_keep_the_issuer_only_where_it_matters() {
        let identifier = |kind, value: &str, issuer: Option<&str>| Identifier {
            kind,
            value: value.into(),
            issuer: issuer.map(Into::into),
        };
        let code = |kind, value, issuer| identifier(kind, value, issuer).code("f", "S");
        assert_eq!(code(IdentifierKind::Gtin, "4006381333931", Some("acme")).unwrap().issuer, "");
        let own = format!("201234567890{}", check_digit("201234567890"));
        assert_eq!(code(IdentifierKind::Gtin, &own, Some("acme")).unwrap().issuer, "acme");
        assert_eq!(code(IdentifierKind::Asin, "b000abcdef", None).unwrap().value, "B000ABCDEF");
        assert_eq!(code(IdentifierKind::Mpn, "xy-1", Some("Bosch")).unwrap().value, "XY-1");
        for (kind, value, issuer) in [
            (IdentifierKind::SupplierSku, "1", None),
            (IdentifierKind::Asin, "short", None),
            (IdentifierKind::Mpn, " x", None),
            (IdentifierKind::Gtin, "1", None),
        ] {
            assert!(matches!(code(kind, value, issuer), Err(Error::Invalid(_))), "{kind:?} {value}");
        }
    }

    proptest! {
        #[test]
        fn one_mistyped_digit_is_always_noticed(body in "[0-9]{12}", place in 0..13_usize, shift in 1..10_u8) {
            let right = format!("{body}{}", check_digit(&body));
            prop_assert!(normalise_gtin(&right).is_ok());
            let mut digits = right.into_bytes();
            digits[place] = b'0' + (digits[place] - b'0' + shift) % 10;
            prop_assert!(normalise_gtin(&String::from_utf8(digits).unwrap()).is_err());
        }

        #[test]
        fn any_text_is_answered(value in ".*") {
            let _forms = forms(&value);
        }
    }
}
