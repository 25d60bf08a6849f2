//! The demo: a made-up merchant who sells one stock in a web shop, at a till and on a simulated Amazon, all at once.
//!
//! It talks to a running host as anyone would, over HTTP. Starting the host is the caller's business.

mod books;
mod catalogue;
mod customers;
mod host;
mod set_up;
mod summary;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

pub use catalogue::{DemoProduct, DemoVariant, PRODUCTS};
pub use host::{DemoError, HostClient};
pub use set_up::{MERCHANT, STORE, TILL, WAREHOUSE};
pub use summary::{ByChannel, Summary};

use self::customers::{Tally, Taste};
use self::set_up::Tokens;
use crate::amazon::{AmazonSimulator, FaultPlan, SimulatorConfig};

/// How much faster than in reality the marketplace's time runs.
const MARKETPLACE_SPEED: u32 = 120;
/// How long the merchant may take to learn of the marketplace's last orders, after customers stopped.
const SETTLING: Duration = Duration::from_secs(60);

/// A packed plugin.
#[derive(Clone, Debug)]
pub struct Package {
    /// The file's content.
    pub bytes: Vec<u8>,
}

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
pub struct DemoOptions {
    /// Of everything that customers and the marketplace do by chance.
    pub seed: u64,
    /// Customers at a time, in each channel.
    pub buyers_per_channel: usize,
}

/// Something that a person can open.
#[derive(Clone, Debug)]
pub struct Address {
    /// What it is.
    pub name: &'static str,
    /// Where.
    pub url: String,
    /// How to get in.
    pub remark: Option<String>,
}

/// The demo, set up and ready for customers.
#[derive(Debug)]
pub struct Demo {
    admin: HostClient,
    public: HostClient,
    tokens: Tokens,
    amazon: Arc<AmazonSimulator>,
    options: DemoOptions,
}

