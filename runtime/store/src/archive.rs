//! A store as one file, for backups and for moving between engines: checksummed frame by frame and as a whole, of no engine.
//!
//! ```text
//! "kontor-archive 1\n"
//! frame  := kind:u8 length:u32 payload checksum:u64        (xxh3 of the payload; numbers big-endian)
//! 'e'    := (key_length:u32 value_length:u32 key value)*   value_length 0xffffffff: the key is not there any more
//! 'f'    := JSON: version, records, bytes, sha256 of everything before this frame; the last frame
//! ```
//!
//! Later records of a key count: a live store is written while it changes ([`OccStore::export_live`]). Not here: what else a
//! backup holds.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use kontor_core::store::{Key, StoreError, Value, Version};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::engine::{Batch, Engine, EngineError};
use crate::occ::OccStore;
use crate::open::{OpenError, StoreOptions, create_with};

const MAGIC: &[u8] = b"kontor-archive 1\n";
const KIND_ENTRIES: u8 = b'e';
const KIND_FOOTER: u8 = b'f';
/// The length that says that a key is gone.
const GONE: u32 = u32::MAX;
/// A frame is written when it has this many bytes.
const FRAME_BYTES: usize = 256 * 1024;
/// Larger than any frame: an entry has at most 16 MiB.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes that one batch brings into a new store.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// What an archive holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveSummary {
    /// The store's version that it is of.
    pub version: Version,
    /// Records, those included that a later one replaces.
    pub records: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// Of everything but the last frame, hexadecimal.
    pub sha256: String,
}

/// Why an archive was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is not what was written.
    #[error("the archive is damaged at byte {at}: {what}; use another backup")]
    Damaged {
        /// Where.
        at: u64,
        /// What is wrong.
        what: String,
    },
    /// The file.
    #[error("the archive cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// The store that is written, or made.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine that is filled.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The store that is made does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl ArchiveError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Damaged { .. } => "archive_damaged",
            Self::Io(_) => "archive_io",
            Self::Store(_) | Self::Engine(_) => "store_failed",
            Self::Open(error) => error.code(),
        }
    }
}

/// Called with the number of records done so far.
pub type Progress<'a> = dyn FnMut(u64) + Send + 'a;

/// Writes a live store.
pub fn write_archive(
    store: &OccStore,
    output: &mut dyn Write,
    progress: &mut Progress<'_>,
) -> Result<ArchiveSummary, ArchiveError> {
    let mut writer = Writer { output, hash: Sha256::new(), frame: Vec::new(), records: 0, bytes: 0, failed: None };
    writer.put(MAGIC)?;
    let exported = store.export_live(&mut |key, value| {
        progress(writer.records);
        writer.record(key, value).map_err(|error| {
            let reason = error.to_string();
            writer.failed = Some(error);
            EngineError::Unavailable(reason)
        })
    });
    // The reason itself, not what the store made of it.
    if let Some(error) = writer.failed.take() {
        return Err(error.into());
    }
    let version = exported?;
    writer.end(version)
}

struct Writer<'a> {
    output: &'a mut dyn Write,
    hash: Sha256,
    frame: Vec<u8>,
    records: u64,
    bytes: u64,
    failed: Option<io::Error>,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.output.write_all(bytes)
    }

    fn record(&mut self, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
        self.frame.extend_from_slice(&length(key)?.to_be_bytes());
        self.frame.extend_from_slice(&value.map_or(Ok(GONE), length)?.to_be_bytes());
        self.frame.extend_from_slice(key);
        self.frame.extend_from_slice(value.unwrap_or_default());
        self.records += 1;
        self.bytes += (key.len() + value.map_or(0, <[u8]>::len)) as u64;
        if self.frame.len() >= FRAME_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let payload = std::mem::take(&mut self.frame);
        for part in frame(KIND_ENTRIES, &payload)? {
            self.put(&part)?;
        }
        Ok(())
    }

    fn end(mut self, version: Version) -> Result<ArchiveSummary, ArchiveError> {
        self.flush()?;
        let sha256 = hex(&self.hash.clone().finalize());
        let summary = ArchiveSummary { version, records: self.records, bytes: self.bytes, sha256 };
        let payload = serde_json::to_vec(&summary).map_err(io::Error::from)?;
        for part in frame(KIND_FOOTER, &payload)? {
            self.output.write_all(&part)?;
        }
        self.output.flush()?;
        Ok(summary)
    }
}

