//! What the merchant configured.

use kontor_sdk::http::Error;
use serde::Deserialize;

use crate::pages::Frame;
use kontor_sdk::money::Language;

/// The configuration; its schema is in `plugin.toml`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Settings {
    /// Name of the shop.
    pub shop_name: String,
    /// One sentence.
    #[serde(default)]
    pub tagline: String,
    /// `en` or `de`.
    #[serde(default)]
    language: String,
    /// Whose prices and stock are shown.
    pub channel: String,
    /// Delivered to first.
    pub country: String,
    /// In the navigation.
    #[serde(default)]
    categories: Vec<String>,
}

impl Settings {
    /// As set now.
    pub(crate) fn load() -> Result<Self, Error> {
        kontor_sdk::config::get()
    }

    /// What surrounds a page for a visitor with so many units in the cart.
    pub(crate) fn frame(&self, base: &str, cart_units: i64) -> Frame {
        Frame {
            base: base.to_owned(),
            shop_name: self.shop_name.clone(),
            tagline: self.tagline.clone(),
            language: if self.language == "de" { Language::De } else { Language::En },
            categories: self.categories.clone(),
            cart_units,
        }
    }
}
