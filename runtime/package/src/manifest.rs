//! The manifest: what a plugin says of itself in `plugin.toml`. Strict: what it does not know, it refuses, with the place.

mod check;

use std::path::Path;

use kontor_core::ids::PluginId;
use kontor_core::limits::PluginLimits;
use kontor_core::revision as spec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::locate::{Place, line_column};

/// The name of the file beside a plugin's `Cargo.toml`.
pub const FILE_NAME: &str = "plugin.toml";

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Kontor plugin manifest (plugin.toml)")]
pub struct Manifest {
    /// Lower-case letters, digits and hyphens, beginning with a letter; at most 48.
    pub id: String,
    /// Semantic version.
    pub version: String,
    /// Who publishes it.
    pub publisher: String,
    /// SPDX expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// For people.
    pub name: String,
    /// For people: one or two sentences.
    pub description: String,
    /// Interfaces that it exports as services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provides: Vec<Provides>,
    /// Interfaces that it calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requires>,
    /// Events.
    #[serde(default)]
    pub events: Events,
    /// Routes under its prefix.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// Jobs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<Job>,
    /// Jobs queued by the clock.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<Schedule>,
    /// Servers it asks to reach.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outbound: Vec<Outbound>,
    /// What the merchant can configure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Config>,
    /// Secrets that the merchant sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Secret>,
    /// Classes of data it touches, such as `people.contact`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_classes: Vec<String>,
    /// Limits above the default, capped by the host.
    #[serde(default)]
    pub limits: Limits,
    /// Pages in the merchant's console.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub console_pages: Vec<ConsolePage>,
}

/// A service interface provided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provides {
    /// `namespace:package/interface@version`
    pub interface: String,
    /// For an extension point (many providers): the name it goes by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
}

/// A service interface called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requires {
    /// `namespace:package/interface@version`
    pub interface: String,
    /// Works without a provider.
    #[serde(default)]
    pub optional: bool,
    /// An extension point: many providers, chosen by the first parameter.
    #[serde(default)]
    pub many: bool,
}

/// Events emitted and handled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// Types it may emit, such as `example.notes.note-written.v1`.
    #[serde(default)]
    pub emits: Vec<String>,
    /// Types it handles; a trailing `*` matches any rest.
    #[serde(default)]
    pub subscribes: Vec<String>,
}

/// A route under the plugin's prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// `GET`, `POST`, `PUT`, `PATCH`, `DELETE`, `HEAD`, `OPTIONS`, or `*` for every method.
    pub method: String,
    /// Literal segments, `{name}` for one segment, `{*name}` at the end for the rest.
    pub path: String,
    /// `public`, `webhook`, `customer`, `staff:<scope>` or `token:<scope>`.
    pub auth: String,
    /// Whether it may call other servers.
    #[serde(default)]
    pub outbound: bool,
    /// Of a `GET` route, the request headers that its answers depend on, lower case. The plugin is given no others, nor the peer's address;
    /// requests that differ only in those are the same. Without it: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vary: Option<Vec<String>>,
}

/// A kind of job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Unique in the plugin.
    pub name: String,
    /// Attempts before the dead letters.
    #[serde(default = "default_max_attempts")]
    pub max_attempts: u32,
    /// First backoff in milliseconds; doubles with each attempt, up to an hour.
    #[serde(default = "default_backoff_ms")]
    pub backoff_ms: u64,
    /// A rate budget of `outbound.budgets` that every start takes a token from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<String>,
}

fn default_max_attempts() -> u32 {
    10
}

fn default_backoff_ms() -> u64 {
    1_000
}

/// A job queued by the clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Unique in the plugin; the coalescing key of the job.
    pub name: String,
    /// Five cron fields, or six with seconds first.
    pub cron: String,
    /// IANA time zone; UTC if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// The job to queue.
    pub job: String,
}

/// A server the plugin asks to reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outbound {
    /// Host name, exact or `*.example.com`; or `{config:KEY}` for the host of a URL in the configuration.
    pub host: String,
    /// Rate budgets for requests to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
}

/// A token bucket for one kind of request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Unique in the plugin.
    pub name: String,
    /// `GET`, ... or `*`.
    pub method: String,
    /// As in routes.
    pub path: String,
    /// Tokens a second, a number or a decimal as text; kept to thousandths.
    pub rate_per_second: Rate,
    /// Size of the bucket.
    pub burst: u32,
}

/// A number of tokens a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Rate {
    /// `5`
    Whole(u32),
    /// `0.5`
    Decimal(f64),
    /// `"0.5"`
    Text(String),
}

