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

fn main() -> std::process::ExitCode {
    cli::main()
}