fn length(bytes: &[u8]) -> io::Result<u32> {
    u32::try_from(bytes.len()).map_err(io::Error::other)
}

fn frame(kind: u8, payload: &[u8]) -> io::Result<[Vec<u8>; 3]> {
    let mut head = vec![kind];
    head.extend_from_slice(&length(payload)?.to_be_bytes());
    Ok([head, payload.to_vec(), xxhash_rust::xxh3::xxh3_64(payload).to_be_bytes().to_vec()])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What an archive's records are given to.
pub type VisitRecord<'a> = dyn FnMut(&[u8], Option<&[u8]>) -> Result<(), ArchiveError> + Send + 'a;

/// Reads an archive to its end and checks all of it. What `visit` was given is only good when this returns without an error.
pub fn read_archive(input: &mut dyn Read, visit: &mut VisitRecord<'_>) -> Result<ArchiveSummary, ArchiveError> {
    let mut reader = Reader { input, hash: Sha256::new(), at: 0 };
    let magic = reader.take(MAGIC.len())?;
    if magic != MAGIC {
        return Err(reader.damaged("it does not begin as an archive does"));
    }
    reader.hash.update(&magic);
    let (mut records, mut bytes) = (0, 0);
    loop {
        let (kind, head, payload, checksum) = reader.frame()?;
        match kind {
            KIND_ENTRIES => {
                for part in [&head, &payload, &checksum] {
                    reader.hash.update(part);
                }
                let mut rest = payload.as_slice();
                while !rest.is_empty() {
                    let Record { key, value, after } =
                        split_record(rest).ok_or_else(|| reader.damaged("a record breaks off"))?;
                    records += 1;
                    bytes += (key.len() + value.map_or(0, <[u8]>::len)) as u64;
                    visit(key, value)?;
                    rest = after;
                }
            }
            KIND_FOOTER => {
                let summary: ArchiveSummary = serde_json::from_slice(&payload)
                    .map_err(|error| reader.damaged(&format!("its last frame cannot be read ({error})")))?;
                let found = ArchiveSummary {
                    version: summary.version,
                    records,
                    bytes,
                    sha256: hex(&reader.hash.clone().finalize()),
                };
                if found != summary {
                    return Err(reader.damaged("its sums are not those of its content"));
                }
                return Ok(summary);
            }
            other => return Err(reader.damaged(&format!("a frame of the unknown kind {other}"))),
        }
    }
}

struct Record<'a> {
    key: &'a [u8],
    value: Option<&'a [u8]>,
    after: &'a [u8],
}

/// The first record, and what follows it.
fn split_record(bytes: &[u8]) -> Option<Record<'_>> {
    let (key_length, rest) = bytes.split_first_chunk::<4>()?;
    let (value_length, rest) = rest.split_first_chunk::<4>()?;
    let (key, rest) = rest.split_at_checked(u32::from_be_bytes(*key_length) as usize)?;
    match u32::from_be_bytes(*value_length) {
        GONE => Some(Record { key, value: None, after: rest }),
        length => {
            let (value, after) = rest.split_at_checked(length as usize)?;
            Some(Record { key, value: Some(value), after })
        }
    }
}

struct Reader<'a> {
    input: &'a mut dyn Read,
    hash: Sha256,
    at: u64,
}

