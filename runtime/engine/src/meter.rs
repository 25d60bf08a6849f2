//! Counts and bounds the memory of one plugin instance.

use wasmtime::ResourceLimiter;

use crate::limits;
use crate::stop::{self, Stop};

/// The linear memory of an instance: what it has, the most it had, and the most it may have.
#[derive(Debug)]
pub(crate) struct Meter {
    limit_bytes: u64,
    current_bytes: u64,
    peak_bytes: u64,
}

impl Meter {
    /// Bounds the sum of all linear memories.
    pub(crate) fn new(limit_bytes: u64) -> Self {
        Self { limit_bytes, current_bytes: 0, peak_bytes: 0 }
    }

    /// The most it had.
    pub(crate) fn peak_bytes(&self) -> u64 {
        self.peak_bytes
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current) as u64;
        let total = self.current_bytes.saturating_add(more);
        // A guest that is refused memory aborts anyway; stopped here, it is stopped with a name.
        if total > self.limit_bytes {
            let text = format!(
                "it wanted {total} bytes of memory and may have {}; ask for more under `limits` in its manifest",
                self.limit_bytes
            );
            return Err(Stop::new(stop::MEMORY_LIMIT, text).into_error());
        }
        self.current_bytes = total;
        self.peak_bytes = self.peak_bytes.max(total);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // Beyond the pool's slot, or the machine is out of memory. Which of them is not the guest's to learn.
        Err(Stop::new(stop::MEMORY_LIMIT, format!("its memory cannot grow: {error}")).into_error())
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= limits::TABLE_ELEMENTS_MAX)
    }

    fn instances(&self) -> usize {
        limits::CORE_INSTANCES_PER_COMPONENT_MAX as usize
    }

    fn tables(&self) -> usize {
        limits::TABLES_PER_COMPONENT_MAX as usize
    }

    fn memories(&self) -> usize {
        limits::MEMORIES_PER_COMPONENT_MAX as usize
    }
}
