//! A plugin that uses everything the SDK offers: tables with indexes, counters, events, jobs, outbound HTTP, secrets, a service.

pub mod rules;

use kontor_sdk::http::{Bytes, Headers, Json, NoContent, Path, Query, Result, Router, StatusCode};
use kontor_sdk::{
    Added, Counter, Error, Event, EventType, HandlerError, Index, Job, JobType, Page, Plugin, Table, Timestamp, clock,
    config, id, identity, outbound, secrets,
};
use serde::{Deserialize, Serialize};

kontor_sdk::services! {
    mod bindings;
    path: "wit",
    world: "
        package kontor:conformance-hello;
        world hello {
            export kontor:conformance/greeting@0.1.0;
        }
    ",
}

use bindings::exports::kontor::conformance::greeting::{Greeting, GreetingError, Guest};

/// A note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What it says.
    pub text: String,
    /// What it is about.
    #[serde(default)]
    pub tags: Vec<String>,
    /// A name that no other note has.
    #[serde(default)]
    pub slug: Option<String>,
    /// When it was written.
    #[serde(default)]
    pub written_at: Timestamp,
}

const BY_TAG: Index<String, String, Note> = Index::new("notes-by-tag", |note| note.tags.clone());
const BY_SLUG: Index<String, String, Note> = Index::unique("notes-by-slug", |note| note.slug.iter().cloned().collect());
const NOTES: Table<String, Note> = Table::new("notes").with_indexes(&[&BY_TAG, &BY_SLUG]);

const GREETED: Counter<String> = Counter::new("greeted");
const NAMES: Table<String, ()> = Table::new("names");
const GREETED_EVENT: EventType<GreetedPayload> = EventType::new("kontor.conformance.greeted.v1");
const REMEMBER: JobType<GreetedPayload> = JobType::new("remember");

#[derive(Debug, Serialize, Deserialize)]
struct GreetedPayload {
    name: String,
}

#[derive(Deserialize)]
struct Config {
    salutation: String,
}

/// The plugin.
#[derive(Debug)]
pub struct Hello;

impl Hello {
    fn greet_once(name: &str) -> Result<Greeting, GreetingError> {
        let other = |error: Error| GreetingError::Other(error.to_string());
        let name = rules::checked_name(name).map_err(GreetingError::Invalid)?;
        let salutation = config::get::<Config>().map_err(other)?.salutation;
        match GREETED.add_bounded(name, 1, ..=rules::GREETINGS_MAX).map_err(other)? {
            Added::Yes => {}
            Added::OutOfBounds => return Err(GreetingError::WornOut(rules::GREETINGS_MAX)),
        }
        NAMES.put(name, &()).map_err(other)?;
        GREETED_EVENT.emit(name, &GreetedPayload { name: name.to_owned() }).map_err(other)?;
        Ok(Greeting { text: rules::greeting(&salutation, name), count: GREETED.get(name).map_err(other)? })
    }
}

impl Guest for Hello {
    fn greet(name: String) -> Result<Greeting, GreetingError> {
        Self::greet_once(&name)
    }

    fn greeted() -> Result<Vec<Greeting>, GreetingError> {
        let other = |error: Error| GreetingError::Other(error.to_string());
        let names = NAMES.scan().keys().map_err(other)?;
        names.into_iter().map(|name| Ok(Greeting { count: GREETED.get(&name).map_err(other)?, text: name })).collect()
    }

    #[expect(clippy::panic, reason = "this is what the function is for")]
    fn explode(name: String) -> Result<Greeting, GreetingError> {
        let greeting = Self::greet_once(&name)?;
        panic!("exploded after greeting {} for the {}. time", name, greeting.count);
    }
}

impl Plugin for Hello {
    fn routes() -> Router {
        Router::new()
            .get("/hello/{name}", hello)
            .get("/notes", list_notes)
            .post("/notes", create_note)
            .get("/notes/{id}", read_note)
            .put("/notes/{id}", write_note)
            .delete("/notes/{id}", delete_note)
            .post("/forward", forward)
            .get("/about", about)
            .post("/sign", sign)
            .post("/panic", broken)
    }

    fn event(event: Event) -> Result<(), HandlerError> {
        if let Some(greeted) = GREETED_EVENT.read(&event)? {
            REMEMBER
                .enqueue(&greeted)
                .key(&greeted.name)
                .due(clock::now() + std::time::Duration::from_secs(60))
                .send()?;
        }
        Ok(())
    }

