//! Pages: plain data in, HTML out. Everything that a page shows is escaped by maud; there is no script.

mod layout;
mod pay;
mod receipt;
mod stock;
mod till;

pub(crate) use layout::{Frame, STYLE, STYLE_NAME, explain, message};
pub(crate) use pay::{PayView, pay};
pub(crate) use receipt::{receipt, sales};
pub(crate) use stock::{choice, stock};
pub(crate) use till::{BasketView, till, tills};
