//! Policy variables, which are condition keys too.

use crate::context::Context;
use crate::{VARIABLE_CHARS_MAX, timestamp};
use std::borrow::Cow;

/// Most values of one certificate attribute that are looked at. [AWS iot cert-policy-variables]
const CERTIFICATE_VALUES_MAX: usize = 5;

/// A variable or condition key, with the name that the policy gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    name: Box<str>,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    ClientId,
    CertificateId,
    SourceIp,
    ThingName,
    ThingTypeName,
    ThingAttribute(Box<str>),
    IsAttached,
    ConnectAttributes,
    LastWillTopic,
    DomainName,
    CurrentTime,
    EpochTime,
    /// `iot:Certificate.NAME`, `.N` for the value after N others, `.List` for all of them.
    Certificate {
        attribute: Box<str>,
        values: Values,
    },
    /// Known to AWS, and never with a value here: there are no VPCs.
    NeverSet,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Values {
    At(usize),
    List,
}

impl Variable {
    /// Reads a name. One that is not known makes a variable that never has a value.
    pub(crate) fn parse(name: &str) -> Self {
        let name = name.trim();
        Self { name: name.into(), kind: Kind::parse(name) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn is_known(&self) -> bool {
        self.kind != Kind::Unknown
    }

    /// The value for use in a pattern, if there is one that may be used there.
    ///
    /// [AWS iot-policy-variables] A value with a wildcard in it, or a longer one, is not substituted: a certificate
    /// for `*` would else open every topic.
    pub(crate) fn substitute<'a>(&self, context: &Context<'a>) -> Option<Cow<'a, str>> {
        let value = self.values(context)?.into_iter().next()?;
        let fits = value.len() <= VARIABLE_CHARS_MAX || value.chars().count() <= VARIABLE_CHARS_MAX;
        (fits && !value.contains(['*', '$', '+', '?', '#'])).then_some(value)
    }

    /// All values for use in a condition; `None` when the key is absent from the request.
    pub(crate) fn values<'a>(&self, context: &Context<'a>) -> Option<Vec<Cow<'a, str>>> {
        let one = |value: Option<&'a str>| value.map(|value| vec![Cow::Borrowed(value)]);
        match &self.kind {
            Kind::ClientId => one(context.client_id),
            Kind::CertificateId => one(context.certificate_id),
            Kind::SourceIp => context.source_ip.map(|ip| vec![Cow::Owned(ip.to_canonical().to_string())]),
            Kind::ThingName => one(context.thing.map(|thing| thing.name)),
            Kind::ThingTypeName => one(context.thing.and_then(|thing| thing.type_name)),
            Kind::ThingAttribute(key) => {
                let attributes = context.thing?.attributes;
                one(attributes.iter().find(|(name, _)| name == key).map(|(_, value)| &**value))
            }
            Kind::IsAttached => one(Some(if context.thing.is_some() { "true" } else { "false" })),
            Kind::ConnectAttributes => {
                let attributes = context.connect_attributes?;
                Some(attributes.iter().map(|&attribute| Cow::Borrowed(attribute)).collect())
            }
            Kind::LastWillTopic => one(context.last_will_topic),
            Kind::DomainName => one(context.domain_name),
            Kind::CurrentTime => context.now_s.map(|now| vec![Cow::Owned(timestamp::format(now))]),
            Kind::EpochTime => context.now_s.map(|now| vec![Cow::Owned(now.to_string())]),
            Kind::Certificate { attribute, values } => {
                let all = context.certificate?.values(attribute);
                let all = &all[..all.len().min(CERTIFICATE_VALUES_MAX)];
                match values {
                    Values::At(index) => one(all.get(*index).map(|value| &**value)),
                    Values::List if all.is_empty() => None,
                    Values::List => Some(all.iter().map(|value| Cow::Borrowed(&**value)).collect()),
                }
            }
            Kind::NeverSet | Kind::Unknown => None,
        }
    }
}

impl Kind {
    /// [AWS IAM condition keys] "Condition key names are not case-sensitive".
    fn parse(name: &str) -> Self {
        let lower = name.to_ascii_lowercase();
        match &*lower {
            "iot:clientid" => Self::ClientId,
            "iot:certificateid" => Self::CertificateId,
            "aws:sourceip" => Self::SourceIp,
            "iot:connection.thing.thingname" => Self::ThingName,
            "iot:connection.thing.thingtypename" => Self::ThingTypeName,
            "iot:connection.thing.isattached" => Self::IsAttached,
            "iot:connectattributes" => Self::ConnectAttributes,
            "iot:lastwilltopic" => Self::LastWillTopic,
            "iot:domainname" => Self::DomainName,
            "aws:currenttime" => Self::CurrentTime,
            "aws:epochtime" => Self::EpochTime,
            "aws:sourcevpc" | "aws:sourcevpce" | "iot:vpcsourceip" => Self::NeverSet,
            _ => Self::parse_compound(name, &lower),
        }
    }

