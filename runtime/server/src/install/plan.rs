//! From changes to the next set of plugins. Nothing is written here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kontor_core::ids::PluginId;
use kontor_core::limits::{PLUGIN_LIMITS_MAX, PluginLimits};
use kontor_core::revision::{Grants, InstalledPlugin, PluginSpec, Revision};

use super::{config, grants, permissions, prepare};
use crate::api::{Change, ChangeResult, ChangeSet, ConfigureChange, InstallChange, PackageSignature, PermissionScreen};
use crate::hosted::RESERVED_PLUGIN_IDS;
use crate::problem::{Code, Problem};
use crate::state::{State, shorten};

/// What the changes come to.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) plugins: BTreeMap<PluginId, InstalledPlugin>,
    screens: Vec<PermissionScreen>,
    notes: Vec<String>,
    steps: Vec<String>,
    removed: BTreeMap<PluginId, InstalledPlugin>,
}

/// Applies the changes, one by one, to what is installed. Code of new packages is made ready on the way, so what cannot run is found before
/// anything is asked of the merchant.
pub(crate) async fn plan(state: &Arc<State>, current: &Revision, set: &ChangeSet) -> Result<Plan, Problem> {
    let mut plan = Plan { plugins: current.plugins.clone(), ..Plan::default() };
    for change in &set.changes {
        match change {
            Change::Install(install) => plan.install(state, current, install).await?,
            Change::Configure(configure) => plan.configure(current, configure)?,
            Change::Remove(remove) => plan.remove(&remove.plugin)?,
        }
    }
    Ok(plan)
}

impl Plan {
    async fn install(&mut self, state: &Arc<State>, current: &Revision, change: &InstallChange) -> Result<(), Problem> {
        let unpacked = state.packages.load(&change.digest).await?;
        accept_signature(state.dev_mode, unpacked.signature, &unpacked.spec)?;
        let mut spec = (*unpacked.spec).clone();
        if RESERVED_PLUGIN_IDS.contains(&spec.id.as_str()) {
            return Err(Problem::new(
                Code::PluginRefused,
                format!("`{}` is a name of the host's own pages; rename the plugin.", spec.id),
            ));
        }
        cap(&mut spec.limits);
        let before = self.plugins.get(&spec.id).cloned();
        if let Some(before) = &before {
            check_version(before, &spec, change.allow_downgrade)?;
        }
        prepare(state, spec.id.as_str(), &unpacked).await?;
        let given = change.config.clone().or_else(|| before.as_ref().map(|b| b.config.clone()));
        let config = config::complete(&spec, given)?;
        let old_grants = before.as_ref().map(|b| b.grants.clone()).unwrap_or_default();
        let grants = grants::granted(&spec, &config, &old_grants, &change.grant)?;
        self.steps.push(match &before {
            Some(b) if b.spec.version != spec.version => {
                format!("upgrade {} {} to {}", spec.id, b.spec.version, spec.version)
            }
            _ => format!("install {} {}", spec.id, spec.version),
        });
        self.put(current, InstalledPlugin { spec, grants, config });
        Ok(())
    }

    fn configure(&mut self, current: &Revision, change: &ConfigureChange) -> Result<(), Problem> {
        let mut next = self.installed(&change.plugin)?.1.clone();
        if let Some(given) = &change.config {
            next.config = config::complete(&next.spec, Some(given.clone()))?;
        }
        next.grants = match &change.grant {
            Some(request) => grants::granted(&next.spec, &next.config, &Grants::default(), request)?,
            None => grants::granted(&next.spec, &next.config, &next.grants, &crate::api::GrantRequest::default())?,
        };
        self.steps.push(format!("configure {}", next.spec.id));
        self.put(current, next);
        Ok(())
    }

    fn remove(&mut self, plugin: &str) -> Result<(), Problem> {
        let id = self.installed(plugin)?.0.clone();
        if let Some(removed) = self.plugins.remove(&id) {
            self.steps.push(format!("remove {id}"));
            self.notes.push(format!("The data of `{id}` is kept and is there again when it is installed again."));
            self.screens.retain(|s| s.plugin != id.as_str());
            self.removed.insert(id, removed);
        }
        Ok(())
    }

    fn put(&mut self, current: &Revision, next: InstalledPlugin) {
        let screen = permissions::screen(current.plugins.get(&next.spec.id), &next);
        for ask in screen.asks.iter().filter(|a| !a.granted) {
            self.notes.push(format!("`{}` asks for this without being granted it: {}", next.spec.id, ask.words));
        }
        self.screens.retain(|s| s.plugin != screen.plugin);
        self.screens.push(screen);
        self.plugins.insert(next.spec.id.clone(), next);
    }

    fn installed(&self, plugin: &str) -> Result<(&PluginId, &InstalledPlugin), Problem> {
        self.plugins
            .iter()
            .find(|(id, _)| id.as_str() == plugin)
            .ok_or_else(|| Problem::not_found(format!("The plugin `{}` is not installed.", shorten(plugin))))
    }

