//! Answers service calls with what it was given, so that what the bench measures is the call.

use kontor_sdk::Plugin;
use kontor_sdk::http::Router;

kontor_sdk::services! {
    mod bindings;
    path: "wit",
    world: "
        package kontor:bench-echo;
        world echo {
            export kontor:bench/echo@0.1.0;
        }
    ",
}

use bindings::exports::kontor::bench::echo::{EchoError, Guest, Parcel};

/// The plugin.
#[derive(Debug)]
pub struct Echo;

impl Guest for Echo {
    fn number(value: i64) -> Result<i64, EchoError> {
        Ok(value)
    }

    fn send(parcel: Parcel) -> Result<Parcel, EchoError> {
        Ok(parcel)
    }
}

impl Plugin for Echo {
    fn routes() -> Router {
        Router::new()
    }
}

kontor_sdk::export!(Echo, services: bindings);
