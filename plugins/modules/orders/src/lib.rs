//! The orders module of Kontor.
