//! Why nothing allowed a request: the sentence that AWS does not give.

use crate::action::Action;
use crate::context::Context;
use crate::decision::{NamedPolicy, PolicySet};
use crate::document::{Fit, Statement};
use crate::pattern::{Match, Pattern};
use crate::resource::{Resource, Subject};
use std::fmt;

/// Where a statement is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementSource<'p> {
    /// The policy's name.
    pub policy: &'p str,
    /// The policy's version, if it has versions.
    pub version: Option<u32>,
    /// The statement's number in the document, from 1.
    pub statement: usize,
    /// Its `Sid`.
    pub sid: Option<&'p str>,
}

/// Why a request is not allowed, for whoever has to do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle<'p> {
    /// A statement denies it.
    Denies(StatementSource<'p>),
    /// No policy is attached.
    NoPolicy,
    /// No statement allows the action on anything.
    NoStatement,
    /// The closest statement allows the action on something else; this is the closest of its resources, as it is written.
    OtherResource(StatementSource<'p>, &'p str),
    /// The closest statement allows everything *but* what was asked for.
    Excluded(StatementSource<'p>),
    /// The closest statement has this variable in it, which has no value here, or none that is put into policies.
    Variable(StatementSource<'p>, &'p str),
    /// A condition of the closest statement is not met.
    Condition(StatementSource<'p>),
}

/// A statement and its policy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'p> {
    policy: &'p NamedPolicy,
    index: usize,
}

impl<'p> Place<'p> {
    pub(crate) fn of(policy: &'p NamedPolicy, index: usize) -> Self {
        Self { policy, index }
    }

    pub(crate) fn statement(self) -> &'p Statement {
        &self.policy.document.statements[self.index]
    }

    pub(crate) fn source(self) -> StatementSource<'p> {
        let (policy, version) = (&*self.policy.name, self.policy.version);
        StatementSource { policy, version, statement: self.index + 1, sid: self.statement().sid.as_deref() }
    }

    /// Writes "policy `p` statement 2 (`Sid`)".
    pub(crate) fn write_name(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "policy `{}` statement {}", self.policy.name, self.index + 1)?;
        match &self.statement().sid {
            Some(sid) => write!(f, " (`{sid}`)"),
            None => Ok(()),
        }
    }
}

/// The statement that came closest to allowing a request that none allows.
fn closest<'p>(
    set: &'p PolicySet,
    action: Action,
    subject: &Subject<'_>,
    context: &Context<'_>,
) -> Option<(Place<'p>, Fit<'p>)> {
    let mut closest: Option<(usize, Place<'p>, Fit<'p>)> = None;
    for policy in set.policies() {
        for (index, statement) in policy.document.statements.iter().enumerate() {
            if !statement.allows || !statement.names(action) {
                continue;
            }
            let fit = statement.fit(subject, context);
            let closeness = closeness(statement, fit, subject);
            if closest.as_ref().is_none_or(|(best, ..)| closeness > *best) {
                closest = Some((closeness, Place::of(policy, index), fit));
            }
        }
    }
    closest.map(|(_, place, fit)| (place, fit))
}

/// What keeps a request that no statement allows and none denies from being allowed.
pub(crate) fn obstacle<'p>(
    set: &'p PolicySet,
    action: Action,
    resource: Resource<'_>,
    context: &Context<'_>,
) -> Obstacle<'p> {
    if set.policies().is_empty() {
        return Obstacle::NoPolicy;
    }
    let subject = resource.subject(set.arn_prefix());
    let Some((place, fit)) = closest(set, action, &subject, context) else { return Obstacle::NoStatement };
    let source = place.source();
    match fit {
        Fit::Condition(_) => Obstacle::Condition(source),
        Fit::Unresolved(variable) => Obstacle::Variable(source, variable.name()),
        Fit::OtherResource | Fit::Matches if place.statement().resources_negated => {
            Obstacle::Excluded(source)
        }
        Fit::OtherResource | Fit::Matches => {
            Obstacle::OtherResource(source, closest_pattern(place.statement(), &subject))
        }
    }
}

