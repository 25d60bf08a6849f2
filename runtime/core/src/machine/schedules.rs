//! Cron schedules. When a schedule fires next is durable; fires that were missed (the process was down) come as one. A fire queues the
//! schedule's job under the schedule's name as coalescing key, with the payload `{"schedule": name, "fire_ms": time}`.

use std::str::FromStr;

use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds};
use serde::{Deserialize, Serialize};

use super::Machine;
use super::host_transaction::transact;
use super::work::{Lane, LaneKind, Target, WorkItem, WorkOutcome};
use crate::codec::{decode, encode};
use crate::error::Error;
use crate::ids::{MerchantId, PluginId};
use crate::keys::{KeyBuilder, Space};
use crate::overlay::Overlay;
use crate::queueing::{self, NewJob};
use crate::revision::{Revision, Schedule};
use crate::store::{Durability, Key, ReadView};

/// When a schedule fires next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ScheduleState {
    cron: String,
    time_zone: Option<String>,
    next_ms: u64,
    /// Fires so far, to tell the jobs apart.
    fires: u64,
}

fn state_key(merchant: &MerchantId, plugin: &PluginId, name: &str) -> Key {
    KeyBuilder::new(merchant, Space::Schedule).name(plugin.as_str()).name(name).key()
}

/// The first fire after `after_ms`; `None` if there is none any more. An error says what is wrong with the schedule.
pub(super) fn next_fire_ms(schedule: &Schedule, after_ms: u64) -> Result<Option<u64>, String> {
    let cron = CronParser::builder()
        .seconds(Seconds::Optional)
        .build()
        .parse(&schedule.cron)
        .map_err(|error| format!("`{}` is not a cron expression: {error}", schedule.cron))?;
    let zone = match &schedule.time_zone {
        Some(name) => Tz::from_str(name).map_err(|_| format!("`{name}` is not an IANA time zone"))?,
        None => Tz::UTC,
    };
    let after = i64::try_from(after_ms).ok().and_then(|ms| Utc.timestamp_millis_opt(ms).single());
    let after: DateTime<Tz> = after.ok_or("the time is out of range")?.with_timezone(&zone);
    Ok(cron.find_next_occurrence(&after, false).ok().and_then(|next| u64::try_from(next.timestamp_millis()).ok()))
}

/// Brings the stored schedules in line with a revision that becomes current.
pub(super) async fn align(
    overlay: &mut Overlay,
    merchant: &MerchantId,
    revision: &Revision,
    now_ms: u64,
) -> Result<(), Error> {
    let mut wanted = std::collections::BTreeSet::new();
    for (plugin, installed) in &revision.plugins {
        for schedule in &installed.spec.schedules {
            let key = state_key(merchant, plugin, &schedule.name);
            wanted.insert(key.clone());
            let old: Option<ScheduleState> = match overlay.get(&key).await? {
                Some(bytes) => Some(decode("schedule", &bytes)?),
                None => None,
            };
            if old.as_ref().is_some_and(|old| old.cron == schedule.cron && old.time_zone == schedule.time_zone) {
                continue;
            }
            let next_ms = next_fire_ms(schedule, now_ms).map_err(|error| Error::RevisionInvalid(vec![error]))?;
            let state = ScheduleState {
                cron: schedule.cron.clone(),
                time_zone: schedule.time_zone.clone(),
                next_ms: next_ms.unwrap_or(u64::MAX),
                fires: old.map_or(0, |old| old.fires),
            };
            overlay.put(key, encode(&state)?);
        }
    }
    let all = overlay.scan(&KeyBuilder::new(merchant, Space::Schedule).range(), false, usize::MAX, usize::MAX).await?;
    for (key, _) in all.entries {
        if !wanted.contains(&key) {
            overlay.delete(key);
        }
    }
    Ok(())
}

