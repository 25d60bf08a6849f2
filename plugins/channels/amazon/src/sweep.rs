//! The sweep: one account-wide search for orders that changed, page by page, again and again.
//!
//! A sweep asks for everything since the last one's upper bound, minus an overlap: replicas answer late, and an update that
//! was not visible then is found in the overlap now. Orders are therefore seen several times and in any order; what is
//! taken of them is decided by version, never by arrival. The high-water mark moves only when the last page of a window has
//! been taken, so a crash, a lost page or an expired token means the window again, never a gap.
//!
//! `searchOrders` gives 20 calls and then one in 179 seconds. The bucket for it is kept here, in the plugin's own table: it
//! survives restarts, and accounts with a higher plan can say so in the configuration.

use serde::{Deserialize, Serialize};

use crate::retry::backoff_ms;

/// How a sweep is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepSettings {
    /// How far a window reaches back into the one before.
    pub overlap_ms: u64,
    /// How far the first window reaches back.
    pub lookback_ms: u64,
    /// How long until the search bucket has one token more.
    pub search_interval_ms: u64,
    /// Tokens of a full bucket.
    pub search_burst: u32,
}

/// A window that is being paged through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its lower bound.
    pub after_ms: u64,
    /// Its upper bound, as the first page told it.
    #[serde(default)]
    pub upper_ms: Option<u64>,
    /// Where to go on.
    #[serde(default)]
    pub token: Option<String>,
    /// Pages taken.
    #[serde(default)]
    pub pages: u32,
    /// Orders seen.
    #[serde(default)]
    pub orders: u64,
}

/// Where the sweep stands; one per account, kept from sweep to sweep.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepState {
    /// Everything up to here has been seen.
    #[serde(default)]
    pub high_water_ms: Option<u64>,
    /// The window that is being paged through.
    #[serde(default)]
    pub window: Option<Window>,
    /// When the last window was done.
    #[serde(default)]
    pub finished_at_ms: Option<u64>,
    /// Orders in the last window.
    #[serde(default)]
    pub last_orders: u64,
    /// Windows done.
    #[serde(default)]
    pub sweeps: u64,
    /// Failures since the last page that worked.
    #[serde(default)]
    pub failures: u32,
    /// The last failure, until a page works again.
    #[serde(default)]
    pub last_error: Option<String>,
    /// When the search bucket was full, or would be: the time from which its level follows.
    #[serde(default)]
    pub bucket_full_at_ms: u64,
}

/// What to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Lower bound.
    pub after_ms: u64,
    /// Where to go on.
    pub token: Option<String>,
}

/// What to do after a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next page.
    Page,
    /// Nothing until the next sweep.
    Rest,
}

impl SweepState {
    /// Begins or goes on: what to ask for now, or how long the search bucket is empty.
    ///
    /// # Errors
    ///
    /// The milliseconds to wait.
    pub fn ask(&mut self, settings: &SweepSettings, now_ms: u64) -> Result<Ask, u64> {
        self.take_token(settings, now_ms)?;
        let high_water_ms = self.high_water_ms;
        let window = self.window.get_or_insert_with(|| Window {
            after_ms: high_water_ms.map_or(now_ms.saturating_sub(settings.lookback_ms), |high_water_ms| {
                high_water_ms.saturating_sub(settings.overlap_ms)
            }),
            ..Window::default()
        });
        Ok(Ask { after_ms: window.after_ms, token: window.token.clone() })
    }

    /// Takes a token out of the search bucket. Its level is told by when it will be full: a token is one interval later.
    fn take_token(&mut self, settings: &SweepSettings, now_ms: u64) -> Result<(), u64> {
        let interval_ms = settings.search_interval_ms;
        let full_at_ms = self.bucket_full_at_ms.max(now_ms) + interval_ms;
        let latest_ms = now_ms + interval_ms * u64::from(settings.search_burst.max(1));
        match full_at_ms.checked_sub(latest_ms) {
            None | Some(0) => {
                self.bucket_full_at_ms = full_at_ms;
                Ok(())
            }
            Some(wait_ms) => Err(wait_ms),
        }
    }

