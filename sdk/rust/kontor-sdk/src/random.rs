//! Randomness. It comes from the host, the same in every re-execution of an invocation; crates that use `getrandom` get it too.

use crate::bindings::kontor::host::context;

/// What the contract allows in one call.
const RANDOM_BYTES_MAX: u32 = 65_536;

/// `length` random bytes, fit for keys and tokens.
pub fn bytes(length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length);
    while out.len() < length {
        let missing = u32::try_from(length - out.len()).unwrap_or(u32::MAX).min(RANDOM_BYTES_MAX);
        out.extend_from_slice(&context::random(missing));
    }
    out
}

/// An array of random bytes.
pub fn array<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(bytes(N)) {
        *to = from;
    }
    out
}

/// What the crate `getrandom` (0.3 and 0.4) calls when it is built with its custom backend, as `cargo kontor build` does.
///
/// # Safety
///
/// `dest` must be valid for writes of `len` bytes.
#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "the crate getrandom fixes this signature")]
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(dest: *mut u8, len: usize) -> Result<(), getrandom::Error> {
    let random = bytes(len);
    // SAFETY: the caller gives `len` writable bytes at `dest`, and `random` is a fresh allocation of that length.
    unsafe { std::ptr::copy_nonoverlapping(random.as_ptr(), dest, len) };
    Ok(())
}
