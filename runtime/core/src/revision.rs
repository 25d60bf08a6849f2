//! Revisions: the immutable set of plugins that a merchant has, switched as a whole. Not here: what a manifest file looks like
//! (`package`), and code (`engine`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::PluginId;
use crate::limits::PluginLimits;

/// Number of a revision of one merchant, from 1.
pub type RevisionNumber = u64;

/// A set of plugins with their grants and configuration. Never changed once written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Its number.
    pub number: RevisionNumber,
    /// The revision that it was made from; 0 for the first.
    pub parent: RevisionNumber,
    /// When, milliseconds since 1970.
    pub created_at_ms: u64,
    /// Who made it and why, for people: `install notes 0.1.0`.
    pub reason: String,
    /// By id.
    pub plugins: BTreeMap<PluginId, InstalledPlugin>,
}

/// A plugin as installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledPlugin {
    /// What the machine, the engine and the server need of its manifest.
    pub spec: PluginSpec,
    /// What the merchant granted of it.
    pub grants: Grants,
    /// The merchant's configuration: a JSON object, defaults filled in.
    pub config: serde_json::Value,
}

/// What of a manifest matters to the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginSpec {
    /// Its id.
    pub id: PluginId,
    /// Semantic version.
    pub version: String,
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// Who publishes it.
    pub publisher: String,
    /// `sha256:<hex>` of the packed plugin.
    pub digest: String,
    /// Interfaces that it exports as services.
    pub provides: Vec<ServiceProvision>,
    /// Interfaces that it calls.
    pub requires: Vec<ServiceRequirement>,
    /// Event types it may emit.
    pub emits: Vec<String>,
    /// Event types it handles. A trailing `*` matches any rest.
    pub subscribes: Vec<String>,
    /// Routes.
    pub routes: Vec<Route>,
    /// Job names.
    pub jobs: Vec<JobSpec>,
    /// Cron schedules.
    pub schedules: Vec<Schedule>,
    /// Servers it asks to reach.
    pub outbound: Vec<OutboundHost>,
    /// JSON Schema of the configuration.
    pub config_schema: Option<serde_json::Value>,
    /// Secrets it declares.
    pub secrets: Vec<SecretSpec>,
    /// Classes of data it touches, such as `customers.pii`.
    pub data_classes: Vec<String>,
    /// Limits it asks for, capped by the host.
    pub limits: PluginLimits,
}

/// A service interface provided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceProvision {
    /// `namespace:package/interface@version`
    pub interface: String,
    /// The name it goes by when the interface is an extension point (many providers, chosen by the first parameter).
    pub provider: Option<String>,
}

/// A service interface called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRequirement {
    /// `namespace:package/interface@version`
    pub interface: String,
    /// Works without a provider.
    pub optional: bool,
    /// An extension point: many providers, chosen by the first parameter.
    pub many: bool,
}

/// Who may call a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteAuth {
    /// Anyone.
    Public,
    /// Anyone; the plugin verifies a signature over the raw body.
    Webhook,
    /// A signed-in customer.
    Customer,
    /// Staff whose role carries the scope.
    Staff(String),
    /// A token that carries the scope.
    Token(String),
}

/// A route under the plugin's prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// `GET`, `POST`, ... or `*`.
    pub method: String,
    /// A path below the prefix: literal segments, `{name}` for one segment, `{*name}` at the end for the rest.
    pub path: String,
    /// Who may call.
    pub auth: RouteAuth,
    /// Whether its invocations may use `outbound.fetch`.
    pub outbound: bool,
    /// The request headers that the plugin is given, lower case: what its answer may vary by. It is then not given the peer's address either.
    /// `None`: all of them.
    #[serde(default)]
    pub vary: Option<Vec<String>>,
}

impl Route {
    /// Whether the plugin is given the request header with this lower-case name.
    pub fn varies_by(&self, header: &str) -> bool {
        self.vary.as_ref().is_none_or(|names| names.iter().any(|name| name == header))
    }
}

/// A job name, with how failures are retried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The name.
    pub name: String,
    /// Attempts before the dead letters.
    pub max_attempts: u32,
    /// First backoff; doubles with each attempt, with jitter, up to an hour.
    pub backoff_ms: u64,
    /// Rate budget that every start takes a token from; a name under [`OutboundHost::budgets`].
    pub budget: Option<String>,
}

/// A cron schedule that queues a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Unique in the plugin.
    pub name: String,
    /// Five or six cron fields (with six, the first is seconds).
    pub cron: String,
    /// IANA time zone; `UTC` if absent.
    pub time_zone: Option<String>,
    /// The job to queue; the schedule's name is its coalescing key.
    pub job: String,
}

/// A server that the plugin asks to reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboundHost {
    /// Host name, exact or `*.example.com`; or `{config:KEY}` for the host of a URL in the configuration.
    pub host: String,
    /// Rate budgets.
    pub budgets: Vec<RateBudget>,
}

/// A token bucket for one kind of request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateBudget {
    /// Unique in the plugin.
    pub name: String,
    /// `GET`, ... or `*`.
    pub method: String,
    /// Path as in [`Route::path`].
    pub path: String,
    /// Tokens a second, in thousandths: 5 a second = 5000.
    pub rate_millihertz: u64,
    /// Size of the bucket.
    pub burst: u32,
}

/// A secret that the merchant sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretSpec {
    /// Unique in the plugin.
    pub name: String,
    /// For people.
    pub description: String,
    /// Whether the plugin asks to see it.
    pub plain: bool,
}

/// What the merchant granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// Hosts (as resolved: without placeholders) that may be reached.
    pub outbound: Vec<OutboundGrant>,
    /// Secrets that may be shown to the plugin.
    pub plain_secrets: Vec<String>,
}

