//! IAM's JSON grammar to compiled statements. [AWS IAM policy grammar] [AWS iot-policies]

use crate::action::ActionSet;
use crate::condition::{self, Condition};
use crate::document::{PolicyDocument, Statement};
use crate::error::PolicyError;
use crate::json::Json;
use crate::pattern::Pattern;

pub(crate) fn document(text: &str) -> Result<PolicyDocument, PolicyError> {
    let Json::Object(members) = Json::parse(text)? else {
        return Err(malformed("document", "it must be an object"));
    };
    // [AWS IAM policy elements: Version] Without one it is 2008-10-17, which knows no variables.
    let mut with_variables = false;
    let mut statements = None;
    for (name, value) in members {
        match &*name {
            "Version" => match &value {
                Json::String(version) if version == "2012-10-17" => with_variables = true,
                Json::String(version) if version == "2008-10-17" => {}
                _ => return Err(malformed("Version", "it must be \"2012-10-17\" or \"2008-10-17\"")),
            },
            "Id" => {
                string(&value, "Id")?;
            }
            "Statement" => statements = Some(value),
            other => return Err(malformed(other, "there is no such policy element")),
        }
    }
    let list = match statements {
        None => return Err(malformed("Statement", "it is missing")),
        Some(Json::Array(list)) => list,
        Some(single) => vec![single],
    };
    if list.is_empty() {
        return Err(malformed("Statement", "it is empty"));
    }
    let statements = list
        .into_iter()
        .enumerate()
        .map(|(index, value)| statement(value, &format!("Statement[{index}]"), with_variables))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(PolicyDocument { statements: statements.into_boxed_slice() })
}

fn statement(value: Json, place: &str, with_variables: bool) -> Result<Statement, PolicyError> {
    let Json::Object(members) = value else {
        return Err(malformed(place, format!("it must be an object, not {}", value.kind())));
    };
    let (mut sid, mut allows, mut actions, mut resources, mut conditions) = (None, None, None, None, None);
    for (name, value) in members {
        let place = format!("{place}.{name}");
        match &*name {
            "Sid" => sid = Some(string(&value, &place)?.into()),
            "Effect" => {
                allows = Some(match string(&value, &place)? {
                    "Allow" => true,
                    "Deny" => false,
                    _ => return Err(malformed(place, "it must be \"Allow\" or \"Deny\"")),
                });
            }
            "Action" | "NotAction" if actions.is_some() => {
                return Err(malformed(place, "a statement has either Action or NotAction"));
            }
            "Action" => actions = Some(action_set(&value, &place)?),
            "NotAction" => actions = Some(action_set(&value, &place)?.complement()),
            "Resource" | "NotResource" if resources.is_some() => {
                return Err(malformed(place, "a statement has either Resource or NotResource"));
            }
            "Resource" | "NotResource" => {
                let patterns = resource_patterns(&value, &place, with_variables)?;
                resources = Some((patterns, name == "NotResource"));
            }
            "Condition" => conditions = Some((value, place)),
            _ => return Err(malformed(place, "there is no such element in a statement")),
        }
    }
    let missing = |element: &str| malformed(place, format!("`{element}` is missing"));
    let allows = allows.ok_or_else(|| missing("Effect"))?;
    let actions = actions.ok_or_else(|| missing("Action"))?;
    let (resources, resources_negated) = resources.ok_or_else(|| missing("Resource"))?;
    let conditions: Vec<Condition> = match conditions {
        Some((value, place)) => condition::parse_block(value, &place, with_variables)?,
        None => Vec::new(),
    };
    if !allows && let Some(unknown) = conditions.iter().find(|condition| !condition.is_understood()) {
        // What a Deny forbids must not open because its condition is not understood.
        let reason = format!("{unknown} is not supported, so this Deny could not be enforced");
        return Err(malformed(format!("{place}.Condition"), reason));
    }
    Ok(Statement {
        sid,
        allows,
        actions,
        resources_negated,
        resources: resources.into_boxed_slice(),
        conditions: conditions.into_boxed_slice(),
    })
}

fn action_set(value: &Json, place: &str) -> Result<ActionSet, PolicyError> {
    let mut set = ActionSet::default();
    for action in strings(value, place)? {
        if action != "*" && !action.contains(':') {
            return Err(malformed(place, format!("`{action}` is not of the form `iot:Action`")));
        }
        set.insert_matching(action);
    }
    Ok(set)
}

fn resource_patterns(value: &Json, place: &str, with_variables: bool) -> Result<Vec<Pattern>, PolicyError> {
    let check = |resource: &str| {
        if resource.starts_with("arn:") || resource.starts_with(['*', '?', '$']) {
            Ok(Pattern::parse(resource, with_variables))
        } else {
            Err(malformed(place, format!("`{resource}` is neither an ARN nor `*`")))
        }
    };
    strings(value, place)?.into_iter().map(check).collect()
}

