//! Price lists, the prices in them and tax rates: what is allowed, and which price counts at an instant.
//!
//! How they are stored and who may change them is not here.

use crate::error::Error;
use crate::money::check_currency;
use crate::tax::{PriceBasis, RATE_BASIS_POINTS_MAX, RoundingLevel, RoundingMode};
use serde::{Deserialize, Serialize};

/// The list by which channels without a list of their own sell.
pub(crate) const DEFAULT_LIST: &str = "default";
/// The tax class that is not taxed unless a rate says otherwise.
pub(crate) const ZERO_CLASS: &str = "zero";
/// Validity windows of one SKU in one list: a base price, and sales ahead of time.
pub(crate) const WINDOWS_MAX: usize = 32;
/// Channels of one list.
pub(crate) const CHANNELS_MAX: usize = 50;
/// SKUs, prices or rates in one call.
pub(crate) const BATCH_MAX: usize = 250;
/// Bytes of a part of a key: a stored key has at most 512.
const KEY_BYTES_MAX: usize = 128;
/// Ended windows are kept this long, for those who ask what a price was.
const ENDED_KEPT_MS: u64 = 60 * 24 * 60 * 60 * 1000;

/// A list of prices in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PriceList {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) currency: String,
    pub(crate) basis: PriceBasis,
    pub(crate) tax_rounding: RoundingLevel,
    pub(crate) rounding: RoundingMode,
    #[serde(default)]
    pub(crate) channels: Vec<String>,
}

impl PriceList {
    /// Refuses a list that breaks a rule.
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_id("id", &self.id)?;
        check_text("name", &self.name, 100)?;
        check_currency(&self.currency)?;
        if self.channels.len() > CHANNELS_MAX {
            return Err(Error::Invalid(format!(
                "channels: {} given, at most {CHANNELS_MAX} are allowed",
                self.channels.len()
            )));
        }
        for (index, channel) in self.channels.iter().enumerate() {
            check_key(&format!("channels[{index}]"), channel)?;
            if self.channels.iter().take(index).any(|earlier| earlier == channel) {
                return Err(Error::Invalid(format!("channels[{index}]: `{channel}` is there twice")));
            }
        }
        Ok(())
    }

    /// Refuses to turn a list with prices into one of another currency or basis: its prices would silently mean something else.
    pub(crate) fn check_replaces(&self, earlier: &Self, has_prices: bool) -> Result<(), Error> {
        if has_prices && self.currency != earlier.currency {
            return Err(Error::Invalid(format!(
                "currency: the prices of list `{}` are in {}; make another list for {}",
                self.id, earlier.currency, self.currency
            )));
        }
        if has_prices && self.basis != earlier.basis {
            return Err(Error::Invalid(format!(
                "basis: list `{}` has prices of the other basis already; make another list",
                self.id
            )));
        }
        Ok(())
    }
}

/// The price of one base unit of a SKU in a list, for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Price {
    pub(crate) price_list: String,
    pub(crate) sku: String,
    pub(crate) amount_minor: i64,
    pub(crate) valid_from_ms: u64,
    pub(crate) valid_to_ms: Option<u64>,
}

impl Price {
    /// Refuses a price that breaks a rule.
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_id("price_list", &self.price_list)?;
        check_key("sku", &self.sku)?;
        if self.amount_minor < 0 {
            return Err(Error::Invalid(format!(
                "amount_minor: {} for SKU `{}`; a price is 0 or more",
                self.amount_minor, self.sku
            )));
        }
        if self.valid_to_ms.is_some_and(|end| end <= self.valid_from_ms) {
            return Err(Error::Invalid(format!("valid_to_ms: for SKU `{}` it must lie after valid_from_ms", self.sku)));
        }
        Ok(())
    }
}

/// A time for which a SKU has an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub(crate) amount_minor: i64,
    pub(crate) valid_from_ms: u64,
    #[serde(default)]
    pub(crate) valid_to_ms: Option<u64>,
}

/// All windows of a SKU in a list, ordered by their beginnings. Where they overlap, the one that began last counts: a sale
/// lies over the base price, and when it ends the base price is back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Windows {
    #[serde(default)]
    pub(crate) windows: Vec<Window>,
}

