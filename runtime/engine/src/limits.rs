//! The engine's own limits, each with its reason. What a plugin may use of the store, of events and of jobs is in
//! [`kontor_core::limits`].

use std::time::Duration;

/// Largest component. The largest interpreters that are compiled to components weigh 18 MB; compiling takes about a second per
/// megabyte.
pub(crate) const COMPONENT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Core modules in a component: two halves of its own, or one and two of glue, are usual.
pub(crate) const CORE_MODULES_MAX: usize = 32;
/// Components inside one another: what is put together of interfaces has one below the outermost. Each costs the reader stack.
pub(crate) const COMPONENT_DEPTH_MAX: usize = 16;
/// Functions in a component: 18 MB of interpreter have some 30,000.
pub(crate) const FUNCTIONS_MAX: usize = 200_000;
/// Largest function body. Register allocation is worse than linear in it, so one huge function could stall the host.
pub(crate) const FUNCTION_BYTES_MAX: usize = 1024 * 1024;

/// Native stack that WebAssembly may use.
pub(crate) const WASM_STACK_BYTES: usize = 512 * 1024;
/// Stack of a fiber: the guest's share, and room for host functions, which run on it too.
pub(crate) const FIBER_STACK_BYTES: usize = 2 * 1024 * 1024;
/// Linear memory kept resident between two instances in one slot, where the kernel tells which pages were touched.
pub(crate) const KEEP_RESIDENT_BYTES: usize = 1024 * 1024;
/// The same where it does not: then all of it is zeroed each time.
pub(crate) const KEEP_RESIDENT_WITHOUT_PAGEMAP_BYTES: usize = 256 * 1024;
/// Elements of a table. Tables of compiled Rust hold one element per function whose address is taken.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 20_000;
/// Core instances of one component instance.
pub(crate) const CORE_INSTANCES_PER_COMPONENT_MAX: u32 = 8;
/// Linear memories of one component instance.
pub(crate) const MEMORIES_PER_COMPONENT_MAX: u32 = 2;
/// Tables of one component instance.
pub(crate) const TABLES_PER_COMPONENT_MAX: u32 = 4;

/// Fuel after which a guest lets other tasks run: about a quarter of a millisecond.
pub(crate) const FUEL_YIELD_INTERVAL: u64 = 250_000;
/// What a guest may hand to the host in one call, in bytes of host memory: a response body of 8 MiB fits twice, and so does a
/// service call's list of a thousand records (a value of reflection takes some 40 bytes).
pub(crate) const HOSTCALL_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Refusals for a used-up limit that a guest may ignore in one execution before it is stopped.
pub(crate) const LIMIT_REFUSALS_MAX: u32 = 16;
/// Bytes of all headers of a response.
pub(crate) const HTTP_RESPONSE_HEADER_BYTES_MAX: usize = 64 * 1024;
/// Message that a secret's code is computed over: a request body with what a signature scheme puts around it.
pub(crate) const MAC_MESSAGE_BYTES_MAX: usize = 5 * 1024 * 1024;
/// Characters of a guest's error text that are kept.
pub(crate) const ERROR_TEXT_CHARS_MAX: usize = 2_000;

/// How long the store may take for one operation. A healthy one answers within milliseconds.
pub(crate) const STORE_TIMEOUT: Duration = Duration::from_secs(10);
/// What an outbound exchange may take beyond the time-out that it carries, before the execution is given up.
pub(crate) const OUTBOUND_GRACE: Duration = Duration::from_secs(5);

/// Memory for answers of service calls that may be given again, bytes: some ten thousand of a few kilobytes.
pub(crate) const ANSWERS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Largest question with its answer that is kept: larger ones cost as much to compare and to copy as to work out.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Memory for responses to requests that may be given again, bytes: a thousand pages of some tens of kilobytes.
pub(crate) const RESPONSES_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Largest request with its response that is kept, bytes: a quarter of what a shard of that memory holds of one generation.
pub(crate) const RESPONSE_BYTES_KEPT_MAX: usize = 256 * 1024;
/// Keys and ranges that a response may depend on to be given again: a page with a list of some fifty things reads that much.
pub(crate) const RESPONSE_READS_MAX: usize = 512;
/// Calls of a function (or requests for a route) that are executed without trying to keep the answer, after one that could not be kept.
pub(crate) const UNFIT_CALLS_SKIPPED: u32 = 64;
/// Answers of a function kept in a row without one being asked for again, after which no more are kept for a while.
pub(crate) const ANSWERS_IN_VAIN_MAX: u32 = 2_048;
/// The same after such a while in which again none was asked for: keeping has its price, and one call in seventeen is sample enough.
pub(crate) const ANSWERS_IN_VAIN_AGAIN_MAX: u32 = 256;
/// That while, in calls.
pub(crate) const VAIN_CALLS_SKIPPED: u32 = 4_096;
