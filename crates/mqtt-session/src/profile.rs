//! Named sets of limits.

use std::fmt;
use std::str::FromStr;

/// A named set of [`Limits`](crate::Limits).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// AWS IoT Core's quotas, so that what works here works there.
    #[default]
    Aws,
    /// Without AWS's walls; the bounds that are left protect the server's memory.
    Relaxed,
    /// Everything is counted and nothing is refused for its size or number. For benchmarks.
    None,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 3] = [Self::Aws, Self::Relaxed, Self::None];

    /// The name that the command line knows it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Relaxed => "relaxed",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no profile's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are no limits `{name}`, only `aws`, `relaxed` and `none`")]
pub struct UnknownProfile {
    name: String,
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, UnknownProfile> {
        let found = Self::ALL.into_iter().find(|profile| profile.name() == name);
        found.ok_or_else(|| UnknownProfile { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_known_by_name() {
        for profile in Profile::ALL {
            assert_eq!(profile.name().parse(), Ok(profile));
        }
        let unknown = "strict".parse::<Profile>().unwrap_err().to_string();
        assert_eq!(unknown, "there are no limits `strict`, only `aws`, `relaxed` and `none`");
    }
}
