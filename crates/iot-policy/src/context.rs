//! What is known about who asks.

use std::net::IpAddr;

/// What is known about who asks. Everything that is not known leaves the variables that need it without a value,
/// and statements with such variables do not match.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    /// `iot:ClientId`.
    pub client_id: Option<&'a str>,
    /// `iot:CertificateId`.
    pub certificate_id: Option<&'a str>,
    /// `aws:SourceIp`.
    pub source_ip: Option<IpAddr>,
    /// The thing that the variables `iot:Connection.Thing.*` are about.
    ///
    /// [AWS iot thing-policy-variables] There is one when the client id is the name of a thing that the certificate
    /// is attached to; `None` makes `iot:Connection.Thing.IsAttached` false.
    pub thing: Option<ConnectedThing<'a>>,
    /// What the certificate says, for `iot:Certificate.*`.
    pub certificate: Option<&'a CertificateAttributes>,
    /// `iot:ConnectAttributes`, while connecting: `PersistentConnect`, `LastWill`.
    pub connect_attributes: Option<&'a [&'a str]>,
    /// `iot:LastWillTopic`, while connecting: an ARN.
    pub last_will_topic: Option<&'a str>,
    /// `iot:DomainName`: the server name that the client asked for.
    pub domain_name: Option<&'a str>,
    /// `aws:CurrentTime` and `aws:EpochTime`, in seconds since 1970.
    pub now_s: Option<i64>,
}

/// The thing that a connection stands for.
#[derive(Debug, Clone, Copy)]
pub struct ConnectedThing<'a> {
    /// `iot:Connection.Thing.ThingName`.
    pub name: &'a str,
    /// `iot:Connection.Thing.ThingTypeName`.
    pub type_name: Option<&'a str>,
    /// `iot:Connection.Thing.Attributes[key]`.
    pub attributes: &'a [(Box<str>, Box<str>)],
}

/// What a certificate says: `Subject.CommonName`, `Issuer.Organization`… to values in the certificate's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateAttributes(pub Vec<(Box<str>, Vec<Box<str>>)>);

impl CertificateAttributes {
    pub(crate) fn values(&self, name: &str) -> &[Box<str>] {
        let found = self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or(&[], |(_, values)| values)
    }
}