impl Rate {
    /// Thousandths of a token a second; none if it is not a number from 0.001 to 1,000,000.
    pub fn millihertz(&self) -> Option<u64> {
        let text = match self {
            Self::Whole(number) => number.to_string(),
            Self::Decimal(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let whole: u64 = whole.parse().ok()?;
        // Rounded up, so that a budget of 1/60 a second is not turned into a slower one than the server allows by much.
        let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
        let more = fraction.get(3..).is_some_and(|rest| rest.bytes().any(|digit| digit >= b'5'));
        let millihertz = whole.checked_mul(1_000)?.checked_add(thousandths.parse::<u64>().ok()?)? + u64::from(more);
        (1..=1_000_000_000).contains(&millihertz).then_some(millihertz)
    }
}

/// What the merchant can configure: one of the two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// JSON Schema of an object; defaults are filled in, the console renders it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<serde_json::Value>,
    /// The same in a file beside `plugin.toml`; packing puts it into `schema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_file: Option<String>,
}

/// A secret that the merchant sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Unique in the plugin.
    pub name: String,
    /// For people: where to find it.
    pub description: String,
    /// Whether the plugin asks to see it; without it the host computes with it.
    #[serde(default)]
    pub plain: bool,
}

/// Limits asked for; absent ones are the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// About one per WebAssembly instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Linear memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Wall clock of an invocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Keys read and entries scanned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<u32>,
    /// Keys written and counters added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes: Option<u32>,
    /// Bytes written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_bytes: Option<u64>,
    /// Events emitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<u32>,
    /// Jobs queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<u32>,
    /// Service calls of the whole invocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_calls: Option<u32>,
}

/// A page in the merchant's console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsolePage {
    /// In the menu.
    pub title: String,
    /// A route of this plugin.
    pub path: String,
}

/// Why a manifest was refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{file}:{line}:{column}: {message}")]
pub struct ManifestError {
    /// The file as named by the caller.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Manifest {
    /// Reads `plugin.toml` in the folder `directory`, with the file that `config.schema_file` names.
    pub fn read(directory: &Path) -> Result<Self, ManifestError> {
        let path = directory.join(FILE_NAME);
        let file = path.display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|error| ManifestError {
            file: file.clone(),
            line: 1,
            column: 1,
            message: format!("cannot be read: {error}. A plugin has a `{FILE_NAME}` beside its `Cargo.toml`"),
        })?;
        let mut manifest = Self::parse(&text, &file)?;
        manifest
            .inline_schema(directory)
            .map_err(|message| located(&text, &file, &Place::key("config").field("schema_file"), message))?;
        Ok(manifest)
    }

    /// Parses and checks the text of a manifest. `file` is named in errors.
    pub fn parse(text: &str, file: &str) -> Result<Self, ManifestError> {
        let manifest: Self = toml::from_str(text).map_err(|error| {
            let (line, column) = line_column(text, error.span().map_or(0, |span| span.start));
            ManifestError { file: file.to_owned(), line, column, message: error.message().to_owned() }
        })?;
        check::check(&manifest).map_err(|(place, message)| located(text, file, &place, message))?;
        Ok(manifest)
    }

    /// Reads the manifest of a packed plugin. Refuses like [`Manifest::parse`].
    pub(crate) fn from_json(json: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        check::check(&manifest).map_err(|(place, message)| format!("`{place}`: {message}"))?;
        Ok(manifest)
    }

    /// As JSON, the form in a packed plugin.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>, String> {
        serde_json::to_vec(self).map_err(|error| error.to_string())
    }

    fn inline_schema(&mut self, directory: &Path) -> Result<(), String> {
        let Some(config) = &mut self.config else { return Ok(()) };
        let Some(file) = config.schema_file.take() else { return Ok(()) };
        let text = std::fs::read_to_string(directory.join(&file))
            .map_err(|error| format!("`{file}` cannot be read: {error}"))?;
        let schema: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| format!("`{file}` is not JSON: {error}"))?;
        check::schema(&schema)?;
        config.schema = Some(schema);
        Ok(())
    }

    /// What the host needs of it, for the packed plugin of this digest (`sha256:<hex>`).
    ///
    /// # Errors
    ///
    /// When the manifest was changed by hand into something that [`Manifest::parse`] refuses.
    pub fn to_spec(&self, digest: &str) -> Result<spec::PluginSpec, String> {
        check::check(self).map_err(|(place, message)| format!("`{place}`: {message}"))?;
        Ok(spec::PluginSpec {
            id: PluginId::new(&self.id).map_err(|error| error.to_string())?,
            version: self.version.clone(),
            name: self.name.clone(),
            description: self.description.clone(),
            publisher: self.publisher.clone(),
            digest: digest.to_owned(),
            provides: self
                .provides
                .iter()
                .map(|p| spec::ServiceProvision { interface: p.interface.clone(), provider: p.provider.clone() })
                .collect(),
            requires: self
                .requires
                .iter()
                .map(|r| spec::ServiceRequirement {
                    interface: r.interface.clone(),
                    optional: r.optional,
                    many: r.many,
                })
                .collect(),
            emits: self.events.emits.clone(),
            subscribes: self.events.subscribes.clone(),
            routes: self.routes.iter().filter_map(Route::to_spec).collect(),
            jobs: self.jobs.iter().map(Job::to_spec).collect(),
            schedules: self.schedules.iter().map(Schedule::to_spec).collect(),
            outbound: self.outbound.iter().map(Outbound::to_spec).collect(),
            config_schema: self.config.as_ref().and_then(|config| config.schema.clone()),
            secrets: self
                .secrets
                .iter()
                .map(|s| spec::SecretSpec { name: s.name.clone(), description: s.description.clone(), plain: s.plain })
                .collect(),
            data_classes: self.data_classes.clone(),
            limits: self.limits.to_spec(),
        })
    }
}

