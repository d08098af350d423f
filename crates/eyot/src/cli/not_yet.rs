//! What the interface has and this version does not: said in words, instead of "unknown argument".

use crate::failure::{Failure, Outcome};

/// A command that is to come, whatever is behind it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  eyot --help    what there is today")]
pub(super) struct LaterCommand {
    #[arg(hide = true, num_args = 0.., trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

impl LaterCommand {
    pub(super) fn run(self, name: &str) -> Outcome {
        Err(Failure::new(format!("`eyot {name}` is not available yet"))
            .advice("README.md, \"What works today\", says what is, and `eyot --help` lists the commands"))
    }
}
