//! Why an engine cannot be set up, a plugin cannot be prepared, or a revision cannot be switched on. Each has a stable code.

use std::path::PathBuf;

use kontor_core::ids::PluginId;

/// The engine cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime refuses the configuration on this machine.
    #[error("the WebAssembly engine cannot be set up on this machine: {0}")]
    Setup(String),
    /// The compile cache cannot be opened.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The threads for long executions cannot be started.
    #[error("the threads for long executions cannot be started: {0}")]
    Threads(std::io::Error),
}

/// The compile cache cannot be opened. What is wrong with an entry is never an error: the entry is discarded.
#[derive(Debug, thiserror::Error)]
#[error("the compile cache in {} cannot be {action}: {source}; name another directory, or remove this one", path.display())]
pub struct CacheError {
    /// Where.
    pub path: PathBuf,
    /// What was tried.
    pub action: &'static str,
    /// Why not.
    pub source: std::io::Error,
}

/// A plugin cannot be prepared.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PrepareError {
    /// Larger than the engine compiles.
    #[error("the component of {plugin} is too large: {what} is {actual}, at most {max} is allowed")]
    TooLarge {
        /// Which plugin.
        plugin: PluginId,
        /// What of it.
        what: &'static str,
        /// How large.
        actual: usize,
        /// The limit.
        max: usize,
    },
    /// Not a valid component.
    #[error("the component of {plugin} is not valid: {reason}")]
    Invalid {
        /// Which plugin.
        plugin: PluginId,
        /// What is wrong.
        reason: String,
    },
    /// It imports what the host does not give.
    #[error("{plugin} imports `{import}`, {reason}")]
    Import {
        /// Which plugin.
        plugin: PluginId,
        /// The import.
        import: String,
        /// Why it is refused, and what to do.
        reason: String,
    },
    /// It lacks an export that its manifest promises.
    #[error("{plugin} does not export `{export}`: {reason}")]
    Export {
        /// Which plugin.
        plugin: PluginId,
        /// The export.
        export: String,
        /// Why it must, and what to do.
        reason: String,
    },
    /// A function has a type that cannot cross between plugins, or another type than the contract says.
    #[error("{plugin}: `{interface}` function `{function}` {reason}")]
    Function {
        /// Which plugin.
        plugin: PluginId,
        /// The interface.
        interface: String,
        /// The function.
        function: String,
        /// What is wrong with which type.
        reason: String,
    },
}

impl PrepareError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "component-too-large",
            Self::Invalid { .. } => "component-invalid",
            Self::Import { .. } => "import-refused",
            Self::Export { .. } => "export-missing",
            Self::Function { .. } => "function-type",
        }
    }
}

/// A revision cannot be switched on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionError {
    /// Everything that is wrong, by plugin and interface.
    pub problems: Vec<LinkProblem>,
}

impl std::error::Error for RevisionError {}

impl std::fmt::Display for RevisionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// Why two plugins of a revision cannot work together.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LinkProblem {
    /// The plugin's code was not prepared.
    #[error("the code of {plugin} ({digest}) is not loaded")]
    NotPrepared {
        /// Which plugin.
        plugin: PluginId,
        /// Its digest.
        digest: String,
    },
    /// Nobody provides what a plugin cannot do without.
    #[error("{plugin} requires `{interface}`, and no installed plugin provides it: install one that does")]
    NoProvider {
        /// Who requires it.
        plugin: PluginId,
        /// The interface.
        interface: String,
    },
    /// Two plugins provide what only one may.
    #[error("{first} and {second} both provide `{interface}`{}: remove one of them", provider.as_deref().map(|p| format!(" as `{p}`")).unwrap_or_default())]
    TwoProviders {
        /// One.
        first: PluginId,
        /// The other.
        second: PluginId,
        /// The interface.
        interface: String,
        /// The name, at an extension point.
        provider: Option<String>,
    },
    /// The provider has no such function.
    #[error("{plugin} calls `{interface}` function `{function}`, which {provider} does not have: upgrade {provider}")]
    NoFunction {
        /// Who calls.
        plugin: PluginId,
        /// Who provides.
        provider: PluginId,
        /// The interface.
        interface: String,
        /// The function.
        function: String,
    },
    /// Caller and provider see a function differently.
    #[error(
        "{plugin} and {provider} disagree on `{interface}` function `{function}`: at {place}, {plugin} expects `{expected}`, {provider} has `{found}`"
    )]
    TypeMismatch {
        /// Who calls.
        plugin: PluginId,
        /// Who provides.
        provider: PluginId,
        /// The interface.
        interface: String,
        /// The function.
        function: String,
        /// Where in the function's type, such as `parameter 1, field name`.
        place: String,
        /// The caller's type.
        expected: String,
        /// The provider's type.
        found: String,
    },
}

impl LinkProblem {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotPrepared { .. } => "code-missing",
            Self::NoProvider { .. } => "provider-missing",
            Self::TwoProviders { .. } => "provider-ambiguous",
            Self::NoFunction { .. } => "function-missing",
            Self::TypeMismatch { .. } => "type-mismatch",
        }
    }
}
