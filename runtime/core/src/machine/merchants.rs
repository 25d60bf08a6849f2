//! Merchants, and what is kept in memory of each: locks, revisions already read, secrets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Machine;
use super::host_transaction::transact;
use super::work::{Lane, LaneKind};
use super::write_rate::WriteRates;
use crate::codec::{decode, encode};
use crate::error::Error;
use crate::ids::{MerchantId, PluginId};
use crate::keys::{self, KeyBuilder, Space};
use crate::lock::FairLock;
use crate::overlay::Overlay;
use crate::revision::{Revision, RevisionNumber};
use crate::store::{Durability, Key, ReadSet, ReadView, Value, Version};
use crate::transaction::Secrets;

/// Revisions kept in memory: the current one, and those that invocations in flight still use.
const REVISIONS_KEPT: usize = 8;

/// What is kept in memory of a merchant.
#[derive(Debug)]
pub(super) struct MerchantState {
    pub(super) id: MerchantId,
    /// Held shared by every execution, alone by one that keeps losing.
    pub(super) alone: Arc<FairLock>,
    /// Held while a revision is switched, so that two switches do not migrate at once.
    pub(super) switching: Arc<FairLock>,
    revisions: Mutex<BTreeMap<RevisionNumber, Arc<Revision>>>,
    /// The current revision as last read, with the version of the view that it was read through. It stands as long as the store knows
    /// of no later change: every request asks for it twice.
    head: Mutex<Option<(Version, Arc<Revision>)>>,
    head_key: Key,
    /// What is read to know the current revision.
    pub(super) head_reads: ReadSet,
    /// With the number of changes so far, so that what was loaded before a change is not kept after it.
    secrets: Mutex<(u64, Option<Arc<Secrets>>)>,
    pub(super) write_rates: WriteRates,
}

impl MerchantState {
    fn new(id: MerchantId) -> Self {
        let head_key = keys::revision_head(&id);
        Self {
            head: Mutex::default(),
            head_reads: ReadSet { points: vec![head_key.clone()], ..ReadSet::default() },
            head_key,
            id,
            alone: Arc::default(),
            switching: Arc::default(),
            revisions: Mutex::default(),
            secrets: Mutex::default(),
            write_rates: WriteRates::default(),
        }
    }

    pub(super) fn head_key(&self) -> Key {
        self.head_key.clone()
    }

    /// The current revision as last read, and at which version that was.
    pub(super) fn last_head(&self) -> Option<(Version, Arc<Revision>)> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember_head(&self, version: Version, revision: &Arc<Revision>) {
        let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        if head.as_ref().is_none_or(|(known, _)| *known < version) {
            *head = Some((version, revision.clone()));
        }
    }

    fn known(&self, number: RevisionNumber) -> Option<Arc<Revision>> {
        self.revisions.lock().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    }

    pub(super) fn remember(&self, revision: Arc<Revision>) {
        let mut revisions = self.revisions.lock().unwrap_or_else(PoisonError::into_inner);
        revisions.insert(revision.number, revision);
        while revisions.len() > REVISIONS_KEPT {
            revisions.pop_first();
        }
    }

    /// A revision, from memory or through `view`.
    pub(super) async fn revision(
        &self,
        view: &dyn ReadView,
        number: RevisionNumber,
    ) -> Result<Option<Arc<Revision>>, Error> {
        if number == 0 {
            return Ok(Some(Arc::default()));
        }
        if let Some(known) = self.known(number) {
            return Ok(Some(known));
        }
        let key = KeyBuilder::new(&self.id, Space::Revision).number(number).key();
        let Some(bytes) = view.get(&key).await? else {
            return Ok(None);
        };
        let revision: Arc<Revision> = Arc::new(decode("revision", &bytes)?);
        self.remember(revision.clone());
        Ok(Some(revision))
    }

    /// The merchant's secrets, from memory or through `view`.
    pub(super) async fn secrets(&self, view: &dyn ReadView) -> Result<Arc<Secrets>, Error> {
        let (changes, known) = self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let loaded = Arc::new(super::secrets::load(&self.id, view).await?);
        let mut kept = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 == changes {
            kept.1 = Some(loaded.clone());
        }
        Ok(loaded)
    }

    pub(super) fn forget_secrets(&self) {
        let mut kept = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = (kept.0 + 1, None);
    }
}

/// The number of the current revision, as stored.
pub(super) fn decode_head(bytes: &[u8]) -> Result<RevisionNumber, Error> {
    decode("revision head", bytes)
}

