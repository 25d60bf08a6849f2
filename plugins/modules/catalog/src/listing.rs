//! Listings: how a SKU is offered on one account of one channel.

use crate::catalog::Tables;
use crate::error::Error;
use crate::product::{Attribute, check_attributes, check_key};
use crate::search::{PAGE_MAX, decode_cursor, encode_cursor};
use serde::{Deserialize, Serialize};

/// How a SKU is offered on one account of one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listing {
    pub(crate) channel: String,
    pub(crate) account: String,
    pub(crate) sku: String,
    pub(crate) external_id: String,
    pub(crate) active: bool,
    #[serde(default)]
    pub(crate) attributes: Vec<Attribute>,
    #[serde(default)]
    pub(crate) last_error: Option<String>,
}

impl Listing {
    /// Refuses a listing that breaks a rule.
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_account(&self.channel, &self.account)?;
        check_key("sku", &self.sku)?;
        check_key("external_id", &self.external_id)?;
        check_attributes("attributes", &self.attributes)?;
        if self.last_error.as_ref().is_some_and(|text| text.chars().count() > 4_000) {
            return Err(Error::Invalid("last_error: at most 4000 characters are allowed".into()));
        }
        Ok(())
    }
}

/// A page of listings, by SKU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ListingPage {
    pub(crate) listings: Vec<Listing>,
    pub(crate) next_cursor: Option<String>,
}

/// A page of an account's listings.
pub(crate) fn page(
    tables: &impl Tables,
    channel: &str,
    account: &str,
    cursor: Option<&str>,
    limit: u32,
) -> Result<ListingPage, Error> {
    check_account(channel, account)?;
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Error::Invalid(format!("limit: {limit}; 1 to {PAGE_MAX} are allowed")));
    }
    let after: Option<String> = cursor.map(decode_cursor).transpose()?;
    let mut listings = tables.listings(channel, account, after.as_deref(), limit + 1)?;
    let more = listings.len() > limit as usize;
    listings.truncate(limit as usize);
    let next_cursor = match listings.last() {
        Some(last) if more => Some(encode_cursor(&last.sku)?),
        _ => None,
    };
    Ok(ListingPage { listings, next_cursor })
}

fn check_account(channel: &str, account: &str) -> Result<(), Error> {
    check_key("channel", channel)?;
    check_key("account", account)
}
