//! What is logged to AWSIotLogsV2. What is decided about it is in `docs/spec/logging.md`.

use std::net::IpAddr;

use aws_model::shapes::iot::{
    DeleteV2LoggingLevelRequest, GetLoggingOptionsRequest, GetLoggingOptionsResponse,
    GetV2LoggingOptionsRequest, GetV2LoggingOptionsResponse, ListV2LoggingLevelsRequest,
    ListV2LoggingLevelsResponse, LogEventConfiguration, LogTarget as Target, LogTargetConfiguration,
    SetLoggingOptionsRequest, SetV2LoggingLevelRequest, SetV2LoggingOptionsRequest,
};
use services::{
    ChangeError, EventConfiguration, LogLevel, LogTarget, LoggingOptions, SettingsError, TargetType,
};

use super::page_size;
use crate::dispatch::Call;
use crate::error::ApiError;
use crate::token;

pub(super) async fn set_v2_logging_options(
    call: &Call,
    input: SetV2LoggingOptionsRequest,
) -> Result<(), ApiError> {
    let events = input.event_configurations.into_iter().map(|event| {
        Ok(EventConfiguration {
            level: event.log_level.as_deref().map(level).transpose()?,
            event_type: event.event_type,
            destination: event.log_destination,
        })
    });
    let options = LoggingOptions {
        role_arn: input.role_arn,
        default_level: input.default_log_level.as_deref().map(level).transpose()?,
        disable_all: input.disable_all_logs,
        events: Some(events.collect::<Result<_, ApiError>>()?),
    };
    let now_ms = call.now_ms;
    call.blocking(move |parts| parts.iot_log.set_options(options, now_ms)).await
}

pub(super) async fn get_v2_logging_options(
    call: &Call,
    input: GetV2LoggingOptionsRequest,
) -> Result<GetV2LoggingOptionsResponse, ApiError> {
    let options = call.parts().iot_log.options().ok_or_else(not_configured)?;
    let events = options.events.filter(|_| input.verbose == Some(true)).unwrap_or_default();
    let events = events.into_iter().map(|event| LogEventConfiguration {
        event_type: event.event_type,
        log_destination: event.destination,
        log_level: event.level.map(|level| level.name().to_owned()),
    });
    Ok(GetV2LoggingOptionsResponse {
        role_arn: options.role_arn,
        default_log_level: options.default_level.map(|level| level.name().to_owned()),
        disable_all_logs: options.disable_all,
        event_configurations: events.collect(),
    })
}

pub(super) async fn set_v2_logging_level(
    call: &Call,
    input: SetV2LoggingLevelRequest,
) -> Result<(), ApiError> {
    let target = target(&input.log_target.target_type, input.log_target.target_name)?;
    let level = level(&input.log_level)?;
    call.blocking(move |parts| parts.iot_log.set_level(target, level)).await
}

pub(super) async fn delete_v2_logging_level(
    call: &Call,
    input: DeleteV2LoggingLevelRequest,
) -> Result<(), ApiError> {
    let target = target(&input.target_type, Some(input.target_name))?;
    call.blocking(move |parts| parts.iot_log.delete_level(&target)).await
}

pub(super) async fn list_v2_logging_levels(
    call: &Call,
    input: ListV2LoggingLevelsRequest,
) -> Result<ListV2LoggingLevelsResponse, ApiError> {
    let after = token::decode_option(call.operation.name, input.next_token.as_ref())?;
    let mut levels = call.parts().iot_log.levels().ok_or_else(not_configured)?;
    levels.retain(|(target, _)| input.target_type.as_deref().is_none_or(|kind| kind == target.kind.name()));
    let key = |target: &LogTarget| format!("{}/{}", target.kind as u8, target.name);
    let begin = after
        .map_or(0, |after| levels.iter().position(|(target, _)| key(target) > after).unwrap_or(levels.len()));
    let size = page_size(input.max_results);
    let page = &levels[begin..levels.len().min(begin.saturating_add(size))];
    let is_last = begin + page.len() == levels.len();
    let next_token =
        page.last().filter(|_| !is_last).map(|(target, _)| token::encode(call.operation.name, &key(target)));
    let configuration = |(target, level): &(LogTarget, LogLevel)| LogTargetConfiguration {
        log_target: Some(Target {
            target_type: target.kind.name().to_owned(),
            target_name: (target.kind != TargetType::Default).then(|| target.name.clone()),
        }),
        log_level: Some(level.name().to_owned()),
    };
    let log_target_configurations = page.iter().map(configuration).collect();
    Ok(ListV2LoggingLevelsResponse { log_target_configurations, next_token })
}

/// The operations of before 2018: here they are about the same options.
pub(super) async fn set_logging_options(
    call: &Call,
    input: SetLoggingOptionsRequest,
) -> Result<(), ApiError> {
    let payload = input.logging_options_payload;
    let options = LoggingOptions {
        role_arn: Some(payload.role_arn),
        default_level: payload.log_level.as_deref().map(level).transpose()?,
        ..LoggingOptions::default()
    };
    let now_ms = call.now_ms;
    call.blocking(move |parts| parts.iot_log.set_options(options, now_ms)).await
}

pub(super) async fn get_logging_options(
    call: &Call,
    _input: GetLoggingOptionsRequest,
) -> Result<GetLoggingOptionsResponse, ApiError> {
    let options = call.parts().iot_log.options().unwrap_or_default();
    let log_level = options.default_level.map(|level| level.name().to_owned());
    Ok(GetLoggingOptionsResponse { role_arn: options.role_arn, log_level })
}

fn level(name: &str) -> Result<LogLevel, ApiError> {
    LogLevel::parse(name).ok_or_else(|| ApiError::invalid(format!("there is no log level {name}")))
}

fn target(kind: &str, name: Option<String>) -> Result<LogTarget, ApiError> {
    let kind = TargetType::parse(kind)
        .ok_or_else(|| ApiError::invalid(format!("there is no target type {kind}")))?;
    let name = match (kind, name) {
        (TargetType::Default, _) => String::new(),
        (_, Some(name)) if !name.is_empty() => name,
        _ => return Err(ApiError::invalid(format!("targetName is required for {}", kind.name()))),
    };
    if kind == TargetType::SourceIp && name.parse::<IpAddr>().is_err() {
        return Err(ApiError::invalid(format!("targetName `{name}` is no IP address")));
    }
    Ok(LogTarget { kind, name })
}

/// [AWS iot] NotConfiguredException: "The resource is not configured."
fn not_configured() -> ApiError {
    ApiError::modelled("NotConfiguredException", SettingsError::NotConfigured.to_string())
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Settings(SettingsError::NotConfigured) => not_configured(),
            ChangeError::Settings(error @ SettingsError::TooManyLevels) => {
                Self::modelled("LimitExceededException", error.to_string())
            }
            ChangeError::Settings(error @ SettingsError::Invalid(_)) => Self::invalid(error.to_string()),
            ChangeError::Store(error) => error.into(),
        }
    }
}
