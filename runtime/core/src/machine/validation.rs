//! Whether a set of plugins fits together. Everything wrong is said at once, one sentence each, with what to do.

use std::collections::{BTreeMap, BTreeSet};

use super::schedules::next_fire_ms;
use crate::error::Error;
use crate::ids::PluginId;
use crate::limits::{PLUGIN_LIMITS_MAX, PLUGINS_MAX};
use crate::revision::{InstalledPlugin, PluginSpec, same_track};

/// Checks a set of plugins, and caps the limits that they ask for.
pub fn check_plugins(
    mut plugins: BTreeMap<PluginId, InstalledPlugin>,
) -> Result<BTreeMap<PluginId, InstalledPlugin>, Error> {
    let mut problems = Vec::new();
    if plugins.len() > PLUGINS_MAX {
        problems.push(format!("{} plugins are more than {PLUGINS_MAX}", plugins.len()));
    }
    for (id, installed) in &plugins {
        if *id != installed.spec.id {
            problems.push(format!("plugin `{id}` says that its id is `{}`", installed.spec.id));
        }
        check_spec(&installed.spec, &mut problems);
        if !installed.config.is_object() && !installed.config.is_null() {
            problems.push(format!("the configuration of `{id}` is not a JSON object"));
        }
    }
    check_services(&plugins, &mut problems);
    if !problems.is_empty() {
        return Err(Error::RevisionInvalid(problems));
    }
    for installed in plugins.values_mut() {
        installed.spec.limits = installed.spec.limits.capped(PLUGIN_LIMITS_MAX);
    }
    Ok(plugins)
}

fn check_services(plugins: &BTreeMap<PluginId, InstalledPlugin>, problems: &mut Vec<String>) {
    let mut provided: Vec<(&str, Option<&str>, &PluginId)> = Vec::new();
    for (id, installed) in plugins {
        for provision in &installed.spec.provides {
            let name = provision.provider.as_deref();
            let other = provided
                .iter()
                .find(|(interface, other, _)| *other == name && same_track(interface, &provision.interface));
            if let Some((_, _, other)) = other {
                let what = name
                    .map_or_else(|| provision.interface.clone(), |name| format!("{} as `{name}`", provision.interface));
                problems.push(format!("`{other}` and `{id}` both provide {what}: remove one of them"));
            }
            provided.push((&provision.interface, name, id));
        }
    }
    for (id, installed) in plugins {
        for requirement in installed.spec.requires.iter().filter(|requirement| !requirement.optional) {
            let fits = |(interface, name, _): &(&str, Option<&str>, &PluginId)| {
                name.is_some() == requirement.many && same_track(interface, &requirement.interface)
            };
            if !provided.iter().any(fits) {
                problems.push(format!(
                    "`{id}` needs {}, which no plugin provides: install one that does",
                    requirement.interface
                ));
            }
        }
    }
}

fn check_spec(spec: &PluginSpec, problems: &mut Vec<String>) {
    let id = &spec.id;
    if let Err(error) = semver::Version::parse(&spec.version) {
        problems.push(format!("version `{}` of `{id}` is not a semantic version: {error}", spec.version));
    }
    for event_type in &spec.emits {
        if !is_event_type(event_type) {
            problems.push(format!(
                "`{id}` emits `{event_type}`, which is not an event type like `example.things.thing-done.v1`"
            ));
        }
    }
    for pattern in &spec.subscribes {
        let prefix = pattern.strip_suffix('*');
        let legal = match prefix {
            Some(prefix) => prefix.is_empty() || prefix.strip_suffix('.').is_some_and(is_event_type_part),
            None => is_event_type(pattern),
        };
        if !legal {
            problems.push(format!("`{id}` subscribes to `{pattern}`, which is neither an event type nor ends in `.*`"));
        }
    }
    unique("route", id, spec.routes.iter().map(|route| format!("{} {}", route.method, route.path)), problems);
    for route in spec.routes.iter().filter(|route| !route.path.starts_with('/')) {
        problems.push(format!("path `{}` of `{id}` does not begin with `/`", route.path));
    }
    check_jobs(spec, problems);
    unique("secret", id, spec.secrets.iter().map(|secret| secret.name.clone()), problems);
    for secret in spec.secrets.iter().filter(|secret| !is_name(&secret.name)) {
        problems.push(format!("`{}` of `{id}` is not a name for a secret", secret.name));
    }
}

fn check_jobs(spec: &PluginSpec, problems: &mut Vec<String>) {
    let id = &spec.id;
    let budgets: Vec<&str> =
        spec.outbound.iter().flat_map(|host| &host.budgets).map(|budget| budget.name.as_str()).collect();
    unique("rate budget", id, budgets.iter().map(|name| (*name).to_owned()), problems);
    for budget in spec.outbound.iter().flat_map(|host| &host.budgets) {
        if budget.rate_millihertz == 0 || budget.burst == 0 {
            problems.push(format!(
                "rate budget `{}` of `{id}` lets nothing through: give it a rate and a burst",
                budget.name
            ));
        }
    }
    unique("job", id, spec.jobs.iter().map(|job| job.name.clone()), problems);
    for job in &spec.jobs {
        if !is_name(&job.name) {
            problems.push(format!("`{}` of `{id}` is not a name for a job", job.name));
        }
        if let Some(budget) = job.budget.as_deref().filter(|budget| !budgets.contains(budget)) {
            problems.push(format!(
                "job `{}` of `{id}` names the rate budget `{budget}`, which it does not declare",
                job.name
            ));
        }
    }
    unique("schedule", id, spec.schedules.iter().map(|schedule| schedule.name.clone()), problems);
    for schedule in &spec.schedules {
        if !is_name(&schedule.name) {
            problems.push(format!("`{}` of `{id}` is not a name for a schedule", schedule.name));
        }
        if let Err(error) = next_fire_ms(schedule, 0) {
            problems.push(format!("schedule `{}` of `{id}`: {error}", schedule.name));
        }
        if !spec.jobs.iter().any(|job| job.name == schedule.job) {
            problems.push(format!(
                "schedule `{}` of `{id}` queues the job `{}`, which it does not declare",
                schedule.name, schedule.job
            ));
        }
    }
}

fn unique(what: &str, id: &PluginId, names: impl Iterator<Item = String>, problems: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.clone()) {
            problems.push(format!("`{id}` declares the {what} `{name}` twice"));
        }
    }
}

/// A name that can stand in a key: not empty, no 0x00, not endless.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 100 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn is_event_type(text: &str) -> bool {
    text.contains('.') && is_event_type_part(text)
}

fn is_event_type_part(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 200
        && text.split('.').all(|part| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        })
}
