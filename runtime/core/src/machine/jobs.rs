//! Running jobs. A start claims the slot: what waited there now runs, and nothing else of the slot starts until it has ended. What runs
//! carries its time and seed, so that a process that was killed runs it again as the same invocation, with the same journal.
//! Success removes it in the job's own commit; failure puts it back behind a hold, unless something newer waits in the slot.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};

use super::dead_letters::{NewDeadLetter, bury};
use super::delivery::backoff_ms;
use super::exchange::Exchanger;
use super::host_transaction::transact;
use super::invoke::{Ended, Invocation, On, Opened, Trigger, execution_code};
use super::work::{Lane, Target, WorkItem, WorkOutcome};
use super::{Machine, budgets};
use crate::codec::{decode, encode};
use crate::error::Error;
use crate::executor::{Call, ExecutionError, Job, Reply};
use crate::ids::{InvocationId, MerchantId, PluginId};
use crate::keys::{KeyBuilder, Space, split_number, successor};
use crate::limits::{PAGE_ENTRIES_MAX, RETRY_AFTER_MS_MAX};
use crate::observer::{DeadLetterReport, InvocationKind};
use crate::overlay::Overlay;
use crate::queueing::{
    JobHold, RunningJob, Slot, WaitingJob, clear_marks, due_marks, earliest_mark, hold_key, put_mark, running_key,
    waiting_key,
};
use crate::records::{DeadSubject, JobStatus};
use crate::revision::{JobSpec, RateBudget, Revision};
use crate::store::{Durability, ReadView};
use crate::transaction::Actor;

/// Due marks looked at for one item handed out: many marks may belong to one slot.
const MARKS_PER_PAGE: usize = 256;
/// Pages of due marks looked at in one go.
const PAGES_MAX: usize = 16;

/// What a claim came to.
#[derive(Debug)]
enum Claim {
    Run(Box<RunningJob>),
    /// Not before then.
    Held,
    Nothing,
}

/// A slot of a job name.
#[derive(Clone, Debug)]
struct Place {
    merchant: MerchantId,
    plugin: PluginId,
    name: String,
    slot: Slot,
}

impl Machine {
    /// Hands out the slots of a job name that are due, no more than there are tokens in its rate budget.
    pub(super) async fn find_jobs(
        &self,
        view: &dyn ReadView,
        lane: &Lane,
        plugin: &PluginId,
        name: &str,
        now_ms: u64,
        room: usize,
    ) -> Result<(Vec<WorkItem>, u64), Error> {
        let state = self.merchant(&lane.merchant).await?;
        let revision = self.head(&state, view).await?;
        let Some(installed) = revision.plugins.get(plugin) else { return Ok((Vec::new(), u64::MAX)) };
        let spec = installed.spec.jobs.iter().find(|job| job.name == name);
        let budget = spec.and_then(|spec| spec.budget.as_deref());
        let Some(budget) = budget.and_then(|budget| budgets::named(installed, budget)) else {
            return self.find_slots(view, lane, plugin, name, now_ms, room).await;
        };
        let (tokens, wait_ms) = self.parts.budgets.available(&lane.merchant, plugin, budget, now_ms);
        let later_ms = now_ms.saturating_add(wait_ms);
        let affordable = usize::try_from(tokens).unwrap_or(usize::MAX);
        if affordable == 0 {
            return Ok((Vec::new(), later_ms));
        }
        let (items, next_ms) = self.find_slots(view, lane, plugin, name, now_ms, room.min(affordable)).await?;
        let all_spent = items.len() == affordable;
        Ok((items, if all_spent { next_ms.max(later_ms) } else { next_ms }))
    }

    async fn find_slots(
        &self,
        view: &dyn ReadView,
        lane: &Lane,
        plugin: &PluginId,
        name: &str,
        now_ms: u64,
        room: usize,
    ) -> Result<(Vec<WorkItem>, u64), Error> {
        let mut items = Vec::new();
        let (left, mut next_ms) = self.board.left(lane, now_ms);
        for slot in left {
            if items.len() == room {
                return Ok((items, now_ms));
            }
            items.extend(self.board.claim(lane, Target::Slot(slot), None));
        }
        let marks = due_marks(&lane.merchant, plugin, name);
        let skip = marks.clone().key().len();
        let mut range = marks.range();
        for _ in 0..PAGES_MAX {
            let page = view.scan(&range, false, MARKS_PER_PAGE).await?;
            for (key, _) in &page.entries {
                let Some((due_ms, slot)) = key.get(skip..).and_then(split_number) else {
                    continue;
                };
                if due_ms > now_ms {
                    return Ok((items, next_ms.map_or(due_ms, |next_ms| next_ms.min(due_ms))));
                }
                let target = Target::Slot(slot.to_vec());
                if self.board.is_busy(lane, &target) {
                    continue;
                }
                if items.len() == room {
                    return Ok((items, now_ms));
                }
                items.extend(self.board.claim(lane, target, Some(due_ms)));
            }
            match page.entries.last().filter(|_| page.more) {
                Some((last, _)) => range.start = successor(last),
                None => return Ok((items, next_ms.take().unwrap_or(u64::MAX))),
            }
        }
        // Nothing but marks of slots that run: the end of one of those brings us back.
        let later_ms = if items.is_empty() { next_ms.unwrap_or(u64::MAX) } else { now_ms };
        Ok((items, later_ms))
    }

