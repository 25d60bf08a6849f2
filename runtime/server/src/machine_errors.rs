//! The machine's errors as clients see them.

use kontor_core::error::Error;

use crate::problem::{Code, Problem};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = sentence(&error.to_string());
        match &error {
            Error::MerchantUnknown(_)
            | Error::PluginUnknown { .. }
            | Error::RevisionUnknown { .. }
            | Error::DeadLetterUnknown(_)
            | Error::SecretUndeclared { .. } => Self::not_found(detail),
            Error::MerchantExists(_) => Self::new(Code::AlreadyExists, detail),
            Error::RevisionConflict { .. } | Error::RevisionChanged { .. } => Self::new(Code::Conflict, detail),
            Error::RevisionInvalid(problems) => {
                Self::new(Code::RevisionInvalid, detail).with("problems", problems.clone())
            }
            Error::MigrationFailed { plugin, .. } => {
                Self::new(Code::MigrationFailed, detail).with("plugin", plugin.as_str())
            }
            Error::PluginStopped { plugin, reason, .. } => {
                Self::new(Code::PluginStopped, detail).with("plugin", plugin.as_str()).with("reason", reason.as_str())
            }
            Error::HandlerFailed { plugin, .. } => {
                Self::new(Code::PluginFailed, detail).with("plugin", plugin.as_str())
            }
            Error::IdempotencyMismatch(_) => Self::new(
                Code::IdempotencyKeyReused,
                "This Idempotency-Key was used for a different request: use a new key for a new request.",
            ),
            Error::IdempotencyResponseLost(_) => Self::new(
                Code::IdempotencyResponseLost,
                "The request with this Idempotency-Key was carried out already, but its response was too large to keep.",
            ),
            Error::IdempotencyKeyInvalid(_) | Error::PositionInvalid(_) | Error::Invalid(_) => Self::invalid(detail),
            Error::Contended(_) | Error::Unavailable(_) => Self::unavailable(Code::Unavailable, detail, 1),
            Error::StoreStopped(reason) => {
                tracing::error!(%reason, "the store has stopped");
                Self::unavailable(Code::Unavailable, "The store has stopped; the host must be restarted.", 30)
            }
            Error::HostFault(reason) | Error::RecordDamaged(reason) => {
                tracing::error!(%reason, "the host made a mistake");
                Self::new(Code::Internal, detail)
            }
        }
    }
}

/// With a capital and a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let mut out: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    out.push_str(chars.as_str());
    if !out.ends_with(['.', '!', '?']) {
        out.push('.');
    }
    out
}
