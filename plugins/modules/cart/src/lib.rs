//! Carts: what a customer is about to buy, in any channel, until it is placed as an order.
//!
//! A cart knows lines, who buys, where it goes and how it is shipped; it holds no stock until it is placed. Placing prices it,
//! reserves the stock and makes the order in one transaction: all of it or nothing. What things are, cost and how many there are,
//! and the order afterwards, are not here. It has no HTTP API of its own: shops and tills call the service.
//!
//! The rules are in [`cart`], [`delivery`] and [`quote`]; [`providers`] is the world they ask.

mod cart;
mod delivery;
mod error;
mod providers;
mod quote;

use bindings::exports::kontor::commerce0_1_0::cart as wit;
use bindings::kontor::commerce0_1_0::types::Address;
use cart::{OptionView, Payment, View};
use error::Error;
use kontor_sdk::{HandlerError, Job, Plugin, jobs};
use providers::Host;

kontor_sdk::services! {
    mod bindings;
    path: ["../../../wit/commerce/0.1.0", "../../../wit/commerce/0.2.0"],
    world: "
        package kontor:cart-plugin;
        world cart {
            import kontor:commerce/catalog@0.1.0;
            import kontor:commerce/pricing@0.1.0;
            import kontor:commerce/inventory@0.1.0;
            import kontor:commerce/availability@0.2.0;
            import kontor:commerce/orders@0.1.0;
            export kontor:commerce/cart@0.1.0;
        }
    ",
}

const SWEEP: &str = "sweep";

/// The plugin.
#[derive(Debug)]
pub struct Carts;

impl Plugin for Carts {
    fn job(job: Job) -> Result<(), HandlerError> {
        if job.name != SWEEP {
            return Err(HandlerError::permanent(format!("there is no job `{}`", job.name)));
        }
        if providers::sweep().map_err(HandlerError::retry)? {
            jobs::enqueue(SWEEP, "").send()?;
        }
        Ok(())
    }
}

type Answer<T> = Result<T, wit::CartError>;

impl wit::Guest for Carts {
    fn create(channel: String, country: String) -> Answer<wit::CartView> {
        answer(|| cart::create(&Host, &channel, &country))
    }

    fn get(id: String) -> Answer<wit::CartView> {
        answer(|| cart::get(&Host, &id))
    }

    fn add_line(id: String, sku: String, quantity: i64) -> Answer<wit::CartView> {
        answer(|| cart::add_line(&Host, &id, &sku, quantity))
    }

    fn set_line(id: String, line_id: String, quantity: i64) -> Answer<wit::CartView> {
        answer(|| cart::set_line(&Host, &id, &line_id, quantity))
    }

    fn set_delivery(id: String, email: String, shipping_address: Address) -> Answer<wit::CartView> {
        answer(|| cart::set_delivery(&Host, &id, &email, shipping_address.into()))
    }

    fn shipping_options(id: String) -> Answer<Vec<wit::ShippingOption>> {
        answer(|| {
            Ok(cart::shipping_options(&Host, &id)?.into_iter().map(wit::ShippingOption::from).collect::<Vec<_>>())
        })
    }

    fn set_shipping(id: String, shipping_option: String) -> Answer<wit::CartView> {
        answer(|| cart::set_shipping(&Host, &id, &shipping_option))
    }

    fn place(id: String, payment: wit::Payment) -> Answer<String> {
        answer(|| cart::place(&Host, &id, payment.into()))
    }
}

/// Runs a service call and translates what it gives. An error rolls back what the call did.
fn answer<T, U: From<T>>(call: impl FnOnce() -> Result<T, Error>) -> Answer<U> {
    kontor_sdk::plugin::report_panics();
    call().map(Into::into).map_err(|error| match error {
        Error::NotFound(text) => wit::CartError::NotFound(text),
        Error::Invalid(text) => wit::CartError::Invalid(text),
        Error::Insufficient(shortages) => wit::CartError::Insufficient(shortages),
        Error::Placed(order) => wit::CartError::Placed(order),
        Error::TotalChanged(total) => wit::CartError::TotalChanged(total),
        Error::Other(text) => wit::CartError::Other(text),
    })
}

impl From<View> for wit::CartView {
    fn from(view: View) -> Self {
        let lines = view.lines.into_iter().map(|line| wit::CartLine {
            id: line.line.id,
            sku: line.line.sku,
            title: line.title,
            image_url: line.image_url,
            quantity: line.line.quantity,
        });
        Self {
            id: view.cart.id,
            channel: view.cart.channel,
            currency: view.cart.currency,
            country: view.cart.country,
            lines: lines.collect(),
            email: view.cart.email,
            shipping_address: view.cart.shipping_address.map(Into::into),
            shipping_method: view.cart.shipping_method,
            totals: view.totals.map(Into::into),
            order_id: view.cart.order_id,
            updated_at_ms: view.cart.updated_at_ms,
        }
    }
}

impl From<OptionView> for wit::ShippingOption {
    fn from(option: OptionView) -> Self {
        let OptionView { id, name, price_minor } = option;
        Self { id, name, price_minor }
    }
}

impl From<wit::Payment> for Payment {
    fn from(payment: wit::Payment) -> Self {
        let wit::Payment { method, reference, expected_total_minor } = payment;
        Self { method, reference, expected_total_minor }
    }
}

kontor_sdk::export!(Carts, services: bindings);
