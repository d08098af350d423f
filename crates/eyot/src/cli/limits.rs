//! `eyot limits`.

use std::fmt::Write as _;

use mqtt_session::{Limits, Profile, Setting};
use serde_json::{Value, json};

use crate::config::{Given, Settings};
use crate::failure::Outcome;
use crate::terminal::{Paint, say, say_json};

/// List every limit: its value, what happens to who exceeds it, and why it is what it is
///
/// It takes the flags of `eyot serve`, its variables and `eyot.toml`, and shows what would hold. Change single ones with
/// --limit NAME=VALUE, EYOT_LIMIT=NAME=VALUE,NAME=VALUE or a table [limit] in the file.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eyot limits
  eyot limits --limits relaxed --limit payload_bytes_max=16MiB
  eyot limits --json | jq '.limits[] | select(.value != .aws) | .name'")]
pub(super) struct LimitsTable {
    #[command(flatten)]
    given: Given,
    /// Print them as JSON
    #[arg(long)]
    json: bool,
    /// Print the profiles beside each other, as docs/spec/limits.md has them
    #[arg(long, hide = true, conflicts_with = "json")]
    markdown: bool,
}

impl LimitsTable {
    pub(super) fn run(self) -> Outcome {
        if self.markdown {
            return say!("{}", markdown().trim_end());
        }
        let settings = Settings::resolve(self.given)?;
        let (profile, limits) = (Profile::from(settings.limits), settings.limits_in_force());
        if self.json {
            let all: Vec<Value> = Setting::ALL.iter().map(|setting| as_json(setting, &limits)).collect();
            return say_json(&json!({ "profile": profile.name(), "limits": all }));
        }
        let paint = Paint::stdout();
        say!("profile {}", paint.bold(profile.name()))?;
        for setting in Setting::ALL {
            let (value, usual) = (setting.value(&limits), setting.value(&Limits::of(profile)));
            let changed = if value == usual { String::new() } else { format!("  (changed; it was {usual})") };
            // A choice is no unit of its value.
            let is_choice = setting.unit.contains(" or ");
            let unit = if is_choice { format!("({})", setting.unit) } else { setting.unit.to_owned() };
            let (name, value, unit) = (paint.bold(setting.name), paint.bold(&value), paint.dim(&unit));
            say!("\n{name} = {value} {unit}{changed}")?;
            say!("    {}", setting.about())?;
            say!("    beyond it: {}", setting.excess)?;
            say!("    {}", paint.dim(setting.why))?;
        }
        Ok(())
    }
}

/// `excess`: what happens to who exceeds it.
fn as_json(setting: &Setting, limits: &Limits) -> Value {
    json!({
        "name": setting.name,
        "value": setting.value(limits),
        "unit": setting.unit,
        "about": setting.about(),
        "excess": setting.excess,
        "why": setting.why,
        "aws": setting.value(&Limits::aws()),
        "relaxed": setting.value(&Limits::relaxed()),
        "none": setting.value(&Limits::none()),
    })
}

/// The table of `docs/spec/limits.md`.
fn markdown() -> String {
    let mut table =
        "| Limit | `aws` | `relaxed` | `none` | Unit | Beyond it | Why |\n|---|---|---|---|---|---|---|\n"
            .to_owned();
    for setting in Setting::ALL {
        let [aws, relaxed, none] = Profile::ALL.map(|profile| setting.value(&Limits::of(profile)));
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| `{}`: {} | {aws} | {relaxed} | {none} | {} | {} | {} |",
            setting.name,
            setting.about(),
            setting.unit,
            setting.excess,
            setting.why
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Before the table and behind it stands what people write.
    const DOCUMENT: &str = include_str!("../../../../docs/spec/limits.md");

    #[test]
    fn the_documents_table_is_the_programs() {
        let rows = |text: &str| {
            text.lines().filter(|line| line.starts_with("| ")).map(str::to_owned).collect::<Vec<_>>()
        };
        let (documented, present) = (rows(DOCUMENT), rows(&markdown()));
        let missing: Vec<_> = present.iter().filter(|row| !documented.contains(row)).collect();
        assert!(
            missing.is_empty(),
            "docs/spec/limits.md lacks rows; `eyot limits --markdown` prints them: {missing:#?}"
        );
        assert!(
            DOCUMENT.contains(&markdown()),
            "docs/spec/limits.md has rows that are no more, or in another order"
        );
    }
}
