//! What a command reports when it fails: what happened, why, and what to do about it.

use std::error::Error;
use std::fmt;

/// A command's failure, as the person at the terminal reads it.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    why: Vec<String>,
    advice: Vec<String>,
    /// The reader of our output went away (`eyot logs tail | head`): nothing to report.
    pub(crate) is_broken_pipe: bool,
}

/// What commands return.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// What happened: lower case, no full stop.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), why: Vec::new(), advice: Vec::new(), is_broken_pipe: false }
    }

    /// Why: the error and its sources, each once.
    pub(crate) fn because(mut self, error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            // Many errors print their source themselves.
            if !self.why.iter().any(|known| known.contains(&text)) {
                self.why.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Why, in our own words.
    pub(crate) fn why(mut self, why: impl Into<String>) -> Self {
        self.why.push(why.into());
        self
    }

    /// What and why, for a place that has one line.
    pub(crate) fn on_one_line(&self) -> String {
        let whys = self.why.iter().flat_map(|why| [": ", why.as_str()]);
        std::iter::once(self.what.as_str()).chain(whys).collect()
    }

    /// What to do about it.
    pub(crate) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice.push(advice.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        for why in &self.why {
            // Some reasons are drawings of several lines.
            write!(f, "\n  why: {}", why.trim_end().replace('\n', "\n       "))?;
        }
        for advice in &self.advice {
            write!(f, "\n  try: {advice}")?;
        }
        Ok(())
    }
}

/// Adds what was being done to a lower error.
pub(crate) trait Context<T> {
    /// Turns an error into a [`Failure`] whose first line is `what`.
    fn context(self, what: impl FnOnce() -> String) -> Outcome<T>;
}

impl<T, E: Error + 'static> Context<T> for Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|error| Failure::new(what()).because(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_of_several_lines_stay_together() {
        let failure = Failure::new("no").why("line 1\n  ^ here\n");
        assert_eq!(failure.to_string(), "no\n  why: line 1\n         ^ here");
    }

    #[test]
    fn what_why_and_what_to_do_stand_on_their_own_lines() {
        let error = std::io::Error::other("disk on fire");
        let failure = Failure::new("cannot write `x`").because(&error).advice("put it out");
        assert_eq!(failure.to_string(), "cannot write `x`\n  why: disk on fire\n  try: put it out");
    }
}
