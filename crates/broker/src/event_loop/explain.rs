//! What the loop tells whoever asks: about one client, about who gets messages of a topic, about what waits.

use super::EventLoop;
use crate::authorize::Denied;
use crate::clock::now_ms;
use crate::connection::Connection;
use crate::history::{
    AbsentReport, Asking, Audience, ClientReport, ConnectionReport, LastPublish, Load, NEAR_MISSES_MAX, Near,
    RECEIVERS_MAX, Receiver, SUBSCRIPTIONS_SCANNED_MAX, Subject, Survey, near_miss,
};
use crate::router::Found;
use crate::sessions::Recipient;
use crate::slots::Key;
use mqtt_session::Will;
use mqtt_wire::{QoS, SubscriptionOptions, TopicFilter};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

impl EventLoop {
    /// Everything that is known of a client.
    pub(super) fn report(&mut self, client_id: &str, key: Option<Key>) -> ClientReport {
        let of_connection = key.and_then(|key| self.connections.get(key)?.inbox.clone());
        let of_absence = || self.away.find(client_id).map(|(absent, _)| Arc::clone(&absent.inbox));
        if let Some(inbox) = of_connection.or_else(of_absence) {
            self.observe_dropped(&inbox);
        }
        ClientReport {
            connection: key.and_then(|key| self.report_connection(key)),
            absent: self.report_absent(client_id),
            left: self.presences.left(client_id, self.now),
            happenings: self.history.of(&Subject::Client(client_id.into())).cloned().collect(),
        }
    }

    fn report_connection(&self, key: Key) -> Option<ConnectionReport> {
        let (info, connection) = (self.info(key)?, self.connections.get(key)?);
        let session = &connection.session;
        let last_publish = connection.last_publish.zip(connection.client.published_topic());
        Some(ConnectionReport {
            info,
            principal: connection.client.who.principal.to_string(),
            version: session.peer().version,
            subscriptions: listed(session.subscriptions()),
            inflight: session.inflight_len(),
            queued: queued(connection),
            is_kept: connection.is_kept,
            is_blocked: connection.is_blocked(),
            will_topic: session.will().map(|will| will.topic().as_str().to_owned()),
            last_publish: last_publish.map(|(tally, topic)| LastPublish {
                at_ms: tally.at_ms,
                topic: topic.to_owned(),
                receivers: tally.receivers,
                withheld: tally.withheld,
                rules: tally.rules,
                failures: tally.failures,
            }),
        })
    }

    fn report_absent(&self, client_id: &str) -> Option<AbsentReport> {
        let (absent, will) = self.away.find(client_id)?;
        let now_ms = now_ms();
        let ms_of = |at: Instant| now_ms + at.saturating_duration_since(self.now).as_millis() as i64;
        let will_of = |(will, at): (&Will, Instant)| (will.topic().as_str().to_owned(), ms_of(at));
        Some(AbsentReport {
            version: absent.version,
            ends_at_ms: ms_of(absent.ends_at),
            subscriptions: listed(absent.subscriptions.iter().map(|(filter, options)| (&**filter, *options))),
            queued: absent.inbox.len(),
            will: will.map(will_of),
        })
    }

    /// Answers what every loop is asked.
    pub(super) fn take_part(&self, survey: &Survey) {
        match &survey.asking {
            Asking::Happenings(by) => {
                let found = self.history.all().filter(|happening| by.is_about(happening)).cloned().collect();
                survey.add(found, Audience::default());
            }
            Asking::Audience(topic) => survey.add(Vec::new(), self.audience(topic)),
            Asking::Load => survey.add_load(self.load()),
        }
    }

    fn load(&self) -> Load {
        let away = self.away.iter().map(|absent| absent.inbox.len() as u64).sum();
        let begin = Load { queued: away, ..Load::default() };
        self.connections.iter().fold(begin, |load, (_, connection)| Load {
            inflight: load.inflight + connection.session.inflight_len() as u64,
            queued: load.queued + queued(connection) as u64,
            outbox_bytes: load.outbox_bytes + connection.outbox.len() as u64,
            blocked: load.blocked + u64::from(connection.is_blocked()),
        })
    }

