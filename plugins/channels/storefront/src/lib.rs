//! The storefront channel of Kontor: the merchant's own web shop, as pages for people and as JSON for apps.
//!
//! It keeps nothing: products, prices, stock, carts and orders are the modules', asked anew for every page. A visitor is known by
//! a cookie with the cart's unguessable id.

mod api;
mod art;
mod model;
mod pages;
mod settings;
mod shop;
mod texts;
mod visit;

use kontor_sdk::Plugin;
use kontor_sdk::http::Router;

kontor_sdk::services! {
    mod bindings;
    path: "../../../wit/commerce/0.1.0",
    world: "
        package kontor:storefront;
        world services {
            import kontor:commerce/catalog@0.1.0;
            import kontor:commerce/pricing@0.1.0;
            import kontor:commerce/inventory@0.1.0;
            import kontor:commerce/cart@0.1.0;
            import kontor:commerce/orders@0.1.0;
        }
    ",
}

/// The plugin.
#[derive(Debug)]
pub struct Storefront;

impl Plugin for Storefront {
    fn routes() -> Router {
        Router::new()
            .get("/", visit::home)
            .get("/assets/{name}", visit::asset)
            .get("/search", visit::search)
            .get("/categories/{*category}", visit::category)
            .get("/products/{id}", visit::product)
            .get("/cart", visit::cart)
            .post("/cart/lines", visit::add_line)
            .post("/cart/lines/{line}", visit::set_line)
            .get("/checkout", visit::checkout)
            .post("/checkout", visit::set_delivery)
            .get("/checkout/review", visit::review)
            .post("/checkout/shipping", visit::set_shipping)
            .post("/checkout/place", visit::place)
            .get("/thank-you/{cart}", visit::thank_you)
            .get("/api/v1/products", api::list_products)
            .get("/api/v1/products/{id}", api::show_product)
            .post("/api/v1/carts", api::create_cart)
            .get("/api/v1/carts/{cart}", api::show_cart)
            .post("/api/v1/carts/{cart}/lines", api::add_line)
            .patch("/api/v1/carts/{cart}/lines/{line}", api::set_line)
            .put("/api/v1/carts/{cart}/delivery", api::set_delivery)
            .get("/api/v1/carts/{cart}/shipping-options", api::shipping_options)
            .put("/api/v1/carts/{cart}/shipping", api::set_shipping)
            .post("/api/v1/carts/{cart}/place", api::place)
    }
}

kontor_sdk::export!(Storefront);
