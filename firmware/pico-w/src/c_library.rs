//! Functions of the C library that mbedtls refers to and never needs here.
//!
//! They format texts for people who debug, or print them. mbedtls makes no decision from them, so they write nothing.
//! C declares them variadic; on both processors a callee that reads fewer arguments is called the same way.

use core::ffi::{c_char, c_int, c_void};

/// Writes the empty text.
///
/// # Safety
/// `out` points to `room` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn snprintf(out: *mut c_char, room: usize, _format: *const c_char) -> c_int {
    if room > 0 && !out.is_null() {
        // SAFETY: the caller gives room for at least one byte.
        unsafe { out.write(0) };
    }
    0
}

/// Writes the empty text.
///
/// # Safety
/// `out` points to `room` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn vsnprintf(
    out: *mut c_char,
    room: usize,
    format: *const c_char,
    _list: *mut c_void,
) -> c_int {
    // SAFETY: the same promise.
    unsafe { snprintf(out, room, format) }
}

#[unsafe(no_mangle)]
extern "C" fn printf(_format: *const c_char) -> c_int {
    0
}

#[unsafe(no_mangle)]
extern "C" fn puts(_text: *const c_char) -> c_int {
    0
}

#[unsafe(no_mangle)]
extern "C" fn putchar(character: c_int) -> c_int {
    character
}
