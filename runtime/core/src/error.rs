//! What can go wrong in the machine, each with a stable code. Not here: what a guest is told about a refused operation
//! ([`crate::transaction::OperationError`]), and what a store reports ([`crate::store::CommitError`]).

use crate::executor::ExecutionError;
use crate::ids::{MerchantId, PluginId};
use crate::revision::RevisionNumber;
use crate::store::{CommitError, StoreError};

/// Why the machine did not do what it was asked. [`Error::code`] never changes its meaning; the text is for people.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// No such merchant.
    #[error("there is no merchant `{0}`; create it first")]
    MerchantUnknown(MerchantId),
    /// Created already.
    #[error("merchant `{0}` exists already")]
    MerchantExists(MerchantId),
    /// The plugin is not in the merchant's current revision.
    #[error("plugin `{plugin}` is not installed for merchant `{merchant}`")]
    PluginUnknown {
        /// For whom.
        merchant: MerchantId,
        /// Which.
        plugin: PluginId,
    },
    /// No such revision.
    #[error("merchant `{merchant}` has no revision {number}")]
    RevisionUnknown {
        /// For whom.
        merchant: MerchantId,
        /// Which.
        number: RevisionNumber,
    },
    /// Someone else switched first.
    #[error("revision {expected} is not current any more, {current} is: look at the new set of plugins and try again")]
    RevisionConflict {
        /// What the caller built on.
        expected: RevisionNumber,
        /// What is current.
        current: RevisionNumber,
    },
    /// A request was admitted under a revision that is no longer current: admit it again and repeat. Nothing happened.
    #[error("revision {current} became current meanwhile: check the route again and repeat the request")]
    RevisionChanged {
        /// What is current.
        current: RevisionNumber,
    },
    /// The set of plugins does not fit together. One sentence per problem.
    #[error("this set of plugins does not fit together: {}", .0.join("; "))]
    RevisionInvalid(Vec<String>),
    /// A plugin could not bring its tables to its version. The revision was not switched.
    #[error("plugin `{plugin}` could not migrate its tables: {message}; the current revision stays")]
    MigrationFailed {
        /// Which.
        plugin: PluginId,
        /// Why.
        message: String,
    },
    /// A guest was stopped: nothing of the invocation remains.
    #[error("plugin `{plugin}` was stopped ({reason}): {message}")]
    PluginStopped {
        /// Which plugin broke; may be one that was called.
        plugin: PluginId,
        /// Stable reason, such as `fuel-exhausted`.
        reason: String,
        /// For people.
        message: String,
    },
    /// A handler reported a failure.
    #[error("plugin `{plugin}` failed: {message}")]
    HandlerFailed {
        /// Which.
        plugin: PluginId,
        /// Its words.
        message: String,
    },
    /// The idempotency key was used for another request.
    #[error("idempotency key `{0}` was used for a different request: use a new key for a new request")]
    IdempotencyMismatch(String),
    /// The first request with this key succeeded, but its response was too large to keep.
    #[error("the request with idempotency key `{0}` was already carried out, but its response was too large to keep")]
    IdempotencyResponseLost(String),
    /// The idempotency key is malformed.
    #[error("the idempotency key is malformed: {0}")]
    IdempotencyKeyInvalid(String),
    /// Lost against other invocations until the limit.
    #[error("the invocation lost against others {0} times and was given up; try again later")]
    Contended(u32),
    /// The host cannot serve now.
    #[error("cannot serve now: {0}; try again later")]
    Unavailable(String),
    /// The store stopped for good: the process must end.
    #[error("the store has stopped: {0}; the process must be restarted")]
    StoreStopped(String),
    /// A fault of the host.
    #[error("host fault: {0}")]
    HostFault(String),
    /// A record of the machine cannot be read.
    #[error("a stored record is damaged: {0}; restore from a backup")]
    RecordDamaged(String),
    /// No such dead letter.
    #[error("there is no dead letter `{0}`")]
    DeadLetterUnknown(String),
    /// A position in the event log is malformed.
    #[error("`{0}` is not a position in the event log: use one that this server returned")]
    PositionInvalid(String),
    /// The secret is not declared by the plugin.
    #[error("plugin `{plugin}` declares no secret `{name}`")]
    SecretUndeclared {
        /// Which plugin.
        plugin: PluginId,
        /// Which secret.
        name: String,
    },
    /// An argument is out of its limits.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// The stable code: for scripts, metrics and documentation.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MerchantUnknown(_) => "merchant-unknown",
            Self::MerchantExists(_) => "merchant-exists",
            Self::PluginUnknown { .. } => "plugin-unknown",
            Self::RevisionUnknown { .. } => "revision-unknown",
            Self::RevisionConflict { .. } => "revision-conflict",
            Self::RevisionChanged { .. } => "revision-changed",
            Self::RevisionInvalid(_) => "revision-invalid",
            Self::MigrationFailed { .. } => "migration-failed",
            Self::PluginStopped { .. } => "plugin-stopped",
            Self::HandlerFailed { .. } => "handler-failed",
            Self::IdempotencyMismatch(_) => "idempotency-mismatch",
            Self::IdempotencyResponseLost(_) => "idempotency-response-lost",
            Self::IdempotencyKeyInvalid(_) => "idempotency-key-invalid",
            Self::Contended(_) => "contended",
            Self::Unavailable(_) => "unavailable",
            Self::StoreStopped(_) => "store-stopped",
            Self::HostFault(_) => "host-fault",
            Self::RecordDamaged(_) => "record-damaged",
            Self::DeadLetterUnknown(_) => "dead-letter-unknown",
            Self::PositionInvalid(_) => "position-invalid",
            Self::SecretUndeclared { .. } => "secret-undeclared",
            Self::Invalid(_) => "invalid",
        }
    }

    /// The HTTP status that fits.
    pub fn status(&self) -> u16 {
        match self {
            Self::MerchantUnknown(_)
            | Self::PluginUnknown { .. }
            | Self::RevisionUnknown { .. }
            | Self::DeadLetterUnknown(_)
            | Self::SecretUndeclared { .. } => 404,
            Self::MerchantExists(_)
            | Self::RevisionConflict { .. }
            | Self::RevisionChanged { .. }
            | Self::IdempotencyResponseLost(_) => 409,
            Self::RevisionInvalid(_) | Self::MigrationFailed { .. } | Self::IdempotencyMismatch(_) => 422,
            Self::IdempotencyKeyInvalid(_) | Self::PositionInvalid(_) | Self::Invalid(_) => 400,
            Self::Contended(_) | Self::Unavailable(_) | Self::StoreStopped(_) => 503,
            Self::HandlerFailed { .. } => 502,
            Self::PluginStopped { .. } | Self::HostFault(_) | Self::RecordDamaged(_) => 500,
        }
    }

    /// Whether the same call may succeed later without anyone changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Contended(_) | Self::Unavailable(_) | Self::RevisionChanged { .. })
    }

    pub(crate) fn from_execution(plugin: &PluginId, error: ExecutionError) -> Self {
        match error {
            ExecutionError::Retry(message) | ExecutionError::Permanent(message) => {
                Self::HandlerFailed { plugin: plugin.clone(), message }
            }
            ExecutionError::RetryAfter(ms) => {
                Self::HandlerFailed { plugin: plugin.clone(), message: format!("asks to try again in {ms} ms") }
            }
            ExecutionError::Stopped { plugin, code, message } => {
                Self::PluginStopped { plugin, reason: code.to_owned(), message }
            }
            ExecutionError::Unavailable(message) => Self::Unavailable(message),
            ExecutionError::Host(message) => Self::HostFault(message),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(message) => Self::Unavailable(message),
            StoreError::Fatal(message) => Self::StoreStopped(message),
        }
    }
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict { .. } | CommitError::TooOld | CommitError::Bound { .. } => Self::Contended(1),
            CommitError::Unavailable(message) => Self::Unavailable(message),
            CommitError::OutcomeUnknown(message) => {
                Self::Unavailable(format!("the outcome of a commit is unknown: {message}"))
            }
            CommitError::Fatal(message) => Self::StoreStopped(message),
        }
    }
}
