//! Log lines and events as they happen, over server-sent events. A client that was cut off goes on where it was: events by
//! `Last-Event-ID`, log lines by their cursor.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json as Reply;
use axum::extract::State as Extract;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use http::HeaderMap;
use kontor_core::ids::{MerchantId, PluginId};
use kontor_core::records::LoggedEvent;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;

use super::body::{Path, Query, page_entries, plugin_id};
use crate::api::{CloudEvent, LogLine, LogPage, ProblemBody};
use crate::limits::SSE_KEEP_ALIVE;
use crate::problem::{Code, Problem};
use crate::state::State;

/// Events fetched at once.
const BATCH: usize = 100;
/// A busy host commits all the time: looking this much later costs nobody anything and saves many looks.
const GATHER: Duration = Duration::from_millis(20);

/// Which log lines.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogQuery {
    /// Lines after this cursor; absent or 0: the newest.
    since: Option<u64>,
    /// At most so many (1 to 1,000; 100 if absent).
    limit: Option<usize>,
}

/// Where events begin.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventQuery {
    /// `now` (if absent) or `beginning`; `Last-Event-ID` goes before it.
    from: Option<String>,
}

/// Recent log lines of a plugin.
#[utoipa::path(get, path = "/api/v1/merchants/{merchant}/plugins/{plugin}/logs", tag = "plugins", security(("admin" = [])),
    params(("merchant" = String, Path), ("plugin" = String, Path), LogQuery), responses((status = 200, body = LogPage)))]
pub(crate) async fn logs(
    Extract(state): Extract<Arc<State>>,
    Path((merchant, plugin)): Path<(String, String)>,
    Query(query): Query<LogQuery>,
) -> Result<Reply<LogPage>, Problem> {
    let (merchant, plugin) = (State::merchant_id(&merchant)?, plugin_id(&plugin)?);
    let since = query.since.unwrap_or(0);
    let lines = state.logs.since(&merchant, &plugin, since, page_entries(query.limit));
    let lines: Vec<LogLine> = lines.iter().map(|l| (**l).clone()).collect();
    let next = lines.last().map_or(since, |l| l.cursor);
    Ok(Reply(LogPage { lines, next }))
}

/// Log lines of a plugin as they are written; each event's id is the line's cursor.
#[utoipa::path(get, path = "/api/v1/merchants/{merchant}/plugins/{plugin}/logs/stream", tag = "plugins", security(("admin" = [])),
    params(("merchant" = String, Path), ("plugin" = String, Path), LogQuery),
    responses((status = 200, description = "Server-sent events, each a log line.", content_type = "text/event-stream", body = LogLine),
        (status = 503, body = ProblemBody)))]
pub(crate) async fn follow_logs(
    Extract(state): Extract<Arc<State>>,
    Path((merchant, plugin)): Path<(String, String)>,
    Query(query): Query<LogQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<SseEvent, Infallible>>>, Problem> {
    let (merchant, plugin) = (State::merchant_id(&merchant)?, plugin_id(&plugin)?);
    let resumed = last_event_id(&headers).and_then(|id| id.parse().ok());
    let follower = LogFollower {
        place: stream_place(&state)?,
        cursor: resumed.or(query.since).unwrap_or(0),
        limit: page_entries(query.limit),
        ready: VecDeque::new(),
        state,
        merchant,
        plugin,
    };
    let stream = unfold(follower, |mut follower| async move {
        let line = follower.next().await?;
        Some((sse(&line.cursor.to_string(), "log", &*line), follower))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(SSE_KEEP_ALIVE)))
}

struct LogFollower {
    state: Arc<State>,
    merchant: MerchantId,
    plugin: PluginId,
    cursor: u64,
    limit: usize,
    ready: VecDeque<Arc<LogLine>>,
    #[expect(dead_code, reason = "held for as long as the stream is open")]
    place: OwnedSemaphorePermit,
}

impl LogFollower {
    async fn next(&mut self) -> Option<Arc<LogLine>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                self.cursor = line.cursor;
                return Some(line);
            }
            let changed = self.state.logs.changed();
            self.ready = self.state.logs.since(&self.merchant, &self.plugin, self.cursor, self.limit).into();
            if self.ready.is_empty() {
                tokio::select! {
                    () = changed => {}
                    () = self.state.stopping.cancelled() => return None,
                }
            }
        }
    }
}

