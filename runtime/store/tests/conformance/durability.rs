//! What lasts.

use kontor_core::store::{Commit, CommitError, Durability, Key, StoreError, TxStore};
use kontor_store::EngineError;

use crate::subject::{
    Subject, add, begin, commit, commit_as, get, number, points, put, range, scan, stamped, wait, write,
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
