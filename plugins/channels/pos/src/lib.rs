//! The point of sale: a till page for staff, and a JSON API for tills. Prices, stock and orders are the modules'; a till keeps its
//! baskets and its receipts.
//!
//! A sale posts stock at once. Goods in the customer's hands are never refused; goods to be fetched are checked and held first.
//! Fiscal signatures are not here.

mod api;
mod basket;
mod cash;
mod desk;
mod local_time;
mod model;
mod money;
mod pages;
mod sale;
mod settings;
mod shop;
mod texts;
mod till;

use kontor_sdk::Plugin;
use kontor_sdk::http::Router;

kontor_sdk::services! {
    mod bindings;
    path: "../../../wit/commerce/0.1.0",
    world: "
        package kontor:pos;
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
pub struct Pos;

impl Plugin for Pos {
    fn routes() -> Router {
        Router::new()
            .get("/", desk::tills)
            .get("/assets/{name}", desk::asset)
            .get("/tills/{till}", desk::show)
            .post("/tills/{till}/scan", desk::scan)
            .post("/tills/{till}/lines", desk::change_line)
            .post("/tills/{till}/park", desk::park)
            .post("/tills/{till}/resume", desk::resume)
            .post("/tills/{till}/clear", desk::clear)
            .get("/tills/{till}/pay", desk::payment)
            .post("/tills/{till}/pay", desk::pay)
            .get("/tills/{till}/sales", desk::sales)
            .get("/tills/{till}/sales/{sale}", desk::receipt)
            .get("/tills/{till}/stock", desk::stock)
            .get("/api/v1/tills", api::tills)
            .get("/api/v1/items", api::item)
            .get("/api/v1/search", api::search)
            .get("/api/v1/stock", api::stock)
            .post("/api/v1/sales", api::sell)
            .get("/api/v1/sales/{id}", api::receipt)
            .get("/api/v1/tills/{till}/sales", api::last_sales)
    }
}

kontor_sdk::export!(Pos);
