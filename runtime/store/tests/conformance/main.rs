//! What every store must do, run for each. A new engine implements [`subject::Subject`] and adds a line to [`run_for`].
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod concurrency;
mod crash;
mod directory;
mod durability;
mod faults;
mod reading;
mod serializability;
mod subject;
mod validation;

/// Makes a test of each case for one kind of store.
macro_rules! run_for {
    ($store:ident, $subject:expr) => {
        mod $store {
            #[allow(unused_imports, reason = "the subject's expression may not need it")]
            use crate::subject::{Embedded, Memory};

            run_for!(@cases $subject, reading: [
                keys_are_ordered_bytewise,
                ranges_limits_and_directions,
                values_of_any_size,
                many_keys,
                a_large_value_is_replaced_while_it_is_read,
                any_sequence_reads_like_a_sorted_map,
            ]);
            run_for!(@cases $subject, validation: [
                versions_grow_and_wake_waiters,
                a_changed_point_conflicts,
                an_absent_point_that_appears_conflicts,
                a_phantom_in_a_range_conflicts,
                blind_writes_do_not_conflict,
                read_only_transactions_are_validated,
                what_was_read_stands_until_it_changes_and_only_if_it_survives,
                old_views_are_refused,
                views_of_the_future_are_refused,
                stamped_records_are_in_commit_order,
                counters_keep_their_bounds,
                predicates_are_about_what_is_committed,
                a_refused_commit_leaves_nothing,
                bad_writes_are_refused_with_a_reason,
            ]);
            run_for!(@cases $subject, concurrency: [
                no_update_is_lost,
                counters_never_leave_their_bounds,
                stamps_are_unique_under_concurrency,
                waiters_see_every_version,
            ]);
            run_for!(@cases $subject, serializability: [
                there_is_a_serial_order,
            ]);
            run_for!(@cases $subject, durability: [
                a_reopened_store_has_everything_and_goes_on,
                a_closed_store_refuses,
                an_export_holds_everything,
                an_archive_of_a_busy_store_is_one_of_its_states,
            ]);
        }
    };
    (@cases $subject:expr, $module:ident: [$($case:ident),* $(,)?]) => {
        $(
            #[test]
            fn $case() {
                crate::$module::$case(&mut $subject);
            }
        )*
    };
}

run_for!(memory_inline, Memory::inline());
run_for!(memory_threaded, Memory::threaded());
run_for!(sled, Embedded::new(kontor_store::EngineKind::Sled));
run_for!(fjall, Embedded::new(kontor_store::EngineKind::Fjall));