impl Demo {
    /// Installs `packages` in the host at `url` and fills the shop.
    pub async fn set_up(
        url: &str,
        admin_token: &str,
        packages: Vec<Package>,
        options: DemoOptions,
    ) -> Result<Self, DemoError> {
        let config = SimulatorConfig {
            speed: MARKETPLACE_SPEED,
            faults: FaultPlan::rough(),
            ..SimulatorConfig::new(options.seed)
        };
        let amazon = AmazonSimulator::start(config)
            .await
            .map_err(|error| DemoError::Other(format!("the simulated Amazon cannot start: {error}")))?;
        let admin = HostClient::new(url, admin_token)?;
        set_up::install(&admin, packages.into_iter().map(|package| package.bytes).collect(), &amazon).await?;
        let tokens = set_up::tokens(&admin).await?;
        let run = format!(
            "{:x}",
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_millis())
        );
        set_up::fill(&admin.with_token(&tokens.merchant), &amazon, &run).await?;
        Ok(Self { public: admin.with_token(""), admin, tokens, amazon: Arc::new(amazon), options })
    }

    /// What a person can look at.
    pub fn addresses(&self) -> Vec<Address> {
        let base = self.admin.base();
        let page = |plugin: &str| format!("{base}/m/{MERCHANT}/{plugin}/");
        let sign_in = format!("sign in at {base}/m/{MERCHANT}/sign-in with {}", self.tokens.staff);
        vec![
            Address { name: "web shop", url: page("storefront"), remark: None },
            Address { name: "till", url: page("pos"), remark: Some(sign_in) },
            Address {
                name: "Amazon",
                url: page("amazon"),
                remark: Some("the connector's page, behind the same sign-in".into()),
            },
            Address {
                name: "host",
                url: format!("{base}/"),
                remark: Some(format!("API description: {base}/openapi.json, metrics: {base}/metrics")),
            },
        ]
    }

    /// The simulated marketplace.
    pub fn amazon(&self) -> &AmazonSimulator {
        &self.amazon
    }

    /// A client with a token for every scope of the merchant.
    pub fn merchant_client(&self) -> HostClient {
        self.admin.with_token(&self.tokens.merchant)
    }

    /// Lets customers buy in every channel for `duration`, waits until the merchant knows of all orders, and adds up.
    pub async fn sell(&self, duration: Duration) -> Result<Summary, DemoError> {
        let merchant = self.merchant_client();
        self.sweep(&merchant).await?;
        let before = books::stock(&merchant).await?;
        let orders_before = self.orders(&merchant).await?;
        let conflicts_before = books::counter(&self.admin, summary::CONFLICTS).await?;
        let retries_before = books::counter(&self.admin, summary::RETRIES).await?;

        let tallies =
            Arc::new(ByChannel { storefront: Tally::default(), pos: Tally::default(), amazon: Tally::default() });
        let began = Instant::now();
        self.let_customers_loose(began + duration, &tallies).await;
        let seconds = began.elapsed().as_secs_f64();
        self.settle(&merchant).await?;

        let (after, orders_after) = self.close_books(&merchant).await?;
        Ok(Summary::new(summary::Books {
            before,
            after,
            orders: summary::difference(&orders_before, &orders_after),
            tallies: &tallies,
            discrepancies: books::discrepancies(&merchant).await?,
            marketplace_violations: self.amazon.violations().len() as u64,
            conflicts: books::counter(&self.admin, summary::CONFLICTS).await?.saturating_sub(conflicts_before),
            retries: books::counter(&self.admin, summary::RETRIES).await?.saturating_sub(retries_before),
            seconds,
            seed: self.options.seed,
        }))
    }

    async fn orders(&self, merchant: &HostClient) -> Result<ByChannel<books::Orders>, DemoError> {
        Ok(ByChannel {
            storefront: books::orders(merchant, "storefront").await?,
            pos: books::orders(merchant, "pos").await?,
            amazon: books::orders(merchant, "amazon").await?,
        })
    }

    /// Stock and orders that belong together: read until no order came in between.
    async fn close_books(&self, merchant: &HostClient) -> Result<(books::Stock, ByChannel<books::Orders>), DemoError> {
        let end = Instant::now() + SETTLING;
        let mut orders = self.orders(merchant).await?;
        loop {
            let stock = books::stock(merchant).await?;
            let again = self.orders(merchant).await?;
            if again == orders || Instant::now() > end {
                return Ok((stock, again));
            }
            orders = again;
        }
    }

    async fn let_customers_loose(&self, end: Instant, tallies: &Arc<ByChannel<Tally>>) {
        let mut tasks = tokio::task::JoinSet::new();
        for customer in 0..self.options.buyers_per_channel as u64 {
            let taste = |channel: u64| Taste::new(self.options.seed, channel << 32 | customer);
            let (public, web, shared) = (self.public.clone(), taste(1), Arc::clone(tallies));
            tasks.spawn(async move { customers::shop_online(public, web, end, &shared.storefront).await });
            let (till, counter, shared) = (self.admin.with_token(&self.tokens.till), taste(2), Arc::clone(tallies));
            tasks.spawn(async move { customers::shop_in_store(till, counter, end, &shared.pos).await });
            let (amazon, far, shared) = (Arc::clone(&self.amazon), taste(3), Arc::clone(tallies));
            tasks.spawn(async move { customers::shop_on_marketplace(&amazon, far, end, &shared.amazon).await });
        }
        // The merchant looks for the marketplace's orders more often than the schedule does: its time runs faster.
        let merchant = self.merchant_client();
        while Instant::now() < end {
            if let Err(error) = self.sweep(&merchant).await {
                tracing::warn!(%error, "a sweep was refused");
            }
            let pause = Duration::from_secs(2).min(end.saturating_duration_since(Instant::now()));
            tokio::time::sleep(pause).await;
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn sweep(&self, merchant: &HostClient) -> Result<(), DemoError> {
        merchant.post(&format!("/m/{MERCHANT}/amazon/v1/sweep"), &json!({})).await.map(|_| ())
    }

    /// Waits until the merchant has every order that the marketplace has, or the time for it is over: then the summary tells.
    async fn settle(&self, merchant: &HostClient) -> Result<(), DemoError> {
        let end = Instant::now() + SETTLING;
        loop {
            self.sweep(merchant).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let owed = self.amazon.summary();
            let known = books::orders(merchant, "amazon").await?;
            let known_orders = known.orders + known.on_hold;
            if known_orders >= owed.orders_placed.saturating_sub(owed.orders_cancelled) || Instant::now() > end {
                return Ok(());
            }
        }
    }
}
