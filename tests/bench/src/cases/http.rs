//! A plugin that reads one record and answers JSON, over HTTP, against native axum that does the same from memory.

use anyhow::Result;

use super::Bench;
use crate::host::Native;
use crate::load::{self, Load, Request, Seen, Work};
use crate::measure::median;
use crate::report::Line;
use crate::shop::{RECORDS, Shop, at};

/// Connections.
const CLIENTS: usize = 64;
/// Requests on their way on each connection, when pipelined.
const PIPELINE: usize = 8;

/// How the records are asked for.
#[derive(Clone, Copy)]
struct Asking {
    name: &'static str,
    /// Requests under way on a connection.
    pipeline: usize,
    /// Whether no two requests are the same, so that each is executed; otherwise 1,000 different ones are asked again and again.
    anew: bool,
    includes: &'static str,
}

const EXECUTED: &str = "no two requests are the same: routing, transaction, fresh instance, store read, validation, JSON, logs and metrics \
                        as in production";
const GIVEN: &str = "1,000 different requests, asked again and again: routing, transaction, validation that nothing which was read has \
                     changed, the response that was given before, logs and metrics as in production";

const ASKED: [Asking; 4] = [
    Asking { name: "read_record_closed_loop", pipeline: 1, anew: true, includes: EXECUTED },
    Asking { name: "read_record_pipelined", pipeline: PIPELINE, anew: true, includes: EXECUTED },
    Asking { name: "same_record_closed_loop", pipeline: 1, anew: false, includes: GIVEN },
    Asking { name: "same_record_pipelined", pipeline: PIPELINE, anew: false, includes: GIVEN },
];

fn reads(address: &str, prefix: &str, asking: Asking, seconds: f64) -> Load {
    let path = |number| format!("{prefix}/records/record-{number}");
    let request = |number| if asking.anew { Request::get_anew(path(number)) } else { Request::get(path(number)) };
    let requests = (0..RECORDS).map(request).collect();
    let work = Work::Requests { requests, pipeline: asking.pipeline, rate: None, errors_expected: false };
    Load { address: address.to_owned(), clients: CLIENTS, seconds, seed: 1, work }
}

/// A load, with the CPU of the server for each request, microseconds.
async fn measured(load: &Load, cpu: impl Fn() -> Result<std::time::Duration>) -> Result<(Seen, f64)> {
    let before = cpu()?;
    let seen = load::put(load).await?;
    let spent = cpu()?.saturating_sub(before);
    let micros = spent.as_secs_f64() * 1e6 / seen.requests as f64;
    Ok((seen, micros))
}

pub(super) async fn run(bench: &mut Bench) -> Result<()> {
    let folder = bench.folder()?;
    let host = bench.host(&folder)?;
    let shop = Shop::open(&host, &[bench.artefacts.plugin("probe")?]).await?;
    shop.write_records().await?;
    let native = Native::start(RECORDS)?;
    let prefix = at("probe", "");
    let rounds = if bench.quick { 3 } else { 5 };
    let seconds = bench.seconds() / 2.0;
    let [first, ..] = ASKED;
    if let Some(seconds) = bench.profile {
        crate::report::say(&format!("host {} under load", host.pid()));
        load::put(&reads(&host.address(), &prefix, first, seconds as f64)).await?;
        return Ok(());
    }
    load::put(&reads(&host.address(), &prefix, first, bench.warm_up_seconds())).await?;
    load::put(&reads(&native.address, "", first, bench.warm_up_seconds())).await?;
    for asking in ASKED {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(measured(&reads(&host.address(), &prefix, asking, seconds), || host.cpu()).await?);
            theirs.push(measured(&reads(&native.address, "", asking, seconds), || native.cpu()).await?);
        }
        let middle = |all: &[(Seen, f64)], pick: fn(&(Seen, f64)) -> f64| median(all.iter().map(pick).collect());
        let rate = |all: &[(Seen, f64)]| middle(all, |(seen, _)| seen.requests_per_second());
        let cpu = |all: &[(Seen, f64)]| middle(all, |(_, micros)| *micros);
        let p99 = |all: &[(Seen, f64)]| middle(all, |(seen, _)| seen.latency_us.p99);
        let client =
            |all: &[(Seen, f64)]| middle(all, |(seen, _)| seen.client_cpu_seconds * 1e6 / seen.requests as f64);
        let includes = format!(
            "{CLIENTS} connections, {} request(s) under way on each; {}. Baseline: axum, same record from a HashMap, same \
             requests. The clients use the same cores ({:.1} us CPU a request here, {:.1} there)",
            asking.pipeline,
            asking.includes,
            client(&ours),
            client(&theirs)
        );
        let line = Line::new(format!("http/{}", asking.name), rate(&ours), "req/s", includes);
        bench.report.add(&line.against(rate(&theirs)).ratio_at_least(0.4));
        let includes = "CPU of the server's process per request, same run. Baseline: axum's";
        let line = Line::new(format!("http/{}_cpu", asking.name), cpu(&ours), "us", includes);
        bench.report.add(&line.against(cpu(&theirs)));
        let includes = "99th percentile of the answer's time at saturation, same run. Baseline: axum's";
        let line = Line::new(format!("http/{}_p99", asking.name), p99(&ours), "us", includes);
        bench.report.add(&line.against(p99(&theirs)));
    }
    drop(native);
    host.stop()
}