    /// A page was taken: `orders` of them, up to `upper_ms`, and there is more if there is a token.
    pub fn page_taken(&mut self, orders: u64, upper_ms: Option<u64>, next_token: Option<String>, now_ms: u64) -> Next {
        self.failures = 0;
        self.last_error = None;
        let mut window = self.window.take().unwrap_or_default();
        window.pages += 1;
        window.orders += orders;
        // Later pages may have been searched later; only what the first one promised is complete.
        window.upper_ms = window.upper_ms.or(upper_ms);
        if next_token.is_some() {
            window.token = next_token;
            self.window = Some(window);
            return Next::Page;
        }
        let reached_ms = window.upper_ms.unwrap_or(window.after_ms);
        self.high_water_ms = Some(self.high_water_ms.unwrap_or(0).max(reached_ms));
        self.finished_at_ms = Some(now_ms);
        self.last_orders = window.orders;
        self.sweeps += 1;
        Next::Rest
    }

    /// A page failed: how long to wait before the next attempt. When Amazon refused the question itself, the page token may
    /// have expired: then the window begins anew.
    pub fn failed(&mut self, error: String, refused: bool) -> u64 {
        self.failures = self.failures.saturating_add(1);
        self.last_error = Some(error);
        if refused && let Some(window) = &mut self.window {
            *window = Window { after_ms: window.after_ms, ..Window::default() };
        }
        backoff_ms(self.failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: SweepSettings =
        SweepSettings { overlap_ms: 300_000, lookback_ms: 86_400_000, search_interval_ms: 178_572, search_burst: 20 };

    #[test]
    fn windows_overlap_and_the_mark_moves_with_the_last_page_only() {
        let mut state = SweepState::default();
        let start_ms = 1_000_000_000;
        assert_eq!(state.ask(&SETTINGS, start_ms), Ok(Ask { after_ms: start_ms - 86_400_000, token: None }));
        assert_eq!(state.page_taken(100, Some(start_ms - 120_000), Some("a".into()), start_ms), Next::Page);
        assert_eq!(state.high_water_ms, None);
        let again = state.ask(&SETTINGS, start_ms + 1_000);
        assert_eq!(again, Ok(Ask { after_ms: start_ms - 86_400_000, token: Some("a".into()) }));
        assert_eq!(state.page_taken(3, Some(start_ms + 1_000), None, start_ms + 1_000), Next::Rest);
        assert_eq!(state.high_water_ms, Some(start_ms - 120_000), "later pages promise nothing about later updates");
        assert_eq!((state.last_orders, state.sweeps), (103, 1));
        assert_eq!(state.ask(&SETTINGS, start_ms + 60_000), Ok(Ask { after_ms: start_ms - 420_000, token: None }));
        assert_eq!(state.page_taken(0, Some(start_ms - 500_000), None, start_ms), Next::Rest);
        assert_eq!(state.high_water_ms, Some(start_ms - 120_000), "the mark never falls");
    }

    #[test]
    fn a_failure_keeps_the_window_and_a_refusal_begins_it_anew() {
        let mut state = SweepState::default();
        state.ask(&SETTINGS, 1_000_000_000).unwrap();
        state.page_taken(100, Some(900_000_000), Some("a".into()), 1_000_000_000);
        assert_eq!(state.failed("Amazon answered 503".into(), false), 5_000);
        assert_eq!(state.ask(&SETTINGS, 1_000_005_000).unwrap().token.as_deref(), Some("a"));
        assert_eq!(state.failed("Amazon answered 400".into(), true), 10_000);
        let ask = state.ask(&SETTINGS, 1_000_015_000).unwrap();
        assert_eq!(ask, Ask { after_ms: 1_000_000_000 - 86_400_000, token: None });
        state.page_taken(1, Some(900_000_000), None, 1_000_015_000);
        assert_eq!((state.failures, state.last_error), (0, None));
    }

    #[test]
    fn the_search_bucket_gives_a_burst_and_then_one_call_in_179_seconds() {
        let mut state = SweepState::default();
        let mut now_ms = 1_000_000_000;
        for call in 0..20 {
            assert!(state.ask(&SETTINGS, now_ms).is_ok(), "call {call}");
        }
        assert_eq!(state.ask(&SETTINGS, now_ms), Err(178_572));
        now_ms += 178_571;
        assert_eq!(state.ask(&SETTINGS, now_ms), Err(1));
        now_ms += 1;
        assert!(state.ask(&SETTINGS, now_ms).is_ok());
        assert!(state.ask(&SETTINGS, now_ms).is_err());
        // A restart forgets nothing: the level is in the state.
        let stored = serde_json::to_string(&state).unwrap();
        let mut restarted: SweepState = serde_json::from_str(&stored).unwrap();
        assert!(restarted.ask(&SETTINGS, now_ms).is_err());
    }
}
