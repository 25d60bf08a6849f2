//! Cases that every engine, host and plugin must pass.
