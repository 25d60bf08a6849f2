//! The merchant's configuration, as `config.schema.json` describes it.

use serde::Deserialize;

use crate::mapping::MappingSettings;
use crate::sweep::SweepSettings;

/// The configuration. Defaults are in the schema; the host fills them in.
#[derive(Clone, Debug, Deserialize)]
pub struct Settings {
    /// Address of the API.
    pub endpoint: String,
    /// Address of Login with Amazon.
    pub token_endpoint: String,
    /// The account's merchant token; empty: not set up.
    pub seller_id: String,
    /// Where it sells.
    pub marketplace_ids: Vec<String>,
    /// Our name of the channel.
    pub channel: String,
    /// Our name of the account.
    pub account: String,
    /// Where tax falls due by default.
    pub country: String,
    /// Currency of the first marketplace.
    pub currency: String,
    /// Tax where no rate is kept.
    pub default_tax_rate_basis_points: u32,
    /// Product type where the listing has none.
    pub product_type: String,
    /// Whether prices are pushed.
    pub push_prices: bool,
    /// Overlap of windows.
    pub overlap_seconds: u64,
    /// Reach of the first window.
    pub lookback_hours: u64,
    /// Orders of a page.
    pub page_size: u32,
    /// Search bucket: time per token.
    pub search_interval_ms: u64,
    /// Search bucket: size.
    pub search_burst: u32,
}

impl Settings {
    /// Whether the account is set up.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        !self.seller_id.trim().is_empty() && !self.marketplace_ids.is_empty()
    }

    /// The marketplace that stock and prices go to.
    #[must_use]
    pub fn marketplace_id(&self) -> &str {
        self.marketplace_ids.first().map_or("", String::as_str)
    }

    /// An address of the API; `path` begins with `/`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.endpoint.trim_end_matches('/'))
    }

    /// What the sweep needs to know.
    #[must_use]
    pub fn sweep(&self) -> SweepSettings {
        SweepSettings {
            overlap_ms: self.overlap_seconds.saturating_mul(1_000),
            lookback_ms: self.lookback_hours.saturating_mul(3_600_000),
            search_interval_ms: self.search_interval_ms,
            search_burst: self.search_burst,
        }
    }

    /// What the mapping needs to know.
    #[must_use]
    pub fn mapping(&self, stock_from_ms: u64) -> MappingSettings {
        MappingSettings { country: self.country.clone(), currency: self.currency.clone(), stock_from_ms }
    }
}

/// A part of a path, percent-encoded.
#[must_use]
pub fn path_segment(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_and_the_type_agree_and_defaults_are_complete() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
        let properties = schema["properties"].as_object().unwrap();
        let defaults: serde_json::Map<_, _> =
            properties.iter().map(|(name, property)| (name.clone(), property["default"].clone())).collect();
        let settings: Settings = serde_json::from_value(defaults.into()).unwrap();
        assert!(!settings.is_configured(), "a fresh install does nothing");
        assert_eq!(settings.sweep().search_interval_ms, 178_572);
        assert_eq!(settings.url("/x"), "https://sellingpartnerapi-eu.amazon.com/x");
    }

    #[test]
    fn path_segments_are_encoded() {
        assert_eq!(path_segment("LAMP-1.a_b~c"), "LAMP-1.a_b~c");
        assert_eq!(path_segment("a/b c+d%ü"), "a%2Fb%20c%2Bd%25%C3%BC");
    }
}
