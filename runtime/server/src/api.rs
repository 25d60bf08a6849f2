//! The bodies of the control API, as they go over the wire. The command line uses the same types. Not here: what is done with them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// An error, as RFC 9457 has it.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ProblemBody {
    /// `urn:kontor:problem:<code>`
    #[serde(rename = "type")]
    pub kind: String,
    /// Stable name of what went wrong.
    pub code: String,
    /// One sentence for people.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened here, and what to do.
    pub detail: String,
    /// Places in the request that are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// Where a backup goes.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBackup {
    /// An absolute path on the host's machine: a new or an empty directory.
    pub directory: String,
}

/// How a backup stands.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct BackupStatus {
    /// Where it goes.
    pub directory: String,
    /// Whether it is done.
    pub state: BackupState,
    /// Records of the store so far.
    pub records: u64,
    /// Bytes of keys and values, once it is done.
    pub bytes: u64,
    /// The store's version that it is of, once it is done.
    pub version: u64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Whether a backup is done.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackupState {
    /// It is being written.
    Running,
    /// It is complete.
    Done,
    /// It was given up.
    Failed,
}

/// A wrong place in a request or a configuration.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901); empty is the whole document.
    pub pointer: String,
    /// What is wrong there.
    pub message: String,
}

/// A merchant to create.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMerchant {
    /// A lower-case letter, then lower-case letters, digits and hyphens; at most 32 characters.
    pub id: String,
    /// For people; the id if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A merchant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Merchant {
    /// The id.
    pub id: String,
    /// For people.
    pub name: String,
    /// When created, milliseconds since 1970.
    pub created_at_ms: u64,
    /// The revision in force; 0 before the first.
    pub revision: u64,
}

/// A packed plugin that the host has, ready to be installed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Package {
    /// `sha256:<hex>` of the file.
    pub digest: String,
    /// The plugin's id.
    pub plugin: String,
    /// Semantic version.
    pub version: String,
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// Who publishes it.
    pub publisher: String,
    /// Who signed it.
    pub signature: PackageSignature,
    /// JSON Schema of its configuration, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_schema: Option<Value>,
}

/// How a package is signed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PackageSignature {
    /// By a publisher whose key this host trusts.
    Publisher,
    /// By a key that this host does not trust: accepted in dev mode only.
    Unknown,
    /// By the development key: accepted in dev mode only.
    Development,
    /// Not at all: accepted in dev mode only.
    None,
}

/// A set of changes that becomes one revision: all or nothing.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeSet {
    /// In the order given; at most 64.
    pub changes: Vec<Change>,
    /// Only plan: nothing is changed, the answer says what would be asked for.
    #[serde(default)]
    pub dry_run: bool,
    /// For people; made from the changes if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The revision that the changes were made for: refused as `conflict` if another one is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_revision: Option<u64>,
}

/// One change of a merchant's set of plugins.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Change {
    /// Installs a package, or upgrades the installed plugin of the same id.
    Install(InstallChange),
    /// Replaces configuration, grants or both.
    Configure(ConfigureChange),
    /// Removes a plugin.
    Remove(RemoveChange),
}

/// Installs or upgrades.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InstallChange {
    /// Digest of a package that was uploaded.
    pub digest: String,
    /// The whole configuration; absent: that of the installed version, or the schema's defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Value>,
    /// What is granted, on top of what was granted to the installed version.
    #[serde(default)]
    pub grant: GrantRequest,
    /// Install although the version is not higher than the installed one.
    #[serde(default)]
    pub allow_downgrade: bool,
}

/// Changes configuration or grants.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigureChange {
    /// The plugin's id.
    pub plugin: String,
    /// The whole configuration; absent: stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Value>,
    /// The grants, replacing those in force; absent: they stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantRequest>,
}

/// Removes.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveChange {
    /// The plugin's id.
    pub plugin: String,
}

