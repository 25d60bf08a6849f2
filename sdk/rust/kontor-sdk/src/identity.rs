//! For whom this invocation acts.

use crate::bindings::kontor::host::identity;
use crate::error::{Error, Result};

pub use crate::bindings::kontor::host::identity::Actor;

/// The merchant's id.
pub fn merchant() -> String {
    identity::merchant()
}

/// This plugin's id.
pub fn plugin() -> String {
    identity::plugin()
}

/// The plugin that called this service function; none at the start of a chain.
pub fn caller() -> Option<String> {
    identity::caller()
}

/// For whom the chain of calls acts.
pub fn actor() -> Actor {
    identity::acting_for()
}

/// The actor as text, such as `staff:anna` or `system`: for ledgers and histories.
pub fn actor_name() -> String {
    match actor() {
        Actor::System => "system".to_owned(),
        Actor::Public => "public".to_owned(),
        Actor::Token(name) => format!("token:{name}"),
        Actor::Staff(name) => format!("staff:{name}"),
        Actor::Customer(id) => format!("customer:{id}"),
    }
}

/// The scopes of the request's token or staff role.
pub fn scopes() -> Vec<String> {
    identity::scopes()
}

/// Refuses with 403 `scope-missing` unless the chain acts for the host itself or carries `scope`.
pub fn require_scope(scope: &str) -> Result<()> {
    if matches!(actor(), Actor::System) || scopes().iter().any(|have| have == scope) {
        Ok(())
    } else {
        Err(Error::forbidden(format!("This needs the scope `{scope}`."))
            .with_code("scope-missing")
            .with("scope", scope))
    }
}
