//! Who gets messages of a topic: subscribers, rules, and what nearly does.

use std::fmt;

use broker::{Audience, SharedGroup, near_miss};
use mqtt_session::{basic_ingest, check_topic};
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
    if let Err(excess) = check_topic(topic, &parts.limits) {
        let summary = format!("nothing can be published to it: it {excess}; whoever tries is disconnected");
        return json!({ "topic": topic, "because": why, "summary": summary });
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
    let Audience { receivers, receivers_total, groups, near, is_cut } =
        parts.broker.audience(topic).await.audience;
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
    let away = receivers.iter().filter(|receiver| receiver.is_away).count();
    let withheld = receivers.iter().filter(|receiver| receiver.withheld.is_some()).count();
    let receivers = receivers.iter().map(|receiver| {
        let reason = receiver.withheld.as_ref().map(|(reason, _)| reason);
        let blame = receiver.withheld.as_ref().and_then(|(_, blame)| blame.as_deref());
        json!({
            "clientId": receiver.client_id,
            "qos": receiver.qos.number(),
            "sharedSubscription": receiver.group,
            "isAway": receiver.is_away,
            "mayReceive": receiver.withheld.is_none(),
            "reason": reason,
            "policy": blame.map(|blame| story::policy(&parts.registry, blame)),
        })
    });
    let shared_by = groups.len();
    let groups = groups.iter().map(|group| {
        let SharedGroup { filter, members, online, queued, dropped } = group;
        json!({ "topicFilter": filter, "members": members, "online": online, "queued": queued, "dropped": dropped })
    });
    let summary = Summary {
        receivers: receivers_total,
        away,
        withheld,
        groups: shared_by,
        rules: rules.len(),
        near: near.len(),
    };
    json!({
        "topic": topic,
        "because": why,
        "summary": summary.to_string(),
        "sharedSubscriptions": groups.collect::<Vec<_>>(),
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

/// How many get it, in a sentence.
#[derive(Debug, Clone, Copy, Default)]
struct Summary {
    receivers: usize,
    away: usize,
    withheld: usize,
    groups: usize,
    rules: usize,
    near: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { receivers, away, withheld, groups, rules, near } = *self;
        let count = |count: usize, one: &str, more: &str| match count {
            1 => format!("1 {one}"),
            _ => format!("{count} {more}"),
        };
        let subscribed = || count(receivers, "client is", "clients are");
        match receivers {
            0 => f.write_str("nobody is subscribed")?,
            _ if withheld == receivers => write!(f, "{} subscribed, and none may receive it", subscribed())?,
            _ if withheld > 0 => write!(f, "{} subscribed, and {withheld} may not receive it", subscribed())?,
            _ => write!(f, "{} subscribed", subscribed())?,
        }
        if away > 0 {
            write!(f, ", {away} of them away")?;
        }
        if groups > 0 {
            let groups = count(groups, "shared subscription: one member", "shared subscriptions: one member");
            write!(f, "; {groups} of each gets it")?;
        }
        match rules {
            0 => f.write_str("; no rule matches")?,
            _ => write!(f, "; {}", count(rules, "rule matches", "rules match"))?,
        }
        if receivers == 0 && near > 0 {
            write!(f, "; {} by little", count(near, "filter misses it", "filters miss it"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries() {
        let none = Summary::default();
        assert_eq!(none.to_string(), "nobody is subscribed; no rule matches");
        assert_eq!(
            Summary { rules: 1, near: 2, ..none }.to_string(),
            "nobody is subscribed; 1 rule matches; 2 filters miss it by little"
        );
        assert_eq!(
            Summary { receivers: 1, withheld: 1, ..none }.to_string(),
            "1 client is subscribed, and none may receive it; no rule matches"
        );
        assert_eq!(
            Summary { receivers: 3, withheld: 1, rules: 2, ..none }.to_string(),
            "3 clients are subscribed, and 1 may not receive it; 2 rules match"
        );
        assert_eq!(
            Summary { receivers: 3, away: 1, groups: 1, ..none }.to_string(),
            "3 clients are subscribed, 1 of them away; 1 shared subscription: one member of each gets it; no rule matches"
        );
    }
}