/// Writes why no statement allowed the request, by the one that came closest.
pub(crate) fn implicit_deny(
    f: &mut fmt::Formatter<'_>,
    set: &PolicySet,
    action: Action,
    resource: Resource<'_>,
    context: &Context<'_>,
) -> fmt::Result {
    if set.policies().is_empty() {
        return f.write_str("no policy is attached");
    }
    let subject = resource.subject(set.arn_prefix());
    let Some((place, fit)) = closest(set, action, &subject, context) else {
        return write!(f, "no statement of {} allows {action}", names(set));
    };
    let statement = place.statement();
    place.write_name(f)?;
    match fit {
        Fit::Condition(condition) => {
            write!(f, " allows {action} on `{resource}`, but its condition {condition} ")?;
            match condition.absent_key(context) {
                _ if !condition.is_understood() => f.write_str("is not supported"),
                Some(key) => write!(f, "is not met: `{}` has no value", key.name()),
                None => f.write_str("is not met"),
            }
        }
        Fit::Unresolved(variable) => {
            write!(f, " cannot match `{resource}`, because `{}` ", variable.name())?;
            match variable.values(context).and_then(|values| values.into_iter().next()) {
                Some(value) => write!(f, "is `{value}`, which is not put into policies"),
                None if !variable.is_known() => f.write_str("is no variable that is known here"),
                None if variable.name().to_ascii_lowercase().starts_with("iot:connection.thing.") => {
                    f.write_str("has no value: the client id must be the name of a thing that the certificate is attached to")
                }
                None => f.write_str("has no value"),
            }
        }
        Fit::OtherResource | Fit::Matches if statement.resources_negated => {
            write!(f, " allows {action} on everything but `{resource}` and others")
        }
        Fit::OtherResource | Fit::Matches => {
            let pattern = closest_pattern(statement, &subject);
            write!(f, " allows {action} on `{}`, not on `{resource}`", short(pattern, set.arn_prefix()))?;
            match foreign_account(pattern, set.arn_prefix()) {
                true => write!(f, "; this server's ARNs begin with `{}`", set.arn_prefix()),
                false => Ok(()),
            }
        }
    }
}

/// Higher is closer.
fn closeness(statement: &Statement, fit: Fit<'_>, subject: &Subject<'_>) -> usize {
    match fit {
        Fit::Matches => usize::MAX,
        Fit::Condition(_) => usize::MAX - 1,
        Fit::Unresolved(_) => usize::MAX - 2,
        Fit::OtherResource if statement.resources_negated => 0,
        Fit::OtherResource => 1 + common_start(closest_pattern(statement, subject), subject),
    }
}

fn closest_pattern<'s>(statement: &'s Statement, subject: &Subject<'_>) -> &'s str {
    let closest = statement.resources.iter().max_by_key(|pattern| common_start(pattern.source(), subject));
    closest.map_or("", Pattern::source)
}

fn common_start(text: &str, subject: &Subject<'_>) -> usize {
    let bytes = text.as_bytes();
    (0..bytes.len()).take_while(|&at| subject.has_at(at, &bytes[at..=at])).count()
}

/// A resource without the account's part, when that is this server's.
fn short<'p>(pattern: &'p str, arn_prefix: &str) -> &'p str {
    pattern.strip_prefix(arn_prefix).unwrap_or(pattern)
}

/// Whether a resource names another account or region than this server's.
fn foreign_account(pattern: &str, arn_prefix: &str) -> bool {
    let fields: Vec<&str> = pattern.splitn(6, ':').take(5).collect();
    if fields.len() < 5 {
        return false;
    }
    let prefix = fields.join(":") + ":";
    let subject = Subject::new([arn_prefix, "", ""]);
    matches!(Pattern::parse(&prefix, true).matches(&subject, &Context::default()), Match::No)
}

