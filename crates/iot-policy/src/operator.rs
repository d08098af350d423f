//! Condition operators and their comparisons. [AWS IAM condition operators]

use crate::pattern::{Match, Pattern};
use crate::resource::Subject;
use crate::{context::Context, timestamp};
use std::cmp::Ordering;
use std::net::IpAddr;

/// How a condition compares one value of the request with one of the policy. All but the negated ones fail when the
/// key is absent; the negation is kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    StringEquals,
    StringEqualsIgnoreCase,
    /// `StringLike`; `ArnEquals` and `ArnLike` compare alike.
    Like,
    Numeric(Comparison),
    Date(Comparison),
    Bool,
    IpAddress,
}

/// Which orders count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    /// Reads an operator's name without set prefix and `IfExists`; gives it with whether it is negated.
    pub(crate) fn parse(name: &str) -> Option<(Self, bool)> {
        let found = match name {
            "StringEquals" => (Self::StringEquals, false),
            "StringNotEquals" => (Self::StringEquals, true),
            "StringEqualsIgnoreCase" => (Self::StringEqualsIgnoreCase, false),
            "StringNotEqualsIgnoreCase" => (Self::StringEqualsIgnoreCase, true),
            "StringLike" | "ArnEquals" | "ArnLike" => (Self::Like, false),
            "StringNotLike" | "ArnNotEquals" | "ArnNotLike" => (Self::Like, true),
            "Bool" => (Self::Bool, false),
            "IpAddress" => (Self::IpAddress, false),
            "NotIpAddress" => (Self::IpAddress, true),
            _ => {
                let (make, comparison): (fn(Comparison) -> Self, _) = match name.strip_prefix("Numeric") {
                    Some(comparison) => (Self::Numeric, comparison),
                    None => (Self::Date, name.strip_prefix("Date")?),
                };
                let (comparison, negated) = Comparison::parse(comparison)?;
                (make(comparison), negated)
            }
        };
        Some(found)
    }

    /// Whether a value of a policy can be compared with anything.
    ///
    /// A typo in an address, number or date would else become a condition that never holds, or negated always does.
    pub(crate) fn can_read(self, wanted: &str) -> bool {
        match self {
            Self::StringEquals | Self::StringEqualsIgnoreCase | Self::Like => true,
            Self::Bool => wanted.eq_ignore_ascii_case("true") || wanted.eq_ignore_ascii_case("false"),
            Self::Numeric(_) => wanted.parse::<f64>().is_ok_and(f64::is_finite),
            Self::Date(_) => timestamp::parse(wanted).is_some(),
            Self::IpAddress => parse_network(wanted).is_some(),
        }
    }

    /// Compares a value of the request with one of the policy, whose variables have values.
    pub(crate) fn compare(self, value: &str, wanted: &Pattern, context: &Context<'_>) -> bool {
        if self == Self::Like {
            return matches!(wanted.matches(&Subject::new([value, "", ""]), context), Match::Yes);
        }
        let Ok(wanted) = wanted.text(context) else { return false };
        match self {
            Self::StringEquals => value == wanted,
            Self::StringEqualsIgnoreCase => value.to_lowercase() == wanted.to_lowercase(),
            Self::Bool => value.eq_ignore_ascii_case(&wanted),
            Self::Numeric(comparison) => match (value.parse::<f64>(), wanted.parse::<f64>()) {
                (Ok(value), Ok(wanted)) => {
                    value.partial_cmp(&wanted).is_some_and(|order| comparison.accepts(order))
                }
                _ => false,
            },
            Self::Date(comparison) => match (timestamp::parse(value), timestamp::parse(&wanted)) {
                (Some(value), Some(wanted)) => comparison.accepts(value.cmp(&wanted)),
                _ => false,
            },
            Self::IpAddress => value.parse().is_ok_and(|value| in_network(value, &wanted)),
            Self::Like => false,
        }
    }
}