    fn audience(&self, topic: &str) -> Audience {
        let mut audience = Audience::default();
        let mut seen = HashSet::new();
        self.router.find(topic, |found| {
            let Found::Session(key, options) = found else { return };
            let Some(connection) = self.connections.get(key).filter(|_| seen.insert(key)) else { return };
            self.add_receiver(&mut audience, topic, &connection.client.who.client_id, options.qos, None);
        });
        let (recipients, groups) = self.shared.sessions.audience(topic);
        for Recipient { inbox, qos, .. } in recipients {
            if inbox.place == self.index && self.away.contains(&inbox.client_id) {
                self.add_receiver(&mut audience, topic, &inbox.client_id, qos, None);
            }
        }
        for group in groups {
            for (client_id, qos) in group.members_of(self.index) {
                self.add_receiver(&mut audience, topic, &client_id, qos, Some(&group.filter));
            }
            // All loops see the same groups: one tells of them.
            if self.index == 0 {
                audience.groups.push(group.report());
            }
        }
        self.add_near_misses(&mut audience, topic);
        audience
    }

    fn add_receiver(
        &self,
        audience: &mut Audience,
        topic: &str,
        client_id: &str,
        qos: QoS,
        group: Option<&str>,
    ) {
        audience.receivers_total += 1;
        if audience.receivers.len() >= RECEIVERS_MAX {
            return;
        }
        let key = self.clients.get(client_id);
        let connection = key.and_then(|key| self.connections.get(*key));
        let denied = connection.and_then(|connection| {
            connection.client.why_not_receive(&self.shared.registry, topic, group, now_ms() / 1_000)
        });
        let withheld = denied.map(|denied| match denied {
            Denied::NotActive(reason) => (reason, None),
            Denied::ByPolicy { reason, blame, .. } => (reason, Some(blame)),
        });
        let (client_id, group) = (client_id.to_owned(), group.map(str::to_owned));
        audience.receivers.push(Receiver { client_id, qos, group, is_away: connection.is_none(), withheld });
    }

    fn add_near_misses(&self, audience: &mut Audience, topic: &str) {
        let here = self.connections.iter().flat_map(|(_, connection)| {
            let client_id = &connection.client.who.client_id;
            connection.session.subscriptions().map(move |(filter, _)| (client_id, filter))
        });
        let away = self.away.iter().flat_map(|absent| {
            absent.subscriptions.keys().map(move |filter| (&absent.inbox.client_id, &**filter))
        });
        for (scanned, (client_id, filter)) in here.chain(away).enumerate() {
            if scanned >= SUBSCRIPTIONS_SCANNED_MAX || audience.near.len() >= NEAR_MISSES_MAX {
                audience.is_cut = true;
                break;
            }
            let shared = TopicFilter::parse(filter).ok().and_then(|parsed| parsed.shared().ok().flatten());
            let plain = shared.as_ref().map_or(filter, |shared| shared.filter.as_str());
            if let Some(miss) = near_miss(topic, plain, self.shared.limits.match_rules) {
                let (client_id, filter) = (client_id.to_string(), filter.to_owned());
                audience.near.push(Near { client_id, filter, miss });
            }
        }
    }
}

/// Messages that wait for a client that is here.
fn queued(connection: &Connection) -> usize {
    connection.session.pending_len() + connection.inbox.as_ref().map_or(0, |inbox| inbox.len())
}

fn listed<'f>(subscriptions: impl Iterator<Item = (&'f str, SubscriptionOptions)>) -> Vec<(String, QoS)> {
    subscriptions.map(|(filter, options)| (filter.to_owned(), options.qos)).collect()
}
