//! Compiles one board's firmware and makes its UF2 file.

use std::fs;
use std::path::{Path, PathBuf};

use pico_image::{Board, MemoryUse, firmware_from_elf, memory_of_elf};

use crate::shell::{self, Failure, Outcome, cargo};

/// What runs on the radio's own processor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Radio {
    /// The maker's firmware: what a board needs.
    Real,
    /// Bytes of no meaning: enough for the emulated radio, and free of the maker's licence.
    Dummy,
}

/// A board's firmware.
pub(crate) struct Built {
    /// The file to drag onto a board, or to put a configuration into.
    pub(crate) uf2: PathBuf,
    /// What it takes before it runs.
    pub(crate) memory: MemoryUse,
}

/// The processor as the compiler calls it.
pub(super) fn rust_target(board: Board) -> &'static str {
    match board {
        Board::PicoW => "thumbv6m-none-eabi",
        Board::Pico2W => "thumbv8m.main-none-eabihf",
    }
}

/// Builds it for release. What it needs must be installed.
pub(crate) fn build(board: Board, radio: Radio) -> Outcome<Built> {
    let (radio_feature, file_name) = match radio {
        Radio::Real => ("radio-firmware", board.firmware_file_name().to_owned()),
        Radio::Dummy => ("dummy-radio-firmware", format!("emulated-{}", board.firmware_file_name())),
    };
    let features = format!("{},{radio_feature}", board.name());
    let target_dir = shell::target_dir();
    let mut command =
        cargo(&["build", "--release", "--locked", "--manifest-path", "firmware/pico-w/Cargo.toml"]);
    command.args(["--target", rust_target(board), "--features", &features, "--target-dir"]).arg(&target_dir);
    shell::run(&mut command)?;

    let elf = target_dir.join(rust_target(board)).join("release/pico-w");
    let bytes =
        fs::read(&elf).map_err(|error| Failure::new(format!("cannot read `{}`: {error}", elf.display())))?;
    let no_firmware = |error| Failure::new(format!("`{}` is no firmware: {error}", elf.display()));
    let firmware = firmware_from_elf(&bytes, board).map_err(no_firmware)?;
    let memory = memory_of_elf(&bytes).map_err(no_firmware)?;

    let folder = super::folder();
    let uf2 = folder.join(file_name);
    let unwritten = |error| Failure::new(format!("cannot write to `{}`: {error}", folder.display()));
    fs::create_dir_all(&folder).and_then(|()| fs::write(&uf2, firmware.encode())).map_err(unwritten)?;
    // Whoever passes the files on must pass these on with them.
    for (text, name) in licences()? {
        fs::copy(text, folder.join(name)).map_err(unwritten)?;
    }
    Ok(Built { uf2, memory })
}

/// Our summary, and the texts of the radio firmware's makers as they stand in its crate.
fn licences() -> Outcome<[(PathBuf, &'static str); 3]> {
    let radio = radio_crate()?;
    Ok([
        (shell::root().join("NOTICE"), "NOTICE"),
        (
            radio.join("dist/cyw43-firmware/LICENSE-permissive-binary-license-1.0.txt"),
            "RADIO-FIRMWARE-LICENSE.txt",
        ),
        (radio.join("README.md"), "RADIO-FIRMWARE-TERMS.md"),
    ])
}

/// Where cargo has the crate with the radio's firmware.
fn radio_crate() -> Outcome<PathBuf> {
    let mut command = cargo(&["metadata", "--format-version", "1", "--locked", "--all-features"]);
    let text = shell::output(command.args(["--manifest-path", "firmware/pico-w/Cargo.toml"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| Failure::new(format!("cannot read `cargo metadata`: {error}")))?;
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let radio = packages.iter().find(|package| package["name"] == "cyw43-firmware");
    let manifest = radio.and_then(|package| package["manifest_path"].as_str()).map(Path::new);
    let folder = manifest.and_then(Path::parent).map(Path::to_path_buf);
    folder.ok_or_else(|| Failure::new("the firmware's lock file has no crate `cyw43-firmware`"))
}
