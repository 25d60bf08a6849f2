//! The SDK, the builder and the testkit together: the plugins of the conformance suite, on the real engine.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

use std::time::Duration;

use kontor_testkit::{DeadSubject, LogLevel, Reply, TestHost, TestRequest};
use serde_json::{Value, json};

const GREETED: &str = "kontor.conformance.greeted.v1";

fn hello() -> TestHost {
    TestHost::builder().plugin("hello").secret("hello", "webhook-key", "s3cret").start()
}

fn note(text: &str, tags: &[&str], slug: Option<&str>) -> Value {
    json!({ "text": text, "tags": tags, "slug": slug })
}

#[test]
fn counters_events_jobs_and_configuration() {
    let host = TestHost::builder().plugin("hello").config("hello", json!({ "salutation": "Moin" })).start();
    let greeting: Value = host.get("hello", "/hello/Ada").expect(200).json();
    assert_eq!(greeting, json!({ "text": "Moin, Ada!", "count": 1 }));

    // The event is delivered to the plugin itself, which queues a job for a minute later.
    let events = host.emitted(GREETED);
    assert_eq!((events.len(), events[0].key.as_str(), events[0].payload.as_str()), (1, "Ada", r#"{"name":"Ada"}"#));
    assert!(host.run_until_idle() >= 1);
    assert_eq!(host.jobs("hello").len(), 1);
    host.get("hello", "/notes/Ada").expect(404);
    host.advance(Duration::from_secs(61));
    assert!(host.run_until_idle() >= 1);
    let note: Value = host.get("hello", "/notes/Ada").expect(200).json();
    assert_eq!(note["text"], "Ada was greeted");
    assert_eq!(host.jobs("hello").len(), 0);

    // The sixth greeting leaves the bounds, and leaves no trace.
    for count in 2..=5 {
        assert_eq!(host.get("hello", "/hello/Ada").expect(200).json::<Value>()["count"], count);
    }
    assert_eq!(host.get("hello", "/hello/Ada").expect(409).problem_code(), "conflict");
    assert_eq!(host.emitted(GREETED).len(), 5);
    let refused = host.get("hello", "/hello/%20").expect(422);
    assert!(refused.text().contains("The name is empty"), "{}", refused.text());
    assert!(host.dead_letters().is_empty());
}

#[test]
fn tables_indexes_and_pages() {
    let host = hello();
    for (id, tags, slug) in
        [("a", &["red", "blue"][..], Some("first")), ("b", &["red"], None), ("c", &["blue"], Some("third"))]
    {
        host.put_json("hello", &format!("/notes/{id}"), &note(id, tags, slug)).expect(204);
    }
    let ids = |query: &str| -> Vec<String> {
        let page: Value = host.get("hello", &format!("/notes?{query}")).expect(200).json();
        page["notes"].as_array().unwrap().iter().map(|entry| entry[0].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(""), ["a", "b", "c"]);
    assert_eq!(ids("reverse=true"), ["c", "b", "a"]);
    assert_eq!(ids("begins=b"), ["b"]);
    assert_eq!(ids("tag=red"), ["a", "b"]);
    assert_eq!(ids("tag=blue&reverse=1"), ["c", "a"]);
    assert_eq!(ids("tag=re"), Vec::<String>::new());

    // Pages, by key and by index, while entries come and go.
    let first: Value = host.get("hello", "/notes?limit=2").expect(200).json();
    let cursor = first["next_cursor"].as_str().unwrap();
    host.delete("hello", "/notes/a").expect(204);
    host.put_json("hello", "/notes/bb", &note("bb", &["blue"], None)).expect(204);
    assert_eq!(ids(&format!("limit=2&cursor={cursor}")), ["bb", "c"]);
    let by_tag: Value = host.get("hello", "/notes?tag=blue&limit=1").expect(200).json();
    assert_eq!(by_tag["notes"][0][0], "bb");
    assert_eq!(ids(&format!("tag=blue&cursor={}", by_tag["next_cursor"].as_str().unwrap())), ["c"]);
    assert_eq!(host.get("hello", "/notes?cursor=zz").expect(400).problem_code(), "bad-cursor");

    // Indexes follow changes and removals; the unique one refuses a second owner and lets go of the first.
    assert_eq!(host.get("hello", "/notes/slug:first").expect(404).problem_code(), "not-found");
    assert_eq!(
        host.put_json("hello", "/notes/d", &note("d", &[], Some("third"))).expect(409).problem_code(),
        "duplicate-key"
    );
    host.put_json("hello", "/notes/c", &note("c", &["green"], Some("renamed"))).expect(204);
    host.put_json("hello", "/notes/d", &note("d", &[], Some("third"))).expect(204);
    assert_eq!(host.get("hello", "/notes/slug:third").expect(200).json::<Value>()["text"], "d");
    assert_eq!(ids("tag=green"), ["c"]);
    assert_eq!(ids("tag=blue"), ["bb"]);
}

#[test]
fn ids_time_and_identity_come_from_the_invocation() {
    let host = hello();
    let about: Value = host.get("hello", "/about").expect(200).json();
    assert_eq!(
        (&about["merchant"], &about["plugin"], &about["actor"]),
        (&json!("test"), &json!("hello"), &json!("public"))
    );
    assert_eq!(about["now"], host.now_ms());
    assert_ne!(about["token"], host.get("hello", "/about").json::<Value>()["token"]);
    let first: String = host.post_json("hello", "/notes", &note("x", &[], None)).expect(201).json();
    host.advance(Duration::from_millis(1));
    let second: String = host.post_json("hello", "/notes", &note("y", &[], None)).expect(201).json();
    assert!(first < second && first.len() == 26, "{first} {second}");
    // The same seed gives the same world.
    let twin: String = {
        let host = hello();
        host.get("hello", "/about");
        host.get("hello", "/about");
        host.post_json("hello", "/notes", &note("x", &[], None)).json()
    };
    assert_eq!(first, twin);
}

#[test]
fn a_service_call_joins_the_transaction_of_its_caller() {
    let host = TestHost::builder().plugins(["hello", "caller"]).start();
    let greeting: Value = host.post_json("caller", "/greet/Ada", &json!({})).expect(200).json();
    assert_eq!(greeting["count"], 1);
    // The callee breaks after it wrote: what it did is undone, its caller goes on and keeps its own.
    let text: String = host.post_json("caller", "/survive/Bob", &json!({})).expect(200).json();
    assert!(!text.is_empty());
    let (greeted, called): (Vec<Value>, Vec<(String, String)>) = host.get("caller", "/names").expect(200).json();
    assert_eq!(greeted, [json!({ "text": "Ada", "count": 1 })]);
    assert_eq!(called.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["Ada", "Bob"]);
    assert_eq!(host.emitted(GREETED).len(), 1);
    // The panic is in the log of the plugin that broke, with its place.
    let line = host.logs().into_iter().find(|line| line.level == LogLevel::Error).unwrap();
    assert_eq!(line.plugin.as_str(), "hello");
    assert!(
        line.message.contains("exploded after greeting Bob") && line.message.contains("lib.rs:"),
        "{}",
        line.message
    );
    // What the callee refuses is the caller's to translate; then nothing of either stays.
    host.post_json("caller", "/greet/%20", &json!({})).expect(422);
    assert_eq!(host.get("caller", "/names").json::<(Vec<Value>, Vec<Value>)>().1.len(), 2);
}

#[test]
fn a_service_that_is_not_there_is_noticed() {
    let host = TestHost::builder().plugin("caller").start();
    assert_eq!(host.post_json("caller", "/greet/Ada", &json!({})).expect(503).problem_code(), "unavailable");
    host.install("hello");
    host.post_json("caller", "/greet/Ada", &json!({})).expect(200);
    host.remove("hello");
    host.post_json("caller", "/greet/Ada", &json!({})).expect(503);
}

#[test]
fn other_servers_are_scripted_and_secrets_stay_with_the_host() {
    let host = hello();
    let url = "https://api.example.com/notes";
    host.on_once("POST", url, Reply::json(503, &json!({})).with_header("retry-after", "7"));
    host.on("POST", url, Reply::json(201, &json!({ "id": 7 })));
    let failed = host.post_json("hello", "/forward", &note("x", &[], None)).expect(503);
    assert_eq!(failed.header("retry-after"), Some("7"));
    // The budget begins with one token and gives one every two seconds.
    let limited = host.post_json("hello", "/forward", &note("x", &[], None)).expect(503);
    assert_eq!((limited.problem_code().as_str(), limited.header("retry-after")), ("rate-limited", Some("2")));
    host.advance(Duration::from_secs(2));
    assert_eq!(host.post_json("hello", "/forward", &note("x", &[], None)).expect(200).json::<Value>()["id"], 7);
    let sent = host.requests();
    assert_eq!((sent.len(), sent[1].url.as_str()), (2, "https://api.example.com/notes?source=hello"));
    assert_eq!(sent[1].json::<Value>()["text"], "x");
    assert!(!sent[1].idempotency_key.is_empty() && sent[0].idempotency_key != sent[1].idempotency_key);

    // HMAC-SHA256 of "hello" under "s3cret", computed apart from this code.
    let code = "e5a01537481fa0b2c697f787c7aff885412cf0760d08e08502259b39d2d6ae68";
    let sign =
        |body: &str, code: &str| TestRequest::new("POST", "/sign").body("text/plain", body).header("x-code", code);
    assert_eq!(host.send("hello", sign("hello", code)).expect(200).text(), "signed");
    host.send("hello", sign("hello!", code)).expect(401);
    host.send("hello", sign("hello", "00")).expect(401);
    host.send("hello", TestRequest::new("POST", "/sign").body("text/plain", "hello")).expect(401);
}

#[test]
fn a_panic_is_a_trap_with_its_message_in_the_log() {
    let host = hello();
    let stopped = host.send("hello", TestRequest::new("POST", "/panic")).expect(500);
    assert_eq!(stopped.problem_code(), "plugin-stopped");
    let line = host.logs().into_iter().find(|line| line.message.contains("as asked")).unwrap();
    assert!(line.fields.iter().any(|(name, value)| name == "place" && value.contains("src/lib.rs")), "{line:?}");
    host.get("hello", "/nowhere").expect(404);
}

#[test]
fn an_event_that_does_not_fit_goes_to_the_dead_letters() {
    let host = TestHost::builder().plugins(["hello", "caller"]).start();
    host.post_json("caller", "/publish", &json!({ "nonsense": true })).expect(204);
    host.run_until_idle();
    let dead = host.dead_letters();
    assert_eq!(dead.len(), 1);
    assert!(dead[0].message.contains("does not fit"), "{}", dead[0].message);
    assert!(matches!(&dead[0].subject, DeadSubject::Event(event) if event.event_type == GREETED));
}

#[test]
fn concurrent_requests_are_as_if_one_after_another() {
    let host = hello();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..3).map(|_| host.get("hello", "/hello/Ada").status).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 5, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 7, "{statuses:?}");
    assert_eq!(host.emitted(GREETED).len(), 5);
}
