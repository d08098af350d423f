//! Device shadows over REST.

use aws_model::shapes::iot_data::{
    DeleteThingShadowRequest, GetThingShadowRequest, ListNamedShadowsForThingRequest,
    ListNamedShadowsForThingResponse, UpdateThingShadowRequest,
};

use services::EventType;

use super::{iot_log, page_size};
use crate::dispatch::Call;
use crate::error::ApiError;
use crate::reply::Reply;
use crate::token;

pub(super) async fn get_thing_shadow(call: &Call, input: GetThingShadowRequest) -> Result<Reply, ApiError> {
    let (thing, name) = (input.thing_name, input.shadow_name);
    let got = call.parts().shadows.get(&thing, name.as_deref(), b"", now_s(call)).map_err(ApiError::from);
    iot_log::shadow(call, EventType::GetThingShadow, &thing, name.as_deref(), &got);
    Ok(json(got?))
}

pub(super) async fn update_thing_shadow(
    call: &Call,
    input: UpdateThingShadowRequest,
) -> Result<Reply, ApiError> {
    let (thing, name) = (input.thing_name, input.shadow_name);
    let done = call.parts().shadows.update(&thing, name.as_deref(), &call.body, now_s(call));
    let done = done.map_err(ApiError::from);
    iot_log::shadow(call, EventType::UpdateThingShadow, &thing, name.as_deref(), &done);
    let done = done?;
    call.committed(Some(done.position)).await?;
    Ok(json(done.value.accepted))
}

pub(super) async fn delete_thing_shadow(
    call: &Call,
    input: DeleteThingShadowRequest,
) -> Result<Reply, ApiError> {
    let (thing, name) = (input.thing_name, input.shadow_name);
    let done = call.parts().shadows.delete(&thing, name.as_deref(), b"", now_s(call));
    let done = done.map_err(ApiError::from);
    iot_log::shadow(call, EventType::DeleteThingShadow, &thing, name.as_deref(), &done);
    let done = done?;
    call.committed(Some(done.position)).await?;
    Ok(json(done.value.accepted))
}

pub(super) async fn list_named_shadows_for_thing(
    call: &Call,
    input: ListNamedShadowsForThingRequest,
) -> Result<ListNamedShadowsForThingResponse, ApiError> {
    let after = token::decode_option(call.operation.name, input.next_token.as_ref())?;
    let limit = page_size(input.page_size);
    let page = call.parts().shadows.list_named(&input.thing_name, after.as_deref(), limit);
    Ok(ListNamedShadowsForThingResponse {
        results: page.items,
        next_token: page.next.map(|key| token::encode(call.operation.name, &key)),
        timestamp: Some(now_s(call)),
    })
}

/// Shadows count in seconds.
fn now_s(call: &Call) -> i64 {
    call.now_ms.div_euclid(1000)
}

fn json(document: String) -> Reply {
    Reply::bytes(200, "application/json", document)
}