/// What a merchant grants.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantRequest {
    /// Everything that the plugin asks for, without plain `http` and without private addresses.
    #[serde(default)]
    pub all: bool,
    /// Hosts, one by one.
    #[serde(default)]
    pub outbound: Vec<HostGrant>,
    /// Secrets that the plugin may see.
    #[serde(default)]
    pub plain_secrets: Vec<String>,
}

/// A host that may be reached.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostGrant {
    /// Host name, exact or `*.example.com`, as the plugin asks for it (after its configuration is filled in).
    pub host: String,
    /// Whether plain `http` is allowed.
    #[serde(default)]
    pub allow_http: bool,
    /// Whether private and loopback addresses are allowed.
    #[serde(default)]
    pub allow_private: bool,
}

/// What a set of changes did, or would do.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ChangeResult {
    /// Whether it was done; false for a dry run.
    pub applied: bool,
    /// The revision now in force.
    pub revision: u64,
    /// The permission screen: one entry a plugin that is installed, upgraded or granted something.
    pub permissions: Vec<PermissionScreen>,
    /// What the merchant should know; not errors.
    pub notes: Vec<String>,
}

/// What a plugin asks for.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct PermissionScreen {
    /// The plugin's id.
    pub plugin: String,
    /// For people.
    pub name: String,
    /// Who publishes it.
    pub publisher: String,
    /// The version to be installed.
    pub version: String,
    /// The version installed now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed_version: Option<String>,
    /// Each thing asked for.
    pub asks: Vec<Ask>,
}

/// One thing that a plugin asks for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Ask {
    /// What kind.
    pub kind: AskKind,
    /// Its name: a host, a secret, a data class, a scope.
    pub name: String,
    /// In words.
    pub words: String,
    /// Not asked for by the installed version.
    pub new: bool,
    /// Whether it is granted. Data classes, scopes and limits come with the installation.
    pub granted: bool,
}

/// Kinds of things asked for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AskKind {
    /// Data it touches.
    DataClass,
    /// A server it reaches.
    Host,
    /// A secret that the host uses for it.
    Secret,
    /// A secret that it sees.
    PlainSecret,
    /// Anyone may call some of its addresses.
    PublicRoute,
    /// A scope that some of its addresses need.
    Scope,
    /// A limit above the usual.
    Limit,
}

/// A revision in a list.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct RevisionSummary {
    /// Its number.
    pub number: u64,
    /// The revision it was made from.
    pub parent: u64,
    /// When, milliseconds since 1970.
    pub created_at_ms: u64,
    /// Why.
    pub reason: String,
    /// Whether it is in force.
    pub current: bool,
    /// Versions by plugin.
    pub plugins: BTreeMap<String, String>,
}

/// A revision in full.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct RevisionDetail {
    /// Number, parent, time, reason.
    #[serde(flatten)]
    pub summary: RevisionSummary,
    /// The plugins with configuration and grants.
    pub installed: Vec<Plugin>,
}

/// A switch back.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// The revision to return to; absent: the parent of the one in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

/// An installed plugin.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Plugin {
    /// The id.
    pub id: String,
    /// Semantic version.
    pub version: String,
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// Who publishes it.
    pub publisher: String,
    /// `sha256:<hex>` of the package.
    pub digest: String,
    /// Where its routes are.
    pub base_path: String,
    /// Routes: method, path, who may call.
    pub routes: Vec<RouteInfo>,
    /// Services provided.
    pub provides: Vec<String>,
    /// Services required; optional ones end in `?`.
    pub requires: Vec<String>,
    /// Event types handled.
    pub subscribes: Vec<String>,
    /// Event types emitted.
    pub emits: Vec<String>,
    /// Configuration in force.
    pub config: Value,
    /// JSON Schema of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_schema: Option<Value>,
    /// What was granted.
    pub grants: Granted,
}

/// A route of a plugin.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct RouteInfo {
    /// `GET`, ... or `*`.
    pub method: String,
    /// Below the plugin's address.
    pub path: String,
    /// `public`, `webhook`, `customer`, `staff:<scope>` or `token:<scope>`.
    pub auth: String,
}

