//! A message from publisher to rules: what it brings about, and how messages of the API come in.

use crate::clock::{self, now_ms};
use crate::iot_log;
use crate::lifecycle_events::Event;
use crate::message::Message;
use crate::sessions::{Concerned, Offer};
use crate::shared::Shared;
use crate::topics::{self, Topic};
use bytes::Bytes;
use mqtt_session::{Attached, Throttled};
use mqtt_wire::{Properties, QoS, TopicName};
use rules::{Consequences, Republish, RuleSet};
use services::{RetainedChange, RetainedChanges, RetainedMessage};
use std::collections::VecDeque;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use store::{AppendError, Commit, Position, Transaction};
use uuid::Uuid;

/// Messages that rules may publish because of one message, all steps together.
///
/// Ten republish actions that feed each other would make 10^8 of one message before the depth limit of `rules` ends
/// it; one message that ties up a loop for longer than a thousand others is a mistake in the rules.
const REPUBLISHES_MAX: usize = 1_000;

/// A message to publish that no MQTT client of ours sent.
#[derive(Debug, Clone, Copy)]
pub struct Publish<'a> {
    /// Where it goes. `$aws/rules/NAME/…` reaches the rule NAME and nobody else.
    pub topic: &'a str,
    /// What it says.
    pub payload: &'a [u8],
    /// 0 or 1.
    pub qos: QoS,
    /// Whether it is to be kept for later subscribers; an empty one ends that.
    pub retain: bool,
    /// What comes with it: properties of MQTT 5.
    pub properties: Properties<'a>,
    /// Whom rules see as its sender.
    pub source: Source<'a>,
}

/// Who sent a message, as rules see it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Source<'a> {
    /// `clientid()`.
    pub client_id: Option<&'a str>,
    /// `principal()`: a certificate id, or who signed the request.
    pub principal: Option<&'a str>,
    /// `sourceip()`.
    pub source_ip: Option<IpAddr>,
    /// `traceid()`; made up when there is none.
    pub trace_id: Option<&'a str>,
}

/// Why a message was not published. Nobody got it.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The topic is not one that messages can be published to.
    #[error("cannot publish to `{topic}`: {reason}")]
    Topic {
        /// The topic.
        topic: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Messages come too fast.
    #[error(transparent)]
    Throttled(#[from] Throttled),
    /// What the rules keep of it was refused by the journal.
    #[error(transparent)]
    Journal(#[from] AppendError),
}

/// Resolves when everything that rules keep of a message is durable.
#[must_use = "nothing may be acknowledged before this resolves"]
pub struct Published(Commit);

impl Published {
    /// Blocks the thread until it is durable.
    ///
    /// # Errors
    /// The reason why it will never be.
    pub fn wait(self) -> Result<(), AppendError> {
        self.0.wait().map(|_| ())
    }
}

impl Future for Published {
    type Output = Result<(), AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_ok(|_| ())
    }
}

/// A message on its way through router and rules.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incoming<'a> {
    pub(crate) topic: TopicName<'a>,
    pub(crate) payload: &'a [u8],
    pub(crate) qos: QoS,
    /// It is to be kept for later subscribers.
    pub(crate) retain: bool,
    /// What came with it.
    pub(crate) attached: &'a Attached,
    pub(crate) source: Source<'a>,
    /// Rules that handed it on before.
    pub(crate) depth: u8,
}