/// Events of a merchant as they are committed, as CloudEvents.
#[utoipa::path(get, path = "/api/v1/merchants/{merchant}/events", tag = "events", security(("admin" = [])),
    params(("merchant" = String, Path), EventQuery, ("Last-Event-ID" = Option<String>, Header, description = "The last event seen.")),
    responses((status = 200, description = "Server-sent events, each a CloudEvent.", content_type = "text/event-stream", body = CloudEvent),
        (status = 400, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub(crate) async fn events(
    Extract(state): Extract<Arc<State>>,
    Path(merchant): Path<String>,
    Query(query): Query<EventQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<SseEvent, Infallible>>>, Problem> {
    let merchant = State::merchant_id(&merchant)?;
    let position = match (last_event_id(&headers), query.from.as_deref()) {
        (Some(id), _) => Some(id.to_owned()),
        (None, Some("beginning")) => None,
        (None, None | Some("now")) => Some(state.note(state.machine.events_end(&merchant).await)?),
        (None, Some(_)) => return Err(Problem::invalid("`from` is `now` or `beginning`.")),
    };
    // Before the stream begins, so that a wrong position or merchant is an error and not an empty stream.
    state.note(state.machine.events_since(&merchant, position.as_deref(), 1).await)?;
    let follower = EventFollower { place: stream_place(&state)?, position, ready: VecDeque::new(), state, merchant };
    let stream = unfold(follower, |mut follower| async move {
        let logged = follower.next().await?;
        let event = cloud_event(&follower.merchant, &logged);
        Some((sse(&logged.position, &logged.event.event_type, &event), follower))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(SSE_KEEP_ALIVE)))
}

struct EventFollower {
    state: Arc<State>,
    merchant: MerchantId,
    position: Option<String>,
    ready: VecDeque<LoggedEvent>,
    #[expect(dead_code, reason = "held for as long as the stream is open")]
    place: OwnedSemaphorePermit,
}

impl EventFollower {
    async fn next(&mut self) -> Option<LoggedEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.state.stopping.is_cancelled() {
                return None;
            }
            let page = self.state.machine.events_since(&self.merchant, self.position.as_deref(), BATCH).await;
            let page = match self.state.note(page) {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, merchant = %self.merchant, "an event stream ends");
                    return None;
                }
            };
            self.position = Some(page.next);
            self.ready = page.events.into();
            if self.ready.is_empty() {
                tokio::select! {
                    _version = self.state.machine.wait_for_commit(page.version) => tokio::time::sleep(GATHER).await,
                    () = self.state.stopping.cancelled() => return None,
                }
            }
        }
    }
}

fn cloud_event(merchant: &MerchantId, logged: &LoggedEvent) -> CloudEvent {
    let event = &logged.event;
    let time = i64::try_from(event.time_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    CloudEvent {
        specversion: "1.0".to_owned(),
        id: event.id.clone(),
        source: format!("/m/{merchant}/{}", event.source),
        event_type: event.event_type.clone(),
        subject: event.key.clone(),
        time: time.unwrap_or_default().to_string(),
        datacontenttype: "application/json".to_owned(),
        data: serde_json::from_str(&event.payload).unwrap_or_else(|_| event.payload.clone().into()),
    }
}

fn sse(id: &str, name: &str, data: &impl serde::Serialize) -> Result<SseEvent, Infallible> {
    let text = serde_json::to_string(data).unwrap_or_default();
    Ok(SseEvent::default().id(id).event(name).data(text))
}

fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id").and_then(|v| v.to_str().ok()).filter(|v| !v.is_empty())
}

fn stream_place(state: &State) -> Result<OwnedSemaphorePermit, Problem> {
    Arc::clone(&state.streams)
        .try_acquire_owned()
        .map_err(|_| Problem::unavailable(Code::Saturated, "Too many streams are open; try again later.", 10))
}
