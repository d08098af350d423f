//! Who signs our calls.

use std::path::PathBuf;

use aws_api::sigv4;

use crate::failure::{Failure, Outcome};

use super::Target;

/// An access key.
#[derive(Clone)]
pub(crate) struct Credentials {
    /// The key's id.
    pub(crate) access_key_id: String,
    /// The key's secret.
    pub(crate) secret_access_key: String,
    /// With temporary credentials.
    pub(crate) session_token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

impl Credentials {
    /// For signing.
    pub(super) fn borrowed(&self) -> sigv4::Credentials<'_> {
        sigv4::Credentials {
            access_key_id: &self.access_key_id,
            secret_access_key: &self.secret_access_key,
            session_token: self.session_token.as_deref(),
        }
    }

    /// The credentials for a server.
    ///
    /// An eyot on loopback takes any well-formed ones, so real ones are never shown to it: what listens there might
    /// be something else.
    pub(crate) fn for_target(target: &Target) -> Outcome<Self> {
        if target.is_loopback() {
            return Ok(Self {
                access_key_id: "eyot".to_owned(),
                secret_access_key: "eyot".to_owned(),
                session_token: None,
            });
        }
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let (Some(access_key_id), Some(secret_access_key)) =
            (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"))
        {
            return Ok(Self {
                access_key_id,
                secret_access_key,
                session_token: variable("AWS_SESSION_TOKEN"),
            });
        }
        let profile = variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
        let path = variable("AWS_SHARED_CREDENTIALS_FILE")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".aws/credentials")));
        let text = path.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        text.and_then(|text| from_profile(&text, &profile)).ok_or_else(|| {
            Failure::new(format!("there are no credentials for {target}"))
                .why(format!("neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set, nor has ~/.aws/credentials keys in profile `{profile}`"))
                .advice("`aws configure` writes that file; temporary credentials: `eval \"$(aws configure export-credentials --format env)\"`")
        })
    }
}

/// Reads one profile of a credentials file.
fn from_profile(text: &str, profile: &str) -> Option<Credentials> {
    let mut inside = false;
    let (mut id, mut secret, mut token) = (None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.split(']').next()) {
            inside = section.trim() == profile;
        } else if let Some((key, value)) =
            line.split_once('=').filter(|_| inside && !line.starts_with(['#', ';']))
        {
            let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
            match key.trim() {
                "aws_access_key_id" => id = value,
                "aws_secret_access_key" => secret = value,
                "aws_session_token" => token = value,
                _ => {}
            }
        }
    }
    Some(Credentials { access_key_id: id?, secret_access_key: secret?, session_token: token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_from_the_file() {
        let text = "[default]\naws_access_key_id = A\n# c = d\naws_secret_access_key=B=\n\n[ other ]\naws_access_key_id=C\naws_secret_access_key=D\naws_session_token = E\n[half]\naws_access_key_id=F\n";
        let keys = |profile| {
            from_profile(text, profile).map(|found| {
                [found.access_key_id, found.secret_access_key, found.session_token.unwrap_or_default()]
            })
        };
        assert_eq!(keys("default"), Some(["A".into(), "B=".into(), String::new()]));
        assert_eq!(keys("other"), Some(["C".into(), "D".into(), "E".into()]));
        assert_eq!(keys("half"), None);
        assert_eq!(keys("absent"), None);
    }
}
