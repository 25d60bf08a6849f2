//! One run: a seed, a shop, its people, what goes wrong, and the verdict.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_channel::oneshot;
use kontor_channels::amazon::{AmazonSimulator, FaultPlan as MarketFaults, FulfillmentStatus};
use serde_json::{Value, json};

use crate::base::{Base, LAMPS, listing};
use crate::books::{self, Sold};
use crate::host::{Ask, Host};
use crate::market::Market;
use crate::nemesis;
use crate::people::{Ledger, Person};
use crate::plan::{Case, Plan};
use crate::scheduler::{Kind, Scheduler};
use crate::timeline::{Timeline, WorldClock};
use crate::trace::Trace;

/// A run ends within so much virtual time, or is stuck.
const SPAN_MS_MAX: u64 = 4 * 60 * 60 * 1_000;
/// How long everything may take to come to rest once nothing goes wrong any more.
const REST_MS_MAX: u64 = 90 * 60 * 1_000;
/// How often that is looked at.
const LOOK_MS: u64 = 60_000;

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Of everything that happened, in order.
    pub digest: u64,
    /// Those who wanted to buy.
    pub asked: u64,
    /// Those who did.
    pub sold: u64,
    /// Those who were told that there is not enough.
    pub refused: u64,
    /// Units in orders.
    pub units: i64,
    /// Invocations.
    pub invocations: u64,
    /// Executions: more than invocations by those that lost and were done again.
    pub executions: u64,
    /// Executions that lost against others.
    pub conflicts: u64,
    /// Invocations that ran alone in the end.
    pub exclusive: u64,
    /// Starts of the host.
    pub lives: u64,
    /// Revision that ran in the end.
    pub revision: u64,
    /// Decisions of the scheduler.
    pub polls: u64,
    /// Virtual time, milliseconds.
    pub span_ms: u64,
    /// The lists' history, as EDN.
    #[serde(skip)]
    pub history: String,
    /// What happened, if it was asked for.
    #[serde(skip)]
    pub trace: Vec<String>,
}

/// A run in which something was wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What was run.
    pub case: Case,
    /// What was wrong.
    pub what: String,
    /// What happened before, or all of it if it was asked for.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        let Case { seed, whole_crowd } = self.case;
        let crowd = if whole_crowd { " --crowd" } else { "" };
        writeln!(f, "seed {seed}{crowd}: {}", self.what)?;
        let next = seed + 1;
        write!(
            f,
            "again, with all that happens: cargo run --bin kontor-simulate -- --seeds {seed}..{next}{crowd} --trace"
        )
    }
}

/// Runs a seed, or one with the whole crowd.
///
/// # Errors
///
/// What was wrong, and what led to it.
pub fn run(base: &Arc<Base>, case: impl Into<Case>, keep_trace: bool) -> Result<Report, Failure> {
    let case = case.into();
    // The engine's time-outs are the host's last resort against the real clock; here it stands still.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.unwrap_or_else(|error| panic!("a runtime: {error}"));
    let _entered = runtime.enter();
    let trace = Arc::new(Trace::new(keep_trace));
    run_traced(base, case, &trace).map_err(|what| Failure { case, what, trace: trace.lines() })
}

fn run_traced(base: &Arc<Base>, case: Case, trace: &Arc<Trace>) -> Result<Report, String> {
    let (plan, seed) = (Plan::draw(case), case.seed);
    let begun_ms = base.now_ms;
    let timeline = Timeline::new(begun_ms, seed ^ 0x0074_696d_6531);
    trace.note(begun_ms, format_args!("{plan:?}"));
    let simulator = AmazonSimulator::without_network(plan.simulator(), Arc::new(WorldClock(timeline.clone())));
    simulator.create_listing(listing(Some(LAMPS)));
    let market = Market::new(simulator, timeline.clone(), seed ^ 0x6d61_726b, !plan.is_calm);
    let mut scheduler = Scheduler::new(seed ^ 0x7363_6865_6475, plan.choice, timeline.clone(), trace.clone());
    let store = base.store(plan.store);
    let host = Host::new(base.clone(), plan, timeline.clone(), trace.clone(), market, scheduler.handle());
    let ledger = Rc::new(RefCell::new(Ledger::default()));
    let verdict: Rc<RefCell<Option<Result<Sold, String>>>> = Rc::default();
    {
        let (host, ledger, verdict) = (host.clone(), ledger.clone(), verdict.clone());
        scheduler.handle().spawn(Kind::Root, "the run".to_owned(), async move {
            let result = conduct(&host, &ledger, store).await;
            *verdict.borrow_mut() = Some(result);
        });
    }
    let mut checked = (0, 0);
    let broken = scheduler.run(begun_ms + SPAN_MS_MAX, || {
        if host.has_stopped() {
            revive(&host, &verdict);
        }
        match (host.pulse(), host.memory()) {
            (Some(pulse), Some(memory)) if pulse != checked => {
                checked = pulse;
                trace.count(pulse.1);
                books::check_counters(host.merchant(), &memory)
            }
            _ => Ok(()),
        }
    });
    broken?;
    let sold = verdict.borrow_mut().take().unwrap_or_else(|| Err("the run ended without a verdict".to_owned()))?;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let report = Report {
        seed,
        digest: trace.digest(),
        asked: sold.asked,
        sold: sold.sold,
        refused: sold.refused,
        units: sold.units,
        invocations: count(&host.notes.invocations),
        executions: count(&host.notes.executions),
        conflicts: count(&host.notes.conflicts),
        exclusive: count(&host.notes.exclusive),
        lives: host.lives(),
        revision: count(&host.notes.revision),
        polls: scheduler.polls,
        span_ms: timeline.now_ms() - begun_ms,
        history: ledger.borrow().history.to_edn(),
        trace: trace.lines(),
    };
    Ok(report)
}

