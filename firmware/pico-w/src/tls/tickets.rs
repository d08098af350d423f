//! TLS 1.3's session tickets, with which a board comes back without signing.
//!
//! mbedtls 3.6 throws them away unless a configuration is told to keep them, and mbedtls-rs 0.3 has no way to tell it.
//! So the linker leads its call for a new configuration here (`--wrap` in build.rs), and the real function is called
//! first.

use core::ffi::c_int;
use mbedtls_rs::sys::{
    MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED,
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets, mbedtls_ssl_config,
};

unsafe extern "C" {
    /// The library's own `mbedtls_ssl_config_defaults`.
    fn __real_mbedtls_ssl_config_defaults(
        config: *mut mbedtls_ssl_config,
        endpoint: c_int,
        transport: c_int,
        preset: c_int,
    ) -> c_int;
}

/// As `mbedtls_ssl_config_defaults`, and keeps tickets.
///
/// # Safety
/// `config` is valid, as for the function in whose place this is called.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_mbedtls_ssl_config_defaults(
    config: *mut mbedtls_ssl_config,
    endpoint: c_int,
    transport: c_int,
    preset: c_int,
) -> c_int {
    // SAFETY: the caller's promise is handed on.
    let result = unsafe { __real_mbedtls_ssl_config_defaults(config, endpoint, transport, preset) };
    if result == 0 {
        // SAFETY: the configuration is whole now.
        unsafe {
            mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
                config,
                MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED as c_int,
            );
        }
    }
    result
}
