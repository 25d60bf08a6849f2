//! One execution: the context that moves from store to store, and the instances that it made. Not here: what a guest's call of a
//! service leads to ([`crate::service`]).

use std::sync::{Arc, Mutex, PoisonError, Weak};

use kontor_core::executor::{Call, ExecutionError, Reply, Usage};
use kontor_core::ids::PluginId;
use kontor_core::revision::Revision;
use kontor_core::transaction::{OperationError, Savepoint, Transaction};
use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, Instance, Val};

use crate::answers::Answers;
use crate::entry;
use crate::host;
use crate::limits;
use crate::meter::Meter;
use crate::plan::Plan;
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
    /// Answers of service calls that may be given again; none if every call is to be executed.
    pub(crate) answers: Option<Arc<Answers>>,
    /// Counts what may make the same call end otherwise another time, apart from the store's contents.
    pub(crate) personal: u64,
    /// Counts calls to instances that may remember earlier ones of this execution.
    pub(crate) remembered: u64,
    /// Set once: why the whole execution is given up, whatever the guests make of it.
    abort: Option<ExecutionError>,
    salvage: Weak<Salvage>,
}

/// What is left of an execution.
pub(crate) struct Finished {
    pub(crate) transaction: Box<Transaction>,
    /// Why it was given up, if it was.
    pub(crate) abort: Option<ExecutionError>,
    pub(crate) usage: Vec<(PluginId, Usage)>,
    /// Whether it did, or learnt, what makes the same call unlike this one another time, apart from the store's contents.
    pub(crate) personal: bool,
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
    /// The context of the running execution; an error once it was given up. Whoever asks is taken to do, or to learn, what makes this
    /// call unlike the same call another time.
    pub(crate) fn context(&mut self) -> wasmtime::Result<&mut Context> {
        let context = self.shared()?;
        context.personal += 1;
        Ok(context)
    }

    /// The same for what any execution of the same call in the same revision would learn as well: what the store holds (which the
    /// transaction records), what is installed and configured, who calls whom.
    pub(crate) fn shared(&mut self) -> wasmtime::Result<&mut Context> {
        let context = self.held.get()?;
        if context.abort.is_some() {
            return Err(Stop::aborted().into_error());
        }
        Ok(context)
    }

    /// Takes the context out, to move it into another store.
    pub(crate) fn lend(&mut self) -> Held {
        self.held.take()
    }

    /// Gets it back.
    pub(crate) fn take_back(&mut self, held: Held) {
        self.held = held;
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
        answers: Option<Arc<Answers>>,
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
            answers,
            personal: 0,
            remembered: 0,
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

    /// Counts a call; its number.
    pub(crate) fn count_call(&mut self, position: usize) -> u64 {
        self.calls += 1;
        if let Some(used) = self.usage.get_mut(position) {
            if used.usage.calls == 0 {
                self.first_called.push(position);
            }
            used.usage.calls += 1;
        }
        self.calls
    }

    /// Whether the plugin has an instance in this execution that served a call already.
    pub(crate) fn is_live(&self, position: usize) -> bool {
        matches!(self.instances.get(position), Some(Some(_)))
    }

    /// Ends the execution: what is left for the machine.
    pub(crate) fn finish(mut self) -> Finished {
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
        Finished { transaction: self.transaction, abort: self.abort.take(), usage, personal: self.personal > 0 }
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
    let call = context.count_call(position);
    Ok((Arc::clone(prepared), savepoint, call))
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
                let plugin = context.plan.plugins.get(position).map(|planned| planned.id.as_str());
                let invocation = context.transaction.invocation().as_str();
                tracing::warn!(plugin, invocation, message, "no instance is free");
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
