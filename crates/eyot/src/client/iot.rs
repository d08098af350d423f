//! Operations of AWS IoT: control plane and shadows.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::ready::Ready;

use super::call::{Api, Call, CallError, Service, encoded};

/// A certificate that was just made, with its keys when the service made them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewCertificate {
    /// `arn:aws:iot:…:cert/ID`.
    pub(crate) certificate_arn: String,
    /// SHA-256 of the certificate.
    pub(crate) certificate_id: String,
    /// The certificate.
    pub(crate) certificate_pem: String,
    /// Only after CreateKeysAndCertificate.
    pub(crate) key_pair: Option<KeyPair>,
}

/// A device's keys, shown this once.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct KeyPair {
    /// SubjectPublicKeyInfo, PEM.
    pub(crate) public_key: String,
    /// PEM.
    pub(crate) private_key: String,
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyPair(..)")
    }
}

/// What TestAuthorization decided about one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authorization {
    /// `ALLOWED`, `EXPLICIT_DENY` or `IMPLICIT_DENY`.
    pub(crate) decision: String,
    /// Policy variables that had no value.
    pub(crate) missing_context: Vec<String>,
}

impl Api {
    /// A call of the control plane.
    fn iot(
        &self,
        operation: &str,
        method: &'static str,
        path: String,
        query: Vec<(&str, &str)>,
        headers: Vec<(&str, String)>,
        body: Option<Value>,
    ) -> Result<Value, CallError> {
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        self.json(&Call { operation, service: Service::Iot, method, path, query, headers, body })
    }

    /// CreateThing; answers the thing's ARN. Creating the same thing again succeeds.
    pub(crate) fn create_thing(&self, thing: &str) -> Result<String, CallError> {
        let path = format!("/things/{}", encoded(thing));
        let answer = self.iot("CreateThing", "POST", path, vec![], vec![], Some(json!({})))?;
        member(&answer, "CreateThing", "thingArn")
    }

    /// CreateKeysAndCertificate, active at once.
    pub(crate) fn create_keys_and_certificate(&self) -> Result<NewCertificate, CallError> {
        const OPERATION: &str = "CreateKeysAndCertificate";
        let query = vec![("setAsActive", "true")];
        let answer = self.iot(OPERATION, "POST", "/keys-and-certificate".to_owned(), query, vec![], None)?;
        typed(answer, OPERATION)
    }

    /// CreateCertificateFromCsr, active at once.
    pub(crate) fn create_certificate_from_csr(&self, csr_pem: &str) -> Result<NewCertificate, CallError> {
        const OPERATION: &str = "CreateCertificateFromCsr";
        let query = vec![("setAsActive", "true")];
        let body = json!({ "certificateSigningRequest": csr_pem });
        let answer = self.iot(OPERATION, "POST", "/certificates".to_owned(), query, vec![], Some(body))?;
        typed(answer, OPERATION)
    }

    /// DescribeCertificate: its ARN and status.
    pub(crate) fn certificate_status(&self, certificate_id: &str) -> Result<(String, String), CallError> {
        const OPERATION: &str = "DescribeCertificate";
        let path = format!("/certificates/{}", encoded(certificate_id));
        let answer = self.iot(OPERATION, "GET", path, vec![], vec![], None)?;
        let description = &answer["certificateDescription"];
        Ok((member(description, OPERATION, "certificateArn")?, member(description, OPERATION, "status")?))
    }

    /// CreatePolicy.
    pub(crate) fn create_policy(&self, name: &str, document: &str) -> Result<(), CallError> {
        let path = format!("/policies/{}", encoded(name));
        let body = json!({ "policyDocument": document });
        self.iot("CreatePolicy", "POST", path, vec![], vec![], Some(body)).map(drop)
    }

    /// GetPolicy: the default version's document.
    pub(crate) fn policy_document(&self, name: &str) -> Result<String, CallError> {
        let path = format!("/policies/{}", encoded(name));
        let answer = self.iot("GetPolicy", "GET", path, vec![], vec![], None)?;
        member(&answer, "GetPolicy", "policyDocument")
    }

    /// AttachPolicy.
    pub(crate) fn attach_policy(&self, policy: &str, target_arn: &str) -> Result<(), CallError> {
        let path = format!("/target-policies/{}", encoded(policy));
        self.iot("AttachPolicy", "PUT", path, vec![], vec![], Some(json!({ "target": target_arn }))).map(drop)
    }

    /// ListAttachedPolicies, all pages: the names of the policies that the certificate has.
    pub(crate) fn attached_policies(&self, certificate_arn: &str) -> Result<Vec<String>, CallError> {
        let path = format!("/attached-policies/{}", encoded(certificate_arn));
        let mut policies = Vec::new();
        let mut marker = None::<String>;
        loop {
            let query = marker.iter().map(|marker| ("marker", marker.as_str())).collect();
            let answer = self.iot("ListAttachedPolicies", "POST", path.clone(), query, vec![], None)?;
            let page = answer["policies"].as_array().into_iter().flatten();
            policies.extend(page.filter_map(|policy| policy["policyName"].as_str().map(str::to_owned)));
            marker = answer["nextMarker"].as_str().map(str::to_owned);
            if marker.is_none() {
                return Ok(policies);
            }
        }
    }

    /// AttachThingPrincipal.
    pub(crate) fn attach_thing_principal(&self, thing: &str, principal_arn: &str) -> Result<(), CallError> {
        let path = format!("/things/{}/principals", encoded(thing));
        let headers = vec![("x-amzn-principal", principal_arn.to_owned())];
        self.iot("AttachThingPrincipal", "PUT", path, vec![], headers, None).map(drop)
    }

