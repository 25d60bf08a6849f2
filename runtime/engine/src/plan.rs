//! How the plugins of one revision reach one another: resolved once per revision, so that a call is a few array accesses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kontor_core::ids::PluginId;
use kontor_core::limits::{PLUGIN_LIMITS_MAX, PluginLimits};
use kontor_core::revision::{Revision, same_track};
use wasmtime::component::ComponentExportIndex;

use crate::error::LinkProblem;
use crate::habit::Habit;
use crate::prepared::{Prepared, ServiceExport, ServiceImport};
use crate::types;

/// A revision, resolved.
pub(crate) struct Plan {
    /// No two plans of a process have the same.
    pub(crate) number: u64,
    /// By the order of the revision; everything else names plugins by their position here.
    pub(crate) plugins: Vec<PlannedPlugin>,
}

/// A plugin in a revision.
pub(crate) struct PlannedPlugin {
    pub(crate) id: PluginId,
    /// The digest that the revision names.
    pub(crate) digest: String,
    /// Missing: a call to it is a host fault.
    pub(crate) prepared: Option<Arc<Prepared>>,
    /// As granted, capped.
    pub(crate) limits: PluginLimits,
    /// The merchant's configuration, as JSON text: every instance asks for it.
    pub(crate) config: String,
    /// Where its service imports lead, by their position in [`Prepared::services`].
    pub(crate) services: Vec<Target>,
    /// By the position of its routes: whether keeping their responses pays.
    pub(crate) routes: Vec<Habit>,
}

/// Where calls of a service import lead.
pub(crate) enum Target {
    /// Nowhere.
    Nobody,
    /// To the one provider.
    One(Edge),
    /// To the provider that the first parameter names.
    Many(BTreeMap<String, Edge>),
}

/// A provider of a service import.
pub(crate) struct Edge {
    /// Its position in the plan.
    pub(crate) provider: usize,
    /// The provider's functions, by the position of the caller's; or why one cannot be called.
    pub(crate) functions: Vec<Result<ComponentExportIndex, Box<LinkProblem>>>,
    /// By the position of the caller's function: whether keeping its answers pays.
    pub(crate) habits: Vec<Habit>,
}

impl Plan {
    /// Resolves a revision.
    pub(crate) fn new(revision: &Revision, lookup: impl Fn(&str) -> Option<Arc<Prepared>>) -> Self {
        let prepared: Vec<(&PluginId, Option<Arc<Prepared>>)> =
            revision.plugins.iter().map(|(id, plugin)| (id, lookup(&plugin.spec.digest))).collect();
        let plugins = revision
            .plugins
            .iter()
            .zip(&prepared)
            .map(|((id, plugin), (_, code))| PlannedPlugin {
                id: id.clone(),
                digest: plugin.spec.digest.clone(),
                prepared: code.clone(),
                limits: plugin.spec.limits.capped(PLUGIN_LIMITS_MAX),
                config: plugin.config.to_string(),
                services: code
                    .iter()
                    .flat_map(|code| &code.services)
                    .map(|import| resolve(revision, &prepared, id, import))
                    .collect(),
                routes: plugin.spec.routes.iter().map(|_| Habit::default()).collect(),
            })
            .collect();
        static PLANS: AtomicU64 = AtomicU64::new(0);
        Self { number: PLANS.fetch_add(1, Ordering::Relaxed), plugins }
    }

    /// The position of a plugin.
    pub(crate) fn position(&self, plugin: &PluginId) -> Option<usize> {
        self.plugins.iter().position(|planned| planned.id == *plugin)
    }