    /// Slots that were running when the process ended.
    pub(super) async fn running_slots(
        &self,
        merchant: &MerchantId,
        plugin: &PluginId,
        name: &str,
    ) -> Result<Vec<Slot>, Error> {
        let range = KeyBuilder::new(merchant, Space::JobRunning).name(plugin.as_str()).name(name).range();
        let skip = range.start.len();
        let mut overlay = Overlay::new(self.parts.store.begin().await?);
        let found = overlay.scan(&range, false, usize::MAX, usize::MAX).await?;
        Ok(found.entries.into_iter().filter_map(|(key, _)| key.get(skip..).map(<[u8]>::to_vec)).collect())
    }

    /// Runs what waits in a slot, or was left running in it.
    pub(super) async fn run_job(
        &self,
        item: &mut WorkItem,
        plugin: &PluginId,
        name: &str,
        slot: &Slot,
    ) -> Result<WorkOutcome, Error> {
        let place = Place {
            merchant: item.lane.merchant.clone(),
            plugin: plugin.clone(),
            name: name.to_owned(),
            slot: slot.clone(),
        };
        let state = self.merchant(&place.merchant).await?;
        let view = self.parts.store.begin().await?;
        let revision = self.head(&state, view.as_ref()).await?;
        let Some(installed) = revision.plugins.get(plugin) else {
            item.revisit_ms = u64::MAX;
            return Ok(WorkOutcome::Nothing);
        };
        let spec = installed.spec.jobs.iter().find(|job| job.name == name);
        let budget = spec.and_then(|spec| spec.budget.as_deref()).and_then(|budget| budgets::named(installed, budget));
        let now_ms = self.parts.environment.now_ms();
        if let Some(budget) = budget
            && let Err(wait_ms) = self.parts.budgets.take(&place.merchant, plugin, budget, now_ms)
        {
            // The whole name waits: all its jobs take from this budget.
            item.revisit_ms = now_ms.saturating_add(wait_ms);
            if item.marker_ms.is_none() {
                // Nothing in the store leads to what was left running.
                self.board.leave_own(item.lane.clone(), slot.clone(), item.revisit_ms);
            }
            return Ok(WorkOutcome::Postponed);
        }
        let claim = self.claim_slot(&place, item.marker_ms, now_ms).await;
        let running = match claim {
            Ok(Claim::Run(running)) => *running,
            Ok(Claim::Held | Claim::Nothing) => {
                self.unpay(&place, budget);
                return Ok(WorkOutcome::Nothing);
            }
            Err(error) => {
                self.unpay(&place, budget);
                // It may have been claimed all the same.
                item.revisit_ms = now_ms.saturating_add(super::delivery::POSTPONED_MS);
                self.board.leave_own(item.lane.clone(), slot.clone(), item.revisit_ms);
                return Err(error);
            }
        };
        let result = self.run_claimed(&place, running, budget).await;
        if result.is_err() {
            // It is still noted as running: it runs again, as the same invocation.
            item.revisit_ms = now_ms.saturating_add(super::delivery::POSTPONED_MS);
            self.board.leave_own(item.lane.clone(), slot.clone(), item.revisit_ms);
        }
        result
    }

    fn unpay(&self, place: &Place, budget: Option<&RateBudget>) {
        if let Some(budget) = budget {
            self.parts.budgets.give_back(&place.merchant, &place.plugin, budget);
        }
    }

