//! Changing a merchant's set of plugins: changes are planned on the revision in force, checked as a whole, and become one new revision
//! or nothing.

mod config;
mod grants;
mod permissions;
mod plan;

use std::sync::Arc;

use kontor_core::ids::MerchantId;
use kontor_core::revision::Revision;

use crate::api::{ChangeResult, ChangeSet};
use crate::limits::CHANGES_MAX;
use crate::problem::{Code, Problem};
use crate::state::State;
use plan::{Plan, plan};

pub(crate) use plan::accept_signature;

/// Plans the changes and, unless it is a dry run, switches.
pub(crate) async fn change(
    state: &Arc<State>,
    merchant: &MerchantId,
    set: &ChangeSet,
) -> Result<ChangeResult, Problem> {
    if set.changes.is_empty() || set.changes.len() > CHANGES_MAX {
        return Err(Problem::invalid(format!("A set of changes has 1 to {CHANGES_MAX} changes.")));
    }
    let _one_at_a_time = state.changes.lock().await;
    let current = state.note(state.machine.current(merchant).await)?;
    expect_revision(set.expected_revision, &current)?;
    let plan = plan(state, &current, set).await?;
    check_together(state, &plan)?;
    if set.dry_run {
        return Ok(plan.result(false, current.number));
    }
    let reason = set.reason.clone().unwrap_or_else(|| plan.reason());
    let switched = state.machine.switch(merchant, current.number, plan.plugins.clone(), &reason).await;
    let revision = state.note(switched)?;
    tracing::info!(%merchant, revision = revision.number, %reason, "switched to a new revision");
    Ok(plan.result(true, revision.number))
}

/// Returns to an earlier revision, as a new one.
pub(crate) async fn rollback(
    state: &Arc<State>,
    merchant: &MerchantId,
    to: Option<u64>,
) -> Result<Arc<Revision>, Problem> {
    let _one_at_a_time = state.changes.lock().await;
    let current = state.note(state.machine.current(merchant).await)?;
    let to = to.unwrap_or(current.parent);
    if to == current.number {
        return Err(Problem::new(Code::Conflict, format!("Revision {to} is in force already.")));
    }
    if to == 0 {
        return Err(Problem::new(Code::Conflict, "There is no revision before the one in force."));
    }
    let target = state.note(state.machine.revision(merchant, to).await)?;
    for installed in target.plugins.values() {
        let unpacked = state.packages.load(&installed.spec.digest).await?;
        prepare(state, &installed.spec.id.to_string(), &unpacked).await?;
    }
    let reason = format!("roll back to revision {to}");
    let switched = state.machine.rollback(merchant, current.number, to, &reason).await;
    let revision = state.note(switched)?;
    tracing::info!(%merchant, revision = revision.number, to, "rolled back");
    Ok(revision)
}

/// Makes the code of a package ready.
pub(crate) async fn prepare(
    state: &Arc<State>,
    plugin: &str,
    unpacked: &crate::packed::Unpacked,
) -> Result<(), Problem> {
    let prepared = state.runner.prepare(Arc::clone(&unpacked.spec), Arc::clone(&unpacked.wasm)).await;
    prepared.map_err(|refusal| refused(&refusal).with("plugin", plugin))
}

fn expect_revision(expected: Option<u64>, current: &Revision) -> Result<(), Problem> {
    match expected {
        Some(expected) if expected != current.number => Err(Problem::new(
            Code::Conflict,
            format!("Revision {} is in force, not {expected}: look at it and plan the changes anew.", current.number),
        )
        .with("revision", current.number)),
        _ => Ok(()),
    }
}

fn check_together(state: &Arc<State>, plan: &Plan) -> Result<(), Problem> {
    plan.check_services()?;
    state.runner.check(&plan.as_revision()).map_err(|refusal| refused(&refusal))
}

fn refused(refusal: &crate::runner::Refusal) -> Problem {
    Problem::new(Code::PluginRefused, crate::machine_errors::sentence(&refusal.to_string()))
        .with("reason", refusal.code.as_str())
        .with("problems", refusal.problems.clone())
}

impl From<crate::packages::PackageError> for Problem {
    fn from(error: crate::packages::PackageError) -> Self {
        use crate::packages::PackageError;
        let detail = crate::machine_errors::sentence(&error.to_string());
        match error {
            PackageError::Unknown(_) => Self::not_found(detail),
            PackageError::Digest(_) => Self::invalid(detail),
            PackageError::Invalid(_) => Self::new(Code::PackageInvalid, detail),
            PackageError::Damaged(_) | PackageError::Io { .. } => {
                tracing::error!(%detail, "a package cannot be had");
                Self::new(Code::Internal, detail)
            }
        }
    }
}
