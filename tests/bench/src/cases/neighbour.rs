//! A hostile neighbour: plugins that loop, allocate, overflow their stack, flood events and the store and trap, as fast as the host
//! lets them, while another plugin is asked at a steady rate.

use anyhow::Result;

use super::Bench;
use crate::host::Host;
use crate::load::{self, Load, Request, Seen, Work};
use crate::measure::median;
use crate::report::Line;
use crate::shop::{RECORDS, Shop, at};

/// Connections of the well-behaved, and requests a second over all of them: a small part of what the host can do.
const CLIENTS: usize = 16;
const RATE: f64 = 400.0;
/// Connections that keep all processors busy.
const CROWD: usize = 64;
/// Connections of the hostile, each with a request under way all the time.
const HOSTILE: usize = 8;

fn steady(host: &Host, seconds: f64) -> Load {
    let requests = (0..RECORDS).map(|n| Request::get_anew(at("probe", &format!("/records/record-{n}")))).collect();
    let work = Work::Requests { requests, pipeline: 1, rate: Some(RATE), errors_expected: false };
    Load { address: host.address(), clients: CLIENTS, seconds, seed: 1, work }
}

fn hostile(host: &Host, deed: &str, seconds: f64) -> Load {
    let deeds = if deed == "all" { vec!["spin", "hog", "overflow", "flood", "scribble", "panic"] } else { vec![deed] };
    let requests = deeds.iter().map(|deed| Request::post(at("hostile", &format!("/{deed}")))).collect();
    let work = Work::Requests { requests, pipeline: 1, rate: None, errors_expected: true };
    Load { address: host.address(), clients: HOSTILE, seconds, seed: 2, work }
}

pub(super) async fn run(bench: &mut Bench) -> Result<()> {
    let folder = bench.folder()?;
    let host = bench.host(&folder)?;
    let shop = Shop::open(&host, &[bench.artefacts.plugin("probe")?, bench.artefacts.plugin("hostile")?]).await?;
    shop.write_records().await?;
    let seconds = bench.seconds();
    load::put(&steady(&host, bench.warm_up_seconds())).await?;
    let deeds: &[&str] = if bench.quick {
        &["scribble", "all"]
    } else {
        &["spin", "hog", "overflow", "flood", "scribble", "panic", "all"]
    };
    for deed in deeds {
        let mut quiet = Vec::new();
        let mut loud: Vec<(Seen, Seen)> = Vec::new();
        for _ in 0..3 {
            quiet.push(load::put(&steady(&host, seconds)).await?.latency_us.p99);
            // The hostile begin earlier and end later.
            let (steady, hostile) = (steady(&host, seconds), hostile(&host, deed, seconds + 1.0));
            let both = async {
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                load::put(&steady).await
            };
            let (seen, done) = tokio::join!(both, load::put(&hostile));
            loud.push((seen?, done?));
        }
        let p99 = median(loud.iter().map(|(seen, _)| seen.latency_us.p99).collect());
        let rate = median(loud.iter().map(|(_, done)| done.requests_per_second()).collect());
        let includes = format!(
            "99th percentile of a plugin that reads a record, {RATE} requests/s over {CLIENTS} connections, from when each was due, while \
             {HOSTILE} connections make another plugin misbehave ({deed}; {rate:.0} misdeeds/s got through). Baseline: without them"
        );
        let line = Line::new(format!("neighbour/p99_beside_{deed}"), p99, "us", includes);
        bench.report.add(&line.against(median(quiet)).ratio_at_most(2.0));
    }
    long_beside_quick(bench, &host).await?;
    host.stop()
}

/// The other way round: how long what is long takes when requests would take all processors.
async fn long_beside_quick(bench: &mut Bench, host: &Host) -> Result<()> {
    let seconds = bench.seconds();
    let long = Load { clients: 1, ..hostile(host, "spin", seconds) };
    let alone = load::put(&long).await?;
    let quick = Load { clients: CROWD, ..steady(host, seconds + 1.0) };
    let Work::Requests { requests, .. } = &quick.work else { anyhow::bail!("these are requests") };
    let work = Work::Requests { requests: requests.clone(), pipeline: 1, rate: None, errors_expected: false };
    let quick = Load { work, ..quick };
    let (crowd, beside) = tokio::join!(load::put(&quick), load::put(&long));
    let (crowd, beside) = (crowd?, beside?);
    let includes = format!(
        "Median time of an execution that loops until its fuel is used up, one at a time, while {CROWD} connections read records one after \
         another ({:.0}/s) and so take every processor there is. Baseline: alone",
        crowd.requests_per_second()
    );
    let line = Line::new("neighbour/long_execution_beside_readers", beside.latency_us.p50 / 1e3, "ms", includes);
    bench.report.add(&line.against(alone.latency_us.p50 / 1e3));
    Ok(())
}
