//! Whole orders in the web shop, by its JSON API, as a guest makes them: five requests.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use rand::rngs::SmallRng;
use serde::Deserialize;

use super::connection::{Answer, Connection};
use super::{Tally, Zipf, micros};
use crate::load::{Load, Work};

/// In an order.
const REQUESTS: u64 = 5;
const DELIVERY: &str = r#"{"email":"ada@example.com","address":{"name":"Ada Example","line1":"Speicherstadt 1","postal_code":"20457","city":"Hamburg","country":"DE"}}"#;

#[derive(Deserialize)]
struct Cart {
    id: String,
}

#[derive(Deserialize)]
struct PricedCart {
    totals: Totals,
}

#[derive(Deserialize)]
struct Totals {
    total_minor: i64,
}

#[derive(Deserialize)]
struct ShippingOption {
    id: String,
}

pub(super) async fn place(
    load: &Load,
    weights: &Zipf,
    mut random: SmallRng,
    end: Instant,
    tally: &mut Tally,
) -> Result<()> {
    let Work::Orders { api, skus, .. } = &load.work else {
        bail!("no orders to place");
    };
    let mut connection = Connection::open(&load.address).await?;
    while Instant::now() < end {
        let sku = skus.get(weights.choose(&mut random)).context("there is nothing to buy")?;
        let began = Instant::now();
        tally.requests += order(&mut connection, api, sku).await?;
        tally.orders += 1;
        tally.latencies_us.push(micros(began.elapsed()));
    }
    Ok(())
}

/// One order. Returns how many requests it took.
async fn order(connection: &mut Connection, api: &str, sku: &str) -> Result<u64> {
    let filled = format!(r#"{{"lines":[{{"sku":"{sku}","quantity":1}}]}}"#);
    let cart: Cart = read(&ask(connection, "POST", &format!("{api}/carts"), Some(&filled)).await?)?;
    let here = format!("{api}/carts/{}", cart.id);
    ask(connection, "PUT", &format!("{here}/delivery"), Some(DELIVERY)).await?;
    let options: Vec<ShippingOption> = read(&ask(connection, "GET", &format!("{here}/shipping-options"), None).await?)?;
    let option = &options.first().context("no shipping option")?.id;
    let choice = format!(r#"{{"shipping_option":"{option}"}}"#);
    let cart: PricedCart = read(&ask(connection, "PUT", &format!("{here}/shipping"), Some(&choice)).await?)?;
    let total = cart.totals.total_minor;
    let payment = format!(r#"{{"payment":{{"method":"invoice","expected_total_minor":{total}}}}}"#);
    ask(connection, "POST", &format!("{here}/place"), Some(&payment)).await?;
    Ok(REQUESTS)
}

async fn ask(connection: &mut Connection, method: &str, path: &str, body: Option<&str>) -> Result<Answer> {
    let request = connection.request(method, path, body);
    connection.send(request.as_bytes()).await?;
    let answer = connection.receive().await?;
    if !(200..300).contains(&answer.status) {
        let place = path.rsplit('/').next().unwrap_or_default();
        bail!("{method} {place}: status {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
    Ok(answer)
}

fn read<'a, T: Deserialize<'a>>(answer: &'a Answer) -> Result<T> {
    serde_json::from_slice(&answer.body).context("an answer of the shop cannot be read")
}
