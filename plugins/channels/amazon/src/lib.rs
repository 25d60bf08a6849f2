//! The amazon channel of Kontor.
