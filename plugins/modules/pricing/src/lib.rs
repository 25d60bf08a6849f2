//! The pricing module of Kontor.
