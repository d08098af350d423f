//! `eyot pico show`.

use std::path::PathBuf;

use crate::failure::Outcome;
use crate::pico::{self, Description};
use crate::terminal::{Paint, say_json};

/// Say what an image holds, without its secrets
///
/// Board, firmware, thing, endpoint, network and certificate are shown; password and key never are.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eyot pico show pico_w_simple.uf2
  eyot pico show pico_w_simple.uf2 --json | jq .configuration.certificateId")]
pub(in crate::cli) struct Show {
    /// The image
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(self) -> Outcome {
        let (_, image) = pico::read(&self.file)?;
        let description = Description::of(&image, &self.file)?;
        if self.json { say_json(&description.json()) } else { description.show(Paint::stdout()) }
    }
}
