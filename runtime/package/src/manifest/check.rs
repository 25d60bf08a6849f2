//! What must hold of a manifest beyond its shape. Each refusal names the place and what is allowed.

use std::collections::BTreeSet;

use kontor_core::ids::PluginId;
use kontor_core::limits::{PLUGIN_LIMITS_MAX, TABLE_NAME_BYTES_MAX};

use super::{Config, Manifest};
use crate::locate::Place;

type Refusal = (Place, String);

const METHODS: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "*"];
/// Headers that a route's answers vary by.
const VARY_NAMES_MAX: usize = 16;

pub(super) fn check(manifest: &Manifest) -> Result<(), Refusal> {
    identity(manifest)?;
    services(manifest)?;
    events(manifest)?;
    routes(manifest)?;
    outbound(manifest)?;
    jobs(manifest)?;
    config(manifest)?;
    limits(manifest)
}

fn identity(manifest: &Manifest) -> Result<(), Refusal> {
    PluginId::new(&manifest.id).map_err(|error| (Place::key("id"), error.to_string()))?;
    semver::Version::parse(&manifest.version).map_err(|error| {
        (
            Place::key("version"),
            format!("`{}` is not a semantic version ({error}); write it like `1.2.3`", manifest.version),
        )
    })?;
    for (key, value) in
        [("publisher", &manifest.publisher), ("name", &manifest.name), ("description", &manifest.description)]
    {
        if value.trim().is_empty() {
            return Err((Place::key(key), "is empty; people read it before they install".to_owned()));
        }
    }
    Ok(())
}

fn services(manifest: &Manifest) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for (index, provided) in manifest.provides.iter().enumerate() {
        let place = || Place::key("provides").at(index);
        interface(&provided.interface).map_err(|text| (place().field("interface"), text))?;
        if let Some(provider) = &provided.provider {
            name(provider).map_err(|text| (place().field("provider"), text))?;
        }
        if !seen.insert((&provided.interface, &provided.provider)) {
            return Err((place(), format!("`{}` is provided twice", provided.interface)));
        }
    }
    let mut seen = BTreeSet::new();
    for (index, required) in manifest.requires.iter().enumerate() {
        let place = || Place::key("requires").at(index).field("interface");
        interface(&required.interface).map_err(|text| (place(), text))?;
        if !seen.insert(&required.interface) {
            return Err((place(), format!("`{}` is required twice", required.interface)));
        }
    }
    Ok(())
}

/// `namespace:package/interface@version`, not one of the host's own.
fn interface(text: &str) -> Result<(), String> {
    let refuse = || {
        format!(
            "`{text}` is not the name of an interface; write it like `example:notes/reader@0.1.0`, with its version"
        )
    };
    let (path, version) = text.split_once('@').ok_or_else(refuse)?;
    let (package, interface) = path.split_once('/').ok_or_else(refuse)?;
    let (namespace, package) = package.split_once(':').ok_or_else(refuse)?;
    semver::Version::parse(version).map_err(|_| refuse())?;
    if [namespace, package, interface].iter().any(|part| name(part).is_err()) {
        return Err(refuse());
    }
    if (namespace, package) == ("kontor", "host") {
        return Err(format!("`{text}` belongs to the host; every plugin has it without asking"));
    }
    Ok(())
}

fn name(text: &str) -> Result<(), String> {
    let mut bytes = text.bytes();
    let good = bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && text.len() <= TABLE_NAME_BYTES_MAX;
    if good {
        Ok(())
    } else {
        Err(format!(
            "`{text}` is not a name; use a lower-case letter, then lower-case letters, digits and hyphens, at most {TABLE_NAME_BYTES_MAX}"
        ))
    }
}

fn events(manifest: &Manifest) -> Result<(), Refusal> {
    let segment = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
    };
    for (index, event) in manifest.events.emits.iter().enumerate() {
        if event.len() > 200 || event.split('.').count() < 2 || !event.split('.').all(segment) {
            return Err((
                Place::key("events").field("emits").at(index),
                format!("`{event}` is not an event type; write it like `example.notes.note-written.v1`"),
            ));
        }
    }
    for (index, event) in manifest.events.subscribes.iter().enumerate() {
        let exact = event.strip_suffix('*').unwrap_or(event);
        if exact.len() > 200
            || (exact.is_empty() && event != "*")
            || !exact.trim_end_matches('.').split('.').all(|part| segment(part) || exact.is_empty())
        {
            return Err((
                Place::key("events").field("subscribes").at(index),
                format!(
                    "`{event}` is not an event type; write it like `example.notes.note-written.v1` or `example.notes.*`"
                ),
            ));
        }
    }
    Ok(())
}

