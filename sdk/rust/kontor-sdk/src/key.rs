//! Keys of tables: an encoding whose byte order is the order of the values, so that ranges and prefixes mean what they say.
//!
//! Integers are big-endian (signed ones with the sign bit flipped); texts and byte strings escape `00` as `00 ff` and end in
//! `00 00`, so that no key is a prefix of another; tuples are their parts in sequence.

use std::cmp::Reverse;

use crate::error::{Error, Result};

/// A type that can be the key of a table. Implement it for newtypes with [`key!`](crate::key!).
pub trait Key: Sized + 'static {
    /// Appends the key's bytes, whose order is the order of the keys.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads a key off the front of `bytes`. `None`: these are not the bytes of one.
    fn decode(bytes: &mut &[u8]) -> Option<Self>;
}

/// What can stand for a `K` when looking something up: a `K`, a reference to one, a `&str` for a `String`, tuples of these.
pub trait AsKey<K> {
    /// Appends the bytes that `K` would have.
    fn encode_key(&self, out: &mut Vec<u8>);
}

impl<K, T: AsKey<K> + ?Sized> AsKey<K> for &T {
    fn encode_key(&self, out: &mut Vec<u8>) {
        (**self).encode_key(out);
    }
}

/// The leading parts of a tuple key, as a tuple: `(a,)` or `(a, b)` for a key `(A, B, C)`.
pub trait KeyPrefix<K> {
    /// Appends the bytes with which every such key begins.
    fn encode_prefix(&self, out: &mut Vec<u8>);
}

pub(crate) fn to_bytes<K>(key: impl AsKey<K>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32);
    key.encode_key(&mut bytes);
    bytes
}

pub(crate) fn from_bytes<K: Key>(table: &str, mut bytes: &[u8]) -> Result<K> {
    match K::decode(&mut bytes) {
        Some(key) if bytes.is_empty() => Ok(key),
        _ => Err(Error::new(
            500,
            "key-decode",
            format!("A key of the table `{table}` does not fit its type. Migrate the table when its key changes."),
        )),
    }
}

/// The first bytes string that is greater than everything that begins with `prefix`; none if there is no such.
pub(crate) fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

pub(crate) fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    let mut pieces = bytes.split(|byte| *byte == 0);
    out.extend_from_slice(pieces.next().unwrap_or_default());
    for piece in pieces {
        out.extend_from_slice(&[0, 0xff]);
        out.extend_from_slice(piece);
    }
}

fn unescape(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    loop {
        let (piece, escape) = bytes.split_at_checked(bytes.iter().position(|byte| *byte == 0)?)?;
        value.extend_from_slice(piece);
        match escape {
            [0, 0, rest @ ..] => {
                *bytes = rest;
                return Some(value);
            }
            [0, 0xff, rest @ ..] => {
                *bytes = rest;
                value.push(0);
            }
            _ => return None,
        }
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

macro_rules! itself {
    ($($type:ty),+) => {$(
        impl AsKey<$type> for $type {
            fn encode_key(&self, out: &mut Vec<u8>) {
                Key::encode(self, out);
            }
        }
    )+};
}

macro_rules! unsigned {
    ($($type:ty),+) => {$(
        impl Key for $type {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
            fn decode(bytes: &mut &[u8]) -> Option<Self> {
                take(bytes).map(Self::from_be_bytes)
            }
        }
    )+};
}

macro_rules! signed {
    ($($type:ty as $unsigned:ty),+) => {$(
        impl Key for $type {
            fn encode(&self, out: &mut Vec<u8>) {
                ((*self as $unsigned) ^ (1 << (<$unsigned>::BITS - 1))).encode(out);
            }
            fn decode(bytes: &mut &[u8]) -> Option<Self> {
                <$unsigned as Key>::decode(bytes).map(|value| (value ^ (1 << (<$unsigned>::BITS - 1))) as $type)
            }
        }
    )+};
}

unsigned!(u8, u16, u32, u64, u128);
signed!(i8 as u8, i16 as u16, i32 as u32, i64 as u64, i128 as u128);
itself!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128, bool, String, Vec<u8>);

impl Key for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        match take::<1>(bytes)? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }
}

impl Key for String {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_str().encode_key(out);
    }
    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        Self::from_utf8(unescape(bytes)?).ok()
    }
}

impl AsKey<String> for str {
    fn encode_key(&self, out: &mut Vec<u8>) {
        escape(self.as_bytes(), out);
        out.extend_from_slice(&[0, 0]);
    }
}

impl Key for Vec<u8> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_slice().encode_key(out);
    }
    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        unescape(bytes)
    }
}

impl AsKey<Vec<u8>> for [u8] {
    fn encode_key(&self, out: &mut Vec<u8>) {
        escape(self, out);
        out.extend_from_slice(&[0, 0]);
    }
}

/// `None` comes before every `Some`.
impl<K: Key> Key for Option<K> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.is_some().encode(out);
        if let Some(key) = self {
            key.encode(out);
        }
    }
    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        if bool::decode(bytes)? { K::decode(bytes).map(Some) } else { Some(None) }
    }
}

impl<K: Key, T: AsKey<K>> AsKey<Option<K>> for Option<T> {
    fn encode_key(&self, out: &mut Vec<u8>) {
        self.is_some().encode(out);
        if let Some(key) = self {
            key.encode_key(out);
        }
    }
}

/// Descending order: newest first, highest first.
impl<K: Key> Key for Reverse<K> {
    fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        self.0.encode(out);
        complement(out, start);
    }
    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let complemented: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
        let mut rest = complemented.as_slice();
        let key = K::decode(&mut rest)?;
        *bytes = bytes.get(bytes.len() - rest.len()..)?;
        Some(Self(key))
    }
}

