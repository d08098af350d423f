//! Tags of policies and rules.

use aws_model::shapes::iot::{
    ListTagsForResourceRequest, ListTagsForResourceResponse, Tag as SentTag, TagResourceRequest,
    TagResourceResponse, UntagResourceRequest, UntagResourceResponse,
};
use registry::Tag;

use crate::dispatch::Call;
use crate::error::ApiError;

pub(super) async fn tag_resource(
    call: &Call,
    input: TagResourceRequest,
) -> Result<TagResourceResponse, ApiError> {
    check_rule_exists(call, &input.resource_arn)?;
    let done = call.parts().registry.tag_resource(&input.resource_arn, given_tags(input.tags))?;
    call.settled(done).await?;
    Ok(TagResourceResponse {})
}

pub(super) async fn untag_resource(
    call: &Call,
    input: UntagResourceRequest,
) -> Result<UntagResourceResponse, ApiError> {
    check_rule_exists(call, &input.resource_arn)?;
    let done = call.parts().registry.untag_resource(&input.resource_arn, &input.tag_keys)?;
    call.settled(done).await?;
    Ok(UntagResourceResponse {})
}

pub(super) async fn list_tags_for_resource(
    call: &Call,
    input: ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResponse, ApiError> {
    if input.next_token.is_some() {
        return Err(ApiError::invalid("The pagination token is not valid."));
    }
    check_rule_exists(call, &input.resource_arn)?;
    let tags = call.parts().registry.list_tags_for_resource(&input.resource_arn)?;
    let tags = tags.into_iter().map(|tag| SentTag { key: tag.key, value: Some(tag.value) });
    // At most 50: there is one page.
    Ok(ListTagsForResourceResponse { tags: tags.collect(), next_token: None })
}

/// Tags as they are kept: one without a value has an empty one.
pub(super) fn given_tags(tags: Vec<SentTag>) -> Vec<Tag> {
    tags.into_iter().map(|tag| Tag { key: tag.key, value: tag.value.unwrap_or_default() }).collect()
}

/// The registry keeps rules' tags and does not know rules.
fn check_rule_exists(call: &Call, arn: &str) -> Result<(), ApiError> {
    let parts = call.parts();
    match parts.registry.identity().own_resource(arn)? {
        ("rule", name) if parts.rules.rule(name).is_err() => {
            Err(registry::Error::NoSuchResource { arn: arn.to_owned() }.into())
        }
        _ => Ok(()),
    }
}
