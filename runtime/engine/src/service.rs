//! A guest calls a function of a service: which plugin that leads to, whether it must be executed, and what the caller is told when it
//! cannot be. Not here: how a plugin is run ([`crate::execution`]).

use std::future::Future;
use std::sync::Arc;

use kontor_core::ids::PluginId;
use kontor_core::limits::RECORDED_READS_MAX;
use kontor_core::transaction::{OpenRecording, OperationError};
use tracing::Instrument;
use wasmtime::StoreContextMut;
use wasmtime::component::Val;

use crate::answers::{Function, Question};
use crate::execution::{Context, Guest, Outcome, Work, invoke};
use crate::limits;
use crate::plan::{Edge, PlannedPlugin, Target};
use crate::stop::{self, Stop};

/// A guest calls a function of a service: the import with these positions in [`Prepared::services`].
pub(crate) async fn call_service<'a>(
    mut store: StoreContextMut<'a, Guest>,
    service: usize,
    function: usize,
    params: &'a [Val],
    results: &'a mut [Val],
) -> wasmtime::Result<()> {
    let position = store.data().position();
    let plan = Arc::clone(&store.data_mut().shared()?.plan);
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
    let asked = Asked { function: Function { plan: plan.number, caller: position, service, function }, edge, callee };
    let recording = match asked.before(store.data_mut().shared()?, params, results) {
        Before::Answered => return Ok(()),
        Before::Execute(recording) => recording,
    };
    let held = store.data_mut().lend();
    let work = Work::Service { export, params, results: &mut *results };
    let (mut held, outcome) = boxed(invoke(held, edge.provider, work).instrument(span)).await;
    if let Ok(context) = held.get() {
        asked.after(context, recording, params, results, &outcome);
    }
    store.data_mut().take_back(held);
    match outcome {
        Outcome::Returned | Outcome::ReturnedError | Outcome::Replied(_) => Ok(()),
        Outcome::Refused(refused) => refuse_call(&mut store, position, &callee.id, &refused, results),
        Outcome::Stopped(stop) => {
            let invocation = store.data_mut().shared()?.transaction.invocation().as_str();
            let (plugin, code) = (callee.id.as_str(), stop.code);
            tracing::info!(plugin, invocation, code, message = %stop.message, "a called plugin was stopped");
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

/// A call under way.
struct Asked<'a> {
    function: Function,
    edge: &'a Edge,
    callee: &'a PlannedPlugin,
}

/// What is to be done with a call.
enum Before {
    /// Nothing: the results are there.
    Answered,
    /// To execute it, and, if something is recorded, to keep its answer.
    Execute(Option<Recorded>),
}

/// A call that is executed and whose answer may be kept.
struct Recorded {
    question: Question,
    recording: OpenRecording,
    /// [`Context::personal`] and [`Context::remembered`] before the call.
    personal: u64,
    remembered: u64,
}

impl Asked<'_> {
    /// Gives the answer again that was given before, if it still stands.
    fn before(&self, context: &mut Context, params: &[Val], results: &mut [Val]) -> Before {
        if context.is_live(self.edge.provider) {
            // What its instance remembers of an earlier call of this execution is nobody else's.
            context.remembered += 1;
            return Before::Execute(None);
        }
        let Some(answers) = context.answers.clone() else {
            return Before::Execute(None);
        };
        let Some(habit) = self.edge.habits.get(self.function.function).filter(|habit| habit.tries()) else {
            return Before::Execute(None);
        };
        let Some(question) = Question::new(self.function, params) else {
            return Before::Execute(None);
        };
        if let Some(answer) = answers.answer(&question, params)
            && answer.results.len() == results.len()
            && context.transaction.recall(&self.callee.id, &answer.reliance)
        {
            results.clone_from_slice(&answer.results);
            context.count_call(self.edge.provider);
            answers.given();
            habit.paid();
            return Before::Answered;
        }
        Before::Execute(Some(Recorded {
            question,
            personal: context.personal,
            remembered: context.remembered,
            recording: context.transaction.begin_recording(),
        }))
    }

    /// Keeps the answer, if the same call would be answered in the same way by any other transaction.
    fn after(
        &self,
        context: &mut Context,
        recorded: Option<Recorded>,
        params: &[Val],
        results: &[Val],
        outcome: &Outcome,
    ) {
        if !matches!(outcome, Outcome::Returned | Outcome::ReturnedError) {
            // A limit, a time-out, a trap: none of them need happen again.
            context.personal += 1;
        }
        let Some(recorded) = recorded else {
            return;
        };
        let reliance = context.transaction.end_recording(recorded.recording, RECORDED_READS_MAX);
        let (Some(answers), Some(habit)) = (&context.answers, self.edge.habits.get(self.function.function)) else {
            return;
        };
        if matches!(outcome, Outcome::ReturnedError) {
            // Its effects are undone; it says nothing of calls that succeed.
            return;
        }
        let unlike = context.personal != recorded.personal || context.remembered != recorded.remembered;
        let fit = matches!(outcome, Outcome::Returned) && !unlike;
        let kept = match reliance {
            Some(reliance) if fit => answers.keep_answer(&recorded.question, params, results, reliance),
            _ => false,
        };
        if kept {
            habit.kept();
        } else {
            habit.unfit();
        }
    }
}
