//! Log groups and their retention. Also how groups are named in requests and answers.

use aws_model::shapes::logs::{
    CreateLogGroupRequest, DeleteLogGroupRequest, DeleteRetentionPolicyRequest, DescribeLogGroupsRequest,
    DescribeLogGroupsResponse, ListLogGroupsRequest, ListLogGroupsResponse, LogGroup, LogGroupSummary,
    PutRetentionPolicyRequest,
};
use logs::{GroupClass, GroupDescription, GroupsQuery, NewGroup};
use registry::Identity;
use registry::arn::Arn;

use crate::dispatch::Call;
use crate::error::ApiError;

/// Names that one DescribeLogGroups takes. [AWS logs DescribeLogGroups] `logGroupIdentifiers`: 50.
const IDENTIFIERS_MAX: usize = 50;

pub(super) async fn create_log_group(call: &Call, input: CreateLogGroupRequest) -> Result<(), ApiError> {
    if input.kms_key_id.is_some() {
        return Err(ApiError::invalid("kmsKeyId is not available yet."));
    }
    if input.deletion_protection_enabled == Some(true) {
        return Err(ApiError::invalid("deletionProtectionEnabled is not available yet."));
    }
    let group = NewGroup {
        name: input.log_group_name,
        class: class(input.log_group_class.as_ref()).unwrap_or_default(),
        tags: input.tags,
    };
    let now_ms = call.now_ms;
    call.blocking(move |parts| parts.logs.create_group(group, now_ms)).await
}

pub(super) async fn delete_log_group(call: &Call, input: DeleteLogGroupRequest) -> Result<(), ApiError> {
    call.blocking(move |parts| parts.logs.delete_group(&input.log_group_name)).await
}

pub(super) async fn describe_log_groups(
    call: &Call,
    input: DescribeLogGroupsRequest,
) -> Result<DescribeLogGroupsResponse, ApiError> {
    let identity = call.parts().registry.identity();
    only_this_account(identity, &input.account_identifiers, input.include_linked_accounts)?;
    if !input.log_group_identifiers.is_empty() {
        return named_groups(call, &input).await;
    }
    let page = call
        .blocking(move |parts| {
            parts.logs.groups(&GroupsQuery {
                name_prefix: input.log_group_name_prefix.as_deref(),
                name_contains: input.log_group_name_pattern.as_deref(),
                class: class(input.log_group_class.as_ref()),
                limit: limit(input.limit),
                next_token: input.next_token.as_deref(),
            })
        })
        .await?;
    Ok(DescribeLogGroupsResponse {
        log_groups: page.items.iter().map(|group| described(identity, group)).collect(),
        next_token: page.next_token,
    })
}

/// The groups of `logGroupIdentifiers`; those that are not there are left out.
async fn named_groups(
    call: &Call,
    input: &DescribeLogGroupsRequest,
) -> Result<DescribeLogGroupsResponse, ApiError> {
    if input.log_group_name_prefix.is_some() || input.log_group_name_pattern.is_some() {
        return Err(ApiError::invalid(
            "logGroupIdentifiers cannot be used with logGroupNamePrefix or logGroupNamePattern.",
        ));
    }
    let identity = call.parts().registry.identity();
    let identifiers = input.log_group_identifiers.iter().take(IDENTIFIERS_MAX);
    let names = identifiers.map(|identifier| name(identity, identifier)).collect::<Result<Vec<_>, _>>()?;
    let groups = call
        .blocking(move |parts| {
            let found = names.iter().filter_map(|name| parts.logs.group(name).ok());
            Ok::<_, ApiError>(found.collect::<Vec<_>>())
        })
        .await?;
    Ok(DescribeLogGroupsResponse {
        log_groups: groups.iter().map(|group| described(identity, group)).collect(),
        next_token: None,
    })
}

pub(super) async fn list_log_groups(
    call: &Call,
    input: ListLogGroupsRequest,
) -> Result<ListLogGroupsResponse, ApiError> {
    for (given, member) in [
        (!input.data_sources.is_empty(), "dataSources"),
        (!input.field_index_names.is_empty(), "fieldIndexNames"),
        (!input.log_group_tags.is_empty(), "logGroupTags"),
    ] {
        if given {
            return Err(ApiError::invalid(format!("{member} is not available yet.")));
        }
    }
    let identity = call.parts().registry.identity();
    only_this_account(identity, &input.account_identifiers, input.include_linked_accounts)?;
    let pattern = input.log_group_name_pattern.unwrap_or_default();
    if pattern.contains('|') {
        return Err(ApiError::invalid("Alternatives in logGroupNamePattern are not available yet."));
    }
    let page = call
        .blocking(move |parts| {
            // [AWS logs ListLogGroups] `^` anchors at the start; without it the name contains the text.
            let prefix = pattern.strip_prefix('^');
            parts.logs.groups(&GroupsQuery {
                name_prefix: prefix,
                name_contains: Some(pattern.as_str()).filter(|text| prefix.is_none() && !text.is_empty()),
                class: class(input.log_group_class.as_ref()),
                limit: limit(input.limit),
                next_token: input.next_token.as_deref(),
            })
        })
        .await?;
    let groups = page.items.iter().map(|group| LogGroupSummary {
        log_group_arn: Some(arn(identity, &group.name)),
        log_group_class: Some(group.class.as_str().to_owned()),
        log_group_name: Some(group.name.clone()),
    });
    Ok(ListLogGroupsResponse { log_groups: groups.collect(), next_token: page.next_token })
}

