//! UF2 files on disk.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use pico_image::Uf2;

use crate::failure::{Context as _, Failure, Outcome};

/// Longest file that is read: twice the flash of a Pico 2 W, as UF2 files are twice as long as what they carry.
const FILE_BYTES_MAX: u64 = 2 * 4 * 1024 * 1024 + 4096;

/// Reads a UF2 file for one of our boards: its bytes, and what they mean.
pub(crate) fn read(path: &Path) -> Outcome<(Vec<u8>, Uf2)> {
    let cannot = || format!("cannot read `{}`", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).context(cannot)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).context(cannot)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::new(format!("`{}` is longer than any board's flash", path.display())));
    }
    let uf2 = Uf2::decode(&bytes).map_err(|error| {
        Failure::new(format!("`{}` is no UF2 file for a Pico W or Pico 2 W", path.display()))
            .because(&error)
            .advice("make one with `eyot pico image`")
    })?;
    Ok((bytes, uf2))
}
