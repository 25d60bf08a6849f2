//! Pages: plain data in, HTML out. Everything that a page shows is escaped by maud; there is no script.

mod cart;
mod checkout;
mod layout;
mod message;
mod product;

pub use cart::cart;
pub use checkout::{address, review, thank_you};
pub use layout::{Frame, STYLE, STYLE_NAME, escape_path, escape_segment};
pub use message::{not_found, went_wrong};
pub use product::{detail, list};
