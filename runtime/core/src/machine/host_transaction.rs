//! Transactions of the host itself: bookkeeping without guests. Validated and repeated like any other.

use std::future::Future;

use super::Machine;
use crate::error::Error;
use crate::overlay::Overlay;
use crate::store::{CommitError, Durability};

/// Tries before bookkeeping gives up. It is short, so that losing so often means that something is wrong.
const TRIES_MAX: u32 = 64;

/// Runs the block on a fresh overlay until what it wrote commits; the value is a `Result<T, Error>`. The block may run several
/// times, and is written so that doing it twice does no harm. A macro, and not a method that takes an asynchronous closure:
/// of those the compiler cannot tell yet that they are `Send`.
macro_rules! transact {
    ($machine:expr, $durability:expr, |$overlay:ident| $body:block) => {{
        let machine: &$crate::machine::Machine = $machine;
        $crate::machine::host_transaction::fallible(async {
            let mut tries = 0_u32;
            loop {
                let mut fresh = machine.bookkeeping().await?;
                let result = {
                    let $overlay: &mut $crate::overlay::Overlay = &mut fresh;
                    $crate::machine::host_transaction::fallible(async { $body }).await
                };
                tries += 1;
                if machine.book(fresh, result.is_ok(), $durability, tries).await? {
                    break result;
                }
            }
        })
        .await
    }};
}
pub(super) use transact;

/// Tells the compiler what a block's errors are.
pub(super) fn fallible<T, F: Future<Output = Result<T, Error>> + Send>(block: F) -> F {
    block
}

impl Machine {
    pub(super) async fn bookkeeping(&self) -> Result<Overlay, Error> {
        Ok(Overlay::new(self.parts.store.begin().await?))
    }

    /// Commits; `false` asks for another try.
    pub(super) async fn book(
        &self,
        mut overlay: Overlay,
        keep: bool,
        durability: Durability,
        tries: u32,
    ) -> Result<bool, Error> {
        // A refusal rests on what was read, and is believed only when that is validated too.
        if !keep {
            overlay.undo_to(Overlay::START);
        }
        match self.parts.store.commit(overlay.into_commit(), durability).await {
            Ok(_) => Ok(true),
            Err(
                CommitError::Conflict { .. }
                | CommitError::TooOld
                | CommitError::Bound { .. }
                | CommitError::OutcomeUnknown(_),
            ) => {
                if tries < TRIES_MAX {
                    Ok(false)
                } else {
                    Err(Error::Contended(tries))
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}
