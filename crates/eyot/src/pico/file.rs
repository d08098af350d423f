//! UF2 files on disk.

use std::path::Path;

use pico_image::Uf2;

use crate::failure::{Failure, Outcome};
use crate::input_file::{cannot_read, read_up_to};

/// Longest file that is read: twice the flash of a Pico 2 W, as UF2 files are twice as long as what they carry.
const FILE_BYTES_MAX: u64 = 2 * 4 * 1024 * 1024 + 4096;

/// Reads a UF2 file for one of our boards: its bytes, and what they mean.
pub(crate) fn read(path: &Path) -> Outcome<(Vec<u8>, Uf2)> {
    let found = read_up_to(path, FILE_BYTES_MAX);
    let bytes = found.map_err(|error| cannot_read(path, "the command line", &error))?.ok_or_else(|| {
        Failure::new(format!("`{}` is longer than any board's flash", path.display()))
            .advice("name a UF2 file for the board: `eyot pico image` and `cargo xtask firmware` make such")
    })?;
    let uf2 = Uf2::decode(&bytes).map_err(|error| {
        Failure::new(format!("`{}` is no UF2 file for a Pico W or Pico 2 W", path.display()))
            .because(&error)
            .advice("make one with `eyot pico image`")
    })?;
    Ok((bytes, uf2))
}
