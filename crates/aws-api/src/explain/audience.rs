//! Who gets messages of a topic: subscribers, rules, and what nearly does.

use broker::{Audience, near_miss};
use mqtt_session::basic_ingest;
use mqtt_wire::TopicName;
use rules::Rule;
use serde_json::{Value, json};

use super::story;
use crate::cloud::Parts;

/// Rules that miss the topic by little and are named.
const NEAR_RULES_MAX: usize = 20;

/// Everybody who gets messages of the topic now. `why` says how we came to this topic.
pub(super) async fn described(parts: &Parts, topic: &str, why: &str) -> Value {
    if let Err(error) = TopicName::parse(topic) {
        return json!({ "topic": topic, "because": why, "summary": format!("nothing can be published to it: it {error}") });
    }
    let snapshot = parts.rules.snapshot();
    if let Some(ingest) = basic_ingest(topic) {
        let rule = snapshot.by_name(ingest.rule);
        let summary = match rule {
            Some(rule) if rule.is_enabled() => "basic ingest: only the rule that it names gets it".to_owned(),
            Some(_) => format!(
                "nobody gets it: rule `{}` is disabled; `aws iot enable-topic-rule --rule-name {0}`",
                ingest.rule
            ),
            None => format!(
                "nobody gets it: there is no rule `{}`; its name in the topic must be exact",
                ingest.rule
            ),
        };
        let rules: Vec<Value> = rule.map(|rule| self::rule(rule)).into_iter().collect();
        return json!({ "topic": topic, "because": why, "summary": summary, "rules": rules, "receivers": [], "near": [] });
    }
    let Audience { receivers, receivers_total, near, is_cut } = parts.broker.audience(topic).await.audience;
    let rules: Vec<Value> = snapshot.matching(topic).map(|found| rule(found)).collect();
    let rules_of_nobody = snapshot.iter().filter(|rule| rule.is_enabled()).filter_map(|rule| {
        let filter = rule.topic_filter()?;
        let miss = near_miss(topic, filter, parts.limits.match_rules)?;
        Some(json!({ "rule": rule.name(), "topicFilter": filter, "miss": miss.name(), "sentence": miss.sentence() }))
    });
    let near_rules: Vec<Value> = rules_of_nobody.take(NEAR_RULES_MAX).collect();
    let near = near.iter().map(|near| {
        let (miss, sentence) = (near.miss.name(), near.miss.sentence());
        json!({ "clientId": near.client_id, "topicFilter": near.filter, "miss": miss, "sentence": sentence })
    });
    let near: Vec<Value> = near.chain(near_rules).collect();
    let withheld = receivers.iter().filter(|receiver| receiver.withheld.is_some()).count();
    let receivers = receivers.iter().map(|receiver| {
        let reason = receiver.withheld.as_ref().map(|(reason, _)| reason);
        let blame = receiver.withheld.as_ref().and_then(|(_, blame)| blame.as_deref());
        json!({
            "clientId": receiver.client_id,
            "qos": receiver.qos.number(),
            "mayReceive": receiver.withheld.is_none(),
            "reason": reason,
            "policy": blame.map(|blame| story::policy(&parts.registry, blame)),
        })
    });
    json!({
        "topic": topic,
        "because": why,
        "summary": summary(receivers_total, withheld, rules.len(), near.len()),
        "receivers": receivers.collect::<Vec<_>>(),
        "receiversTotal": receivers_total,
        "rules": rules,
        "near": near,
        "nearIsCut": is_cut,
    })
}

fn rule(rule: &Rule) -> Value {
    let counters = rule.counters();
    json!({
        "ruleName": rule.name(),
        "isEnabled": rule.is_enabled(),
        "matched": counters.matched(),
        "sqlFailed": counters.failed(),
        "actionsSucceeded": counters.actions_succeeded(),
        "actionsFailed": counters.actions_failed(),
    })
}

fn summary(receivers: usize, withheld: usize, rules: usize, near: usize) -> String {
    let count = |count: usize, one: &str, more: &str| match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {more}"),
    };
    let mut text = match receivers {
        0 => "nobody is subscribed".to_owned(),
        _ if withheld == receivers => {
            format!("{} subscribed, and none may receive it", count(receivers, "client is", "clients are"))
        }
        _ if withheld > 0 => {
            format!(
                "{} subscribed, and {withheld} may not receive it",
                count(receivers, "client is", "clients are")
            )
        }
        _ => format!("{} subscribed", count(receivers, "client is", "clients are")),
    };
    text += &match rules {
        0 => "; no rule matches".to_owned(),
        _ => format!("; {}", count(rules, "rule matches", "rules match")),
    };
    if receivers == 0 && near > 0 {
        text += &format!("; {} by little", count(near, "filter misses it", "filters miss it"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries() {
        assert_eq!(summary(0, 0, 0, 0), "nobody is subscribed; no rule matches");
        assert_eq!(summary(0, 0, 1, 2), "nobody is subscribed; 1 rule matches; 2 filters miss it by little");
        assert_eq!(summary(1, 1, 0, 0), "1 client is subscribed, and none may receive it; no rule matches");
        assert_eq!(summary(3, 1, 2, 0), "3 clients are subscribed, and 1 may not receive it; 2 rules match");
    }
}
