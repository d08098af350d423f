//! Hands the board's memory map to the linker, and the build time to the clock.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let is_rp2040 = env::var_os("CARGO_FEATURE_PICO_W").is_some();
    let map = if is_rp2040 { "memory/pico-w.x" } else { "memory/pico2-w.x" };
    fs::copy(map, out.join("memory.x")).expect("the memory map is part of the sources");
    println!("cargo:rerun-if-changed={map}");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-link-arg-bins=--nmagic");
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    // See src/tls/tickets.rs.
    println!("cargo:rustc-link-arg-bins=--wrap=mbedtls_ssl_config_defaults");
    if is_rp2040 {
        println!("cargo:rustc-link-arg-bins=-Tlink-rp.x");
    }

    // [reproducible-builds.org] A release sets SOURCE_DATE_EPOCH, so that the same sources give the same image.
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let built_at_s = match env::var("SOURCE_DATE_EPOCH") {
        Ok(seconds) => seconds.parse().expect("SOURCE_DATE_EPOCH is a number of seconds"),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
    };
    println!("cargo:rustc-env=BUILT_AT_S={built_at_s}");
}
