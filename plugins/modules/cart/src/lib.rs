//! The cart module of Kontor.
mod cart;
mod delivery;
mod error;
mod quote;
