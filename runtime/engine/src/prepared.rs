//! A plugin's component, compiled, checked against its manifest and linked as far as that is the same for every revision.

use std::collections::BTreeMap;
use std::fmt;

use kontor_core::ids::PluginId;
use kontor_core::revision::{PluginSpec, same_track};
use wasmtime::Engine;
use wasmtime::component::types::{ComponentInstance, ComponentItem};
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};

use crate::bindings::{event_handler, handler_types, http_handler, job_handler, lifecycle};
use crate::error::PrepareError;
use crate::execution::Guest;
use crate::long::Pace;
use crate::service;
use crate::surface::Surface;
use crate::types::{self, Function};

/// What the host gives, by interface.
const HOST_PACKAGE: &str = "kontor:host/";
const HTTP_HANDLER: &str = "kontor:host/http-handler@0.1.0";
const EVENT_HANDLER: &str = "kontor:host/event-handler@0.1.0";
const JOB_HANDLER: &str = "kontor:host/job-handler@0.1.0";
const LIFECYCLE: &str = "kontor:host/lifecycle@0.1.0";

/// A plugin that is ready to run. Shared by all revisions that have it.
pub struct Prepared {
    pub(crate) plugin: PluginId,
    pub(crate) digest: String,
    pub(crate) instance_pre: InstancePre<Guest>,
    pub(crate) http: Option<http_handler::GuestIndices>,
    pub(crate) event: Option<event_handler::GuestIndices>,
    pub(crate) job: Option<job_handler::GuestIndices>,
    pub(crate) lifecycle: lifecycle::GuestIndices,
    /// Service interfaces that it calls; the linker's closures know their position here.
    pub(crate) services: Vec<ServiceImport>,
    /// Service interfaces that it provides.
    pub(crate) provided: Vec<ServiceExport>,
    /// How long its executions take.
    pub(crate) pace: Pace,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("plugin", &self.plugin).field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl Prepared {
    /// The digest of the packed plugin.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The service interfaces that the component really calls.
    pub fn calls(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(|service| service.interface.as_str())
    }
}

/// A service interface that a plugin calls.
pub(crate) struct ServiceImport {
    pub(crate) interface: String,
    /// Whether the first parameter chooses among providers.
    pub(crate) many: bool,
    pub(crate) optional: bool,
    pub(crate) functions: Vec<(String, Function)>,
}

/// A service interface that a plugin provides.
pub(crate) struct ServiceExport {
    pub(crate) interface: String,
    pub(crate) functions: BTreeMap<String, (Function, ComponentExportIndex)>,
}

/// Checks a compiled component, with that `surface` before it was compiled, against the plugin's manifest and links it.
pub(crate) fn prepare(
    engine: &Engine,
    host: &Linker<Guest>,
    spec: &PluginSpec,
    component: &Component,
    surface: &Surface,
) -> Result<Prepared, PrepareError> {
    let services = service_imports(engine, spec, component, surface)?;
    let mut linker = host.clone();
    for (index, service) in services.iter().enumerate() {
        link_service(&mut linker, index, service).map_err(|error| invalid(&spec.id, &error))?;
    }
    let instance_pre = linker.instantiate_pre(component).map_err(|error| invalid(&spec.id, &error))?;
    let exports = Exports { spec, component, surface };
    let with_jobs = !spec.jobs.is_empty() || !spec.schedules.is_empty();
    Ok(Prepared {
        plugin: spec.id.clone(),
        digest: spec.digest.clone(),
        http: exports
            .handler::<(&handler_types::HttpRequest,), (handler_types::HttpResponse,)>(
                HTTP_HANDLER,
                "handle",
                !spec.routes.is_empty(),
                "the manifest declares routes",
            )?
            .then(|| http_handler::GuestIndices::new(&instance_pre))
            .transpose()
            .map_err(|error| invalid(&spec.id, &error))?,
        event: exports
            .handler::<(&handler_types::Event,), (Result<(), handler_types::HandlerError>,)>(
                EVENT_HANDLER,
                "handle",
                !spec.subscribes.is_empty(),
                "the manifest subscribes to events",
            )?
            .then(|| event_handler::GuestIndices::new(&instance_pre))
            .transpose()
            .map_err(|error| invalid(&spec.id, &error))?,
        job: exports
            .handler::<(&handler_types::Job,), (Result<(), handler_types::HandlerError>,)>(
                JOB_HANDLER,
                "run",
                with_jobs,
                "the manifest declares jobs",
            )?
            .then(|| job_handler::GuestIndices::new(&instance_pre))
            .transpose()
            .map_err(|error| invalid(&spec.id, &error))?,
        lifecycle: {
            exports.handler::<(Option<&str>, &str), (Result<Option<String>, handler_types::HandlerError>,)>(
                LIFECYCLE,
                "migrate",
                true,
                "every plugin has a lifecycle",
            )?;
            lifecycle::GuestIndices::new(&instance_pre).map_err(|error| invalid(&spec.id, &error))?
        },
        provided: exports.provided()?,
        instance_pre,
        services,
        pace: Pace::default(),
    })
}

fn invalid(plugin: &PluginId, error: &wasmtime::Error) -> PrepareError {
    PrepareError::Invalid { plugin: plugin.clone(), reason: format!("{error:#}") }
}

/// The service interfaces that the component calls. Refuses, by name, every import that is neither the host's nor a required service.
fn service_imports(
    engine: &Engine,
    spec: &PluginSpec,
    component: &Component,
    surface: &Surface,
) -> Result<Vec<ServiceImport>, PrepareError> {
    let refuse = |import: &str, reason: &str| PrepareError::Import {
        plugin: spec.id.clone(),
        import: import.to_owned(),
        reason: reason.to_owned(),
    };
    let component_type = component.component_type();
    let mut services = Vec::new();
    for (name, import) in component_type.imports(engine) {
        let instance = match import.ty {
            ComponentItem::ComponentInstance(instance) => instance,
            ComponentItem::Type(_) => continue,
            _ => return Err(refuse(name, "which the host does not give: plugins import interfaces only")),
        };
        if name.starts_with(HOST_PACKAGE) {
            // Unknown functions are named by the linker; an unknown interface is named here.
            host_interface(engine, name, &instance).map_err(|reason| refuse(name, reason))?;
            continue;
        }
        if name.starts_with("wasi:") {
            return Err(refuse(name, NO_WASI));
        }
        let functions = surface.imported(name).map_err(|item| refuse(&format!("{name}#{item}"), NO_RESOURCES))?;
        if functions.is_empty() {
            // An interface of which only types are used.
            continue;
        }
        let requirement = spec.requires.iter().find(|r| same_track(&r.interface, name));
        let Some(requirement) = requirement else {
            return Err(refuse(name, "which is neither given by the host nor listed under `requires` in the manifest"));
        };
        for (function, ty) in &functions {
            check_service_function(spec, name, function, ty, requirement.many)?;
        }
        services.push(ServiceImport {
            interface: name.to_owned(),
            many: requirement.many,
            optional: requirement.optional,
            functions,
        });
    }
    Ok(services)
}

const NO_WASI: &str =
    "which the host does not give: there is no WASI. Build the plugin for wasm32-unknown-unknown with the SDK";
const NO_RESOURCES: &str = "which is no function or plain type: service interfaces have no resources";

/// Whether the host gives this interface.
fn host_interface(engine: &Engine, name: &str, instance: &ComponentInstance) -> Result<(), &'static str> {
    const GIVEN: &[&str] = &[
        "kontor:host/config@0.1.0",
        "kontor:host/context@0.1.0",
        "kontor:host/events@0.1.0",
        "kontor:host/identity@0.1.0",
        "kontor:host/jobs@0.1.0",
        "kontor:host/log@0.1.0",
        "kontor:host/outbound@0.1.0",
        "kontor:host/secrets@0.1.0",
        "kontor:host/services@0.1.0",
        "kontor:host/store@0.1.0",
    ];
    let only_types = instance.exports(engine).all(|(_, item)| matches!(item.ty, ComponentItem::Type(_)));
    if only_types || GIVEN.iter().any(|given| same_track(given, name)) {
        return Ok(());
    }
    Err("which this host does not give: the plugin was built for another version of the host")
}