    fn parse_compound(name: &str, lower: &str) -> Self {
        const ATTRIBUTES: &str = "iot:connection.thing.attributes[";
        const CERTIFICATE: &str = "iot:certificate.";
        // The key keeps its case: attributes of things differ by it.
        if lower.starts_with(ATTRIBUTES)
            && let Some(key) = name[ATTRIBUTES.len()..].strip_suffix(']')
        {
            return Self::ThingAttribute(key.into());
        }
        let Some(path) = lower.strip_prefix(CERTIFICATE) else { return Self::Unknown };
        let (attribute, values) = match path.rsplit_once('.') {
            Some((attribute, "list")) => (attribute, Values::List),
            Some((attribute, last)) if last.bytes().all(|byte| byte.is_ascii_digit()) => {
                let index = last.parse().unwrap_or(usize::MAX);
                (attribute, Values::At(index))
            }
            _ => (path, Values::At(0)),
        };
        if is_certificate_attribute(attribute) {
            Self::Certificate { attribute: attribute.into(), values }
        } else {
            Self::Unknown
        }
    }
}

/// [AWS iot cert-policy-variables], in lower case.
fn is_certificate_attribute(attribute: &str) -> bool {
    const NAMES: [&str; 13] = [
        "commonname",
        "organization",
        "organizationalunit",
        "country",
        "state",
        "serialnumber",
        "title",
        "surname",
        "givenname",
        "initials",
        "pseudonym",
        "generationqualifier",
        "distinguishednamequalifier",
    ];
    const ALTERNATIVE_NAMES: [&str; 5] =
        ["rfc822name", "dnsname", "directoryname", "uniformresourceidentifier", "ipaddress"];
    match attribute.split_once('.') {
        None => matches!(attribute, "serialnumber" | "availablekeys"),
        Some(("subject" | "issuer", rest)) => match rest.strip_prefix("alternativename.") {
            Some(name) => ALTERNATIVE_NAMES.contains(&name),
            None => NAMES.contains(&rest),
        },
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::{CertificateAttributes, ConnectedThing};

    #[test]
    fn values_with_wildcards_are_not_substituted() {
        let variable = Variable::parse("iot:ClientId");
        for (client_id, expected) in
            [("a", true), ("a*", false), ("a#2", false), ("$a", false), ("a+", false)]
        {
            let context = Context { client_id: Some(client_id), ..Context::default() };
            assert_eq!(variable.substitute(&context).is_some(), expected, "{client_id}");
        }
        let long = "é".repeat(VARIABLE_CHARS_MAX);
        let context = Context { client_id: Some(&long), ..Context::default() };
        assert!(variable.substitute(&context).is_some());
        let longer = long.clone() + "x";
        let context = Context { client_id: Some(&longer), ..Context::default() };
        assert!(variable.substitute(&context).is_none());
    }

    #[test]
    fn names_are_read_in_any_case_but_attribute_keys_keep_theirs() {
        assert_eq!(Variable::parse("IOT:clientid").kind, Kind::ClientId);
        let attributes = [("Room".into(), "r1".into())];
        let thing = ConnectedThing { name: "t", type_name: None, attributes: &attributes };
        let context = Context { thing: Some(thing), ..Context::default() };
        let value = |name: &str| Variable::parse(name).substitute(&context).map(Cow::into_owned);
        assert_eq!(value("iot:Connection.Thing.Attributes[Room]"), Some("r1".to_owned()));
        assert_eq!(value("iot:Connection.Thing.Attributes[room]"), None);
        assert_eq!(value("iot:Connection.Thing.ThingTypeName"), None);
        assert!(!Variable::parse("iot:Foo").is_known());
        assert!(!Variable::parse("iot:Certificate.Subject.Foo").is_known());
    }

    #[test]
    fn certificate_attributes_have_a_first_an_indexed_and_a_list_form() {
        let certificate =
            CertificateAttributes(vec![("Subject.Country".into(), vec!["US".into(), "CA".into()])]);
        let context = Context { certificate: Some(&certificate), ..Context::default() };
        let values = |name: &str| Variable::parse(name).values(&context);
        assert_eq!(values("iot:Certificate.Subject.Country").unwrap(), ["US"]);
        assert_eq!(values("iot:Certificate.Subject.Country.1").unwrap(), ["CA"]);
        assert_eq!(values("iot:Certificate.Subject.Country.2"), None);
        assert_eq!(values("iot:Certificate.Subject.Country.List").unwrap(), ["US", "CA"]);
    }
}
