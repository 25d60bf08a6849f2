//! Server-sent events: events that resume, logs that follow.

use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use crate::kit::{TestHost, answered, host};

/// Reads server-sent events off a response.
struct Reader {
    response: Response,
    buffer: String,
}

impl Reader {
    async fn open(host: &TestHost, path: &str, last_id: Option<&str>) -> Self {
        let request = host.request(Method::GET, &format!("/api/v1{path}")).bearer_auth(&host.admin);
        let request = last_id.map_or(request.try_clone().unwrap(), |id| request.header("last-event-id", id));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, buffer: String::new() }
    }

    /// The next event: id and data.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|l| l.strip_prefix(name)).map(|v| v.trim().to_owned());
                let found = field("id:").zip(field("data:"));
                self.buffer = rest.to_owned();
                if let Some((id, data)) = found {
                    return Some((id, serde_json::from_str(&data).unwrap()));
                }
                continue;
            }
            let chunk = self.response.chunk().await.unwrap()?;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

async fn count(host: &TestHost) {
    assert_eq!(answered(host.post("/m/m/p/count")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn events_arrive_in_order_and_resume_where_they_were_cut() {
    let host = host().await;
    count(&host).await;
    let mut live = Reader::open(&host, "/merchants/m/events", None).await;
    count(&host).await;
    count(&host).await;
    let (second_id, second) = live.next().await.unwrap();
    assert_eq!(second["data"]["count"], 2, "a stream begins now: {second}");
    for (field, value) in [("specversion", "1.0"), ("type", "test.counted.v1"), ("source", "/m/m/p"), ("subject", "n")]
    {
        assert_eq!(second[field], value);
    }
    let (third_id, third) = live.next().await.unwrap();
    assert_eq!(third["data"]["count"], 3);
    drop(live);

    let mut resumed = Reader::open(&host, "/merchants/m/events", Some(&second_id)).await;
    assert_eq!(resumed.next().await.unwrap(), (third_id, third));
    count(&host).await;
    assert_eq!(resumed.next().await.unwrap().1["data"]["count"], 4);

    let mut all = Reader::open(&host, "/merchants/m/events?from=beginning", None).await;
    assert_eq!(all.next().await.unwrap().1["data"]["count"], 1);
    let wrong = host.get("/api/v1/merchants/m/events").bearer_auth(&host.admin).header("last-event-id", "nonsense");
    assert_eq!(answered(wrong).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn logs_follow_and_streams_end_with_the_host() {
    let host = host().await;
    count(&host).await;
    let mut logs = Reader::open(&host, "/merchants/m/plugins/p/logs/stream", None).await;
    assert_eq!(logs.next().await.unwrap().1["fields"]["count"], "1");
    count(&host).await;
    assert_eq!(logs.next().await.unwrap().1["fields"]["count"], "2");
    let mut events = Reader::open(&host, "/merchants/m/events", None).await;
    let report = host.host.shutdown().await;
    assert_eq!(report.connections_cut, 0);
    assert!(logs.next().await.is_none());
    assert!(events.next().await.is_none());
}