fn routes(manifest: &Manifest) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for (index, route) in manifest.routes.iter().enumerate() {
        let place = || Place::key("routes").at(index);
        method(&route.method).map_err(|text| (place().field("method"), text))?;
        path(&route.path).map_err(|text| (place().field("path"), text))?;
        if route.auth().is_none() {
            return Err((
                place().field("auth"),
                format!(
                    "`{}` is not a class of callers; use `public`, `webhook`, `customer`, `staff:<scope>` or `token:<scope>`",
                    route.auth
                ),
            ));
        }
        if let Some(names) = &route.vary {
            vary(&route.method, names).map_err(|text| (place().field("vary"), text))?;
        }
        if !seen.insert((&route.method, &route.path)) {
            return Err((place(), format!("`{} {}` is declared twice", route.method, route.path)));
        }
    }
    for (index, page) in manifest.console_pages.iter().enumerate() {
        let place = || Place::key("console_pages").at(index);
        if page.title.trim().is_empty() {
            return Err((place().field("title"), "is empty".to_owned()));
        }
        if !manifest.routes.iter().any(|route| route.path == page.path) {
            return Err((
                place().field("path"),
                format!("`{}` is not the path of a route; declare it under `routes`", page.path),
            ));
        }
    }
    Ok(())
}

/// Of methods that change something every header may matter, and no answer is given twice.
fn vary(method: &str, names: &[String]) -> Result<(), String> {
    if method != "GET" {
        return Err(format!("only a `GET` route says what its answers vary by, not `{method}`"));
    }
    if names.len() > VARY_NAMES_MAX {
        return Err(format!("at most {VARY_NAMES_MAX} headers, not {}", names.len()));
    }
    let is_name = |name: &String| {
        let visible = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        !name.is_empty() && name.len() <= 64 && visible
    };
    match names.iter().find(|name| !is_name(name)) {
        Some(name) => Err(format!("`{name}` is not a header's name in lower case, such as `accept-language`")),
        None => Ok(()),
    }
}

fn method(method: &str) -> Result<(), String> {
    if METHODS.contains(&method) {
        Ok(())
    } else {
        Err(format!("`{method}` is not a method; use one of {}", METHODS.join(", ")))
    }
}

fn path(path: &str) -> Result<(), String> {
    let refuse = |why: &str| Err(format!("`{path}` is not a path: {why}"));
    let Some(rest) = path.strip_prefix('/') else { return refuse("it begins with `/`") };
    if path.len() > 200 {
        return refuse("it has more than 200 characters");
    }
    let segments: Vec<&str> = rest.split('/').collect();
    let mut names = BTreeSet::new();
    for (position, segment) in segments.iter().enumerate() {
        let last = position + 1 == segments.len();
        if let Some(capture) = segment.strip_prefix('{') {
            let Some(capture) = capture.strip_suffix('}') else { return refuse("a `{name}` is a whole segment") };
            let (name, rest) = capture.strip_prefix('*').map_or((capture, false), |name| (name, true));
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
                return refuse("a name in braces is of letters, digits, `_` and `-`");
            }
            if rest && !last {
                return refuse("`{*name}` can only be at the end");
            }
            if !names.insert(name) {
                return refuse("it has one name twice");
            }
        } else if (segment.is_empty() && !(last && segments.len() == 1))
            || segment.contains(['{', '}', '?', '#', ' ', '%'])
        {
            return refuse("segments are not empty, and have no braces inside, blanks, `?`, `#` or `%`");
        }
    }
    Ok(())
}

fn outbound(manifest: &Manifest) -> Result<(), Refusal> {
    let mut names = BTreeSet::new();
    for (index, outbound) in manifest.outbound.iter().enumerate() {
        let place = || Place::key("outbound").at(index);
        host(&outbound.host).map_err(|text| (place().field("host"), text))?;
        for (number, budget) in outbound.budgets.iter().enumerate() {
            let place = || place().field("budgets").at(number);
            name(&budget.name).map_err(|text| (place().field("name"), text))?;
            method(&budget.method).map_err(|text| (place().field("method"), text))?;
            path(&budget.path).map_err(|text| (place().field("path"), text))?;
            if budget.rate_per_second.millihertz().is_none() {
                return Err((
                    place().field("rate_per_second"),
                    "is not a rate; write a number of requests a second from 0.001 to 1000000".to_owned(),
                ));
            }
            if budget.burst == 0 {
                return Err((place().field("burst"), "is 0; at least one request must fit".to_owned()));
            }
            if !names.insert(&budget.name) {
                return Err((place().field("name"), format!("`{}` is the name of another budget", budget.name)));
            }
        }
    }
    Ok(())
}

