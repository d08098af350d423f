//! Log events: in and out.

use aws_model::shapes::logs::{
    FilterLogEventsRequest, FilterLogEventsResponse, FilteredLogEvent, GetLogEventsRequest,
    GetLogEventsResponse, OutputLogEvent, PutLogEventsRequest, PutLogEventsResponse, RejectedLogEventsInfo,
};
use logs::{FilterQuery, GetQuery, InputEvent, PutOutcome, StreamChoice};

use super::logs_groups::{chosen, limit};
use crate::dispatch::Call;
use crate::error::ApiError;

pub(super) async fn put_log_events(
    call: &Call,
    input: PutLogEventsRequest,
) -> Result<PutLogEventsResponse, ApiError> {
    let events = input.log_events.into_iter();
    let events = events.map(|event| InputEvent { timestamp_ms: event.timestamp, message: event.message });
    let (group, stream) = (&input.log_group_name, &input.log_stream_name);
    let outcome = call.parts().logs.put_events(group, stream, events.collect(), call.now_ms).await?;
    Ok(PutLogEventsResponse {
        rejected_log_events_info: rejected(&outcome),
        next_sequence_token: Some(outcome.next_sequence_token),
        rejected_entity_info: None,
    })
}

fn rejected(outcome: &PutOutcome) -> Option<RejectedLogEventsInfo> {
    let index = |index: Option<usize>| index.and_then(|index| i64::try_from(index).ok());
    let info = RejectedLogEventsInfo {
        expired_log_event_end_index: index(outcome.expired_to),
        too_new_log_event_start_index: index(outcome.too_new_from),
        too_old_log_event_end_index: index(outcome.too_old_to),
    };
    let all = [outcome.expired_to, outcome.too_new_from, outcome.too_old_to];
    all.iter().any(Option::is_some).then_some(info)
}

pub(super) async fn get_log_events(
    call: &Call,
    input: GetLogEventsRequest,
) -> Result<GetLogEventsResponse, ApiError> {
    let identity = call.parts().registry.identity();
    let group = chosen(identity, input.log_group_name, input.log_group_identifier.as_ref())?;
    let now_ms = call.now_ms;
    let page = call
        .blocking(move |parts| {
            parts.logs.events(&GetQuery {
                group: &group,
                stream: &input.log_stream_name,
                start_ms: input.start_time,
                end_ms: input.end_time,
                from_head: input.start_from_head.unwrap_or_default(),
                limit: limit(input.limit),
                next_token: input.next_token.as_deref(),
                now_ms,
            })
        })
        .await?;
    let events = page.events.into_iter().map(|event| OutputLogEvent {
        ingestion_time: Some(event.ingestion_ms),
        message: Some(event.message),
        timestamp: Some(event.timestamp_ms),
    });
    Ok(GetLogEventsResponse {
        events: events.collect(),
        next_backward_token: Some(page.next_backward_token),
        next_forward_token: Some(page.next_forward_token),
    })
}

pub(super) async fn filter_log_events(
    call: &Call,
    input: FilterLogEventsRequest,
) -> Result<FilterLogEventsResponse, ApiError> {
    let identity = call.parts().registry.identity();
    let group = chosen(identity, input.log_group_name, input.log_group_identifier.as_ref())?;
    if !input.log_stream_names.is_empty() && input.log_stream_name_prefix.is_some() {
        return Err(ApiError::invalid("logStreamNamePrefix and logStreamNames are mutually exclusive."));
    }
    let now_ms = call.now_ms;
    let page = call
        .blocking(move |parts| {
            let names: Vec<&str> = input.log_stream_names.iter().map(String::as_str).collect();
            let streams = match &input.log_stream_name_prefix {
                Some(prefix) => StreamChoice::Prefix(prefix),
                None if names.is_empty() => StreamChoice::All,
                None => StreamChoice::Names(names),
            };
            parts.logs.filter(&FilterQuery {
                group: &group,
                streams,
                start_ms: input.start_time,
                end_ms: input.end_time,
                pattern: input.filter_pattern.as_deref(),
                limit: limit(input.limit),
                next_token: input.next_token.as_deref(),
                now_ms,
            })
        })
        .await?;
    let events = page.items.into_iter().map(|event| FilteredLogEvent {
        event_id: Some(event.id),
        ingestion_time: Some(event.ingestion_ms),
        log_stream_name: Some(event.stream),
        message: Some(event.message),
        timestamp: Some(event.timestamp_ms),
    });
    Ok(FilterLogEventsResponse {
        events: events.collect(),
        next_token: page.next_token,
        // [AWS logs FilterLogEvents] Always empty since 2019.
        searched_log_streams: Vec::new(),
    })
}
