//! Numbers of orders for people: `W-261122-7K3QM` is the channel's letter, the day (UTC) and five characters drawn at random.
//!
//! A sequence would be the one key that all orders of a channel fight over, and only invoices must be free of gaps. Five
//! characters of an alphabet without I, L, O and U (33 million a day and prefix) can be read out on the phone. A number that is
//! taken is drawn again, and two orders that draw the same at once conflict like any other key.

use crate::model::{Error, Result};
use crate::world::World;

/// Digits and letters that are not mistaken for one another.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Draws before giving up: with a million numbers taken that day, one draw in 33 fails.
const DRAWS_MAX: u32 = 16;

/// Draws a number that is not taken.
pub fn draw(world: &mut impl World, channel: &str, placed_at_ms: u64) -> Result<String> {
    let prefix = match world.number_prefix(channel)? {
        Some(prefix) => prefix,
        None => channel.chars().take(1).flat_map(char::to_uppercase).collect(),
    };
    let day = day(placed_at_ms);
    for _ in 0..DRAWS_MAX {
        let number = format!("{prefix}-{day}-{}", code(world.random()));
        if !world.has_number(&number)? {
            return Ok(number);
        }
    }
    Err(Error::Other(format!("no number is free under {prefix}-{day}; try again")))
}

fn code(random: u32) -> String {
    (0..5)
        .map(|place| random >> (place * 5))
        .filter_map(|bits| ALPHABET.get((bits % 32) as usize))
        .map(|byte| char::from(*byte))
        .collect()
}

/// Year, month and day (UTC) as six digits, by Howard Hinnant's `civil_from_days`.
fn day(at_ms: u64) -> String {
    let days = i64::try_from(at_ms / 86_400_000).unwrap_or(0) + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{:02}{month:02}{day:02}", year % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (at_ms, expected) in [
            (0, "700101"),
            (951_782_400_000, "000229"),
            (1_293_840_000_000, "110101"),
            (1_795_305_599_999, "261121"),
            (1_795_305_600_000, "261122"),
        ] {
            assert_eq!(day(at_ms), expected);
        }
    }

    #[test]
    fn codes_use_every_bit_once() {
        assert_eq!(code(0), "00000");
        assert_eq!(code(31), "Z0000");
        assert_eq!(code(u32::MAX), "ZZZZZ");
        assert_eq!(code(0b00001_00010_00011_00100_00101), "54321");
    }
}
