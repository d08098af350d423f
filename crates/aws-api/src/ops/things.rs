//! Things.

use std::collections::BTreeMap;

use aws_model::shapes::iot::{
    AttributePayload, CreateThingRequest, CreateThingResponse, DeleteThingRequest, DeleteThingResponse,
    DescribeThingRequest, DescribeThingResponse, ListThingsRequest, ListThingsResponse, ThingAttribute,
    UpdateThingRequest, UpdateThingResponse,
};
use registry::{Thing, ThingConfig, ThingQuery, ThingUpdate};

use super::page_size;
use crate::dispatch::Call;
use crate::error::ApiError;
use crate::token;

pub(super) async fn create_thing(
    call: &Call,
    input: CreateThingRequest,
) -> Result<CreateThingResponse, ApiError> {
    let registry = &call.parts().registry;
    let config = ThingConfig {
        type_name: input.thing_type_name,
        billing_group: input.billing_group_name,
        attributes: input.attribute_payload.map(|payload| payload.attributes).unwrap_or_default(),
    };
    let done = registry.create_thing(&input.thing_name, config, call.now_ms)?;
    let thing = call.settled(done).await?;
    Ok(CreateThingResponse {
        thing_arn: Some(registry.identity().thing_arn(&thing.name)),
        thing_id: Some(thing.id.to_string()),
        thing_name: Some(thing.name.to_string()),
    })
}

pub(super) async fn describe_thing(
    call: &Call,
    input: DescribeThingRequest,
) -> Result<DescribeThingResponse, ApiError> {
    let registry = &call.parts().registry;
    let thing = registry.describe_thing(&input.thing_name)?;
    Ok(DescribeThingResponse {
        attributes: attributes(&thing),
        billing_group_name: None,
        default_client_id: Some(thing.name.to_string()),
        thing_arn: Some(registry.identity().thing_arn(&thing.name)),
        thing_id: Some(thing.id.to_string()),
        thing_name: Some(thing.name.to_string()),
        thing_type_name: thing.type_name.as_deref().map(str::to_owned),
        version: version(&thing),
    })
}

pub(super) async fn update_thing(
    call: &Call,
    input: UpdateThingRequest,
) -> Result<UpdateThingResponse, ApiError> {
    let merge = input.attribute_payload.as_ref().and_then(|payload| payload.merge).unwrap_or_default();
    let update = ThingUpdate {
        attributes: input.attribute_payload.map(|AttributePayload { attributes, .. }| attributes),
        merge,
        type_name: input.thing_type_name,
        remove_type: input.remove_thing_type.unwrap_or_default(),
        expected_version: expected_version(input.expected_version),
    };
    let done = call.parts().registry.update_thing(&input.thing_name, update)?;
    call.settled(done).await?;
    Ok(UpdateThingResponse {})
}

pub(super) async fn delete_thing(
    call: &Call,
    input: DeleteThingRequest,
) -> Result<DeleteThingResponse, ApiError> {
    let expected = expected_version(input.expected_version);
    let done = call.parts().registry.delete_thing(&input.thing_name, expected)?;
    call.settled(done).await?;
    Ok(DeleteThingResponse {})
}

pub(super) async fn list_things(
    call: &Call,
    input: ListThingsRequest,
) -> Result<ListThingsResponse, ApiError> {
    let registry = &call.parts().registry;
    let after = token::decode_option(call.operation.name, input.next_token.as_ref())?;
    let page = registry.list_things(&ThingQuery {
        after: after.as_deref(),
        limit: page_size(input.max_results),
        attribute_name: input.attribute_name.as_deref(),
        attribute_value: input.attribute_value.as_deref(),
        value_is_prefix: input.use_prefix_attribute_value.unwrap_or_default(),
        type_name: input.thing_type_name.as_deref(),
    })?;
    let things = page.items.iter().map(|thing| ThingAttribute {
        attributes: attributes(thing),
        thing_arn: Some(registry.identity().thing_arn(&thing.name)),
        thing_name: Some(thing.name.to_string()),
        thing_type_name: thing.type_name.as_deref().map(str::to_owned),
        version: version(thing),
    });
    Ok(ListThingsResponse {
        things: things.collect(),
        next_token: page.next.map(|key| token::encode(call.operation.name, &key)),
    })
}

fn attributes(thing: &Thing) -> BTreeMap<String, String> {
    thing.attributes.iter().map(|(name, value)| (String::from(&**name), String::from(&**value))).collect()
}

fn version(thing: &Thing) -> Option<i64> {
    i64::try_from(thing.version).ok()
}

/// A version below 0 is one that no thing has.
fn expected_version(asked: Option<i64>) -> Option<u64> {
    asked.map(|version| u64::try_from(version).unwrap_or(u64::MAX))
}
