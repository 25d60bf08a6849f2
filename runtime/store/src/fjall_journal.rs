//! What a power cut leaves at the end of fjall's journal, and how it is mended before fjall sees it.
//!
//! A batch is several pages long, and a power cut may take any of those that were not synced. fjall cuts off a batch that breaks
//! off, but refuses to open when one lost a page in its middle: its end is there and its checksum is wrong. Such a batch was
//! never acknowledged, so cutting it off is right. If a later batch says that the torn one had been synced, it was no power
//! cut: that is damage, and nothing is cut. Not here: everything that fjall does by itself.
//!
//! ```text
//! batch := 1 count:u32 sequence:u64 item{count} 3 checksum:u64 "FJL\x03"      (numbers little-endian)
//! item  := 2 type:u8 compression:u8 keyspace:u64 key_length:u16 length:u32 stored_length:u32 key value
//!        | 4 keyspace:u64
//! ```

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use kontor_core::store::Version;

use crate::layout::VERSION_KEY;

const EXTENSION: &str = "jnl";
const TAG_START: u8 = 1;
const TAG_ITEM: u8 = 2;
const TAG_END: u8 = 3;
const TAG_CLEAR: u8 = 4;
const TRAILER: &[u8] = b"FJL\x03";

/// What each batch says about itself, at [`VERSION_KEY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The version of the batch.
    pub(crate) version: Version,
    /// The newest version that was synced when the batch was written.
    pub(crate) synced: Version,
}

impl Stamp {
    /// As stored.
    pub(crate) fn encode(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let (version, synced) = bytes.split_at_mut(8);
        version.copy_from_slice(&self.version.to_be_bytes());
        synced.copy_from_slice(&self.synced.to_be_bytes());
        bytes
    }

    /// `None` is damage.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first_chunk::<8>()?;
        let synced = <[u8; 8]>::try_from(rest).ok()?;
        Some(Self { version: Version::from_be_bytes(*version), synced: Version::from_be_bytes(synced) })
    }
}

/// Cuts a torn batch off the newest journal in `directory`. Gives how many bytes were cut; an error says what is damaged.
pub(crate) fn mend(directory: &Path) -> Result<u64, String> {
    let path = newest(directory)?;
    let reading = |error: std::io::Error| format!("reading {}: {error}", path.display());
    let bytes = fs::read(&path).map_err(reading)?;
    let mut good = 0;
    let mut version = 0;
    while let Some(batch) = bytes.get(good..).and_then(parse) {
        good += batch.length;
        version = batch.stamp.map_or(version, |stamp| stamp.version);
    }
    let rest = bytes.get(good..).unwrap_or_default();
    // Zeros are the space that fjall sets aside; it finds its end there by itself.
    if !rest.contains(&TAG_START) {
        return Ok(0);
    }
    if let Some(stamp) = later_stamps(rest).find(|stamp| stamp.synced > version) {
        return Err(format!(
            "the journal {} is unreadable at byte {good}, after version {version}, although version {} was synced: the \
             disk returns other bytes than were written",
            path.display(),
            stamp.synced
        ));
    }
    let cut = OpenOptions::new().write(true).open(&path).and_then(|file| {
        file.set_len(good as u64)?;
        file.sync_all()
    });
    cut.map_err(|error| format!("cutting a torn batch off {}: {error}", path.display()))?;
    Ok(rest.len() as u64)
}

/// The journal that was written last.
fn newest(directory: &Path) -> Result<PathBuf, String> {
    let listing = |error: std::io::Error| format!("listing {}: {error}", directory.display());
    let mut newest: Option<(u64, PathBuf)> = None;
    for entry in fs::read_dir(directory).map_err(listing)? {
        let path = entry.map_err(listing)?.path();
        if path.extension().is_none_or(|extension| extension != EXTENSION) {
            continue;
        }
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        if let Some(number) = number
            && newest.as_ref().is_none_or(|(highest, _)| number > *highest)
        {
            newest = Some((number, path));
        }
    }
    newest.map(|(_, path)| path).ok_or_else(|| "its journal (a file *.jnl) is missing".to_owned())
}

/// The stamps of whole batches anywhere in `rest`.
fn later_stamps(rest: &[u8]) -> impl Iterator<Item = Stamp> {
    let starts = rest.iter().enumerate().filter(|(_, byte)| **byte == TAG_START).map(|(index, _)| index);
    starts.filter_map(|index| parse(rest.get(index..)?)?.stamp)
}

/// A whole batch at the beginning of some bytes.
struct Parsed {
    length: usize,
    stamp: Option<Stamp>,
}

fn parse(bytes: &[u8]) -> Option<Parsed> {
    let mut at = Cursor { bytes, position: 0 };
    if at.byte()? != TAG_START {
        return None;
    }
    let count = u32::from_le_bytes(at.array()?);
    at.take(8)?;
    let items_from = at.position;
    let mut stamp = None;
    for _ in 0..count {
        match at.byte()? {
            TAG_ITEM => {
                at.take(1 + 1 + 8)?;
                let key_length = u16::from_le_bytes(at.array()?);
                at.take(4)?;
                let stored_length = u32::from_le_bytes(at.array()?);
                let key = at.take(key_length.into())?;
                let value = at.take(stored_length as usize)?;
                if key == VERSION_KEY {
                    stamp = Stamp::decode(value);
                }
            }
            TAG_CLEAR => {
                at.take(8)?;
            }
            _ => return None,
        }
    }
    let items = bytes.get(items_from..at.position)?;
    if at.byte()? != TAG_END {
        return None;
    }
    let checksum = u64::from_le_bytes(at.array()?);
    let whole = at.take(TRAILER.len())? == TRAILER && xxhash_rust::xxh3::xxh3_64(items) == checksum;
    whole.then_some(Parsed { length: at.position, stamp })
}

/// Reads on, or `None` at the end.
struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.position.checked_add(length)?;
        let taken = self.bytes.get(self.position..end)?;
        self.position = end;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_come_back_as_they_were() {
        let stamp = Stamp { version: 7, synced: 3 };
        assert_eq!(Stamp::decode(&stamp.encode()), Some(stamp));
        assert_eq!(Stamp::decode(&[0; 8]), None);
    }
}
