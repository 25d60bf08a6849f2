//! Dates as they stand in files, to milliseconds since 1970. Not a calendar library: no zones but fixed offsets.

use crate::options::offset_minutes;

/// Reads `2010-12-01`, `2010-12-01 08:26`, `2010-12-01T08:26:00Z`, `2010-12-01 08:26:00+01:00`; without a zone,
/// `default_offset_minutes` east of UTC counts. The error says what is wrong.
pub(crate) fn parse(text: &str, default_offset_minutes: i32) -> Result<u64, String> {
    let refuse = || {
        format!(
            "`{}` is not a date: use YYYY-MM-DD hh:mm:ss, with Z or +hh:mm for a zone",
            text.chars().take(40).collect::<String>()
        )
    };
    read(text.trim(), default_offset_minutes).ok_or_else(refuse)
}

fn read(text: &str, default_offset_minutes: i32) -> Option<u64> {
    let date = text.get(..10)?;
    let rest = text.get(10..)?.trim_start_matches(['T', ' ']);
    let number = |part: Option<&str>, width: usize| {
        part.filter(|p| p.len() == width && p.bytes().all(|b| b.is_ascii_digit()))?.parse::<i64>().ok()
    };

    let mut parts = date.split('-');
    let (year, month, day) = (number(parts.next(), 4)?, number(parts.next(), 2)?, number(parts.next(), 2)?);
    if parts.next().is_some() || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }

    let zone_at = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at_checked(zone_at)?;
    let offset = if zone.is_empty() { default_offset_minutes } else { offset_minutes(zone)? };
    let seconds = if time.trim().is_empty() {
        0
    } else {
        let whole = time.trim().split('.').next()?;
        let mut parts = whole.split(':');
        let (hours, minutes) = (number(parts.next(), 2)?, number(parts.next(), 2)?);
        let seconds = match parts.next() {
            Some(part) => number(Some(part), 2)?,
            None => 0,
        };
        if parts.next().is_some() || hours > 23 || minutes > 59 || seconds > 59 {
            return None;
        }
        hours * 3600 + minutes * 60 + seconds
    };
    let total = days_from_epoch(year, month, day) * 86_400 + seconds - i64::from(offset) * 60;
    u64::try_from(total.checked_mul(1000)?).ok()
}

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar: whole years, then whole months, then days.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let leap_days = |y: i64| y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400);
    let years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    years + (1..month).map(|m| days_in_month(year, m)).sum::<i64>() + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_dates() {
        for (text, offset, ms) in [
            ("1970-01-01", 0, 0),
            ("2010-12-01 08:26:00", 0, 1_291_191_960_000),
            ("2010-12-01T08:26:00Z", 60, 1_291_191_960_000),
            ("2010-12-01 09:26", 60, 1_291_191_960_000),
            ("2010-12-01 09:26:00.125+01:00", 0, 1_291_191_960_000),
            ("2000-02-29", 0, 951_782_400_000),
            ("2026-11-22", 0, 1_795_305_600_000),
        ] {
            assert_eq!(parse(text, offset), Ok(ms), "{text}");
        }
        for text in [
            "",
            "2010-13-01",
            "2011-02-29",
            "01/12/2010",
            "2010-12-01 25:00",
            "2010-12-01 08:26:00 CET",
            "1969-12-31",
            "zwölf Uhr!!",
        ] {
            assert!(parse(text, 0).is_err(), "{text}");
        }
    }
}