impl<K: Key, T: AsKey<K>> AsKey<Reverse<K>> for Reverse<T> {
    fn encode_key(&self, out: &mut Vec<u8>) {
        let start = out.len();
        self.0.encode_key(out);
        complement(out, start);
    }
}

fn complement(bytes: &mut [u8], start: usize) {
    for byte in bytes.iter_mut().skip(start) {
        *byte = !*byte;
    }
}

macro_rules! tuple {
    ($($key:ident $as_key:ident $field:tt),+) => {
        impl<$($key: Key),+> Key for ($($key,)+) {
            fn encode(&self, out: &mut Vec<u8>) {
                $(self.$field.encode(out);)+
            }
            fn decode(bytes: &mut &[u8]) -> Option<Self> {
                Some(($($key::decode(bytes)?,)+))
            }
        }
        impl<$($key: Key, $as_key: AsKey<$key>),+> AsKey<($($key,)+)> for ($($as_key,)+) {
            fn encode_key(&self, out: &mut Vec<u8>) {
                $(self.$field.encode_key(out);)+
            }
        }
    };
}

tuple!(A X 0);
tuple!(A X 0, B Y 1);
tuple!(A X 0, B Y 1, C Z 2);
tuple!(A X 0, B Y 1, C Z 2, D W 3);
tuple!(A X 0, B Y 1, C Z 2, D W 3, E V 4);

macro_rules! prefix {
    (($($key:ident),+) by $($as_key:ident $part:ident $field:tt),+) => {
        impl<$($key: Key,)+ $($as_key: AsKey<$part>),+> KeyPrefix<($($key,)+)> for ($($as_key,)+) {
            fn encode_prefix(&self, out: &mut Vec<u8>) {
                $(self.$field.encode_key(out);)+
            }
        }
    };
}

prefix!((A, B) by X A 0);
prefix!((A, B, C) by X A 0);
prefix!((A, B, C) by X A 0, Y B 1);
prefix!((A, B, C, D) by X A 0);
prefix!((A, B, C, D) by X A 0, Y B 1);
prefix!((A, B, C, D) by X A 0, Y B 1, Z C 2);
prefix!((A, B, C, D, E) by X A 0);
prefix!((A, B, C, D, E) by X A 0, Y B 1);
prefix!((A, B, C, D, E) by X A 0, Y B 1, Z C 2);
prefix!((A, B, C, D, E) by X A 0, Y B 1, Z C 2, W D 3);

/// Makes newtypes keys: `kontor_sdk::key!(Sku(String), OrderNumber(u64));` for `struct Sku(String);`.
#[macro_export]
macro_rules! key {
    ($($name:ident($inner:ty)),+ $(,)?) => {$(
        impl $crate::key::Key for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                $crate::key::Key::encode(&self.0, out);
            }
            fn decode(bytes: &mut &[u8]) -> Option<Self> {
                <$inner as $crate::key::Key>::decode(bytes).map($name)
            }
        }
        impl $crate::key::AsKey<$name> for $name {
            fn encode_key(&self, out: &mut Vec<u8>) {
                $crate::key::Key::encode(self, out);
            }
        }
    )+};
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes<K: Key>(key: &K) -> Vec<u8> {
        let mut out = Vec::new();
        key.encode(&mut out);
        out
    }

    fn check<K: Key + Ord + std::fmt::Debug>(left: K, right: K) {
        let (l, r) = (bytes(&left), bytes(&right));
        assert_eq!(l.cmp(&r), left.cmp(&right), "{left:?} against {right:?}");
        assert_eq!(from_bytes::<K>("t", &l).unwrap(), left);
        assert_eq!(from_bytes::<K>("t", &r).unwrap(), right);
    }

    fn text() -> impl Strategy<Value = String> {
        // Short strings over a small alphabet with NUL: prefixes of one another and escapes are likely.
        proptest::collection::vec(prop_oneof![Just('\0'), Just('a'), Just('b'), Just('\u{7f}'), Just('é')], 0..5)
            .prop_map(|chars| chars.into_iter().collect())
    }

    proptest! {
        #[test]
        fn byte_order_is_key_order_and_bytes_round_trip(
            a in (text(), any::<i64>(), any::<bool>()),
            b in (text(), any::<i64>(), any::<bool>()),
            x in (proptest::option::of(text()), any::<u16>(), proptest::collection::vec(0u8..3, 0..4)),
            y in (proptest::option::of(text()), any::<u16>(), proptest::collection::vec(0u8..3, 0..4)),
            n in any::<i8>(), m in any::<i8>(),
        ) {
            check(a.clone(), b.clone());
            check(x, y);
            check(n, m);
            check((Reverse(a.0), a.1), (Reverse(b.0), b.1));
        }

        #[test]
        fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
            let _ = from_bytes::<(String, Option<i32>, Reverse<(Vec<u8>, bool)>)>("t", &bytes);
        }
    }

    #[test]
    fn borrowed_forms_have_the_same_bytes() {
        let owned = ("cart-1".to_owned(), 3u32);
        assert_eq!(to_bytes::<(String, u32)>(("cart-1", 3)), bytes(&owned));
        assert_eq!(to_bytes::<(String, u32)>(&owned), bytes(&owned));
        let mut prefix = Vec::new();
        KeyPrefix::<(String, u32)>::encode_prefix(&("cart-1",), &mut prefix);
        assert!(bytes(&owned).starts_with(&prefix));
    }

    #[test]
    fn the_successor_is_past_everything_with_the_prefix() {
        assert_eq!(successor(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(successor(&[1, 0xff]), Some(vec![2]));
        assert_eq!(successor(&[0xff, 0xff]), None);
    }
}
