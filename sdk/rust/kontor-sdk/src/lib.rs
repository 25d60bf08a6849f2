//! Everything a Kontor plugin in Rust needs.
