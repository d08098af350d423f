//! Which policy a device gets.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::client::{Api, CallError};
use crate::failure::{Context as _, Failure, Outcome};
use crate::input_file;

/// The post's policy: everything is allowed.
const ALLOW_ALL_NAME: &str = "allow-all";
const ALLOW_ALL: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;

/// The policy that a certificate is to have.
#[derive(Debug, Clone)]
pub(crate) enum PolicyChoice {
    /// Nobody chose: a certificate keeps the policies that it has, and one without any gets the post's `allow-all`.
    Default,
    /// This one, and no other.
    Given(PolicyFile),
}

/// A policy document of the user's; the policy is named after the file.
#[derive(Debug, Clone)]
pub(crate) struct PolicyFile {
    path: PathBuf,
    name: String,
    document: String,
}

impl PolicyChoice {
    /// What `--policy` says. The file is read and named here, before anything is made for it.
    pub(crate) fn of(file: Option<&Path>) -> Outcome<Self> {
        let Some(path) = file else { return Ok(Self::Default) };
        let document = input_file::read_text(path, "--policy FILE")?;
        serde_json::from_str::<Value>(&document)
            .context(|| format!("`{}` is not JSON", path.display()))
            .map_err(|failure| failure.advice("mend it; a policy document is one JSON object"))?;
        Ok(Self::Given(PolicyFile { path: path.to_owned(), name: name_of(path)?, document }))
    }

    fn name(&self) -> &str {
        match self {
            Self::Default => ALLOW_ALL_NAME,
            Self::Given(file) => &file.name,
        }
    }

    fn document(&self) -> &str {
        match self {
            Self::Default => ALLOW_ALL,
            Self::Given(file) => &file.document,
        }
    }
}

/// Whether the chosen policy is to be attached to a certificate that has these already.
///
/// Policies add up, so a second one can only give a device more rights, and nobody who restricted it wants that by
/// repeating a command: what is there is kept, or the owner is asked to detach it.
pub(super) fn is_to_attach(
    choice: &PolicyChoice,
    attached: &[String],
    certificate_arn: &str,
) -> Outcome<bool> {
    match choice {
        _ if attached.is_empty() => Ok(true),
        PolicyChoice::Default => Ok(false),
        PolicyChoice::Given(file) if attached == [file.name.as_str()] => Ok(false),
        PolicyChoice::Given(file) => {
            let mut failure = Failure::new(format!(
                "the certificate has other policies than `{}`: {}",
                file.name,
                attached.join(", ")
            ))
            .why("policies add up: with one more it would keep what the others allow");
            for other in attached.iter().filter(|other| **other != file.name) {
                failure = failure.advice(format!(
                    "aws iot detach-policy --policy-name {other} --target {certificate_arn}"
                ));
            }
            Err(failure.advice("or leave out --policy: then it keeps what it has"))
        }
    }
}

/// Makes sure that the policy exists as chosen; answers its name.
pub(super) fn ensure(api: &Api, choice: &PolicyChoice) -> Outcome<String> {
    let (name, document) = (choice.name(), choice.document());
    match api.create_policy(name, document) {
        Ok(()) => return Ok(name.to_owned()),
        Err(error) if error.is("ResourceAlreadyExistsException") => {}
        Err(error) => return Err(refused(choice, error)),
    }
    // Other devices may hang on it, so it is not changed under them.
    let existing = api.policy_document(name)?;
    if serde_json::from_str::<Value>(&existing).ok() == serde_json::from_str(document).ok() {
        return Ok(name.to_owned());
    }
    Err(Failure::new(format!("there is a policy `{name}` already, with another document"))
        .why("it is not changed here, because other devices may use it")
        .advice("give the file another name: it names the policy")
        .advice(format!(
            "change it for all: aws iot create-policy-version --set-as-default --policy-name {name} --policy-document file://…"
        )))
}

fn refused(choice: &PolicyChoice, error: CallError) -> Failure {
    let is_malformed = error.is("MalformedPolicyException");
    let failure = Failure::from(error);
    match choice {
        PolicyChoice::Given(file) if is_malformed => {
            failure.advice(format!("mend `{}`, and run the same command again", file.path.display()))
        }
        _ => failure,
    }
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

    #[test]
    fn a_certificate_with_policies_gets_no_other() {
        let given = PolicyChoice::Given(PolicyFile {
            path: "mine.json".into(),
            name: "mine".to_owned(),
            document: "{}".to_owned(),
        });
        let decided = |choice: &PolicyChoice, attached: &[&str]| {
            let attached: Vec<String> = attached.iter().map(|&name| name.to_owned()).collect();
            is_to_attach(choice, &attached, "arn:cert").map_err(|failure| failure.to_string())
        };
        assert_eq!(decided(&PolicyChoice::Default, &[]), Ok(true));
        assert_eq!(decided(&PolicyChoice::Default, &["mine"]), Ok(false));
        assert_eq!(decided(&given, &[]), Ok(true));
        assert_eq!(decided(&given, &["mine"]), Ok(false));
        for attached in [&["allow-all"][..], &["allow-all", "mine"]] {
            let told = decided(&given, attached).expect_err("others");
            assert!(told.contains("detach-policy --policy-name allow-all --target arn:cert"), "{told}");
            assert!(!told.contains("--policy-name mine "), "{told}");
        }
    }
}
