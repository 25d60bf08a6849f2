//! What the sled engine keeps in its one tree besides what every engine does ([`crate::layout`]): values above a bound are
//! chunked. sled writes big pages to files that it never syncs, so no value that it sees may be big. Not here: calls to sled.

use kontor_core::store::{Key, Version};

use crate::layout::in_space;

/// Largest value that sled gets to see; larger ones are chunked.
pub(crate) const STORED_BYTES_MAX: usize = 4 * 1024;

/// A chunk: version, ordinal of the write in its batch, index of the chunk. Never overwritten, so never mixed.
const SPACE_CHUNK: u8 = 2;
/// A caller's key whose value is chunked; stores nothing. Says at opening, without reading everything, where chunks are.
const SPACE_CHUNKED: u8 = 3;

/// Tag of a value stored in place.
const TAG_INLINE: u8 = 0;
/// Tag of a value stored in chunks.
const TAG_CHUNKED: u8 = 1;

/// This layout.
pub(crate) const LAYOUT: &[u8] = b"1";

/// Where it says that a caller's key has chunks.
pub(crate) fn chunked_key(key: &[u8]) -> Key {
    in_space(SPACE_CHUNKED, key)
}

/// Start and end of all marks of chunked keys.
pub(crate) fn chunked_range() -> (Key, Key) {
    (vec![SPACE_CHUNKED], vec![SPACE_CHUNKED + 1])
}

/// Names the chunks of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkedHead {
    pub(crate) version: Version,
    pub(crate) ordinal: u32,
    pub(crate) length: u64,
}

impl ChunkedHead {
    /// How many chunks there are.
    pub(crate) fn chunks(&self) -> u32 {
        u32::try_from(self.length.div_ceil(STORED_BYTES_MAX as u64)).unwrap_or(u32::MAX)
    }

    /// Where a chunk is stored.
    pub(crate) fn chunk_key(&self, index: u32) -> Key {
        let mut key = Vec::with_capacity(17);
        key.push(SPACE_CHUNK);
        key.extend_from_slice(&self.version.to_be_bytes());
        key.extend_from_slice(&self.ordinal.to_be_bytes());
        key.extend_from_slice(&index.to_be_bytes());
        key
    }

    /// What is stored at the data key.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut stored = vec![TAG_CHUNKED];
        stored.extend_from_slice(&self.version.to_be_bytes());
        stored.extend_from_slice(&self.ordinal.to_be_bytes());
        stored.extend_from_slice(&self.length.to_be_bytes());
        stored
    }
}

/// What is stored at a data key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Head<'a> {
    /// The value.
    Inline(&'a [u8]),
    /// Where the value is.
    Chunked(ChunkedHead),
}

/// Whether a value of this length is chunked.
pub(crate) fn is_chunked(length: usize) -> bool {
    length >= STORED_BYTES_MAX
}

/// A value as stored in place.
pub(crate) fn encode_inline(value: &[u8]) -> Vec<u8> {
    in_space(TAG_INLINE, value)
}

/// Reads what is stored at a data key; `None` is damage.
pub(crate) fn decode(stored: &[u8]) -> Option<Head<'_>> {
    let (tag, rest) = stored.split_first()?;
    match *tag {
        TAG_INLINE => Some(Head::Inline(rest)),
        TAG_CHUNKED => {
            let (version, rest) = rest.split_first_chunk::<8>()?;
            let (ordinal, rest) = rest.split_first_chunk::<4>()?;
            let length = <[u8; 8]>::try_from(rest).ok()?;
            Some(Head::Chunked(ChunkedHead {
                version: Version::from_be_bytes(*version),
                ordinal: u32::from_be_bytes(*ordinal),
                length: u64::from_be_bytes(length),
            }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use kontor_core::store::KeyRange;

    use super::*;
    use crate::layout::{data_key, data_range};

    #[test]
    fn heads_come_back_as_they_were() {
        for value in [b"".as_slice(), b"\0", b"some value"] {
            assert_eq!(decode(&encode_inline(value)), Some(Head::Inline(value)));
        }
        let head = ChunkedHead { version: 7, ordinal: 3, length: 4097 };
        assert_eq!(decode(&head.encode()), Some(Head::Chunked(head)));
        assert_eq!(head.chunks(), 2);
        for damaged in [b"".as_slice(), b"\x02x", b"\x01short", &[1; 22]] {
            assert_eq!(decode(damaged), None, "{damaged:?}");
        }
    }

    #[test]
    fn what_sled_sees_is_never_larger_than_the_bound() {
        for length in [0, 1, STORED_BYTES_MAX - 1] {
            assert!(!is_chunked(length));
            assert!(encode_inline(&vec![0; length]).len() <= STORED_BYTES_MAX);
        }
        assert!(is_chunked(STORED_BYTES_MAX));
    }

    #[test]
    fn an_open_range_ends_before_the_chunks() {
        let (start, end) = data_range(&KeyRange { start: Vec::new(), end: None });
        let chunk = ChunkedHead { version: 0, ordinal: 0, length: 1 }.chunk_key(0);
        assert!(start <= data_key(b"") && data_key(&[0xff; 40]) < end && end <= chunk);
    }
}