impl Windows {
    /// Sets a window; one with the same beginning is replaced. True if anything changed.
    pub(crate) fn set(&mut self, window: Window, now_ms: u64) -> Result<bool, Error> {
        match self.windows.binary_search_by_key(&window.valid_from_ms, |existing| existing.valid_from_ms) {
            Ok(place) => {
                let Some(existing) = self.windows.get_mut(place) else { return Ok(false) };
                if *existing == window {
                    return Ok(false);
                }
                *existing = window;
            }
            Err(place) => self.windows.insert(place, window),
        }
        self.windows
            .retain(|existing| existing.valid_to_ms.is_none_or(|end| end.saturating_add(ENDED_KEPT_MS) > now_ms));
        if self.windows.len() > WINDOWS_MAX {
            return Err(Error::Invalid(format!(
                "valid_from_ms: the SKU has {WINDOWS_MAX} prices over time in this list already; let one replace another by the same valid_from_ms"
            )));
        }
        Ok(true)
    }

    /// What a unit costs at an instant; none if nothing is valid then.
    pub(crate) fn at(&self, now_ms: u64) -> Option<i64> {
        self.now(|| now_ms)
    }

    /// What a unit costs now. The clock is looked at only where the amount depends on it: the host gives an answer that depends on no
    /// time again, without asking for it to be worked out.
    pub(crate) fn now(&self, clock: impl Fn() -> u64) -> Option<i64> {
        self.windows
            .iter()
            .rev()
            .find(|window| {
                (window.valid_from_ms == 0 || window.valid_from_ms <= clock())
                    && window.valid_to_ms.is_none_or(|end| clock() < end)
            })
            .map(|window| window.amount_minor)
    }

    /// The next instant after `now_ms` at which a window begins or ends.
    pub(crate) fn next_change_after(&self, now_ms: u64) -> Option<u64> {
        self.windows
            .iter()
            .flat_map(|window| [Some(window.valid_from_ms), window.valid_to_ms])
            .flatten()
            .filter(|instant| *instant > now_ms)
            .min()
    }
}

/// A tax rate of a country for a class of goods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaxRate {
    pub(crate) country: String,
    pub(crate) tax_class: String,
    pub(crate) rate_basis_points: u32,
    pub(crate) name: String,
}

impl TaxRate {
    /// Refuses a rate that breaks a rule.
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_country(&self.country)?;
        check_key("tax_class", &self.tax_class)?;
        check_text("name", &self.name, 100)?;
        if self.rate_basis_points > RATE_BASIS_POINTS_MAX {
            return Err(Error::Invalid(format!(
                "rate_basis_points: {} for {} `{}`; at most {RATE_BASIS_POINTS_MAX} (100 %)",
                self.rate_basis_points, self.country, self.tax_class
            )));
        }
        Ok(())
    }
}

