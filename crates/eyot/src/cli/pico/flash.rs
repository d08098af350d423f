//! `eyot pico flash`.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use pico_image::Board;

use crate::failure::{Failure, Outcome};
use crate::pico::{self, Description, Drive};
use crate::terminal::{Paint, say, whoever_listens};

/// Copy an image onto a board whose BOOTSEL button was held
///
/// Hold BOOTSEL, plug the board in, let go: it appears as the drive RPI-RP2 (Pico W) or RP2350 (Pico 2 W). Once the board
/// has the whole file it restarts by itself, and the drive vanishes; if it does not within a few seconds, this fails.
/// Dragging the file there does the same. A file that `eyot pico show` would refuse is not copied.
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
    /// Copy the file even if it is damaged, or no image of ours
    #[arg(long)]
    force: bool,
}

impl Flash {
    pub(super) fn run(self) -> Outcome {
        let (bytes, image) = pico::read(&self.file)?;
        let is_secret = match Description::of(&image, &self.file) {
            Ok(description) => description.is_secret(),
            // Nobody knows what is in it.
            Err(_) if self.force => true,
            Err(failure) => return Err(failure.advice("--force copies it as it is")),
        };
        let board = image.board();
        let drive = match self.look(board)? {
            Some(drive) => drive,
            None if self.wait => {
                whoever_listens(say!("waiting for a {board}: {} (Ctrl-C ends it)", how_to_connect(board)))?;
                pico::wait_for(|| self.look(board))?
            }
            None => return Err(self.none_found(board)),
        };
        let total = bytes.len();
        drive.write(&bytes, &mut |arrived| show_progress(arrived, total))?;
        if !drive.has_restarted() {
            return Err(still_there(&drive, is_secret));
        }
        let paint = Paint::stdout();
        say!("{} {} KiB are on the {board} at `{}`", paint.green("✔"), total / 1024, drive.path.display())?;
        say!("it has restarted; docs/pico.md says how to read its log")
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

/// The copy is complete, and yet nothing shows that a board took it.
fn still_there(drive: &Drive, is_secret: bool) -> Failure {
    let file = drive.file();
    let failure = Failure::new(format!(
        "the file is copied, but the board at `{}` has not restarted",
        drive.path.display()
    ))
    .why("its drive should have vanished: a board restarts by itself once it has the whole file")
    .advice(format!(
        "unplug the board; does its LED tell that it runs? If not, {}, and run the same command again",
        how_to_connect(drive.board)
    ));
    if is_secret {
        let secret = "the private key and the Wi-Fi password";
        return failure.advice(format!(
            "if that was no board, remove the file, which holds {secret}: rm {}",
            file.display()
        ));
    }
    failure.advice(format!("if that was no board, remove the file: rm {}", file.display()))
}

fn how_to_connect(board: Board) -> String {
    format!("hold BOOTSEL, plug the board in, let go: the drive {} appears", board.boot_drive())
}

/// On a terminal alone, over itself.
fn show_progress(arrived: usize, total: usize) {
    if std::io::stderr().is_terminal() {
        let end = if arrived == total { "\n" } else { "" };
        // A terminal that has gone is no reason to stop.
        let _ = write!(std::io::stderr(), "\r{} of {} KiB{end}", arrived / 1024, total / 1024);
    }
}
