//! What a host does by the clock for its own sake: backups on a schedule, and a look at the space that the store takes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::control::start_backup;
use crate::options::BackupSchedule;
use crate::state::State;

/// How often the store's own alarm is looked at.
const ALARM_EVERY: Duration = Duration::from_secs(60);
/// Begins the name of a scheduled backup; the time follows, so that names sort by age.
const PREFIX: &str = "kontor-";

/// Runs until the host stops.
pub(super) async fn run(state: Arc<State>, schedule: Option<BackupSchedule>) {
    let stopping = state.stopping.clone();
    tokio::select! {
        () = stopping.cancelled() => {}
        () = watch_space(&state) => {}
        () = make_backups(&state, schedule) => {}
    }
}

/// Says once when an alarm appears, and once more when another does.
async fn watch_space(state: &Arc<State>) {
    let mut ticks = interval_at(Instant::now() + ALARM_EVERY, ALARM_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = false;
    loop {
        ticks.tick().await;
        let alarm = state.store.stats().engine.alarm;
        if let Some(alarm) = alarm.as_ref().filter(|_| !said) {
            tracing::warn!(%alarm, "the store needs a look");
        }
        said = alarm.is_some();
    }
}

async fn make_backups(state: &Arc<State>, schedule: Option<BackupSchedule>) {
    let Some(schedule) = schedule else {
        return std::future::pending().await;
    };
    let mut ticks = interval_at(Instant::now() + schedule.every, schedule.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let name = format!("{PREFIX}{:013}", state.environment.now_ms());
        if let Err(problem) = start_backup(state, schedule.directory.join(name)) {
            tracing::warn!(reason = problem.detail(), "a scheduled backup was left out");
        }
        // The one that runs has no manifest yet, so it is not counted.
        if let Err(error) = remove_old(&schedule.directory, schedule.keep) {
            tracing::warn!(%error, directory = %schedule.directory.display(), "old backups cannot be removed");
        }
    }
}

/// Removes the oldest complete scheduled backups beyond `keep`.
fn remove_old(directory: &Path, keep: usize) -> std::io::Result<()> {
    let mut complete: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry?.path();
        let named = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        if named && path.join("kontor-backup.json").is_file() {
            complete.push(path);
        }
    }
    complete.sort();
    let too_many = complete.len().saturating_sub(keep);
    complete.iter().take(too_many).try_for_each(std::fs::remove_dir_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_complete_backups_go() {
        let directory = tempfile::tempdir().unwrap();
        for (name, complete) in
            [("kontor-1", true), ("kontor-2", true), ("kontor-3", false), ("kontor-4", true), ("mine", true)]
        {
            std::fs::create_dir(directory.path().join(name)).unwrap();
            if complete {
                std::fs::write(directory.path().join(name).join("kontor-backup.json"), "{}").unwrap();
            }
        }
        remove_old(directory.path(), 2).unwrap();
        let mut left: Vec<String> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        left.sort();
        assert_eq!(left, ["kontor-2", "kontor-3", "kontor-4", "mine"]);
    }
}
