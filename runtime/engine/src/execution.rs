//! One execution: the context that moves from store to store, the instances that it made, and calls between plugins.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use kontor_core::executor::{Call, ExecutionError, Reply, Usage};
use kontor_core::ids::PluginId;
use kontor_core::revision::Revision;
use kontor_core::transaction::{OperationError, Savepoint, Transaction};
use tracing::Instrument;
use wasmtime::component::{ComponentExportIndex, Instance, Val};
use wasmtime::{Store, StoreContextMut};

use crate::entry;
use crate::host;
use crate::limits;
use crate::meter::Meter;
use crate::plan::{Edge, Plan, Target};
use crate::prepared::Prepared;
use crate::stop::{self, Failure, Stop};

/// Everything that belongs to one execution.
pub(crate) struct Context {
    pub(crate) transaction: Box<Transaction>,
    pub(crate) revision: Arc<Revision>,
    pub(crate) plan: Arc<Plan>,
    /// Instances that are not running, by position in the plan.
    instances: Vec<Option<Box<Live>>>,
    /// By position in the plan.
    usage: Vec<Used>,
    /// Positions in the order first called.
    first_called: Vec<usize>,
    /// Counts calls, to tell which instances took part in what is undone.
    calls: u64,
    /// Set once: why the whole execution is given up, whatever the guests make of it.
    abort: Option<ExecutionError>,
    salvage: Weak<Salvage>,
}

/// What a plugin used in this execution, over all its instances.
#[derive(Clone, Debug, Default)]
struct Used {
    usage: Usage,
    limit_refusals: u32,
}

/// An instance that is not running.
pub(crate) struct Live {
    pub(crate) store: Store<Guest>,
    pub(crate) instance: Instance,
    fuel: u64,
    last_call: u64,
}

/// Where a context goes when the future that held it is dropped or panics: the machine gets its transaction back whatever happens.
#[derive(Default)]
pub(crate) struct Salvage(Mutex<Option<Box<Context>>>);

impl Salvage {
    /// The context, if it was left behind.
    pub(crate) fn take(&self) -> Option<Box<Context>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Holds the context, or nothing while it is elsewhere. Dropped with it, it hands it to the salvage.
#[derive(Default)]
pub(crate) struct Held(Option<Box<Context>>);

impl Held {
    pub(crate) fn new(context: Box<Context>) -> Self {
        Self(Some(context))
    }

    pub(crate) fn get(&mut self) -> wasmtime::Result<&mut Context> {
        match &mut self.0 {
            Some(context) => Ok(context),
            None => Err(Stop::detached().into_error()),
        }
    }

    fn take(&mut self) -> Self {
        Self(self.0.take())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(context) = self.0.take()
            && let Some(salvage) = context.salvage.upgrade()
        {
            *salvage.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(context);
        }
    }
}

/// The data of a plugin's store.
pub(crate) struct Guest {
    held: Held,
    /// The plugin's position in the plan.
    position: usize,
    meter: Meter,
}

impl Guest {
    /// The context of the running execution; an error once it was given up.
    pub(crate) fn context(&mut self) -> wasmtime::Result<&mut Context> {
        let context = self.held.get()?;
        if context.abort.is_some() {
            return Err(Stop::aborted().into_error());
        }
        Ok(context)
    }

    /// This plugin's position in the plan.
    pub(crate) fn position(&self) -> usize {
        self.position
    }
}

impl Context {
    pub(crate) fn new(
        transaction: Box<Transaction>,
        revision: Arc<Revision>,
        plan: Arc<Plan>,
        salvage: &Arc<Salvage>,
    ) -> Self {
        let plugins = plan.plugins.len();
        Self {
            transaction,
            revision,
            plan,
            instances: std::iter::repeat_with(|| None).take(plugins).collect(),
            usage: vec![Used::default(); plugins],
            first_called: Vec::new(),
            calls: 0,
            abort: None,
            salvage: Arc::downgrade(salvage),
        }
    }

    /// Gives the whole execution up. The first reason counts.
    pub(crate) fn abort(&mut self, reason: ExecutionError) -> wasmtime::Error {
        self.abort.get_or_insert(reason);
        Stop::aborted().into_error()
    }

    /// Counts a refusal for a used-up limit, and stops the guest that ignores them.
    pub(crate) fn refused_for_limit(
        &mut self,
        position: usize,
        code: &'static str,
        what: &str,
    ) -> wasmtime::Result<()> {
        let Some(used) = self.usage.get_mut(position) else {
            return Err(Stop::detached().into_error());
        };
        used.limit_refusals += 1;
        if used.limit_refusals > limits::LIMIT_REFUSALS_MAX {
            return Err(Stop::new(code, format!("it went on after being refused: {what}")).into_error());
        }
        Ok(())
    }

