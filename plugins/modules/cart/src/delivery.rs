//! Who buys and where it goes: addresses, e-mail, and the ways to ship.

use crate::error::Error;
use serde::{Deserialize, Serialize};

/// A postal address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Address {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) company: Option<String>,
    pub(crate) line1: String,
    #[serde(default)]
    pub(crate) line2: Option<String>,
    pub(crate) postal_code: String,
    pub(crate) city: String,
    #[serde(default)]
    pub(crate) region: Option<String>,
    pub(crate) country: String,
    #[serde(default)]
    pub(crate) phone: Option<String>,
}

impl Address {
    /// Refuses an address that nothing could be sent to.
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_text("shipping_address.name", &self.name, 100)?;
        check_text("shipping_address.line1", &self.line1, 100)?;
        check_text("shipping_address.postal_code", &self.postal_code, 16)?;
        check_text("shipping_address.city", &self.city, 100)?;
        for (field, text, most) in [
            ("shipping_address.company", &self.company, 100),
            ("shipping_address.line2", &self.line2, 100),
            ("shipping_address.region", &self.region, 100),
            ("shipping_address.phone", &self.phone, 32),
        ] {
            text.as_deref().map_or(Ok(()), |text| check_text(field, text, most))?;
        }
        check_country("shipping_address.country", &self.country)
    }
}

/// A way to ship, as configured. Its price is on the basis of the cart's price list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct ShippingOption {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) currency: String,
    pub(crate) price_minor: i64,
    #[serde(default)]
    pub(crate) free_from_minor: Option<i64>,
    #[serde(default)]
    pub(crate) countries: Vec<String>,
}

impl ShippingOption {
    /// Whether it is offered to carts of this currency that go to this country.
    pub(crate) fn goes_to(&self, country: &str, currency: &str) -> bool {
        self.currency == currency
            && (self.countries.is_empty() || self.countries.iter().any(|allowed| allowed == country))
    }

    /// What it costs for goods of this value.
    pub(crate) fn price_for(&self, goods_minor: i64) -> i64 {
        if self.free_from_minor.is_some_and(|free_from| goods_minor >= free_from) { 0 } else { self.price_minor }
    }
}

/// Refuses what cannot be an e-mail address. Whether it is read by someone only a message can tell.
pub(crate) fn check_email(email: &str) -> Result<(), Error> {
    let fits = email.split_once('@').is_some_and(|(local, domain)| {
        let domain_fits =
            domain.contains('.') && !domain.contains('@') && domain.split('.').all(|label| !label.is_empty());
        !local.is_empty() && local.len() <= 64 && domain_fits
    });
    if fits
        && email.len() <= 254
        && !email.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | ',' | ';'))
    {
        Ok(())
    } else {
        Err(Error::Invalid("email: this is no e-mail address; write it like name@example.com".into()))
    }
}

/// Refuses what cannot be an ISO 3166-1 alpha-2 code.
pub(crate) fn check_country(field: &str, country: &str) -> Result<(), Error> {
    if country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase()) {
        Ok(())
    } else {
        Err(Error::Invalid(format!(
            "{field}: `{country}` is no ISO 3166-1 code; write two upper-case letters such as DE"
        )))
    }
}

/// Refuses an empty or overlong text, one with control characters, and one with blanks at its ends.
pub(crate) fn check_text(field: &str, text: &str, characters_max: usize) -> Result<(), Error> {
    let length = text.chars().count();
    if length == 0 || length > characters_max {
        return Err(Error::Invalid(format!("{field}: has {length} characters, 1 to {characters_max} are allowed")));
    }
    if text.chars().any(char::is_control) || text.trim() != text {
        return Err(Error::Invalid(format!("{field}: control characters and blanks at the ends are not allowed")));
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn address(country: &str) -> Address {
        Address {
            name: "Ada Lovelace".into(),
            company: None,
            line1: "Unter den Linden 1".into(),
            line2: None,
            postal_code: "10117".into(),
            city: "Berlin".into(),
            region: None,
            country: country.into(),
            phone: None,
        }
    }

    #[test]
    fn addresses_are_checked_by_field() {
        assert!(address("DE").check().is_ok());
        for (expected, wrong) in [
            ("shipping_address.name", Address { name: String::new(), ..address("DE") }),
            ("shipping_address.postal_code", Address { postal_code: "1".repeat(17), ..address("DE") }),
            ("shipping_address.city", Address { city: " Berlin".into(), ..address("DE") }),
            ("shipping_address.line2", Address { line2: Some("a\nb".into()), ..address("DE") }),
            ("shipping_address.country", address("Germany")),
        ] {
            assert!(matches!(wrong.check(), Err(Error::Invalid(text)) if text.starts_with(expected)), "{expected}");
        }
    }

    #[test]
    fn emails_are_told_from_other_texts() {
        for right in ["ada@example.com", "a.b+c@mail.example.co.uk", "ü@exämple.de"] {
            assert!(check_email(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "ada",
            "@example.com",
            "ada@example",
            "ada@@example.com",
            "a da@example.com",
            "ada@.com",
            "ada@example.com\r\nBcc: x@y.z",
            "<a@b.c>",
        ] {
            assert!(check_email(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shipping_is_free_from_its_threshold_and_only_where_it_goes() {
        let option = ShippingOption {
            id: "standard".into(),
            name: "Standard".into(),
            currency: "EUR".into(),
            price_minor: 490,
            free_from_minor: Some(5000),
            countries: vec!["DE".into(), "AT".into()],
        };
        assert_eq!((option.price_for(4999), option.price_for(5000)), (490, 0));
        assert!(option.goes_to("AT", "EUR") && !option.goes_to("FR", "EUR") && !option.goes_to("DE", "USD"));
        let anywhere = ShippingOption { free_from_minor: None, countries: vec![], ..option };
        assert!(anywhere.goes_to("FR", "EUR"));
        assert_eq!(anywhere.price_for(i64::MAX), 490);
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in ".*") {
            let _judged = (check_email(&text), check_country("c", &text), check_text("t", &text, 10));
        }
    }
}
