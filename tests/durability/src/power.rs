//! Cuts the power: takes back what a process wrote and never synced, as its log says ([`crate::shim`]).
//!
//! What a power cut may leave, by a seed: of a file's bytes that were not synced any selection of sectors or pages, with the old
//! length or the new; of names (files created, removed, renamed, directories made) that were not synced the first few, in order, as a
//! file system that journals its metadata would. At one end of that nothing that was not synced is left; that end is drawn often.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What was taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Writes that had not been synced.
    pub writes: usize,
    /// Changes of names that had not been synced and are gone.
    pub names: usize,
}

/// A write that was not synced.
struct Write {
    offset: u64,
    length: u64,
    size_before: u64,
    old: Vec<u8>,
}

/// A change of names that was not synced.
#[derive(Debug)]
enum Name {
    Create(PathBuf),
    Remove(PathBuf, Option<PathBuf>),
    Rename { from: PathBuf, to: PathBuf, replaced: Option<PathBuf> },
    Make(PathBuf),
    Unmake(PathBuf),
}

impl Name {
    /// Whether syncing a directory makes it durable.
    fn is_in(&self, directory: &Path) -> bool {
        let within = |path: &Path| path.parent() == Some(directory);
        match self {
            Self::Create(path) | Self::Remove(path, _) | Self::Make(path) | Self::Unmake(path) => within(path),
            Self::Rename { from, to, .. } => within(from) || within(to),
        }
    }

    fn undo(&self) -> Result<()> {
        let result = match self {
            Self::Create(path) => match fs::remove_file(path) {
                // Renamed by a program that makes its system calls itself, past libc: that is taken as durable at once.
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                done => done,
            },
            Self::Remove(path, Some(grave)) => fs::rename(grave, path),
            Self::Remove(_, None) => Ok(()),
            Self::Rename { from, to, replaced } => fs::rename(to, from).and_then(|()| match replaced {
                Some(grave) => fs::rename(grave, to),
                None => Ok(()),
            }),
            Self::Make(path) => fs::remove_dir_all(path),
            Self::Unmake(path) => fs::create_dir(path),
        };
        result.with_context(|| format!("taking back {self:?}"))
    }
}

/// What a process did and did not sync.
#[derive(Default)]
struct Unsynced {
    writes: BTreeMap<u64, Vec<Write>>,
    names: Vec<Name>,
}

/// Takes back what the log in `power` says, below `directory`, and forgets the log.
pub fn cut(directory: &Path, power: &Path, seed: u64) -> Result<Lost> {
    let log = power.join("log");
    let Ok(bytes) = fs::read(&log) else {
        return Ok(Lost::default());
    };
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let unsynced = read_log(&bytes)?;
    let everything_goes = random.random_range(0..3) == 0;
    let mut lost = Lost::default();
    let files = inodes(&[directory, &power.join("graves")])?;
    for (inode, writes) in &unsynced.writes {
        // A file that is nowhere any more was removed for good.
        if let Some(path) = files.get(inode) {
            lost.writes += writes.len();
            take_back(path, writes, if everything_goes { None } else { Some(&mut random) })
                .with_context(|| format!("taking back writes to {}", path.display()))?;
        }
    }
    let kept = if everything_goes { 0 } else { random.random_range(0..=unsynced.names.len()) };
    for name in unsynced.names.iter().skip(kept).rev() {
        name.undo()?;
        lost.names += 1;
    }
    fs::remove_file(&log)?;
    fs::remove_dir_all(power.join("graves"))?;
    Ok(lost)
}

/// Bytes of the fixed part of a record.
const RECORD_BYTES: usize = 48;

