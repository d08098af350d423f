//! Changes to single limits: `--limit NAME=VALUE`, and the table `[limit]` of the settings file.

use std::str::FromStr;

use mqtt_session::Limits;
use serde::de::{Deserialize, Deserializer, Error as _};
use toml::Value;

/// Another value for one limit.
///
/// INVARIANT: [`Limits::set`] takes it, whatever the profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LimitOverride {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl LimitOverride {
    fn new(name: &str, value: &str) -> Result<Self, String> {
        Limits::aws()
            .set(name, value)
            .map_err(|error| format!("{error} (`eyot limits` lists all of them)"))?;
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

impl FromStr for LimitOverride {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| format!("`{text}` is not NAME=VALUE, such as subscriptions_max=100"))?;
        Self::new(name.trim(), value.trim())
    }
}

/// The stronger source's changes, and those of the weaker one to other limits.
pub(crate) fn over(
    stronger: Option<&[LimitOverride]>,
    weaker: Option<&[LimitOverride]>,
) -> Option<Vec<LimitOverride>> {
    // The later one of the same name holds.
    let all: Vec<_> = weaker.into_iter().chain(stronger).flatten().cloned().collect();
    (!all.is_empty()).then_some(all)
}

/// Reads them from the file: a table, or a list of what the command line takes.
pub(crate) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<LimitOverride>>, D::Error> {
    let all = match Value::deserialize(from)? {
        Value::Table(table) => {
            table.iter().map(|(name, value)| LimitOverride::new(name, &word(name, value)?)).collect()
        }
        Value::Array(list) => list
            .iter()
            .map(|value| value.as_str().ok_or("NAME=VALUE, as text").map_err(str::to_owned)?.parse())
            .collect(),
        _ => Err("limit must be a table, such as\n[limit]\nsubscriptions_max = 100".to_owned()),
    };
    all.map(Some).map_err(D::Error::custom)
}

fn word(name: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Boolean(flag) => Ok(flag.to_string()),
        _ => Err(format!("{name} must be a number, a word, true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_with_what_is_right() {
        let told = |text: &str| text.parse::<LimitOverride>().expect_err(text);
        assert_eq!(told("x"), "`x` is not NAME=VALUE, such as subscriptions_max=100");
        let wrong =
            "there is no limit `subscriptions`; is it `subscriptions_max`? (`eyot limits` lists all of them)";
        assert_eq!(told("subscriptions=1"), wrong);
        assert!(told("subscriptions_max=many").contains("cannot be `many`"));
    }

    #[test]
    fn the_stronger_source_holds_for_the_limits_that_it_names() {
        let one = |text: &str| vec![text.parse::<LimitOverride>().expect("valid")];
        let (weak, strong) = (one("subscriptions_max=1"), one("subscriptions_max=2"));
        assert_eq!(over(Some(&strong), Some(&weak)), Some([weak, strong].concat()));
        assert_eq!(over(None, None), None);
    }
}