    /// Everything that keeps this revision from being switched on.
    pub(crate) fn problems(&self, revision: &Revision) -> Vec<LinkProblem> {
        let mut problems = two_providers(revision);
        for plugin in &self.plugins {
            let Some(code) = &plugin.prepared else {
                problems.push(LinkProblem::NotPrepared { plugin: plugin.id.clone(), digest: plugin.digest.clone() });
                continue;
            };
            for (import, target) in code.services.iter().zip(&plugin.services) {
                let edges: Vec<&Edge> = match target {
                    Target::Nobody => Vec::new(),
                    Target::One(edge) => vec![edge],
                    Target::Many(edges) => edges.values().collect(),
                };
                if edges.is_empty() && !import.optional && !provider_not_loaded(self, revision, &import.interface) {
                    problems.push(LinkProblem::NoProvider {
                        plugin: plugin.id.clone(),
                        interface: import.interface.clone(),
                    });
                }
                let broken = edges.iter().flat_map(|edge| &edge.functions);
                problems.extend(
                    broken.filter_map(|function| function.as_ref().err().map(|problem| LinkProblem::clone(problem))),
                );
            }
        }
        problems
    }
}

/// Whether an interface has a provider in the revision whose code is missing: that is then the problem.
fn provider_not_loaded(plan: &Plan, revision: &Revision, interface: &str) -> bool {
    let missing = |plugin: &PluginId| {
        plan.position(plugin)
            .and_then(|position| plan.plugins.get(position))
            .is_some_and(|planned| planned.prepared.is_none())
    };
    revision.provider(interface).is_some_and(missing) || revision.providers(interface).into_values().any(missing)
}

fn two_providers(revision: &Revision) -> Vec<LinkProblem> {
    let mut problems = Vec::new();
    let provisions: Vec<_> = revision
        .plugins
        .iter()
        .flat_map(|(id, plugin)| plugin.spec.provides.iter().map(move |provision| (id, provision)))
        .collect();
    for (index, (first, one)) in provisions.iter().enumerate() {
        for (second, other) in provisions.iter().skip(index + 1) {
            if first != second && one.provider == other.provider && same_track(&one.interface, &other.interface) {
                problems.push(LinkProblem::TwoProviders {
                    first: (*first).clone(),
                    second: (*second).clone(),
                    interface: one.interface.clone(),
                    provider: one.provider.clone(),
                });
            }
        }
    }
    problems
}

fn resolve(
    revision: &Revision,
    prepared: &[(&PluginId, Option<Arc<Prepared>>)],
    caller: &PluginId,
    import: &ServiceImport,
) -> Target {
    let edge = |provider: &PluginId| {
        let (position, code) = prepared
            .iter()
            .enumerate()
            .find_map(|(position, (id, code))| (*id == provider).then_some((position, code.as_ref()?)))?;
        let export = code.provided.iter().find(|export| same_track(&export.interface, &import.interface))?;
        let functions = functions(caller, import, provider, export);
        let habits = functions.iter().map(|_| Habit::default()).collect();
        Some(Edge { provider: position, functions, habits })
    };
    if import.many {
        return Target::Many(
            revision
                .providers(&import.interface)
                .into_iter()
                .filter_map(|(name, plugin)| Some((name.to_owned(), edge(plugin)?)))
                .collect(),
        );
    }
    revision.provider(&import.interface).and_then(edge).map_or(Target::Nobody, Target::One)
}

fn functions(
    caller: &PluginId,
    import: &ServiceImport,
    provider: &PluginId,
    export: &ServiceExport,
) -> Vec<Result<ComponentExportIndex, Box<LinkProblem>>> {
    import
        .functions
        .iter()
        .map(|(name, expected)| {
            let Some((found, index)) = export.functions.get(name) else {
                return Err(Box::new(LinkProblem::NoFunction {
                    plugin: caller.clone(),
                    provider: provider.clone(),
                    interface: import.interface.clone(),
                    function: name.clone(),
                }));
            };
            match types::difference(expected, found) {
                None => Ok(*index),
                Some(difference) => Err(Box::new(LinkProblem::TypeMismatch {
                    plugin: caller.clone(),
                    provider: provider.clone(),
                    interface: import.interface.clone(),
                    function: name.clone(),
                    place: difference.place,
                    expected: difference.left,
                    found: difference.right,
                })),
            }
        })
        .collect()
}