    /// Ends the execution: what is left for the machine.
    pub(crate) fn finish(mut self) -> (Box<Transaction>, Option<ExecutionError>, Vec<(PluginId, Usage)>) {
        for position in 0..self.instances.len() {
            self.retire(position);
        }
        let usage = self
            .first_called
            .iter()
            .filter_map(|&position| {
                let id = self.plan.plugins.get(position)?.id.clone();
                Some((id, self.usage.get(position)?.usage.clone()))
            })
            .collect();
        (self.transaction, self.abort.take(), usage)
    }

    /// Drops the instance at `position`, if it is there, and books what it used.
    fn retire(&mut self, position: usize) {
        if let Some(live) = self.instances.get_mut(position).and_then(Option::take) {
            self.book(position, &live.store, live.fuel);
        }
    }

    /// Books what an instance that is about to be dropped used of the fuel that it was given.
    fn book(&mut self, position: usize, store: &Store<Guest>, given_fuel: u64) {
        let left = store.get_fuel().unwrap_or(0);
        if let Some(used) = self.usage.get_mut(position) {
            used.usage.fuel = used.usage.fuel.saturating_add(given_fuel.saturating_sub(left));
            used.usage.memory_bytes = used.usage.memory_bytes.max(store.data().meter.peak_bytes());
        }
    }

