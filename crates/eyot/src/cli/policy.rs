//! `eyot policy eval`.

use crate::failure::Outcome;
use crate::terminal::say;

use super::sql::for_each_line;

/// AWS IoT policies: what they decide
#[derive(Debug, clap::Subcommand)]
pub(super) enum Policy {
    Eval(Eval),
}

/// Decide whether policies allow an action: one question per line of standard input, one decision per line
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eyot policy eval --batch < questions.jsonl

A question: {\"id\": 1, \"policies\": [{…}], \"context\": {…}, \"action\": \"iot:Publish\", \"resource\": \"arn:aws:iot:…\"}
A decision: {\"id\": 1, \"decision\": \"ALLOWED\" | \"EXPLICIT_DENY\" | \"IMPLICIT_DENY\", \"reason\": \"…\"}")]
pub(super) struct Eval {
    /// Questions on standard input, as JSON Lines
    #[arg(long, required = true)]
    batch: bool,
}

impl Policy {
    pub(super) fn run(self) -> Outcome {
        let Self::Eval(Eval { batch: _ }) = self;
        for_each_line(|line| say!("{}", iot_policy::batch::eval_line(line)))
    }
}
