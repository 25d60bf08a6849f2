//! Prices over their tables: which list a channel sells by, what a SKU costs now, and the resolution of a basket into what the
//! quote needs.
//!
//! A quote reads one key for the channel, one for the list, one per SKU and one per tax class: never a whole list.

use crate::error::Error;
use crate::price_list::{
    DEFAULT_LIST, Price, PriceList, TaxRate, Window, Windows, ZERO_CLASS, check_batch, check_country, check_id,
    check_key,
};
use crate::quote::{LINES_MAX, PricedLine, Quote, Terms, quote};
use crate::tax::{PriceBasis, RoundingLevel, RoundingMode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Price lists of a merchant.
pub(crate) const LISTS_MAX: usize = 250;

/// What the merchant configured; it holds until lists and rates are written.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Config {
    pub(crate) default_list: DefaultTerms,
    #[serde(default)]
    pub(crate) tax_rates: Vec<TaxRate>,
}

/// The terms of the list `default` before it is written.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct DefaultTerms {
    pub(crate) currency: String,
    pub(crate) basis: PriceBasis,
    pub(crate) tax_rounding: RoundingLevel,
    pub(crate) rounding: RoundingMode,
}

impl Config {
    fn default_list(&self) -> PriceList {
        let DefaultTerms { currency, basis, tax_rounding, rounding } = self.default_list.clone();
        PriceList {
            id: DEFAULT_LIST.into(),
            name: "Default".into(),
            currency,
            basis,
            tax_rounding,
            rounding,
            channels: vec![],
        }
    }
}

/// What others learn when a price changes now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PriceChanged {
    pub(crate) sku: String,
    pub(crate) price_list: String,
    /// The channels that sell by the list; for the list `default`, also all without a list of their own.
    pub(crate) channels: Vec<String>,
    pub(crate) currency: String,
    pub(crate) basis: PriceBasis,
    /// What a unit costs now; none if the SKU has no price now.
    pub(crate) amount_minor: Option<i64>,
}

/// A SKU's price as a shop shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ShelfPrice {
    pub(crate) sku: String,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) basis: PriceBasis,
}

/// A line to be priced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LineInput {
    pub(crate) line_id: String,
    pub(crate) sku: String,
    pub(crate) quantity: i64,
    pub(crate) tax_class: String,
    pub(crate) unit_price_minor: Option<i64>,
}

/// A basket to be priced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Basket {
    pub(crate) channel: String,
    pub(crate) price_list: Option<String>,
    pub(crate) country: String,
    pub(crate) lines: Vec<LineInput>,
    pub(crate) discount_minor: i64,
    pub(crate) shipping_minor: i64,
}

/// The tables of prices.
pub(crate) trait Tables {
    fn config(&self) -> Result<Config, Error>;
    fn list(&self, id: &str) -> Result<Option<PriceList>, Error>;
    fn put_list(&self, list: &PriceList) -> Result<(), Error>;
    fn lists(&self) -> Result<Vec<PriceList>, Error>;
    fn list_of_channel(&self, channel: &str) -> Result<Option<String>, Error>;
    fn put_list_of_channel(&self, channel: &str, list: &str) -> Result<(), Error>;
    fn delete_list_of_channel(&self, channel: &str) -> Result<(), Error>;
    fn has_prices(&self, list: &str) -> Result<bool, Error>;
    fn windows(&self, list: &str, skus: &[String]) -> Result<Vec<Option<Windows>>, Error>;
    fn put_windows(&self, list: &str, sku: &str, windows: &Windows) -> Result<(), Error>;
    /// Notes that a window was set at an instant: past prices are asked for by law.
    fn note(&self, list: &str, sku: &str, window: &Window, now_ms: u64) -> Result<(), Error>;
    fn rates(&self, country: &str, tax_classes: &[String]) -> Result<Vec<Option<TaxRate>>, Error>;
    fn all_rates(&self) -> Result<Vec<TaxRate>, Error>;
    fn put_rate(&self, rate: &TaxRate) -> Result<(), Error>;
}

/// The list with this id.
fn list(tables: &impl Tables, id: &str) -> Result<PriceList, Error> {
    match tables.list(id)? {
        Some(list) => Ok(list),
        None if id == DEFAULT_LIST => Ok(tables.config()?.default_list()),
        None => Err(Error::NotFound(format!("price list `{id}`"))),
    }
}

/// The list by which a channel sells.
pub(crate) fn list_of_channel(tables: &impl Tables, channel: &str) -> Result<PriceList, Error> {
    check_key("channel", channel)?;
    list(tables, tables.list_of_channel(channel)?.as_deref().unwrap_or(DEFAULT_LIST))
}

/// All lists, by id; `default` is always one of them.
pub(crate) fn lists(tables: &impl Tables) -> Result<Vec<PriceList>, Error> {
    let mut lists = tables.lists()?;
    if !lists.iter().any(|list| list.id == DEFAULT_LIST) {
        lists.push(tables.config()?.default_list());
        lists.sort_by(|a, b| a.id.cmp(&b.id));
    }
    Ok(lists)
}

