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
    /// Who made it and why, for people: `install catalog 0.1.0`.
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
