//! Merchants of this host.

use std::sync::Arc;

use axum::Json as Reply;
use axum::extract::State as Extract;
use http::StatusCode;
use kontor_core::ids::MerchantId;
use serde::{Deserialize, Serialize};

use super::body::{Json, Path};
use crate::api::{Merchant, NewMerchant, ProblemBody};
use crate::limits::NAME_CHARS_MAX;
use crate::problem::Problem;
use crate::state::State;

/// What the host keeps about a merchant beside its revisions.
const RECORD: &str = "merchant";

#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    name: String,
    created_at_ms: u64,
}

/// Lists the merchants.
#[utoipa::path(get, path = "/api/v1/merchants", tag = "merchants", security(("admin" = [])),
    responses((status = 200, body = [Merchant])))]
pub(crate) async fn list(Extract(state): Extract<Arc<State>>) -> Result<Reply<Vec<Merchant>>, Problem> {
    let mut merchants = Vec::new();
    for id in state.note(state.machine.merchants().await)? {
        merchants.push(view(&state, &id).await?);
    }
    Ok(Reply(merchants))
}

/// Creates a merchant without plugins.
#[utoipa::path(post, path = "/api/v1/merchants", tag = "merchants", security(("admin" = [])), request_body = NewMerchant,
    responses((status = 201, body = Merchant), (status = 409, body = ProblemBody)))]
pub(crate) async fn create(
    Extract(state): Extract<Arc<State>>,
    Json(new): Json<NewMerchant>,
) -> Result<(StatusCode, Reply<Merchant>), Problem> {
    let id = MerchantId::new(&new.id).map_err(|e| Problem::invalid(format!("{e}.")))?;
    let name = new.name.unwrap_or_else(|| new.id.clone());
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(Problem::invalid(format!("The name of a merchant has 1 to {NAME_CHARS_MAX} characters.")));
    }
    state.note(state.machine.create_merchant(&id).await)?;
    let record = Record { name, created_at_ms: state.environment.now_ms() };
    let bytes = serde_json::to_vec(&record).map_err(|e| Problem::invalid(e.to_string()))?;
    state.note(state.machine.host_put(Some(&id), RECORD, bytes).await)?;
    Ok((StatusCode::CREATED, Reply(view(&state, &id).await?)))
}

/// Shows a merchant.
#[utoipa::path(get, path = "/api/v1/merchants/{merchant}", tag = "merchants", security(("admin" = [])),
    params(("merchant" = String, Path)), responses((status = 200, body = Merchant), (status = 404, body = ProblemBody)))]
pub(crate) async fn show(
    Extract(state): Extract<Arc<State>>,
    Path(merchant): Path<String>,
) -> Result<Reply<Merchant>, Problem> {
    Ok(Reply(view(&state, &State::merchant_id(&merchant)?).await?))
}

async fn view(state: &State, id: &MerchantId) -> Result<Merchant, Problem> {
    let revision = state.note(state.machine.current(id).await)?;
    let record = state.note(state.machine.host_get(Some(id), RECORD).await)?;
    // Created by other means than this API: there is no record, and the id is the name.
    let record: Record = record.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let name = if record.name.is_empty() { id.to_string() } else { record.name };
    Ok(Merchant { id: id.to_string(), name, created_at_ms: record.created_at_ms, revision: revision.number })
}
