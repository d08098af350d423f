//! The operations that are served: which there are, and one file per noun for what they do.

mod authorization;
mod certificates;
mod connections;
mod endpoint;
mod errors;
mod iot_log;
mod logging;
mod logs_events;
mod logs_groups;
mod logs_streams;
mod logs_tags;
mod mqtt5;
mod policies;
mod principals;
mod publish;
mod retained;
mod rules;
mod shadows;
mod sts;
mod tags;
mod things;

use std::future::Future;
use std::pin::Pin;

use aws_model::{Protocol, Service};
use serde::Serialize;

use crate::dispatch::Call;
use crate::error::ApiError;
use crate::reply::Reply;

/// What a handler gives, in time.
pub(crate) type Outcome = Pin<Box<dyn Future<Output = Result<Reply, ApiError>> + Send>>;

/// Carries out a call.
pub(crate) type Handler = fn(Call) -> Outcome;

/// What a handler's answer becomes: a shape becomes JSON, `()` an empty body.
trait Answer {
    fn into_reply(self, protocol: Protocol) -> Reply;
}

impl<T: Serialize> Answer for T {
    fn into_reply(self, protocol: Protocol) -> Reply {
        Reply::json(200, &self, protocol)
    }
}

impl Answer for Reply {
    fn into_reply(self, _: Protocol) -> Reply {
        self
    }
}

/// The table of served operations: `handler(&Call, input) -> Result<answer, ApiError>`.
macro_rules! served {
    ($($service:ident { $($operation:ident => $handler:path,)+ })+) => {
        pub(crate) const SERVED: &[(Service, &str, Handler)] = &[$($((
            Service::$service,
            stringify!($operation),
            |mut call| Box::pin(async move {
                let input = call.typed()?;
                let answer = $handler(&call, input).await?;
                Ok(answer.into_reply(Service::$service.protocol()))
            }),
        ),)+)+];
    };
}

