//! The catalog module of Kontor.
