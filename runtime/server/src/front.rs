//! Where requests enter: each is observed from here to its answer, panics stay inside, and it goes either to a plugin or to the host's own
//! addresses. Not here: connections ([`crate::listener`]).

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use futures_util::FutureExt as _;
use http::Request;
use tower::ServiceExt as _;

use crate::control;
use crate::hosted;
use crate::observe::{self, Labelled};
use crate::state::State;

/// See the module.
#[derive(Debug)]
pub(crate) struct Front {
    state: Arc<State>,
    /// The host's own addresses.
    own: Router,
}

impl Front {
    pub(crate) fn new(state: &Arc<State>) -> Self {
        Self { state: Arc::clone(state), own: control::router(state) }
    }

    /// Answers a request that came from `peer`, whatever happens.
    pub(crate) async fn answer(&self, request: Request<Body>, peer: SocketAddr) -> Response {
        observe::observe(request, async |request| {
            // In a box of its own: what is put around it would else move all of its state, each time.
            let routed = AssertUnwindSafe(Box::pin(self.routed(request, peer))).catch_unwind().await;
            routed.unwrap_or_else(|panic| (observe::panicked(panic.as_ref()), None))
        })
        .await
    }

    /// Plugins' addresses are nearly all that is asked for: they do not go through the router of the others.
    async fn routed(&self, request: Request<Body>, peer: SocketAddr) -> Labelled {
        if hosted::is_hosted(request.uri().path()) {
            return hosted::hosted(&self.state, request, peer).await;
        }
        let Ok(response) = self.own.clone().oneshot(request).await;
        (response, None)
    }
}
