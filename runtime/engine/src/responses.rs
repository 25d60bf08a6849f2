//! Responses that may be given again. What a plugin answers to a GET depends on the request, the revision and what was read for it, unless
//! the plugin asked for more (the time, randomness, for whom it acts). While nothing of that has changed the same request gets the same
//! response without being executed: a cache that is never stale, since the transaction depends on the same reads and its commit
//! validates them. Not here: what of a request the plugin sees (the server), and how much is kept ([`crate::kept`]).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use kontor_core::executor::{Call, Executed, HttpRequest, HttpResponse, Reply, Usage};
use kontor_core::transaction::{OpenRecording, Reliance, Transaction};

use crate::habit::Habit;
use crate::kept::Kept;
use crate::limits::{RESPONSE_BYTES_KEPT_MAX, RESPONSE_READS_MAX};
use crate::plan::{Plan, PlannedPlugin};

/// What a kept response takes besides its texts, bytes: itself, the vectors of its headers and what the allocator adds.
const RESPONSE_OVERHEAD_BYTES: usize = 1024;

/// What was answered to a request, and on what that depends.
#[derive(Debug)]
pub(crate) struct Response {
    /// [`Plan::number`]: no two merchants or revisions have the same.
    plan: u64,
    /// Position of the plugin in the plan.
    position: usize,
    request: Arc<HttpRequest>,
    response: HttpResponse,
    reliance: Reliance,
}

/// The responses of all merchants.
pub(crate) type Responses = Kept<Response>;

/// A request whose response may be given, or kept.
pub(crate) struct Asked<'a> {
    responses: &'a Responses,
    habit: &'a Habit,
    plan: u64,
    position: usize,
    plugin: &'a PlannedPlugin,
    request: Arc<HttpRequest>,
    hash: u64,
}

impl<'a> Asked<'a> {
    /// None if it has to be executed, or its route's responses have not been worth keeping.
    pub(crate) fn new(responses: &'a Responses, plan: &'a Plan, position: usize, call: &Call) -> Option<Self> {
        let Call::Http(request) = call else {
            return None;
        };
        let safe = matches!(request.method.as_str(), "GET" | "HEAD") && request.body.is_empty();
        let plugin = plan.plugins.get(position).filter(|_| safe)?;
        let habit = plugin.routes.get(request.route?).filter(|habit| habit.tries())?;
        let mut hasher = DefaultHasher::new();
        (plan.number, position).hash(&mut hasher);
        (&request.method, &request.path, &request.query, &request.headers).hash(&mut hasher);
        (&request.base_path, &request.remote_address).hash(&mut hasher);
        let (request, hash) = (Arc::clone(request), hasher.finish());
        Some(Self { responses, habit, plan: plan.number, position, plugin, request, hash })
    }

    /// The response to the same request, if it still stands; the transaction then depends on what it depends on.
    pub(crate) fn given(&self, transaction: &mut Transaction) -> Option<(Reply, Usage)> {
        let kept = self.responses.find(self.hash)?;
        let same = kept.plan == self.plan && kept.position == self.position && kept.request == self.request;
        if !same || !transaction.recall(&self.plugin.id, &kept.reliance) {
            return None;
        }
        self.responses.given();
        self.habit.paid();
        Some((Reply::Http(kept.response.clone()), Usage { calls: 1, ..Usage::default() }))
    }

    /// Keeps the response, if the same request would be answered in the same way by any other transaction. What was `personal` to this
    /// execution is nobody else's.
    pub(crate) fn keep(self, recording: OpenRecording, executed: &mut Executed, personal: bool) {
        let reliance = executed.transaction.end_recording(recording, RESPONSE_READS_MAX);
        let response = match &executed.result {
            Ok(Reply::Http(response)) if response.status < 400 => response,
            // What failed is undone, and says nothing of requests that succeed.
            _ => return,
        };
        let Some(reliance) = reliance.filter(|_| !personal) else {
            return self.habit.unfit();
        };
        let bytes =
            RESPONSE_OVERHEAD_BYTES + reliance.bytes() + request_bytes(&self.request) + response_bytes(response);
        if bytes > RESPONSE_BYTES_KEPT_MAX {
            return self.habit.unfit();
        }
        let (plan, position, response) = (self.plan, self.position, response.clone());
        self.responses.keep(self.hash, Response { plan, position, request: self.request, response, reliance }, bytes);
        self.habit.kept();
    }
}

fn request_bytes(request: &HttpRequest) -> usize {
    let texts = [&request.method, &request.path, &request.query, &request.base_path, &request.remote_address];
    texts.into_iter().map(String::len).sum::<usize>() + header_bytes(&request.headers)
}

fn response_bytes(response: &HttpResponse) -> usize {
    response.body.len() + header_bytes(&response.headers)
}

fn header_bytes(headers: &[(String, String)]) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len()).sum()
}