impl Incoming<'_> {
    /// What becomes of its topic's retained message.
    fn retained_change(&self) -> Option<RetainedChange> {
        // [AWS mqtt retain] Reserved topics have none.
        if !self.retain || self.topic.starts_with('$') {
            return None;
        }
        // [MQTT311 3.3.1-10] [MQTT311 3.3.1-11]
        if self.payload.is_empty() {
            return Some(RetainedChange::Remove(self.topic.as_str().into()));
        }
        Some(RetainedChange::Keep(Arc::new(RetainedMessage {
            topic: self.topic.as_str().into(),
            payload: Bytes::copy_from_slice(self.payload),
            qos: self.qos.number(),
            properties: self.attached.properties().as_bytes().into(),
            modified_at_ms: now_ms(),
            expires_at_ms: self.attached.expiry_s.map(|expiry_s| now_ms() + i64::from(expiry_s) * 1_000),
        })))
    }

    /// Runs rules on it.
    pub(crate) fn run_rules<'r>(
        &self,
        rules: impl IntoIterator<Item = &'r Arc<rules::Rule>>,
        consequences: &mut Consequences,
    ) {
        let mut rules = rules.into_iter().peekable();
        // Trace id and randomness are made only for a message that some rule looks at.
        if rules.peek().is_some() {
            self.with_rule_message(|message| rules.for_each(|rule| rule.execute(message, consequences)));
        }
    }

    /// Runs the one rule that a basic-ingest topic names.
    pub(crate) fn ingest(&self, rules: &RuleSet, consequences: &mut Consequences) {
        self.with_rule_message(|message| {
            rules.ingest(message, consequences);
        });
    }

    fn with_rule_message(&self, use_it: impl FnOnce(&rules::Message<'_>)) {
        let made_up;
        let trace_id = match self.source.trace_id {
            Some(trace_id) => trace_id,
            None => {
                made_up = Uuid::new_v4().to_string();
                &made_up
            }
        };
        use_it(&rules::Message {
            topic: self.topic.as_str(),
            payload: self.payload,
            client_id: self.source.client_id,
            principal: self.source.principal,
            source_ip: self.source.source_ip,
            now_ms: now_ms(),
            trace_id: Some(trace_id),
            depth: self.depth,
            seed: Uuid::new_v4().as_u128(),
        });
    }
}

/// What a message leaves behind, to be kept as a whole.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// What rules keep of it.
    pub(crate) transaction: Transaction,
    /// What becomes of retained messages, in order.
    retained: RetainedChanges,
    /// The message's topic, if it is to be retained itself.
    own_topic: Option<Box<str>>,
    /// Messages for sessions that must not miss them.
    offers: Vec<Offer>,
}

/// What became of a message's effects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    /// Where they are in the journal; [`Position::NONE`] when there was nothing.
    pub(crate) position: Position,
    /// The message itself was to be retained and is not: a limit is reached. What rules publish is not its sender's.
    pub(crate) is_refused: bool,
}

impl Effects {
    /// Those of no message: changes of the server's own.
    pub(crate) fn of(transaction: Transaction) -> Self {
        Self { transaction, ..Self::default() }
    }

    /// Those of a message that was not published: one session gets it.
    pub(crate) fn of_offer(offer: Offer) -> Self {
        Self { offers: vec![offer], ..Self::default() }
    }

    /// Whether there is nothing to keep.
    pub(crate) fn is_empty(&self) -> bool {
        self.transaction.is_empty() && self.retained.is_empty() && self.offers.is_empty()
    }

    /// Memory that they take, about.
    pub(crate) fn bytes_len(&self) -> usize {
        let offered: usize = self.offers.iter().map(Offer::bytes_len).sum();
        self.transaction.bytes_len() + self.retained.bytes_len() + offered
    }

    /// Gives it all to the journal, and the messages to the sessions that they are for.
    ///
    /// # Errors
    /// The journal's; nothing is kept then, and it may be tried again.
    pub(crate) fn append(&mut self, shared: &Shared) -> Result<Kept, AppendError> {
        let mut kept = None;
        // Mostly one record. Behind an error in between, what is left is tried again.
        while !self.offers.is_empty() {
            let next = self.append_offers(shared)?;
            let is_refused = next.is_refused || kept.is_some_and(|kept: Kept| kept.is_refused);
            kept = Some(Kept { is_refused, ..next });
        }
        kept.map_or_else(|| self.append_changes(shared), Ok)
    }

    /// Appends the changes together with as many offers as one record takes.
    fn append_offers(&mut self, shared: &Shared) -> Result<Kept, AppendError> {
        let (before, now) = (self.transaction.mark(), clock::now());
        let written = shared.sessions.write_offers(&self.offers, &mut self.transaction, now, now_ms());
        match self.append_changes(shared) {
            Ok(kept) => {
                written.take_from(&mut self.offers);
                let mut handed_out = shared.handed_out();
                shared.sessions.hand_out(written, &shared.account, now, &mut handed_out);
                shared.tell(handed_out);
                Ok(kept)
            }
            Err(error) => {
                self.transaction.rewind(before);
                Err(error)
            }
        }
    }

    fn append_changes(&mut self, shared: &Shared) -> Result<Kept, AppendError> {
        if self.retained.is_empty() {
            let position = shared.store.append_from(&mut self.transaction)?;
            return Ok(Kept { position, is_refused: false });
        }
        let position = shared.retained.append(&mut self.transaction, &mut self.retained, now_ms())?;
        for refused in self.retained.refused() {
            // [AWS General Reference] Above the quota messages are not retained; they are delivered.
            let (topic, reason) = (&*refused.topic, refused.limit);
            tracing::warn!(target: "eyot::delivery", topic, %reason, "not retained");
        }
        let is_own = |topic: &str| self.own_topic.as_deref() == Some(topic);
        let is_refused = self.retained.refused().iter().any(|refused| is_own(&refused.topic));
        Ok(Kept { position, is_refused })
    }

