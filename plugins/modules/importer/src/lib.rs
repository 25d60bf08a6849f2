//! The importer module of Kontor: files of other systems, row by row, through the other modules' services.
//!
//! A caller reads a file, says which column is which field, and sends the rows in chunks; a chunk is done in one transaction,
//! together with the record that it is done. So an import that is interrupted goes on where it was, a chunk that is sent twice
//! counts once, and the account (every row in one class, the exact sum) is true whatever happened in between.

mod apply;
mod date;
mod decimal;
mod imports;
mod mapping;
mod options;
mod orders;
mod products;
mod row;
mod stock;
mod text;
mod wire;

use kontor_sdk::http::{Error, Json, Path, Query, Router};
use kontor_sdk::{Plugin, services};
use serde::Deserialize;

services! {
    mod bindings;
    path: "../../../wit/commerce/0.1.0",
    world: "
        package kontor:importer;
        world services {
            import kontor:commerce/catalog@0.1.0;
            import kontor:commerce/pricing@0.1.0;
            import kontor:commerce/inventory@0.1.0;
            import kontor:commerce/orders@0.1.0;
        }
    ",
}

/// The plugin.
#[derive(Debug)]
pub struct Importer;

impl Plugin for Importer {
    fn routes() -> Router {
        Router::new()
            .get("/v1/kinds", || Json(imports::kinds()))
            .post("/v1/imports", begin)
            .post("/v1/imports/{id}/rows", rows)
            .post("/v1/imports/{id}/finish", finish)
            .get("/v1/imports/{id}/issues", issues)
    }
}

kontor_sdk::export!(Importer);

fn begin(Json(body): Json<wire::Begin>) -> Result<Json<wire::Begun>, Error> {
    imports::begin(body).map(Json)
}

fn rows(Path(id): Path<String>, Json(body): Json<wire::Rows>) -> Result<Json<wire::ChunkDone>, Error> {
    imports::rows(&id, body).map(Json)
}

fn finish(Path(id): Path<String>) -> Result<Json<wire::Summary>, Error> {
    imports::finish(&id).map(Json)
}

#[derive(Deserialize)]
struct Cursor {
    cursor: Option<String>,
}

fn issues(Path(id): Path<String>, Query(query): Query<Cursor>) -> Result<Json<wire::Issues>, Error> {
    imports::issues(&id, query.cursor.as_deref()).map(Json)
}
