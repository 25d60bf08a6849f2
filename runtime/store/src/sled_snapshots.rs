//! sled's snapshots, made ready before sled opens them. A snapshot is an index of the log, written when a database is opened; without one
//! sled reads the whole log. Three things about them can make sled 0.34 refuse a sound database after a crash:
//!
//! - It writes `snap.N.generating` and gives it its name when it is whole, but takes one that never got its name for the newest. Seen in
//!   what killed hosts left (also spacejam/sled#1527, #1533).
//! - It never syncs the directory: a power cut may take the name back, and leave the old snapshot removed. Seen as well.
//! - It syncs the snapshot, but not the log that the snapshot is of: after a power cut the snapshot may know more than the log. Not seen;
//!   it follows from its code.
//!
//! Not here: the log itself ([`crate::sled_engine`]).

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use crate::directory::sync_directory;

/// What a snapshot is called until it is whole.
const UNFINISHED: &str = ".generating";

/// To be called before sled opens the database in `path`, by whoever has it alone: what sled is about to read is durable then, and no
/// snapshot that was broken off is among it. There may be no database yet.
pub(crate) fn before_opening(path: &Path) -> io::Result<()> {
    let log = match OpenOptions::new().read(true).write(true).open(path.join("db")) {
        Ok(log) => log,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    log.sync_all()?;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(UNFINISHED) {
            tracing::info!(file = %entry.path().display(), "a snapshot of sled that was broken off is removed; the log has all that is in it");
            fs::remove_file(entry.path())?;
        }
    }
    sync_directory(path)
}

/// To be called when sled has opened it: the snapshot that it wrote meanwhile keeps its name.
pub(crate) fn after_opening(path: &Path) -> io::Result<()> {
    sync_directory(path)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::engine::{Batch, Engine as _};
    use crate::sled_engine::SledEngine;

    fn snapshots(path: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        let mut found: Vec<_> =
            entries.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("snap.")).collect();
        found.sort();
        found
    }

    /// A database that was opened `times` times, with a record more each time.
    fn database(path: &Path, times: u64) {
        drop(SledEngine::create(path, 1 << 20).unwrap());
        for version in 1..=times {
            let engine = SledEngine::open(path, 1 << 20).unwrap();
            let key = version.to_be_bytes().to_vec();
            engine.apply(Batch { version, writes: vec![(key, Some(b"there".to_vec().into()))] }).unwrap();
            engine.sync().unwrap();
        }
    }

    #[test]
    fn whatever_a_crash_left_of_the_snapshots_the_database_opens_with_all_that_was_written() {
        let unfinished = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(UNFINISHED);
            PathBuf::from(name)
        };
        type Crash<'a> = (&'a str, Box<dyn Fn(&Path) + 'a>);
        let newest = |path: &Path| snapshots(path).pop().unwrap();
        let crashes: [Crash<'_>; 5] = [
            (
                "killed before the first byte",
                Box::new(|path| fs::write(path.join("snap.00000000FFFFFFFF.generating"), b"").unwrap()),
            ),
            (
                "killed in the middle",
                Box::new(|path| {
                    let half = fs::read(newest(path)).unwrap();
                    fs::write(path.join("snap.00000000FFFFFFFF.generating"), &half[..half.len() / 2]).unwrap();
                }),
            ),
            (
                "killed before it got its name",
                Box::new(|path| fs::rename(newest(path), unfinished(&newest(path))).unwrap()),
            ),
            (
                "its name taken by a power cut, and the next one killed",
                Box::new(|path| {
                    fs::rename(newest(path), unfinished(&newest(path))).unwrap();
                    fs::write(path.join("snap.00000000FFFFFFFF.generating"), b"").unwrap();
                }),
            ),
            ("no snapshot at all", Box::new(|path| fs::remove_file(newest(path)).unwrap())),
        ];
        for (what, crash) in crashes {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("sled");
            database(&path, 5);
            assert!(!snapshots(&path).is_empty(), "sled writes them when it opens");
            crash(&path);
            let engine = SledEngine::open(&path, 1 << 20).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(engine.last_version().unwrap(), 5, "{what}");
            for version in 1..=5_u64 {
                assert!(engine.get(&version.to_be_bytes()).unwrap().is_some(), "{what}: {version}");
            }
            assert!(snapshots(&path).iter().all(|path| !path.to_string_lossy().ends_with(UNFINISHED)), "{what}");
        }
    }
}
