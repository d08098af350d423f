//! The `Condition` block of a statement. [AWS IAM policy elements: Condition]

use crate::context::Context;
use crate::error::PolicyError;
use crate::json::Json;
use crate::operator::Operator;
use crate::parse::malformed;
use crate::pattern::Pattern;
use crate::variable::Variable;
use std::fmt;

/// One operator applied to one key.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    /// As the policy has it: for messages.
    name: Box<str>,
    test: Test,
    key: Variable,
    values: Box<[Pattern]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Compare {
        operator: Operator,
        negated: bool,
        quantifier: Quantifier,
        if_exists: bool,
    },
    /// `Null`: whether the key is absent.
    Null,
    Unknown,
}

/// How the several values of a key are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    /// The key has one value.
    Single,
    ForAllValues,
    ForAnyValue,
}

/// Whether a condition is met.
pub(crate) enum Outcome<'p> {
    Holds,
    Fails,
    /// A variable among the values has none.
    Unresolved(&'p Variable),
}

/// Reads `{operator: {key: value or values}}`; all of it must hold.
pub(crate) fn parse_block(
    block: Json,
    place: &str,
    with_variables: bool,
) -> Result<Vec<Condition>, PolicyError> {
    let mut conditions = Vec::new();
    for (operator, keys) in object(block, place)? {
        let place = format!("{place}.{operator}");
        let test = Test::parse(&operator);
        for (key, values) in object(keys, &place)? {
            let values = match values {
                Json::Array(values) => values,
                single => vec![single],
            };
            let values = values
                .into_iter()
                .map(|value| match value {
                    Json::String(text) | Json::Number(text) if !test.can_read(&text, with_variables) => {
                        let reason = format!("`{text}` is nothing that {operator} can compare");
                        Err(malformed(format!("{place}.{key}"), reason))
                    }
                    Json::String(text) | Json::Number(text) => Ok(Pattern::parse(&text, with_variables)),
                    Json::Bool(value) => Ok(Pattern::parse(if value { "true" } else { "false" }, false)),
                    other => {
                        Err(malformed(format!("{place}.{key}"), format!("{} is no value", other.kind())))
                    }
                })
                .collect::<Result<Vec<_>, _>>()?;
            conditions.push(Condition {
                name: (&*operator).into(),
                test,
                key: Variable::parse(&key),
                values: values.into_boxed_slice(),
            });
        }
    }
    Ok(conditions)
}

fn object(value: Json, place: &str) -> Result<Vec<(String, Json)>, PolicyError> {
    match value {
        Json::Object(members) => Ok(members),
        other => Err(malformed(place, format!("it must be an object, not {}", other.kind()))),
    }
}

impl Test {
    fn parse(name: &str) -> Self {
        if name == "Null" {
            return Self::Null;
        }
        let (quantifier, rest) = match name.split_once(':') {
            None => (Quantifier::Single, name),
            Some(("ForAllValues", rest)) => (Quantifier::ForAllValues, rest),
            Some(("ForAnyValue", rest)) => (Quantifier::ForAnyValue, rest),
            Some(_) => return Self::Unknown,
        };
        let (rest, if_exists) = match rest.strip_suffix("IfExists") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        match Operator::parse(rest) {
            Some((operator, negated)) => Self::Compare { operator, negated, quantifier, if_exists },
            None => Self::Unknown,
        }
    }
}

impl Test {
    /// Whether a value can be compared; one with variables is known only when it is asked for.
    fn can_read(self, text: &str, with_variables: bool) -> bool {
        match self {
            Self::Compare { operator, .. } => {
                (with_variables && text.contains("${")) || operator.can_read(text)
            }
            _ => true,
        }
    }
}

impl Condition {
    /// Whether operator and key are known. What is not known never holds.
    pub(crate) fn is_understood(&self) -> bool {
        self.test != Test::Unknown && self.key.is_known()
    }

