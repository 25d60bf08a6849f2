//! HTTP requests: deduplicated by the client's idempotency key, answered by a plugin. Not here: routes, authentication and limits of
//! bodies (the server's).

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Machine;
use super::exchange::Exchanger;
use super::invoke::{Ended, Invocation, On, Opened, Trigger};
use crate::codec::{decode, encode};
use crate::error::Error;
use crate::executor::{Call, ExecutionError, HttpRequest, HttpResponse, Reply};
use crate::ids::{InvocationId, MerchantId, PluginId};
use crate::keys::{KeyBuilder, Space};
use crate::limits::{IDEMPOTENCY_KEY_BYTES_MAX, IDEMPOTENCY_RESPONSE_BYTES_MAX};
use crate::observer::InvocationKind;
use crate::overlay::Overlay;
use crate::records::{Answer, RequestContext};
use crate::revision::Revision;
use crate::store::{Durability, Key, Value};
use crate::transaction::Actor;

/// Commit marks are kept by the hour, so that old ones are found without an index.
pub(super) const MARK_BUCKET_MS: u64 = 60 * 60 * 1000;

/// What is kept of a request with an idempotency key.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    request_digest: String,
    /// Absent if it was too large.
    response: Option<HttpResponse>,
}

/// Where a request is deduplicated.
#[derive(Debug)]
struct Dedupe {
    client_key: String,
    record: Key,
    expiry: Key,
    digest: String,
}

#[derive(Debug)]
struct RequestTrigger {
    request: Arc<HttpRequest>,
    merchant: MerchantId,
    invocation: InvocationId,
    now_ms: u64,
    /// Whether an execution of this request was begun: only then can there be a mark, unless the client repeats a request.
    opened: bool,
    dedupe: Option<Dedupe>,
    outside: Option<Arc<Exchanger>>,
}

impl Machine {
    /// Answers a request by `plugin`. Statuses of 400 and above are answers too, and changed nothing: they are not kept for the
    /// idempotency key, so that a repetition is carried out afresh. The future must not be dropped if the outcome matters: a
    /// request whose client went away is then undone or done, but nobody learns which.
    ///
    /// It is executed, whether or not it could be answered by [`Machine::recall`].
    pub async fn request(
        &self,
        merchant: &MerchantId,
        plugin: &PluginId,
        request: impl Into<Arc<HttpRequest>>,
        context: RequestContext,
    ) -> Result<Answer, Error> {
        let request = request.into();
        let state = self.merchant(merchant).await?;
        let _turn = self.wait_to_write(&state, plugin).await?;
        let now_ms = self.parts.environment.now_ms();
        let dedupe = match &context.idempotency {
            Some(key) => Some(self.dedupe(merchant, plugin, &request, &context.actor, key, now_ms)?),
            None => None,
        };
        let outside = context.may_fetch.then(|| {
            let (parts, id) = (self.parts.clone(), context.invocation.clone());
            Arc::new(Exchanger::new(parts, merchant.clone(), id, 1, None))
        });
        let mut trigger = RequestTrigger {
            request,
            merchant: merchant.clone(),
            invocation: context.invocation.clone(),
            now_ms,
            opened: false,
            dedupe,
            outside: outside.clone(),
        };
        let invocation = Invocation {
            merchant: state,
            plugin: plugin.clone(),
            id: context.invocation,
            kind: InvocationKind::Request,
            actor: context.actor,
            scopes: context.scopes,
            now_ms,
            seed: self.parts.environment.entropy(),
            outside,
            on: context.admitted_by.map_or(On::Current, On::Admitted),
            durability: Durability::Durable,
        };
        let settled = self.invoke(&invocation, &mut trigger).await?;
        let (response, replayed) = match settled.result {
            Ended::Executed(Ok(Reply::Http(response))) => (response, false),
            Ended::Answered(Reply::Http(response)) => (response, true),
            Ended::Executed(Err(error)) => return Err(Error::from_execution(plugin, error)),
            Ended::Gone => return Err(Error::IdempotencyResponseLost(invocation.id.to_string())),
            Ended::Executed(Ok(_)) | Ended::Answered(_) => {
                return Err(Error::HostFault("the executor answered a request with something else".to_owned()));
            }
        };
        Ok(Answer { response, replayed, revision: settled.revision, executions: settled.executions })
    }

