//! What input must look like, and demands added up. Errors name the field and what is allowed.

use std::collections::BTreeMap;

use crate::model::{BATCH_MAX, ChannelOffer, Demand, Error, ID_BYTES_MAX, QUANTITY_MAX, Result, SKU_CHARS_MAX};

/// Demands added up: bundles and duplicate lines ask for one SKU several times, and only the sum can be checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// At these locations and no other.
    pub at: BTreeMap<String, i64>,
    /// At any location.
    pub anywhere: i64,
}

impl Wanted {
    /// All of it.
    pub fn total(&self) -> i64 {
        self.anywhere + self.at.values().sum::<i64>()
    }
}

/// Adds up demands by SKU and location.
pub fn sum_demands(demands: &[Demand]) -> Result<BTreeMap<String, Wanted>> {
    if demands.is_empty() || demands.len() > BATCH_MAX {
        return Err(Error::Invalid(format!("demands: 1 to {BATCH_MAX} are allowed, there are {}", demands.len())));
    }
    let mut sums = BTreeMap::<String, Wanted>::new();
    for (index, demand) in demands.iter().enumerate() {
        check_sku(&demand.sku, &format!("demands[{index}].sku"))?;
        check_quantity(demand.quantity, &format!("demands[{index}].quantity"))?;
        let wanted = sums.entry(demand.sku.clone()).or_default();
        match &demand.location {
            Some(location) => {
                check_id(location, &format!("demands[{index}].location"))?;
                *wanted.at.entry(location.clone()).or_default() += demand.quantity;
            }
            None => wanted.anywhere += demand.quantity,
        }
    }
    Ok(sums)
}

/// Adds up wishes by SKU.
pub fn sum_wishes(wishes: &[ChannelOffer]) -> Result<BTreeMap<String, i64>> {
    if wishes.is_empty() || wishes.len() > BATCH_MAX {
        return Err(Error::Invalid(format!("wishes: 1 to {BATCH_MAX} are allowed, there are {}", wishes.len())));
    }
    let mut sums = BTreeMap::new();
    for (index, ChannelOffer { sku, quantity }) in wishes.iter().enumerate() {
        check_sku(sku, &format!("wishes[{index}].sku"))?;
        check_quantity(*quantity, &format!("wishes[{index}].quantity"))?;
        *sums.entry(sku.clone()).or_default() += quantity;
    }
    Ok(sums)
}

/// A SKU is 1 to 64 characters of printable text without spaces at its ends.
pub fn check_sku(sku: &str, field: &str) -> Result<()> {
    let well_formed = !sku.is_empty()
        && sku.chars().count() <= SKU_CHARS_MAX
        && sku.trim() == sku
        && !sku.chars().any(char::is_control);
    if well_formed {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{field}: must be 1 to {SKU_CHARS_MAX} characters of printable text without spaces at its ends"
    )))
}

/// Printable text of 1 to `bytes_max` bytes, without spaces at its ends.
pub fn check_text(text: &str, field: &str, bytes_max: usize) -> Result<()> {
    if text.is_empty() || text.len() > bytes_max || text.trim() != text || text.chars().any(char::is_control) {
        return Err(Error::Invalid(format!(
            "{field}: must be 1 to {bytes_max} bytes of printable text without spaces at its ends"
        )));
    }
    Ok(())
}

/// Ids of locations and channels are 1 to 32 characters `[a-z0-9-]`.
pub fn check_id(id: &str, field: &str) -> Result<()> {
    let well_formed = !id.is_empty()
        && id.len() <= ID_BYTES_MAX
        && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if well_formed {
        return Ok(());
    }
    Err(Error::Invalid(format!("{field}: must be 1 to {ID_BYTES_MAX} characters of a-z, 0-9 and -")))
}

/// A quantity wanted is 1 to [`QUANTITY_MAX`].
pub fn check_quantity(quantity: i64, field: &str) -> Result<()> {
    if (1..=QUANTITY_MAX).contains(&quantity) {
        return Ok(());
    }
    Err(Error::Invalid(format!("{field}: must be 1 to {QUANTITY_MAX}, it is {quantity}")))
}
