//! Stored forms: one byte of format, then JSON (attachments: one byte).

use crate::certificates::{Certificate, CertificateMode, CertificateStatus};
use crate::policies::{Policy, PolicyVersion};
use crate::principals::AttachmentKind;
use crate::tags::Tag;
use crate::things::Thing;
use crate::{CertificateId, LoadError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The format of every record here.
pub(crate) const FORMAT: u8 = 1;

#[derive(Serialize, Deserialize)]
struct ThingRecord {
    id: Uuid,
    version: u64,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    type_name: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<Box<str>, Box<str>>,
    created_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct CertificateRecord {
    /// Base64.
    der: String,
    status: CertificateStatus,
    mode: CertificateMode,
    created_ms: i64,
    modified_ms: i64,
    not_before: i64,
    not_after: i64,
    customer_version: u32,
    generation_id: Uuid,
}

#[derive(Serialize, Deserialize)]
struct PolicyRecord {
    created_ms: i64,
    modified_ms: i64,
    generation_id: Uuid,
    default_id: u32,
    last_id: u32,
    versions: Vec<VersionRecord>,
}

#[derive(Serialize, Deserialize)]
struct VersionRecord {
    id: u32,
    created_ms: i64,
    document: String,
}

pub(crate) fn thing(thing: &Thing) -> Vec<u8> {
    let Thing { name: _, id, version, type_name, attributes, created_ms } = thing;
    encode(&ThingRecord {
        id: *id,
        version: *version,
        type_name: type_name.as_deref().map(str::to_owned),
        attributes: attributes.iter().cloned().collect(),
        created_ms: *created_ms,
    })
}

pub(crate) fn read_thing(keyspace: &'static str, key: &[u8], value: &[u8]) -> Result<Thing, LoadError> {
    let record: ThingRecord = decode(keyspace, key, value)?;
    Ok(Thing {
        name: text_key(keyspace, key)?.into(),
        id: record.id,
        version: record.version,
        type_name: record.type_name.map(Into::into),
        attributes: record.attributes.into_iter().collect(),
        created_ms: record.created_ms,
    })
}

pub(crate) fn certificate(certificate: &Certificate) -> Vec<u8> {
    encode(&CertificateRecord {
        der: STANDARD_NO_PAD.encode(&certificate.der),
        status: certificate.status,
        mode: certificate.mode,
        created_ms: certificate.created_ms,
        modified_ms: certificate.modified_ms,
        not_before: certificate.not_before,
        not_after: certificate.not_after,
        customer_version: certificate.customer_version,
        generation_id: certificate.generation_id,
    })
}

pub(crate) fn read_certificate(
    keyspace: &'static str,
    key: &[u8],
    value: &[u8],
) -> Result<Certificate, LoadError> {
    let record: CertificateRecord = decode(keyspace, key, value)?;
    let id = key.try_into().map(CertificateId::from_bytes);
    Ok(Certificate {
        id: id.map_err(|_| damaged(keyspace, key, "its key is no certificate id"))?,
        der: STANDARD_NO_PAD
            .decode(record.der)
            .map_err(|error| damaged(keyspace, key, error))?
            .into_boxed_slice(),
        status: record.status,
        mode: record.mode,
        created_ms: record.created_ms,
        modified_ms: record.modified_ms,
        not_before: record.not_before,
        not_after: record.not_after,
        customer_version: record.customer_version,
        generation_id: record.generation_id,
    })
}

pub(crate) fn policy(policy: &Policy) -> Vec<u8> {
    let version = |version: &PolicyVersion| VersionRecord {
        id: version.id,
        created_ms: version.created_ms,
        document: (*version.document).to_owned(),
    };
    encode(&PolicyRecord {
        created_ms: policy.created_ms,
        modified_ms: policy.modified_ms,
        generation_id: policy.generation_id,
        default_id: policy.default_id,
        last_id: policy.last_id,
        versions: policy.versions.iter().map(version).collect(),
    })
}

pub(crate) fn read_policy(keyspace: &'static str, key: &[u8], value: &[u8]) -> Result<Policy, LoadError> {
    let record: PolicyRecord = decode(keyspace, key, value)?;
    let version =
        |version: VersionRecord| PolicyVersion::new(version.id, version.document, version.created_ms);
    let policy = Policy {
        name: text_key(keyspace, key)?.into(),
        created_ms: record.created_ms,
        modified_ms: record.modified_ms,
        generation_id: record.generation_id,
        default_id: record.default_id,
        last_id: record.last_id,
        versions: record.versions.into_iter().map(version).collect(),
    };
    if policy.version(policy.default_id).is_none() {
        return Err(damaged(keyspace, key, "its default version is missing"));
    }
    Ok(policy)
}

pub(crate) fn attachment(kind: AttachmentKind) -> [u8; 2] {
    [FORMAT, u8::from(kind == AttachmentKind::Exclusive)]
}

pub(crate) fn read_attachment(
    keyspace: &'static str,
    key: &[u8],
    value: &[u8],
) -> Result<AttachmentKind, LoadError> {
    match check_format(keyspace, key, value)? {
        [0] => Ok(AttachmentKind::NonExclusive),
        [1] => Ok(AttachmentKind::Exclusive),
        _ => Err(damaged(keyspace, key, "it is no kind of attachment")),
    }
}

pub(crate) fn tags(tags: &[Tag]) -> Vec<u8> {
    encode(&tags)
}

pub(crate) fn read_tags(
    keyspace: &'static str,
    key: &[u8],
    value: &[u8],
) -> Result<(Box<str>, Vec<Tag>), LoadError> {
    Ok((text_key(keyspace, key)?.into(), decode(keyspace, key, value)?))
}

/// What follows the format byte.
pub(crate) fn check_format<'v>(
    keyspace: &'static str,
    key: &[u8],
    value: &'v [u8],
) -> Result<&'v [u8], LoadError> {
    match value.split_first() {
        Some((&FORMAT, rest)) => Ok(rest),
        Some((&format, _)) if format > FORMAT => {
            Err(LoadError::NewerFormat { keyspace, key: shown(key), format, known: FORMAT })
        }
        _ => Err(damaged(keyspace, key, "it has no format")),
    }
}

pub(crate) fn damaged(keyspace: &'static str, key: &[u8], reason: impl ToString) -> LoadError {
    LoadError::Damaged { keyspace, key: shown(key), reason: reason.to_string() }
}

fn encode(record: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    serde_json::to_writer(&mut bytes, record).expect("records have text keys, and a Vec takes all bytes");
    bytes
}

fn decode<T: DeserializeOwned>(keyspace: &'static str, key: &[u8], value: &[u8]) -> Result<T, LoadError> {
    let json = check_format(keyspace, key, value)?;
    serde_json::from_slice(json).map_err(|error| damaged(keyspace, key, error))
}

fn text_key<'k>(keyspace: &'static str, key: &'k [u8]) -> Result<&'k str, LoadError> {
    std::str::from_utf8(key).map_err(|_| damaged(keyspace, key, "its key is no text"))
}

/// A key for messages: text, or the hexadecimal digits of an id.
fn shown(key: &[u8]) -> String {
    match (<[u8; 32]>::try_from(key), std::str::from_utf8(key)) {
        (Ok(id), Err(_)) => CertificateId::from_bytes(id).to_string(),
        _ => String::from_utf8_lossy(key).into_owned(),
    }
}
