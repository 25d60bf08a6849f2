//! What lasts.

use kontor_core::store::{Commit, CommitError, Durability, Key, StoreError, TxStore};
use kontor_store::{EngineError, engine_in, open, read_archive, restore_archive, write_archive};

use crate::subject::{
    EMBEDDED, Subject, add, begin, commit, commit_as, get, number, options, points, put, range, scan, stamped, wait,
    write,
};

pub(crate) fn a_reopened_store_has_everything_and_goes_on(subject: &mut dyn Subject) {
    let mut last = 0;
    for life in 0..4_u32 {
        let store = subject.open();
        assert_eq!(store.current_version(), last, "life {life}");
        assert_eq!(number(get(&store, "lives")), i64::from(life));
        // Closing makes durable what nobody waited for.
        let transaction = Commit {
            view_version: last,
            writes: vec![add("lives", 1, None, None), put(format!("k{life}"), vec![life as u8; 6_000])],
            stamped: vec![stamped("log/", 0, "", &life.to_string())],
            ..Commit::default()
        };
        let version = commit_as(&store, transaction, Durability::Visible).unwrap();
        assert!(version > last);
        // A view of an earlier life is of no use: what changed since is not known any more.
        if last > 0 {
            let old = Commit { view_version: last - 1, reads: points(&["lives"]), ..Commit::default() };
            assert_eq!(commit(&store, old), Err(CommitError::TooOld));
        }
        last = version;
        store.close().unwrap();
        store.close().unwrap();
    }
    let store = subject.open();
    let log = scan(&store, &crate::subject::prefix("log/"), false, 10).entries;
    assert_eq!(log.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>(), ["0", "1", "2", "3"]);
    for life in 0..4_u8 {
        assert_eq!(get(&store, format!("k{life}")).unwrap(), vec![life; 6_000]);
    }
}

pub(crate) fn a_closed_store_refuses(subject: &mut dyn Subject) {
    let store = subject.open();
    write(&store, vec![put("a", "1")]);
    let view = begin(&store);
    store.close().unwrap();
    assert!(matches!(wait(view.get(b"a")), Err(StoreError::Unavailable(_))));
    assert!(matches!(wait(store.begin()), Err(StoreError::Unavailable(_))));
    for writes in [vec![], vec![put("b", "1")]] {
        let late = Commit { view_version: view.version(), writes, ..Commit::default() };
        assert!(matches!(commit(&store, late), Err(CommitError::Unavailable(_))));
    }
    drop((store, view));
    assert_eq!(get(&subject.open(), "b"), None);
}

/// Writers move amounts between accounts and write what they did to a log; whatever the archive holds must add up.
pub(crate) fn an_archive_of_a_busy_store_is_one_of_its_states(subject: &mut dyn Subject) {
    let store = subject.open();
    let accounts: Vec<_> = (0..3_000_u32).map(|n| add(format!("account/{n:05}"), 100, None, None)).collect();
    write(&store, accounts);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let mut archive = Vec::new();
    let summary = std::thread::scope(|scope| {
        for writer in 0..2_u32 {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || {
                let mut n = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    n += 1;
                    let (from, to) = ((n * 7_919 + writer) % 3_000, (n * 104_729 + writer * 13) % 3_000);
                    let mut writes = vec![put(format!("last/{writer}"), n.to_string())];
                    if from != to {
                        writes.push(add(format!("account/{from:05}"), -5, None, None));
                        writes.push(add(format!("account/{to:05}"), 5, None, None));
                    }
                    let stamped = vec![stamped("log/", 0, "", &n.to_string())];
                    let moved = Commit { view_version: store.current_version(), writes, stamped, ..Commit::default() };
                    commit_as(store, moved, Durability::Visible).unwrap();
                }
            });
        }
        let summary = write_archive(&store, &mut archive, &mut |_| {}).unwrap();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        summary
    });
    let mut content = std::collections::BTreeMap::new();
    let read = read_archive(&mut archive.as_slice(), &mut |key, value| {
        match value {
            Some(value) => content.insert(key.to_vec(), value.to_vec()),
            None => content.remove(key),
        };
        Ok(())
    })
    .unwrap();
    assert_eq!(read, summary);
    let total: i64 = content
        .iter()
        .filter(|(key, _)| key.starts_with(b"account/"))
        .map(|(_, value)| i64::from_be_bytes(value.as_slice().try_into().unwrap()))
        .sum();
    assert_eq!(total, 300_000, "half a commit is in the archive");
    let logged = content.keys().filter(|key| key.starts_with(b"log/")).count() as u64;
    let lasts: u64 = content
        .iter()
        .filter(|(key, _)| key.starts_with(b"last/"))
        .map(|(_, value)| std::str::from_utf8(value).unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!((logged, logged + 1), (lasts, summary.version), "the archive is of no one version");

    // Both engines that keep files take it, and hold the same.
    for engine in EMBEDDED {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let restored = restore_archive(&options(engine, &path), &mut archive.as_slice(), &mut |_| {}).unwrap();
        assert_eq!(restored, summary);
        let again = restore_archive(&options(engine, &path), &mut archive.as_slice(), &mut |_| {}).unwrap_err();
        assert_eq!(again.code(), "store_exists");
        let copy = open(&options(engine, &path)).unwrap();
        assert_eq!(copy.current_version(), summary.version);
        let all = scan(&copy, &range([], None), false, usize::MAX).entries;
        assert!(all.into_iter().map(|(key, value)| (key, value.to_vec())).eq(content.clone()), "{engine}");
        let next = write(&copy, vec![put("goes", "on")]);
        assert_eq!(next, summary.version + 1);
    }
    // A flipped bit and a missing end are found, wherever they are.
    for at in [0, 20, archive.len() / 3, archive.len() / 2, archive.len() - 3] {
        let mut flipped = archive.clone();
        flipped[at] ^= 0x10;
        for damaged in [&flipped[..], &archive[..at]] {
            let directory = tempfile::tempdir().unwrap();
            let refused = options(EMBEDDED[0], &directory.path().join("store"));
            let error = restore_archive(&refused, &mut &*damaged, &mut |_| {}).unwrap_err();
            assert_eq!(error.code(), "archive_damaged", "at {at}: {error}");
            assert_eq!(engine_in(&refused.directory), None, "half an archive is a store");
        }
    }
}

pub(crate) fn an_export_holds_everything(subject: &mut dyn Subject) {
    let store = subject.open();
    for n in 0..20_u8 {
        write(&store, vec![put([n], vec![n; usize::from(n) * 1_000])]);
    }
    let mut exported: Vec<(Key, Vec<u8>)> = Vec::new();
    let version = store
        .export(&mut |key, value| {
            exported.push((key.to_vec(), value.to_vec()));
            Ok(())
        })
        .unwrap();
    assert_eq!(version, store.current_version());
    let all = scan(&store, &range([], None), false, 100).entries;
    assert_eq!(all.len(), 20);
    assert_eq!(exported, all.into_iter().map(|(key, value)| (key, value.to_vec())).collect::<Vec<_>>());
    // A visitor that fails is no failure of the store.
    for fail in
        [(|| Err(EngineError::Fatal("no space for the copy".to_owned()))) as fn() -> Result<(), EngineError>, || {
            panic!("no space for the copy")
        }]
    {
        match store.export(&mut |_, _| fail()) {
            Err(StoreError::Unavailable(reason)) => assert!(reason.contains("no space for the copy"), "{reason}"),
            other => panic!("{other:?}"),
        }
        write(&store, vec![put("goes", "on")]);
    }
}
