//! What `kontor new` writes: a plugin that builds, runs and is tested, to be changed into another. The files are in `sdk/templates`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kontor_core::ids::{InvalidId, PluginId};

/// Relative path, and content with placeholders.
const FILES: [(&str, &str); 7] = [
    ("Cargo.toml", include_str!("../../../sdk/templates/plugin/Cargo.toml.template")),
    ("plugin.toml", include_str!("../../../sdk/templates/plugin/plugin.toml.template")),
    ("README.md", include_str!("../../../sdk/templates/plugin/README.md.template")),
    (".gitignore", include_str!("../../../sdk/templates/plugin/gitignore.template")),
    ("src/lib.rs", include_str!("../../../sdk/templates/plugin/src/lib.rs.template")),
    ("src/notes.rs", include_str!("../../../sdk/templates/plugin/src/notes.rs.template")),
    ("tests/notes.rs", include_str!("../../../sdk/templates/plugin/tests/notes.rs.template")),
];

/// What a crate outside of Kontor's workspace needs beside its dependencies.
const STANDALONE: &str = r#"
[workspace]

# Tests run the plugin on the real engine, which is slow unless it is optimised. It is compiled once.
[profile.dev.package."*"]
opt-level = 2
debug = false
"#;

/// Where the generated crate finds the SDK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SdkSource {
    /// A clone of Kontor: its root.
    Path(PathBuf),
    /// A member of the workspace that declares the SDK itself.
    Workspace,
}

/// Why no plugin was written.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The id.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// There is something already.
    #[error("{0} exists already; choose another folder, or remove it")]
    Exists(PathBuf),
    /// The SDK is nowhere.
    #[error("there is no clone of Kontor at or above {0}; run this inside one, or set KONTOR_SOURCE to its root")]
    NoSdk(PathBuf),
    /// A file cannot be written.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Writes a plugin `id` into the new folder `directory`, with the SDK of the clone at or above it (or at `KONTOR_SOURCE`). Returns the
/// files, relative to `directory`.
pub fn write(id: &str, directory: &Path) -> Result<Vec<PathBuf>, TemplateError> {
    let sdk = find_sdk(directory).ok_or_else(|| TemplateError::NoSdk(directory.to_owned()))?;
    write_with(id, directory, &sdk)
}

/// As [`write()`], with the SDK from `sdk`.
pub fn write_with(id: &str, directory: &Path, sdk: &SdkSource) -> Result<Vec<PathBuf>, TemplateError> {
    let files = render(id, sdk)?;
    if directory.read_dir().is_ok_and(|mut entries| entries.next().is_some()) || directory.is_file() {
        return Err(TemplateError::Exists(directory.to_owned()));
    }
    let mut written = Vec::new();
    for (name, content) in files {
        let path = directory.join(&name);
        let io = |error| TemplateError::Io { path: path.clone(), error };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(io)?;
        }
        fs::write(&path, content).map_err(io)?;
        written.push(name);
    }
    Ok(written)
}

/// The files of a plugin `id`: relative path and content.
pub fn render(id: &str, sdk: &SdkSource) -> Result<Vec<(PathBuf, String)>, TemplateError> {
    let id = PluginId::new(id)?;
    let title: String = id.as_str().replace('-', " ");
    let mut letters = title.chars();
    let title: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    let type_name: String = id
        .as_str()
        .split('-')
        .flat_map(|word| {
            let mut letters = word.chars();
            letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect::<Vec<_>>()
        })
        .collect();
    let crate_name = id.as_str().replace('-', "_");
    let (dependencies, workspace) = dependencies(sdk);
    Ok(FILES
        .iter()
        .map(|(name, text)| {
            let content = text
                .replace("{{dependencies}}", &dependencies)
                .replace("{{workspace}}", workspace)
                .replace("{{id}}", id.as_str())
                .replace("{{title}}", &title)
                .replace("{{type}}", &type_name)
                .replace("{{crate}}", &crate_name);
            (PathBuf::from(name), content)
        })
        .collect())
}

fn dependencies(sdk: &SdkSource) -> (String, &'static str) {
    match sdk {
        SdkSource::Path(root) => {
            let path = |krate: &str| toml::Value::String(root.join("sdk/rust").join(krate).display().to_string()).to_string();
            let text = format!(
                "kontor-sdk = {{ path = {} }}\nserde = {{ version = \"1\", features = [\"derive\"] }}\n\n[dev-dependencies]\nkontor-testkit = {{ path = {} }}\nserde_json = \"1\"",
                path("kontor-sdk"),
                path("kontor-testkit")
            );
            // A folder below someone else's workspace is still a workspace of its own.
            (text, STANDALONE)
        }
        SdkSource::Workspace => (
            "kontor-sdk.workspace = true\nserde.workspace = true\n\n[dev-dependencies]\nkontor-testkit.workspace = true\nserde_json.workspace = true".to_owned(),
            "",
        ),
    }
}

fn find_sdk(directory: &Path) -> Option<SdkSource> {
    let is_clone = |root: &Path| root.join("sdk/rust/kontor-sdk/Cargo.toml").is_file();
    if let Some(root) = std::env::var_os("KONTOR_SOURCE").map(PathBuf::from) {
        return is_clone(&root).then_some(root).and_then(|root| root.canonicalize().ok()).map(SdkSource::Path);
    }
    let start = std::path::absolute(directory).ok()?;
    let here = start.ancestors().find(|root| is_clone(root)).map(Path::to_owned);
    // `kontor new` may be run elsewhere: then the clone that this program was built from, if it is still there.
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(Path::to_owned);
    here.or(built_from).filter(|root| is_clone(root)).map(SdkSource::Path)
}
