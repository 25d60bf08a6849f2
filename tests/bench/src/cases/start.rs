//! The demo's merchant: how long a host takes to serve its shop again, and what it holds in memory when nobody comes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kontor_channels::demo::{Demo, DemoOptions, MERCHANT, Package};

use super::Bench;
use crate::host::Host;
use crate::measure::{median, process_memory};
use crate::report::Line;

/// Quiet before memory is looked at.
const REST: Duration = Duration::from_secs(5);

pub(super) async fn run(bench: &mut Bench) -> Result<()> {
    let folder = bench.folder()?;
    let host = bench.host(&folder)?;
    let packages = bench
        .artefacts
        .shop
        .iter()
        .chain(&bench.artefacts.demo)
        .map(|built| Package { bytes: built.package.bytes().to_vec() })
        .collect();
    let options = DemoOptions { seed: 1, buyers_per_channel: 4 };
    let demo = Demo::set_up(host.url(), host.admin_token(), packages, options).await?;
    demo.sell(Duration::from_secs(3)).await?;
    host.stop()?;

    let rounds = if bench.quick { 5 } else { 11 };
    let (mut ready, mut served) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let began = Instant::now();
        let host = bench.host(&folder)?;
        ready.push(host.ready_after.as_secs_f64() * 1e3);
        let page = host.client()?.text(&format!("/m/{MERCHANT}/storefront/")).await?;
        served.push(began.elapsed().as_secs_f64() * 1e3);
        anyhow::ensure!(page.contains("Kontorhaus"), "the shop's page is another: {page}");
        host.stop()?;
    }
    let includes = "Wall clock from starting the process until the shop's first page is there: store opened, 9 plugins from the \
                    compile cache, page rendered. Median";
    bench.report.add(&Line::new("start/cold_to_first_page", median(served), "ms", includes).at_most(300.0));
    let includes = "Of it, until the host said that it serves. Median";
    bench.report.add(&Line::new("start/cold_to_ready", median(ready), "ms", includes));

    let host = bench.host(&folder)?;
    let (own, all) = rest(&host).await?;
    let includes = "Resident memory of the host after the first page and 5 s of rest: own and mapped files (code)";
    bench.report.add(&Line::new("start/memory_at_rest", all, "MB", includes).at_most(150.0));
    bench.report.add(&Line::new("start/memory_at_rest_own", own, "MB", "Of it, not backed by files"));
    drop(demo);
    host.stop().context("after the rest")
}

/// Memory of a host that served a page and rests, in MB: its own, and all.
async fn rest(host: &Host) -> Result<(f64, f64)> {
    host.client()?.text(&format!("/m/{MERCHANT}/storefront/")).await?;
    tokio::time::sleep(REST).await;
    let (own, all) = process_memory(host.pid())?;
    Ok((own as f64 / 1e6, all as f64 / 1e6))
}
