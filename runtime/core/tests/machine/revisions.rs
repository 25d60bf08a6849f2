//! Revisions: switches under load, rollback, migrations, what does not fit together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::FutureExt;
use kontor_core::error::Error;
use kontor_core::executor::{Call, ExecutionError, Reply};
use kontor_core::revision::{InstalledPlugin, Schedule, ServiceProvision, ServiceRequirement};

use crate::support::*;

fn version(name: &str, version: &str) -> InstalledPlugin {
    let mut plugin = plugin(name);
    plugin.spec.version = version.into();
    plugin.spec.digest = format!("sha256:{name}-{version}");
    plugin
}

fn set(plugins: impl IntoIterator<Item = InstalledPlugin>) -> BTreeMap<kontor_core::ids::PluginId, InstalledPlugin> {
    plugins.into_iter().map(|plugin| (plugin.spec.id.clone(), plugin)).collect()
}

#[test]
fn a_request_in_flight_during_a_switch_runs_on_one_revision_and_is_not_lost() {
    for seed in 0..30 {
        let bench = Bench::new([version("p", "1.0.0"), version("q", "1.0.0")]);
        bench.scripts.set(
            "p",
            script!(|_call, tx| {
                let of = |tx: &kontor_core::transaction::Transaction| tx.installed().spec.version.clone();
                let first = of(tx);
                pause().await;
                let call = tx.enter(&id("q")).unwrap();
                let second = of(tx);
                tx.put("rows", b"version", second.clone().into_bytes()).unwrap();
                tx.leave(call, true);
                pause().await;
                ok(format!("{first} {second}"))
            }),
        );
        let (machine, merchant) = (&bench.machine, &bench.merchant);
        let mut tasks: Vec<futures_util::future::BoxFuture<'_, Option<String>>> = (0..60)
            .map(|_| {
                let ask = bench.ask("p", "/", bench.context());
                async move { Some(String::from_utf8(ask.await.unwrap().response.body).unwrap()) }.boxed()
            })
            .collect();
        tasks.push(
            async move {
                for number in 2..6_u64 {
                    let new = format!("{number}.0.0");
                    let plugins = set([version("p", &new), version("q", &new)]);
                    machine.switch(merchant, number - 1, plugins, "upgrade").await.unwrap();
                }
                None
            }
            .boxed(),
        );
        for versions in interleave(seed, tasks).into_iter().flatten() {
            let (first, second) = versions.split_once(' ').unwrap();
            assert_eq!(first, second, "a mixture, seed {seed}");
        }
        let reports = bench.notes.invocations.lock().unwrap();
        assert!(reports.iter().all(|report| report.outcome == "ok"), "seed {seed}");
    }
}

#[test]
fn a_request_admitted_by_an_old_revision_is_sent_back() {
    let bench = Bench::new([plugin("p")]);
    bench.scripts.set("p", script!(|_call, _tx| ok("")));
    let mut context = bench.context();
    context.admitted_by = Some(1);
    block_on(bench.ask("p", "/", context.clone())).unwrap();
    bench.switch([plugin("p")]);
    assert_eq!(block_on(bench.ask("p", "/", context)), Err(Error::RevisionChanged { current: 2 }));
}

#[test]
fn a_rollback_is_a_new_revision_with_the_old_set() {
    let bench = Bench::new([version("p", "1.0.0")]);
    bench.switch([version("p", "2.0.0")]);
    let back = block_on(bench.machine.rollback(&bench.merchant, 2, 1, "rollback to 1")).unwrap();
    assert_eq!((back.number, back.parent), (3, 2));
    assert_eq!(back.plugins, block_on(bench.machine.revision(&bench.merchant, 1)).unwrap().plugins);
    let stale = block_on(bench.machine.rollback(&bench.merchant, 2, 1, "again")).unwrap_err();
    assert_eq!(stale, Error::RevisionConflict { expected: 2, current: 3 });
    let list = block_on(bench.machine.revisions(&bench.merchant, None, 10)).unwrap();
    assert_eq!(list.iter().map(|r| (r.number, r.current)).collect::<Vec<_>>(), [(3, true), (2, false), (1, false)]);
    assert_eq!(block_on(bench.machine.revisions(&bench.merchant, Some(2), 10)).unwrap().len(), 1);
    let next = bench.crashed();
    assert_eq!(block_on(next.machine.current(&next.merchant)).unwrap(), back);
    assert_eq!(block_on(next.machine.revision(&next.merchant, 9)).unwrap_err().code(), "revision-unknown");
}

type Steps = Journal<(Option<String>, String)>;

/// Migrates in three steps, each writing a row; `fail` may stop it.
fn migrating(bench: &Bench, fail: impl Fn(u32) -> Option<ExecutionError> + Send + Sync + 'static) -> Steps {
    let (steps, fail): (Steps, _) = (Arc::default(), Arc::new(fail));
    let (noted, calls) = (steps.clone(), Arc::new(AtomicU32::new(0)));
    bench.scripts.set("p", move |call, tx| {
        let (noted, fail, calls) = (noted.clone(), fail.clone(), calls.clone());
        async move {
            let Call::Migrate { from_version, cursor } = call else {
                let rows = tx.scan("rows", None, None, false, 100).await.unwrap();
                return ok(rows.len().to_string());
            };
            noted.lock().unwrap().push((from_version, cursor.clone()));
            let step: u32 = cursor.parse().unwrap_or(0);
            tx.put("rows", &[step as u8 + 1], vec![]).unwrap();
            if let Some(error) = fail(calls.fetch_add(1, Ordering::Relaxed)) {
                return Err(error);
            }
            Ok(Reply::Migrated((step < 2).then(|| (step + 1).to_string())))
        }
        .boxed()
    });
    steps
}