served! {
    Iot {
        CreateThing => things::create_thing,
        DescribeThing => things::describe_thing,
        UpdateThing => things::update_thing,
        DeleteThing => things::delete_thing,
        ListThings => things::list_things,

        AttachThingPrincipal => principals::attach_thing_principal,
        DetachThingPrincipal => principals::detach_thing_principal,
        ListThingPrincipals => principals::list_thing_principals,
        ListThingPrincipalsV2 => principals::list_thing_principals_v2,
        ListPrincipalThings => principals::list_principal_things,
        ListPrincipalThingsV2 => principals::list_principal_things_v2,

        CreateKeysAndCertificate => certificates::create_keys_and_certificate,
        CreateCertificateFromCsr => certificates::create_certificate_from_csr,
        RegisterCertificate => certificates::register_certificate,
        RegisterCertificateWithoutCA => certificates::register_certificate_without_ca,
        DescribeCertificate => certificates::describe_certificate,
        UpdateCertificate => certificates::update_certificate,
        DeleteCertificate => certificates::delete_certificate,
        ListCertificates => certificates::list_certificates,

        CreatePolicy => policies::create_policy,
        GetPolicy => policies::get_policy,
        DeletePolicy => policies::delete_policy,
        ListPolicies => policies::list_policies,
        CreatePolicyVersion => policies::create_policy_version,
        GetPolicyVersion => policies::get_policy_version,
        ListPolicyVersions => policies::list_policy_versions,
        DeletePolicyVersion => policies::delete_policy_version,
        SetDefaultPolicyVersion => policies::set_default_policy_version,

        AttachPolicy => authorization::attach_policy,
        DetachPolicy => authorization::detach_policy,
        ListAttachedPolicies => authorization::list_attached_policies,
        ListTargetsForPolicy => authorization::list_targets_for_policy,
        AttachPrincipalPolicy => authorization::attach_principal_policy,
        DetachPrincipalPolicy => authorization::detach_principal_policy,
        ListPrincipalPolicies => authorization::list_principal_policies,
        ListPolicyPrincipals => authorization::list_policy_principals,
        GetEffectivePolicies => authorization::get_effective_policies,
        TestAuthorization => authorization::test_authorization,

        CreateTopicRule => rules::create_topic_rule,
        GetTopicRule => rules::get_topic_rule,
        ListTopicRules => rules::list_topic_rules,
        ReplaceTopicRule => rules::replace_topic_rule,
        DeleteTopicRule => rules::delete_topic_rule,
        EnableTopicRule => rules::enable_topic_rule,
        DisableTopicRule => rules::disable_topic_rule,

        SetV2LoggingOptions => logging::set_v2_logging_options,
        GetV2LoggingOptions => logging::get_v2_logging_options,
        SetV2LoggingLevel => logging::set_v2_logging_level,
        DeleteV2LoggingLevel => logging::delete_v2_logging_level,
        ListV2LoggingLevels => logging::list_v2_logging_levels,
        SetLoggingOptions => logging::set_logging_options,
        GetLoggingOptions => logging::get_logging_options,

        DescribeEndpoint => endpoint::describe_endpoint,
        TagResource => tags::tag_resource,
        UntagResource => tags::untag_resource,
        ListTagsForResource => tags::list_tags_for_resource,
    }
    IotData {
        GetThingShadow => shadows::get_thing_shadow,
        UpdateThingShadow => shadows::update_thing_shadow,
        DeleteThingShadow => shadows::delete_thing_shadow,
        ListNamedShadowsForThing => shadows::list_named_shadows_for_thing,
        Publish => publish::publish,
        GetConnection => connections::get_connection,
        DeleteConnection => connections::delete_connection,
        ListSubscriptions => connections::list_subscriptions,
        SendDirectMessage => connections::send_direct_message,
        GetRetainedMessage => retained::get_retained_message,
        ListRetainedMessages => retained::list_retained_messages,
    }
    Logs {
        CreateLogGroup => logs_groups::create_log_group,
        DeleteLogGroup => logs_groups::delete_log_group,
        DescribeLogGroups => logs_groups::describe_log_groups,
        ListLogGroups => logs_groups::list_log_groups,
        PutRetentionPolicy => logs_groups::put_retention_policy,
        DeleteRetentionPolicy => logs_groups::delete_retention_policy,

        CreateLogStream => logs_streams::create_log_stream,
        DeleteLogStream => logs_streams::delete_log_stream,
        DescribeLogStreams => logs_streams::describe_log_streams,

        PutLogEvents => logs_events::put_log_events,
        GetLogEvents => logs_events::get_log_events,
        FilterLogEvents => logs_events::filter_log_events,

        TagResource => logs_tags::tag_resource,
        UntagResource => logs_tags::untag_resource,
        ListTagsForResource => logs_tags::list_tags_for_resource,
        TagLogGroup => logs_tags::tag_log_group,
        UntagLogGroup => logs_tags::untag_log_group,
        ListTagsLogGroup => logs_tags::list_tags_log_group,
    }
    Sts {
        GetCallerIdentity => sts::get_caller_identity,
    }
}

/// The served operations, by the service's name as botocore and the AWS CLI have it: for coverage pages.
pub fn served_operations() -> impl Iterator<Item = (&'static str, &'static str)> {
    SERVED.iter().map(|(service, operation, _)| (service.name(), *operation))
}

/// Items of a page when the caller does not say. [AWS iot] 25 for most lists, 250 at most.
const PAGE_ITEMS_DEFAULT: usize = 25;

/// The page size asked for; the model has bounded it.
fn page_size(asked: Option<i64>) -> usize {
    asked.and_then(|asked| usize::try_from(asked).ok()).unwrap_or(PAGE_ITEMS_DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// `served.txt` of `aws-model` is what typed shapes are generated for.
    #[test]
    fn every_operation_with_shapes_has_a_handler_and_none_has_two() {
        let listed: BTreeSet<(&str, &str)> = include_str!("../../../aws-model/served.txt")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once(' '))
            .collect();
        let served: BTreeSet<(&str, &str)> = served_operations().collect();
        assert_eq!(served, listed);
        assert_eq!(SERVED.len(), served.len());
        for (service, name, _) in SERVED {
            assert!(service.operation(name).is_some(), "{name}");
        }
    }
}
