//! The world outside the host: the simulated marketplace behind a network that is slow, loses answers and loses requests, in
//! virtual time.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{BoxFuture, FutureExt};
use kontor_channels::amazon::{AmazonSimulator, Exchanged};
use kontor_core::effects::{Outbound, OutboundContext, OutboundError, OutboundRequest, OutboundResponse};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::base::ENDPOINT;
use crate::timeline::Timeline;

/// Of 1,000 exchanges so many are very slow: some of these outlast the caller's patience.
const VERY_SLOW: u32 = 15;

/// See the module.
#[derive(Debug)]
pub(crate) struct Market {
    pub(crate) simulator: AmazonSimulator,
    timeline: Arc<Timeline>,
    random: Mutex<ChaCha8Rng>,
    rough: bool,
}

impl Market {
    pub(crate) fn new(simulator: AmazonSimulator, timeline: Arc<Timeline>, seed: u64, rough: bool) -> Arc<Self> {
        let random = Mutex::new(ChaCha8Rng::seed_from_u64(seed));
        Arc::new(Self { simulator, timeline, random, rough })
    }

    fn latency_ms(&self) -> u64 {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        match self.rough && random.random_ratio(VERY_SLOW, 1_000) {
            true => random.random_range(2_000..40_000),
            false => random.random_range(5..250),
        }
    }

    async fn exchange(
        &self,
        context: OutboundContext,
        request: OutboundRequest,
    ) -> Result<OutboundResponse, OutboundError> {
        let patience_ms = u64::from(request.timeout_ms);
        let (there_ms, back_ms) = (self.latency_ms(), self.latency_ms());
        self.timeline.sleep(there_ms.min(patience_ms)).await;
        let target = request.url.strip_prefix(ENDPOINT).unwrap_or(&request.url);
        let (mut headers, body) = filled(&context, request.headers, request.body);
        headers.push(("user-agent".to_owned(), "kontor".to_owned()));
        headers.push(("idempotency-key".to_owned(), context.idempotency_key.clone()));
        // A request that is late is carried out all the same.
        let exchanged = self.simulator.exchange(&request.method, target, &headers, body);
        let timed_out = || OutboundError::Timeout("simulated".to_owned());
        if there_ms + back_ms > patience_ms {
            self.timeline.sleep(patience_ms.saturating_sub(there_ms)).await;
            return Err(timed_out());
        }
        self.timeline.sleep(back_ms).await;
        match exchanged {
            Ok(Exchanged::Answer { status, headers, body }) => Ok(OutboundResponse { status, headers, body }),
            Ok(Exchanged::Broken) => Err(OutboundError::Network("simulated".to_owned())),
            Ok(Exchanged::TimedOut) => {
                self.timeline.sleep(patience_ms.saturating_sub(there_ms + back_ms)).await;
                Err(timed_out())
            }
            Err(error) => Err(OutboundError::Invalid(error.to_string())),
        }
    }
}

impl Outbound for Market {
    fn fetch(
        &self,
        context: OutboundContext,
        request: OutboundRequest,
    ) -> BoxFuture<'_, Result<OutboundResponse, OutboundError>> {
        self.exchange(context, request).boxed()
    }
}

/// Headers and form body with the secrets in their places, as the server fills them in.
fn filled(
    context: &OutboundContext,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
) -> (Vec<(String, String)>, Vec<u8>) {
    let fill = |text: &str, encode: fn(&str) -> String| {
        context
            .secrets
            .iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{secret:{name}}}"), &encode(value)))
    };
    let headers: Vec<(String, String)> =
        headers.into_iter().map(|(name, value)| (name, fill(&value, str::to_owned))).collect();
    let is_form = headers
        .iter()
        .any(|(name, value)| name == "content-type" && value.starts_with("application/x-www-form-urlencoded"));
    let body = match String::from_utf8(body) {
        Ok(text) if is_form => fill(&text, percent_encoded).into_bytes(),
        Ok(text) => text.into_bytes(),
        Err(error) => error.into_bytes(),
    };
    (headers, body)
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
