//! The catalog module of Kontor.
mod catalog;
mod error;
mod identifier;
mod listing;
mod product;
mod search;
