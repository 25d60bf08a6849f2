//! Requests to other servers: grants, journal, budgets, secrets.

use std::sync::Arc;

use futures_util::FutureExt;
use kontor_core::effects::{Environment, OutboundError, OutboundRequest, OutboundResponse};
use kontor_core::executor::{Call, ExecutionError, Reply};
use kontor_core::machine::WorkOutcome;
use kontor_core::records::SecretValue;
use kontor_core::revision::{RateBudget, SecretSpec};

use crate::support::*;

fn request(url: &str) -> OutboundRequest {
    OutboundRequest { method: "POST".into(), url: url.into(), headers: vec![], body: vec![], timeout_ms: 1_000 }
}

const URL: &str = "https://api.example.com/orders";

/// `/` queues a job; the job fetches twice and keeps what it got.
fn fetching(fails: impl Fn(u32) -> bool + Send + Sync + 'static) -> (Bench, Journal<String>) {
    let bench = Bench::new([plugin("p")]);
    let (seen, fails): (Journal<String>, _) = (Arc::default(), Arc::new(fails));
    let noted = seen.clone();
    bench.scripts.set(
        "p",
        script!(
            [noted, fails] | call,
            tx | {
                match call {
                    Call::Http(_) => {
                        tx.enqueue("work", Some("k"), "{}", 0).await.unwrap();
                        ok("")
                    }
                    Call::Job(job) => {
                        tx.get("rows", b"n").await.unwrap();
                        let mut bodies = Vec::new();
                        for n in 0..2 {
                            let answer = tx.fetch(request(&format!("{URL}/{n}"))).await;
                            bodies.push(
                                answer.map_or_else(|error| error.to_string(), |r| String::from_utf8(r.body).unwrap()),
                            );
                        }
                        noted.lock().unwrap().push(bodies.join(" "));
                        tx.put("rows", b"n", b"1".to_vec()).unwrap();
                        if fails(job.attempt) { Err(ExecutionError::Retry("again".into())) } else { Ok(Reply::Done) }
                    }
                    _ => panic!(),
                }
            }
        ),
    );
    (bench, seen)
}

#[test]
fn executions_that_are_repeated_get_the_recorded_responses() {
    for seed in 0..30 {
        let (bench, seen) = fetching(|_| false);
        bench.get("p", "/");
        bench.store.set_faults(Faults { conflicts: 400, ..Faults::default() }, seed);
        for _ in 0..20 {
            bench.settle();
            bench.pass(2_000);
        }
        bench.store.set_faults(Faults::default(), 0);
        // A journal that could not be written is no record: only then is there another exchange, with the same key.
        let requests = bench.server.requests.lock().unwrap();
        let keys: std::collections::BTreeSet<&str> = requests.iter().map(|(c, _)| c.idempotency_key.as_str()).collect();
        assert_eq!(keys.len(), 2, "seed {seed}");
        let seen = seen.lock().unwrap();
        assert!(!seen.is_empty());
        let journal = bench.store.keys().into_iter().filter(|key| key[2] == 0x40).count();
        assert_eq!(journal, 0, "the journal goes with the job");
    }
}

#[test]
fn a_crash_after_the_exchange_makes_no_second_one() {
    let (bench, seen) = fetching(|_| false);
    bench.get("p", "/");
    let items = block_on(bench.machine.due_work(bench.clock.now_ms(), 8)).unwrap();
    let item = items.into_iter().find(|item| item.describe().starts_with("job")).unwrap();
    let mut running = Box::pin(bench.machine.run(item));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    while seen.lock().unwrap().is_empty() {
        assert!(std::future::Future::poll(running.as_mut(), &mut context).is_pending());
    }
    let next = bench.crashed();
    next.settle();
    assert_eq!(*seen.lock().unwrap(), ["1 2", "1 2"]);
    assert_eq!(bench.server.requests.lock().unwrap().len(), 2);
    let replayed = next.notes.fetches.lock().unwrap().iter().filter(|fetch| fetch.replayed).count();
    assert_eq!(replayed, 2);
    assert!(next.store.keys().iter().all(|key| key[2] != 0x40));
}

#[test]
fn a_retry_asks_again_under_the_same_idempotency_key() {
    let (bench, seen) = fetching(|attempt| attempt == 1);
    bench.server.answers.lock().unwrap().push_back(Err(OutboundError::Timeout("slow".into())));
    bench.get("p", "/");
    assert_eq!(bench.settle(), [WorkOutcome::Retried]);
    bench.pass(2_000);
    assert_eq!(bench.settle(), [WorkOutcome::Done]);
    assert_eq!(*seen.lock().unwrap(), ["timeout: slow 2", "3 4"]);
    let requests = bench.server.requests.lock().unwrap();
    assert_eq!(requests[0].0.idempotency_key, requests[2].0.idempotency_key);
    assert_ne!(requests[0].0.idempotency_key, requests[1].0.idempotency_key);
}

