//! The compile cache: compiled components on disk, by content.
//!
//! wasmtime believes a precompiled file blindly: a flipped byte is accepted and runs. So an entry carries a MAC with a key that
//! only the hosts of this directory have, the directory is the owner's alone, and an entry is read into memory once, verified there, and
//! loaded from those same bytes. Whatever is wrong with an entry (cut short, altered, of another machine or build), it is removed
//! and compiled again; the cache is never a reason to fail after it was opened.

use std::fs::{self, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::error::CacheError;

type HmacSha256 = Hmac<Sha256>;

/// Begins every entry; the number is the format's.
const MAGIC: &[u8; 8] = b"kontorc2";
const MAC_BYTES: usize = 32;
const KEY_BYTES: usize = 32;
/// Entries kept: beyond, those go that were not used for longest. An entry has a few megabytes.
const ENTRIES_MAX: usize = 200;

/// A directory of compiled components.
#[derive(Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
    key: [u8; KEY_BYTES],
    /// Hash of everything beside the component that compiled code depends on.
    settings: [u8; 32],
    hits: AtomicU64,
    misses: AtomicU64,
    discarded: AtomicU64,
}

/// What the cache did since it was opened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CacheCounts {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) discarded: u64,
}

impl Cache {
    /// Opens the cache in `directory`, making it, and its key, if they are missing.
    pub(crate) fn open(directory: &Path, engine: &Engine) -> Result<Self, CacheError> {
        let failed = |action| move |source| CacheError { path: directory.to_owned(), action, source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed("created"))?;
        let mode = fs::metadata(directory).map_err(failed("read"))?.permissions().mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
                .map_err(failed("closed to other users"))?;
        }
        let key = host_key(&directory.join("key")).map_err(failed("given a key"))?;
        Ok(Self {
            directory: directory.to_owned(),
            key,
            settings: settings(engine),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            discarded: AtomicU64::new(0),
        })
    }

    /// The component compiled, if the cache has it whole.
    pub(crate) fn load(&self, engine: &Engine, wasm: &[u8]) -> Option<Component> {
        let name = self.name(wasm);
        let path = self.directory.join(&name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(_) => {
                self.misses.fetch_add(1, Ordering::Relaxed);
                return None;
            }
        };
        let component = self.open_entry(&name, &bytes).and_then(|code| {
            #[expect(unsafe_code, reason = "the one way to load compiled code")]
            // SAFETY: the bytes carry a MAC by this host's key over this name, which is made from the component, the engine's
            // settings and the CPU: they are what this host wrote after compiling just this component.
            let loaded = unsafe { Component::deserialize(engine, code) };
            loaded.map_err(|error| tracing::warn!(entry = name, %error, "a compile cache entry does not load")).ok()
        });
        match component {
            Some(component) => {
                self.hits.fetch_add(1, Ordering::Relaxed);
                // Only to know what was used lately.
                let _ = File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
                Some(component)
            }
            None => {
                tracing::warn!(entry = name, "a compile cache entry is damaged; it is discarded and compiled again");
                self.discarded.fetch_add(1, Ordering::Relaxed);
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    /// Keeps the compiled component. A failure costs the next start a compilation and is logged.
    pub(crate) fn keep(&self, wasm: &[u8], component: &Component) {
        let name = self.name(wasm);
        let written = component.serialize().map_err(io::Error::other).and_then(|code| self.write(&name, &code));
        let kept = written.and_then(|()| prune(&self.directory, ENTRIES_MAX));
        if let Err(error) = kept {
            tracing::warn!(entry = name, %error, "a compiled component cannot be cached");
        }
    }

    /// What the cache did.
    pub(crate) fn counts(&self) -> CacheCounts {
        CacheCounts {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            discarded: self.discarded.load(Ordering::Relaxed),
        }
    }

    fn name(&self, wasm: &[u8]) -> String {
        let mut hash = Sha256::new();
        hash.update(self.settings);
        hash.update(Sha256::digest(wasm));
        format!("{}.cwasm", hex::encode(hash.finalize()))
    }

    /// The code in an entry, if the entry is one that this host wrote under this name.
    fn open_entry<'a>(&self, name: &str, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (mac, code) = rest.split_at_checked(MAC_BYTES)?;
        // Compares in constant time.
        self.mac(name, code)?.verify_slice(mac).ok()?;
        Some(code)
    }

    fn mac(&self, name: &str, code: &[u8]) -> Option<HmacSha256> {
        let mut mac = HmacSha256::new_from_slice(&self.key).ok()?;
        mac.update(MAGIC);
        mac.update(name.as_bytes());
        mac.update(code);
        Some(mac)
    }

    /// Writes beside, syncs, renames: an entry is there whole or not at all.
    fn write(&self, name: &str, code: &[u8]) -> io::Result<()> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let ordinal = COUNTER.fetch_add(1, Ordering::Relaxed);
        let temporary = self.directory.join(format!("{name}.{}.{ordinal}.tmp", std::process::id()));
        let mac = self.mac(name, code).ok_or_else(|| io::Error::other("the key does not fit"))?.finalize().into_bytes();
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(MAGIC)?;
            file.write_all(&mac)?;
            file.write_all(code)?;
            file.sync_all()?;
            fs::rename(&temporary, self.directory.join(name))?;
            File::open(&self.directory)?.sync_all()
        })();
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}

