//! Retained messages for who has just subscribed.
//!
//! [AWS mqtt retain] A filter that is exactly a topic gets that topic's message. By the standard one with wildcards gets
//! those of all topics that match, which can be very many: they go out as the client takes them, some per turn.

use super::EventLoop;
use super::frames::View;
use crate::clock::now_ms;
use crate::message::Message;
use crate::slots::Key;
use mqtt_wire::{QoS, TopicFilter, TopicName};
use services::RetainedMessage;
use std::collections::VecDeque;
use std::sync::Arc;

/// Topics that one client's replay looks at in one turn of the loop: about a tenth of a millisecond.
const TOPICS_PER_TURN: usize = 1_000;

/// Retained messages that a client is still to be sent because of one filter.
#[derive(Debug)]
pub(crate) struct Replay {
    filter: Box<str>,
    granted: QoS,
    /// Looked up and not sent yet.
    batch: VecDeque<Arc<RetainedMessage>>,
    /// Where to look next; `None`: nothing is left.
    next: Option<From>,
}

/// Where to look.
#[derive(Debug)]
enum From {
    Beginning,
    Behind(String),
}

impl Replay {
    pub(super) fn is_of(&self, filter: &str) -> bool {
        *self.filter == *filter
    }
}

impl EventLoop {
    /// Sends what is retained for filters that have just been subscribed.
    pub(super) fn replay(&mut self, key: Key, replays: Vec<(Box<str>, QoS)>) {
        for (filter, granted) in replays {
            let Ok(parsed) = TopicFilter::parse(&filter) else { continue };
            let (batch, next) = if parsed.has_wildcard() {
                (VecDeque::new(), self.shared.limits.retained_on_wildcards.then_some(From::Beginning))
            } else {
                (self.shared.retained.get(&filter, now_ms()).into_iter().collect(), None)
            };
            if let Some(kept) = batch.front().filter(|_| !self.is_kept(key)) {
                self.send_retained(key, kept, granted);
            } else if let Some(connection) = self.connections.get_mut(key)
                && (next.is_some() || !batch.is_empty())
            {
                // One after the other, as the client takes them: each is kept on disk until it has it. The same filter
                // again replays from its beginning.
                connection.replays.retain(|replay| replay.filter != filter);
                connection.replays.push_back(Replay { filter, granted, batch, next });
                self.mark_ready(key, false);
            }
        }
    }

    /// Goes on with the replays of a client, and has the next turn go on if there is more and room for it.
    pub(super) fn replay_more(&mut self, key: Key) {
        let mut may_look = true;
        while let Some(connection) = self.connections.get_mut(key)
            && connection.may_replay()
            && let Some(replay) = connection.replays.front_mut()
        {
            if let Some(kept) = replay.batch.pop_front() {
                let granted = replay.granted;
                self.send_current(key, &kept, granted);
            } else if replay.next.is_none() {
                connection.replays.pop_front();
            } else if std::mem::replace(&mut may_look, false) {
                self.look_up(key);
            } else {
                return self.mark_ready(key, false);
            }
        }
    }

    fn look_up(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Some(replay) = connection.replays.front_mut() else { return };
        let (Some(from), Ok(filter)) = (replay.next.take(), TopicFilter::parse(&replay.filter)) else {
            return;
        };
        let literal = filter.find(['+', '#']).map_or(filter.as_str(), |at| &filter.as_str()[..at]);
        // `a/#` matches `a` too, where the standard's rules hold.
        let prefix = literal.strip_suffix('/').unwrap_or(literal);
        let rules = self.shared.limits.match_rules;
        let matches = |topic: &str| TopicName::parse(topic).is_ok_and(|topic| filter.matches(topic, rules));
        let after = match &from {
            From::Beginning => None,
            From::Behind(topic) => Some(topic.as_str()),
        };
        let page = self.shared.retained.matching(prefix, after, TOPICS_PER_TURN, now_ms(), matches);
        replay.batch = page.items.into();
        replay.next = page.next.map(From::Behind);
    }

    /// A message that was looked up some time ago: if its topic has got another one, that has been delivered already.
    fn send_current(&mut self, key: Key, kept: &Arc<RetainedMessage>, granted: QoS) {
        let current = self.shared.retained.get(&kept.topic, now_ms());
        if current.is_some_and(|current| Arc::ptr_eq(&current, kept)) {
            self.send_retained(key, kept, granted);
        }
    }

    fn send_retained(&mut self, key: Key, kept: &RetainedMessage, granted: QoS) {
        let Some(message) = Message::of_retained(kept, granted, now_ms()) else { return };
        let view = View::of(&message);
        if message.qos == QoS::AtMostOnce {
            self.deliver_at_most_once(key, &view, true);
        } else if self.is_kept(key) {
            self.keep_for(key, message);
        } else {
            self.deliver_acknowledged(key, &view, &message, message.qos, true);
        }
        self.frames.clear();
    }
}
