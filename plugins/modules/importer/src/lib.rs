//! The importer module of Kontor.
mod date;
mod decimal;
mod mapping;
mod options;
mod orders;
mod products;
mod row;
mod stock;
mod text;