pub(super) async fn put_retention_policy(
    call: &Call,
    input: PutRetentionPolicyRequest,
) -> Result<(), ApiError> {
    call.blocking(move |parts| parts.logs.put_retention(&input.log_group_name, input.retention_in_days)).await
}

pub(super) async fn delete_retention_policy(
    call: &Call,
    input: DeleteRetentionPolicyRequest,
) -> Result<(), ApiError> {
    call.blocking(move |parts| parts.logs.delete_retention(&input.log_group_name)).await
}

/// The ARN of a group as `logGroupArn` has it; the older `arn` has `:*` behind it. [AWS verified.md 139]
pub(super) fn arn(identity: &Identity, group: &str) -> String {
    format!("arn:aws:logs:{}:{}:log-group:{group}", identity.region, identity.account_id)
}

/// The group that a request names, by name or by name or ARN.
pub(super) fn chosen(
    identity: &Identity,
    group_name: Option<String>,
    identifier: Option<&String>,
) -> Result<String, ApiError> {
    match (group_name, identifier) {
        (Some(name), None) => Ok(name),
        (None, Some(identifier)) => name(identity, identifier),
        (None, None) => {
            Err(ApiError::invalid("Either logGroupName or logGroupIdentifier must be specified."))
        }
        (Some(_), Some(_)) => {
            Err(ApiError::invalid("LogGroup name and LogGroup identifier are mutually exclusive parameters."))
        }
    }
}

/// One server is one account: nothing is linked to it, and it knows no groups of others.
fn only_this_account(
    identity: &Identity,
    accounts: &[String],
    include_linked: Option<bool>,
) -> Result<(), ApiError> {
    if include_linked == Some(true) || accounts.iter().any(|account| *account != identity.account_id) {
        return Err(ApiError::invalid("Log groups of other accounts are not available: there are none."));
    }
    Ok(())
}

/// The name of the group that an identifier, its name or ARN, stands for.
pub(super) fn name(identity: &Identity, identifier: &str) -> Result<String, ApiError> {
    let Some(arn) = Arn::parse(identifier) else { return Ok(identifier.to_owned()) };
    let name = arn.resource.strip_prefix("log-group:").filter(|_| arn.service == "logs");
    let name =
        name.ok_or_else(|| ApiError::invalid(format!("`{identifier}` is not the ARN of a log group")))?;
    if arn.region != identity.region || arn.account_id != identity.account_id {
        return Err(logs::LogsError::NoSuchGroup.into());
    }
    Ok(name.strip_suffix(":*").unwrap_or(name).to_owned())
}

/// A limit, which the model has bounded.
pub(super) fn limit(asked: Option<i64>) -> Option<usize> {
    asked.and_then(|asked| usize::try_from(asked).ok())
}

fn class(name: Option<&String>) -> Option<GroupClass> {
    name.and_then(|name| GroupClass::parse(name))
}

fn described(identity: &Identity, group: &GroupDescription) -> LogGroup {
    let arn = arn(identity, &group.name);
    LogGroup {
        arn: Some(format!("{arn}:*")),
        creation_time: Some(group.created_ms),
        log_group_arn: Some(arn),
        log_group_class: Some(group.class.as_str().to_owned()),
        log_group_name: Some(group.name.clone()),
        metric_filter_count: Some(0),
        retention_in_days: group.retention_days.map(i64::from),
        stored_bytes: i64::try_from(group.stored_bytes).ok(),
        ..LogGroup::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_named_in_three_ways() {
        let identity = Identity { region: "eu-west-1".to_owned(), account_id: "000000000000".to_owned() };
        let arn = arn(&identity, "/a/b");
        assert_eq!(arn, "arn:aws:logs:eu-west-1:000000000000:log-group:/a/b");
        for identifier in ["/a/b", &arn, &format!("{arn}:*")] {
            assert_eq!(name(&identity, identifier), Ok("/a/b".to_owned()));
        }
        assert_eq!(chosen(&identity, Some("g".to_owned()), None), Ok("g".to_owned()));
        assert!(chosen(&identity, Some("g".to_owned()), Some(&arn)).is_err());
        assert!(chosen(&identity, None, None).is_err());
        assert!(name(&identity, "arn:aws:s3:::bucket").is_err());
        let foreign = arn.replace("eu-west-1", "us-east-1");
        assert_eq!(name(&identity, &foreign), Err(logs::LogsError::NoSuchGroup.into()));
    }
}