fn host(host: &str) -> Result<(), String> {
    if let Some(key) = host.strip_prefix("{config:") {
        return match key.strip_suffix('}') {
            Some(key) if !key.is_empty() => Ok(()),
            _ => Err(format!("`{host}` is not a host; write `{{config:KEY}}`")),
        };
    }
    let exact = host.strip_prefix("*.").unwrap_or(host);
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if exact.len() <= 253 && exact.split('.').all(label) {
        Ok(())
    } else {
        Err(format!(
            "`{host}` is not a host; write a lower-case name without scheme, port or path, such as `api.example.com` or `*.example.com`"
        ))
    }
}

fn jobs(manifest: &Manifest) -> Result<(), Refusal> {
    let mut names = BTreeSet::new();
    for (index, job) in manifest.jobs.iter().enumerate() {
        let place = || Place::key("jobs").at(index);
        name(&job.name).map_err(|text| (place().field("name"), text))?;
        if job.max_attempts == 0 {
            return Err((place().field("max_attempts"), "is 0; the first try counts".to_owned()));
        }
        if !names.insert(&job.name) {
            return Err((place().field("name"), format!("`{}` is declared twice", job.name)));
        }
        if let Some(budget) = &job.budget
            && !manifest.outbound.iter().flat_map(|outbound| &outbound.budgets).any(|known| known.name == *budget)
        {
            return Err((
                place().field("budget"),
                format!("`{budget}` is no budget; declare it under `outbound.budgets`"),
            ));
        }
    }
    let mut schedules = BTreeSet::new();
    for (index, schedule) in manifest.schedules.iter().enumerate() {
        let place = || Place::key("schedules").at(index);
        name(&schedule.name).map_err(|text| (place().field("name"), text))?;
        if !schedules.insert(&schedule.name) {
            return Err((place().field("name"), format!("`{}` is declared twice", schedule.name)));
        }
        if !(5..=6).contains(&schedule.cron.split_whitespace().count()) {
            return Err((place().field("cron"), format!("`{}` does not have five or six fields", schedule.cron)));
        }
        if !names.contains(&schedule.job) {
            return Err((place().field("job"), format!("`{}` is no job; declare it under `jobs`", schedule.job)));
        }
    }
    Ok(())
}

fn config(manifest: &Manifest) -> Result<(), Refusal> {
    match &manifest.config {
        Some(Config { schema: Some(_), schema_file: Some(_) }) => {
            Err((Place::key("config"), "has both `schema` and `schema_file`; keep one".to_owned()))
        }
        Some(Config { schema: Some(value), .. }) => {
            schema(value).map_err(|text| (Place::key("config").field("schema"), text))
        }
        _ => Ok(()),
    }?;
    let mut names = BTreeSet::new();
    for (index, secret) in manifest.secrets.iter().enumerate() {
        let place = || Place::key("secrets").at(index).field("name");
        name(&secret.name).map_err(|text| (place(), text))?;
        if !names.insert(&secret.name) {
            return Err((place(), format!("`{}` is declared twice", secret.name)));
        }
    }
    for (index, class) in manifest.data_classes.iter().enumerate() {
        if class.is_empty() || !class.split('.').all(|part| name(part).is_ok()) {
            return Err((
                Place::key("data_classes").at(index),
                format!("`{class}` is not a class of data; write it like `people.contact`"),
            ));
        }
    }
    Ok(())
}

/// A configuration is an object.
pub(super) fn schema(schema: &serde_json::Value) -> Result<(), String> {
    if schema.get("type").and_then(serde_json::Value::as_str) == Some("object") {
        Ok(())
    } else {
        Err("is not the JSON Schema of an object; it needs `type = \"object\"`".to_owned())
    }
}

fn limits(manifest: &Manifest) -> Result<(), Refusal> {
    let (asked, most) = (manifest.limits, PLUGIN_LIMITS_MAX);
    for (field, asked, most) in [
        ("fuel", asked.fuel, most.fuel),
        ("memory_bytes", asked.memory_bytes, most.memory_bytes),
        ("timeout_ms", asked.timeout_ms, most.timeout_ms),
        ("reads", asked.reads.map(u64::from), most.reads.into()),
        ("writes", asked.writes.map(u64::from), most.writes.into()),
        ("write_bytes", asked.write_bytes, most.write_bytes),
        ("events", asked.events.map(u64::from), most.events.into()),
        ("jobs", asked.jobs.map(u64::from), most.jobs.into()),
        ("service_calls", asked.service_calls.map(u64::from), most.service_calls.into()),
    ] {
        if let Some(asked) = asked.filter(|asked| *asked == 0 || *asked > most) {
            return Err((Place::key("limits").field(field), format!("{asked} cannot be had; from 1 to {most} can")));
        }
    }
    Ok(())
}