/// What was granted to a plugin.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct Granted {
    /// Hosts.
    pub outbound: Vec<HostGrant>,
    /// Secrets it may see.
    pub plain_secrets: Vec<String>,
}

/// A secret to set.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretValue {
    /// The secret; never returned by any call.
    pub value: String,
}

impl std::fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretValue(..)")
    }
}

/// A declared secret.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct SecretInfo {
    /// Its name.
    pub name: String,
    /// For people.
    pub description: String,
    /// Whether it is set.
    pub set: bool,
    /// Whether the plugin may see it.
    pub plain: bool,
}

/// Kinds of tokens.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TokenKind {
    /// May use the whole control API.
    Admin,
    /// For programs that call `token:<scope>` routes of one merchant.
    Token,
    /// For a member of staff, who also signs in to pages with it.
    Staff,
}

/// A token to create.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// For people: who or what uses it.
    pub name: String,
    /// `token` or `staff`.
    pub kind: TokenKind,
    /// Scopes such as `things:write`; `*` is all of them.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// When it stops working, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
}

/// An admin token to create.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAdminToken {
    /// For people: who or what uses it.
    pub name: String,
    /// When it stops working, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
}

/// A token, without its secret.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Token {
    /// Its id; also part of the token itself.
    pub id: String,
    /// For people.
    pub name: String,
    /// What kind.
    pub kind: TokenKind,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When created, milliseconds since 1970.
    pub created_at_ms: u64,
    /// When it stops working.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
}

/// A token just created.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct CreatedToken {
    /// The token itself. Shown this once; the host keeps only a hash.
    pub secret: String,
    /// What it is.
    pub token: Token,
}

impl std::fmt::Debug for CreatedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedToken").field("token", &self.token).finish_non_exhaustive()
    }
}

/// A log line of a plugin.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct LogLine {
    /// Grows by one with each line; pass the last one seen as `since`.
    pub cursor: u64,
    /// When, milliseconds since 1970.
    pub time_ms: u64,
    /// `trace`, `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// The invocation.
    pub invocation: String,
    /// Text.
    pub message: String,
    /// Names and values.
    pub fields: BTreeMap<String, String>,
}

/// Log lines.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct LogPage {
    /// Oldest first.
    pub lines: Vec<LogLine>,
    /// Pass it as `since` to go on.
    pub next: u64,
}

/// An event or job that was given up.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct DeadLetter {
    /// Its id.
    pub id: String,
    /// `event` or `job`.
    pub kind: String,
    /// The plugin that could not handle it.
    pub plugin: String,
    /// Event type or job name.
    pub name: String,
    /// Event or job key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// JSON text.
    pub payload: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Stable code of the last failure.
    pub code: String,
    /// Why it was given up.
    pub error: String,
    /// When, milliseconds since 1970.
    pub time_ms: u64,
}

/// A job that waits or runs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct JobInfo {
    /// Its id.
    pub id: String,
    /// Whose.
    pub plugin: String,
    /// Its name.
    pub name: String,
    /// Its coalescing key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The next attempt, from 1.
    pub attempt: u32,
    /// When due, milliseconds since 1970.
    pub due_ms: u64,
    /// Whether it runs now.
    pub running: bool,
}

/// An event on the event stream: CloudEvents 1.0 in JSON.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct CloudEvent {
    /// `1.0`
    pub specversion: String,
    /// Unique within the merchant.
    pub id: String,
    /// `/m/<merchant>/<plugin>`
    pub source: String,
    /// Reverse-domain type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The event's key.
    pub subject: String,
    /// RFC 3339.
    pub time: String,
    /// `application/json`
    pub datacontenttype: String,
    /// The payload.
    pub data: Value,
}

/// Whether the host is ready.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Readiness {
    /// `ready`, `stopping` or `stopped`.
    pub state: String,
    /// Version of the host.
    pub version: String,
}