impl Comparison {
    fn parse(name: &str) -> Option<(Self, bool)> {
        Some(match name {
            "Equals" => (Self::Equal, false),
            "NotEquals" => (Self::Equal, true),
            "LessThan" => (Self::Less, false),
            "LessThanEquals" => (Self::LessOrEqual, false),
            "GreaterThan" => (Self::Greater, false),
            "GreaterThanEquals" => (Self::GreaterOrEqual, false),
            _ => return None,
        })
    }

    fn accepts(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// Whether an address is in a network such as `203.0.113.0/24`, or is the address itself.
fn in_network(address: IpAddr, network: &str) -> bool {
    let Some((base, bits)) = parse_network(network) else { return false };
    // A client that came over IPv6 with an IPv4 address is the IPv4 client.
    match (address.to_canonical(), base) {
        (IpAddr::V4(address), IpAddr::V4(base)) => {
            let shift = 32 - bits;
            u64::from(address.to_bits()) >> shift == u64::from(base.to_bits()) >> shift
        }
        (IpAddr::V6(address), IpAddr::V6(base)) => {
            let shift = 128 - bits;
            let network = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
            network(address.to_bits()) == network(base.to_bits())
        }
        _ => false,
    }
}

/// An address and how many of its leading bits are the network; all of them without `/`.
fn parse_network(network: &str) -> Option<(IpAddr, u32)> {
    let (base, bits) = match network.split_once('/') {
        Some((base, bits)) => (base, Some(bits.parse().ok()?)),
        None => (network, None),
    };
    let base: IpAddr = base.parse().ok()?;
    let whole = if base.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(whole);
    (bits <= whole).then_some((base, bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(operator: &str, value: &str, wanted: &str) -> bool {
        let (operator, negated) = Operator::parse(operator).unwrap();
        operator.compare(value, &Pattern::parse(wanted, true), &Context::default()) != negated
    }

    #[test]
    fn strings() {
        assert!(compare("StringEquals", "a*", "a*"));
        assert!(!compare("StringEquals", "ab", "a*"));
        assert!(compare("StringNotEquals", "ab", "a*"));
        assert!(compare("StringEqualsIgnoreCase", "AB", "ab"));
        assert!(compare("StringLike", "ab", "a*"));
        assert!(compare("ArnLike", "arn:aws:iot:r:1:topic/a", "arn:aws:iot:*:1:topic/?"));
        assert!(!compare("StringNotLike", "ab", "a*"));
    }

    #[test]
    fn numbers_and_dates() {
        assert!(compare("NumericLessThan", "9", "10"));
        assert!(!compare("NumericLessThan", "x", "10"));
        assert!(compare("NumericGreaterThanEquals", "10.0", "10"));
        assert!(compare("DateLessThan", "2026-01-01T00:00:00Z", "2026-01-02"));
        assert!(compare("DateNotEquals", "0", "1"));
    }

    #[test]
    fn networks() {
        assert!(compare("IpAddress", "203.0.113.7", "203.0.113.0/24"));
        assert!(!compare("IpAddress", "203.0.114.7", "203.0.113.0/24"));
        assert!(compare("NotIpAddress", "203.0.114.7", "203.0.113.0/24"));
        assert!(compare("IpAddress", "203.0.113.7", "0.0.0.0/0"));
        assert!(compare("IpAddress", "203.0.113.7", "203.0.113.7"));
        assert!(compare("IpAddress", "2001:db8::1", "2001:db8::/32"));
        assert!(compare("IpAddress", "2001:db8::1", "::/0"));
        assert!(!compare("IpAddress", "2001:db8::1", "0.0.0.0/0"));
        assert!(compare("IpAddress", "::ffff:203.0.113.7", "203.0.113.0/24"));
        assert!(!compare("IpAddress", "203.0.113.7", "203.0.113.0/x"));
    }

    #[test]
    fn what_is_not_an_operator() {
        for name in ["", "StringNear", "Numeric", "DateLike", "bool", "BinaryEquals"] {
            assert_eq!(Operator::parse(name), None, "{name}");
        }
    }
}