/// The store stopped by itself: the host ends and is started again, as an operator's supervisor does it.
fn revive(host: &Rc<Host>, verdict: &Rc<RefCell<Option<Result<Sold, String>>>>) {
    let Some(memory) = host.fall(true) else { return };
    let (host, verdict) = (host.clone(), verdict.clone());
    host.handle.clone().spawn(Kind::Helper, "the supervisor".to_owned(), async move {
        if let Err(error) = nemesis::rise_again(&host, memory).await {
            *verdict.borrow_mut() = Some(Err(error));
        }
    });
}

/// Lets everybody in, waits until they are done and everything has come to rest, and looks at the books.
async fn conduct(
    host: &Rc<Host>,
    ledger: &Rc<RefCell<Ledger>>,
    store: Arc<kontor_store::MemoryEngine>,
) -> Result<Sold, String> {
    host.rise(store).await?;
    let mut running = Vec::new();
    let mut number = 0;
    let mut person = || {
        number += 1;
        Person::new(host, ledger, number)
    };
    let [online, in_store, on_marketplace] = host.plan.buyers;
    for _ in 0..online {
        running.push(start(host, "a buyer in the web shop", person().shop_online()));
    }
    for _ in 0..in_store {
        running.push(start(host, "a buyer at the till", person().shop_in_store()));
    }
    for _ in 0..on_marketplace {
        running.push(start(host, "a buyer on the marketplace", person().shop_on_marketplace()));
    }
    for _ in 0..host.plan.holders {
        running.push(start(host, "a holder", person().hold()));
    }
    for _ in 0..host.plan.auditors {
        running.push(start(host, "an auditor", person().audit()));
    }
    for _ in 0..host.plan.appenders {
        running.push(start(host, "an appender", person().append()));
    }
    running.push(start(host, "the nemesis", nemesis::strike(host.clone(), ledger.clone())));
    for done in running {
        done.await.map_err(|_| "a task ended without a result".to_owned())??;
    }
    host.note(format_args!("everybody is done"));
    host.calm_down();
    host.market.simulator.set_faults(MarketFaults::none());
    host.timeline.set_skew_ms(0);
    let ended = ledger.borrow().clone();
    rest(host, &ended.reservations).await?;
    books::audit(host, &ended).await
}

fn start(
    host: &Rc<Host>,
    name: &str,
    work: impl Future<Output = Result<(), String>> + 'static,
) -> oneshot::Receiver<Result<(), String>> {
    let (done, result) = oneshot::channel();
    host.handle.spawn(Kind::Root, name.to_owned(), async move {
        let _ = done.send(work.await);
    });
    result
}

/// Waits until the merchant knows of every order of the marketplace as it stands there, and no work waits that is due.
async fn rest(host: &Rc<Host>, reservations: &[String]) -> Result<(), String> {
    let mut waited_ms = 0;
    let mut quiet = 0;
    let mut last = String::new();
    // Twice in a row: what the last look found may have set something off.
    while quiet < 2 {
        if waited_ms > REST_MS_MAX {
            return Err(format!("nothing comes to rest: {last}"));
        }
        host.timeline.sleep(LOOK_MS).await;
        waited_ms += LOOK_MS;
        match unrest(host, reservations).await? {
            Some(why) => (quiet, last) = (0, why),
            None => quiet += 1,
        }
    }
    Ok(())
}

/// What has not come to rest yet.
async fn unrest(host: &Rc<Host>, reservations: &[String]) -> Result<Option<String>, String> {
    let Some(machine) = host.machine() else {
        return Ok(Some("the host is down".to_owned()));
    };
    for id in reservations {
        let held = host.must(&Ask::get("inventory", format!("/v1/reservations/{id}"))).await?;
        if held.get("state") == Some(&json!("active")) {
            return Ok(Some(format!("reservation {id} has not ended")));
        }
    }
    let final_ones = [FulfillmentStatus::Unshipped, FulfillmentStatus::Cancelled, FulfillmentStatus::Shipped];
    for theirs in host.market.simulator.orders() {
        let Some(status) = theirs.status().filter(|status| final_ones.contains(status)) else {
            return Ok(Some(format!("{} is {:?}", theirs.order_id, theirs.status())));
        };
        let path = format!("/v1/order?channel=amazon&account=default&external_id={}", theirs.order_id);
        let ours = host.insist(&Ask::get("orders", path)).await?;
        let known = ours.body.get("status").and_then(Value::as_str).unwrap_or("unknown");
        let is_cancelled = status == FulfillmentStatus::Cancelled;
        if (known == "cancelled") != is_cancelled || ["draft", "unknown"].contains(&known) {
            return Ok(Some(format!("{} is {status:?} there and {known} here", theirs.order_id)));
        }
    }
    let levels = host.must(&Ask::get("inventory", "/v1/offers?channel=amazon&sku=LAMP")).await?;
    let offered = levels.pointer("/offers/0/quantity").cloned().unwrap_or(json!(0));
    let advertised = host.market.simulator.advertised(crate::base::LISTED_LAMP);
    if offered != json!(advertised) {
        return Ok(Some(format!("{offered} are offered, {advertised} advertised")));
    }
    for plugin in ["amazon", "inventory", "orders", "cart"] {
        let id = kontor_core::ids::PluginId::new(plugin).map_err(|error| error.to_string())?;
        let jobs = machine.jobs(host.merchant(), &id, 100).await.map_err(|error| error.to_string())?;
        let now_ms = machine.now_ms();
        if let Some(late) = jobs.iter().find(|job| job.job.due_ms + LOOK_MS / 2 < now_ms) {
            return Ok(Some(format!("a job waits: {late:?}")));
        }
    }
    Ok(None)
}