#[test]
fn only_granted_hosts_and_only_where_it_is_allowed() {
    let bench = Bench::new([plugin("p")]);
    bench.scripts.set(
        "p",
        script!(|call, tx| {
            let Call::Http(incoming) = call else { panic!() };
            let urls = [URL, "https://evil.example.com/", "http://api.example.com/", "https://API.EXAMPLE.COM/x"];
            let mut outcomes = Vec::new();
            for url in urls {
                outcomes.push(match tx.fetch(request(url)).await {
                    Ok(_) => "ok",
                    Err(OutboundError::Denied(_)) => "denied",
                    Err(_) => "other",
                });
            }
            respond(if incoming.path == "/fail" { 500 } else { 200 }, outcomes.join(" "))
        }),
    );
    assert_eq!(bench.body("p", "/"), "denied denied denied denied");
    let mut context = bench.context();
    context.may_fetch = true;
    let answer = block_on(bench.ask("p", "/", context.clone())).unwrap();
    assert_eq!(answer.response.body, b"ok denied denied ok");
    assert_eq!(bench.server.requests.lock().unwrap().len(), 2);
    let context_2 =
        kontor_core::records::RequestContext { invocation: kontor_core::ids::InvocationId::new("req/x"), ..context };
    assert_eq!(block_on(bench.ask("p", "/fail", context_2)).unwrap().response.status, 500);
    assert!(bench.store.keys().iter().all(|key| key[2] != 0x40), "no journal is left, whatever the answer");
}

#[test]
fn budgets_hold_requests_back() {
    let mut worker = plugin("p");
    worker.spec.outbound[0].budgets = vec![RateBudget {
        name: "orders".into(),
        method: "POST".into(),
        path: "/orders".into(),
        rate_millihertz: 100,
        burst: 1,
    }];
    let bench = Bench::new([worker]);
    bench.scripts.set(
        "p",
        script!(|_call, tx| {
            let first = tx.fetch(request(URL)).await.is_ok();
            let second = tx.fetch(request(URL)).await;
            let free = tx.fetch(request("https://api.example.com/other")).await.is_ok();
            ok(format!("{first} {second:?} {free}"))
        }),
    );
    let mut context = bench.context();
    context.may_fetch = true;
    let answer = block_on(bench.ask("p", "/", context)).unwrap();
    assert_eq!(String::from_utf8(answer.response.body).unwrap(), "true Err(RateLimited(10000)) true");
}

#[test]
fn secrets_reach_the_outside_but_no_guest_that_was_not_granted_them() {
    let mut worker = plugin("p");
    worker.spec.secrets = vec![
        SecretSpec { name: "token".into(), description: String::new(), plain: true },
        SecretSpec { name: "unset".into(), description: String::new(), plain: false },
    ];
    let bench = Bench::new([worker]);
    let p = id("p");
    let set = bench.machine.set_secret(&bench.merchant, &p, "token", SecretValue::new("s3cret"));
    block_on(set).unwrap();
    let undeclared = bench.machine.set_secret(&bench.merchant, &p, "other", SecretValue::new("x"));
    assert_eq!(block_on(undeclared).unwrap_err().code(), "secret-undeclared");
    bench.scripts.set(
        "p",
        script!(|_call, tx| {
            assert!(!tx.secret_is_plain("token"), "asked for, but not granted");
            assert_eq!(tx.secret("token").unwrap().as_deref(), Some("s3cret"));
            assert_eq!(tx.secret("unset").unwrap(), None);
            let mut with = request(URL);
            with.headers.push(("Authorization".into(), "Bearer {secret:token}".into()));
            tx.fetch(with.clone()).await.unwrap();
            with.headers[0].1 = "{secret:unset}".into();
            assert!(matches!(tx.fetch(with.clone()).await, Err(OutboundError::Invalid(_))));
            with.headers[0].1 = "{secret:undeclared}".into();
            assert!(matches!(tx.fetch(with).await, Err(OutboundError::Invalid(_))));
            ok("")
        }),
    );
    let mut context = bench.context();
    context.may_fetch = true;
    block_on(bench.ask("p", "/", context)).unwrap();
    let requests = bench.server.requests.lock().unwrap();
    assert_eq!(requests[0].0.secrets, [("token".to_owned(), "s3cret".to_owned())]);
    assert_eq!(requests[0].1.headers[0], ("authorization".into(), "Bearer {secret:token}".into()));
    let listed = block_on(bench.machine.secrets(&bench.merchant, &id("p"))).unwrap();
    assert_eq!(listed.iter().map(|secret| secret.set).collect::<Vec<_>>(), [true, false]);
    assert!(!format!("{:?} {listed:?}", SecretValue::new("s3cret")).contains("s3cret"));
}

#[test]
fn what_fetches_in_the_exclusive_lane_does_not_stop_the_merchant() {
    let bench = Bench::new([plugin("p"), plugin("q")]);
    // Every execution of `p` reads what `q` changed meanwhile: it loses until it runs alone.
    bench.scripts.set(
        "p",
        script!(|_call, tx| {
            let call = tx.enter(&id("q")).unwrap();
            tx.get("rows", b"hot").await.unwrap();
            tx.leave(call, true);
            let answer: OutboundResponse = tx.fetch(request(URL)).await.unwrap();
            for _ in 0..100 {
                pause().await;
            }
            ok(answer.body)
        }),
    );
    bench.scripts.set(
        "q",
        script!(|_call, tx| {
            tx.put("rows", b"hot", b"x".to_vec()).unwrap();
            ok("")
        }),
    );
    let mut context = bench.context();
    context.may_fetch = true;
    let slow = async { vec![bench.ask("p", "/", context).await] }.boxed();
    let writers = (0..4).map(|_| {
        async {
            let mut answers = Vec::new();
            for _ in 0..1_000 {
                answers.push(bench.ask("q", "/", bench.context()).await);
            }
            answers
        }
        .boxed()
    });
    let answers = interleave(9, std::iter::once(slow).chain(writers).collect());
    assert!(answers.iter().flatten().all(Result::is_ok));
    let slow = answers[0][0].as_ref().unwrap();
    assert_eq!(slow.response.body, b"1", "one exchange, however often it was executed");
    assert_eq!(slow.executions, 8);
    assert_eq!(bench.server.requests.lock().unwrap().len(), 1);
}
