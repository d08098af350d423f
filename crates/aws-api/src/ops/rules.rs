//! Topic rules.

use aws_model::EpochSeconds;
use aws_model::shapes::iot::{
    CreateTopicRuleRequest, DeleteTopicRuleRequest, DisableTopicRuleRequest, EnableTopicRuleRequest,
    GetTopicRuleRequest, GetTopicRuleResponse, ListTopicRulesRequest, ListTopicRulesResponse,
    ReplaceTopicRuleRequest, TopicRule, TopicRuleListItem, TopicRulePayload,
};
use registry::Tag;
use rules::{ListQuery, RuleDefinition, RuleError};

use super::page_size;
use crate::dispatch::{Call, parameters};
use crate::error::ApiError;
use crate::token;

pub(super) async fn create_topic_rule(call: &Call, input: CreateTopicRuleRequest) -> Result<(), ApiError> {
    let parts = call.parts();
    let name = input.rule_name;
    let arn = parts.registry.identity().rule_arn(&name);
    let tags: Vec<Tag> = parameters(input.tags.as_deref().unwrap_or_default())
        .into_iter()
        .map(|(key, value)| Tag { key, value })
        .collect();
    let _alone = call.cloud.rules_with_tags.lock().await;
    let definition = definition(input.topic_rule_payload);
    parts.rules.check_new(&name, &definition).map_err(|error| refusal(call, error))?;
    // The tags first: a rule whose tags are refused or lost is not created, and what a crash between a rule's end and its
    // tags' end has left is not inherited.
    call.settled(parts.registry.set_tags(&arn, tags)?).await?;
    let created = parts.rules.create(&name, definition, call.now_ms).map_err(|error| refusal(call, error))?;
    call.rules_settled(created).await
}

pub(super) async fn get_topic_rule(
    call: &Call,
    input: GetTopicRuleRequest,
) -> Result<GetTopicRuleResponse, ApiError> {
    let parts = call.parts();
    let rule = parts.rules.rule(&input.rule_name).map_err(|error| refusal(call, error))?;
    let definition = rule.definition().clone();
    Ok(GetTopicRuleResponse {
        rule_arn: Some(parts.registry.identity().rule_arn(rule.name())),
        rule: Some(TopicRule {
            actions: definition.actions,
            aws_iot_sql_version: definition.aws_iot_sql_version,
            created_at: Some(EpochSeconds::from_ms(rule.created_at_ms())),
            description: definition.description,
            error_action: definition.error_action,
            rule_disabled: Some(definition.rule_disabled),
            rule_name: Some(rule.name().to_owned()),
            sql: Some(definition.sql),
        }),
    })
}

pub(super) async fn list_topic_rules(
    call: &Call,
    input: ListTopicRulesRequest,
) -> Result<ListTopicRulesResponse, ApiError> {
    let parts = call.parts();
    let after = token::decode_option(call.operation.name, input.next_token.as_ref())?;
    let page = parts.rules.list(&ListQuery {
        after: after.as_deref(),
        limit: page_size(input.max_results),
        topic: input.topic.as_deref(),
        disabled: input.rule_disabled,
    });
    let rules = page.items.iter().map(|rule| TopicRuleListItem {
        created_at: Some(EpochSeconds::from_ms(rule.created_at_ms())),
        rule_arn: Some(parts.registry.identity().rule_arn(rule.name())),
        rule_disabled: Some(!rule.is_enabled()),
        rule_name: Some(rule.name().to_owned()),
        topic_pattern: rule.topic_filter().map(str::to_owned),
    });
    Ok(ListTopicRulesResponse {
        rules: rules.collect(),
        next_token: page.next.map(|key| token::encode(call.operation.name, &key)),
    })
}

pub(super) async fn replace_topic_rule(call: &Call, input: ReplaceTopicRuleRequest) -> Result<(), ApiError> {
    let definition = definition(input.topic_rule_payload);
    let done = call.parts().rules.replace(&input.rule_name, definition);
    call.rules_settled(done.map_err(|error| refusal(call, error))?).await
}

/// A rule that is not there is deleted: what AWS answers then is not known, and clients that delete twice go on.
pub(super) async fn delete_topic_rule(call: &Call, input: DeleteTopicRuleRequest) -> Result<(), ApiError> {
    let parts = call.parts();
    let _alone = call.cloud.rules_with_tags.lock().await;
    match parts.rules.delete(&input.rule_name) {
        Ok(done) => call.rules_settled(done).await?,
        Err(RuleError::NoSuchRule { .. }) => return Ok(()),
        Err(error) => return Err(refusal(call, error)),
    }
    let arn = parts.registry.identity().rule_arn(&input.rule_name);
    call.settled(parts.registry.set_tags(&arn, Vec::new())?).await
}

pub(super) async fn enable_topic_rule(call: &Call, input: EnableTopicRuleRequest) -> Result<(), ApiError> {
    let done = call.parts().rules.enable(&input.rule_name);
    call.rules_settled(done.map_err(|error| refusal(call, error))?).await
}

pub(super) async fn disable_topic_rule(call: &Call, input: DisableTopicRuleRequest) -> Result<(), ApiError> {
    let done = call.parts().rules.disable(&input.rule_name);
    call.rules_settled(done.map_err(|error| refusal(call, error))?).await
}

fn definition(payload: TopicRulePayload) -> RuleDefinition {
    RuleDefinition {
        sql: payload.sql,
        description: payload.description,
        actions: payload.actions,
        rule_disabled: payload.rule_disabled.unwrap_or_default(),
        aws_iot_sql_version: payload.aws_iot_sql_version,
        error_action: payload.error_action,
    }
}

fn refusal(call: &Call, error: RuleError) -> ApiError {
    match error {
        RuleError::AlreadyExists { name } => {
            let arn = call.parts().registry.identity().rule_arn(&name);
            ApiError::already_exists(format!("Rule with name '{name}' already exists"), &name, &arn)
        }
        // [AWS iot, verified.md 55] Terraform takes it for "there is no such rule".
        RuleError::NoSuchRule { name } => {
            ApiError::modelled("UnauthorizedException", format!("Access to topic rule '{name}' was denied"))
        }
        RuleError::Sql(error) => ApiError::modelled("SqlParseException", error.to_string()),
        RuleError::InvalidName { .. }
        | RuleError::UnknownSqlVersion { .. }
        | RuleError::TooManyActions { .. }
        | RuleError::InvalidAction { .. } => ApiError::invalid(error.to_string()),
        RuleError::Reread(_) => ApiError::unavailable(&error),
        RuleError::Store(error) => error.into(),
    }
}