/// One string, or an array with at least one.
fn strings<'a>(value: &'a Json, place: &str) -> Result<Vec<&'a str>, PolicyError> {
    match value {
        Json::Array(items) if items.is_empty() => Err(malformed(place, "it is empty")),
        Json::Array(items) => items.iter().map(|item| string(item, place)).collect(),
        single => Ok(vec![string(single, place)?]),
    }
}

fn string<'a>(value: &'a Json, place: &str) -> Result<&'a str, PolicyError> {
    match value {
        Json::String(text) => Ok(text),
        other => Err(malformed(place, format!("it must be a string, not {}", other.kind()))),
    }
}

pub(crate) fn malformed(place: impl Into<String>, reason: impl Into<String>) -> PolicyError {
    PolicyError::Malformed { place: place.into(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use crate::{PolicyDocument, PolicyError};
    use proptest::prelude::*;

    fn refusal(text: &str) -> String {
        PolicyDocument::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn single_values_and_arrays_are_the_same() {
        for text in [
            r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*","Resource":"*"}}"#,
            r#"{"Version":"2012-10-17","Id":"x","Statement":[{"Sid":"s","Effect":"Deny","NotAction":["iot:*"],"NotResource":["*"]}]}"#,
            r#"{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Action":["iot:*"],"Resource":["*"]}]}"#,
        ] {
            assert_eq!(PolicyDocument::parse(text).unwrap().statements.len(), 1, "{text}");
        }
    }

    #[test]
    fn refusals_say_where() {
        let statement =
            |inside: &str| refusal(&format!(r#"{{"Version":"2012-10-17","Statement":[{{{inside}}}]}}"#));
        assert_eq!(
            statement(r#""Effect":"allow","Action":"iot:*","Resource":"*""#),
            r#"policy document: Statement[0].Effect: it must be "Allow" or "Deny""#
        );
        assert_eq!(
            statement(r#""Effect":"Allow","Action":"Publish","Resource":"*""#),
            "policy document: Statement[0].Action: `Publish` is not of the form `iot:Action`"
        );
        assert_eq!(
            statement(r#""Effect":"Allow","Action":"iot:*","Resource":"topic/a""#),
            "policy document: Statement[0].Resource: `topic/a` is neither an ARN nor `*`"
        );
        assert!(statement(r#""Effect":"Allow","Action":[],"Resource":"*""#).ends_with("it is empty"));
        assert!(statement(r#""Effect":"Allow","Resource":"*""#).ends_with("`Action` is missing"));
        assert!(
            statement(r#""Effect":"Allow","Action":"*","NotAction":"*","Resource":"*""#).contains("either")
        );
        assert!(
            statement(r#""Effect":"Allow","Action":"*","Principal":"*","Resource":"*""#).contains("no such")
        );
        let deny =
            r#""Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringNear":{"iot:ClientId":"a"}}"#;
        assert_eq!(
            statement(deny),
            "policy document: Statement[0].Condition: `StringNear` of `iot:ClientId` is not supported, \
             so this Deny could not be enforced"
        );
        let allow =
            format!(r#"{{"Version":"2012-10-17","Statement":{{{}}}}}"#, deny.replace("Deny", "Allow"));
        assert!(PolicyDocument::parse(&allow).is_ok(), "it never matches, which opens nothing");
    }

    #[test]
    fn json_errors_have_a_place() {
        assert!(refusal("{\n  \"Version\": ").contains("line 2"));
        assert!(
            refusal(r#"{"Version":"2012-10-17","Version":"2012-10-17"}"#)
                .contains("`Version` is there twice")
        );
        assert!(refusal("[]").contains("must be an object"));
        assert!(refusal("{}").contains("Statement"));
    }

    #[test]
    fn white_space_does_not_count() {
        let policy = |padding: &str, name: &str| {
            format!(
                r#"{{"Version":"2012-10-17",{padding}"Statement":[{{"Effect":"Allow","Action":"*","Resource":"arn:{name}"}}]}}"#
            )
        };
        assert!(PolicyDocument::parse(&policy(&" \n".repeat(3000), "a")).is_ok());
        let used = policy("", "").len();
        assert!(PolicyDocument::parse(&policy("", &"a".repeat(2048 - used))).is_ok());
        let error = PolicyDocument::parse(&policy("", &"a".repeat(2049 - used))).unwrap_err();
        assert_eq!(error, PolicyError::TooLong { chars: 2049, max: 2048 });
    }

    proptest! {
        #[test]
        fn foreign_text_never_panics(text in ".{0,80}") {
            let _ = PolicyDocument::parse(&text);
            let _ = PolicyDocument::parse(&format!(
                r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"*","Resource":"arn:{}"}}}}"#,
                text.replace(['"', '\\'], "")
            ));
        }
    }
}
