//! What is done to the host while people shop: crashes, new revisions, clocks that jump, prices that change.

use std::cell::RefCell;
use std::rc::Rc;

use kontor_store::MemoryEngine;
use serde_json::json;
use std::sync::Arc;

use crate::base::{LAMP, tagged};
use crate::host::{Ask, Host};
use crate::people::Ledger;
use crate::plan::Blow;

/// How often a switch of revisions is tried.
const SWITCHES_MAX: u32 = 50;
/// Shortest and longest time that the host is down.
const DOWN_MS: (u64, u64) = (20, 2_000);

/// Deals the blows of the plan, one after the other.
pub(crate) async fn strike(host: Rc<Host>, ledger: Rc<RefCell<Ledger>>) -> Result<(), String> {
    let begun_ms = host.timeline.now_ms();
    for (number, (at_ms, blow)) in (1_u64..).zip(host.plan.blows.clone()) {
        let passed_ms = host.timeline.now_ms().saturating_sub(begun_ms);
        host.timeline.sleep(at_ms.saturating_sub(passed_ms)).await;
        host.note(format_args!("{blow:?}"));
        match blow {
            Blow::PowerCut => crash(&host, true).await?,
            Blow::Restart => crash(&host, false).await?,
            Blow::Clock(skew_ms) => host.timeline.set_skew_ms(skew_ms),
            Blow::Price(amount_minor) => {
                let prices = json!({ "prices": [{ "sku": LAMP, "amount_minor": amount_minor }] });
                ledger.borrow_mut().prices.sent.push(amount_minor);
                // With a key: what the network repeats later must not bring an old price back.
                let setting = Ask::put("pricing", "/v1/prices:batch", prices).key(format!("price-{number}"));
                host.must(&setting).await?;
                let prices = &mut ledger.borrow_mut().prices;
                prices.known = prices.sent.len();
            }
            Blow::Configure | Blow::Upgrade | Blow::Rollback => switch(&host, blow, number).await?,
        }
    }
    Ok(())
}

/// Ends the host, and starts it again after a while. Does nothing if it is down already.
pub(crate) async fn crash(host: &Rc<Host>, power_cut: bool) -> Result<(), String> {
    match host.fall(power_cut) {
        Some(memory) => rise_again(host, memory).await,
        None => Ok(()),
    }
}

/// Starts the host again after a while.
pub(crate) async fn rise_again(host: &Rc<Host>, memory: Arc<MemoryEngine>) -> Result<(), String> {
    let span_ms = DOWN_MS.1 - DOWN_MS.0;
    let down_ms = DOWN_MS.0 + host.plan.seed.wrapping_mul(31).wrapping_add(host.lives() * 977) % span_ms;
    host.timeline.sleep(down_ms).await;
    host.rise(memory).await
}

/// Makes a new revision, however often it takes.
async fn switch(host: &Rc<Host>, blow: Blow, number: u64) -> Result<(), String> {
    let mut last = "the host is down".to_owned();
    for _ in 0..SWITCHES_MAX {
        match switch_once(host, blow, number).await {
            Ok(revision) => {
                host.note(format_args!("revision {revision} by {blow:?}"));
                return Ok(());
            }
            Err(error) => last = error,
        }
        host.timeline.sleep(300).await;
    }
    Err(format!("{blow:?} never succeeds: {last}"))
}

async fn switch_once(host: &Rc<Host>, blow: Blow, number: u64) -> Result<u64, String> {
    let machine = host.machine().ok_or("the host is down")?;
    let merchant = host.merchant().clone();
    // A crash drops what runs inside the host; this runs outside, so it must not wait for a dead machine's locks for ever.
    let work = async {
        let current = machine.current(&merchant).await?;
        let mut plugins = current.plugins.clone();
        match blow {
            Blow::Rollback => {
                let to = 1 + number % current.number;
                return machine.rollback(&merchant, current.number, to, "simulation").await;
            }
            Blow::Upgrade => {
                for plugin in plugins.values_mut() {
                    plugin.spec.version = format!("0.1.{number}");
                }
            }
            _ => {}
        }
        tagged(&mut plugins, &format!("R{number}"));
        machine.switch(&merchant, current.number, plugins, "simulation").await
    };
    let patience = host.timeline.sleep(30_000);
    match futures_util::future::select(Box::pin(work), patience).await {
        futures_util::future::Either::Left((switched, _)) => {
            switched.map(|revision| revision.number).map_err(|error| error.to_string())
        }
        futures_util::future::Either::Right(_) => Err("no answer".to_owned()),
    }
}
