//! The time on a receipt is the time on the wall. European countries follow one rule: an hour more from the last Sunday of March to the
//! last Sunday of October, 01:00 UTC. Elsewhere the receipt says UTC.

use kontor_sdk::money::Language;

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

/// Minutes ahead of UTC in winter, of countries that follow the European rule.
fn winter_minutes(country: &str) -> Option<u64> {
    match country {
        "GB" | "IE" | "PT" => Some(0),
        "AD" | "AL" | "AT" | "BA" | "BE" | "CH" | "CZ" | "DE" | "DK" | "ES" | "FR" | "HR" | "HU" | "IT" | "LI"
        | "LU" | "MC" | "ME" | "MK" | "MT" | "NL" | "NO" | "PL" | "RS" | "SE" | "SI" | "SK" | "SM" | "VA" => Some(60),
        "BG" | "CY" | "EE" | "FI" | "GR" | "LT" | "LV" | "RO" | "UA" => Some(120),
        _ => None,
    }
}

/// A point in time as people in a country write it: `22.11.2026 14:05`, `22/11/2026 14:05`.
pub(crate) fn show(at_ms: u64, country: &str, language: Language) -> String {
    let (shift_ms, zone) = match winter_minutes(country) {
        Some(minutes) => ((minutes + if is_summer(at_ms) { 60 } else { 0 }) * MINUTE_MS, ""),
        None => (0, " UTC"),
    };
    let local_ms = at_ms.saturating_add(shift_ms);
    let (year, month, day) = civil(local_ms / DAY_MS);
    let minutes = local_ms % DAY_MS / MINUTE_MS;
    let separator = if language == Language::De { '.' } else { '/' };
    format!("{day:02}{separator}{month:02}{separator}{year} {:02}:{:02}{zone}", minutes / 60, minutes % 60)
}

fn is_summer(at_ms: u64) -> bool {
    let day = at_ms / DAY_MS;
    let (year, _, _) = civil(day);
    let changes_at = |month| last_sunday(year, month).saturating_mul(DAY_MS).saturating_add(60 * MINUTE_MS);
    (changes_at(3)..changes_at(10)).contains(&at_ms)
}

/// The day (since 1970-01-01) of the last Sunday of a month with 31 days.
fn last_sunday(year: u64, month: u64) -> u64 {
    let last = days(year, month, 31);
    // 1970-01-01 was a Thursday.
    last.saturating_sub((last + 4) % 7)
}

/// Days since 1970-01-01 of a date from 1970 on.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let before_year = year * 365 + year / 4 - year / 100 + year / 400;
    (before_year + (153 * month + 2) / 5 + day).saturating_sub(719_469)
}

/// Year, month and day of a day since 1970-01-01.
fn civil(day: u64) -> (u64, u64, u64) {
    let shifted = day + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_clock_on_the_wall() {
        for (at_ms, country, de, en) in [
            (0, "US", "01.01.1970 00:00 UTC", "01/01/1970 00:00 UTC"),
            (1_795_356_300_000, "DE", "22.11.2026 15:05", "22/11/2026 15:05"),
            (1_795_356_300_000, "GB", "22.11.2026 14:05", "22/11/2026 14:05"),
            // 2026-03-29 00:59:59 and 01:00 UTC.
            (1_774_745_999_000, "DE", "29.03.2026 01:59", "29/03/2026 01:59"),
            (1_774_746_000_000, "DE", "29.03.2026 03:00", "29/03/2026 03:00"),
            // 2026-10-25 00:59:59 and 01:00 UTC.
            (1_792_889_999_000, "FI", "25.10.2026 03:59", "25/10/2026 03:59"),
            (1_792_890_000_000, "FI", "25.10.2026 03:00", "25/10/2026 03:00"),
            // 2028-02-29 23:30 UTC.
            (1_835_479_800_000, "AT", "01.03.2028 00:30", "01/03/2028 00:30"),
        ] {
            assert_eq!(show(at_ms, country, Language::De), de, "{at_ms} {country}");
            assert_eq!(show(at_ms, country, Language::En), en, "{at_ms} {country}");
        }
    }

    proptest! {
        #[test]
        fn days_and_dates_agree(day in 0u64..200_000) {
            let (year, month, of_month) = civil(day);
            prop_assert!((1..=12).contains(&month) && (1..=31).contains(&of_month));
            prop_assert_eq!(days(year, month, of_month), day);
        }

        #[test]
        fn no_time_breaks_it(at_ms: u64) {
            prop_assert!(show(at_ms, "DE", Language::De).contains(':'));
        }
    }
}
