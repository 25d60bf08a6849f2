//! The sandbox alone. CPU of this thread, per call; variants take turns in short batches, the median of them counts.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Bench;
use crate::bare::Bare;
use crate::measure::{median, thread_cpu};
use crate::report::Line;
use crate::sandbox::Sandbox;

/// CPU that a batch takes: much more than a tick of the scheduler.
const BATCH: Duration = Duration::from_millis(200);
/// Calls of a service in one execution.
const CALLS: u32 = 500;

/// CPU of one call, microseconds, over a batch.
async fn batch<F: Future<Output = Result<u16>>>(call: impl Fn() -> F) -> Result<f64> {
    let began = thread_cpu()?;
    let mut calls = 0_u32;
    loop {
        for _ in 0..50 {
            let status = call().await?;
            ensure!((200..300).contains(&status), "status {status}");
        }
        calls += 50;
        let spent = thread_cpu()?.saturating_sub(began);
        if spent >= BATCH {
            return Ok(spent.as_secs_f64() * 1e6 / f64::from(calls));
        }
    }
}

pub(super) async fn run(bench: &mut Bench) -> Result<()> {
    let rounds = if bench.quick { 7 } else { 25 };
    instances(bench, rounds).await?;
    calls(bench, rounds, "number", "a number").await?;
    calls(bench, rounds, "parcel", "a record with strings and a list of three records").await
}

async fn instances(bench: &mut Bench, rounds: usize) -> Result<()> {
    let probe = bench.artefacts.plugin("probe")?;
    let sandbox = Sandbox::new(&[probe], "probe")?;
    let bare = Bare::new(probe.package.bytes(), false)?;
    let bare_fuel = Bare::new(probe.package.bytes(), true)?;
    let (mut ours, mut bares, mut fuelled) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(batch(|| sandbox.call("GET", "/empty")).await?);
        bares.push(batch(|| bare.call("/empty")).await?);
        fuelled.push(batch(|| bare_fuel.call("/empty")).await?);
    }
    let includes = "CPU of an execution: transaction begun on the memory store, fresh instance, empty handler of an SDK plugin, \
                    usage booked, instance dropped; no commit. Baseline: wasmtime alone, same component, pool, no fuel";
    let line = Line::new("sandbox/instance_and_empty_handler", median(ours), "us", includes);
    bench.report.add(&line.against(median(bares.clone())).ratio_at_most(2.0));
    let line = Line::new(
        "sandbox/wasmtime_with_fuel",
        median(fuelled),
        "us",
        "The same baseline with fuel metering, for comparison",
    );
    bench.report.add(&line.against(median(bares)));
    Ok(())
}

async fn calls(bench: &mut Bench, rounds: usize, kind: &str, what: &str) -> Result<()> {
    let plugins = [bench.artefacts.plugin("probe")?, bench.artefacts.plugin("echo")?];
    let sandbox = Sandbox::new(&plugins, "probe")?;
    let path = |times: u32| format!("/calls/{kind}/{times}");
    let (none, one, many) = (path(0), path(1), path(CALLS + 1));
    let answering = Sandbox::answering(&plugins, "probe")?;
    let (mut live, mut fresh, mut answered) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let without = batch(|| sandbox.call("POST", &none)).await?;
        let with_one = batch(|| sandbox.call("POST", &one)).await?;
        let with_many = batch(|| sandbox.call("POST", &many)).await?;
        fresh.push(with_one - without);
        live.push((with_many - with_one) / f64::from(CALLS));
        let without = batch(|| answering.call("POST", &none)).await?;
        let with_many = batch(|| answering.call("POST", &many)).await?;
        answered.push((with_many - without) / f64::from(CALLS + 1));
    }
    let includes = format!(
        "CPU of a service call with {what} there and back, the callee being live: both guests' code, forwarding, sub-transaction"
    );
    bench
        .report
        .add(&Line::new(format!("sandbox/service_call_live_{kind}"), median(live), "us", includes).at_most(5.0));
    let includes = format!(
        "CPU of the first service call in an execution, with {what}: the callee's fresh instance, the call, dropping it"
    );
    bench
        .report
        .add(&Line::new(format!("sandbox/service_call_fresh_{kind}"), median(fresh), "us", includes).at_most(25.0));
    let includes = "The same call, answered before, and nothing that it depends on has changed: the answer is given again, the callee \
                    is not executed";
    bench.report.add(&Line::new(format!("sandbox/service_call_answered_{kind}"), median(answered), "us", includes));
    Ok(())
}