    /// Drops every instance that took part in what is being undone: its memory may remember it.
    fn retire_since(&mut self, call: u64) {
        for position in 0..self.instances.len() {
            let took_part = matches!(self.instances.get(position), Some(Some(live)) if live.last_call >= call);
            if took_part {
                self.retire(position);
            }
        }
    }
}

/// What a call asks of the callee.
pub(crate) enum Work<'a> {
    /// A function of a service.
    Service { export: ComponentExportIndex, params: &'a [Val], results: &'a mut [Val] },
    /// A handler, at the start of a chain.
    Entry(&'a Call),
}

/// What the callee made of it.
pub(crate) enum Outcome {
    /// A service returned; the result is in its place.
    Returned,
    /// A service returned an error; it is in the result's place.
    ReturnedError,
    /// A handler returned.
    Replied(Result<Reply, ExecutionError>),
    /// The machine refused the call before it began.
    Refused(OperationError),
    /// The callee was stopped.
    Stopped(Stop),
    /// The whole execution is given up; the reason is in the context.
    Aborted,
}

/// Calls a plugin as a sub-transaction: what it did is kept only if it succeeded.
pub(crate) async fn invoke(mut held: Held, position: usize, work: Work<'_>) -> (Held, Outcome) {
    let entered = match held.get() {
        Ok(context) => enter(context, position),
        Err(_) => return (held, Outcome::Aborted),
    };
    let (prepared, savepoint, call) = match entered {
        Ok(entered) => entered,
        Err(outcome) => return (held, outcome),
    };
    let (returned, result) = run(held, position, &prepared, call, work).await;
    held = returned;
    let Ok(context) = held.get() else {
        return (held, Outcome::Aborted);
    };
    let (outcome, keep) = judge(context, position, result);
    context.transaction.leave(savepoint, keep);
    if !keep {
        context.retire_since(call);
    }
    (held, outcome)
}

/// The beginning of a call: enters the transaction and counts.
fn enter(context: &mut Context, position: usize) -> Result<(Arc<Prepared>, Savepoint, u64), Outcome> {
    if context.abort.is_some() {
        return Err(Outcome::Aborted);
    }
    let plan = Arc::clone(&context.plan);
    let Some(planned) = plan.plugins.get(position) else {
        return Err(Outcome::Aborted);
    };
    let Some(prepared) = &planned.prepared else {
        context.abort(ExecutionError::Host(format!("the code of {} ({}) is not loaded", planned.id, planned.digest)));
        return Err(Outcome::Aborted);
    };
    let savepoint = match context.transaction.enter(&planned.id) {
        Ok(savepoint) => savepoint,
        Err(OperationError::Store(error)) => {
            context.abort(host::store_failure(error));
            return Err(Outcome::Aborted);
        }
        Err(refused) => return Err(Outcome::Refused(refused)),
    };
    context.calls += 1;
    if let Some(used) = context.usage.get_mut(position) {
        if used.usage.calls == 0 {
            context.first_called.push(position);
        }
        used.usage.calls += 1;
    }
    Ok((Arc::clone(prepared), savepoint, context.calls))
}

/// What a call that ended means, and whether its effects are kept.
fn judge(context: &mut Context, position: usize, result: wasmtime::Result<Outcome>) -> (Outcome, bool) {
    if context.abort.is_some() {
        return (Outcome::Aborted, false);
    }
    match result {
        Ok(Outcome::Replied(reply)) => {
            let keep = matches!(&reply, Ok(Reply::Http(response)) if response.status < 400)
                || matches!(&reply, Ok(Reply::Done | Reply::Migrated(_)));
            (Outcome::Replied(reply), keep)
        }
        Ok(outcome) => {
            let keep = matches!(outcome, Outcome::Returned);
            (outcome, keep)
        }
        Err(error) => match stop::classify(&error) {
            Failure::Stopped(stop) => (Outcome::Stopped(stop), false),
            Failure::PoolExhausted(message) => {
                let plugin = context.plan.plugins.get(position).map(|planned| planned.id.clone());
                tracing::warn!(?plugin, message, "no instance is free");
                context.abort(ExecutionError::Unavailable(format!("too much runs at once: {message}")));
                (Outcome::Aborted, false)
            }
        },
    }
}

/// Runs the work in the plugin's instance, which is made if there is none. The instance is kept for later calls if it is fit for them.
async fn run(
    held: Held,
    position: usize,
    prepared: &Arc<Prepared>,
    call: u64,
    work: Work<'_>,
) -> (Held, wasmtime::Result<Outcome>) {
    let mut live = match instance(held, position, prepared).await {
        Ok(live) => live,
        Err((held, error)) => return (held, Err(error)),
    };
    live.last_call = call;
    let result = match work {
        Work::Entry(entry) => entry::call(prepared, &mut live, entry).await.map(Outcome::Replied),
        Work::Service { export, params, results } => match live.instance.get_func(&mut live.store, export) {
            Some(function) => {
                function.call_async(&mut live.store, params, &mut *results).await.map(|()| match results.first() {
                    Some(Val::Result(Err(_))) => Outcome::ReturnedError,
                    _ => Outcome::Returned,
                })
            }
            None => Err(Stop::new(stop::TYPE_MISMATCH, "it has no such function").into_error()),
        },
    };
    let mut held = live.store.data_mut().held.take();
    if let Ok(context) = held.get() {
        if result.is_ok() {
            if let Some(slot) = context.instances.get_mut(position) {
                *slot = Some(live);
            }
        } else {
            // A trap leaves the whole store unusable.
            context.book(position, &live.store, live.fuel);
        }
    }
    (held, result)
}

/// The plugin's instance of this execution, with the context moved into its store.
async fn instance(
    mut held: Held,
    position: usize,
    prepared: &Arc<Prepared>,
) -> Result<Box<Live>, (Held, wasmtime::Error)> {
    let (existing, limits, used_fuel) = match held.get() {
        Ok(context) => {
            let limits = context.plan.plugins.get(position).map(|planned| planned.limits);
            let used = context.usage.get(position).map_or(0, |used| used.usage.fuel);
            let existing = context.instances.get_mut(position).and_then(Option::take);
            (existing, limits.unwrap_or_default(), used)
        }
        Err(error) => return Err((held, error)),
    };
    if let Some(mut live) = existing {
        live.store.data_mut().held = held;
        return Ok(live);
    }
    let guest = Guest { held, position, meter: Meter::new(limits.memory_bytes) };
    let mut store = Store::new(prepared.instance_pre.engine(), guest);
    store.limiter(|guest| &mut guest.meter);
    store.set_hostcall_fuel(limits::HOSTCALL_BYTES_MAX);
    // An instance that replaces a dropped one goes on with what is left.
    let fuel = limits.fuel.saturating_sub(used_fuel);
    let fuelled =
        store.set_fuel(fuel).and_then(|()| store.fuel_async_yield_interval(Some(limits::FUEL_YIELD_INTERVAL)));
    let instantiated = match fuelled {
        Ok(()) => prepared.instance_pre.instantiate_async(&mut store).await,
        Err(error) => Err(error),
    };
    match instantiated {
        Ok(instance) => Ok(Box::new(Live { store, instance, fuel, last_call: 0 })),
        Err(error) => {
            let mut held = store.data_mut().held.take();
            if let Ok(context) = held.get() {
                context.book(position, &store, fuel);
            }
            Err((held, error))
        }
    }
}

/// A guest calls a function of a service: the import with these positions in [`Prepared::services`].
pub(crate) async fn call_service<'a>(
    mut store: StoreContextMut<'a, Guest>,
    service: usize,
    function: usize,
    params: &'a [Val],
    results: &'a mut [Val],
) -> wasmtime::Result<()> {
    let position = store.data().position;
    let plan = Arc::clone(&store.data_mut().context()?.plan);
    let caller = plan.plugins.get(position);
    let import = caller.and_then(|planned| planned.prepared.as_ref()?.services.get(service));
    let target = caller.and_then(|planned| planned.services.get(service));
    let (Some(import), Some(target)) = (import, target) else {
        return Err(Stop::detached().into_error());
    };
    let name = import.functions.get(function).map_or("", |(name, _)| name.as_str());
    let edge = match choose(target, params) {
        Chosen::Edge(edge) => edge,
        Chosen::Unknown(provider) => {
            let text = format!("no-provider: `{}` has no provider `{provider}`", import.interface);
            return refuse(results, text);
        }
        Chosen::Nobody => {
            let text =
                format!("it called `{}` function `{name}`, which no installed plugin provides", import.interface);
            return Err(Stop::new(stop::NO_PROVIDER, text).into_error());
        }
    };
    let export = match edge.functions.get(function) {
        Some(Ok(export)) => *export,
        Some(Err(problem)) => return Err(Stop::new(stop::TYPE_MISMATCH, problem.to_string()).into_error()),
        None => return Err(Stop::detached().into_error()),
    };
    let Some(callee) = plan.plugins.get(edge.provider) else {
        return Err(Stop::detached().into_error());
    };
    let span = tracing::debug_span!(
        "service_call",
        plugin = callee.id.as_str(),
        interface = import.interface.as_str(),
        function = name
    );
    let held = store.data_mut().held.take();
    let work = Work::Service { export, params, results: &mut *results };
    let (held, outcome) = boxed(invoke(held, edge.provider, work).instrument(span)).await;
    store.data_mut().held = held;
    match outcome {
        Outcome::Returned | Outcome::ReturnedError | Outcome::Replied(_) => Ok(()),
        Outcome::Refused(refused) => refuse_call(&mut store, position, &callee.id, &refused, results),
        Outcome::Stopped(stop) => {
            tracing::info!(plugin = callee.id.as_str(), code = stop.code, message = %stop.message, "a called plugin was stopped");
            refuse(results, format!("{} was stopped ({}): {}", callee.id, stop.code, stop.message))
        }
        Outcome::Aborted => Err(Stop::aborted().into_error()),
    }
}

