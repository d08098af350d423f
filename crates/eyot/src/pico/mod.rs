//! Boards without a compiler: firmware and a device's configuration in one file, and that file onto a board.
//!
//! `eyot pico image` goes through [`firmware`] (which firmware), [`endpoint`] (where the board connects; [`host`]: what it
//! can look up), [`roots`] and [`board_tls`] (whom it believes there), [`identity`] (who it is), [`checks`] (does all of that fit together) and [`configuration`] (the
//! partition). [`description`] is what a file says, [`drive`] a board that waits for one.

mod board_tls;
mod checks;
mod configuration;
mod description;
mod drive;
mod endpoint;
mod file;
mod firmware;
mod host;
mod identity;
mod roots;

pub(crate) use checks::check;
pub(crate) use configuration::{LastWill, Wishes};
pub(crate) use description::Description;
pub(crate) use drive::{Drive, choose, find, wait_for};
pub(crate) use endpoint::{decide, verify};
pub(crate) use file::read;
pub(crate) use firmware::Firmware;
pub(crate) use host::{endpoint, host};
pub(crate) use identity::DeviceIdentity;
pub(crate) use roots::Roots;