impl Reader<'_> {
    fn damaged(&self, what: &str) -> ArchiveError {
        ArchiveError::Damaged { at: self.at, what: what.to_owned() }
    }

    fn take(&mut self, bytes: usize) -> Result<Vec<u8>, ArchiveError> {
        let mut taken = vec![0; bytes];
        match self.input.read_exact(&mut taken) {
            Ok(()) => {
                self.at += bytes as u64;
                Ok(taken)
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.damaged("it breaks off")),
            Err(error) => Err(error.into()),
        }
    }

    #[expect(clippy::type_complexity, reason = "the parts of a frame, in order")]
    fn frame(&mut self) -> Result<(u8, Vec<u8>, Vec<u8>, Vec<u8>), ArchiveError> {
        let head = self.take(5)?;
        let (kind, length) = match head.as_slice() {
            [kind, length @ ..] => (*kind, length.iter().fold(0_usize, |n, byte| n << 8 | usize::from(*byte))),
            [] => return Err(self.damaged("it breaks off")),
        };
        if length > FRAME_BYTES_MAX {
            return Err(self.damaged(&format!("a frame of {length} bytes")));
        }
        let payload = self.take(length)?;
        let checksum = self.take(8)?;
        if xxhash_rust::xxh3::xxh3_64(&payload).to_be_bytes() != checksum.as_slice() {
            return Err(self.damaged("a frame's checksum is wrong"));
        }
        Ok((kind, head, payload, checksum))
    }
}

/// Makes a new store of an archive. It is a store only when all of it is there: what an interrupted run leaves is cleared by the next.
pub fn restore_archive(
    options: &StoreOptions,
    input: &mut dyn Read,
    progress: &mut Progress<'_>,
) -> Result<ArchiveSummary, ArchiveError> {
    let mut summary = None;
    create_with::<ArchiveError>(options, |engine| {
        let mut loader = Loader::new(engine);
        let read = read_archive(input, &mut |key, value| {
            progress(loader.records);
            loader.record(key, value)
        })?;
        loader.end(read.version)?;
        summary = Some(read);
        Ok(())
    })?;
    summary.ok_or_else(|| ArchiveError::Io(io::Error::other("the archive was not read")))
}

/// Makes a new store of another, of any engine. Gives how many entries there are.
pub fn copy_store(from: &OccStore, to: &StoreOptions, progress: &mut Progress<'_>) -> Result<u64, ArchiveError> {
    let mut records = 0;
    create_with::<ArchiveError>(to, |engine| {
        let mut loader = Loader::new(engine);
        let mut failed = None;
        let exported = from.export_live(&mut |key, value| {
            progress(loader.records);
            loader.record(key, value).map_err(|error| {
                let reason = error.to_string();
                failed = Some(error);
                EngineError::Unavailable(reason)
            })
        });
        if let Some(error) = failed {
            return Err(error);
        }
        loader.end(exported?)?;
        records = loader.records;
        Ok(())
    })?;
    Ok(records)
}

/// Fills an engine that nobody else uses yet.
struct Loader<'a> {
    engine: &'a dyn Engine,
    batch: BTreeMap<Key, Option<Value>>,
    batch_bytes: usize,
    records: u64,
}

impl<'a> Loader<'a> {
    fn new(engine: &'a dyn Engine) -> Self {
        Self { engine, batch: BTreeMap::new(), batch_bytes: 0, records: 0 }
    }

    fn record(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), ArchiveError> {
        self.batch_bytes += key.len() + value.map_or(0, <[u8]>::len);
        self.batch.insert(key.to_vec(), value.map(Value::copy_from_slice));
        self.records += 1;
        if self.batch_bytes >= BATCH_BYTES { self.apply(0) } else { Ok(()) }
    }

    fn apply(&mut self, version: Version) -> Result<(), ArchiveError> {
        self.batch_bytes = 0;
        let writes = std::mem::take(&mut self.batch).into_iter().collect();
        Ok(self.engine.apply(Batch { version, writes })?)
    }

    fn end(&mut self, version: Version) -> Result<(), ArchiveError> {
        self.apply(version)?;
        Ok(self.engine.sync()?)
    }
}