/// Keeps the future of a nested call out of the caller's frame: fibers have small stacks.
fn boxed<'a, T>(future: impl Future<Output = T> + Send + 'a) -> std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>> {
    Box::pin(future)
}

enum Chosen<'a> {
    Edge(&'a Edge),
    Unknown(&'a str),
    Nobody,
}

fn choose<'a>(target: &'a Target, params: &'a [Val]) -> Chosen<'a> {
    match target {
        Target::Nobody => Chosen::Nobody,
        Target::One(edge) => Chosen::Edge(edge),
        Target::Many(edges) => match params.first() {
            Some(Val::String(provider)) => edges.get(provider).map_or(Chosen::Unknown(provider), Chosen::Edge),
            _ => Chosen::Nobody,
        },
    }
}

/// What the machine's refusal of a nested call is to the caller: an error at first, the end if it goes on.
fn refuse_call(
    store: &mut StoreContextMut<'_, Guest>,
    position: usize,
    callee: &PluginId,
    refused: &OperationError,
    results: &mut [Val],
) -> wasmtime::Result<()> {
    match refused {
        OperationError::Limit(what) => {
            store.data_mut().context()?.refused_for_limit(position, stop::LIMIT, what)?;
            refuse(results, format!("limit: {what}"))
        }
        refused => {
            let text = format!("it called {callee}, which was refused: {refused}");
            Err(Stop::new(stop::RE_ENTRANCE, text).into_error())
        }
    }
}

/// Answers a service call with the error `other(text)`. Every service function's error has that case: it was checked.
fn refuse(results: &mut [Val], text: String) -> wasmtime::Result<()> {
    let text: String = text.chars().take(limits::ERROR_TEXT_CHARS_MAX).collect();
    let Some(result) = results.first_mut() else {
        return Err(Stop::detached().into_error());
    };
    let error = Val::Variant("other".to_owned(), Some(Box::new(Val::String(text))));
    *result = Val::Result(Err(Some(Box::new(error))));
    Ok(())
}
