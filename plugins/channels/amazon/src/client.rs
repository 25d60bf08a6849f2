//! Talking to Amazon: the access token, and what an exchange came to.

use kontor_sdk::outbound::{self, Request, Response};
use kontor_sdk::{HandlerError, Table, clock};
use serde::{Deserialize, Serialize};

use crate::api::{TokenAnswer, TokenRefusal};
use crate::retry::{Verdict, classify};
use crate::settings::Settings;

/// A token is not used in the last minute of its life: it must outlive the request.
const TOKEN_MARGIN_MS: u64 = 60_000;
/// How long to wait when the account's authorisation is the problem: a person must act.
const UNAUTHORISED_WAIT_MS: u64 = 300_000;

/// The access token.
const TOKENS: Table<String, AccessToken> = Table::new("tokens");

#[derive(Clone, Serialize, Deserialize)]
struct AccessToken {
    token: String,
    expires_at_ms: u64,
}

/// Why there is no good answer.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// It may work later; after so many milliseconds, if that is known.
    Later(String, Option<u64>),
    /// It will not work like this.
    Refused(String),
}

impl Failure {
    /// For people.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Later(text, _) | Self::Refused(text) => text,
        }
    }
}

impl From<kontor_sdk::Error> for Failure {
    fn from(error: kontor_sdk::Error) -> Self {
        Self::Later(error.to_string(), error.retry_after_ms())
    }
}

impl From<Failure> for HandlerError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Later(_, Some(wait_ms)) => Self::RetryAfter(wait_ms),
            Failure::Later(text, None) => Self::Retry(text),
            Failure::Refused(text) => Self::Permanent(text),
        }
    }
}

/// Asks Amazon. When the access token turns out to be no good, fetches another and asks once more.
pub(crate) fn call(settings: &Settings, request: &Request) -> Result<Response, Failure> {
    let token = match TOKENS.get("access")? {
        Some(token) if token.expires_at_ms > clock::now().as_ms() => token.token,
        _ => login(settings)?,
    };
    match exchange(request, &token)? {
        (response, Verdict::Done) => Ok(response),
        (_, Verdict::Refresh(_)) => match exchange(request, &login(settings)?)? {
            (response, Verdict::Done) => Ok(response),
            (_, Verdict::Refresh(text)) => {
                let text =
                    format!("{text}. Check the application's roles and renew its authorisation in Seller Central");
                Err(Failure::Later(text, Some(UNAUTHORISED_WAIT_MS)))
            }
            (_, verdict) => Err(failure(verdict)),
        },
        (_, verdict) => Err(failure(verdict)),
    }
}

fn failure(verdict: Verdict) -> Failure {
    match verdict {
        Verdict::Throttled(wait_ms) => {
            Failure::Later("Amazon answered 429: the rate limit is used up".into(), Some(wait_ms))
        }
        Verdict::Refused(text) => Failure::Refused(text),
        Verdict::Later(text) | Verdict::Refresh(text) => Failure::Later(text, None),
        Verdict::Done => Failure::Later("Amazon gave an answer that was not expected".into(), None),
    }
}

fn exchange(request: &Request, token: &str) -> Result<(Response, Verdict), Failure> {
    let response = request.clone().header("x-amz-access-token", token).send().map_err(kontor_sdk::Error::from)?;
    let rate = response.header("x-amzn-ratelimit-limit");
    let verdict = classify(response.status, &response.body, rate, response.retry_after_ms());
    Ok((response, verdict))
}

/// Fetches a new access token. The host puts the secrets into the form; they are never seen here.
fn login(settings: &Settings) -> Result<String, Failure> {
    let request = outbound::post(&settings.token_endpoint).form(&[
        ("grant_type", "refresh_token"),
        ("refresh_token", "{secret:refresh-token}"),
        ("client_id", "{secret:client-id}"),
        ("client_secret", "{secret:client-secret}"),
    ]);
    let response = request.send().map_err(kontor_sdk::Error::from)?;
    if !response.is_success() {
        return Err(match (response.status, serde_json::from_slice::<TokenRefusal>(&response.body)) {
            (400..=403, Ok(refusal)) => Failure::Later(
                format!(
                    "Login with Amazon refuses the account ({}: {}). Check the plugin's three secrets",
                    refusal.error, refusal.error_description
                ),
                Some(UNAUTHORISED_WAIT_MS),
            ),
            (status, _) => Failure::Later(format!("Login with Amazon answered {status}"), response.retry_after_ms()),
        });
    }
    let answer: TokenAnswer = response.json()?;
    let lifetime_ms = answer.expires_in.saturating_mul(1_000).saturating_sub(TOKEN_MARGIN_MS);
    let expires_at_ms = clock::now().as_ms().saturating_add(lifetime_ms);
    TOKENS.put("access", &AccessToken { token: answer.access_token.clone(), expires_at_ms })?;
    Ok(answer.access_token)
}
