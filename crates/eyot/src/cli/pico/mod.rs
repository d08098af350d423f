//! `eyot pico image`, `eyot pico flash`, `eyot pico show`.

mod flash;
mod image;
mod password;
mod show;
mod values;

use crate::failure::Outcome;

/// A Pico W or Pico 2 W: its image, and how it gets onto the board
#[derive(Debug, clap::Subcommand)]
pub(super) enum Pico {
    Image(Box<image::Image>),
    Flash(flash::Flash),
    Show(show::Show),
}

impl Pico {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Image(image) => image.run(),
            Self::Flash(flash) => flash.run(),
            Self::Show(show) => show.run(),
        }
    }
}
