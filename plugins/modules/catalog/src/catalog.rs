//! The catalogue's rules over its tables: replacing products, finding variants, listings.
//!
//! A replacement checks everything before it writes anything, so one product of many can be refused while the others are
//! taken. Only rows that differ are written: importing the same product again writes nothing.

use crate::error::Error;
use crate::identifier::{Code, forms};
use crate::listing::Listing;
use crate::product::{Product, Status, Variant, check_key};
use crate::search::{Indexes, TitleRow, WordRow};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// SKUs or products in one call.
pub(crate) const BATCH_MAX: usize = 250;

/// To which product a SKU belongs. A SKU stays with its product for ever: stock, orders and channels speak of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SkuOwner {
    pub(crate) product_id: String,
    /// The product no longer has it. Nobody else may use it; the product may take it back.
    #[serde(default)]
    pub(crate) retired: bool,
}

/// What an upsert did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// There was none.
    Created,
    /// It was another.
    Updated,
    /// It was the same.
    Unchanged,
}

/// What others learn of a changed product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ProductChanged {
    pub(crate) product_id: String,
    pub(crate) status: Status,
    pub(crate) outcome: Outcome,
    pub(crate) skus: BTreeSet<String>,
    pub(crate) removed_skus: BTreeSet<String>,
}

/// A variant together with what its product says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct VariantView {
    pub(crate) product_id: String,
    pub(crate) product_title: String,
    pub(crate) product_status: Status,
    pub(crate) tax_class: String,
    pub(crate) image_url: Option<String>,
    pub(crate) variant_info: Variant,
}

/// The catalogue's tables.
pub(crate) trait Tables: Indexes {
    fn put_product(&self, product: &Product) -> Result<(), Error>;
    fn sku_owners(&self, skus: &[String]) -> Result<Vec<Option<SkuOwner>>, Error>;
    fn put_sku_owner(&self, sku: &str, owner: &SkuOwner) -> Result<(), Error>;
    /// Every row with this value.
    fn codes(&self, value: &str) -> Result<Vec<Code>, Error>;
    fn put_code(&self, code: &Code) -> Result<(), Error>;
    fn delete_code(&self, code: &Code) -> Result<(), Error>;
    fn put_word(&self, row: &WordRow) -> Result<(), Error>;
    fn delete_word(&self, row: &WordRow) -> Result<(), Error>;
    fn put_title(&self, scope: &str, status: Status, row: &TitleRow) -> Result<(), Error>;
    fn delete_title(&self, scope: &str, status: Status, row: &TitleRow) -> Result<(), Error>;
    fn listing(&self, channel: &str, account: &str, sku: &str) -> Result<Option<Listing>, Error>;
    fn put_listing(&self, listing: &Listing) -> Result<(), Error>;
    /// The SKU that a channel's account knows by this name.
    fn external_sku(&self, channel: &str, account: &str, external_id: &str) -> Result<Option<String>, Error>;
    fn put_external(&self, listing: &Listing) -> Result<(), Error>;
    fn delete_external(&self, listing: &Listing) -> Result<(), Error>;
    /// Listings of an account by SKU, after `after`.
    fn listings(&self, channel: &str, account: &str, after: Option<&str>, limit: u32) -> Result<Vec<Listing>, Error>;
}

/// The product with this id.
pub(crate) fn product(tables: &impl Indexes, id: &str) -> Result<Product, Error> {
    existing(tables, id)?.ok_or_else(|| Error::NotFound(format!("product `{id}`")))
}

fn existing(tables: &impl Indexes, id: &str) -> Result<Option<Product>, Error> {
    Ok(tables.products(&[id.to_owned()])?.into_iter().flatten().next())
}

/// Creates or replaces a product. What it did, and what others should learn.
pub(crate) fn upsert_product(
    tables: &impl Tables,
    mut new: Product,
    now_ms: u64,
) -> Result<(Outcome, Option<ProductChanged>), Error> {
    new.trim();
    let codes = new.check()?;
    let old = existing(tables, &new.id)?;
    if old.as_ref().is_some_and(|old| old.says_the_same(&new)) {
        return Ok((Outcome::Unchanged, None));
    }
    // A stored product was checked when it was stored; should a rule have become stricter since, its rows still have to go.
    let old_codes = old.as_ref().map(stored_codes).unwrap_or_default();
    let old_skus = old.as_ref().map(Product::skus).unwrap_or_default();
    let new_skus = new.skus();
    let removed: BTreeSet<String> = old_skus.difference(&new_skus).cloned().collect();
    let added: Vec<String> = new_skus.difference(&old_skus).cloned().collect();

    check_owners(tables, &new.id, &added)?;
    check_codes(tables, &old_codes, &codes)?;

    new.updated_at_ms = now_ms;
    tables.put_product(&new)?;
    for (skus, retired) in [(added.iter().collect::<Vec<_>>(), false), (removed.iter().collect(), true)] {
        for sku in skus {
            tables.put_sku_owner(sku, &SkuOwner { product_id: new.id.clone(), retired })?;
        }
    }
    write_rows(tables, old.as_ref(), &new, (&old_codes, &codes))?;
    let outcome = if old.is_some() { Outcome::Updated } else { Outcome::Created };
    let changed =
        ProductChanged { product_id: new.id, status: new.status, outcome, skus: new_skus, removed_skus: removed };
    Ok((outcome, Some(changed)))
}

