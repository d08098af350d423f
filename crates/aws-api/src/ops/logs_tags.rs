//! Tags of log groups, by ARN and by the older operations by name.

use std::collections::BTreeMap;

use aws_model::shapes::logs::{
    ListTagsForResourceRequest, ListTagsForResourceResponse, ListTagsLogGroupRequest,
    ListTagsLogGroupResponse, TagLogGroupRequest, TagResourceRequest, UntagLogGroupRequest,
    UntagResourceRequest,
};

use super::logs_groups::name;
use crate::dispatch::Call;
use crate::error::ApiError;

pub(super) async fn tag_resource(call: &Call, input: TagResourceRequest) -> Result<(), ApiError> {
    let group = tagged_group(call, &input.resource_arn)?;
    call.blocking(move |parts| parts.logs.tag(&group, &input.tags)).await
}

pub(super) async fn untag_resource(call: &Call, input: UntagResourceRequest) -> Result<(), ApiError> {
    let group = tagged_group(call, &input.resource_arn)?;
    call.blocking(move |parts| parts.logs.untag(&group, &input.tag_keys)).await
}

pub(super) async fn list_tags_for_resource(
    call: &Call,
    input: ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResponse, ApiError> {
    let group = tagged_group(call, &input.resource_arn)?;
    Ok(ListTagsForResourceResponse { tags: tags(call, group).await? })
}

pub(super) async fn tag_log_group(call: &Call, input: TagLogGroupRequest) -> Result<(), ApiError> {
    call.blocking(move |parts| parts.logs.tag(&input.log_group_name, &input.tags)).await
}

pub(super) async fn untag_log_group(call: &Call, input: UntagLogGroupRequest) -> Result<(), ApiError> {
    call.blocking(move |parts| parts.logs.untag(&input.log_group_name, &input.tags)).await
}

pub(super) async fn list_tags_log_group(
    call: &Call,
    input: ListTagsLogGroupRequest,
) -> Result<ListTagsLogGroupResponse, ApiError> {
    Ok(ListTagsLogGroupResponse { tags: tags(call, input.log_group_name).await? })
}

async fn tags(call: &Call, group: String) -> Result<BTreeMap<String, String>, ApiError> {
    call.blocking(move |parts| parts.logs.tags(&group)).await
}

/// Only groups have tags here: destinations and the like do not exist.
fn tagged_group(call: &Call, arn: &str) -> Result<String, ApiError> {
    if !arn.starts_with("arn:") {
        return Err(ApiError::invalid(format!("`{arn}` is not the ARN of a log group")));
    }
    name(call.parts().registry.identity(), arn)
}
