//! Whole orders by the shop's JSON API, durable. Five requests each: new cart with a line, delivery address, shipping options,
//! choice, placing with payment by invoice. Every acknowledged order is checked against the stock that is left.

use anyhow::{Result, ensure};

use super::Bench;
use crate::host::Host;
use crate::load::{self, Seen};
use crate::report::{Line, say};
use crate::shop::{Shop, buying, sku};

/// Customers at a time.
pub(super) const CLIENTS: usize = 64;
/// Articles in the range.
pub(super) const ARTICLES: usize = 1_000;

/// Orders, with what they cost the host.
#[derive(Clone, Debug)]
pub(super) struct Sales {
    pub(super) seen: Seen,
    /// CPU of the host for each order, milliseconds.
    pub(super) cpu_ms: f64,
}

/// A shop that sells, and how many units it should have sold by now.
pub(super) struct Selling {
    pub(super) host: Host,
    pub(super) shop: Shop,
    articles: usize,
    acknowledged: i64,
}

impl Selling {
    /// A host with the real plugins and a range of articles.
    pub(super) async fn open(bench: &Bench, folder: &tempfile::TempDir, store: &str, articles: usize) -> Result<Self> {
        let host = bench.host_on(folder, store)?;
        let plugins: Vec<_> = bench.artefacts.shop.iter().collect();
        let shop = Shop::open(&host, &plugins).await?;
        shop.import(&host, folder.path(), articles).await?;
        let articles = articles.min(ARTICLES);
        shop.stock_up(articles).await?;
        Ok(Self { host, shop, articles, acknowledged: 0 })
    }

    /// As [`Selling::open`], of a shop that was filled otherwise.
    pub(super) fn of(host: Host, shop: Shop) -> Self {
        Self { host, shop, articles: ARTICLES, acknowledged: 0 }
    }

    /// Lets `clients` customers buy among the first `articles` articles.
    pub(super) async fn sell(&mut self, articles: usize, alpha: f64, clients: usize, seconds: f64) -> Result<Sales> {
        let skus = (0..articles).map(sku).collect();
        let before = self.host.cpu()?;
        let seed = u64::try_from(self.acknowledged)?;
        let seen = load::put(&buying(&self.host, skus, alpha, clients, seconds, seed)).await?;
        let spent = self.host.cpu()?.saturating_sub(before);
        self.acknowledged += i64::try_from(seen.orders)?;
        let cpu_ms = spent.as_secs_f64() * 1e3 / seen.orders as f64;
        Ok(Sales { seen, cpu_ms })
    }

    /// Every acknowledged order took its unit from the stock, and nothing else did.
    pub(super) async fn check(&self) -> Result<()> {
        let sold = self.shop.sold(self.articles).await?;
        ensure!(sold == self.acknowledged, "{} orders were acknowledged, but {sold} units are gone", self.acknowledged);
        Ok(())
    }
}

const INCLUDES: &str = "64 customers, closed loop, 5 requests an order (cart with a line, address, options, shipping, place), \
                        storefront, catalog, pricing, inventory, cart and orders in one transaction each, every request durable";

pub(super) async fn run(bench: &mut Bench) -> Result<()> {
    let folder = bench.folder()?;
    let store = bench.store.clone();
    let mut selling = Selling::open(bench, &folder, &store, ARTICLES).await?;
    if let Some(seconds) = bench.profile {
        say(&format!("host {} under load", selling.host.pid()));
        selling.sell(ARTICLES, 0.0, CLIENTS, seconds as f64).await?;
        return selling.host.stop();
    }
    let seconds = bench.seconds();
    selling.sell(ARTICLES, 0.0, CLIENTS, bench.warm_up_seconds()).await?;

    // In memory first: the baseline of what being durable costs.
    let in_memory = memory(bench).await?;
    let uniform = selling.sell(ARTICLES, 0.0, CLIENTS, seconds).await?;
    let zipf = selling.sell(ARTICLES, 1.5, CLIENTS, seconds).await?;
    let hot = selling.sell(1, 0.0, CLIENTS, seconds).await?;
    let again = selling.sell(ARTICLES, 0.0, CLIENTS, seconds).await?;
    let alone = selling.sell(ARTICLES, 0.0, 1, seconds / 2.0).await?;
    selling.check().await?;

    let report = &mut bench.report;
    let includes = format!("{INCLUDES}; 1,000 articles alike (alpha 0), {store}. Baseline: memory store");
    let line = Line::new("orders/closed_loop", uniform.seen.orders_per_second(), "orders/s", includes);
    report.add(&line.against(in_memory.seen.orders_per_second()).at_least(500.0));
    let includes = "CPU of the host (guests run in it) for a whole order of 5 requests, events and jobs included, same run. Baseline: memory store";
    let line = Line::new("orders/cpu_per_order", uniform.cpu_ms, "ms", includes);
    report.add(&line.against(in_memory.cpu_ms).at_most(2.0));
    let includes = "99th percentile of a whole order of 5 requests, same run. Baseline: memory store";
    let p99 = |sales: &Sales| sales.seen.latency_us.p99 / 1e3;
    report.add(&Line::new("orders/p99", p99(&uniform), "ms", includes).against(p99(&in_memory)));
    let includes = "One customer alone: the median time of a whole order, five durable requests one after the other";
    report.add(&Line::new("orders/alone_p50", alone.seen.latency_us.p50 / 1e3, "ms", includes));

    let base = (uniform.seen.orders_per_second() + again.seen.orders_per_second()) / 2.0;
    let base_p99 = f64::midpoint(p99(&uniform), p99(&again));
    let includes =
        "As orders/closed_loop, articles by Zipf with alpha 1.5. Baseline: alpha 0, the mean of before and after";
    let line = Line::new("orders/zipf_1.5", zipf.seen.orders_per_second(), "orders/s", includes);
    report.add(&line.against(base).ratio_at_least(0.7));
    let includes = "All 64 customers buy the same article. Baseline: 1,000 articles, the mean of before and after";
    let line = Line::new("orders/one_hot_article", hot.seen.orders_per_second(), "orders/s", includes);
    report.add(&line.against(base).ratio_at_least(0.7));
    let includes = "99th percentile of a whole order, all on one article. Baseline: 1,000 articles";
    report
        .add(&Line::new("orders/one_hot_article_p99", p99(&hot), "ms", includes).against(base_p99).ratio_at_most(3.0));
    selling.host.stop()
}

async fn memory(bench: &Bench) -> Result<Sales> {
    let folder = bench.folder()?;
    let mut selling = Selling::open(bench, &folder, "memory", ARTICLES).await?;
    selling.sell(ARTICLES, 0.0, CLIENTS, bench.warm_up_seconds()).await?;
    let sales = selling.sell(ARTICLES, 0.0, CLIENTS, bench.seconds()).await?;
    selling.check().await?;
    selling.host.stop()?;
    Ok(sales)
}
