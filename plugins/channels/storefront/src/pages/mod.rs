//! Pages: plain data in, HTML out. Everything that a page shows is escaped by maud; there is no script.

mod cart;
mod checkout;
mod layout;
mod message;
mod product;

pub(crate) use cart::cart;
pub(crate) use checkout::{address, review, thank_you};
pub(crate) use layout::{Frame, STYLE, STYLE_NAME, escape_path, escape_segment};
pub(crate) use message::{not_found, went_wrong};
pub(crate) use product::{detail, list};