fn stored_codes(product: &Product) -> BTreeSet<Code> {
    let identifiers = product
        .variants
        .iter()
        .flat_map(|variant| variant.identifiers.iter().map(|identifier| (identifier, &variant.sku)));
    identifiers.filter_map(|(identifier, sku)| identifier.code("identifier", sku).ok()).collect()
}

fn check_owners(tables: &impl Tables, id: &str, added: &[String]) -> Result<(), Error> {
    for (sku, owner) in added.iter().zip(tables.sku_owners(added)?) {
        match owner {
            Some(owner) if owner.product_id != id && owner.retired => {
                return Err(Error::Conflict(format!(
                    "SKU `{sku}` was used by product `{}`; a SKU is never used again for another product: choose a new one",
                    owner.product_id
                )));
            }
            Some(owner) if owner.product_id != id => {
                return Err(Error::Conflict(format!("SKU `{sku}` belongs to product `{}` already", owner.product_id)));
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_codes(tables: &impl Tables, old: &BTreeSet<Code>, new: &BTreeSet<Code>) -> Result<(), Error> {
    for code in new.difference(old).filter(|code| code.is_unique()) {
        let taken = tables.codes(&code.value)?.into_iter().find(|row| {
            let moves_away = old.contains(row) && !new.contains(row);
            row.is_same_number(code) && row.sku != code.sku && !moves_away
        });
        if let Some(row) = taken {
            let owner = tables.sku_owners(std::slice::from_ref(&row.sku))?.into_iter().flatten().next();
            let product = owner.map(|owner| format!(" of product `{}`", owner.product_id)).unwrap_or_default();
            return Err(Error::Conflict(format!(
                "identifier `{}` of SKU `{}` belongs to SKU `{}`{product} already",
                code.value, code.sku, row.sku
            )));
        }
    }
    Ok(())
}

/// Brings the indexes from the old product to the new one, writing only what differs.
fn write_rows(
    tables: &impl Tables,
    old: Option<&Product>,
    new: &Product,
    codes: (&BTreeSet<Code>, &BTreeSet<Code>),
) -> Result<(), Error> {
    let (old_codes, new_codes) = codes;
    for code in old_codes.difference(new_codes) {
        tables.delete_code(code)?;
    }
    for code in new_codes.difference(old_codes) {
        tables.put_code(code)?;
    }
    let row = |word: &String| WordRow { word: word.clone(), product_id: new.id.clone() };
    let (old_words, new_words) = (old.map(Product::words).unwrap_or_default(), new.words());
    for word in old_words.difference(&new_words) {
        tables.delete_word(&row(word))?;
    }
    for word in new_words.difference(&old_words) {
        tables.put_word(&row(word))?;
    }
    let titles = |product: &Product| -> BTreeSet<(String, Status, TitleRow)> {
        let row = TitleRow { title_key: product.title_key(), product_id: product.id.clone() };
        product.scopes().into_iter().map(|scope| (scope, product.status, row.clone())).collect()
    };
    let (old_titles, new_titles) = (old.map(titles).unwrap_or_default(), titles(new));
    for (scope, status, row) in old_titles.difference(&new_titles) {
        tables.delete_title(scope, *status, row)?;
    }
    for (scope, status, row) in new_titles.difference(&old_titles) {
        tables.put_title(scope, *status, row)?;
    }
    Ok(())
}

/// The variants with these SKUs, in the order asked; unknown and retired ones are left out.
pub(crate) fn variants(tables: &impl Tables, skus: &[String]) -> Result<Vec<VariantView>, Error> {
    check_batch("skus", skus.len())?;
    let owners = tables.sku_owners(skus)?;
    let ids: BTreeSet<String> =
        owners.iter().flatten().filter(|owner| !owner.retired).map(|owner| owner.product_id.clone()).collect();
    let ids: Vec<String> = ids.into_iter().collect();
    let products: BTreeMap<String, Product> =
        tables.products(&ids)?.into_iter().flatten().map(|product| (product.id.clone(), product)).collect();
    let view = |(sku, owner): (&String, Option<SkuOwner>)| {
        let product = products.get(&owner?.product_id)?;
        let variant = product.variants.iter().find(|variant| variant.sku == *sku)?;
        Some(VariantView {
            product_id: product.id.clone(),
            product_title: product.title.clone(),
            product_status: product.status,
            tax_class: product.tax_class.clone(),
            image_url: product.image_url.clone(),
            variant_info: variant.clone(),
        })
    };
    Ok(skus.iter().zip(owners).filter_map(view).collect())
}

/// The variant that a scanned or typed code means: a SKU first, then numbers by kind.
pub(crate) fn find_variant(tables: &impl Tables, code: &str) -> Result<VariantView, Error> {
    let code = code.trim();
    let not_found = || Error::NotFound(format!("no variant has the SKU or identifier `{code}`"));
    if code.is_empty() || code.chars().count() > 64 {
        return Err(Error::Invalid("code: 1 to 64 characters are allowed".into()));
    }
    if let Some(view) = variants(tables, &[code.to_owned()])?.into_iter().next() {
        return Ok(view);
    }
    let mut rows = Vec::new();
    for form in forms(code) {
        rows.extend(tables.codes(&form)?);
    }
    // Another company's in-store number means nothing here: those kept their issuer.
    let gtin = crate::identifier::IdentifierKind::Gtin.letter();
    rows.retain(|row| row.kind != gtin || row.issuer.is_empty());
    let best = rows.iter().map(|row| row.kind.clone()).min().ok_or_else(not_found)?;
    let skus: BTreeSet<String> = rows.into_iter().filter(|row| row.kind == best).map(|row| row.sku).collect();
    if skus.len() > 1 {
        let names: Vec<String> = skus.iter().take(5).map(|sku| format!("`{sku}`")).collect();
        return Err(Error::Conflict(format!(
            "`{code}` is a number of {} variants ({}); use the SKU",
            skus.len(),
            names.join(", ")
        )));
    }
    let skus: Vec<String> = skus.into_iter().collect();
    variants(tables, &skus)?.into_iter().next().ok_or_else(not_found)
}

/// Creates or replaces a listing. The second value says whether others should learn of it: a channel's complaint alone
/// is no news to those who push offers (they wrote it).
pub(crate) fn upsert_listing(tables: &impl Tables, new: &Listing) -> Result<(Outcome, bool), Error> {
    new.check()?;
    let old = tables.listing(&new.channel, &new.account, &new.sku)?;
    if old.as_ref() == Some(new) {
        return Ok((Outcome::Unchanged, false));
    }
    if old.is_none() && variants(tables, std::slice::from_ref(&new.sku))?.is_empty() {
        return Err(Error::NotFound(format!("SKU `{}`; create its product first", new.sku)));
    }
    let renamed = old.as_ref().is_none_or(|old| old.external_id != new.external_id);
    if renamed {
        if let Some(other) =
            tables.external_sku(&new.channel, &new.account, &new.external_id)?.filter(|other| *other != new.sku)
        {
            return Err(Error::Conflict(format!(
                "external id `{}` belongs to SKU `{other}` on account `{}` of channel `{}` already",
                new.external_id, new.account, new.channel
            )));
        }
        if let Some(old) = &old {
            tables.delete_external(old)?;
        }
        tables.put_external(new)?;
    }
    tables.put_listing(new)?;
    let news = old.as_ref().is_none_or(|old| Listing { last_error: new.last_error.clone(), ..old.clone() } != *new);
    Ok((if old.is_some() { Outcome::Updated } else { Outcome::Created }, news))
}

/// The listing of a SKU.
pub(crate) fn listing(tables: &impl Tables, channel: &str, account: &str, sku: &str) -> Result<Listing, Error> {
    check_key("sku", sku)?;
    tables.listing(channel, account, sku)?.ok_or_else(|| {
        Error::NotFound(format!("SKU `{sku}` is not listed on account `{account}` of channel `{channel}`"))
    })
}

/// The listing that a channel knows by this name.
pub(crate) fn find_listing(
    tables: &impl Tables,
    channel: &str,
    account: &str,
    external_id: &str,
) -> Result<Listing, Error> {
    let not_found =
        || Error::NotFound(format!("account `{account}` of channel `{channel}` has no listing `{external_id}`"));
    let sku = tables.external_sku(channel, account, external_id)?.ok_or_else(not_found)?;
    tables.listing(channel, account, &sku)?.ok_or_else(not_found)
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
#[path = "catalog_tests.rs"]
mod tests;
