//! Service calls that are answered without being executed: only while nothing that the answer depends on has changed, and never if it
//! depends on what only one execution can know.

use kontor_core::revision::PluginSpec;
use kontor_engine::EngineOptions;

use crate::guests::{self, ACT, provides, requires};
use crate::rig::{self, Rig};

/// Calls of a function that are not looked at after one that did more than answer, and some.
const UNFIT_CALLS: u32 = 70;

async fn rig(provider: Vec<u8>) -> Rig {
    rig_with(EngineOptions::default().answers_bytes_max, provider).await
}

async fn rig_with(answers_bytes_max: usize, provider: Vec<u8>) -> Rig {
    let wasm = guests::caller();
    let caller = PluginSpec { requires: requires(ACT, false, false), ..guests::web_spec("caller", &wasm) };
    let spec = PluginSpec { provides: provides(ACT, None), ..guests::spec("provider", &provider) };
    Rig::with(EngineOptions { answers_bytes_max, ..rig::options() }, vec![(caller, wasm), (spec, provider)]).await
}

/// What a request answered, and whether the provider was executed for it.
async fn asked(rig: &Rig, query: &str) -> (Vec<u8>, bool) {
    let body = rig.body("caller", query).await;
    assert!(rig.usage("provider").calls > 0, "a call is counted, executed or not");
    (body, rig.usage("provider").fuel > 0)
}

#[tokio::test]
async fn an_answer_stands_until_something_that_was_read_changes() {
    let rig = rig(guests::act_provider()).await;
    assert_eq!(asked(&rig, "9").await, (vec![0, 0], true), "there is no row");
    assert_eq!(asked(&rig, "9").await, (vec![0, 0], false));
    assert_eq!(asked(&rig, "99").await, (vec![0, 0, 0, 0], false));
    assert_eq!((rig.engine.stats().answers_given, rig.engine.stats().answers_kept), (3, 1));
    assert_eq!(asked(&rig, "0").await, (vec![0, 1], true), "it writes the row");
    assert_eq!(asked(&rig, "9").await, (vec![0, 1], true), "and is asked anew");
    for _ in 0..UNFIT_CALLS {
        assert_eq!(asked(&rig, "9").await.0, [0, 1]);
    }
    assert_eq!(asked(&rig, "9").await, (vec![0, 1], false), "in the end the new answer is kept");
    for _ in 0..2 {
        assert_eq!(asked(&rig, "0").await, (vec![0, 1], true), "what writes is executed every time");
    }
}

#[tokio::test]
async fn a_transaction_sees_its_own_writes_and_keeps_them_to_itself() {
    let rig = rig(guests::act_provider()).await;
    assert_eq!(asked(&rig, "9").await, (vec![0, 0], true));
    assert_eq!(asked(&rig, "9").await, (vec![0, 0], false));
    // The second call fails, which takes the instance away; the row of the first stays.
    assert_eq!(
        asked(&rig, "029").await,
        (vec![0, 1, 1, 0, 0, 1], true),
        "an answer from before the write would be wrong"
    );
    assert_eq!(asked(&rig, "9").await, (vec![0, 1], true));
}

#[tokio::test]
async fn what_an_instance_remembers_within_an_execution_is_not_kept() {
    let rig = rig(guests::act_provider()).await;
    assert_eq!(asked(&rig, "977").await, (vec![0, 0, 0, 1, 0, 2], true), "it counts in memory");
    assert_eq!(rig.engine.stats().answers_kept, 1, "the first call's");
    assert_eq!(asked(&rig, "7").await, (vec![0, 1], true), "a new instance counts from the start");
}

#[tokio::test]
async fn what_fails_is_executed_again() {
    let rig = rig(guests::act_provider()).await;
    for _ in 0..2 {
        for query in ["1", "2", "5", ":"] {
            assert!(asked(&rig, query).await.1, "mode {query}");
        }
    }
    assert_eq!(rig.engine.stats().answers_kept, 0);
}

#[tokio::test]
async fn what_depends_on_more_than_the_store_is_executed_again() {
    for query in ["0", "1", "2", "3", "4"] {
        let rig = rig(guests::curious_provider()).await;
        for _ in 0..3 {
            assert_eq!(asked(&rig, query).await, (vec![0, 9], true), "mode {query}");
        }
        assert_eq!(rig.engine.stats().answers_kept, 0, "mode {query}");
    }
    for query in ["5", "6"] {
        let rig = rig(guests::curious_provider()).await;
        assert!(asked(&rig, query).await.1);
        assert!(!asked(&rig, query).await.1, "mode {query}: the same for every execution in this revision");
    }
}

#[tokio::test]
async fn a_function_that_is_not_fit_is_tried_again_after_a_while() {
    let rig = rig(guests::curious_provider()).await;
    asked(&rig, "0").await;
    let executed = async |rig: &Rig| asked(rig, "5").await.1;
    assert!(executed(&rig).await);
    assert!(executed(&rig).await, "calls of a function that was not fit are not looked at");
    for _ in 0..UNFIT_CALLS {
        asked(&rig, "5").await;
    }
    assert!(!executed(&rig).await);
}

#[tokio::test]
async fn memory_for_answers_is_bounded_and_may_be_none() {
    let none = rig_with(0, guests::act_provider()).await;
    for _ in 0..2 {
        assert_eq!(asked(&none, "9").await, (vec![0, 0], true));
    }
    // Room for less than one in each part.
    let little = rig_with(64, guests::act_provider()).await;
    for query in ["9", ";", "<", "=", ">", "9"] {
        asked(&little, query).await;
    }
    assert!(little.engine.stats().answers_kept >= 5);
}