    pub(crate) fn evaluate(&self, context: &Context<'_>) -> Outcome<'_> {
        if !self.is_understood() {
            return Outcome::Fails;
        }
        for pattern in &self.values {
            if let Some(variable) =
                pattern.variables().find(|variable| variable.substitute(context).is_none())
            {
                return Outcome::Unresolved(variable);
            }
        }
        if self.holds(context) { Outcome::Holds } else { Outcome::Fails }
    }

    /// The key, when it is the reason why the condition fails: it has no value.
    pub(crate) fn absent_key(&self, context: &Context<'_>) -> Option<&Variable> {
        (self.test != Test::Null && self.key.values(context).is_none()).then_some(&self.key)
    }

    fn holds(&self, context: &Context<'_>) -> bool {
        let values = self.key.values(context);
        let (operator, negated, quantifier, if_exists) = match self.test {
            Test::Compare { operator, negated, quantifier, if_exists } => {
                (operator, negated, quantifier, if_exists)
            }
            Test::Null => {
                let absent = if values.is_none() { "true" } else { "false" };
                return self.values.iter().any(|wanted| Operator::Bool.compare(absent, wanted, context));
            }
            Test::Unknown => return false,
        };
        let Some(values) = values else {
            // [AWS IAM condition operators] An absent key is unequal to everything, and all of its values are fine.
            return if_exists
                || negated && quantifier != Quantifier::ForAnyValue
                || quantifier == Quantifier::ForAllValues;
        };
        let test = |value: &str| {
            self.values.iter().any(|wanted| operator.compare(value, wanted, context)) != negated
        };
        let mut values = values.iter();
        match quantifier {
            Quantifier::ForAllValues => values.all(|value| test(value)),
            // A key with several values needs a set operator; without one, its values count one by one.
            Quantifier::ForAnyValue => values.any(|value| test(value)),
            Quantifier::Single if negated => values.all(|value| test(value)),
            Quantifier::Single => values.any(|value| test(value)),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` of `{}`", self.name, self.key.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(block: &str, context: &Context<'_>) -> bool {
        let conditions = parse_block(Json::parse(block).unwrap(), "Condition", true).unwrap();
        conditions.iter().all(|condition| matches!(condition.evaluate(context), Outcome::Holds))
    }

    #[test]
    fn an_absent_key_fails_unless_negated_or_excused() {
        let nobody = Context::default();
        assert!(!holds(r#"{"StringEquals":{"iot:ClientId":"a"}}"#, &nobody));
        assert!(holds(r#"{"StringNotEquals":{"iot:ClientId":"a"}}"#, &nobody));
        assert!(holds(r#"{"StringEqualsIfExists":{"iot:ClientId":"a"}}"#, &nobody));
        assert!(holds(r#"{"ForAllValues:StringEquals":{"iot:ConnectAttributes":"a"}}"#, &nobody));
        assert!(!holds(r#"{"ForAnyValue:StringNotEquals":{"iot:ConnectAttributes":"a"}}"#, &nobody));
        assert!(holds(r#"{"Null":{"iot:ClientId":"true"}}"#, &nobody));
        assert!(!holds(r#"{"Null":{"iot:ClientId":false}}"#, &nobody));
    }

    #[test]
    fn what_is_not_understood_never_holds() {
        let client = Context { client_id: Some("a"), ..Context::default() };
        for block in [
            r#"{"StringNear":{"iot:ClientId":"a"}}"#,
            r#"{"StringNotEquals":{"aws:PrincipalOrgID":"o"}}"#,
            r#"{"StringEqualsIfExists":{"aws:PrincipalOrgID":"o"}}"#,
            r#"{"Null":{"aws:PrincipalOrgID":"true"}}"#,
            r#"{"ForSomeValues:StringEquals":{"iot:ClientId":"a"}}"#,
        ] {
            assert!(!holds(block, &client), "{block}");
        }
        assert!(holds(r#"{"StringEquals":{"iot:clientid":["b","a"]}}"#, &client));
    }

    #[test]
    fn values_that_nothing_compares_with_are_refused() {
        for block in [
            r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/x"}}"#,
            r#"{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/33"}}"#,
            r#"{"NotIpAddressIfExists":{"aws:SourceIp":["10.0.0.0/8","ten"]}}"#,
            r#"{"NumericNotEquals":{"aws:EpochTime":"1O"}}"#,
            r#"{"DateGreaterThan":{"aws:CurrentTime":"tomorrow"}}"#,
            r#"{"Bool":{"iot:Connection.Thing.IsAttached":"yes"}}"#,
        ] {
            let refused = parse_block(Json::parse(block).unwrap(), "Condition", true);
            assert!(refused.unwrap_err().to_string().contains("can compare"), "{block}");
        }
        let block = r#"{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","2001:db8::/32","${aws:SourceIp}"]}}"#;
        assert!(parse_block(Json::parse(block).unwrap(), "Condition", true).is_ok());
    }

    #[test]
    fn values_may_have_variables() {
        let client = Context { client_id: Some("a"), domain_name: Some("a.example"), ..Context::default() };
        assert!(holds(r#"{"StringLike":{"iot:DomainName":"${iot:ClientId}.*"}}"#, &client));
        assert!(!holds(
            r#"{"StringNotEquals":{"iot:DomainName":"${iot:Connection.Thing.ThingName}"}}"#,
            &client
        ));
    }
}
