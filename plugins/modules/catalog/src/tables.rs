//! The catalogue's tables in the host's store.

use crate::catalog::{SkuOwner, Tables};
use crate::error::Error;
use crate::identifier::Code;
use crate::listing::Listing;
use crate::product::{Product, Status};
use crate::search::{Indexes, TitleRow, WordRow};
use kontor_sdk::Table;
use std::ops::Bound::{self, Excluded, Unbounded};

const PRODUCTS: Table<String, Product> = Table::new("products");
const SKUS: Table<String, SkuOwner> = Table::new("skus");
/// Value, kind, issuer, SKU.
const CODES: Table<(String, String, String, String), ()> = Table::new("codes");
/// Word, product.
const WORDS: Table<(String, String), ()> = Table::new("words");
/// Scope (a category path, or empty for all), status, title, product.
const TITLES: Table<(String, String, String, String), ()> = Table::new("titles");
/// Channel, account, SKU.
const LISTINGS: Table<(String, String, String), Listing> = Table::new("listings");
/// Channel, account, external id; the value is the SKU.
const EXTERNALS: Table<(String, String, String), String> = Table::new("externals");

impl From<kontor_sdk::Error> for Error {
    fn from(error: kontor_sdk::Error) -> Self {
        Self::Other(error.to_string())
    }
}

/// The store of this invocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Store;

/// Everything after a key, or everything.
fn after<K>(key: Option<K>) -> (Bound<K>, Bound<K>) {
    (key.map_or(Unbounded, Excluded), Unbounded)
}

impl Indexes for Store {
    fn words(&self, prefix: &str, last: Option<&WordRow>, limit: u32) -> Result<Vec<WordRow>, Error> {
        let last = last.map(|row| (row.word.as_str(), row.product_id.as_str()));
        let keys = WORDS.scan().starts_with(prefix).range(after(last)).limit(limit).keys()?;
        Ok(keys.into_iter().map(|(word, product_id)| WordRow { word, product_id }).collect())
    }

    fn titles(&self, scope: &str, status: Status, last: Option<&TitleRow>, limit: u32) -> Result<Vec<TitleRow>, Error> {
        let last = last.map(|row| (scope, status.letter(), row.title_key.as_str(), row.product_id.as_str()));
        let keys = TITLES.scan().prefix((scope, status.letter())).range(after(last)).limit(limit).keys()?;
        Ok(keys.into_iter().map(|(_, _, title_key, product_id)| TitleRow { title_key, product_id }).collect())
    }

    fn products(&self, ids: &[String]) -> Result<Vec<Option<Product>>, Error> {
        Ok(PRODUCTS.get_many(ids)?)
    }
}

impl Tables for Store {
    fn put_product(&self, product: &Product) -> Result<(), Error> {
        Ok(PRODUCTS.put(&product.id, product)?)
    }

    fn sku_owners(&self, skus: &[String]) -> Result<Vec<Option<SkuOwner>>, Error> {
        Ok(SKUS.get_many(skus)?)
    }

    fn put_sku_owner(&self, sku: &str, owner: &SkuOwner) -> Result<(), Error> {
        Ok(SKUS.put(sku, owner)?)
    }

    fn codes(&self, value: &str) -> Result<Vec<Code>, Error> {
        let keys = CODES.scan().prefix((value,)).keys()?;
        Ok(keys.into_iter().map(|(value, kind, issuer, sku)| Code { value, kind, issuer, sku }).collect())
    }

    fn put_code(&self, code: &Code) -> Result<(), Error> {
        Ok(CODES.put((&code.value, &code.kind, &code.issuer, &code.sku), &())?)
    }

    fn delete_code(&self, code: &Code) -> Result<(), Error> {
        Ok(CODES.delete((&code.value, &code.kind, &code.issuer, &code.sku))?)
    }

    fn put_word(&self, row: &WordRow) -> Result<(), Error> {
        Ok(WORDS.put((&row.word, &row.product_id), &())?)
    }

    fn delete_word(&self, row: &WordRow) -> Result<(), Error> {
        Ok(WORDS.delete((&row.word, &row.product_id))?)
    }

    fn put_title(&self, scope: &str, status: Status, row: &TitleRow) -> Result<(), Error> {
        Ok(TITLES.put((scope, status.letter(), &row.title_key, &row.product_id), &())?)
    }

    fn delete_title(&self, scope: &str, status: Status, row: &TitleRow) -> Result<(), Error> {
        Ok(TITLES.delete((scope, status.letter(), &row.title_key, &row.product_id))?)
    }

    fn listing(&self, channel: &str, account: &str, sku: &str) -> Result<Option<Listing>, Error> {
        Ok(LISTINGS.get((channel, account, sku))?)
    }

    fn put_listing(&self, listing: &Listing) -> Result<(), Error> {
        Ok(LISTINGS.put((&listing.channel, &listing.account, &listing.sku), listing)?)
    }

    fn external_sku(&self, channel: &str, account: &str, external_id: &str) -> Result<Option<String>, Error> {
        Ok(EXTERNALS.get((channel, account, external_id))?)
    }

    fn put_external(&self, listing: &Listing) -> Result<(), Error> {
        Ok(EXTERNALS.put((&listing.channel, &listing.account, &listing.external_id), &listing.sku)?)
    }

    fn delete_external(&self, listing: &Listing) -> Result<(), Error> {
        Ok(EXTERNALS.delete((&listing.channel, &listing.account, &listing.external_id))?)
    }

    fn listings(&self, channel: &str, account: &str, last: Option<&str>, limit: u32) -> Result<Vec<Listing>, Error> {
        let last = last.map(|sku| (channel, account, sku));
        Ok(LISTINGS.scan().prefix((channel, account)).range(after(last)).limit(limit).values()?)
    }
}
