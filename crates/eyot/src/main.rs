//! `eyot`: your own AWS IoT Core, as a server and as the commands around it.
//!
//! - [`cli`]: one file per command; [`config`]: every setting of the server, defined once.
//! - [`serve`]: parts → run → drain.
//! - [`client`]: the AWS API from the outside, which `provision`, `demo` and `logs tail` use: against eyot and AWS alike.
//! - [`device`]: the simulated Pico W. [`provision`]: what a device needs, made through the API.
//! - [`pico`]: images for boards, and boards that wait for one.

mod cli;
mod client;
mod config;
mod device;
mod directory;
mod duration;
mod failure;
mod input_file;
mod limit_overrides;
mod logging;
mod pico;
mod provision;
mod ready;
mod serve;
mod terminal;
mod wall_clock;

/// Gives memory back to the system after a storm, which glibc's allocator does not: it keeps what lies below the last
/// block that is in use, in each thread's arena. It also serves the C code of the TLS library (docs/robustness.md).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
