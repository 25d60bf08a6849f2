//! The cart module of Kontor.