/// Refuses what cannot be an ISO 3166-1 alpha-2 code.
pub(crate) fn check_country(country: &str) -> Result<(), Error> {
    if country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase()) {
        Ok(())
    } else {
        Err(Error::Invalid(format!(
            "country: `{country}` is no ISO 3166-1 code; write two upper-case letters such as DE"
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

/// A text that becomes part of a key (a SKU, a channel, a tax class): 1 to 64 characters, and few enough bytes.
pub(crate) fn check_key(field: &str, text: &str) -> Result<(), Error> {
    check_text(field, text, 64)?;
    if text.len() > KEY_BYTES_MAX {
        return Err(Error::Invalid(format!(
            "{field}: has {} bytes in UTF-8, at most {KEY_BYTES_MAX} are allowed",
            text.len()
        )));
    }
    Ok(())
}

/// Refuses an id that is not 1 to 32 characters `[a-z0-9-]`.
pub(crate) fn check_id(field: &str, id: &str) -> Result<(), Error> {
    let fits = (1..=32).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fits {
        Ok(())
    } else {
        Err(Error::Invalid(format!("{field}: `{id}` is not 1 to 32 characters of a-z, 0-9 and -")))
    }
}

/// Refuses more than a call may carry.
pub(crate) fn check_batch(what: &str, count: usize) -> Result<(), Error> {
    if count > BATCH_MAX {
        Err(Error::Invalid(format!("{what}: {count} given, at most {BATCH_MAX} in one call")))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window(amount_minor: i64, valid_from_ms: u64, valid_to_ms: Option<u64>) -> Window {
        Window { amount_minor, valid_from_ms, valid_to_ms }
    }

    fn list() -> PriceList {
        PriceList {
            id: "default".into(),
            name: "Standard".into(),
            currency: "EUR".into(),
            basis: PriceBasis::Gross,
            tax_rounding: RoundingLevel::Line,
            rounding: RoundingMode::HalfUp,
            channels: vec!["storefront".into()],
        }
    }

    #[test]
    fn a_sale_lies_over_the_base_price_and_ends() {
        let mut windows = Windows::default();
        assert!(windows.set(window(1999, 0, None), 0).unwrap());
        assert!(windows.set(window(1499, 100, Some(200)), 0).unwrap());
        assert!(!windows.set(window(1499, 100, Some(200)), 0).unwrap(), "the same again changes nothing");
        for (now, expected) in [(0, 1999), (99, 1999), (100, 1499), (199, 1499), (200, 1999)] {
            assert_eq!(windows.at(now), Some(expected), "at {now}");
        }
        for (now, expected) in [(0, Some(100)), (100, Some(200)), (200, None)] {
            assert_eq!(windows.next_change_after(now), expected, "after {now}");
        }
        assert!(windows.set(window(1799, 0, None), 0).unwrap());
        assert_eq!((windows.windows.len(), windows.at(0)), (2, Some(1799)));
    }

    #[test]
    fn before_its_first_window_a_sku_has_no_price() {
        let mut windows = Windows::default();
        windows.set(window(5, 10, Some(20)), 0).unwrap();
        assert_eq!((windows.at(9), windows.at(10), windows.at(20)), (None, Some(5), None));
    }

    #[test]
    fn windows_are_bounded_and_forget_what_ended_long_ago() {
        let mut windows = Windows::default();
        for start in 0..WINDOWS_MAX as u64 {
            windows.set(window(1, start * 10, Some(start * 10 + 5)), 0).unwrap();
        }
        assert!(matches!(windows.clone().set(window(1, 5000, None), 0), Err(Error::Invalid(_))));
        assert!(windows.set(window(1, ENDED_KEPT_MS * 2, None), ENDED_KEPT_MS * 2).unwrap());
        assert_eq!(windows.windows.len(), 1);
    }

    #[test]
    fn lists_prices_and_rates_are_checked() {
        assert!(list().check().is_ok());
        let wrong = [
            PriceList { id: "Default".into(), ..list() },
            PriceList { id: String::new(), ..list() },
            PriceList { name: String::new(), ..list() },
            PriceList { currency: "eur".into(), ..list() },
            PriceList { channels: vec!["a".into(), "a".into()], ..list() },
            PriceList { channels: vec![String::new()], ..list() },
        ];
        for list in wrong {
            assert!(matches!(list.check(), Err(Error::Invalid(_))), "{list:?}");
        }
        let dollars = PriceList { currency: "USD".into(), ..list() };
        assert!(dollars.check_replaces(&list(), true).is_err());
        assert!(dollars.check_replaces(&list(), false).is_ok());
        assert!(PriceList { basis: PriceBasis::Net, ..list() }.check_replaces(&list(), true).is_err());

        let price = Price {
            price_list: "default".into(),
            sku: "A-1".into(),
            amount_minor: 0,
            valid_from_ms: 0,
            valid_to_ms: None,
        };
        assert!(price.check().is_ok());
        assert!(Price { amount_minor: -1, ..price.clone() }.check().is_err());
        assert!(Price { valid_from_ms: 5, valid_to_ms: Some(5), ..price.clone() }.check().is_err());
        assert!(Price { sku: " A".into(), ..price }.check().is_err());

        let rate = TaxRate {
            country: "DE".into(),
            tax_class: "standard".into(),
            rate_basis_points: 1900,
            name: "VAT 19 %".into(),
        };
        assert!(rate.check().is_ok());
        assert!(TaxRate { country: "de".into(), ..rate.clone() }.check().is_err());
        assert!(TaxRate { rate_basis_points: 10_001, ..rate }.check().is_err());
    }

    proptest! {
        #[test]
        fn the_order_in_which_prices_are_set_does_not_matter(mut starts in prop::collection::vec((0..50_u64, 1..50_u64), 1..10), now in 0..120_u64) {
            starts.sort_unstable();
            starts.dedup_by_key(|(start, _)| *start);
            let fill = |order: &mut dyn Iterator<Item = &(u64, u64)>| {
                let mut windows = Windows::default();
                for (start, length) in order {
                    windows.set(window(*start as i64, *start, Some(start + length)), 0).unwrap();
                }
                windows
            };
            let forward = fill(&mut starts.iter());
            prop_assert_eq!(&forward, &fill(&mut starts.iter().rev()));
            let expected = starts.iter().filter(|(start, length)| *start <= now && now < start + length).map(|(start, _)| *start as i64).max();
            prop_assert_eq!(forward.at(now), expected);
        }
    }
}