fn read_log(bytes: &[u8]) -> Result<Unsynced> {
    let mut unsynced = Unsynced::default();
    let mut rest = bytes;
    // A record that breaks off was being written when the process ended: what it announces did not happen.
    while let Some((fixed, after)) = rest.split_at_checked(RECORD_BYTES) {
        let number = |at: usize, bytes: usize| {
            let digits = fixed.get(at..at + bytes).unwrap_or_default();
            digits.iter().rev().fold(0_u64, |number, digit| number << 8 | u64::from(*digit))
        };
        let [data, first, second] = [number(4, 4), number(8, 2), number(10, 2)].map(|length| length as usize);
        let Some((first, after)) = after.split_at_checked(first) else { break };
        let Some((second, after)) = after.split_at_checked(second) else { break };
        let Some((data, after)) = after.split_at_checked(data) else { break };
        rest = after;
        let path = |bytes: &[u8]| PathBuf::from(String::from_utf8_lossy(bytes).into_owned());
        let grave = |bytes: &[u8]| (!bytes.is_empty()).then(|| path(bytes));
        let inode = number(16, 8);
        match fixed.first() {
            Some(b'w') => {
                let write = Write {
                    offset: number(24, 8),
                    length: number(32, 8),
                    size_before: number(40, 8),
                    old: data.to_vec(),
                };
                unsynced.writes.entry(inode).or_default().push(write);
            }
            Some(b's') => {
                unsynced.writes.remove(&inode);
            }
            Some(b'd') => {
                let directory = path(first);
                unsynced.names.retain(|name| !name.is_in(&directory));
            }
            Some(b'c') => unsynced.names.push(Name::Create(path(first))),
            Some(b'u') => unsynced.names.push(Name::Remove(path(first), grave(second))),
            Some(b'r') => {
                let name = Name::Rename { from: path(first), to: path(second), replaced: grave(data) };
                unsynced.names.push(name);
            }
            Some(b'm') => unsynced.names.push(Name::Make(path(first))),
            Some(b'x') => unsynced.names.push(Name::Unmake(path(first))),
            other => bail!("the log of the disk holds a record of an unknown kind {other:?}"),
        }
    }
    Ok(unsynced)
}

/// Where each file is, by its inode.
fn inodes(roots: &[&Path]) -> Result<BTreeMap<u64, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut directories: Vec<PathBuf> = roots.iter().map(|root| root.to_path_buf()).collect();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten() {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                directories.push(entry.path());
            } else {
                found.insert(metadata.ino(), entry.path());
            }
        }
    }
    Ok(found)
}

/// Puts a file back to what was synced; with randomness, parts of what was not synced stay.
fn take_back(path: &Path, writes: &[Write], random: Option<&mut ChaCha8Rng>) -> Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let size_now = file.metadata()?.len();
    let Some(random) = random else {
        return undo(&file, writes);
    };
    // Disks write sectors, caches pages.
    let block: u64 = if random.random_bool(0.3) { 512 } else { 4_096 };
    let mut touched = BTreeSet::new();
    for write in writes {
        let end = (write.offset + write.length).max(write.size_before.max(write.offset)).min(size_now);
        let length = if write.length == 0 { 0 } else { end.saturating_sub(write.offset) };
        touched.extend(write.offset / block..(write.offset + length).div_ceil(block));
    }
    let mut blocks = Vec::new();
    for number in touched {
        let length = block.min(size_now.saturating_sub(number * block));
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, number * block)?;
        blocks.push((number * block, bytes));
    }
    undo(&file, writes)?;
    let size_before = file.metadata()?.len();
    let size = if random.random_bool(0.6) { size_before.max(size_now) } else { size_before };
    file.set_len(size)?;
    let share = f64::from(random.random_range(0..=10_u32)) / 10.0;
    for (offset, bytes) in blocks {
        let room = size.saturating_sub(offset).min(bytes.len() as u64) as usize;
        if random.random_bool(share) {
            file.write_all_at(bytes.get(..room).unwrap_or_default(), offset)?;
        }
    }
    Ok(())
}

fn undo(file: &File, writes: &[Write]) -> Result<()> {
    for write in writes.iter().rev() {
        file.write_all_at(&write.old, write.offset)?;
        file.set_len(write.size_before)?;
    }
    Ok(())
}