/// A host that may be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboundGrant {
    /// Host name, exact or `*.example.com`.
    pub host: String,
    /// Whether plain `http` is allowed.
    pub allow_http: bool,
    /// Whether private and loopback addresses are allowed.
    pub allow_private: bool,
}

impl Revision {
    /// The provider of a service interface, if exactly one plugin provides it without a provider name. A version on the same track
    /// (same major, or same `0.minor`) matches.
    pub fn provider(&self, interface: &str) -> Option<&PluginId> {
        self.plugins.iter().find_map(|(id, plugin)| {
            plugin
                .spec
                .provides
                .iter()
                .any(|p| p.provider.is_none() && same_track(&p.interface, interface))
                .then_some(id)
        })
    }

    /// The providers of an extension point, by provider name.
    pub fn providers(&self, interface: &str) -> BTreeMap<&str, &PluginId> {
        self.plugins
            .iter()
            .flat_map(|(id, plugin)| plugin.spec.provides.iter().map(move |p| (id, p)))
            .filter(|(_, p)| same_track(&p.interface, interface))
            .filter_map(|(id, p)| p.provider.as_deref().map(|name| (name, id)))
            .collect()
    }
}

/// Whether two interface names (`ns:pkg/iface@x.y.z`) name compatible versions of one interface.
pub fn same_track(left: &str, right: &str) -> bool {
    fn split(name: &str) -> (&str, Option<semver::Version>) {
        match name.split_once('@') {
            Some((name, version)) => (name, semver::Version::parse(version).ok()),
            None => (name, None),
        }
    }
    let ((left_name, left_version), (right_name, right_version)) = (split(left), split(right));
    left_name == right_name
        && match (left_version, right_version) {
            (Some(l), Some(r)) if l.major == 0 && r.major == 0 => {
                l.minor == r.minor && (l.minor > 0 || l.patch == r.patch)
            }
            (Some(l), Some(r)) => l.major == r.major,
            (l, r) => l == r,
        }
}

/// Whether an event type fits a pattern: equal, or the pattern ends in `*` and the type begins with what is before it.
pub fn matches_type(pattern: &str, event_type: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => event_type.starts_with(prefix),
        None => pattern == event_type,
    }
}

/// Whether a host name fits a grant: equal (letter case aside), or below `example.com` for `*.example.com`.
pub fn matches_host(granted: &str, host: &str) -> bool {
    match granted.strip_prefix("*.") {
        Some(parent) => host.len().checked_sub(parent.len() + 1).is_some_and(|split| {
            split > 0
                && host.as_bytes().get(split) == Some(&b'.')
                && host.get(split + 1..).is_some_and(|tail| tail.eq_ignore_ascii_case(parent))
        }),
        None => granted.eq_ignore_ascii_case(host),
    }
}

/// Whether a path fits a pattern as in [`Route::path`].
pub fn matches_path(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    for wanted in pattern.split('/') {
        if wanted.starts_with("{*") && wanted.ends_with('}') {
            return true;
        }
        let Some(segment) = segments.next() else {
            return false;
        };
        let any = wanted.starts_with('{') && wanted.ends_with('}');
        if !(wanted == segment || (any && !segment.is_empty())) {
            return false;
        }
    }
    segments.next().is_none()
}

impl OutboundHost {
    /// The host with `{config:KEY}` filled in from the configuration (the host of a URL, or a bare host); `None` if it is not set.
    pub fn resolved(&self, config: &serde_json::Value) -> Option<String> {
        let Some(key) = self.host.strip_prefix("{config:").and_then(|rest| rest.strip_suffix('}')) else {
            return Some(self.host.clone());
        };
        let value = config.get(key)?.as_str()?;
        match url::Url::parse(value) {
            Ok(url) => url.host_str().map(str::to_owned),
            Err(_) => url::Url::parse(&format!("https://{value}")).ok()?.host_str().map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_match_exactly_or_below_a_star() {
        for (granted, host, fits) in [
            ("api.example.com", "api.example.com", true),
            ("api.example.com", "API.example.com", true),
            ("api.example.com", "x.api.example.com", false),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "evilexample.com", false),
            ("*.example.com", "example.com.evil.net", false),
        ] {
            assert_eq!(matches_host(granted, host), fits, "{granted} {host}");
        }
    }

    #[test]
    fn paths_match_segment_by_segment() {
        for (pattern, path, fits) in [
            ("/a/{id}", "/a/1", true),
            ("/a/{id}", "/a/", false),
            ("/a/{id}", "/a/1/b", false),
            ("/a/{*rest}", "/a/1/b", true),
            ("/{*rest}", "/", true),
            ("/a", "/a/", false),
            ("/a", "/a", true),
        ] {
            assert_eq!(matches_path(pattern, path), fits, "{pattern} {path}");
        }
    }

    #[test]
    fn types_match_exactly_or_by_prefix() {
        assert!(matches_type("a.b.c.v1", "a.b.c.v1") && matches_type("a.b.*", "a.b.c.v1"));
        assert!(!matches_type("a.b.c", "a.b.c.v1") && !matches_type("a.b.*", "a.bc.v1"));
    }

    #[test]
    fn a_host_may_come_from_the_configuration() {
        let host = OutboundHost { host: "{config:endpoint}".into(), budgets: Vec::new() };
        let resolved = |text: &str| host.resolved(&serde_json::json!({ "endpoint": text }));
        assert_eq!(resolved("http://127.0.0.1:8080/x").as_deref(), Some("127.0.0.1"));
        assert_eq!(resolved("api.example.com").as_deref(), Some("api.example.com"));
        assert_eq!(host.resolved(&serde_json::json!({})), None);
    }
}