fn located(text: &str, file: &str, place: &Place, message: String) -> ManifestError {
    let (line, column) = line_column(text, place.span(text).map_or(0, |span| span.start));
    ManifestError { file: file.to_owned(), line, column, message: format!("`{place}`: {message}") }
}

impl Route {
    /// Who may call, if `auth` is well formed.
    pub fn auth(&self) -> Option<spec::RouteAuth> {
        match self.auth.split_once(':') {
            None => match self.auth.as_str() {
                "public" => Some(spec::RouteAuth::Public),
                "webhook" => Some(spec::RouteAuth::Webhook),
                "customer" => Some(spec::RouteAuth::Customer),
                _ => None,
            },
            Some((_, "")) => None,
            Some(("staff", scope)) => Some(spec::RouteAuth::Staff(scope.to_owned())),
            Some(("token", scope)) => Some(spec::RouteAuth::Token(scope.to_owned())),
            Some(_) => None,
        }
    }

    fn to_spec(&self) -> Option<spec::Route> {
        Some(spec::Route {
            method: self.method.clone(),
            path: self.path.clone(),
            auth: self.auth()?,
            outbound: self.outbound,
            vary: self.vary.clone(),
        })
    }
}

impl Job {
    fn to_spec(&self) -> spec::JobSpec {
        spec::JobSpec {
            name: self.name.clone(),
            max_attempts: self.max_attempts,
            backoff_ms: self.backoff_ms,
            budget: self.budget.clone(),
        }
    }
}

impl Schedule {
    fn to_spec(&self) -> spec::Schedule {
        spec::Schedule {
            name: self.name.clone(),
            cron: self.cron.clone(),
            time_zone: self.time_zone.clone(),
            job: self.job.clone(),
        }
    }
}

impl Outbound {
    fn to_spec(&self) -> spec::OutboundHost {
        let budget = |budget: &Budget| {
            Some(spec::RateBudget {
                name: budget.name.clone(),
                method: budget.method.clone(),
                path: budget.path.clone(),
                rate_millihertz: budget.rate_per_second.millihertz()?,
                burst: budget.burst,
            })
        };
        spec::OutboundHost { host: self.host.clone(), budgets: self.budgets.iter().filter_map(budget).collect() }
    }
}

impl Limits {
    fn to_spec(self) -> PluginLimits {
        let default = PluginLimits::default();
        PluginLimits {
            fuel: self.fuel.unwrap_or(default.fuel),
            memory_bytes: self.memory_bytes.unwrap_or(default.memory_bytes),
            timeout_ms: self.timeout_ms.unwrap_or(default.timeout_ms),
            reads: self.reads.unwrap_or(default.reads),
            writes: self.writes.unwrap_or(default.writes),
            write_bytes: self.write_bytes.unwrap_or(default.write_bytes),
            events: self.events.unwrap_or(default.events),
            jobs: self.jobs.unwrap_or(default.jobs),
            service_calls: self.service_calls.unwrap_or(default.service_calls),
        }
    }
}

/// The JSON Schema of `plugin.toml`, as committed in `schema/plugin.schema.json`.
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(Manifest).to_value()
}