    fn job(job: Job) -> Result<(), HandlerError> {
        if let Some(greeted) = REMEMBER.read(&job)? {
            let note = Note {
                text: format!("{} was greeted", greeted.name),
                tags: vec!["memory".into()],
                slug: None,
                written_at: clock::now(),
            };
            NOTES.put(&greeted.name, &note)?;
        }
        Ok(())
    }
}

#[expect(clippy::panic, reason = "a route to test what the host makes of panics")]
fn broken() -> NoContent {
    panic!("as asked");
}

fn hello(Path(name): Path<String>) -> Result<Json<Greeting>> {
    match Hello::greet_once(&name) {
        Ok(greeting) => Ok(Json(greeting)),
        Err(GreetingError::Invalid(text)) => Err(Error::invalid(text)),
        Err(GreetingError::WornOut(most)) => {
            Err(Error::conflict(format!("`{name}` was greeted {most} times, which is enough.")))
        }
        Err(GreetingError::Other(text)) => Err(Error::internal(text)),
    }
}

#[derive(Deserialize)]
struct Listing {
    tag: Option<String>,
    begins: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
    #[serde(default)]
    reverse: bool,
}

#[derive(Serialize)]
struct NotePage {
    notes: Vec<(String, Note)>,
    next_cursor: Option<String>,
}

fn list_notes(Query(wanted): Query<Listing>) -> Result<Json<NotePage>> {
    let (cursor, limit) = (wanted.cursor.as_deref(), wanted.limit.unwrap_or(20));
    let Page { items, next_cursor } = match wanted.tag {
        Some(tag) => {
            let scan = NOTES.by(&BY_TAG).equal(&tag);
            if wanted.reverse { scan.reverse() } else { scan }.page(cursor, limit)?
        }
        None => {
            let scan = NOTES.scan().starts_with(wanted.begins.as_deref().unwrap_or_default());
            if wanted.reverse { scan.reverse() } else { scan }.page(cursor, limit)?
        }
    };
    Ok(Json(NotePage { notes: items, next_cursor }))
}

fn create_note(Json(note): Json<Note>) -> Result<(StatusCode, Json<String>)> {
    let id = id::new();
    NOTES.put(&id, &Note { written_at: clock::now(), ..note })?;
    Ok((StatusCode::CREATED, Json(id)))
}

fn read_note(Path(id): Path<String>) -> Result<Json<Note>> {
    match id.strip_prefix("slug:") {
        Some(slug) => NOTES.find(&BY_SLUG, slug)?.map(|(_, note)| note),
        None => NOTES.get(&id)?,
    }
    .map(Json)
    .ok_or_else(|| Error::not_found(format!("There is no note `{id}`.")))
}

fn write_note(Path(id): Path<String>, Json(note): Json<Note>) -> Result<NoContent> {
    NOTES.put(&id, &note)?;
    Ok(NoContent)
}

fn delete_note(Path(id): Path<String>) -> Result<NoContent> {
    NOTES.delete(&id)?;
    Ok(NoContent)
}

fn forward(Json(note): Json<Note>) -> Result<Json<serde_json::Value>> {
    let answer = outbound::post("https://api.example.com/notes")
        .query("source", "hello")
        .json(&note)
        .send()?
        .error_for_status()?;
    Ok(Json(answer.json()?))
}

fn sign(headers: Headers, body: Bytes) -> Result<String> {
    let given = headers.get("x-code").ok_or_else(|| Error::unauthorized("The header `x-code` is missing."))?;
    let code: Vec<u8> = given
        .as_bytes()
        .chunks(2)
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    if secrets::verify_mac("webhook-key", secrets::MacAlgorithm::HmacSha256, &body, &code)? {
        Ok("signed".to_owned())
    } else {
        Err(Error::unauthorized("The header `x-code` is not the code of this body."))
    }
}

#[derive(Serialize)]
struct About {
    merchant: String,
    plugin: String,
    actor: String,
    now: Timestamp,
    token: String,
}

fn about() -> Json<About> {
    Json(About {
        merchant: identity::merchant(),
        plugin: identity::plugin(),
        actor: identity::actor_name(),
        now: clock::now(),
        token: id::token(),
    })
}

kontor_sdk::export!(Hello, services: bindings);
