//! The client process: puts load on a server and measures what its users would. Lean on purpose, because it shares the machine with
//! what it measures: one thread, hand-written HTTP/1.1.

mod connection;
mod orders;
mod requests;

use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::load::{Load, Seen, Work};
use crate::measure::{Quantiles, process_cpu};

/// What one client saw.
#[derive(Debug, Default)]
struct Tally {
    requests: u64,
    orders: u64,
    latencies_us: Vec<u32>,
    errors: Vec<String>,
}

/// Reads a [`Load`] from standard input, puts it on, and writes what was [`Seen`] to standard output.
pub(crate) fn run() -> Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let load: Load = serde_json::from_str(&text).context("what to do cannot be read")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let seen = runtime.block_on(put(load))?;
    serde_json::to_writer(std::io::stdout(), &seen)?;
    Ok(())
}

async fn put(load: Load) -> Result<Seen> {
    let load = Arc::new(load);
    let weights = Arc::new(match &load.work {
        Work::Orders { skus, alpha, .. } => Zipf::new(skus.len(), *alpha),
        Work::Requests { requests, .. } => Zipf::new(requests.len(), 0.0),
    });
    let all = Arc::new(Mutex::new(Tally::default()));
    let began = Instant::now();
    let end = began + Duration::from_secs_f64(load.seconds);
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..load.clients {
        let (load, weights, all) = (Arc::clone(&load), Arc::clone(&weights), Arc::clone(&all));
        clients.spawn(async move {
            let random = SmallRng::seed_from_u64(load.seed ^ ((number as u64) << 32));
            let mut tally = Tally::default();
            let result = match &load.work {
                Work::Requests { .. } => requests::send(&load, number, &weights, random, began, end, &mut tally).await,
                Work::Orders { .. } => orders::place(&load, &weights, random, end, &mut tally).await,
            };
            if let Err(error) = result {
                tally.errors.push(format!("{error:#}"));
            }
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            all.requests += tally.requests;
            all.orders += tally.orders;
            all.latencies_us.append(&mut tally.latencies_us);
            all.errors.append(&mut tally.errors);
        });
    }
    while clients.join_next().await.is_some() {}
    let seconds = began.elapsed().as_secs_f64();
    let tally = std::mem::take(&mut *all.lock().unwrap_or_else(PoisonError::into_inner));
    let mut seen = Seen { seconds, requests: tally.requests, orders: tally.orders, ..Seen::default() };
    for error in tally.errors {
        *seen.errors.entry(error).or_default() += 1;
    }
    seen.latency_us = Quantiles::of(tally.latencies_us);
    seen.client_cpu_seconds = process_cpu(std::process::id())?.as_secs_f64();
    Ok(seen)
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// Chooses among `n` things, the k-th with a weight of 1 / k^alpha.
#[derive(Debug)]
struct Zipf {
    /// Cumulative, up to 1.
    shares: Vec<f64>,
}

impl Zipf {
    fn new(n: usize, alpha: f64) -> Self {
        let weights: Vec<f64> = (1..=n).map(|rank| (rank as f64).powf(-alpha)).collect();
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let shares = weights
            .iter()
            .map(|weight| {
                sum += weight / total;
                sum
            })
            .collect();
        Self { shares }
    }

    fn choose(&self, random: &mut SmallRng) -> usize {
        let point: f64 = random.random();
        self.shares.partition_point(|share| *share < point).min(self.shares.len().saturating_sub(1))
    }
}
