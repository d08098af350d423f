//! What must hold, as far as clients can know.
//!
//! - What was acknowledged reaches every persistent session whose subscription was acknowledged before it was sent, and
//!   one member of each group.
//! - Messages of one publisher and topic come in order, but for repetitions.
//! - No more are unacknowledged than the client's receive maximum, and no packet identifier is used twice at a time.
//! - Nothing is sent to who may not subscribe or not receive it, and nobody gets in under another's name.
//! - A session is present when it must be, and not when it has ended.

use super::client::{Kind, Promised, Stands, Subscription};
use super::trace::show;
use super::world::{EXPIRY, NO_SECRETS_CLIENT, WAVERING_CLIENT, Wavering, World, is_secret};
use mqtt_wire::topic::MatchRules;
use mqtt_wire::{ConnAck, Packet, Publish, ReasonCode, TopicFilter, TopicName};

/// The shared filters, by the numbers of their groups; nothing else matches their topics.
pub(super) const SHARED: [&str; 3] = ["$share/g/g/+", "$share/h/h/#", "$share/s/secret/shared"];
pub(super) const GROUP_TOPICS: [&str; 3] = ["g/a", "h/a", "secret/shared"];

fn matches(filter: &str, topic: &str) -> bool {
    !filter.starts_with('$')
        && TopicFilter::parse(filter).unwrap().matches(TopicName::parse(topic).unwrap(), MatchRules::Aws)
}

impl World {
    /// Who must get a message, if what is sent now is acknowledged.
    pub(super) fn promise(&self, topic: &str) -> Promised {
        let mut promised = Promised::default();
        for (at, client) in self.clients.iter().enumerate() {
            let may_hear = !is_secret(topic)
                || match at {
                    NO_SECRETS_CLIENT => false,
                    WAVERING_CLIENT => matches!(self.wavering, Wavering::Certain(true)),
                    _ => true,
                };
            let standing = client.filters.iter().filter(|(filter, one)| one.stands && matches(filter, topic));
            if may_hear && client.profile.kind == Kind::Subscriber {
                promised.clients.extend(standing.map(|(_, one)| (at, one.id, self.policy_epoch)));
            }
        }
        let group = GROUP_TOPICS.iter().position(|one| *one == topic);
        promised.group = group
            .filter(|group| self.members(*group) > 0)
            .map(|group| (group, self.groups[group].generation));
        promised
    }

    /// Members that may receive what is for the group.
    fn members(&self, group: usize) -> usize {
        let may_hear = |at: usize| at != NO_SECRETS_CLIENT || !is_secret(GROUP_TOPICS[group]);
        let members = self.clients.iter().enumerate().filter(|(at, client)| {
            may_hear(*at) && client.filters.get(SHARED[group]).is_some_and(|one| one.stands)
        });
        members.count()
    }

    /// Whether one of the promises to a client still holds.
    fn still_stands(&self, (at, id, epoch): (usize, u64, u64), topic: &str) -> bool {
        let stands = self.clients[at].filters.values().any(|one| one.stands && one.id == id);
        stands && (at != WAVERING_CLIENT || !is_secret(topic) || epoch == self.policy_epoch)
    }

    /// The server may have ended a subscription.
    pub(super) fn doubt(&mut self, at: usize, filter: &str) {
        let id = self.new_id();
        if let Some(one) = self.clients[at].filters.get_mut(filter) {
            *one = Subscription { stands: false, id };
        }
        let Some(group) = SHARED.iter().position(|shared| *shared == filter) else { return };
        if self.members(group) == 0 {
            self.groups[group].generation += 1;
            self.groups[group].expected.clear();
        }
    }

    /// The server has ended a session, or may have.
    pub(super) fn lose_session(&mut self, at: usize, session: Stands) {
        for filter in self.clients[at].filters.keys().copied().collect::<Vec<_>>() {
            self.doubt(at, filter);
        }
        let client = &mut self.clients[at];
        client.session = session;
        client.expected.clear();
        if session == Stands::No {
            client.filters.clear();
        }
    }

    /// A session whose client has been away for too long may have ended.
    pub(super) fn doubt_expired(&mut self, at: usize) {
        let is_late = self.clients[at].away_since.is_some_and(|since| self.now >= since + EXPIRY);
        if is_late && self.clients[at].session == Stands::Yes {
            self.lose_session(at, Stands::Perhaps);
        }
    }

    /// The server has written a packet; whether it arrives is another matter.
    pub(super) fn observe(&mut self, at: usize, packet: &Packet<'_>, starts_at: u64) {
        self.note(format_args!("    server: {} for {}", show(packet), self.clients[at].profile.name));
        match packet {
            Packet::ConnAck(connack) => self.observe_connack(at, connack),
            Packet::PubAck(ack) => {
                assert_eq!(ack.reason, ReasonCode::Success, "everybody may publish");
                let client = &self.clients[at];
                let in_flight = client.in_flight.iter().find(|one| one.packet_id == ack.packet_id);
                let promised = in_flight.and_then(|one| Some((one.message, one.promised.clone()?)));
                let (message, promised) = promised.expect("a PUBACK for what was sent on this link");
                self.keep_promise(message, &promised);
            }
            Packet::SubAck(suback) => {
                let Some((filter, true)) = self.clients[at].link.as_ref().and_then(|link| link.asked) else {
                    panic!("a SUBACK that nobody waits for")
                };
                let codes: Vec<_> = suback.codes.iter().collect();
                if self.clients[at].profile.kind == Kind::Barred {
                    assert_eq!(codes, [ReasonCode::NotAuthorized]);
                    self.counts.subscriptions_refused += 1;
                    return;
                }
                assert_eq!(codes, [ReasonCode::GrantedQoS1]);
                let is_kept = self.clients[at].link.as_ref().is_some_and(|link| link.is_persistent);
                if let Some(one) = self.clients[at].filters.get_mut(filter) {
                    one.stands = is_kept;
                }
            }
            Packet::UnsubAck(_) => {
                let Some((filter, false)) = self.clients[at].link.as_ref().and_then(|link| link.asked) else {
                    panic!("an UNSUBACK that nobody waits for")
                };
                self.clients[at].filters.remove(filter);
            }
            Packet::Publish(publish) => self.observe_publish(at, publish, starts_at),
            Packet::Disconnect(_) | Packet::PingResp => {}
            other => panic!("a server does not send {other:?}"),
        }
    }