    async fn claim_slot(&self, place: &Place, marker_ms: Option<u64>, now_ms: u64) -> Result<Claim, Error> {
        let Place { merchant, plugin, name, slot } = place;
        let seed = self.parts.environment.entropy();
        transact!(self, Durability::Visible, |overlay| {
            let running = running_key(merchant, plugin, name, slot);
            if let Some(bytes) = overlay.get(&running).await? {
                return Ok(Claim::Run(Box::new(decode("running job", &bytes)?)));
            }
            let waiting = waiting_key(merchant, plugin, name, slot);
            let Some(bytes) = overlay.get(&waiting).await? else {
                clear_marks(overlay, merchant, plugin, name, slot).await?;
                if let Some(marker_ms) = marker_ms {
                    overlay.delete(due_marks(merchant, plugin, name).number(marker_ms).rest(slot).key());
                }
                return Ok(Claim::Nothing);
            };
            if marker_ms.is_none() && earliest_mark(overlay, merchant, plugin, name, slot).await? > Some(now_ms) {
                // It was left running, has ended since, and what waits now is for later.
                return Ok(Claim::Nothing);
            }
            let hold: Option<JobHold> = match overlay.get(&hold_key(merchant, plugin, name, slot)).await? {
                Some(bytes) => Some(decode("job hold", &bytes)?),
                None => None,
            };
            let due_ms = clear_marks(overlay, merchant, plugin, name, slot).await?.or(marker_ms).unwrap_or(now_ms);
            if let Some(hold) = hold.filter(|hold| hold.until_ms > now_ms) {
                put_mark(overlay, merchant, plugin, name, slot, due_ms.max(hold.until_ms));
                return Ok(Claim::Held);
            }
            let waiting_job: WaitingJob = decode("waiting job", &bytes)?;
            let claimed = RunningJob {
                job: Job {
                    id: waiting_job.id,
                    name: name.clone(),
                    key: waiting_job.key,
                    payload: waiting_job.payload,
                    attempt: waiting_job.attempt,
                    due_ms,
                },
                queued_ms: waiting_job.queued_ms,
                now_ms,
                seed,
                failures: hold.map_or(0, |hold| hold.failures),
                held: hold.is_some(),
            };
            overlay.put(running, encode(&claimed)?);
            overlay.delete(waiting);
            Ok(Claim::Run(Box::new(claimed)))
        })
    }

    async fn run_claimed(
        &self,
        place: &Place,
        running: RunningJob,
        budget: Option<&RateBudget>,
    ) -> Result<WorkOutcome, Error> {
        let id = InvocationId::new(&format!("job/{}", running.job.id));
        let prepaid = budget.map(|budget| budget.name.clone());
        let outside =
            Exchanger::new(self.parts.clone(), place.merchant.clone(), id.clone(), running.job.attempt, prepaid);
        let outside = Arc::new(outside);
        let invocation = Invocation {
            merchant: self.merchant(&place.merchant).await?,
            plugin: place.plugin.clone(),
            id,
            kind: InvocationKind::Job,
            actor: Actor::System,
            scopes: Vec::new(),
            now_ms: running.now_ms,
            seed: running.seed,
            outside: Some(outside.clone()),
            on: On::Current,
            durability: Durability::Durable,
        };
        let mut trigger = JobTrigger {
            place: place.clone(),
            running,
            outside,
            failed_ms: 0,
            entropy: self.parts.environment.entropy(),
            dead: None,
            environment: self.parts.environment.clone(),
        };
        let settled = self.invoke(&invocation, &mut trigger).await?;
        match settled.result {
            Ended::Executed(Ok(_)) | Ended::Answered(_) => Ok(WorkOutcome::Done),
            Ended::Gone => Ok(WorkOutcome::Nothing),
            Ended::Executed(Err(_)) => match trigger.dead {
                Some(report) => {
                    self.parts.observer.dead_letter(&report);
                    Ok(WorkOutcome::Dead)
                }
                None => Ok(WorkOutcome::Retried),
            },
        }
    }

    /// Jobs of a plugin that run or wait, at most `limit`.
    pub async fn jobs(&self, merchant: &MerchantId, plugin: &PluginId, limit: usize) -> Result<Vec<JobStatus>, Error> {
        self.merchant(merchant).await?;
        let limit = limit.clamp(1, PAGE_ENTRIES_MAX);
        let mut overlay = Overlay::new(self.parts.store.begin().await?);
        let mut jobs = Vec::new();
        let range = KeyBuilder::new(merchant, Space::JobRunning).name(plugin.as_str()).range();
        for (_, value) in overlay.scan(&range, false, limit, usize::MAX).await?.entries {
            let running: RunningJob = decode("running job", &value)?;
            jobs.push(JobStatus { plugin: plugin.clone(), job: running.job, running: true });
        }
        let range = KeyBuilder::new(merchant, Space::JobDue).name(plugin.as_str()).range();
        let skip = range.start.len();
        let mut seen = std::collections::BTreeSet::new();
        for (key, _) in overlay.scan(&range, false, limit, usize::MAX).await?.entries {
            let Some((name, due_ms, slot)) = key.get(skip..).and_then(split_mark) else {
                continue;
            };
            let waiting = waiting_key(merchant, plugin, &name, slot);
            if jobs.len() == limit || !seen.insert(waiting.clone()) {
                continue;
            }
            let Some(bytes) = overlay.get(&waiting).await? else {
                continue;
            };
            let WaitingJob { id, key, payload, attempt, .. } = decode("waiting job", &bytes)?;
            let job = Job { id, name, key, payload, attempt, due_ms };
            jobs.push(JobStatus { plugin: plugin.clone(), job, running: false });
        }
        Ok(jobs)
    }
}