fn check_service_function(
    spec: &PluginSpec,
    interface: &str,
    function: &str,
    ty: &Function,
    many: bool,
) -> Result<(), PrepareError> {
    let chooses = || ty.params.first().is_some_and(|(_, ty)| **ty == types::STRING);
    let refusal = types::service_refusal(ty).or_else(|| {
        (many && !chooses())
            .then(|| "belongs to an extension point: its first parameter must be `provider: string`".to_owned())
    });
    match refusal {
        None => Ok(()),
        Some(reason) => Err(PrepareError::Function {
            plugin: spec.id.clone(),
            interface: interface.to_owned(),
            function: function.to_owned(),
            reason,
        }),
    }
}

/// Links a service's functions to closures that look the provider up when they are called, in the revision of the running execution.
fn link_service(linker: &mut Linker<Guest>, index: usize, service: &ServiceImport) -> wasmtime::Result<()> {
    let mut instance = linker.instance(&service.interface)?;
    for (position, (function, _)) in service.functions.iter().enumerate() {
        instance.func_new_async(function, move |store, _ty, params, results| {
            Box::new(service::call_service(store, index, position, params, results))
        })?;
    }
    Ok(())
}

/// The exports of a component, as its manifest wants them.
struct Exports<'a> {
    spec: &'a PluginSpec,
    component: &'a Component,
    surface: &'a Surface,
}

