//! Responses that may be given again. What a plugin answers to a GET depends on the request, the revision and what was read for it, unless
//! the plugin asked for more (the time, randomness, for whom it acts). While nothing of that has changed the same request gets the same
//! response without being executed: a cache that is never stale, since it is asked each time whether the reads still stand. Not here: who
//! asks the store that (the machine), what of a request the plugin sees (the server), and how much is kept ([`crate::kept`]).

use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

use kontor_core::executor::{Call, Executed, HttpRequest, HttpResponse, Reply};
use kontor_core::transaction::{OpenRecording, Reliance};
use rustc_hash::FxHasher;

use crate::habit::Habit;
use crate::kept::Kept;
use crate::limits::{RESPONSE_BYTES_KEPT_MAX, RESPONSE_READS_MAX};
use crate::plan::Plan;

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
    response: Arc<HttpResponse>,
    reliance: Reliance,
}

/// The responses of all merchants.
pub(crate) type Responses = Kept<Response>;

/// The response to the same request, if all that it depends on `stands`.
pub(crate) fn recall(
    responses: &Responses,
    plan: &Plan,
    position: usize,
    request: &HttpRequest,
    stands: &dyn Fn(&Reliance) -> bool,
) -> Option<Arc<HttpResponse>> {
    let habit = habit(plan, position, request).filter(|habit| habit.is_trying())?;
    let kept = responses.find(hash(plan, position, request))?;
    let same = kept.plan == plan.number && kept.position == position && *kept.request == *request;
    if !same || !stands(&kept.reliance) {
        return None;
    }
    responses.given();
    habit.paid();
    Some(Arc::clone(&kept.response))
}

/// How its responses have done so far, if this request's may be kept.
fn habit<'a>(plan: &'a Plan, position: usize, request: &HttpRequest) -> Option<&'a Habit> {
    let safe = matches!(request.method.as_str(), "GET" | "HEAD") && request.body.is_empty();
    plan.plugins.get(position).filter(|_| safe)?.routes.get(request.route?)
}

/// Whoever finds requests with the same hash has them executed, each in turn: nothing worse.
fn hash(plan: &Plan, position: usize, request: &HttpRequest) -> u64 {
    let mut hasher = FxHasher::default();
    (plan.number, position).hash(&mut hasher);
    (&request.method, &request.path, &request.query, &request.headers).hash(&mut hasher);
    (&request.base_path, &request.remote_address).hash(&mut hasher);
    hasher.finish()
}

/// A request whose response may be kept.
pub(crate) struct Asked<'a> {
    responses: &'a Responses,
    habit: &'a Habit,
    plan: &'a Plan,
    position: usize,
    request: Arc<HttpRequest>,
}

impl<'a> Asked<'a> {
    /// None if the response depends on more than can be known, or its route's responses have not been worth keeping.
    pub(crate) fn new(responses: &'a Responses, plan: &'a Plan, position: usize, call: &Call) -> Option<Self> {
        let Call::Http(request) = call else {
            return None;
        };
        let habit = habit(plan, position, request).filter(|habit| habit.tries())?;
        Some(Self { responses, habit, plan, position, request: Arc::clone(request) })
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
        let hash = hash(self.plan, self.position, &self.request);
        let (plan, position, response) = (self.plan.number, self.position, Arc::new(response.clone()));
        self.responses.keep(hash, Response { plan, position, request: self.request, response, reliance }, bytes);
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
