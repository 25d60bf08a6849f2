//! Name resolution that hands out public addresses only. The check is made on the very addresses that are then connected to, so a
//! name that answers differently the second time (DNS rebinding) gains nothing.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::is_public;

/// The marker by which the client recognises that a name led to private addresses only.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` resolves to private addresses only, which the merchant did not grant")]
pub(crate) struct PrivateOnly(pub(crate) String);

/// The system's resolver, without what is not public.
#[derive(Debug)]
pub(crate) struct PublicResolver;

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let all: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let public: Vec<SocketAddr> = all.into_iter().filter(|a| is_public(a.ip())).collect();
            if public.is_empty() {
                return Err(PrivateOnly(host).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}
