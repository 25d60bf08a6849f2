//! The same shop with 1 k, 100 k and 1 M products: what the import takes, and whether orders and pages notice.

use anyhow::Result;

use super::Bench;
use super::orders::{ARTICLES, CLIENTS, Sales, Selling};
use crate::host::Host;
use crate::load::{self, Load, Request, Work};
use crate::measure::median;
use crate::report::Line;
use crate::shop::{Shop, at, sku};

/// Products whose pages are looked at.
const PAGES: usize = 1_000;
/// Connections that look at them.
const VISITORS: usize = 16;

/// What a shop of some size does.
struct Sized {
    orders: Sales,
    page_cpu_us: f64,
    page_p50_us: f64,
    list_cpu_us: f64,
}

pub(super) async fn run(bench: &mut Bench) -> Result<()> {
    let small = sized(bench, 1_000).await?;
    let sizes: &[usize] = if bench.quick { &[100_000] } else { &[100_000, 1_000_000] };
    for size in sizes {
        let large = sized(bench, *size).await?;
        let name = |what: &str| format!("scale/{}k_{what}", size / 1_000);
        let report = &mut bench.report;
        let includes = "CPU of the host for a whole order, 64 customers on 1,000 of the articles. Baseline: a shop of 1,000 products, same run";
        let line = Line::new(name("order_cpu"), large.orders.cpu_ms, "ms", includes);
        report.add(&line.against(small.orders.cpu_ms).ratio_at_most(2.0));
        let includes = "The same, orders/s";
        let line = Line::new(name("orders"), large.orders.seen.orders_per_second(), "orders/s", includes);
        report.add(&line.against(small.orders.seen.orders_per_second()).ratio_at_least(0.5));
        let includes = "CPU of the host for a product page (HTML with price and stock), 1,000 pages over the whole range, 16 connections, each worked out anew. Baseline: 1,000 products";
        let line = Line::new(name("product_page_cpu"), large.page_cpu_us, "us", includes);
        report.add(&line.against(small.page_cpu_us).ratio_at_most(2.0));
        let includes = "The same pages: the median time of an answer";
        let line = Line::new(name("product_page_p50"), large.page_p50_us, "us", includes);
        report.add(&line.against(small.page_p50_us).ratio_at_most(2.0));
        let includes =
            "CPU of the host for a list of 20 products with prices and stock (JSON). Baseline: 1,000 products";
        let line = Line::new(name("product_list_cpu"), large.list_cpu_us, "us", includes);
        report.add(&line.against(small.list_cpu_us));
    }
    Ok(())
}

async fn sized(bench: &mut Bench, products: usize) -> Result<Sized> {
    let folder = bench.folder()?;
    let host = bench.host(&folder)?;
    let plugins: Vec<_> = bench.artefacts.shop.iter().collect();
    let shop = Shop::open(&host, &plugins).await?;
    let before = host.disk_bytes()?;
    let imported = shop.import(&host, folder.path(), products).await?;
    let thousands = products / 1_000;
    let includes = "`kontor import products` of a CSV file with code, name, text, price, category and brand: wall clock of the \
                    command, its reading of the file included, durable";
    let line = Line::new(format!("scale/{thousands}k_import"), imported.elapsed.as_secs_f64(), "s", includes);
    bench.report.add(&if products == 1_000_000 { line.at_most(180.0) } else { line });
    let cpu = imported.cpu.as_secs_f64() * 1e6 / products as f64;
    let includes = "CPU of the host for each product imported";
    bench.report.add(&Line::new(format!("scale/{thousands}k_import_cpu"), cpu, "us", includes));
    shop.stock_up(ARTICLES).await?;
    let disk = host.disk_bytes()?.saturating_sub(before) as f64 / 1e9;
    let includes = "Space on the disk that the import took, blocks";
    let line = Line::new(format!("scale/{thousands}k_disk"), disk, "GB", includes);
    bench.report.add(&if products == 1_000_000 { line.at_most(2.5) } else { line });

    let (pages, page_p50_us) = pages(bench, &host, products, "/products/", bench.seconds() / 2.0).await?;
    let (list, _) = list(&host, bench.seconds() / 2.0).await?;
    let mut selling = Selling::of(host, shop);
    selling.sell(ARTICLES, 0.0, CLIENTS, bench.warm_up_seconds()).await?;
    let orders = selling.sell(ARTICLES, 0.0, CLIENTS, bench.seconds()).await?;
    selling.check().await?;
    selling.host.stop()?;
    Ok(Sized { orders, page_cpu_us: pages, page_p50_us, list_cpu_us: list })
}

/// CPU of a page, and the median of its time.
async fn pages(bench: &Bench, host: &Host, products: usize, path: &str, seconds: f64) -> Result<(f64, f64)> {
    let step = (products / PAGES).max(1);
    let requests: Vec<Request> =
        (0..PAGES).map(|n| Request::get_anew(at("storefront", &format!("{path}{}", sku(n * step))))).collect();
    visit(host, &requests, bench.warm_up_seconds()).await?;
    visit(host, &requests, seconds).await
}

async fn list(host: &Host, seconds: f64) -> Result<(f64, f64)> {
    let requests = [Request::get_anew(at("storefront", "/api/v1/products?limit=20"))];
    visit(host, &requests, seconds).await
}

async fn visit(host: &Host, requests: &[Request], seconds: f64) -> Result<(f64, f64)> {
    let work = Work::Requests { requests: requests.to_vec(), pipeline: 1, rate: None, errors_expected: false };
    let load = Load { address: host.address(), clients: VISITORS, seconds: seconds / 3.0, seed: 1, work };
    let (mut cpu, mut p50) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let before = host.cpu()?;
        let seen = load::put(&load).await?;
        cpu.push(host.cpu()?.saturating_sub(before).as_secs_f64() * 1e6 / seen.requests as f64);
        p50.push(seen.latency_us.p50);
    }
    Ok((median(cpu), median(p50)))
}