    /// Every required service has a provider, and one only.
    pub(crate) fn check_services(&self) -> Result<(), Problem> {
        let next = self.as_revision();
        let mut needed_of_removed: BTreeMap<&PluginId, BTreeSet<&str>> = BTreeMap::new();
        let mut missing = Vec::new();
        for (id, plugin) in &next.plugins {
            for requirement in plugin.spec.requires.iter().filter(|r| !r.optional && !r.many) {
                if next.provider(&requirement.interface).is_some() {
                    continue;
                }
                let was = Revision { plugins: self.removed.clone(), ..Revision::default() };
                match was.provider(&requirement.interface).and_then(|p| self.removed.get_key_value(p)) {
                    Some((removed, _)) => {
                        needed_of_removed.entry(removed).or_default().insert(id.as_str());
                    }
                    None => missing.push(format!("`{id}` requires `{}`", requirement.interface)),
                }
            }
        }
        if let Some((removed, by)) = needed_of_removed.first_key_value() {
            let by: Vec<String> = by.iter().map(|p| (*p).to_owned()).collect();
            let detail = format!(
                "`{removed}` cannot be removed: {} need its services. Remove them too, or keep it.",
                by.join(", ")
            );
            return Err(Problem::new(Code::StillRequired, detail).with("required_by", by));
        }
        if !missing.is_empty() {
            let detail = format!(
                "{}, and no installed plugin provides it. Install one that does, in the same set of changes or before.",
                missing.join("; ")
            );
            return Err(Problem::new(Code::ServiceMissing, detail).with("missing", missing));
        }
        self.check_unique()
    }

    fn check_unique(&self) -> Result<(), Problem> {
        let mut providers: Vec<(&PluginId, &str, Option<&str>)> = Vec::new();
        for (id, plugin) in &self.plugins {
            for provision in &plugin.spec.provides {
                let name = provision.provider.as_deref();
                let other = providers.iter().find(|(other, interface, provider)| {
                    *other != id
                        && *provider == name
                        && kontor_core::revision::same_track(interface, &provision.interface)
                });
                if let Some((other, interface, _)) = other {
                    return Err(Problem::new(
                        Code::ServiceAmbiguous,
                        format!("`{other}` and `{id}` both provide `{interface}`. Install only one of them."),
                    ));
                }
                providers.push((id, &provision.interface, name));
            }
        }
        Ok(())
    }

    /// The next set of plugins as a revision without a number.
    pub(crate) fn as_revision(&self) -> Revision {
        Revision { plugins: self.plugins.clone(), ..Revision::default() }
    }

    /// What was done, for the list of revisions.
    pub(crate) fn reason(&self) -> String {
        self.steps.join(", ")
    }

    /// The answer to the client.
    pub(crate) fn result(self, applied: bool, revision: u64) -> ChangeResult {
        ChangeResult { applied, revision, permissions: self.screens, notes: self.notes }
    }
}

/// Outside dev mode only a publisher's signature counts.
pub(crate) fn accept_signature(dev_mode: bool, signature: PackageSignature, spec: &PluginSpec) -> Result<(), Problem> {
    let what = match signature {
        PackageSignature::Publisher => return Ok(()),
        _ if dev_mode => return Ok(()),
        PackageSignature::Unknown => "signed with a key that this host does not trust",
        PackageSignature::Development => "signed with the development key only",
        PackageSignature::None => "not signed",
    };
    Err(Problem::new(
        Code::PackageUnsigned,
        format!(
            "The package of `{}` is {what}. Get one that a trusted publisher signed (the host's options name the trusted keys), or start the host in dev mode to try it.",
            spec.id
        ),
    ))
}

fn check_version(before: &InstalledPlugin, next: &PluginSpec, allow_downgrade: bool) -> Result<(), Problem> {
    let same_package = before.spec.digest == next.digest;
    let parse = |text: &str| semver::Version::parse(text).ok();
    let higher = match (parse(&before.spec.version), parse(&next.version)) {
        (Some(old), Some(new)) => new > old,
        _ => false,
    };
    if same_package || higher || allow_downgrade {
        return Ok(());
    }
    Err(Problem::new(
        Code::NotAnUpgrade,
        format!(
            "`{}` is installed in version {}; {} is not higher. Use rollback to return to an earlier revision, or allow the downgrade.",
            next.id, before.spec.version, next.version
        ),
    ))
}

/// What is asked for above the host's limits is cut to them.
fn cap(limits: &mut PluginLimits) {
    let max = PLUGIN_LIMITS_MAX;
    *limits = PluginLimits {
        fuel: limits.fuel.min(max.fuel),
        memory_bytes: limits.memory_bytes.min(max.memory_bytes),
        timeout_ms: limits.timeout_ms.min(max.timeout_ms),
        reads: limits.reads.min(max.reads),
        writes: limits.writes.min(max.writes),
        write_bytes: limits.write_bytes.min(max.write_bytes),
        events: limits.events.min(max.events),
        jobs: limits.jobs.min(max.jobs),
        service_calls: limits.service_calls.min(max.service_calls),
    };
}
