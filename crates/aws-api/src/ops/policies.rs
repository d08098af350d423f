//! Policies and their versions.

use aws_model::EpochSeconds;
use aws_model::shapes::iot::{
    CreatePolicyRequest, CreatePolicyResponse, CreatePolicyVersionRequest, CreatePolicyVersionResponse,
    DeletePolicyRequest, DeletePolicyVersionRequest, GetPolicyRequest, GetPolicyResponse,
    GetPolicyVersionRequest, GetPolicyVersionResponse, ListPoliciesRequest, ListPoliciesResponse,
    ListPolicyVersionsRequest, ListPolicyVersionsResponse, Policy as ListedPolicy,
    PolicyVersion as ListedVersion, SetDefaultPolicyVersionRequest,
};
use registry::Policy;

use super::certificates::order;
use super::page_size;
use super::tags::given_tags;
use crate::dispatch::Call;
use crate::error::ApiError;
use crate::token;

pub(super) async fn create_policy(
    call: &Call,
    input: CreatePolicyRequest,
) -> Result<CreatePolicyResponse, ApiError> {
    let tags = given_tags(input.tags);
    let registry = &call.parts().registry;
    let done = registry.create_policy(&input.policy_name, &input.policy_document, tags, call.now_ms)?;
    let policy = call.settled(done).await?;
    Ok(CreatePolicyResponse {
        policy_arn: Some(arn(call, &policy)),
        policy_name: Some(policy.name.to_string()),
        policy_document: Some(input.policy_document),
        policy_version_id: Some(policy.default_id.to_string()),
    })
}

pub(super) async fn get_policy(call: &Call, input: GetPolicyRequest) -> Result<GetPolicyResponse, ApiError> {
    let policy = call.parts().registry.get_policy(&input.policy_name)?;
    Ok(GetPolicyResponse {
        creation_date: Some(EpochSeconds::from_ms(policy.created_ms)),
        default_version_id: Some(policy.default_id.to_string()),
        generation_id: Some(policy.generation_id.to_string()),
        last_modified_date: Some(EpochSeconds::from_ms(policy.modified_ms)),
        policy_arn: Some(arn(call, &policy)),
        policy_document: Some(policy.default_version().document.to_string()),
        policy_name: Some(policy.name.to_string()),
    })
}

pub(super) async fn delete_policy(call: &Call, input: DeletePolicyRequest) -> Result<(), ApiError> {
    let done = call.parts().registry.delete_policy(&input.policy_name)?;
    call.settled(done).await
}

pub(super) async fn list_policies(
    call: &Call,
    input: ListPoliciesRequest,
) -> Result<ListPoliciesResponse, ApiError> {
    let after = token::decode_option(call.operation.name, input.marker.as_ref())?;
    let limit = page_size(input.page_size);
    let page = call.parts().registry.list_policies(order(input.ascending_order), after.as_deref(), limit)?;
    Ok(ListPoliciesResponse {
        policies: page.items.iter().map(|policy| listed(call, &policy.name)).collect(),
        next_marker: page.next.map(|key| token::encode(call.operation.name, &key)),
    })
}

pub(super) async fn create_policy_version(
    call: &Call,
    input: CreatePolicyVersionRequest,
) -> Result<CreatePolicyVersionResponse, ApiError> {
    let default = input.set_as_default.unwrap_or_default();
    let registry = &call.parts().registry;
    let done =
        registry.create_policy_version(&input.policy_name, &input.policy_document, default, call.now_ms)?;
    let (policy, version) = call.settled(done).await?;
    Ok(CreatePolicyVersionResponse {
        is_default_version: Some(policy.default_id == version.id),
        policy_arn: Some(arn(call, &policy)),
        policy_document: Some(input.policy_document),
        policy_version_id: Some(version.id.to_string()),
    })
}

pub(super) async fn get_policy_version(
    call: &Call,
    input: GetPolicyVersionRequest,
) -> Result<GetPolicyVersionResponse, ApiError> {
    let registry = &call.parts().registry;
    let (policy, version) = registry.get_policy_version(&input.policy_name, &input.policy_version_id)?;
    Ok(GetPolicyVersionResponse {
        creation_date: Some(EpochSeconds::from_ms(version.created_ms)),
        generation_id: Some(policy.generation_id.to_string()),
        is_default_version: Some(policy.default_id == version.id),
        // A version never changes.
        last_modified_date: Some(EpochSeconds::from_ms(version.created_ms)),
        policy_arn: Some(arn(call, &policy)),
        policy_document: Some(version.document.to_string()),
        policy_name: Some(policy.name.to_string()),
        policy_version_id: Some(version.id.to_string()),
    })
}

pub(super) async fn list_policy_versions(
    call: &Call,
    input: ListPolicyVersionsRequest,
) -> Result<ListPolicyVersionsResponse, ApiError> {
    let policy = call.parts().registry.get_policy(&input.policy_name)?;
    let versions = policy.versions.iter().map(|version| ListedVersion {
        create_date: Some(EpochSeconds::from_ms(version.created_ms)),
        is_default_version: Some(policy.default_id == version.id),
        version_id: Some(version.id.to_string()),
    });
    Ok(ListPolicyVersionsResponse { policy_versions: versions.collect() })
}

pub(super) async fn delete_policy_version(
    call: &Call,
    input: DeletePolicyVersionRequest,
) -> Result<(), ApiError> {
    let registry = &call.parts().registry;
    let done = registry.delete_policy_version(&input.policy_name, &input.policy_version_id, call.now_ms)?;
    call.settled(done).await
}

pub(super) async fn set_default_policy_version(
    call: &Call,
    input: SetDefaultPolicyVersionRequest,
) -> Result<(), ApiError> {
    let registry = &call.parts().registry;
    let done =
        registry.set_default_policy_version(&input.policy_name, &input.policy_version_id, call.now_ms)?;
    call.settled(done).await
}

/// A policy as lists have it.
pub(super) fn listed(call: &Call, name: &str) -> ListedPolicy {
    ListedPolicy {
        policy_arn: Some(call.parts().registry.identity().policy_arn(name)),
        policy_name: Some(name.to_owned()),
    }
}

fn arn(call: &Call, policy: &Policy) -> String {
    call.parts().registry.identity().policy_arn(&policy.name)
}
