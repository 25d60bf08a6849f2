//! Runs a packed Kontor plugin on the real engine inside cargo test.
