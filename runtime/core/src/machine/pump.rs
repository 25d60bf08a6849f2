//! Driving background work: finding what is due, running one item, and a pump made of the two that needs no particular runtime.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt, select, select_all};
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::Machine;
use super::delivery::POSTPONED_MS;
use super::work::{LaneKind, Target, WorkItem, WorkOutcome};
use crate::error::Error;

/// Items of one lane handed out at a time, so that one busy lane does not take every place.
const PER_LANE_MAX: usize = 16;
/// Longest nap of the pump: what another process queued in the same store is found by then.
const NAP_MS_MAX: u64 = 60_000;

impl Machine {
    /// Up to `limit` items that are due at `now_ms`. Lanes take turns.
    pub async fn due_work(&self, now_ms: u64, limit: usize) -> Result<Vec<WorkItem>, Error> {
        let mut items: Vec<WorkItem> = Vec::new();
        let lanes = self.board.take_due(now_ms);
        if lanes.is_empty() || limit == 0 {
            lanes.iter().for_each(|lane| self.board.put_back(lane, 0));
            return Ok(items);
        }
        let view = match self.parts.store.begin().await {
            Ok(view) => view,
            Err(error) => {
                lanes.iter().for_each(|lane| self.board.put_back(lane, now_ms.saturating_add(POSTPONED_MS)));
                return Err(error.into());
            }
        };
        let mut failure = None;
        for lane in lanes {
            if items.len() >= limit || failure.is_some() {
                self.board.put_back(&lane, 0);
                continue;
            }
            let write_wait_ms = self.write_wait_ms(&lane, now_ms).await;
            if write_wait_ms > 0 {
                self.board.put_back(&lane, now_ms.saturating_add(write_wait_ms));
                continue;
            }
            let room = (limit - items.len()).min(PER_LANE_MAX);
            let found = match &lane.kind {
                LaneKind::Deliveries(plugin) => self.find_deliveries(view.as_ref(), &lane, plugin, now_ms, room).await,
                LaneKind::Jobs(plugin, name) => self.find_jobs(view.as_ref(), &lane, plugin, name, now_ms, room).await,
                LaneKind::Schedule(plugin, name) => {
                    self.find_schedule(view.as_ref(), &lane, plugin, name, now_ms).await
                }
                LaneKind::Housekeeping => {
                    Ok((self.board.claim(&lane, Target::Lane, None).into_iter().collect(), u64::MAX))
                }
            };
            match found {
                Ok((found, next_ms)) => {
                    items.extend(found);
                    self.board.put_back(&lane, next_ms);
                }
                Err(error) => {
                    self.board.put_back(&lane, now_ms.saturating_add(POSTPONED_MS));
                    failure = Some(error);
                }
            }
        }
        match failure {
            Some(error) if items.is_empty() => Err(error),
            _ => Ok(items),
        }
    }

    /// Runs one. Failures of plugins are noted durably; failures of the host postpone it.
    pub async fn run(&self, mut item: WorkItem) -> WorkOutcome {
        let (kind, target) = (item.lane.kind.clone(), item.target.clone());
        let result = match (&kind, &target) {
            (LaneKind::Deliveries(plugin), Target::Queue(key)) => self.deliver(&mut item, plugin, key).await,
            (LaneKind::Jobs(plugin, name), Target::Slot(slot)) => self.run_job(&mut item, plugin, name, slot).await,
            (LaneKind::Schedule(plugin, name), _) => self.fire(&item, plugin, name).await,
            (LaneKind::Housekeeping, _) => self.keep_house(&mut item).await,
            (LaneKind::Deliveries(_) | LaneKind::Jobs(..), _) => Ok(WorkOutcome::Nothing),
        };
        result.unwrap_or_else(|error| {
            tracing::warn!(merchant = %item.merchant(), work = item.describe(), code = error.code(), %error, "background work was postponed");
            item.revisit_ms = item.revisit_ms.max(self.parts.environment.now_ms().saturating_add(POSTPONED_MS));
            WorkOutcome::Postponed
        })
    }

    /// When [`Machine::due_work`] is worth calling again if nothing new is queued.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.board.next_due_ms()
    }

    /// A number that grows whenever work is queued.
    pub fn work_generation(&self) -> u64 {
        self.board.generation()
    }

    /// Resolves once [`Machine::work_generation`] is above `generation`.
    pub fn wait_for_work(&self, generation: u64) -> BoxFuture<'static, ()> {
        self.board.wait(generation)
    }

    /// Drives all background work, at most `concurrency` items at a time, until `stop` resolves; then lets what runs end. Several
    /// pumps may run beside each other (one per thread). Ends with an error only when the store has stopped for good.
    pub async fn pump(self: Arc<Self>, concurrency: usize, stop: BoxFuture<'static, ()>) -> Result<(), Error> {
        let concurrency = concurrency.max(1);
        let mut running: FuturesUnordered<BoxFuture<'static, WorkOutcome>> = FuturesUnordered::new();
        let mut stop = stop;
        let mut stopped = false;
        loop {
            let generation = self.work_generation();
            let mut wake_ms = None;
            if !stopped && running.len() < concurrency {
                let now_ms = self.parts.environment.now_ms();
                match self.due_work(now_ms, concurrency - running.len()).await {
                    Ok(items) => {
                        for item in items {
                            let machine = self.clone();
                            running.push(async move { machine.run(item).await }.boxed());
                        }
                    }
                    Err(error @ Error::StoreStopped(_)) => return Err(error),
                    Err(error) => {
                        tracing::warn!(code = error.code(), %error, "cannot look for background work")
                    }
                }
                let due_ms = self.next_due_ms().unwrap_or(u64::MAX).saturating_sub(now_ms);
                wake_ms = Some(due_ms.clamp(1, NAP_MS_MAX));
            }
            if stopped && running.is_empty() {
                return Ok(());
            }
            let mut waits: Vec<BoxFuture<'_, bool>> = Vec::new();
            if !running.is_empty() {
                waits.push(running.next().map(|_| false).boxed());
            }
            if let Some(wake_ms) = wake_ms.filter(|_| !stopped) {
                waits.push(self.parts.environment.sleep(wake_ms).map(|()| false).boxed());
                waits.push(self.wait_for_work(generation).map(|()| false).boxed());
            }
            let any = select_all(waits).map(|(stop, _, _)| stop);
            if stopped {
                any.await;
            } else {
                match select(&mut stop, any.boxed()).await {
                    futures_util::future::Either::Left(_) => stopped = true,
                    futures_util::future::Either::Right(_) => {}
                }
            }
        }
    }
}
