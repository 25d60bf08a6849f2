//! Requests that are answered without an invocation: with what the plugin answered to the same request before, while nothing that the
//! answer depends on has changed. Not here: what is kept, and which requests are the same (the executor's).

use std::sync::{Arc, PoisonError};

use super::Machine;
use crate::executor::{HttpRequest, HttpResponse};
use crate::ids::{MerchantId, PluginId};
use crate::revision::RevisionNumber;
use crate::transaction::Reliance;

impl Machine {
    /// The answer to the request, if one that was given before would be given today as well. It is then that of an execution at a moment
    /// since this was called: of the revision that is current, from what survives a power cut. It counts as an invocation of the plugin.
    ///
    /// `None` says nothing: ask [`Machine::request`], which executes. With `admitted_by` it is `None` for any other revision.
    pub fn recall(
        &self,
        merchant: &MerchantId,
        plugin: &PluginId,
        request: &HttpRequest,
        admitted_by: Option<RevisionNumber>,
    ) -> Option<Arc<HttpResponse>> {
        let state = self.known_merchant(merchant)?;
        let (version, revision) = state.last_head()?;
        if admitted_by.is_some_and(|number| number != revision.number) {
            return None;
        }
        let store = self.parts.store.as_ref();
        // The revision, known before, is looked at last: it was current when the reads were looked at, and both held at that moment.
        let stands = |reliance: &Reliance| reliance.stands(store) && store.stands(&state.head_reads, version).is_some();
        let response = self.parts.executor.recall(&revision, plugin, request, &stands)?;
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        let used = usage.entry((merchant.clone(), plugin.clone())).or_default();
        used.invocations += 1;
        used.calls += 1;
        drop(usage);
        self.parts.observer.recalled(merchant, plugin);
        Some(response)
    }
}
