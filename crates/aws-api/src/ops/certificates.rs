//! Certificates.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_model::EpochSeconds;
use aws_model::shapes::iot::{
    Certificate as ListedCertificate, CertificateDescription, CertificateValidity,
    CreateCertificateFromCsrRequest, CreateCertificateFromCsrResponse, CreateKeysAndCertificateRequest,
    CreateKeysAndCertificateResponse, DeleteCertificateRequest, DescribeCertificateRequest,
    DescribeCertificateResponse, KeyPair, ListCertificatesRequest, ListCertificatesResponse,
    RegisterCertificateRequest, RegisterCertificateResponse, RegisterCertificateWithoutCARequest,
    RegisterCertificateWithoutCAResponse, TransferData, UpdateCertificateRequest,
};
use registry::{Certificate, CertificateId, CertificateStatus, Order};

use super::page_size;
use crate::dispatch::Call;
use crate::error::ApiError;
use crate::token;

pub(super) async fn create_keys_and_certificate(
    call: &Call,
    input: CreateKeysAndCertificateRequest,
) -> Result<CreateKeysAndCertificateResponse, ApiError> {
    let slot = signing_slot(call).await?;
    let issued = call.blocking(|parts| parts.authority.issue_from_new_key(SystemTime::now())).await?;
    drop(slot);
    let active = input.set_as_active.unwrap_or_default();
    let done = call.parts().registry.register_issued_certificate(&issued, active, call.now_ms)?;
    let certificate = call.settled(done).await?;
    Ok(CreateKeysAndCertificateResponse {
        certificate_arn: Some(arn(call, &certificate)),
        certificate_id: Some(certificate.id.to_string()),
        certificate_pem: Some(issued.certificate_pem),
        key_pair: issued.keys.map(|keys| KeyPair {
            private_key: Some(keys.private_key_pem),
            public_key: Some(keys.public_key_pem),
        }),
    })
}

pub(super) async fn create_certificate_from_csr(
    call: &Call,
    input: CreateCertificateFromCsrRequest,
) -> Result<CreateCertificateFromCsrResponse, ApiError> {
    let slot = signing_slot(call).await?;
    let csr = input.certificate_signing_request;
    let issued = call.blocking(move |parts| parts.authority.issue_from_csr(&csr, SystemTime::now())).await?;
    drop(slot);
    let active = input.set_as_active.unwrap_or_default();
    let done = call.parts().registry.register_issued_certificate(&issued, active, call.now_ms)?;
    let certificate = call.settled(done).await?;
    Ok(CreateCertificateFromCsrResponse {
        certificate_arn: Some(arn(call, &certificate)),
        certificate_id: Some(certificate.id.to_string()),
        certificate_pem: Some(issued.certificate_pem),
    })
}

pub(super) async fn register_certificate(
    call: &Call,
    input: RegisterCertificateRequest,
) -> Result<RegisterCertificateResponse, ApiError> {
    let active = input.set_as_active.unwrap_or_default();
    let status = status(input.status.as_ref()).or(active.then_some(CertificateStatus::Active));
    let ca = input.ca_certificate_pem.as_deref();
    let done = call.parts().registry.register_certificate(&input.certificate_pem, ca, status)?;
    let certificate = call.settled(done).await?;
    Ok(RegisterCertificateResponse {
        certificate_arn: Some(arn(call, &certificate)),
        certificate_id: Some(certificate.id.to_string()),
    })
}

pub(super) async fn register_certificate_without_ca(
    call: &Call,
    input: RegisterCertificateWithoutCARequest,
) -> Result<RegisterCertificateWithoutCAResponse, ApiError> {
    let status = status(input.status.as_ref());
    let registry = &call.parts().registry;
    let done = registry.register_certificate_without_ca(&input.certificate_pem, status, call.now_ms)?;
    let certificate = call.settled(done).await?;
    Ok(RegisterCertificateWithoutCAResponse {
        certificate_arn: Some(arn(call, &certificate)),
        certificate_id: Some(certificate.id.to_string()),
    })
}

