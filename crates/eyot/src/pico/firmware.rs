//! Which firmware goes onto the board. It is a file of its own, never inside `eyot`: the radio's firmware that it
//! carries has its own licence (NOTICE).

use std::path::{Path, PathBuf};

use pico_image::{Board, RadioFirmware, Uf2, check_firmware, radio_firmware};

use crate::failure::{Failure, Outcome};
use crate::provision::Check;

use super::file;

/// A firmware that was found and looked at.
#[derive(Debug)]
pub(crate) struct Firmware {
    /// Its file.
    pub(crate) path: PathBuf,
    /// Its content.
    pub(crate) content: Uf2,
    radio: RadioFirmware,
}

impl Firmware {
    /// The given file, for the board if one is named.
    pub(crate) fn at(path: &Path, board: Option<Board>) -> Outcome<Self> {
        let (_, content) = file::read(path)?;
        check_firmware(&content, board.unwrap_or(content.board())).map_err(|error| {
            Failure::new(format!("`{}` cannot be used as firmware", path.display())).because(&error)
        })?;
        let radio = radio_firmware(&content).ok_or_else(|| {
            Failure::new(format!("`{}` is no firmware of eyot", path.display()))
                .why("it does not carry the mark of one, so it would not read the configuration")
                .advice("`cargo xtask firmware` of a source checkout makes it")
        })?;
        Ok(Self { path: path.to_owned(), content, radio })
    }

    /// What a person should hear of it.
    pub(crate) fn doubt(&self) -> Option<Check> {
        (self.radio == RadioFirmware::Dummy).then(|| {
            Check::doubtful(
                "the firmware is for the emulated board",
                "it has nothing for the radio's own processor: on a real board the radio stays dead and the LED dark",
            )
        })
    }

    /// The board's firmware in the first of the usual places that has one.
    pub(crate) fn find(board: Board) -> Outcome<Self> {
        let program = std::env::current_exe().ok();
        let places = places(board, program.as_deref());
        match places.iter().find(|path| path.is_file()) {
            Some(path) => Self::at(path, Some(board)),
            None => Err(missing(board, &places)),
        }
    }
}

fn missing(board: Board, places: &[PathBuf]) -> Failure {
    let mut failure = Failure::new(format!("there is no firmware for a {board}"));
    for place in places {
        failure = failure.why(format!("`{}` is not there", place.display()));
    }
    failure
        .advice("in a source checkout `cargo xtask firmware` makes it")
        .advice("name a file with --firmware FILE")
        .advice("with --config-only the board keeps the firmware that it has")
}

/// Beside the program; in the share directory of the prefix that it is installed in; in `target` of a source checkout,
/// whether the program was built there or is run there.
fn places(board: Board, program: Option<&Path>) -> Vec<PathBuf> {
    let name = board.firmware_file_name();
    let beside = program.and_then(Path::parent);
    let above = beside.and_then(Path::parent);
    let built_here = above.filter(|dir| dir.ends_with("target"));
    let mut places: Vec<PathBuf> = beside.map(|dir| dir.join(name)).into_iter().collect();
    places.extend(above.map(|dir| dir.join("share/eyot/firmware").join(name)));
    places.extend(built_here.map(|dir| dir.join("firmware").join(name)));
    places.push(Path::new("target/firmware").join(name));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_program_looks_into_its_prefix_and_a_built_one_into_target() {
        let looked = |program: &str| {
            let places = places(Board::Pico2W, Some(Path::new(program)));
            places.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            looked("/usr/local/bin/eyot"),
            [
                "/usr/local/bin/eyot-pico2-w.uf2",
                "/usr/local/share/eyot/firmware/eyot-pico2-w.uf2",
                "target/firmware/eyot-pico2-w.uf2"
            ]
        );
        assert!(
            looked("/src/target/release/eyot").contains(&"/src/target/firmware/eyot-pico2-w.uf2".to_owned())
        );
        assert_eq!(places(Board::PicoW, None), [Path::new("target/firmware/eyot-pico-w.uf2")]);
    }
}