fn step(from: Option<&str>, cursor: &str) -> (Option<String>, String) {
    (from.map(str::to_owned), cursor.to_owned())
}

#[test]
fn tables_are_migrated_before_the_switch_and_only_when_the_version_changes() {
    let bench = Bench::new([]);
    let steps = migrating(&bench, |_| None);
    bench.switch([version("p", "1.0.0")]);
    assert_eq!(*steps.lock().unwrap(), [step(None, ""), step(None, "1"), step(None, "2")]);
    bench.switch([version("p", "1.0.0"), plugin("q")]);
    assert_eq!(steps.lock().unwrap().len(), 3);
    bench.switch([version("p", "1.1.0")]);
    assert_eq!(steps.lock().unwrap()[3], step(Some("1.0.0"), ""));
    assert_eq!(bench.body("p", "/"), "3");
}

#[test]
fn a_migration_that_fails_leaves_the_current_revision_and_goes_on_later() {
    let bench = Bench::new([]);
    let steps = migrating(&bench, |call| (call == 1).then(|| ExecutionError::Permanent("row 7 is odd".into())));
    let plugins = set([version("p", "1.0.0")]);
    let error = block_on(bench.machine.switch(&bench.merchant, 1, plugins.clone(), "install")).unwrap_err();
    assert_eq!(error.code(), "migration-failed");
    assert!(error.to_string().contains("row 7 is odd"));
    assert_eq!(block_on(bench.machine.current(&bench.merchant)).unwrap().number, 1);
    let next = bench.crashed();
    block_on(next.machine.switch(&next.merchant, 1, plugins, "install")).unwrap();
    assert_eq!(*steps.lock().unwrap(), [step(None, ""), step(None, "1"), step(None, "1"), step(None, "2")]);
}

#[test]
fn two_switches_at_once_do_not_both_win() {
    let bench = Bench::new([]);
    let (machine, merchant) = (&bench.machine, &bench.merchant);
    let tasks = ["p", "q", "r"]
        .map(|name| async move { machine.switch(merchant, 1, set([plugin(name)]), name).await }.boxed())
        .into();
    let results = interleave(1, tasks);
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(results.iter().all(|result| result.is_ok() || matches!(result, Err(Error::RevisionConflict { .. }))));
}

#[test]
fn everything_that_does_not_fit_is_said_at_once() {
    let mut broken = plugin("p");
    broken.spec.version = "one".into();
    broken.spec.requires = vec![ServiceRequirement { interface: "a:b/c@0.1.0".into(), optional: false, many: false }];
    broken.spec.subscribes = vec!["Bad Type".into(), "a*".into()];
    broken.spec.schedules =
        vec![Schedule { name: "s".into(), cron: "soon".into(), time_zone: None, job: "missing".into() }];
    broken.spec.jobs[0].budget = Some("none".into());
    broken.spec.limits.fuel = u64::MAX;
    let Error::RevisionInvalid(problems) = kontor_core::machine::check_plugins(set([broken.clone()])).unwrap_err()
    else {
        panic!()
    };
    for part in ["semantic version", "a:b/c@0.1.0", "Bad Type", "`a*`", "soon", "missing", "`none`"] {
        assert!(problems.iter().any(|problem| problem.contains(part)), "{part}: {problems:?}");
    }
    let provide = |name: &str, interface: &str| {
        let mut plugin = plugin(name);
        plugin.spec.provides = vec![ServiceProvision { interface: interface.into(), provider: None }];
        plugin
    };
    let twice = kontor_core::machine::check_plugins(set([provide("q", "a:b/c@0.1.0"), provide("r", "a:b/c@0.1.3")]));
    assert!(twice.unwrap_err().to_string().contains("both provide"));
    let mut fits = plugin("p");
    fits.spec.requires = broken.spec.requires.clone();
    fits.spec.limits.fuel = u64::MAX;
    let checked = kontor_core::machine::check_plugins(set([fits, provide("q", "a:b/c@0.1.7")])).unwrap();
    assert_eq!(checked[&id("p")].spec.limits.fuel, kontor_core::limits::PLUGIN_LIMITS_MAX.fuel);
}

#[test]
fn work_of_a_plugin_that_was_removed_waits_for_its_return() {
    let bench = Bench::new([plugin("p")]);
    let runs: Journal<String> = Arc::default();
    let noted = runs.clone();
    bench.scripts.set(
        "p",
        script!(
            [noted] | call,
            tx | {
                match call {
                    Call::Job(job) => {
                        noted.lock().unwrap().push(job.payload);
                        Ok(Reply::Done)
                    }
                    _ => {
                        tx.enqueue("work", None, "7", 0).await.unwrap();
                        ok("")
                    }
                }
            }
        ),
    );
    bench.get("p", "/");
    bench.switch([]);
    bench.settle();
    assert!(runs.lock().unwrap().is_empty());
    bench.switch([plugin("p")]);
    bench.settle();
    assert_eq!(*runs.lock().unwrap(), ["7"]);
}