pub(super) async fn describe_certificate(
    call: &Call,
    input: DescribeCertificateRequest,
) -> Result<DescribeCertificateResponse, ApiError> {
    let registry = &call.parts().registry;
    let certificate = registry.describe_certificate(&id(&input.certificate_id)?)?;
    Ok(DescribeCertificateResponse {
        certificate_description: Some(CertificateDescription {
            certificate_arn: Some(arn(call, &certificate)),
            certificate_id: Some(certificate.id.to_string()),
            certificate_mode: Some(certificate.mode.name().to_owned()),
            certificate_pem: Some(certificate.pem()),
            creation_date: Some(EpochSeconds::from_ms(certificate.created_ms)),
            customer_version: Some(i64::from(certificate.customer_version)),
            generation_id: Some(certificate.generation_id.to_string()),
            last_modified_date: Some(EpochSeconds::from_ms(certificate.modified_ms)),
            owned_by: Some(registry.identity().account_id.clone()),
            status: Some(certificate.status.name().to_owned()),
            transfer_data: Some(TransferData::default()),
            validity: Some(CertificateValidity {
                not_before: Some(EpochSeconds::from_seconds(certificate.not_before)),
                not_after: Some(EpochSeconds::from_seconds(certificate.not_after)),
            }),
            ca_certificate_id: None,
            previous_owned_by: None,
        }),
    })
}

pub(super) async fn update_certificate(call: &Call, input: UpdateCertificateRequest) -> Result<(), ApiError> {
    let status = CertificateStatus::parse(&input.new_status)
        .ok_or_else(|| ApiError::invalid("newStatus is not a certificate status"))?;
    let id = id(&input.certificate_id)?;
    let done = call.parts().registry.update_certificate(&id, status, call.now_ms)?;
    call.settled(done).await
}

pub(super) async fn delete_certificate(call: &Call, input: DeleteCertificateRequest) -> Result<(), ApiError> {
    let force = input.force_delete.unwrap_or_default();
    let done = call.parts().registry.delete_certificate(&id(&input.certificate_id)?, force)?;
    call.settled(done).await
}

pub(super) async fn list_certificates(
    call: &Call,
    input: ListCertificatesRequest,
) -> Result<ListCertificatesResponse, ApiError> {
    let after = token::decode_option(call.operation.name, input.marker.as_ref())?;
    let limit = page_size(input.page_size);
    let page =
        call.parts().registry.list_certificates(order(input.ascending_order), after.as_deref(), limit)?;
    let certificates = page.items.iter().map(|certificate| ListedCertificate {
        certificate_arn: Some(arn(call, certificate)),
        certificate_id: Some(certificate.id.to_string()),
        certificate_mode: Some(certificate.mode.name().to_owned()),
        creation_date: Some(EpochSeconds::from_ms(certificate.created_ms)),
        status: Some(certificate.status.name().to_owned()),
    });
    Ok(ListCertificatesResponse {
        certificates: certificates.collect(),
        next_marker: page.next.map(|key| token::encode(call.operation.name, &key)),
    })
}

/// [AWS iot] `isAscendingOrder` is false unless it is given.
pub(super) fn order(ascending: Option<bool>) -> Order {
    if ascending == Some(true) { Order::Ascending } else { Order::Descending }
}

/// How long a request waits for its turn to have a key made: some hundred keys.
///
/// Whoever hung up meanwhile is not noticed, and must not keep its connection for ever.
const SIGNING_WAIT: Duration = Duration::from_secs(10);

async fn signing_slot(call: &Call) -> Result<tokio::sync::SemaphorePermit<'_>, ApiError> {
    match tokio::time::timeout(SIGNING_WAIT, call.cloud.signing.acquire()).await {
        Ok(slot) => slot.map_err(|error| ApiError::internal(&error)),
        Err(_) => Err(ApiError::unavailable(&"too many certificates are asked for at the same time")),
    }
}

fn arn(call: &Call, certificate: &Arc<Certificate>) -> String {
    call.parts().registry.identity().certificate_arn(&certificate.id)
}

/// What the model lets through and is no id, such as `0x…`, is an id that no certificate has.
fn id(text: &str) -> Result<CertificateId, ApiError> {
    CertificateId::parse(text).map_err(|_| ApiError::from(registry::Error::NoSuchCertificate))
}

/// The model lets no other names through.
fn status(name: Option<&String>) -> Option<CertificateStatus> {
    name.and_then(|name| CertificateStatus::parse(name))
}
