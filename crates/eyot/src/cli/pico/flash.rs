//! `eyot pico flash`.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use pico_image::Board;

use crate::failure::{Failure, Outcome};
use crate::pico::{self, Drive};
use crate::terminal::{Paint, say};

/// Copy an image onto a board whose BOOTSEL button was held
///
/// Hold BOOTSEL, plug the board in, let go: it appears as the drive RPI-RP2 (Pico W) or RP2350 (Pico 2 W). Once the board
/// has the whole file it restarts by itself, and the drive vanishes. Dragging the file there does the same.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eyot pico flash pico_w_simple.uf2
  eyot pico flash pico_w_simple.uf2 --wait
  eyot pico flash pico_w_simple.uf2 --drive /media/me/RPI-RP2")]
pub(in crate::cli) struct Flash {
    /// The image
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where the board's drive is mounted [default: it is looked for]
    #[arg(long, value_name = "PATH")]
    drive: Option<PathBuf>,
    /// Wait until a drive is there, as long as it takes
    #[arg(long)]
    wait: bool,
}

impl Flash {
    pub(super) fn run(self) -> Outcome {
        let (bytes, image) = pico::read(&self.file)?;
        let board = image.board();
        let drive = match self.look(board)? {
            Some(drive) => drive,
            None if self.wait => {
                say!("waiting for a {board}: {} (Ctrl-C ends it)", how_to_connect(board))?;
                pico::wait_for(|| self.look(board))?
            }
            None => return Err(self.none_found(board)),
        };
        let total = bytes.len();
        drive.write(&bytes, &mut |arrived| {
            show_progress(arrived, total);
            Ok(())
        })?;
        let paint = Paint::stdout();
        say!("{} {} KiB are on the {board} at `{}`", paint.green("✔"), total / 1024, drive.path.display())?;
        say!("it restarts by itself; docs/pico.md says how to read its log")
    }

    fn look(&self, board: Board) -> Outcome<Option<Drive>> {
        let drives = match &self.drive {
            Some(path) => Drive::at(path).into_iter().collect(),
            None => pico::find(),
        };
        pico::choose(drives, board)
    }

    fn none_found(&self, board: Board) -> Failure {
        let failure = match &self.drive {
            Some(path) => Failure::new(format!("`{}` is no board's drive", path.display()))
                .why("there is no INFO_UF2.TXT with the Board-ID RPI-RP2 or RP2350"),
            None => Failure::new("no board waits for a file"),
        };
        failure
            .advice(how_to_connect(board))
            .advice("--wait waits for it; --drive PATH says where it is mounted, if the system did not mount it by itself")
    }
}

fn how_to_connect(board: Board) -> String {
    format!("hold BOOTSEL, plug the board in, let go: the drive {} appears", board.boot_drive())
}

/// On a terminal alone, over itself.
fn show_progress(arrived: usize, total: usize) {
    if std::io::stderr().is_terminal() {
        let end = if arrived == total { "\n" } else { "" };
        eprint!("\r{} of {} KiB{end}", arrived / 1024, total / 1024);
    }
}