    fn observe_connack(&mut self, at: usize, connack: &ConnAck<'_>) {
        assert_eq!(connack.reason, ReasonCode::Success);
        let session = self.clients[at].session;
        let Some(link) = &self.clients[at].link else { return };
        let (is_clean, is_persistent) = (link.is_clean, link.is_persistent);
        // The CONNECT may have been on its way for so long that the session ended meanwhile.
        let before = if link.session_before == Stands::Yes { session } else { link.session_before };
        match (connack.session_present, before) {
            (true, _) if is_clean => panic!("a session that was to end is present"),
            (true, Stands::No) => panic!("a session that has ended is present"),
            (false, Stands::Yes) if !is_clean => panic!("a session is lost"),
            (true, _) => self.counts.resumed += 1,
            (false, _) => self.lose_session(at, Stands::No),
        }
        // What a server ends whose store has failed may be there again when it starts anew.
        let has_failed = self.server.as_ref().is_some_and(|server| server.shared.store.failure().is_some());
        let client = &mut self.clients[at];
        client.session = match is_persistent {
            true => Stands::Yes,
            false if has_failed => Stands::Perhaps,
            false => Stands::No,
        };
        client.away_since = client.link.as_ref().is_some_and(|link| link.is_lost).then_some(self.now);
    }

    fn keep_promise(&mut self, message: usize, promised: &Promised) {
        self.counts.acknowledged += 1;
        let topic = self.messages[message].topic;
        for one in &promised.clients {
            if self.still_stands(*one, topic) && self.clients[one.0].expected.insert(message) {
                self.counts.promised += 1;
            }
        }
        if let Some((group, generation)) = promised.group
            && self.groups[group].generation == generation
            && self.groups[group].expected.insert(message)
        {
            self.counts.promised += 1;
        }
    }

    fn observe_publish(&self, at: usize, publish: &Publish<'_>, starts_at: u64) {
        let topic = publish.topic.expect("nobody here uses aliases").as_str();
        let client = &self.clients[at];
        let (name, kind) = (client.profile.name, client.profile.kind);
        assert!(
            matches!(kind, Kind::Subscriber | Kind::Visitor),
            "{name} has no subscription, and is sent {topic}"
        );
        if !is_secret(topic) {
            return;
        }
        assert!(at != NO_SECRETS_CLIENT, "{name} may not receive {topic}");
        if at == WAVERING_CLIENT && matches!(self.wavering, Wavering::Certain(false)) {
            let decided_before = client.link.as_ref().map_or(0, |link| link.decided_before);
            assert!(starts_at < decided_before, "{name} may no longer receive {topic}");
        }
    }

    /// A message has arrived.
    pub(super) fn hear(&mut self, at: usize, publish: &Publish<'_>) {
        let text = std::str::from_utf8(publish.payload).expect("what was published");
        let Some(message) = text.split(' ').next().and_then(|number| number.parse::<usize>().ok()) else {
            return;
        };
        let (client, published) = (&self.clients[at], &self.messages[message]);
        let (name, topic) = (client.profile.name, published.topic);
        assert_eq!(
            publish.topic.map(|topic| topic.as_str()),
            Some(topic),
            "{name} got another topic's message"
        );
        if let Some(packet_id) = publish.packet_id {
            let Some(link) = &client.link else { return };
            assert!(!link.outstanding.contains(&packet_id), "{name}: {packet_id} is in use already");
            assert!(
                link.outstanding.len() < usize::from(link.receive_maximum),
                "{name} has as many as its receive maximum of {} already",
                link.receive_maximum
            );
        }
        if !self.clients[at].got.insert(message) {
            self.counts.again += 1;
            return;
        }
        self.counts.delivered += 1;
        let promised = &self.messages[message].first_promised;
        let has_stood = promised.iter().any(|one| one.0 == at && self.still_stands(*one, topic));
        if publish.packet_id.is_some() && has_stood {
            let last = self.clients[at].last.insert((published_by(&self.messages, message), topic), message);
            assert!(
                last.is_none_or(|last| last < message),
                "{name} got message {message} of {topic} behind {}",
                last.unwrap_or_default()
            );
        }
    }

    /// Everything has arrived that must.
    pub(super) fn check_complete(&mut self) {
        for client in &self.clients {
            let name = client.profile.name;
            let lost: Vec<_> = client.expected.difference(&client.got).collect();
            assert!(lost.is_empty(), "{name} never got {lost:?}");
            assert!(client.in_flight.is_empty(), "{name} has no PUBACK of {:?}", client.in_flight);
        }
        for (group, shared) in self.groups.iter().zip(SHARED) {
            let nobody_got =
                |message: &&usize| !self.clients.iter().any(|client| client.got.contains(message));
            let lost: Vec<_> = group.expected.iter().filter(nobody_got).collect();
            assert!(lost.is_empty(), "nobody of {shared} ever got {lost:?}");
        }
    }
}

fn published_by(messages: &[super::world::Message], message: usize) -> usize {
    messages[message].publisher
}
