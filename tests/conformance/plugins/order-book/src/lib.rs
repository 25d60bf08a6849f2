//! Stands in for the orders module: takes what it is given, or breaks on demand. Orders paid by `refused` are refused, those paid by
//! `broken` break the plugin; what was written before is there to be rolled back.

use kontor_sdk::http::{Json, Result, Router};
use kontor_sdk::{Plugin, Table};

kontor_sdk::services! {
    mod bindings;
    path: "../../../../wit/commerce/0.1.0",
    world: "
        package kontor:conformance-order-book;
        world order-book {
            export kontor:commerce/orders@0.1.0;
        }
    ",
}

use bindings::exports::kontor::commerce::orders as wit;

const PLACED: Table<String, wit::OrderInput> = Table::new("placed");

/// The plugin.
#[derive(Debug)]
pub struct OrderBook;

impl Plugin for OrderBook {
    fn routes() -> Router {
        Router::new().get("/placed", placed)
    }
}

fn placed() -> Result<Json<Vec<wit::OrderInput>>> {
    Ok(Json(PLACED.scan().values()?))
}

/// What it does not stand in for.
fn elsewhere<T>() -> std::result::Result<T, wit::OrdersError> {
    Err(wit::OrdersError::Other("the order book only places".into()))
}

impl wit::Guest for OrderBook {
    #[expect(clippy::panic, reason = "tests ask for a plugin that breaks")]
    fn place(input: wit::OrderInput) -> std::result::Result<wit::Placing, wit::OrdersError> {
        let order_id = format!("order-{}", input.external_id);
        PLACED.put(&order_id, &input).map_err(|error| wit::OrdersError::Other(error.to_string()))?;
        match input.payment_method.as_str() {
            "refused" => Err(wit::OrdersError::Conflict("refused as asked".into())),
            "broken" => panic!("broken as asked"),
            _ => Ok(wit::Placing { order_id, number: "1".into(), created: true }),
        }
    }

    fn upsert_channel_order(_: wit::ChannelOrder) -> std::result::Result<wit::ChannelOrderOutcome, wit::OrdersError> {
        elsewhere()
    }

    fn import_orders(_: Vec<wit::OrderInput>) -> std::result::Result<Vec<wit::Placing>, wit::OrdersError> {
        elsewhere()
    }

    fn get(_: String) -> std::result::Result<wit::Order, wit::OrdersError> {
        elsewhere()
    }

    fn find(_: String, _: String, _: String) -> std::result::Result<wit::Order, wit::OrdersError> {
        elsewhere()
    }

    fn list_orders(
        _: Option<String>,
        _: Option<String>,
        _: u32,
    ) -> std::result::Result<wit::OrderPage, wit::OrdersError> {
        elsewhere()
    }

    fn cancel(_: String, _: String) -> std::result::Result<wit::Order, wit::OrdersError> {
        elsewhere()
    }

    fn ship(
        _: String,
        _: String,
        _: String,
        _: String,
        _: Vec<(String, i64)>,
    ) -> std::result::Result<wit::Order, wit::OrdersError> {
        elsewhere()
    }

    fn record_payment(_: String, _: String, _: i64) -> std::result::Result<wit::Order, wit::OrdersError> {
        elsewhere()
    }
}

kontor_sdk::export!(OrderBook, services: bindings);