impl Exports<'_> {
    fn missing(&self, export: &str, reason: &str) -> PrepareError {
        PrepareError::Export { plugin: self.spec.id.clone(), export: export.to_owned(), reason: reason.to_owned() }
    }

    /// Whether the handler is there; an error if it is needed and is not, or has another type than the contract says.
    fn handler<P, R>(&self, interface: &str, function: &str, needed: bool, because: &str) -> Result<bool, PrepareError>
    where
        P: wasmtime::component::ComponentNamedList + wasmtime::component::Lower,
        R: wasmtime::component::ComponentNamedList + wasmtime::component::Lift,
    {
        let found = self
            .component
            .get_export_index(None, interface)
            .and_then(|instance| self.component.get_export(Some(&instance), function));
        let ty = match found {
            Some((ComponentItem::ComponentFunc(ty), _)) => ty,
            _ if needed => return Err(self.missing(&format!("{interface}#{function}"), because)),
            _ => return Ok(false),
        };
        let component_type = self.component.component_type();
        ty.typecheck::<P, R>(&component_type.instance_type()).map_err(|error| PrepareError::Function {
            plugin: self.spec.id.clone(),
            interface: interface.to_owned(),
            function: function.to_owned(),
            reason: format!("has another type than the contract says: {error:#}"),
        })?;
        Ok(true)
    }

    /// The service interfaces that the manifest promises.
    fn provided(&self) -> Result<Vec<ServiceExport>, PrepareError> {
        let mut provided: Vec<ServiceExport> = Vec::new();
        for promise in &self.spec.provides {
            if provided.iter().any(|export| export.interface == promise.interface) {
                continue;
            }
            let (ty, index) = self
                .component
                .get_export(None, promise.interface.as_str())
                .ok_or_else(|| self.missing(&promise.interface, "the manifest lists it under `provides`"))?;
            let ComponentItem::ComponentInstance(_) = ty else {
                return Err(self.missing(&promise.interface, "the export of that name is no interface"));
            };
            let functions = self
                .surface
                .exported(&promise.interface)
                .map_err(|item| self.missing(&format!("{}#{item}", promise.interface), NO_RESOURCES))?;
            let mut indexed = BTreeMap::new();
            for (function, ty) in functions {
                let many = promise.provider.is_some();
                check_service_function(self.spec, &promise.interface, &function, &ty, many)?;
                let export = self
                    .component
                    .get_export_index(Some(&index), function.as_str())
                    .ok_or_else(|| self.missing(&format!("{}#{function}", promise.interface), "it cannot be found"))?;
                indexed.insert(function, (ty, export));
            }
            provided.push(ServiceExport { interface: promise.interface.clone(), functions: indexed });
        }
        Ok(provided)
    }
}
