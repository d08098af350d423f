//! Names of resources: `arn:aws:iot:REGION:ACCOUNT:KIND/NAME`.

use crate::{CertificateId, Error};

/// Which account and region a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Such as `eu-west-1`.
    pub region: String,
    /// Twelve digits.
    pub account_id: String,
}

impl Identity {
    /// What every ARN of this server begins with: `arn:aws:iot:REGION:ACCOUNT:`.
    pub fn arn_prefix(&self) -> String {
        format!("arn:aws:iot:{}:{}:", self.region, self.account_id)
    }

    /// The ARN of a thing.
    pub fn thing_arn(&self, name: &str) -> String {
        format!("{}thing/{name}", self.arn_prefix())
    }

    /// The ARN of a certificate.
    pub fn certificate_arn(&self, id: &CertificateId) -> String {
        format!("{}cert/{id}", self.arn_prefix())
    }

    /// The ARN of a policy.
    pub fn policy_arn(&self, name: &str) -> String {
        format!("{}policy/{name}", self.arn_prefix())
    }

    /// The ARN of a topic rule.
    pub fn rule_arn(&self, name: &str) -> String {
        format!("{}rule/{name}", self.arn_prefix())
    }

    /// The kind and name that an IoT ARN of this account has, such as `("thing", "pico")`.
    ///
    /// # Errors
    /// [`Error::InvalidArn`] for everything that is no IoT ARN, and for other accounts' and regions' ARNs.
    pub fn own_resource<'a>(&self, arn: &'a str) -> Result<(&'a str, &'a str), Error> {
        let invalid = |reason| Error::InvalidArn { arn: arn.to_owned(), reason };
        let parsed = Arn::parse(arn).ok_or_else(|| invalid("it is no ARN"))?;
        if parsed.service != "iot" {
            return Err(invalid("it is no ARN of iot"));
        }
        if parsed.region != self.region || parsed.account_id != self.account_id {
            return Err(invalid("it is of another account or region than this server's"));
        }
        parsed.resource.split_once('/').ok_or_else(|| invalid("it names no resource"))
    }

    /// The certificate that a principal's ARN names.
    ///
    /// # Errors
    /// [`Error::NotAvailable`] for Cognito identities, [`Error::InvalidArn`] for what is no principal.
    pub fn principal(&self, principal: &str) -> Result<CertificateId, Error> {
        if is_cognito_identity(principal) {
            return Err(Error::NotAvailable { what: "a Cognito identity as principal" });
        }
        match self.own_resource(principal)? {
            ("cert", id) => CertificateId::parse(id).map_err(|_| Error::InvalidArn {
                arn: principal.to_owned(),
                reason: "it does not end in a certificate id",
            }),
            _ => Err(Error::InvalidArn {
                arn: principal.to_owned(),
                reason: "a principal is a certificate: `arn:aws:iot:REGION:ACCOUNT:cert/ID`",
            }),
        }
    }

    /// The certificate that a policy target's ARN names.
    ///
    /// # Errors
    /// [`Error::NotAvailable`] for thing groups and Cognito identities, [`Error::InvalidArn`] for what is no target.
    pub fn policy_target(&self, target: &str) -> Result<CertificateId, Error> {
        if let Ok(("thinggroup", _)) = self.own_resource(target) {
            return Err(Error::NotAvailable { what: "a thing group as target of a policy" });
        }
        self.principal(target)
    }
}

/// The fields of an ARN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arn<'a> {
    /// Such as `aws`.
    pub partition: &'a str,
    /// Such as `iot`.
    pub service: &'a str,
    /// Such as `eu-west-1`; may be empty.
    pub region: &'a str,
    /// Twelve digits; may be empty.
    pub account_id: &'a str,
    /// Everything behind, with colons and slashes.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Splits an ARN; `None` when it is none.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut fields = text.splitn(6, ':');
        let mut next = || fields.next();
        if next()? != "arn" {
            return None;
        }
        Some(Self {
            partition: next()?,
            service: next()?,
            region: next()?,
            account_id: next()?,
            resource: next()?,
        })
    }
}

/// `REGION:UUID`
fn is_cognito_identity(text: &str) -> bool {
    let is_uuid = |id: &str| id.len() == 36 && uuid::Uuid::try_parse(id).is_ok();
    text.split_once(':').is_some_and(|(_, id)| is_uuid(id)) || text.starts_with("arn:aws:cognito-identity:")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity { region: "eu-west-1".to_owned(), account_id: "000000000000".to_owned() }
    }

    #[test]
    fn a_principal_is_a_certificate_of_this_account() {
        let id = CertificateId::of_der(b"x");
        let arn = identity().certificate_arn(&id);
        assert_eq!(identity().principal(&arn).unwrap(), id);
        for wrong in [
            "",
            "cert/x",
            "arn:aws:iot:eu-west-1:000000000000:cert/x",
            "arn:aws:iot:eu-west-1:000000000000:thing/x",
            "arn:aws:s3:::bucket/x",
        ] {
            assert!(matches!(identity().principal(wrong), Err(Error::InvalidArn { .. })), "{wrong}");
        }
        let foreign = arn.replace("eu-west-1", "us-east-1");
        assert!(
            identity().principal(&foreign).unwrap_err().to_string().contains("another account or region")
        );
    }

    #[test]
    fn what_is_not_there_yet_says_so() {
        let group = "arn:aws:iot:eu-west-1:000000000000:thinggroup/g";
        assert!(matches!(identity().policy_target(group), Err(Error::NotAvailable { .. })));
        let cognito = "eu-west-1:7f1f0a3a-1111-4222-8333-123456789abc";
        assert!(matches!(identity().policy_target(cognito), Err(Error::NotAvailable { .. })));
    }
}