fn split_mark(tail: &[u8]) -> Option<(String, u64, &[u8])> {
    let end = tail.iter().position(|byte| *byte == 0)?;
    let name = std::str::from_utf8(tail.get(..end)?).ok()?.to_owned();
    let (due_ms, slot) = split_number(tail.get(end + 1..)?)?;
    Some((name, due_ms, slot))
}

#[derive(Debug)]
struct JobTrigger {
    place: Place,
    running: RunningJob,
    outside: Arc<Exchanger>,
    /// When it failed.
    failed_ms: u64,
    entropy: [u8; 32],
    dead: Option<DeadLetterReport>,
    environment: Arc<dyn crate::effects::Environment>,
}

impl JobTrigger {
    fn spec(&self, revision: &Revision) -> (u32, u64) {
        let spec: Option<&JobSpec> = revision
            .plugins
            .get(&self.place.plugin)
            .and_then(|plugin| plugin.spec.jobs.iter().find(|job| job.name == self.place.name));
        spec.map_or((1, 1_000), |spec| (spec.max_attempts.max(1), spec.backoff_ms))
    }

    async fn failed(
        &mut self,
        overlay: &mut Overlay,
        revision: &Revision,
        error: &ExecutionError,
    ) -> Result<(), Error> {
        let Place { merchant, plugin, name, slot } = self.place.clone();
        let (attempts_max, first_ms) = self.spec(revision);
        let job = &self.running.job;
        let newer = overlay.get(&waiting_key(&merchant, &plugin, &name, &slot)).await?.is_some();
        let counts = !matches!(error, ExecutionError::RetryAfter(_));
        let last = matches!(error, ExecutionError::Permanent(_)) || (counts && job.attempt >= attempts_max);
        // Something newer of the same key makes this one superfluous, whether or not it has attempts left.
        if last && !newer {
            let letter = NewDeadLetter {
                plugin: plugin.clone(),
                subject: DeadSubject::Job(job.clone()),
                code: execution_code(error).to_owned(),
                message: error.to_string(),
                attempts: job.attempt,
                at_ms: self.failed_ms,
            };
            self.dead = Some(bury(overlay, &merchant, letter)?);
            overlay.delete(hold_key(&merchant, &plugin, &name, &slot));
            return Ok(());
        }
        let failures = self.running.failures.saturating_add(u32::from(counts));
        let wait_ms = match error {
            ExecutionError::RetryAfter(ms) => (*ms).clamp(1, RETRY_AFTER_MS_MAX),
            _ => backoff_ms(first_ms, failures, self.entropy),
        };
        let until_ms = self.failed_ms.saturating_add(wait_ms);
        overlay.put(hold_key(&merchant, &plugin, &name, &slot), encode(&JobHold { until_ms, failures })?);
        if !newer {
            let waiting = WaitingJob {
                id: job.id.clone(),
                key: job.key.clone(),
                payload: job.payload.clone(),
                attempt: job.attempt.saturating_add(u32::from(counts)),
                queued_ms: self.running.queued_ms,
            };
            overlay.put(waiting_key(&merchant, &plugin, &name, &slot), encode(&waiting)?);
            put_mark(overlay, &merchant, &plugin, &name, &slot, until_ms);
        }
        Ok(())
    }
}

impl Trigger for JobTrigger {
    fn open<'a>(&'a mut self, overlay: &'a mut Overlay) -> BoxFuture<'a, Result<Opened, Error>> {
        async move {
            let Place { merchant, plugin, name, slot } = &self.place;
            let Some(bytes) = overlay.get(&running_key(merchant, plugin, name, slot)).await? else {
                return Ok(Opened::Gone);
            };
            let running: RunningJob = decode("running job", &bytes)?;
            if running != self.running {
                return Ok(Opened::Gone);
            }
            Ok(Opened::Execute(Call::Job(running.job)))
        }
        .boxed()
    }

    fn close<'a>(
        &'a mut self,
        overlay: &'a mut Overlay,
        revision: &'a Revision,
        result: &'a Result<Reply, ExecutionError>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            self.dead = None;
            self.failed_ms = self.environment.now_ms();
            let Place { merchant, plugin, name, slot } = self.place.clone();
            overlay.delete(running_key(&merchant, &plugin, &name, &slot));
            for key in self.outside.journal_keys() {
                overlay.delete(key);
            }
            match result {
                Ok(_) => {
                    if self.running.held {
                        overlay.delete(hold_key(&merchant, &plugin, &name, &slot));
                    }
                    Ok(())
                }
                Err(error) => self.failed(overlay, revision, error).await,
            }
        }
        .boxed()
    }
}
