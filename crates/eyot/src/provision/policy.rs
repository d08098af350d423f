//! Which policy a device gets.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::client::Api;
use crate::failure::{Context as _, Failure, Outcome};

/// The post's policy: everything is allowed.
const ALLOW_ALL_NAME: &str = "allow-all";
const ALLOW_ALL: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;

/// The policy to make, or to use if it is there.
#[derive(Debug, Clone)]
pub(crate) enum PolicyChoice {
    /// `allow-all`, as in the post.
    AllowAll,
    /// A document; the policy is named after the file.
    File(PathBuf),
}

/// Makes sure that the policy exists as chosen; answers its name.
pub(crate) fn ensure(api: &Api, choice: &PolicyChoice) -> Outcome<String> {
    let (name, document) = match choice {
        PolicyChoice::AllowAll => (ALLOW_ALL_NAME.to_owned(), ALLOW_ALL.to_owned()),
        PolicyChoice::File(path) => {
            let text =
                std::fs::read_to_string(path).context(|| format!("cannot read `{}`", path.display()))?;
            serde_json::from_str::<Value>(&text).context(|| format!("`{}` is not JSON", path.display()))?;
            (name_of(path)?, text)
        }
    };
    match api.create_policy(&name, &document) {
        Err(error) if error.is("ResourceAlreadyExistsException") => {}
        other => {
            other?;
            return Ok(name);
        }
    }
    // Other devices may hang on it, so it is not changed under them.
    let existing = api.policy_document(&name)?;
    if serde_json::from_str::<Value>(&existing).ok() == serde_json::from_str(&document).ok() {
        return Ok(name);
    }
    Err(Failure::new(format!("there is a policy `{name}` already, with another document"))
        .why("it is not changed here, because other devices may use it")
        .advice("give the file another name: it names the policy")
        .advice(format!(
            "change it for all: aws iot create-policy-version --set-as-default --policy-name {name} --policy-document file://…"
        )))
}

/// The file's name without its ending.
fn name_of(path: &Path) -> Outcome<String> {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    // [AWS iot CreatePolicy] policyName: [\w+=,.@-]+, at most 128.
    let fits = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if !name.is_empty() && name.len() <= 128 && name.chars().all(fits) {
        return Ok(name.to_owned());
    }
    Err(Failure::new(format!("`{name}` cannot be a policy's name"))
        .why("names have 1 to 128 letters, digits and _+=,.@-")
        .advice("rename the file: the policy is named after it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_named_after_its_file() {
        assert_eq!(name_of(Path::new("/tmp/only-telemetry.json")).expect("a name"), "only-telemetry");
        for path in ["/tmp/with space.json", "/", "ü.json"] {
            assert!(name_of(Path::new(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn the_posts_policy_is_one_that_we_understand() {
        assert!(serde_json::from_str::<Value>(ALLOW_ALL).is_ok());
    }
}
