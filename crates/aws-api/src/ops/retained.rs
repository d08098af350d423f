//! Retained messages over REST.

use aws_model::shapes::iot_data::{
    GetRetainedMessageRequest, GetRetainedMessageResponse, ListRetainedMessagesRequest,
    ListRetainedMessagesResponse, RetainedMessageSummary,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use mqtt_session::Attached;

use services::EventType;

use super::{iot_log, mqtt5, page_size};
use crate::dispatch::Call;
use crate::error::ApiError;
use crate::token;

pub(super) async fn get_retained_message(
    call: &Call,
    input: GetRetainedMessageRequest,
) -> Result<GetRetainedMessageResponse, ApiError> {
    let message = call.parts().retained.get(&input.topic, call.now_ms);
    let message =
        message.ok_or_else(|| ApiError::not_found(format!("No retained message on topic {}", input.topic)));
    iot_log::retained(call, EventType::GetRetainedMessage, Some(&input.topic), &message);
    let message = message?;
    Ok(GetRetainedMessageResponse {
        topic: Some(message.topic.to_string()),
        payload: Some(STANDARD.encode(&message.payload)),
        qos: Some(message.qos.into()),
        last_modified_time: Some(message.modified_at_ms),
        user_properties: mqtt5::user_properties_of(
            &Attached::from_stored(&message.properties, None).properties(),
        ),
    })
}

pub(super) async fn list_retained_messages(
    call: &Call,
    input: ListRetainedMessagesRequest,
) -> Result<ListRetainedMessagesResponse, ApiError> {
    let after = token::decode_option(call.operation.name, input.next_token.as_ref())?;
    let page = call.parts().retained.list(after.as_deref(), page_size(input.max_results), call.now_ms);
    iot_log::retained(call, EventType::ListRetainedMessages, None, &Ok(()));
    let summaries = page.items.iter().map(|message| RetainedMessageSummary {
        topic: Some(message.topic.to_string()),
        payload_size: i64::try_from(message.payload.len()).ok(),
        qos: Some(message.qos.into()),
        last_modified_time: Some(message.modified_at_ms),
    });
    Ok(ListRetainedMessagesResponse {
        retained_topics: summaries.collect(),
        next_token: page.next.map(|topic| token::encode(call.operation.name, &topic)),
    })
}