    fn dedupe(
        &self,
        merchant: &MerchantId,
        plugin: &PluginId,
        request: &HttpRequest,
        actor: &Actor,
        client_key: &str,
        now_ms: u64,
    ) -> Result<Dedupe, Error> {
        if client_key.is_empty() || client_key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
            let message = format!("it has 1 to {IDEMPOTENCY_KEY_BYTES_MAX} characters, not {}", client_key.len());
            return Err(Error::IdempotencyKeyInvalid(message));
        }
        if !client_key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::IdempotencyKeyInvalid("it consists of visible ASCII characters".to_owned()));
        }
        // One actor's key says nothing about another's request.
        let (kind, name) = match actor {
            Actor::System => ("system", ""),
            Actor::Public => ("public", ""),
            Actor::Token(name) => ("token", name.as_str()),
            Actor::Staff(name) => ("staff", name.as_str()),
            Actor::Customer(id) => ("customer", id.as_str()),
        };
        let scoped = |builder: KeyBuilder| builder.name(plugin.as_str()).name(kind).text(name).text(client_key).key();
        let forget_ms = now_ms.saturating_add(self.parts.options.idempotency_ms);
        Ok(Dedupe {
            client_key: client_key.to_owned(),
            record: scoped(KeyBuilder::new(merchant, Space::Dedupe)),
            expiry: scoped(KeyBuilder::new(merchant, Space::DedupeExpiry).number(forget_ms)),
            digest: request_digest(request),
        })
    }
}

/// The record that an expiry entry is about.
pub(super) fn expired_record(merchant: &MerchantId, expiry_tail: &[u8]) -> Key {
    KeyBuilder::new(merchant, Space::Dedupe).rest(expiry_tail).key()
}

impl RequestTrigger {
    /// Where it is noted that the request committed.
    fn mark(&self) -> Key {
        KeyBuilder::new(&self.merchant, Space::CommitMark)
            .number(self.now_ms / MARK_BUCKET_MS)
            .rest(self.invocation.as_str().as_bytes())
            .key()
    }
}

/// Headers are left out: some, such as `traceparent`, differ from try to try.
fn request_digest(request: &HttpRequest) -> String {
    let mut hash = Sha256::new();
    for part in [request.method.as_bytes(), request.path.as_bytes(), request.query.as_bytes(), &request.body] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

impl Trigger for RequestTrigger {
    fn open<'a>(&'a mut self, overlay: &'a mut Overlay) -> BoxFuture<'a, Result<Opened, Error>> {
        async move {
            if let Some(dedupe) = &self.dedupe
                && let Some(bytes) = overlay.get(&dedupe.record).await?
            {
                let kept: Kept = decode("idempotency record", &bytes)?;
                if kept.request_digest != dedupe.digest {
                    return Err(Error::IdempotencyMismatch(dedupe.client_key.clone()));
                }
                return match kept.response {
                    Some(response) => Ok(Opened::Answered(Reply::Http(response))),
                    None => Err(Error::IdempotencyResponseLost(dedupe.client_key.clone())),
                };
            }
            let repeated = std::mem::replace(&mut self.opened, true) || self.dedupe.is_some();
            if repeated && overlay.get(&self.mark()).await?.is_some() {
                return Ok(Opened::Gone);
            }
            Ok(Opened::Execute(Call::Http(self.request.clone())))
        }
        .boxed()
    }

    fn close<'a>(
        &'a mut self,
        overlay: &'a mut Overlay,
        _revision: &'a Revision,
        result: &'a Result<Reply, ExecutionError>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            // A request that changed nothing can be repeated without harm; nothing is kept of it.
            if overlay.has_writes() {
                overlay.put(self.mark(), Value::new());
                if let (Some(dedupe), Ok(Reply::Http(response))) = (&self.dedupe, result) {
                    let size =
                        response.body.len() + response.headers.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>();
                    let kept = Kept {
                        request_digest: dedupe.digest.clone(),
                        response: (size <= IDEMPOTENCY_RESPONSE_BYTES_MAX).then(|| response.clone()),
                    };
                    overlay.put(dedupe.record.clone(), encode(&kept)?);
                    overlay.put(dedupe.expiry.clone(), Value::new());
                }
            }
            for key in self.outside.iter().flat_map(|outside| outside.journal_keys()) {
                overlay.delete(key);
            }
            Ok(())
        }
        .boxed()
    }
}