/// Creates or replaces a list.
pub(crate) fn upsert_list(tables: &impl Tables, new: &PriceList) -> Result<(), Error> {
    new.check()?;
    let old = tables.list(&new.id)?;
    if old.as_ref() == Some(new) {
        return Ok(());
    }
    match &old {
        Some(old) => new.check_replaces(old, tables.has_prices(&new.id)?)?,
        None if tables.lists()?.len() >= LISTS_MAX => {
            return Err(Error::Invalid(format!(
                "id: there are {LISTS_MAX} price lists already, the most there can be"
            )));
        }
        None => {}
    }
    for channel in &new.channels {
        if let Some(other) = tables.list_of_channel(channel)?.filter(|other| *other != new.id) {
            return Err(Error::Invalid(format!(
                "channels: `{channel}` sells by list `{other}` already; take it out there first"
            )));
        }
    }
    for gone in old.iter().flat_map(|old| &old.channels).filter(|channel| !new.channels.contains(channel)) {
        tables.delete_list_of_channel(gone)?;
    }
    for channel in &new.channels {
        tables.put_list_of_channel(channel, &new.id)?;
    }
    tables.put_list(new)
}

/// Sets prices, all or none. How many changed, what changed now, and when which of them changes next (list, SKU, instant).
pub(crate) fn set_prices(tables: &impl Tables, prices: &[Price], now_ms: u64) -> Result<PricesSet, Error> {
    check_batch("prices", prices.len())?;
    let mut by_list: BTreeMap<&str, Vec<&Price>> = BTreeMap::new();
    for price in prices {
        price.check()?;
        by_list.entry(&price.price_list).or_default().push(price);
    }
    let mut set = PricesSet::default();
    for (id, prices) in by_list {
        let list = list(tables, id)?;
        if tables.list(id)?.is_none() {
            // From now on its terms no longer follow the configuration: its prices are in this currency.
            tables.put_list(&list)?;
        }
        set_prices_of(tables, &list, &prices, now_ms, &mut set)?;
    }
    Ok(set)
}

/// What setting prices did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PricesSet {
    pub(crate) changed: u32,
    pub(crate) news: Vec<PriceChanged>,
    pub(crate) due: Vec<(String, String, u64)>,
}

fn set_prices_of(
    tables: &impl Tables,
    list: &PriceList,
    prices: &[&Price],
    now_ms: u64,
    set: &mut PricesSet,
) -> Result<(), Error> {
    let mut by_sku: BTreeMap<&str, Vec<&Price>> = BTreeMap::new();
    for price in prices {
        by_sku.entry(&price.sku).or_default().push(price);
    }
    let skus: Vec<String> = by_sku.keys().map(|sku| (*sku).to_owned()).collect();
    for ((sku, prices), stored) in by_sku.into_iter().zip(tables.windows(&list.id, &skus)?) {
        let old = stored.unwrap_or_default();
        let mut new = old.clone();
        for price in prices {
            let window = Window {
                amount_minor: price.amount_minor,
                valid_from_ms: price.valid_from_ms,
                valid_to_ms: price.valid_to_ms,
            };
            if new.set(window, now_ms)? {
                set.changed += 1;
                tables.note(&list.id, sku, &window, now_ms)?;
            }
        }
        if new == old {
            continue;
        }
        tables.put_windows(&list.id, sku, &new)?;
        if new.at(now_ms) != old.at(now_ms) {
            set.news.push(price_changed(list, sku, new.at(now_ms)));
        }
        if let Some(instant) = new.next_change_after(now_ms) {
            set.due.push((list.id.clone(), sku.to_owned(), instant));
        }
    }
    Ok(())
}

fn price_changed(list: &PriceList, sku: &str, amount_minor: Option<i64>) -> PriceChanged {
    PriceChanged {
        sku: sku.into(),
        price_list: list.id.clone(),
        channels: list.channels.clone(),
        currency: list.currency.clone(),
        basis: list.basis,
        amount_minor,
    }
}

/// A validity began or ended: what to tell, and when the next one does.
pub(crate) fn price_due(
    tables: &impl Tables,
    list_id: &str,
    sku: &str,
    now_ms: u64,
) -> Result<(PriceChanged, Option<u64>), Error> {
    let list = list(tables, list_id)?;
    let windows = tables.windows(list_id, &[sku.to_owned()])?.into_iter().flatten().next().unwrap_or_default();
    Ok((price_changed(&list, sku, windows.at(now_ms)), windows.next_change_after(now_ms)))
}

/// Prices of SKUs in a channel now; those without one are left out.
pub(crate) fn shelf_prices(
    tables: &impl Tables,
    channel: &str,
    skus: &[String],
    clock: impl Fn() -> u64,
) -> Result<Vec<ShelfPrice>, Error> {
    check_batch("skus", skus.len())?;
    let list = list_of_channel(tables, channel)?;
    let found = skus.iter().zip(tables.windows(&list.id, skus)?);
    Ok(found
        .filter_map(|(sku, windows)| windows?.now(&clock).map(|amount_minor| (sku, amount_minor)))
        .map(|(sku, amount_minor)| ShelfPrice {
            sku: sku.clone(),
            amount_minor,
            currency: list.currency.clone(),
            basis: list.basis,
        })
        .collect())
}

