//! Installed plugins and their secrets. They are changed through revisions.

use std::sync::Arc;

use axum::Json as Reply;
use axum::extract::State as Extract;
use http::StatusCode;
use kontor_core::ids::MerchantId;
use kontor_core::records::SecretValue as CoreSecret;
use kontor_core::revision::{InstalledPlugin, RouteAuth};

use super::body::{Json, Path, plugin_id};
use super::health::done;
use crate::api::{Granted, HostGrant, Plugin, ProblemBody, RouteInfo, SecretInfo, SecretValue};
use crate::limits::SECRET_BYTES_MAX;
use crate::problem::Problem;
use crate::state::State;

/// Lists the installed plugins.
#[utoipa::path(get, path = "/api/v1/merchants/{merchant}/plugins", tag = "plugins", security(("admin" = [])),
    params(("merchant" = String, Path)), responses((status = 200, body = [Plugin])))]
pub(crate) async fn list(
    Extract(state): Extract<Arc<State>>,
    Path(merchant): Path<String>,
) -> Result<Reply<Vec<Plugin>>, Problem> {
    let merchant = State::merchant_id(&merchant)?;
    let revision = state.note(state.machine.current(&merchant).await)?;
    Ok(Reply(revision.plugins.values().map(|p| view(&merchant, p)).collect()))
}

/// Shows an installed plugin.
#[utoipa::path(get, path = "/api/v1/merchants/{merchant}/plugins/{plugin}", tag = "plugins", security(("admin" = [])),
    params(("merchant" = String, Path), ("plugin" = String, Path)),
    responses((status = 200, body = Plugin), (status = 404, body = ProblemBody)))]
pub(crate) async fn show(
    Extract(state): Extract<Arc<State>>,
    Path((merchant, plugin)): Path<(String, String)>,
) -> Result<Reply<Plugin>, Problem> {
    let (merchant, plugin) = (State::merchant_id(&merchant)?, plugin_id(&plugin)?);
    let revision = state.note(state.machine.current(&merchant).await)?;
    let installed = revision.plugins.get(&plugin);
    let installed = installed.ok_or_else(|| Problem::not_found(format!("The plugin `{plugin}` is not installed.")))?;
    Ok(Reply(view(&merchant, installed)))
}

/// Lists the secrets that a plugin declares, without their values.
#[utoipa::path(get, path = "/api/v1/merchants/{merchant}/plugins/{plugin}/secrets", tag = "plugins", security(("admin" = [])),
    params(("merchant" = String, Path), ("plugin" = String, Path)),
    responses((status = 200, body = [SecretInfo]), (status = 404, body = ProblemBody)))]
pub(crate) async fn secrets(
    Extract(state): Extract<Arc<State>>,
    Path((merchant, plugin)): Path<(String, String)>,
) -> Result<Reply<Vec<SecretInfo>>, Problem> {
    let (merchant, plugin) = (State::merchant_id(&merchant)?, plugin_id(&plugin)?);
    let secrets = state.note(state.machine.secrets(&merchant, &plugin).await)?;
    let view = |s: kontor_core::records::SecretStatus| SecretInfo {
        name: s.name,
        description: s.description,
        set: s.set,
        plain: s.plain,
    };
    Ok(Reply(secrets.into_iter().map(view).collect()))
}

/// Sets a secret.
#[utoipa::path(put, path = "/api/v1/merchants/{merchant}/plugins/{plugin}/secrets/{name}", tag = "plugins", security(("admin" = [])),
    params(("merchant" = String, Path), ("plugin" = String, Path), ("name" = String, Path)), request_body = SecretValue,
    responses((status = 204, description = "It is set."), (status = 404, body = ProblemBody)))]
pub(crate) async fn set_secret(
    Extract(state): Extract<Arc<State>>,
    Path((merchant, plugin, name)): Path<(String, String, String)>,
    Json(secret): Json<SecretValue>,
) -> Result<StatusCode, Problem> {
    let (merchant, plugin) = (State::merchant_id(&merchant)?, plugin_id(&plugin)?);
    if secret.value.is_empty() || secret.value.len() > SECRET_BYTES_MAX {
        return Err(Problem::invalid(format!("A secret has 1 to {SECRET_BYTES_MAX} bytes.")));
    }
    let value = CoreSecret::new(&secret.value);
    state.note(state.machine.set_secret(&merchant, &plugin, &name, value).await)?;
    Ok(done())
}

/// Forgets a secret.
#[utoipa::path(delete, path = "/api/v1/merchants/{merchant}/plugins/{plugin}/secrets/{name}", tag = "plugins", security(("admin" = [])),
    params(("merchant" = String, Path), ("plugin" = String, Path), ("name" = String, Path)),
    responses((status = 204, description = "It is not set any more."), (status = 404, body = ProblemBody)))]
pub(crate) async fn unset_secret(
    Extract(state): Extract<Arc<State>>,
    Path((merchant, plugin, name)): Path<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    let (merchant, plugin) = (State::merchant_id(&merchant)?, plugin_id(&plugin)?);
    state.note(state.machine.unset_secret(&merchant, &plugin, &name).await)?;
    Ok(done())
}

/// A plugin as clients see it.
pub(crate) fn view(merchant: &MerchantId, installed: &InstalledPlugin) -> Plugin {
    let spec = &installed.spec;
    Plugin {
        id: spec.id.to_string(),
        version: spec.version.clone(),
        name: spec.name.clone(),
        description: spec.description.clone(),
        publisher: spec.publisher.clone(),
        digest: spec.digest.clone(),
        base_path: format!("/m/{merchant}/{}", spec.id),
        routes: spec
            .routes
            .iter()
            .map(|r| RouteInfo { method: r.method.clone(), path: r.path.clone(), auth: auth_text(&r.auth) })
            .collect(),
        provides: spec
            .provides
            .iter()
            .map(|p| match &p.provider {
                Some(provider) => format!("{} as {provider}", p.interface),
                None => p.interface.clone(),
            })
            .collect(),
        requires: spec
            .requires
            .iter()
            .map(|r| if r.optional || r.many { format!("{}?", r.interface) } else { r.interface.clone() })
            .collect(),
        subscribes: spec.subscribes.clone(),
        emits: spec.emits.clone(),
        config: installed.config.clone(),
        config_schema: spec.config_schema.clone(),
        grants: Granted {
            outbound: installed
                .grants
                .outbound
                .iter()
                .map(|g| HostGrant { host: g.host.clone(), allow_http: g.allow_http, allow_private: g.allow_private })
                .collect(),
            plain_secrets: installed.grants.plain_secrets.clone(),
        },
    }
}

fn auth_text(auth: &RouteAuth) -> String {
    match auth {
        RouteAuth::Public => "public".to_owned(),
        RouteAuth::Webhook => "webhook".to_owned(),
        RouteAuth::Customer => "customer".to_owned(),
        RouteAuth::Staff(scope) => format!("staff:{scope}"),
        RouteAuth::Token(scope) => format!("token:{scope}"),
    }
}
