//! Policies attached to principals, and what they allow.

use std::sync::Arc;

use aws_model::shapes::iot::{
    Allowed, AttachPolicyRequest, AttachPrincipalPolicyRequest, AuthInfo, AuthResult, Denied,
    DetachPolicyRequest, DetachPrincipalPolicyRequest, EffectivePolicy, ExplicitDeny,
    GetEffectivePoliciesRequest, GetEffectivePoliciesResponse, ImplicitDeny, ListAttachedPoliciesRequest,
    ListAttachedPoliciesResponse, ListPolicyPrincipalsRequest, ListPolicyPrincipalsResponse,
    ListPrincipalPoliciesRequest, ListPrincipalPoliciesResponse, ListTargetsForPolicyRequest,
    ListTargetsForPolicyResponse, TestAuthorizationRequest, TestAuthorizationResponse,
};
use iot_policy::{Action, Effect};
use registry::arn::Arn;
use registry::{AuthorizationQuestion, AuthorizationResult, Policy};

use super::certificates::order;
use super::page_size;
use super::policies::listed;
use crate::dispatch::Call;
use crate::error::ApiError;
use crate::token;

pub(super) async fn attach_policy(call: &Call, input: AttachPolicyRequest) -> Result<(), ApiError> {
    let done = call.parts().registry.attach_policy(&input.policy_name, &input.target)?;
    call.settled(done).await
}

pub(super) async fn detach_policy(call: &Call, input: DetachPolicyRequest) -> Result<(), ApiError> {
    let done = call.parts().registry.detach_policy(&input.policy_name, &input.target)?;
    call.settled(done).await
}

pub(super) async fn attach_principal_policy(
    call: &Call,
    input: AttachPrincipalPolicyRequest,
) -> Result<(), ApiError> {
    let done = call.parts().registry.attach_policy(&input.policy_name, &input.principal)?;
    call.settled(done).await
}

pub(super) async fn detach_principal_policy(
    call: &Call,
    input: DetachPrincipalPolicyRequest,
) -> Result<(), ApiError> {
    let done = call.parts().registry.detach_policy(&input.policy_name, &input.principal)?;
    call.settled(done).await
}

pub(super) async fn list_attached_policies(
    call: &Call,
    input: ListAttachedPoliciesRequest,
) -> Result<ListAttachedPoliciesResponse, ApiError> {
    let after = token::decode_option(call.operation.name, input.marker.as_ref())?;
    let limit = page_size(input.page_size);
    let page = call.parts().registry.list_attached_policies(&input.target, after.as_deref(), limit)?;
    Ok(ListAttachedPoliciesResponse {
        policies: names(call, &page.items),
        next_marker: page.next.map(|key| token::encode(call.operation.name, &key)),
    })
}

pub(super) async fn list_principal_policies(
    call: &Call,
    input: ListPrincipalPoliciesRequest,
) -> Result<ListPrincipalPoliciesResponse, ApiError> {
    let after = token::decode_option(call.operation.name, input.marker.as_ref())?;
    let page = call.parts().registry.list_principal_policies(
        &input.principal,
        order(input.ascending_order),
        after.as_deref(),
        page_size(input.page_size),
    )?;
    Ok(ListPrincipalPoliciesResponse {
        policies: names(call, &page.items),
        next_marker: page.next.map(|key| token::encode(call.operation.name, &key)),
    })
}

pub(super) async fn list_targets_for_policy(
    call: &Call,
    input: ListTargetsForPolicyRequest,
) -> Result<ListTargetsForPolicyResponse, ApiError> {
    let after = token::decode_option(call.operation.name, input.marker.as_ref())?;
    let limit = page_size(input.page_size);
    let page = call.parts().registry.list_targets_for_policy(&input.policy_name, after.as_deref(), limit)?;
    Ok(ListTargetsForPolicyResponse {
        targets: page.items,
        next_marker: page.next.map(|key| token::encode(call.operation.name, &key)),
    })
}

