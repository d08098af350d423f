//! Clients that are connected: who, to what, and what one may do to them.

use std::time::Duration;

use aws_model::shapes::iot_data::{
    DeleteConnectionRequest, GetConnectionRequest, GetConnectionResponse, ListSubscriptionsRequest,
    ListSubscriptionsResponse, PublishRequest, SendDirectMessageRequest, SendDirectMessageResponse,
    SubscriptionSummary,
};
use broker::{ClientState, ConnectionInfo, DirectMessage, Sent};

use super::{mqtt5, page_size, publish};
use crate::dispatch::Call;
use crate::error::ApiError;
use crate::token;

/// How long a confirmation is waited for when the caller does not say. [AWS iot-data SendDirectMessage] 1 to 15 s.
const CONFIRMATION_S_DEFAULT: i64 = 5;

pub(super) async fn get_connection(
    call: &Call,
    input: GetConnectionRequest,
) -> Result<GetConnectionResponse, ApiError> {
    let state = call.parts().broker.client(&input.client_id).await;
    let response = GetConnectionResponse { client_id: Some(input.client_id.clone()), ..Default::default() };
    match state.ok_or_else(|| unknown(&input.client_id))? {
        ClientState::Connected(info) => {
            let ConnectionInfo { since_ms, source, target, keep_alive_s, session_expiry_s } = info;
            let target = target.filter(|_| input.include_socket_information == Some(true));
            let source = Some(source).filter(|_| input.include_socket_information == Some(true));
            Ok(GetConnectionResponse {
                connected: Some(true),
                clean_session: Some(session_expiry_s == 0),
                session_expiry: Some(session_expiry_s.into()),
                connected_since: Some(since_ms),
                keep_alive_duration: Some(keep_alive_s.into()),
                source_ip: source.map(|address| address.ip().to_string()),
                source_port: source.map(|address| address.port().into()),
                target_ip: target.map(|address| address.ip().to_string()),
                target_port: target.map(|address| address.port().into()),
                ..response
            })
        }
        ClientState::Disconnected { since_ms, reason } => Ok(GetConnectionResponse {
            connected: Some(false),
            disconnected_since: Some(since_ms),
            disconnect_reason: Some(reason.name().to_owned()),
            ..response
        }),
    }
}

pub(super) async fn delete_connection(call: &Call, input: DeleteConnectionRequest) -> Result<(), ApiError> {
    let prevent_will = input.prevent_will_message.unwrap_or_default();
    let end_session = input.clean_session.unwrap_or_default();
    let ended = call.parts().broker.disconnect(&input.client_id, prevent_will, end_session).await;
    ended.ok_or_else(|| unknown(&input.client_id))
}

pub(super) async fn list_subscriptions(
    call: &Call,
    input: ListSubscriptionsRequest,
) -> Result<ListSubscriptionsResponse, ApiError> {
    let after = token::decode_option(call.operation.name, input.next_token.as_ref())?;
    let all = call.parts().broker.subscriptions_of(&input.client_id).await;
    let all = all.ok_or_else(|| unknown(&input.client_id))?;
    let begin = after.map_or(0, |after| all.partition_point(|(filter, _)| *filter <= after));
    let size = page_size(input.max_results);
    let page = &all[begin..all.len().min(begin.saturating_add(size))];
    let is_last = begin + page.len() == all.len();
    let next = page.last().filter(|_| !is_last).map(|(filter, _)| token::encode(call.operation.name, filter));
    let summary = |(filter, qos): &(String, mqtt_wire::QoS)| SubscriptionSummary {
        topic_filter: filter.clone(),
        qos: qos.number().into(),
    };
    Ok(ListSubscriptionsResponse { subscriptions: page.iter().map(summary).collect(), next_token: next })
}

pub(super) async fn send_direct_message(
    call: &Call,
    input: SendDirectMessageRequest,
) -> Result<SendDirectMessageResponse, ApiError> {
    publish::check_limits(&call.parts().limits, &input.topic, &call.body)?;
    mqtt_wire::TopicName::parse(&input.topic)
        .map_err(|error| ApiError::invalid(format!("The topic {error}")))?;
    // Also to one client: what begins with `$` would pass for the service's own word.
    if input.topic.starts_with('$') {
        return Err(ApiError::invalid("topics that begin with `$` are reserved"));
    }
    let timeout_s = input.timeout.unwrap_or(CONFIRMATION_S_DEFAULT);
    if !(1..=15).contains(&timeout_s) {
        return Err(ApiError::invalid("timeout must be 1 to 15 seconds"));
    }
    // The members have the same names and forms as those of Publish.
    let members = PublishRequest {
        content_type: input.content_type,
        correlation_data: input.correlation_data,
        payload_format_indicator: input.payload_format_indicator,
        response_topic: input.response_topic,
        user_properties: input.user_properties,
        ..PublishRequest::default()
    };
    let mut room = Vec::new();
    let properties = mqtt5::properties(&members, &mut room)?.as_bytes().to_vec();
    let confirm = input.confirmation.unwrap_or_default();
    let message = DirectMessage { topic: input.topic, payload: call.body.to_vec(), properties, confirm };
    let sent = call.parts().broker.send_to(&input.client_id, message);
    let timeout = Duration::from_secs(timeout_s.unsigned_abs());
    let Ok(sent) = tokio::time::timeout(timeout, sent).await else {
        let late = format!("The client did not confirm the message within {timeout_s} seconds");
        return Err(ApiError::modelled("GatewayTimeoutException", late));
    };
    match sent.ok_or_else(|| unknown(&input.client_id))? {
        Sent::Done => Ok(SendDirectMessageResponse {
            message: Some("OK".to_owned()),
            trace_id: Some(call.request_id.clone()),
        }),
        Sent::NotAllowed => Err(ApiError::modelled(
            "ForbiddenException",
            "The client's policies do not let it receive this topic",
        )),
        Sent::NoRoom => Err(ApiError::modelled(
            "ThrottlingException",
            "The client takes no more messages, or none of this size",
        )),
    }
}

fn unknown(client_id: &str) -> ApiError {
    ApiError::not_found(format!("No connection of client {client_id}"))
}
