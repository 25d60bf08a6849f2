//! The first admin token: made when there is none, written where only the owner of the data can read it.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::StartError;
use crate::api::TokenKind;
use crate::problem::{Code, Problem};
use crate::state::State;
use crate::tokens::TokenRequest;

/// Name of the file in the data directory.
const FILE: &str = "admin-token";

/// The token if it was made now; `None` if there are admin tokens already.
pub(super) async fn ensure(state: &Arc<State>, data_dir: &Path) -> Result<Option<String>, StartError> {
    let failed = |why: String| StartError::Data(format!("the first admin token cannot be made: {why}"));
    let known = state.tokens.list(None).await.map_err(|p| failed(p.detail().to_owned()))?;
    if !known.is_empty() {
        return Ok(None);
    }
    let request =
        TokenRequest { name: "first".to_owned(), kind: TokenKind::Admin, scopes: Vec::new(), expires_at_ms: None };
    let path = data_dir.join(FILE);
    let keep = |secret: &str| {
        write_private(&path, secret)
            .map_err(|e| Problem::new(Code::Internal, format!("{} cannot be written: {e}", path.display())))
    };
    // The file first: a token that the store knows and nobody else would lock everybody out.
    let created = state.tokens.create_kept(None, request, keep).await.map_err(|p| failed(p.detail().to_owned()))?;
    Ok(Some(created.secret))
}

/// Writes beside, syncs, renames: the file is there whole or not at all.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let draft = path.with_extension("new");
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), |directory| std::fs::File::open(directory)?.sync_all())
}
