//! Events: facts that other plugins subscribe to. They become visible when the invocation commits.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::kontor::host::{events, handler_types as wire};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::plugin::HandlerError;

/// An event as delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Unique within the merchant.
    pub id: String,
    /// The id of the plugin that emitted it.
    pub source: String,
    /// Such as `kontor.orders.order-placed.v1`.
    pub event_type: String,
    /// What it is about. Events of one key come in order.
    pub key: String,
    /// When it was emitted.
    pub time: Timestamp,
    /// JSON text.
    pub payload: String,
    /// 1 for the first delivery.
    pub attempt: u32,
}

impl Event {
    pub(crate) fn from_wire(event: wire::Event) -> Self {
        Self {
            id: event.id,
            source: event.source,
            event_type: event.event_type,
            key: event.key,
            time: Timestamp::from_ms(event.time_ms),
            payload: event.payload,
            attempt: event.attempt,
        }
    }

    /// The payload as a `T`; what does not fit goes to the dead letters, since another try would not change it.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HandlerError> {
        serde_json::from_str(&self.payload).map_err(|error| {
            HandlerError::permanent(format!(
                "the payload of `{}` from `{}` does not fit: {error}",
                self.event_type, self.source
            ))
        })
    }
}

/// A type of event with its payload. A constant of the plugin, declared under `events` in `plugin.toml`:
///
/// ```ignore
/// const ORDER_PLACED: EventType<OrderPlaced> = EventType::new("kontor.orders.order-placed.v1");
/// ORDER_PLACED.emit(&order.id, &OrderPlaced { .. })?;                // in the emitter
/// if let Some(placed) = ORDER_PLACED.read(&event)? { .. }            // in a subscriber's `event`
/// ```
pub struct EventType<T> {
    name: &'static str,
    payload: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for EventType<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventType").field(&self.name).finish()
    }
}

impl<T> EventType<T> {
    /// The type of this name.
    pub const fn new(name: &'static str) -> Self {
        Self { name, payload: PhantomData }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<T: Serialize> EventType<T> {
    /// Emits one about `key`. Returns its id.
    pub fn emit(&self, key: &str, payload: &T) -> Result<String> {
        emit(self.name, key, payload)
    }
}

impl<T: DeserializeOwned> EventType<T> {
    /// The payload, if `event` is of this type.
    pub fn read(&self, event: &Event) -> Result<Option<T>, HandlerError> {
        (event.event_type == self.name).then(|| event.json()).transpose()
    }
}

/// Emits an event of a type that `plugin.toml` declares. Returns its id.
pub fn emit<T: Serialize + ?Sized>(event_type: &str, key: &str, payload: &T) -> Result<String> {
    let payload = serde_json::to_string(payload).map_err(|error| {
        Error::new(500, "event-encode", format!("The payload of `{event_type}` cannot be JSON: {error}."))
    })?;
    Ok(events::emit(event_type, key, &payload)?)
}