    /// Puts them off until others who wait for the journal had their turn, as if it had no room.
    pub(crate) fn wait(&mut self, shared: &Shared) -> AppendError {
        shared.retained.hold(&mut self.retained);
        AppendError::Backlog { limit_bytes: store::limits::BACKLOG_BYTES_MAX }
    }
}

/// Routes a message, then whatever rules publish because of it, and gives everything that is to be kept.
///
/// `route` runs the rules for one message and hands it to subscribers. What rules publish is a message of the server:
/// no policy is asked for it.
pub(crate) fn ripple(
    first: &Incoming<'_>,
    mut route: impl FnMut(&Incoming<'_>, &mut Consequences, &mut Vec<Offer>),
) -> Effects {
    let mut consequences = Consequences::default();
    let mut waiting = Waiting::default();
    let mut offers = Vec::new();
    let own = first.retained_change();
    let own_topic = own.as_ref().map(|change| change.topic().into());
    let mut retained = RetainedChanges::from(Vec::from_iter(own));
    route(first, &mut consequences, &mut offers);
    waiting.take(&mut consequences.republishes);
    let no_properties = Attached::default();
    while let Some(republish) = waiting.queue.pop_front() {
        let Ok(topic) = TopicName::parse(&republish.topic) else {
            // `rules` promises a topic name; a mistake there must not end a loop.
            tracing::error!(target: rules::LOG_TARGET, topic = republish.topic, "not a topic name");
            continue;
        };
        let incoming = Incoming {
            topic,
            payload: &republish.payload,
            qos: republish.qos,
            retain: republish.retain,
            attached: &no_properties,
            source: Source::default(),
            depth: republish.depth,
        };
        if let Some(change) = incoming.retained_change() {
            retained.push(change);
        }
        route(&incoming, &mut consequences, &mut offers);
        waiting.take(&mut consequences.republishes);
    }
    if waiting.dropped > 0 {
        tracing::error!(
            target: rules::LOG_TARGET, topic = first.topic.as_str(), dropped = waiting.dropped,
            reason = "rules that republish feed each other", "republished messages dropped"
        );
    }
    Effects { transaction: consequences.transaction, retained, own_topic, offers }
}

/// What rules have published and nobody has got yet.
#[derive(Debug, Default)]
struct Waiting {
    queue: VecDeque<Republish>,
    /// Messages that were ever in the queue.
    taken: usize,
    dropped: usize,
}

impl Waiting {
    /// Takes as many as will be routed. The others must not wait for that: each message may bring thousands of
    /// 128 KiB, and a thousand messages are routed.
    fn take(&mut self, republishes: &mut Vec<Republish>) {
        let count = republishes.len().min(REPUBLISHES_MAX - self.taken);
        self.taken += count;
        self.dropped += republishes.len() - count;
        self.queue.extend(republishes.drain(..count));
        republishes.clear();
    }
}

/// Publishes a message that did not come over MQTT, on the calling thread.
pub(crate) fn from_outside(shared: &Shared, publish: &Publish<'_>) -> Result<Published, PublishError> {
    let refused = |reason: String| PublishError::Topic { topic: publish.topic.to_owned(), reason };
    let topic = TopicName::parse(publish.topic).map_err(|error| refused(format!("it {error}")))?;
    if let Topic::Reserved(reason) = topics::of_publish(publish.topic) {
        return Err(refused(reason.to_owned()));
    }
    shared.account.publish_in_elsewhere(publish.retain.then_some(publish.topic), clock::now())?;
    let published = publish_to_all(shared, topic, publish)?;
    iot_log::published_over_http(&shared.iot_log, publish);
    Ok(published)
}

/// Publishes what the server itself has to say, on the calling thread. Nobody waits for it to be durable.
pub(crate) fn from_server(shared: &Shared, event: &Event) -> Result<(), PublishError> {
    let refused = |error| PublishError::Topic { topic: event.topic.clone(), reason: format!("it {error}") };
    let topic = TopicName::parse(&event.topic).map_err(refused)?;
    let publish = Publish {
        topic: &event.topic,
        payload: event.payload.as_bytes(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Properties::NONE,
        source: Source::default(),
    };
    publish_to_all(shared, topic, &publish).map(drop)
}

fn publish_to_all(
    shared: &Shared,
    topic: TopicName<'_>,
    publish: &Publish<'_>,
) -> Result<Published, PublishError> {
    let Publish { payload, qos, retain, source, .. } = *publish;
    let attached = &Attached::of(&publish.properties, &shared.limits);
    let rules = shared.rules.snapshot();
    let mut messages = Vec::new();
    let mut unkept = Vec::new();
    let mut effects = ripple(
        &Incoming { topic, payload, qos, retain, attached, source, depth: 0 },
        |incoming, consequences, offers| match topics::of_publish(&incoming.topic) {
            Topic::BasicIngest => incoming.ingest(&rules, consequences),
            _ => {
                incoming.run_rules(rules.matching(&incoming.topic), consequences);
                let Incoming { topic, payload, qos, retain, attached, .. } = *incoming;
                let message = Message::new(topic, payload, qos, retain, attached.clone());
                let mut concerned = Concerned::default();
                shared.sessions.find(&topic, qos, None, || Arc::clone(&message), &mut concerned);
                offers.extend(concerned.kept);
                unkept.extend(concerned.unkept);
                messages.push(message);
            }
        },
    );
    // First what may be refused: then nobody has got anything yet.
    let Kept { position, .. } = effects.append(shared)?;
    shared.post_to_all(&messages);
    let mut handed_out = shared.handed_out();
    shared.sessions.give_unkept(unkept, clock::now(), &mut handed_out);
    shared.tell(handed_out);
    Ok(Published(shared.store.when_committed(position)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_feed_each_other_come_to_an_end() {
        let topic = TopicName::parse("a").unwrap();
        let first = Incoming {
            topic,
            payload: b"",
            qos: QoS::AtMostOnce,
            retain: false,
            attached: &Attached::default(),
            source: Source::default(),
            depth: 0,
        };
        let mut routed = 0;
        ripple(&first, |incoming, consequences, _| {
            routed += 1;
            let depth = incoming.depth + 1;
            let republish =
                Republish { topic: "a".into(), payload: vec![], qos: QoS::AtMostOnce, retain: false, depth };
            consequences.republishes.extend([republish.clone(), republish]);
            consequences.transaction.entry(store::ConsumerId(1), b"x");
        });
        assert_eq!(routed, 1 + REPUBLISHES_MAX);
    }

    #[test]
    fn what_will_not_be_routed_does_not_wait() {
        let republish =
            Republish { topic: "a".into(), payload: vec![], qos: QoS::AtMostOnce, retain: false, depth: 1 };
        let mut waiting = Waiting::default();
        for _ in 0..3 {
            waiting.take(&mut vec![republish.clone(); REPUBLISHES_MAX / 2 + 1]);
        }
        assert_eq!(waiting.queue.len(), REPUBLISHES_MAX);
        assert_eq!(waiting.dropped, REPUBLISHES_MAX / 2 + 3);
    }

    #[test]
    fn what_rules_publish_is_routed_after_the_message_and_is_the_servers() {
        let source = Source { client_id: Some("c"), ..Source::default() };
        let topic = TopicName::parse("a").unwrap();
        let first = Incoming {
            topic,
            payload: b"1",
            qos: QoS::AtLeastOnce,
            retain: false,
            attached: &Attached::default(),
            source,
            depth: 0,
        };
        let mut seen = Vec::new();
        let effects = ripple(&first, |incoming, consequences, _| {
            seen.push((
                incoming.topic.as_str().to_owned(),
                incoming.source.client_id.map(str::to_owned),
                incoming.depth,
            ));
            if incoming.depth == 0 {
                for topic in ["b", "c"] {
                    let (payload, qos) = (vec![], QoS::AtMostOnce);
                    consequences.republishes.push(Republish {
                        topic: topic.into(),
                        payload,
                        qos,
                        retain: false,
                        depth: 1,
                    });
                }
            }
            consequences.transaction.entry(store::ConsumerId(1), incoming.topic.as_str());
        });
        let expected = [("a", Some("c"), 0), ("b", None, 1), ("c", None, 1)];
        let expected: Vec<_> = expected
            .map(|(topic, client, depth)| (topic.to_owned(), client.map(str::to_owned), depth))
            .into();
        assert_eq!(seen, expected);
        let mut all = Transaction::new();
        for topic in ["a", "b", "c"] {
            all.entry(store::ConsumerId(1), topic);
        }
        assert_eq!(effects.transaction, all, "everything is kept in one transaction");
    }
}
