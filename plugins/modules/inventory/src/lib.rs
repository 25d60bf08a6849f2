//! The inventory module of Kontor.
