//! Ids and tokens made from the invocation's time and randomness: a re-execution makes the same ones.

use std::cell::Cell;

use crate::{clock, random};

/// Crockford's alphabet, in lower case: no `i`, `l`, `o`, `u`, and byte order is number order.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

thread_local! {
    /// The last id of this invocation; the next one is greater.
    static LAST: Cell<u128> = const { Cell::new(0) };
}

/// A new id of 26 characters: 48 bits of time, 80 random bits (a ULID in lower case). Ids made later sort later, and those of
/// one invocation sort in the order in which they were made. Not a secret: use [`token`] for what must not be guessed.
pub fn new() -> String {
    let random = random::array::<10>().iter().fold(0u128, |value, byte| (value << 8) | u128::from(*byte));
    let fresh = (u128::from(clock::now().as_ms()) << 80) | random;
    text(LAST.with(|last| {
        let next = if fresh > last.get() { fresh } else { last.get().wrapping_add(1) };
        last.set(next);
        next
    }))
}

/// A token of 32 characters that cannot be guessed (160 random bits).
pub fn token() -> String {
    random::array::<32>().iter().map(|byte| digit(usize::from(*byte))).collect()
}

fn text(value: u128) -> String {
    (0..26u32).rev().map(|place| digit((value >> (place * 5)) as usize)).collect()
}

fn digit(value: usize) -> char {
    ALPHABET.get(value % ALPHABET.len()).copied().map_or('0', char::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_order_is_number_order() {
        let numbers = [0, 1, 31, 32, u128::from(u64::MAX), u128::MAX >> 3, u128::MAX];
        let texts: Vec<String> = numbers.iter().map(|n| text(*n)).collect();
        assert!(texts.windows(2).all(|pair| pair[0] < pair[1]), "{texts:?}");
        assert!(texts.iter().all(|text| text.len() == 26));
        assert_eq!(text(u128::MAX), "7zzzzzzzzzzzzzzzzzzzzzzzzz");
    }
}
