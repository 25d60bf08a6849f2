//! Every limit of an invocation, in one place, each with its reason. A manifest may ask for more of some; the host caps.

use serde::{Deserialize, Serialize};

/// Longest key: sled and PostgreSQL indexes both like them short.
pub const KEY_BYTES_MAX: usize = 512;
/// Largest value: a page with long texts fits; pictures belong elsewhere.
pub const VALUE_BYTES_MAX: usize = 256 * 1024;
/// Longest table name.
pub const TABLE_NAME_BYTES_MAX: usize = 63;
/// Keys in one `get-many`.
pub const GET_MANY_KEYS_MAX: usize = 1_000;
/// Entries of one scan: 10,000 small rows are 1-3 MB of guest memory.
pub const SCAN_ENTRIES_MAX: u32 = 10_000;
/// Bytes of one scan's result.
pub const SCAN_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest event key.
pub const EVENT_KEY_BYTES_MAX: usize = 256;
/// Largest event or job payload: events carry facts, not documents.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;
/// Depth of service calls: each level holds a fiber stack and an instance.
pub const CALL_DEPTH_MAX: u32 = 16;
/// Request body for plugins.
pub const HTTP_REQUEST_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Response body from plugins.
pub const HTTP_RESPONSE_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Body of an outbound request.
pub const OUTBOUND_REQUEST_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Body of an outbound response.
pub const OUTBOUND_RESPONSE_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Outbound requests of one invocation.
pub const OUTBOUND_REQUESTS_MAX: u32 = 100;
/// Longest outbound exchange.
pub const OUTBOUND_TIMEOUT_MS_MAX: u32 = 30_000;
/// Random bytes per call.
pub const RANDOM_BYTES_MAX: u32 = 65_536;
/// Bytes of one log line's message.
pub const LOG_MESSAGE_BYTES_MAX: usize = 8 * 1024;
/// Fields of one log line.
pub const LOG_FIELDS_MAX: usize = 16;
/// Log lines of one execution; more are counted, not kept.
pub const LOG_LINES_MAX: u32 = 1_000;

/// Optimistic executions before an invocation queues behind those that lost on the same keys.
pub const OPTIMISTIC_ATTEMPTS_MAX: u32 = 2;
/// Executions before an invocation runs alone in its merchant.
pub const SHARED_ATTEMPTS_MAX: u32 = 6;
/// Executions before an invocation is given up as unavailable: alone in its merchant it wins at once, so only a
/// store that keeps failing gets here.
pub const ATTEMPTS_MAX: u32 = 16;

/// Executions in all, those that another revision or an old view made necessary included: a merchant that switches revisions
/// without pause must not keep a request forever.
pub const EXECUTIONS_MAX: u32 = 64;
/// Longest wait for a rate budget inside an invocation: longer than that, a job comes back later instead of holding a slot.
pub const BUDGET_WAIT_MS_MAX: u64 = 2_000;
/// Longest backoff.
pub const BACKOFF_MS_MAX: u64 = 60 * 60 * 1000;
/// Longest time a handler may ask to be left alone: a week; longer belongs into a due time.
pub const RETRY_AFTER_MS_MAX: u64 = 7 * 24 * 60 * 60 * 1000;
/// Bytes that invocations which begin with one plugin may commit in a second: more than a large import writes.
pub const WRITE_BYTES_PER_SECOND: u64 = 32 * 1024 * 1024;
/// Bytes that they may commit at once before that counts: two of the largest commits there are.
pub const WRITE_BURST_BYTES: u64 = 64 * 1024 * 1024;
/// Requests that wait for a plugin that is over its rate of writing; more are refused.
pub const WRITE_QUEUE_MAX: usize = 64;
/// Keys and ranges that an answer may depend on to be given again without being worked out: checking more costs as much as a short call.
pub const RECORDED_READS_MAX: usize = 64;
/// Largest response kept for an idempotency key: pages and documents fit, downloads do not.
pub const IDEMPOTENCY_RESPONSE_BYTES_MAX: usize = 1024 * 1024;
/// Longest id of an invocation, characters; what is longer is cut.
pub const INVOCATION_ID_CHARS_MAX: usize = 200;
/// Longest idempotency key, as is customary.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// Entries of one page of a list.
pub const PAGE_ENTRIES_MAX: usize = 1_000;
/// Steps of one migration: a million rows at a hundred a step are ten thousand.
pub const MIGRATION_STEPS_MAX: u32 = 1_000_000;
/// Tries of one step of a migration that asks to be tried again.
pub const MIGRATION_RETRIES_MAX: u32 = 5;
/// Plugins in one revision.
pub const PLUGINS_MAX: usize = 500;
/// Longest secret: a PEM key fits.
pub const SECRET_BYTES_MAX: usize = 16 * 1024;

/// Limits per plugin and invocation; what a manifest may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginLimits {
    /// Fuel (about one per WebAssembly instruction): 1,000 M is about a second.
    pub fuel: u64,
    /// Linear memory.
    pub memory_bytes: u64,
    /// Wall-clock backstop of the whole invocation.
    pub timeout_ms: u64,
    /// Keys read, entries scanned.
    pub reads: u32,
    /// Keys written, counters added.
    pub writes: u32,
    /// Bytes written.
    pub write_bytes: u64,
    /// Events emitted.
    pub events: u32,
    /// Jobs queued.
    pub jobs: u32,
    /// Service calls made by the whole invocation.
    pub service_calls: u32,
}

/// What a plugin gets that asks for nothing.
pub const PLUGIN_LIMITS_DEFAULT: PluginLimits = PluginLimits {
    fuel: 1_000_000_000,
    memory_bytes: 32 * 1024 * 1024,
    timeout_ms: 10_000,
    reads: 20_000,
    writes: 5_000,
    write_bytes: 8 * 1024 * 1024,
    events: 500,
    jobs: 500,
    service_calls: 2_000,
};

/// More than this no plugin gets: the pool's slots are 64 MiB, and a commit of 32 MiB stalls everyone else's.
pub const PLUGIN_LIMITS_MAX: PluginLimits = PluginLimits {
    fuel: 20_000_000_000,
    memory_bytes: 64 * 1024 * 1024,
    timeout_ms: 120_000,
    reads: 200_000,
    writes: 50_000,
    write_bytes: 32 * 1024 * 1024,
    events: 5_000,
    jobs: 5_000,
    service_calls: 20_000,
};

impl Default for PluginLimits {
    fn default() -> Self {
        PLUGIN_LIMITS_DEFAULT
    }
}

impl PluginLimits {
    /// Each limit, but at most that of `cap`.
    #[must_use]
    pub fn capped(self, cap: Self) -> Self {
        Self {
            fuel: self.fuel.min(cap.fuel),
            memory_bytes: self.memory_bytes.min(cap.memory_bytes),
            timeout_ms: self.timeout_ms.min(cap.timeout_ms),
            reads: self.reads.min(cap.reads),
            writes: self.writes.min(cap.writes),
            write_bytes: self.write_bytes.min(cap.write_bytes),
            events: self.events.min(cap.events),
            jobs: self.jobs.min(cap.jobs),
            service_calls: self.service_calls.min(cap.service_calls),
        }
    }
}