/// Removes the entries that were not used for longest, until there are `entries_max`.
fn prune(directory: &Path, entries_max: usize) -> io::Result<()> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        // One that another host has just removed is gone as well.
        if is_entry(&path)
            && let Ok(modified) = fs::metadata(&path).and_then(|metadata| metadata.modified())
        {
            entries.push((modified, path));
        }
    }
    entries.sort();
    let surplus = entries.len().saturating_sub(entries_max);
    for (_, path) in entries.into_iter().take(surplus) {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Whether a file is an entry, or the rest of one that was not finished.
fn is_entry(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "cwasm" || extension == "tmp")
}

/// The key in the file at `path`. Made new when it is missing, cut short, or was open to others; then older entries do not verify and are
/// compiled again.
fn host_key(path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    if let Some(key) = read_key(path) {
        return Ok(key);
    }
    let mut key = [0_u8; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(&key)?;
    file.sync_all()?;
    // Two processes that start at once should end with one key: the first link wins, the other reads it.
    if path.exists() && read_key(path).is_none() {
        fs::remove_file(path)?;
    }
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary)?;
    match linked {
        Ok(()) => Ok(key),
        Err(error) => read_key(path).ok_or(error),
    }
}

fn read_key(path: &Path) -> Option<[u8; KEY_BYTES]> {
    let mut file = File::open(path).ok()?;
    if file.metadata().ok()?.permissions().mode() & 0o077 != 0 {
        return None;
    }
    let mut key = [0_u8; KEY_BYTES];
    file.read_exact(&mut key).ok()?;
    matches!(file.read(&mut [0_u8; 1]), Ok(0)).then_some(key)
}

/// Everything that compiled code depends on beside the component: the engine's settings, this build, and the CPU.
fn settings(engine: &Engine) -> [u8; 32] {
    struct Sink(Sha256);
    impl Hasher for Sink {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
    }
    let mut sink = Sink(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut sink);
    env!("CARGO_PKG_VERSION").hash(&mut sink);
    std::env::consts::ARCH.hash(&mut sink);
    cpu_flags(&mut sink);
    sink.0.finalize().into()
}

#[cfg(target_arch = "x86_64")]
fn cpu_flags(sink: &mut impl Hasher) {
    macro_rules! flags {
        ($($flag:tt),*) => { $( ($flag, std::is_x86_feature_detected!($flag)).hash(sink); )* };
    }
    flags!(
        "sse3",
        "ssse3",
        "sse4.1",
        "sse4.2",
        "popcnt",
        "avx",
        "avx2",
        "fma",
        "bmi1",
        "bmi2",
        "lzcnt",
        "avx512f",
        "avx512bw",
        "avx512dq",
        "avx512vl",
        "avx512vbmi",
        "avx512bitalg"
    );
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_flags(_sink: &mut impl Hasher) {
    // What the compiler detected is part of wasmtime's own hash.
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_not_used_for_longest_is_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, age_s: u64| {
            let file = File::create(directory.path().join(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 - age_s)).unwrap();
        };
        for (name, age_s) in
            [("key", 9_000), ("old.cwasm", 800), ("a.cwasm.1.0.tmp", 700), ("b.cwasm", 2), ("c.cwasm", 1)]
        {
            file(name, age_s);
        }
        for (entries_max, left) in [(4, 5), (2, 3), (2, 3), (0, 1)] {
            prune(directory.path(), entries_max).unwrap();
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), left, "{entries_max}");
        }
        assert!(directory.path().join("key").is_file(), "the key is no entry");
    }
}