fn names(set: &PolicySet) -> String {
    let names: Vec<String> = set.policies().iter().map(|policy| format!("`{}`", policy.name)).collect();
    match &*names {
        [one] => format!("policy {one}"),
        several => format!("policies {}", several.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Obstacle, StatementSource};
    use crate::{Action, Context, NamedPolicy, PolicyDocument, PolicySet, Resource};
    use std::sync::Arc;

    const PREFIX: &str = "arn:aws:iot:eu-west-1:000000000000:";

    fn set(documents: &[&str]) -> PolicySet {
        let policy = |(index, statement): (usize, &&str)| NamedPolicy {
            name: format!("p{}", index + 1).into(),
            version: Some(7),
            document: Arc::new(
                PolicyDocument::parse(&format!(
                    r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
                    statement.replace("ARN", PREFIX)
                ))
                .unwrap(),
            ),
        };
        PolicySet::new(PREFIX, documents.iter().enumerate().map(policy).collect())
    }

    fn reason(documents: &[&str], action: Action, resource: Resource<'_>, context: &Context<'_>) -> String {
        set(documents).decide(action, resource, context).reason.to_string()
    }

    #[test]
    fn reasons_name_policy_and_statement() {
        let allow = r#"{"Effect":"Allow","Action":"iot:Publish","Resource":"ARNtopic/a/*"}"#;
        let deny = r#"{"Sid":"Never","Effect":"Deny","Action":"iot:*","Resource":"ARNtopic/a/x"}"#;
        let nobody = Context::default();
        let ask =
            |documents: &[&str], topic| reason(documents, Action::Publish, Resource::topic(topic), &nobody);
        assert_eq!(ask(&[allow], "a/b"), "policy `p1` statement 1 allows iot:Publish on `topic/a/b`");
        assert_eq!(
            ask(&[allow, deny], "a/x"),
            "policy `p2` statement 1 (`Never`) denies iot:Publish on `topic/a/x`"
        );
        assert_eq!(
            ask(&[allow, deny], "b"),
            "policy `p1` statement 1 allows iot:Publish on `topic/a/*`, not on `topic/b`"
        );
        assert_eq!(ask(&[], "b"), "no policy is attached");
        let other = r#"{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}"#;
        assert_eq!(ask(&[other, other], "b"), "no statement of policies `p1`, `p2` allows iot:Publish");
    }

    #[test]
    fn the_closest_statement_is_named() {
        let far = r#"{"Effect":"Allow","Action":"iot:Connect","Resource":"ARNclient/q"}"#;
        let near =
            r#"{"Effect":"Allow","Action":"iot:Connect","Resource":["ARNclient/z","ARNclient/pico_1"]}"#;
        let variable = r#"{"Effect":"Allow","Action":"iot:Connect","Resource":"ARNclient/${iot:Connection.Thing.ThingName}"}"#;
        let conditional = r#"{"Effect":"Allow","Action":"iot:Connect","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}"#;
        let odd = r#"{"Effect":"Allow","Action":"iot:Connect","Resource":"*","Condition":{"Near":{"aws:SourceIp":"10.0.0.0/8"}}}"#;
        let nobody = Context::default();
        let ask =
            |documents: &[&str]| reason(documents, Action::Connect, Resource::client("pico_2"), &nobody);
        assert_eq!(
            ask(&[far, near]),
            "policy `p2` statement 1 allows iot:Connect on `client/pico_1`, not on `client/pico_2`"
        );
        assert_eq!(
            ask(&[near, variable]),
            "policy `p2` statement 1 cannot match `client/pico_2`, because `iot:Connection.Thing.ThingName` has no \
             value: the client id must be the name of a thing that the certificate is attached to"
        );
        assert_eq!(
            ask(&[variable, conditional]),
            "policy `p2` statement 1 allows iot:Connect on `client/pico_2`, but its condition `IpAddress` of \
             `aws:SourceIp` is not met: `aws:SourceIp` has no value"
        );
        assert!(ask(&[odd]).ends_with("its condition `Near` of `aws:SourceIp` is not supported"));
    }

    #[test]
    fn obstacles_say_where_and_what() {
        let allow = r#"{"Sid":"Own","Effect":"Allow","Action":"iot:Publish","Resource":["ARNtopic/a/*","ARNtopic/b"]}"#;
        let deny = r#"{"Effect":"Deny","Action":"iot:*","Resource":"ARNtopic/a/x"}"#;
        let but = r#"{"Effect":"Allow","Action":"iot:Publish","NotResource":"ARNtopic/c"}"#;
        let variable = r#"{"Effect":"Allow","Action":"iot:Publish","Resource":"ARNtopic/${iot:Connection.Thing.ThingName}"}"#;
        let conditional =
            r#"{"Effect":"Allow","Action":"iot:Publish","Resource":"*","Condition":{"Bool":{"x":"true"}}}"#;
        let connect = r#"{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}"#;
        let nobody = Context::default();
        let source = |policy, sid| StatementSource { policy, version: Some(7), statement: 1, sid };
        let ask = |documents: &[&str], topic: &str, expected: Option<Obstacle<'_>>| {
            let set = set(documents);
            let decision = set.decide(Action::Publish, Resource::topic(topic), &nobody);
            assert_eq!(decision.reason.obstacle(), expected, "{documents:?} {topic}");
        };
        let pattern = format!("{PREFIX}topic/b");
        ask(&[allow], "a/b", None);
        ask(&[allow], "bc", Some(Obstacle::OtherResource(source("p1", Some("Own")), &pattern)));
        ask(&[allow, deny], "a/x", Some(Obstacle::Denies(source("p2", None))));
        ask(&[but], "c", Some(Obstacle::Excluded(source("p1", None))));
        ask(&[variable], "c", Some(Obstacle::Variable(source("p1", None), "iot:Connection.Thing.ThingName")));
        ask(&[conditional], "c", Some(Obstacle::Condition(source("p1", None))));
        ask(&[connect], "c", Some(Obstacle::NoStatement));
        ask(&[], "c", Some(Obstacle::NoPolicy));
    }

    #[test]
    fn another_account_is_pointed_out() {
        let foreign = r#"{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:us-east-1:123456789012:client/a"}"#;
        assert_eq!(
            reason(&[foreign], Action::Connect, Resource::client("a"), &Context::default()),
            "policy `p1` statement 1 allows iot:Connect on `arn:aws:iot:us-east-1:123456789012:client/a`, not on \
             `client/a`; this server's ARNs begin with `arn:aws:iot:eu-west-1:000000000000:`"
        );
    }
}
