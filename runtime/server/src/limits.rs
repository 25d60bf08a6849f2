//! Every limit of the HTTP face, in one place, each with its reason. Limits of an invocation are `kontor_core::limits`.

use std::time::Duration;

/// Open connections. Each costs a task and up to 64 KiB of buffers.
pub const CONNECTIONS_MAX: usize = 4_096;
/// Time a client may take to send a request head; slower ones are most likely an attack.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(15);
/// Time a client may take to send a request body.
pub const BODY_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Headers of a request.
pub const HEADERS_MAX: usize = 100;
/// Bytes of a request head (request line and headers).
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Headers of a plugin's response.
pub const RESPONSE_HEADERS_MAX: usize = 100;
/// Bytes of all headers of a plugin's response: proxies in front refuse more.
pub const RESPONSE_HEADER_BYTES_MAX: usize = 32 * 1024;
/// Concurrent HTTP/2 streams of one connection.
pub const HTTP2_STREAMS_MAX: u32 = 128;
/// Invocations over HTTP at once, when the options do not say. Above the two cores of a small machine, below the engine's pool.
pub const INVOCATIONS_DEFAULT: usize = 128;
/// How many requests may wait for a free place for each place; more are answered 503 at once.
pub const WAITING_PER_PLACE: usize = 8;
/// How long a request waits for a free place.
pub const WAIT_FOR_PLACE: Duration = Duration::from_secs(2);
/// Backstop of a whole invocation with all its re-executions; the engine's own limits are far below.
pub const INVOCATION_TIMEOUT: Duration = Duration::from_secs(180);
/// Body of a request to the control API.
pub const CONTROL_BODY_BYTES_MAX: usize = 1024 * 1024;
/// A packed plugin: a component made from JavaScript or Python is 12 to 18 MB.
pub const PACKAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Changes in one revision.
pub const CHANGES_MAX: usize = 64;
/// Log lines kept per merchant and plugin.
pub const LOG_LINES_KEPT: usize = 2_000;
/// Plugins whose log lines are kept.
pub const LOG_RINGS_MAX: usize = 1_000;
/// Longest idempotency key.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// Entries on one page of a list.
pub const PAGE_ENTRIES_MAX: usize = 1_000;
/// Entries on one page when the request does not say.
pub const PAGE_ENTRIES_DEFAULT: usize = 100;
/// Silence on an event stream after which a comment is sent, so that proxies keep the connection.
pub const SSE_KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Event streams at once: each holds a connection and reads the log.
pub const EVENT_STREAMS_MAX: usize = 256;
/// Characters of the name of a token or a merchant.
pub const NAME_CHARS_MAX: usize = 100;
/// Scopes of one token.
pub const SCOPES_MAX: usize = 64;
/// Characters of a scope.
pub const SCOPE_CHARS_MAX: usize = 64;
/// Tokens of one merchant.
pub const TOKENS_MAX: usize = 1_000;
/// Largest secret.
pub const SECRET_BYTES_MAX: usize = 16 * 1024;
