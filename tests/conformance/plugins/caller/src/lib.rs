//! A plugin that calls the service of `hello`, inside one transaction.

use kontor_sdk::http::{Json, NoContent, Path, Result, Router};
use kontor_sdk::{Error, Plugin, Table, events, services};

kontor_sdk::services! {
    mod bindings;
    path: "../hello/wit",
    world: "
        package kontor:conformance-caller;
        world caller {
            import kontor:conformance/greeting@0.1.0;
        }
    ",
}

use bindings::kontor::conformance::greeting::{self, Greeting, GreetingError};

const CALLED: Table<String, String> = Table::new("called");

/// The plugin.
#[derive(Debug)]
pub struct Caller;

impl Plugin for Caller {
    fn routes() -> Router {
        Router::new()
            .post("/greet/{name}", greet)
            .post("/survive/{name}", survive)
            .get("/names", names)
            .post("/publish", publish)
    }
}

fn refused(error: GreetingError) -> Error {
    match error {
        GreetingError::Invalid(text) => Error::invalid(text),
        GreetingError::WornOut(_) => Error::conflict(error.to_string()),
        GreetingError::Other(text) => Error::bad_gateway(text),
    }
}

fn greet(Path(name): Path<String>) -> Result<Json<Greeting>> {
    if !services::available("kontor:conformance/greeting@0.1.0") {
        return Err(Error::unavailable("Nobody is there who greets."));
    }
    CALLED.put(&name, &"called".to_owned())?;
    Ok(Json(greeting::greet(&name).map_err(refused)?))
}

fn survive(Path(name): Path<String>) -> Result<Json<String>> {
    let text = match greeting::explode(&name) {
        Ok(greeting) => greeting.text,
        Err(error) => error.to_string(),
    };
    CALLED.put(&name, &text)?;
    Ok(Json(text))
}

/// Who was greeted, and what each call returned.
type Names = (Vec<Greeting>, Vec<(String, String)>);

fn names() -> Result<Json<Names>> {
    Ok(Json((greeting::greeted().map_err(refused)?, CALLED.scan().entries()?)))
}

/// Emits another plugin's event with whatever payload it is given.
fn publish(Json(payload): Json<serde_json::Value>) -> Result<NoContent> {
    events::emit("kontor.conformance.greeted.v1", "someone", &payload)?;
    Ok(NoContent)
}

kontor_sdk::export!(Caller);