pub(super) async fn list_policy_principals(
    call: &Call,
    input: ListPolicyPrincipalsRequest,
) -> Result<ListPolicyPrincipalsResponse, ApiError> {
    let after = token::decode_option(call.operation.name, input.marker.as_ref())?;
    let page = call.parts().registry.list_policy_principals(
        &input.policy_name,
        order(input.ascending_order),
        after.as_deref(),
        page_size(input.page_size),
    )?;
    Ok(ListPolicyPrincipalsResponse {
        principals: page.items,
        next_marker: page.next.map(|key| token::encode(call.operation.name, &key)),
    })
}

pub(super) async fn get_effective_policies(
    call: &Call,
    input: GetEffectivePoliciesRequest,
) -> Result<GetEffectivePoliciesResponse, ApiError> {
    without_cognito(input.cognito_identity_pool_id.as_ref())?;
    let registry = &call.parts().registry;
    let policies =
        registry.get_effective_policies(input.principal.as_deref(), input.thing_name.as_deref())?;
    let policies = policies.iter().map(|policy| EffectivePolicy {
        policy_arn: Some(registry.identity().policy_arn(&policy.name)),
        policy_document: Some(policy.default_version().document.to_string()),
        policy_name: Some(policy.name.to_string()),
    });
    Ok(GetEffectivePoliciesResponse { effective_policies: policies.collect() })
}

pub(super) async fn test_authorization(
    call: &Call,
    input: TestAuthorizationRequest,
) -> Result<TestAuthorizationResponse, ApiError> {
    without_cognito(input.cognito_identity_pool_id.as_ref())?;
    let asked = input
        .auth_infos
        .iter()
        .map(|info| {
            if let Some(resource) = info.resources.iter().find(|resource| Arn::parse(resource).is_none()) {
                return Err(ApiError::invalid(format!("`{resource}` in authInfos is not an ARN")));
            }
            Ok((action(info.action_type.as_ref())?, info.resources.clone()))
        })
        .collect::<Result<Vec<_>, ApiError>>()?;
    let question = AuthorizationQuestion {
        principal: input.principal.as_deref(),
        client_id: input.client_id.as_deref(),
        policies_to_add: &input.policy_names_to_add,
        policies_to_skip: &input.policy_names_to_skip,
    };
    let results = call.parts().registry.test_authorization(&question, &asked)?;
    let results = input.auth_infos.into_iter().zip(results).map(|(info, result)| answer(call, info, &result));
    Ok(TestAuthorizationResponse { auth_results: results.collect() })
}

fn answer(call: &Call, info: AuthInfo, result: &AuthorizationResult) -> AuthResult {
    let named = |names: &[Arc<str>]| names.iter().map(|name| listed(call, name)).collect::<Vec<_>>();
    let decision = match result.effect {
        Effect::Allowed => "ALLOWED",
        Effect::ExplicitDeny => "EXPLICIT_DENY",
        Effect::ImplicitDeny => "IMPLICIT_DENY",
    };
    AuthResult {
        allowed: Some(Allowed { policies: named(&result.allowing) }),
        auth_decision: Some(decision.to_owned()),
        auth_info: Some(info),
        denied: Some(Denied {
            explicit_deny: Some(ExplicitDeny { policies: named(&result.denying) }),
            implicit_deny: Some(ImplicitDeny { policies: named(&result.silent) }),
        }),
        missing_context_values: result.missing_context.clone(),
    }
}

fn action(name: Option<&String>) -> Result<Action, ApiError> {
    match name.map(String::as_str) {
        Some("PUBLISH") => Ok(Action::Publish),
        Some("SUBSCRIBE") => Ok(Action::Subscribe),
        Some("RECEIVE") => Ok(Action::Receive),
        Some("CONNECT") => Ok(Action::Connect),
        _ => Err(ApiError::invalid("each of authInfos needs an actionType")),
    }
}

fn without_cognito(pool: Option<&String>) -> Result<(), ApiError> {
    match pool {
        None => Ok(()),
        Some(_) => Err(ApiError::invalid("Cognito identity pools are not available in eyot")),
    }
}

fn names(call: &Call, policies: &[Arc<Policy>]) -> Vec<aws_model::shapes::iot::Policy> {
    policies.iter().map(|policy| listed(call, &policy.name)).collect()
}
