//! The pricing module of Kontor.
mod error;
mod money;
mod price_list;
mod quote;
mod tax;
