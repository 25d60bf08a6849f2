//! The pos channel of Kontor.
