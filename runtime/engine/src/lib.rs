//! The sandbox of Kontor: the only crate that names wasmtime.
