//! The tables of prices in the host's store.

use crate::error::Error;
use crate::price_list::{PriceList, TaxRate, Window, Windows};
use crate::pricing::{Config, Tables};
use kontor_sdk::{Table, config};

const LISTS: Table<String, PriceList> = Table::new("price-lists");
/// Channel; the value is the list's id.
const CHANNELS: Table<String, String> = Table::new("channel-lists");
/// List, SKU.
const PRICES: Table<(String, String), Windows> = Table::new("prices");
/// List, SKU, when it was set, from when it is valid.
const HISTORY: Table<(String, String, u64, u64), Window> = Table::new("price-history");
/// Country, tax class.
const RATES: Table<(String, String), TaxRate> = Table::new("tax-rates");

impl From<kontor_sdk::Error> for Error {
    fn from(error: kontor_sdk::Error) -> Self {
        Self::Other(error.to_string())
    }
}

/// The store of this invocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Store;

impl Tables for Store {
    fn config(&self) -> Result<Config, Error> {
        Ok(config::get()?)
    }

    fn list(&self, id: &str) -> Result<Option<PriceList>, Error> {
        Ok(LISTS.get(id)?)
    }

    fn put_list(&self, list: &PriceList) -> Result<(), Error> {
        Ok(LISTS.put(&list.id, list)?)
    }

    fn lists(&self) -> Result<Vec<PriceList>, Error> {
        Ok(LISTS.scan().values()?)
    }

    fn list_of_channel(&self, channel: &str) -> Result<Option<String>, Error> {
        Ok(CHANNELS.get(channel)?)
    }

    fn put_list_of_channel(&self, channel: &str, list: &str) -> Result<(), Error> {
        Ok(CHANNELS.put(channel, &list.to_owned())?)
    }

    fn delete_list_of_channel(&self, channel: &str) -> Result<(), Error> {
        Ok(CHANNELS.delete(channel)?)
    }

    fn has_prices(&self, list: &str) -> Result<bool, Error> {
        Ok(PRICES.scan().prefix((list,)).first()?.is_some())
    }

    fn windows(&self, list: &str, skus: &[String]) -> Result<Vec<Option<Windows>>, Error> {
        Ok(PRICES.get_many(skus.iter().map(|sku| (list, sku.as_str())))?)
    }

    fn put_windows(&self, list: &str, sku: &str, windows: &Windows) -> Result<(), Error> {
        Ok(PRICES.put((list, sku), windows)?)
    }

    fn note(&self, list: &str, sku: &str, window: &Window, now_ms: u64) -> Result<(), Error> {
        Ok(HISTORY.put((list, sku, now_ms, window.valid_from_ms), window)?)
    }

    fn rates(&self, country: &str, tax_classes: &[String]) -> Result<Vec<Option<TaxRate>>, Error> {
        Ok(RATES.get_many(tax_classes.iter().map(|class| (country, class.as_str())))?)
    }

    fn all_rates(&self) -> Result<Vec<TaxRate>, Error> {
        Ok(RATES.scan().values()?)
    }

    fn put_rate(&self, rate: &TaxRate) -> Result<(), Error> {
        Ok(RATES.put((&rate.country, &rate.tax_class), rate)?)
    }
}
