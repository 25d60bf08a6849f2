//! The recent log lines of each plugin, in memory: what `kontor plugin logs` and the console show. Bounded; old lines make room for
//! new ones. Lines also go to the host's own log, which is what keeps them for longer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use kontor_core::ids::{MerchantId, PluginId};
use tokio::sync::Notify;

use crate::api::LogLine;
use crate::limits::{LOG_LINES_KEPT, LOG_RINGS_MAX};

/// All rings.
#[derive(Debug, Default)]
pub(crate) struct LogRings {
    // A mutex around a map: written once a log line, held for a push.
    rings: Mutex<BTreeMap<(MerchantId, PluginId), Ring>>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Ring {
    next: u64,
    lines: VecDeque<Arc<LogLine>>,
}

impl LogRings {
    /// Appends a line and gives it its cursor.
    pub(crate) fn push(&self, merchant: &MerchantId, plugin: &PluginId, mut line: LogLine) {
        {
            let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (merchant.clone(), plugin.clone());
            if rings.len() >= LOG_RINGS_MAX && !rings.contains_key(&key) {
                return;
            }
            let ring = rings.entry(key).or_default();
            ring.next += 1;
            line.cursor = ring.next;
            if ring.lines.len() >= LOG_LINES_KEPT {
                ring.lines.pop_front();
            }
            ring.lines.push_back(Arc::new(line));
        }
        self.changed.notify_waiters();
    }

    /// Up to `limit` lines after the cursor `since`; with 0 the newest.
    pub(crate) fn since(
        &self,
        merchant: &MerchantId,
        plugin: &PluginId,
        since: u64,
        limit: usize,
    ) -> Vec<Arc<LogLine>> {
        let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(ring) = rings.get(&(merchant.clone(), plugin.clone())) else { return Vec::new() };
        if since == 0 {
            let skip = ring.lines.len().saturating_sub(limit);
            return ring.lines.iter().skip(skip).cloned().collect();
        }
        ring.lines.iter().filter(|l| l.cursor > since).take(limit).cloned().collect()
    }

    /// Resolves when a line was added after this was called. Create the future before reading, so that nothing is missed.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str) -> LogLine {
        LogLine { message: message.to_owned(), ..LogLine::default() }
    }

    #[test]
    fn a_ring_keeps_the_newest_and_pages_by_cursor() {
        let rings = LogRings::default();
        let (merchant, plugin) = (MerchantId::new("m").unwrap(), PluginId::new("p").unwrap());
        for i in 0..LOG_LINES_KEPT + 10 {
            rings.push(&merchant, &plugin, line(&i.to_string()));
        }
        let newest = rings.since(&merchant, &plugin, 0, 3);
        assert_eq!(newest.iter().map(|l| l.cursor).collect::<Vec<_>>(), [2008, 2009, 2010]);
        let next = rings.since(&merchant, &plugin, 2008, 100);
        assert_eq!(next.iter().map(|l| l.message.as_str()).collect::<Vec<_>>(), ["2008", "2009"]);
        assert_eq!(rings.since(&merchant, &plugin, 1, 5).first().map(|l| l.cursor), Some(11));
        assert!(rings.since(&merchant, &PluginId::new("other").unwrap(), 0, 5).is_empty());
    }
}