/// Creates or replaces tax rates, all or none.
pub(crate) fn set_rates(tables: &impl Tables, rates: &[TaxRate]) -> Result<(), Error> {
    check_batch("rates", rates.len())?;
    rates.iter().try_for_each(TaxRate::check)?;
    rates.iter().try_for_each(|rate| tables.put_rate(rate))
}

/// All rates, by country and class: what was set, over what is configured.
pub(crate) fn rates(tables: &impl Tables) -> Result<Vec<TaxRate>, Error> {
    let all = tables.config()?.tax_rates.into_iter().chain(tables.all_rates()?);
    let by_key: BTreeMap<(String, String), TaxRate> =
        all.map(|rate| ((rate.country.clone(), rate.tax_class.clone()), rate)).collect();
    Ok(by_key.into_values().collect())
}

/// Prices a basket.
pub(crate) fn quote_basket(tables: &impl Tables, basket: &Basket, clock: impl Fn() -> u64) -> Result<Quote, Error> {
    check_country(&basket.country)?;
    if basket.lines.is_empty() || basket.lines.len() > LINES_MAX {
        return Err(Error::Invalid(format!("lines: {} given, 1 to {LINES_MAX} are allowed", basket.lines.len())));
    }
    let list = match &basket.price_list {
        Some(id) => check_id("price_list", id).and_then(|()| list(tables, id))?,
        None => list_of_channel(tables, &basket.channel)?,
    };
    let prices = unit_prices(tables, &list, basket, clock)?;
    let rates = rates_of(tables, basket)?;
    let lines = basket.lines.iter().zip(prices).map(|(line, unit_price_minor)| PricedLine {
        line_id: line.line_id.clone(),
        sku: line.sku.clone(),
        quantity: line.quantity,
        unit_price_minor,
        rate_basis_points: rates.get(line.tax_class.as_str()).copied().unwrap_or_default(),
    });
    let terms = Terms {
        price_list: list.id.clone(),
        currency: list.currency.clone(),
        basis: list.basis,
        level: list.tax_rounding,
        mode: list.rounding,
    };
    quote(&terms, &lines.collect::<Vec<_>>(), basket.discount_minor, basket.shipping_minor)
}

/// What a unit of each line costs: the price that came with it, or the list's.
fn unit_prices(
    tables: &impl Tables,
    list: &PriceList,
    basket: &Basket,
    clock: impl Fn() -> u64,
) -> Result<Vec<i64>, Error> {
    for (index, line) in basket.lines.iter().enumerate() {
        check_key(&format!("lines[{index}].sku"), &line.sku)?;
    }
    let asked: Vec<String> =
        basket.lines.iter().filter(|line| line.unit_price_minor.is_none()).map(|line| line.sku.clone()).collect();
    let mut found = if asked.is_empty() { vec![] } else { tables.windows(&list.id, &asked)? }.into_iter();
    let mut prices = Vec::with_capacity(basket.lines.len());
    for line in &basket.lines {
        prices.push(match line.unit_price_minor {
            Some(fixed) => fixed,
            None => found.next().flatten().and_then(|windows| windows.now(&clock)).ok_or_else(|| {
                Error::NotFound(format!(
                    "SKU `{}` has no price in list `{}` now; set one, or take the line out",
                    line.sku, list.id
                ))
            })?,
        });
    }
    Ok(prices)
}

/// The rate of each tax class in the basket.
fn rates_of<'a>(tables: &impl Tables, basket: &'a Basket) -> Result<BTreeMap<&'a str, u32>, Error> {
    let mut rates: BTreeMap<&str, Option<u32>> =
        basket.lines.iter().map(|line| (line.tax_class.as_str(), None)).collect();
    let classes: Vec<String> = rates.keys().map(|class| (*class).to_owned()).collect();
    for class in &classes {
        check_key("tax_class", class)?;
    }
    for (entry, stored) in rates.values_mut().zip(tables.rates(&basket.country, &classes)?) {
        *entry = stored.map(|rate| rate.rate_basis_points);
    }
    if rates.values().any(Option::is_none) {
        let configured = tables.config()?.tax_rates;
        for (class, rate) in rates.iter_mut().filter(|(_, rate)| rate.is_none()) {
            let fitting = configured.iter().find(|rate| rate.country == basket.country && rate.tax_class == *class);
            *rate = fitting.map(|rate| rate.rate_basis_points).or((*class == ZERO_CLASS).then_some(0));
        }
    }
    rates
        .into_iter()
        .map(|(class, rate)| {
            rate.map(|rate| (class, rate)).ok_or_else(|| {
                Error::NotFound(format!(
                    "tax rate of class `{class}` in country {}; set one to sell there",
                    basket.country
                ))
            })
        })
        .collect()
}

#[cfg(test)]
#[path = "pricing_tests.rs"]
mod tests;
