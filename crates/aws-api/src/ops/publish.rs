//! Publish over HTTP. What is decided about it is in `docs/spec/http-publish.md`.

use aws_model::shapes::iot_data::PublishRequest;
use broker::{Publish, PublishError, Source};
use mqtt_session::{Limits, check_topic};
use mqtt_wire::properties::Carrier;
use mqtt_wire::{PacketKind, Properties, QoS};
use serde_json::json;

use super::mqtt5;
use crate::dispatch::Call;
use crate::error::ApiError;
use crate::reply::Reply;

pub(super) async fn publish(call: &Call, input: PublishRequest) -> Result<Reply, ApiError> {
    check_limits(&call.parts().limits, &input.topic, &call.body)?;
    let mut room = Vec::new();
    let properties = mqtt5::properties(&input, &mut room)?.as_bytes().to_vec();
    let topic = input.topic;
    let payload = call.body.clone();
    // The model has bounded it to 0 and 1.
    let qos = if input.qos == Some(1) { QoS::AtLeastOnce } else { QoS::AtMostOnce };
    let retain = input.retain.unwrap_or_default();
    let principal = call.principal.clone();
    let source_ip = call.source_ip;
    let trace_id = call.request_id.clone();
    // Rules run on the calling thread.
    let published = call
        .blocking(move |parts| {
            let source =
                Source { client_id: None, principal: Some(&principal), source_ip, trace_id: Some(&trace_id) };
            let properties = Properties::parse(&properties, Carrier::Packet(PacketKind::Publish));
            let properties = properties.expect("a block that was just made");
            parts.broker.publish(&Publish {
                topic: &topic,
                payload: &payload,
                qos,
                retain,
                properties,
                source,
            })
        })
        .await?;
    published.await?;
    // [AWS iot-data Publish, verified.md 133] The trace id is the request's id.
    let answer = json!({"message": "OK", "traceId": call.request_id});
    Ok(Reply::bytes(200, "application/json", answer.to_string()))
}

pub(super) fn check_limits(limits: &Limits, topic: &str, payload: &[u8]) -> Result<(), ApiError> {
    check_topic(topic, limits).map_err(|excess| ApiError::invalid(format!("The topic {excess}")))?;
    if payload.len() > limits.payload_bytes_max {
        return Err(ApiError::invalid(format!(
            "The payload exceeds the maximum size allowed: {} bytes",
            limits.payload_bytes_max
        )));
    }
    Ok(())
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Topic { .. } => Self::invalid(error.to_string()),
            // [AWS iot-data Publish] 429.
            PublishError::Throttled(throttled) => {
                Self::modelled("ThrottlingException", throttled.to_string())
            }
            PublishError::Journal(error) => error.into(),
        }
    }
}
