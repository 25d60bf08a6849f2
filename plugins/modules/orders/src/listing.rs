//! Finding orders: by id, by key, and as lists, newest first.
//!
//! A list begins at now, not at the newest key: an order that is being placed meanwhile lies before the part that was read, so
//! readers and buyers do not conflict. Cursors are positions in the list, so nothing is skipped or shown twice.

use crate::amounts::{check_id, check_text};
use crate::model::{Error, Order, OrderKey, Page, Result};
use crate::placing::load;
use crate::world::World;

/// Longest page.
pub const PAGE_MAX: u32 = 250;

/// An order by its key.
pub fn find(world: &mut impl World, channel: &str, account: &str, external_id: &str) -> Result<Order> {
    check_id(channel, "channel")?;
    check_text(account, "account", 1, 64)?;
    check_text(external_id, "external_id", 1, 128)?;
    let key =
        OrderKey { channel: channel.to_owned(), account: account.to_owned(), external_id: external_id.to_owned() };
    match world.id_of(&key)? {
        Some(id) => load(world, &id),
        None => Err(Error::NotFound(format!("there is no order {external_id} of {channel} ({account})"))),
    }
}

/// A page of orders, newest first, of one channel or all.
pub fn list(world: &mut impl World, channel: Option<&str>, cursor: Option<&str>, limit: u32) -> Result<Page> {
    if let Some(channel) = channel {
        check_id(channel, "channel")?;
    }
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Error::Invalid(format!("limit: must be 1 to {PAGE_MAX}, it is {limit}")));
    }
    let after = cursor.map(parse).transpose()?;
    let after = after.as_ref().map(|(listed_at_ms, id)| (*listed_at_ms, id.as_str()));
    let until_ms = world.now_ms();
    let mut found = world.summaries(channel, until_ms, after, limit + 1)?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next_cursor = found.last().filter(|_| more).map(|(listed_at_ms, last)| format!("{listed_at_ms}.{}", last.id));
    Ok(Page { orders: found.into_iter().map(|(_, summary)| summary).collect(), next_cursor })
}

fn parse(cursor: &str) -> Result<(u64, String)> {
    cursor
        .split_once('.')
        .filter(|(_, id)| (1..=64).contains(&id.len()))
        .and_then(|(time, id)| Some((time.parse().ok()?, id.to_owned())))
        .ok_or_else(|| Error::Invalid("cursor: must be one that an earlier page returned".to_owned()))
}
