//! What every engine with one tree has in common: the first byte of a stored key is its space, so that an engine's own records
//! and a caller's keys never meet. Not here: what only one engine keeps.

use kontor_core::store::{Key, KeyRange};

/// The engine's own records.
pub(crate) const SPACE_META: u8 = 0;
/// A caller's key.
pub(crate) const SPACE_DATA: u8 = 1;

/// Where the version of the last batch is.
pub(crate) const VERSION_KEY: &[u8] = &[SPACE_META, b'v'];
/// Where the layout's version is.
pub(crate) const LAYOUT_KEY: &[u8] = &[SPACE_META, b'l'];

/// A key in a space.
pub(crate) fn in_space(space: u8, key: &[u8]) -> Key {
    let mut stored = Vec::with_capacity(1 + key.len());
    stored.push(space);
    stored.extend_from_slice(key);
    stored
}

/// Where a caller's key is stored.
pub(crate) fn data_key(key: &[u8]) -> Key {
    in_space(SPACE_DATA, key)
}

/// The caller's key of a stored one.
pub(crate) fn caller_key(stored: &[u8]) -> &[u8] {
    stored.get(1..).unwrap_or_default()
}

/// Start and end of a caller's range.
pub(crate) fn data_range(range: &KeyRange) -> (Key, Key) {
    let end = range.end.as_ref().map_or_else(|| vec![SPACE_DATA + 1], |end| data_key(end));
    (data_key(&range.start), end)
}