impl Machine {
    /// Hands a schedule out when it is to fire.
    pub(super) async fn find_schedule(
        &self,
        view: &dyn ReadView,
        lane: &Lane,
        plugin: &PluginId,
        name: &str,
        now_ms: u64,
    ) -> Result<(Vec<WorkItem>, u64), Error> {
        let Some(bytes) = view.get(&state_key(&lane.merchant, plugin, name)).await? else {
            return Ok((Vec::new(), u64::MAX));
        };
        let state: ScheduleState = decode("schedule", &bytes)?;
        if state.next_ms > now_ms {
            return Ok((Vec::new(), state.next_ms));
        }
        Ok((self.board.claim(lane, Target::Lane, None).into_iter().collect(), u64::MAX))
    }

    /// Queues the job of a schedule, and notes when it fires next.
    pub(super) async fn fire(&self, item: &WorkItem, plugin: &PluginId, name: &str) -> Result<WorkOutcome, Error> {
        let merchant = &item.lane.merchant;
        let state = self.merchant(merchant).await?;
        let now_ms = self.parts.environment.now_ms();
        let fired = transact!(self, Durability::Visible, |overlay| {
            overlay.depend_on(state.head_key());
            let revision = self.head(&state, overlay.view()).await?;
            let key = state_key(merchant, plugin, name);
            let Some(bytes) = overlay.get(&key).await? else {
                return Ok(None);
            };
            let mut stored: ScheduleState = decode("schedule", &bytes)?;
            let schedule = revision
                .plugins
                .get(plugin)
                .and_then(|installed| installed.spec.schedules.iter().find(|schedule| schedule.name == name));
            let Some(schedule) = schedule.filter(|_| stored.next_ms <= now_ms) else {
                return Ok(None);
            };
            let new = NewJob {
                id: format!("sched-{plugin}-{name}-{}-{}", stored.fires, stored.next_ms),
                key: Some(name.to_owned()),
                payload: serde_json::json!({ "schedule": name, "fire_ms": stored.next_ms }).to_string(),
                due_ms: 0,
            };
            queueing::enqueue(overlay, merchant, plugin, &schedule.job, new, now_ms)?;
            stored.fires += 1;
            stored.next_ms = next_fire_ms(schedule, now_ms).ok().flatten().unwrap_or(u64::MAX);
            overlay.put(key, encode(&stored)?);
            Ok(Some(schedule.job.clone()))
        })?;
        let Some(job) = fired else {
            return Ok(WorkOutcome::Nothing);
        };
        self.board.hint(Lane { merchant: merchant.clone(), kind: LaneKind::Jobs(plugin.clone(), job) }, 0);
        Ok(WorkOutcome::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(cron: &str, zone: Option<&str>, after: &str) -> String {
        let schedule =
            Schedule { name: "s".into(), cron: cron.into(), time_zone: zone.map(str::to_owned), job: "j".into() };
        let after_ms = DateTime::parse_from_rfc3339(after).unwrap().timestamp_millis() as u64;
        let next = next_fire_ms(&schedule, after_ms).unwrap().unwrap();
        Utc.timestamp_millis_opt(next as i64).unwrap().to_rfc3339()
    }

    #[test]
    fn fires_follow_the_time_zone_through_summer_time() {
        let berlin = Some("Europe/Berlin");
        assert_eq!(next("0 3 * * *", None, "2026-03-28T12:00:00Z"), "2026-03-29T03:00:00+00:00");
        assert_eq!(next("0 3 * * *", berlin, "2026-03-27T12:00:00Z"), "2026-03-28T02:00:00+00:00");
        assert_eq!(next("0 3 * * *", berlin, "2026-03-28T12:00:00Z"), "2026-03-29T01:00:00+00:00");
        assert_eq!(next("*/10 * * * * *", None, "2026-01-01T00:00:05Z"), "2026-01-01T00:00:10+00:00");
    }

    #[test]
    fn nonsense_is_named() {
        let schedule = |cron: &str, zone: Option<&str>| Schedule {
            name: "s".into(),
            cron: cron.into(),
            time_zone: zone.map(str::to_owned),
            job: "j".into(),
        };
        assert!(next_fire_ms(&schedule("every day", None), 0).unwrap_err().contains("every day"));
        assert!(next_fire_ms(&schedule("0 0 * * *", Some("Mars/Olympus")), 0).unwrap_err().contains("Mars/Olympus"));
    }
}
