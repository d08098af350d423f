//! The versions of AWS IoT SQL.

use std::fmt;

/// A version of the SQL engine, as `awsIotSqlVersion` names it.
///
/// The differences that matter here: under 2016-03-23 a whole decimal is an Int (`10.0` leaves as `10`), arrays may
/// stand at the top level, and some functions exist only there. [AWS iot-sql] "SQL versions".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SqlVersion {
    /// The first version, and what a rule gets when it names none through the API.
    #[default]
    V2015_10_08,
    /// The version that AWS's console writes into new rules.
    V2016_03_23,
    /// The newest features; today the same as 2016-03-23.
    Beta,
}

impl SqlVersion {
    /// Every version, oldest first.
    pub const ALL: [Self; 3] = [Self::V2015_10_08, Self::V2016_03_23, Self::Beta];

    /// The version with this AWS name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == name)
    }

    /// AWS's name of this version.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2015_10_08 => "2015-10-08",
            Self::V2016_03_23 => "2016-03-23",
            Self::Beta => "beta",
        }
    }

    /// Whether `10.0` is the Int 10 in this version.
    pub(crate) fn whole_decimals_are_ints(self) -> bool {
        self >= Self::V2016_03_23
    }
}

impl fmt::Display for SqlVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
