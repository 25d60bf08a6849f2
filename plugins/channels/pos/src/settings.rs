//! What the merchant configured.

use kontor_sdk::Error;
use serde::{Deserialize, Serialize};

use crate::cash;
use kontor_sdk::money::Language;

/// The configuration; its schema is in `plugin.toml`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Settings {
    #[serde(default)]
    language: String,
    pub(crate) country: String,
    pub(crate) channel: String,
    #[serde(default)]
    cash_rounding_minor: Option<i64>,
    #[serde(default)]
    pub(crate) receipt_header: String,
    #[serde(default)]
    pub(crate) receipt_footer: String,
    #[serde(default)]
    pub(crate) tills: Vec<Till>,
}

/// A place where is sold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Till {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) location: String,
}

impl Settings {
    /// As set now.
    pub(crate) fn load() -> Result<Self, Error> {
        kontor_sdk::config::get()
    }

    /// Of pages and receipts.
    pub(crate) fn language(&self) -> Language {
        if self.language == "de" { Language::De } else { Language::En }
    }

    /// The till with this id.
    pub(crate) fn till(&self, id: &str) -> Result<&Till, Error> {
        self.tills.iter().find(|till| till.id == id).ok_or_else(|| {
            Error::not_found(format!("There is no till `{id}`. Add it to the configuration of the plugin."))
                .with_code("unknown-till")
        })
    }

    /// What cash is rounded to.
    pub(crate) fn coin_minor(&self, currency: &str) -> i64 {
        self.cash_rounding_minor.unwrap_or_else(|| cash::coin_minor(currency))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tills_and_coins() {
        let settings: Settings = serde_json::from_value(serde_json::json!({
            "language": "de", "country": "CH", "channel": "pos",
            "tills": [{ "id": "t1", "name": "Kasse 1", "location": "bern" }]
        }))
        .unwrap();
        assert_eq!(settings.language(), Language::De);
        assert_eq!(settings.till("t1").unwrap().location, "bern");
        assert_eq!(settings.till("t2").unwrap_err().code(), "unknown-till");
        assert_eq!((settings.coin_minor("CHF"), settings.coin_minor("EUR")), (5, 1));
        let rounded = Settings { cash_rounding_minor: Some(5), ..settings };
        assert_eq!(rounded.coin_minor("EUR"), 5);
    }
}
