//! What goes wrong in a command, as a person reads it: what happened, where, what to do; with the host's own code when it has one.

use std::fmt;

/// An error for people and scripts.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Stable, kebab case.
    pub(crate) code: String,
    /// What happened and what to do.
    pub(crate) message: String,
    /// Further lines: places that are wrong, compiler output.
    pub(crate) details: Vec<String>,
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), details: Vec::new() }
    }

    pub(crate) fn with_details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }

    /// A fault of a file: which, doing what, why.
    pub(crate) fn file(doing: &str, path: &std::path::Path, why: impl fmt::Display) -> Self {
        Self::new("file", format!("cannot {doing} {}: {why}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
