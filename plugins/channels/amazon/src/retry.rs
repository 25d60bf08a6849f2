//! What an answer of the SP-API means for the work that asked for it.

use crate::api::ErrorAnswer;

/// Longest text of Amazon's that is kept.
const TEXT_CHARS_MAX: usize = 500;
/// Shortest and longest wait after a 429.
const THROTTLE_MS_MIN: u64 = 1_000;
const THROTTLE_MS_MAX: u64 = 600_000;

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It worked.
    Done,
    /// The access token is no good (any more): fetch another and ask once more.
    Refresh(String),
    /// Too fast: not before so many milliseconds.
    Throttled(u64),
    /// It may work later.
    Later(String),
    /// It will never work like this; a person must look at it.
    Refused(String),
}

/// What an answer means. `rate_header` is `x-amzn-RateLimit-Limit`, `retry_after_ms` what `Retry-After` says.
#[must_use]
pub fn classify(status: u16, body: &[u8], rate_header: Option<&str>, retry_after_ms: Option<u64>) -> Verdict {
    match status {
        200..=299 => Verdict::Done,
        401 | 403 => Verdict::Refresh(complaint(status, body)),
        429 => Verdict::Throttled(throttle_ms(rate_header, retry_after_ms)),
        408 | 500..=599 => Verdict::Later(complaint(status, body)),
        _ => Verdict::Refused(complaint(status, body)),
    }
}

/// What Amazon says, in one line.
#[must_use]
pub fn complaint(status: u16, body: &[u8]) -> String {
    let said = match serde_json::from_slice::<ErrorAnswer>(body) {
        Ok(answer) if !answer.errors.is_empty() => {
            let parts: Vec<String> = answer
                .errors
                .iter()
                .map(|error| format!("{} ({})", error.message.trim_end_matches('.'), error.code))
                .collect();
            parts.join("; ")
        }
        _ => String::from_utf8_lossy(body).trim().to_owned(),
    };
    let said: String = said.chars().take(TEXT_CHARS_MAX).collect();
    if said.is_empty() { format!("Amazon answered {status}") } else { format!("Amazon answered {status}: {said}") }
}

/// How long until there is a token again in a bucket that refills at the rate that Amazon names.
fn throttle_ms(rate_header: Option<&str>, retry_after_ms: Option<u64>) -> u64 {
    let wait_ms = retry_after_ms
        .or_else(|| {
            rate_header
                .and_then(micro_per_second)
                .filter(|micro| *micro > 0)
                .map(|micro| 1_000_000_000_u64.div_ceil(micro))
        })
        .unwrap_or(THROTTLE_MS_MIN * 5);
    wait_ms.clamp(THROTTLE_MS_MIN, THROTTLE_MS_MAX)
}

/// `0.0056` as 5,600.
fn micro_per_second(text: &str) -> Option<u64> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let fraction: String = fraction.chars().take(6).collect();
    if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{whole}{fraction:0<6}").parse().ok()
}

/// How long to wait after so many failures in a row: 5 s, doubling, at most 15 minutes.
#[must_use]
pub fn backoff_ms(failures: u32) -> u64 {
    5_000_u64.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(900_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let error = br#"{"errors":[{"code":"InvalidInput","message":"quantity must be a number.","details":""}]}"#;
        let text = "Amazon answered 400: quantity must be a number (InvalidInput)".to_owned();
        assert_eq!(classify(200, b"", None, None), Verdict::Done);
        assert_eq!(classify(204, b"", None, None), Verdict::Done);
        assert_eq!(classify(400, error, None, None), Verdict::Refused(text));
        assert!(matches!(classify(403, b"{}", None, None), Verdict::Refresh(_)));
        assert!(matches!(classify(404, b"", None, None), Verdict::Refused(_)));
        assert_eq!(classify(503, b"<html>", None, None), Verdict::Later("Amazon answered 503: <html>".into()));
        assert_eq!(classify(500, b"", None, None), Verdict::Later("Amazon answered 500".into()));
    }

    #[test]
    fn a_throttled_caller_waits_for_one_token() {
        for (rate, retry_after_ms, wait_ms) in [
            (Some("0.0056"), None, 178_572),
            (Some("5.0"), None, 1_000),
            (Some("0.5"), None, 2_000),
            (Some("0"), None, 5_000),
            (Some("soon"), None, 5_000),
            (None, Some(30_000), 30_000),
            (None, None, 5_000),
        ] {
            assert_eq!(classify(429, b"", rate, retry_after_ms), Verdict::Throttled(wait_ms), "{rate:?}");
        }
    }

    #[test]
    fn backoff_doubles_to_a_quarter_of_an_hour() {
        assert_eq!([1, 2, 3, 8, 9, 40].map(backoff_ms), [5_000, 10_000, 20_000, 640_000, 900_000, 900_000]);
    }
}