    /// ListThingPrincipals, all pages: the ARNs of the thing's certificates.
    pub(crate) fn thing_principals(&self, thing: &str) -> Result<Vec<String>, CallError> {
        let path = format!("/things/{}/principals", encoded(thing));
        let mut principals = Vec::new();
        let mut token = None::<String>;
        loop {
            let query = token.iter().map(|token| ("nextToken", token.as_str())).collect();
            let answer = self.iot("ListThingPrincipals", "GET", path.clone(), query, vec![], None)?;
            let page = answer["principals"].as_array().into_iter().flatten();
            principals.extend(page.filter_map(|arn| arn.as_str().map(str::to_owned)));
            token = answer["nextToken"].as_str().map(str::to_owned);
            if token.is_none() {
                return Ok(principals);
            }
        }
    }

    /// TestAuthorization of one action on one resource.
    pub(crate) fn test_authorization(
        &self,
        principal_arn: &str,
        client_id: &str,
        action: &str,
        resource_arn: &str,
    ) -> Result<Authorization, CallError> {
        const OPERATION: &str = "TestAuthorization";
        let body = json!({
            "principal": principal_arn,
            "authInfos": [{ "actionType": action, "resources": [resource_arn] }],
        });
        let query = vec![("clientId", client_id)];
        let answer =
            self.iot(OPERATION, "POST", "/test-authorization".to_owned(), query, vec![], Some(body))?;
        let result = &answer["authResults"][0];
        let missing = result["missingContextValues"].as_array().into_iter().flatten();
        Ok(Authorization {
            decision: member(result, OPERATION, "authDecision")?,
            missing_context: missing.filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        })
    }

    /// DescribeEndpoint of `iot:Data-ATS`: a bare host.
    pub(crate) fn describe_endpoint(&self) -> Result<String, CallError> {
        const OPERATION: &str = "DescribeEndpoint";
        let query = vec![("endpointType", "iot:Data-ATS")];
        let answer = self.iot(OPERATION, "GET", "/endpoint".to_owned(), query, vec![], None)?;
        member(&answer, OPERATION, "endpointAddress")
    }

    /// GetTopicRule: whether there is one. For a rule that is not there AWS says that access is denied.
    pub(crate) fn has_topic_rule(&self, rule: &str) -> Result<bool, CallError> {
        let path = format!("/rules/{}", encoded(rule));
        match self.iot("GetTopicRule", "GET", path, vec![], vec![], None) {
            Ok(_) => Ok(true),
            Err(CallError::Refused { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// CreateTopicRule, or ReplaceTopicRule when it exists: afterwards it is as given.
    pub(crate) fn put_topic_rule(&self, rule: &str, payload: &Value) -> Result<(), CallError> {
        let path = format!("/rules/{}", encoded(rule));
        match self.iot("CreateTopicRule", "POST", path.clone(), vec![], vec![], Some(payload.clone())) {
            Err(error) if error.is("ResourceAlreadyExistsException") => {
                self.iot("ReplaceTopicRule", "PATCH", path, vec![], vec![], Some(payload.clone())).map(drop)
            }
            other => other.map(drop),
        }
    }

    /// Makes a classic shadow unless there is one.
    pub(crate) fn ensure_classic_shadow(&self, thing: &str) -> Result<(), CallError> {
        let call = |operation, method, body: &str| {
            self.json(&Call {
                operation,
                service: Service::IotData,
                method,
                path: format!("/things/{}/shadow", encoded(thing)),
                query: vec![],
                headers: vec![],
                body: body.as_bytes().to_vec(),
            })
        };
        match call("GetThingShadow", "GET", "") {
            Err(error) if error.is("ResourceNotFoundException") => {
                call("UpdateThingShadow", "POST", r#"{"state":{"reported":{}}}"#).map(drop)
            }
            other => other.map(drop),
        }
    }

    /// Which addresses an eyot uses.
    pub(crate) fn ready(&self) -> Result<Ready, CallError> {
        typed(self.json(&own("/_eyot/ready"))?, "/_eyot/ready")
    }

    /// What an eyot knows about a client, certificate, address or topic.
    pub(crate) fn explain(&self, about: Vec<(&str, &str)>) -> Result<Value, CallError> {
        self.json(&Call { query: about, operation: "explain", ..own("/_eyot/explain") })
    }

    /// The CA certificate of an eyot, PEM.
    pub(crate) fn ca_pem(&self) -> Result<String, CallError> {
        const PATH: &str = "/_eyot/ca.pem";
        String::from_utf8(self.bytes(&own(PATH))?)
            .map_err(|_| CallError::Nonsense { operation: PATH.to_owned(), why: "not text".to_owned() })
    }
}

fn own(path: &str) -> Call<'_> {
    Call {
        operation: path,
        service: Service::Eyot,
        method: "GET",
        path: path.to_owned(),
        query: vec![],
        headers: vec![],
        body: vec![],
    }
}

fn member(answer: &Value, operation: &str, name: &str) -> Result<String, CallError> {
    answer[name].as_str().map(str::to_owned).ok_or_else(|| CallError::Nonsense {
        operation: operation.to_owned(),
        why: format!("it has no `{name}`"),
    })
}

fn typed<T: serde::de::DeserializeOwned>(answer: Value, operation: &str) -> Result<T, CallError> {
    serde_json::from_value(answer)
        .map_err(|error| CallError::Nonsense { operation: operation.to_owned(), why: error.to_string() })
}