impl Machine {
    /// Creates a merchant without plugins (revision 0).
    pub async fn create_merchant(&self, merchant: &MerchantId) -> Result<(), Error> {
        let entry = keys::merchant_entry(merchant);
        let head = keys::revision_head(merchant);
        let now_ms = self.parts.environment.now_ms();
        transact!(self, Durability::Durable, |overlay| {
            if overlay.get(&entry).await?.is_some() {
                return Err(Error::MerchantExists(merchant.clone()));
            }
            overlay.put(entry.clone(), encode(&now_ms)?);
            overlay.put(head.clone(), encode(&0_u64)?);
            Ok(())
        })?;
        self.look_for_work(merchant, &Revision::default()).await
    }

    /// All merchants, sorted.
    pub async fn merchants(&self) -> Result<Vec<MerchantId>, Error> {
        let view = self.parts.store.begin().await?;
        let range = keys::merchants_range();
        let skip = range.start.len();
        let mut merchants = Vec::new();
        let mut overlay = Overlay::new(view);
        for (key, _) in overlay.scan(&range, false, usize::MAX, usize::MAX).await?.entries {
            let name = key.get(skip..).and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default();
            let merchant = MerchantId::new(name).map_err(|error| Error::RecordDamaged(error.to_string()))?;
            merchants.push(merchant);
        }
        Ok(merchants)
    }

    /// What is kept of a merchant, if it was asked for before.
    pub(super) fn known_merchant(&self, id: &MerchantId) -> Option<Arc<MerchantState>> {
        self.merchants.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// What is kept of a merchant; an error if there is none of that name.
    pub(super) async fn merchant(&self, id: &MerchantId) -> Result<Arc<MerchantState>, Error> {
        if let Some(known) = self.known_merchant(id) {
            return Ok(known);
        }
        let view = self.parts.store.begin().await?;
        if view.get(&keys::merchant_entry(id)).await?.is_none() {
            return Err(Error::MerchantUnknown(id.clone()));
        }
        let mut merchants = self.merchants.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(merchants.entry(id.clone()).or_insert_with(|| Arc::new(MerchantState::new(id.clone()))).clone())
    }

    /// The current revision as `view` sees it.
    pub(super) async fn head(&self, state: &MerchantState, view: &dyn ReadView) -> Result<Arc<Revision>, Error> {
        if let Some((version, revision)) = state.last_head()
            && version <= view.version()
            && self.parts.store.unchanged_since(&state.head_key, version)
        {
            return Ok(revision);
        }
        let number = match view.get(&state.head_key).await? {
            Some(bytes) => decode_head(&bytes)?,
            None => return Err(Error::MerchantUnknown(state.id.clone())),
        };
        let revision = state.revision(view, number).await?;
        let revision =
            revision.ok_or_else(|| Error::RecordDamaged(format!("revision {number} of `{}` is missing", state.id)))?;
        state.remember_head(view.version(), &revision);
        Ok(revision)
    }

    /// The current revision, if it is known without a view that it still is.
    pub(super) fn standing_head(&self, merchant: &MerchantId) -> Option<Arc<Revision>> {
        let state = self.known_merchant(merchant)?;
        let (version, revision) = state.last_head()?;
        self.parts.store.stands(&state.head_reads, version).map(|_| revision)
    }

    /// Puts every lane of the revision on the board, to be looked at once, and finds what was left running.
    pub(super) async fn look_for_work(&self, merchant: &MerchantId, revision: &Revision) -> Result<(), Error> {
        let lanes = lanes_of(revision);
        self.board.retain(merchant, |kind| lanes.contains(kind));
        for kind in lanes {
            let lane = Lane { merchant: merchant.clone(), kind };
            if let LaneKind::Jobs(plugin, name) = &lane.kind {
                for slot in self.running_slots(merchant, plugin, name).await? {
                    self.board.leave(lane.clone(), slot, 0);
                }
            }
            self.board.hint(lane, 0);
        }
        Ok(())
    }
}

fn lanes_of(revision: &Revision) -> Vec<LaneKind> {
    let mut lanes = vec![LaneKind::Housekeeping];
    for (id, plugin) in &revision.plugins {
        let id: &PluginId = id;
        lanes.push(LaneKind::Deliveries(id.clone()));
        lanes.extend(plugin.spec.jobs.iter().map(|job| LaneKind::Jobs(id.clone(), job.name.clone())));
        lanes.extend(plugin.spec.schedules.iter().map(|s| LaneKind::Schedule(id.clone(), s.name.clone())));
    }
    lanes
}

/// A number, for records that are nothing else.
pub(super) fn encode_head(number: RevisionNumber) -> Result<Value, Error> {
    encode(&number)
}
