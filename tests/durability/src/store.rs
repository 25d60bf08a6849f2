//! The store alone: a child process that commits numbered transactions from several threads and says which are acknowledged, and
//! the look at what it left.
//!
//! Transaction `n` of a writer writes, in one commit: its number at two ends of the key space, a large value, a record stamped with
//! the commit's version, an addition to a counter, and it deletes what transaction `n - 5` had kept. Some wait for durability,
//! some do not; now and then everything is exported meanwhile.

use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, Result, bail, ensure};
use kontor_core::keys::prefix_range;
use kontor_core::store::{Commit, Durability, KeyRange, ReadSet, Scanned, StampedPut, TxStore, Value, Write};
use kontor_store::{EngineKind, StoreHandle, StoreOptions, open};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Threads that commit.
pub const WRITERS: u64 = 3;
/// A small cache, so that files are written and merged all the time.
const CACHE_BYTES: u64 = 2 * 1024 * 1024;
/// Transactions whose own key is still there.
const KEPT: u64 = 5;
const TOTAL: &[u8] = b"middle/total";
const PAGE_ENTRIES: usize = 10_000;

/// The options of a store that the suites open.
pub fn options(engine: EngineKind, directory: &Path) -> StoreOptions {
    StoreOptions { engine, cache_bytes: CACHE_BYTES, ..StoreOptions::new(directory) }
}

fn key(text: String) -> Vec<u8> {
    text.into_bytes()
}

fn large(writer: u64, n: u64) -> Vec<u8> {
    // Between a few bytes and several pages.
    let length = (n * 7_919 + writer * 104_729) % 20_000;
    (0..length).map(|place| (n + writer + place / 64) as u8).collect()
}

fn transaction(view_version: u64, writer: u64, n: u64) -> Commit {
    let number = |n: u64| Write::Put(Value::copy_from_slice(&n.to_be_bytes()));
    let mut writes = vec![
        (key(format!("a/{writer}")), number(n)),
        (key(format!("large/{writer}/{}", n % 7)), Write::Put(large(writer, n).into())),
        (TOTAL.to_vec(), Write::Add { delta: 1, min: None, max: None }),
        (key(format!("kept/{writer}/{n:012}")), number(n)),
        (key(format!("z/{writer}")), number(n)),
    ];
    if let Some(old) = n.checked_sub(KEPT).filter(|old| *old > 0) {
        writes.push((key(format!("kept/{writer}/{old:012}")), Write::Delete));
    }
    let prefix = key(format!("log/{writer}/"));
    let stamped =
        vec![StampedPut { prefix, ordinal: 0, suffix: Vec::new(), value: Value::copy_from_slice(&n.to_be_bytes()) }];
    Commit { view_version, reads: ReadSet::default(), writes, stamped }
}

/// Commits until it is killed, and says what is acknowledged on standard output: `<writer> <number>` a line.
pub fn write_until_killed(engine: EngineKind, directory: &Path, seed: u64) -> Result<()> {
    let store = open(&options(engine, directory))?;
    let output = Mutex::new(std::io::stdout());
    say(&output, "ready")?;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (store, output) = (&store, &output);
                scope.spawn(move || write_as(store, output, writer, seed))
            })
            .collect();
        for writer in writers {
            writer.join().map_err(|_| anyhow::anyhow!("a writer panicked"))??;
        }
        Ok(())
    })
}

fn say(output: &Mutex<std::io::Stdout>, line: &str) -> Result<()> {
    let mut output = output.lock().map_err(|_| anyhow::anyhow!("a writer panicked"))?;
    writeln!(output, "{line}")?;
    Ok(output.flush()?)
}

fn write_as(store: &StoreHandle, output: &Mutex<std::io::Stdout>, writer: u64, seed: u64) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ writer);
    let mut n = number(store, &key(format!("a/{writer}")))?;
    loop {
        n += 1;
        let durability = if random.random_range(0..4) == 0 { Durability::Visible } else { Durability::Durable };
        let commit = transaction(store.current_version(), writer, n);
        runtime.block_on(store.commit(commit, durability))?;
        if durability == Durability::Durable {
            say(output, &format!("{writer} {n}"))?;
        }
        if writer == 0 && random.random_range(0..200) == 0 {
            store.export(&mut |_, _| Ok(()))?;
        }
    }
}

fn get(store: &StoreHandle, key: &[u8]) -> Result<Option<Value>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(runtime.block_on(async { store.begin().await?.get(key).await })?)
}

fn number(store: &StoreHandle, key: &[u8]) -> Result<u64> {
    match get(store, key)? {
        Some(value) => Ok(u64::from_be_bytes(value.as_ref().try_into().context("a number does not have 8 bytes")?)),
        None => Ok(0),
    }
}

fn scan(store: &StoreHandle, range: &KeyRange) -> Result<Scanned> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(runtime.block_on(async { store.begin().await?.scan(range, false, PAGE_ENTRIES).await })?)
}

/// Opens what the child left and looks whether all that was acknowledged is wholly there. Gives the last number of each writer.
pub fn look(engine: EngineKind, directory: &Path, acknowledged: &[u64]) -> Result<Vec<u64>> {
    let store = open(&options(engine, directory)).context("it does not open")?;
    let mut last = Vec::new();
    for (writer, acknowledged) in (0..WRITERS).zip(acknowledged) {
        last.push(look_at(&store, writer, *acknowledged).with_context(|| format!("writer {writer}"))?);
    }
    let total = get(&store, TOTAL)?.map_or(0, |value| value.iter().fold(0_u64, |n, byte| n << 8 | u64::from(*byte)));
    ensure!(total == last.iter().sum::<u64>(), "the counter says {total}, the writers wrote {last:?}");
    store.close()?;
    Ok(last)
}

fn look_at(store: &StoreHandle, writer: u64, acknowledged: u64) -> Result<u64> {
    let n = number(store, &key(format!("a/{writer}")))?;
    ensure!(n >= acknowledged, "{acknowledged} was acknowledged, {n} is there");
    let other = number(store, &key(format!("z/{writer}")))?;
    ensure!(n == other, "half a commit: {n} at the one end, {other} at the other");
    for back in 0..n.min(7) {
        let written = n - back;
        let found = get(store, &key(format!("large/{writer}/{}", written % 7)))?;
        ensure!(
            found.as_deref() == Some(&large(writer, written)),
            "the large value of {written} is not what was written"
        );
    }
    let kept = scan(store, &prefix_range(key(format!("kept/{writer}/"))))?;
    let kept: Vec<_> = kept.entries.into_iter().map(|(_, value)| value.to_vec()).collect();
    let wanted: Vec<_> = (n.saturating_sub(KEPT) + 1..=n).map(|n| n.to_be_bytes().to_vec()).collect();
    ensure!(kept == wanted, "kept are {} records, not the last {}", kept.len(), wanted.len());
    let mut range = prefix_range(key(format!("log/{writer}/")));
    let mut expected = 1_u64;
    loop {
        let page = scan(store, &range)?;
        for (at, value) in &page.entries {
            if value.as_ref() != expected.to_be_bytes() {
                bail!("the log goes on with {value:?} where {expected} should be");
            }
            expected += 1;
            range.start = kontor_core::keys::successor(at);
        }
        if !page.more {
            break;
        }
    }
    ensure!(expected == n + 1, "the log ends with {}, the last commit was {n}", expected - 1);
    Ok(n)
}
