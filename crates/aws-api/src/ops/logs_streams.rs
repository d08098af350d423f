//! Log streams.

use aws_model::shapes::logs::{
    CreateLogStreamRequest, DeleteLogStreamRequest, DescribeLogStreamsRequest, DescribeLogStreamsResponse,
    LogStream,
};
use logs::{StreamOrder, StreamsQuery};

use super::logs_groups::{arn, chosen, limit};
use crate::dispatch::Call;
use crate::error::ApiError;

pub(super) async fn create_log_stream(call: &Call, input: CreateLogStreamRequest) -> Result<(), ApiError> {
    let now_ms = call.now_ms;
    call.blocking(move |parts| {
        parts.logs.create_stream(&input.log_group_name, &input.log_stream_name, now_ms)
    })
    .await
}

pub(super) async fn delete_log_stream(call: &Call, input: DeleteLogStreamRequest) -> Result<(), ApiError> {
    call.blocking(move |parts| parts.logs.delete_stream(&input.log_group_name, &input.log_stream_name)).await
}

pub(super) async fn describe_log_streams(
    call: &Call,
    input: DescribeLogStreamsRequest,
) -> Result<DescribeLogStreamsResponse, ApiError> {
    let identity = call.parts().registry.identity();
    let group = chosen(identity, input.log_group_name, input.log_group_identifier.as_ref())?;
    let group_arn = arn(identity, &group);
    let order = match input.order_by.as_deref() {
        Some("LastEventTime") => StreamOrder::LastEventTime,
        _ => StreamOrder::Name,
    };
    let page = call
        .blocking(move |parts| {
            parts.logs.streams(&StreamsQuery {
                group: &group,
                name_prefix: input.log_stream_name_prefix.as_deref(),
                order,
                descending: input.descending.unwrap_or_default(),
                limit: limit(input.limit),
                next_token: input.next_token.as_deref(),
            })
        })
        .await?;
    let streams = page.items.into_iter().map(|stream| LogStream {
        arn: Some(format!("{group_arn}:log-stream:{}", stream.name)),
        creation_time: Some(stream.created_ms),
        first_event_timestamp: stream.first_event_ms,
        last_event_timestamp: stream.last_event_ms,
        last_ingestion_time: stream.last_ingestion_ms,
        log_stream_name: Some(stream.name),
        // [AWS logs LogStream] 0 since 2019; the group has the number.
        stored_bytes: Some(0),
        upload_sequence_token: Some(stream.upload_sequence_token),
    });
    Ok(DescribeLogStreamsResponse { log_streams: streams.collect(), next_token: page.next_token })
}
