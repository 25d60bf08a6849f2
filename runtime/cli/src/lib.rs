//! The command kontor.
