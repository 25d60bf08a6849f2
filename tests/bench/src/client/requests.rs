//! Single requests: closed-loop (the next when the answer is there), pipelined (several on their way on each connection), or at a
//! given rate whatever the server does.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use rand::rngs::SmallRng;

use super::connection::Connection;
use super::{Tally, Zipf, micros};
use crate::load::{Load, VISIT_PLACE, Work};

/// The number before the first visit of this connection: no two connections of any client come to the same.
fn first_visit(connection: usize) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or_default().wrapping_add((connection as u64) << 48)
}

pub(super) async fn send(
    load: &Load,
    number: usize,
    weights: &Zipf,
    mut random: SmallRng,
    began: Instant,
    end: Instant,
    tally: &mut Tally,
) -> Result<()> {
    let Work::Requests { requests, pipeline, rate, errors_expected } = &load.work else {
        bail!("no requests to send");
    };
    let mut connection = Connection::open(&load.address).await?;
    let ready: Vec<(String, Option<usize>)> = requests
        .iter()
        .map(|r| connection.request(&r.method, &r.path, r.body.as_deref()))
        .map(|text| (text.find(VISIT_PLACE), text))
        .map(|(place, text)| (text, place))
        .collect();
    let mut visit = first_visit(number);
    let pause = rate.map(|rate| Duration::from_secs_f64(load.clients as f64 / rate));
    // At a rate, clients take turns.
    let mut due = began + pause.unwrap_or_default().mul_f64(number as f64 / load.clients.max(1) as f64);
    let mut batch = Vec::new();
    while Instant::now() < end {
        // What a request waits because the one before was not answered in time is part of its latency; that our own timer
        // wakes up late is not.
        let late = Instant::now() > due;
        let since = match pause {
            Some(_) if late => due,
            Some(_) => {
                tokio::time::sleep_until(due.into()).await;
                Instant::now()
            }
            None => Instant::now(),
        };
        due += pause.unwrap_or_default();
        batch.clear();
        for _ in 0..*pipeline {
            let Some((request, place)) = ready.get(weights.choose(&mut random)) else { continue };
            let begins = batch.len();
            batch.extend_from_slice(request.as_bytes());
            if let Some(place) = place.and_then(|place| batch.get_mut(begins + place..)) {
                visit = visit.wrapping_add(1);
                place.iter_mut().zip(format!("{visit:016x}").bytes()).for_each(|(to, digit)| *to = digit);
            }
        }
        connection.send(&batch).await?;
        for _ in 0..*pipeline {
            let answer = connection.receive().await?;
            if !(200..300).contains(&answer.status) && !errors_expected {
                bail!("status {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
            }
            tally.requests += 1;
            tally.latencies_us.push(micros(since.elapsed()));
        }
    }
    Ok(())
}
