//! A merchant with a shop on a host, filled as a merchant would fill it: plugins by the control API, articles by `kontor import`, stock
//! and prices by the modules' own APIs.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kontor_channels::demo::HostClient;
use kontor_package::Built;
use serde_json::{Value, json};

use crate::host::Host;
use crate::load::{Load, Work};
use crate::native;

/// The merchant.
pub(crate) const MERCHANT: &str = "bench";
/// Members of a batch that the modules take.
const BATCH: usize = 250;
/// Stock of each article that is sold: nobody sells it out.
const STOCK: i64 = 10_000_000;
/// Records of the probe.
pub(crate) const RECORDS: u32 = 1_000;

/// A shop.
#[derive(Debug)]
pub(crate) struct Shop {
    merchant: HostClient,
}

/// What an import took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Imported {
    /// From the start of the command to its end.
    pub(crate) elapsed: Duration,
    /// CPU of the host.
    pub(crate) cpu: Duration,
}

/// The n-th article's code, which is the product's id as well.
pub(crate) fn sku(number: usize) -> String {
    format!("ART-{number:07}")
}

/// The address of a path of a plugin.
pub(crate) fn at(plugin: &str, path: &str) -> String {
    format!("/m/{MERCHANT}/{plugin}{path}")
}

impl Shop {
    /// Makes the merchant, installs the plugins and makes a location.
    pub(crate) async fn open(host: &Host, plugins: &[&Built]) -> Result<Self> {
        let admin = host.client()?;
        admin.post("/api/v1/merchants", &json!({ "id": MERCHANT, "name": "Bench" })).await?;
        let mut changes = Vec::new();
        for built in plugins {
            let bytes = built.package.bytes().to_vec();
            let package = admin.upload("/api/v1/packages", "application/vnd.kontor.plugin", bytes).await?;
            changes.push(json!({ "kind": "install", "digest": package.get("digest"), "grant": { "all": true } }));
        }
        let body = json!({ "changes": changes, "reason": "set up the bench" });
        admin.post(&format!("/api/v1/merchants/{MERCHANT}/revisions"), &body).await?;
        let token = json!({ "name": "bench", "kind": "token", "scopes": ["*"] });
        let created = admin.post(&format!("/api/v1/merchants/{MERCHANT}/tokens"), &token).await?;
        let secret = created.get("secret").and_then(Value::as_str).context("the host made no token")?;
        Ok(Self { merchant: admin.with_token(secret) })
    }

    /// Writes the probe's records.
    pub(crate) async fn write_records(&self) -> Result<()> {
        for number in 0..RECORDS {
            let record = native::record(number);
            self.merchant.put(&at("probe", &format!("/records/{}", record.id)), &record).await?;
        }
        Ok(())
    }

    /// Imports `articles` products with prices from a CSV file, by the command that merchants use.
    pub(crate) async fn import(&self, host: &Host, directory: &Path, articles: usize) -> Result<Imported> {
        let file = directory.join(format!("products-{articles}.csv"));
        write_products(&file, articles)?;
        let path = file.to_str().context("the path is no text")?;
        let map = "sku=Code,title=Name,description=Text,price=Price,category=Category,brand=Brand";
        let (began, cpu) = (Instant::now(), host.cpu()?);
        let summary = host.command(&["--merchant", MERCHANT, "import", "products", path, "--map", map])?;
        let imported = Imported { elapsed: began.elapsed(), cpu: host.cpu()?.saturating_sub(cpu) };
        std::fs::remove_file(&file)?;
        let (rows, refused) = (summary.get("rows").and_then(Value::as_u64), summary.get("refused"));
        if rows != Some(articles as u64) || refused.and_then(Value::as_u64) != Some(0) {
            bail!("not everything was imported: {summary}");
        }
        Ok(imported)
    }

    /// Puts the first `articles` articles on stock.
    pub(crate) async fn stock_up(&self, articles: usize) -> Result<()> {
        let location = json!({ "name": "Warehouse", "kind": "warehouse", "time_zone": "Europe/Berlin" });
        self.merchant.put(&at("inventory", "/v1/locations/main"), &location).await?;
        let rule = json!({ "locations": ["main"], "buffer": 0 });
        self.merchant.put(&at("inventory", "/v1/channel-rules/storefront"), &rule).await?;
        let numbers: Vec<usize> = (0..articles).collect();
        for batch in numbers.chunks(BATCH) {
            let counts: Vec<Value> = batch
                .iter()
                .map(|number| json!({ "sku": sku(*number), "location": "main", "counted": STOCK, "reference": "opening" }))
                .collect();
            self.merchant.post(&at("inventory", "/v1/counts:batch"), &json!({ "counts": counts })).await?;
        }
        Ok(())
    }

    /// Units of the first `articles` articles that were sold: what was put on stock, less what can still be promised.
    pub(crate) async fn sold(&self, articles: usize) -> Result<i64> {
        let (numbers, mut unsold): (Vec<usize>, i64) = ((0..articles).collect(), 0);
        for batch in numbers.chunks(50) {
            let query: Vec<String> = batch.iter().map(|number| format!("sku={}", sku(*number))).collect();
            let answer = self.merchant.get(&at("inventory", &format!("/v1/levels?{}", query.join("&")))).await?;
            let levels = answer.get("levels").and_then(Value::as_array).context("no levels")?;
            for level in levels {
                let number = |name: &str| level.get(name).and_then(Value::as_i64).unwrap_or_default();
                unsold += number("on_hand") - number("reserved");
            }
        }
        Ok(STOCK * i64::try_from(articles)? - unsold)
    }
}

/// `clients` customers who buy one unit of one of these articles, over and over.
pub(crate) fn buying(host: &Host, skus: Vec<String>, alpha: f64, clients: usize, seconds: f64, seed: u64) -> Load {
    let work = Work::Orders { api: at("storefront", "/api/v1"), skus, alpha };
    Load { address: host.address(), clients, seconds, seed, work }
}

fn write_products(file: &Path, articles: usize) -> Result<()> {
    const THINGS: [&str; 8] = ["Mug", "Lamp", "Chair", "Blanket", "Bottle", "Notebook", "Basket", "Clock"];
    const LOOKS: [&str; 8] = ["blue", "white", "oak", "linen", "striped", "round", "small", "heavy"];
    let pick = |words: &[&'static str; 8], number: usize| words.get(number % 8).copied().unwrap_or_default();
    let mut out = std::io::BufWriter::new(std::fs::File::create(file)?);
    writeln!(out, "Code,Name,Text,Price,Category,Brand")?;
    for number in 0..articles {
        let (thing, look) = (pick(&THINGS, number), pick(&LOOKS, number / 8));
        writeln!(
            out,
            "{},\"{thing}, {look}, no. {number}\",\"A {look} {} for every day. Made to last, easy to clean, and sent \
             within a day from our own warehouse.\",{}.{:02},{thing}s,Brand {}",
            sku(number),
            thing.to_lowercase(),
            1 + number % 200,
            number % 100,
            number % 97
        )?;
    }
    out.flush()?;
    Ok(())
}
