//! A message to its receivers: the sessions of this loop, and the other loops.

use super::EventLoop;
use super::frames::{Header, View, with_packet};
use crate::connection::Reply;
use crate::history::{What, kept};
use crate::message::{Due, Message};
use crate::publication::{Effects, Incoming};
use crate::router::Found;
use crate::sessions::Inbox;
use crate::slots::Key;
use mqtt_session::{Delivery, Outgoing};
use mqtt_wire::{PacketId, QoS, SubscriptionOptions};
use rules::Rule;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Messages that one client is handed before others have their turn: more than any window, so only those count that turn
/// out to have expired, or not to be for it.
const FED_AT_ONCE: usize = 2_000;

/// A session that gets the message of the moment, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Receiver {
    key: Key,
    /// The highest QoS of its subscriptions that match.
    qos: QoS,
    /// One of them wants the retain flag as it was published [MQTT5 3.8.3.1].
    retain_as_published: bool,
}

impl EventLoop {
    /// Lists this loop's receivers of a topic, each once, and gives the rules that match.
    ///
    /// [MQTT311 3.3.5-1] [MQTT5 3.3.4-2] A client with overlapping subscriptions gets one copy with the highest of
    /// their QoS. `from` is the client that publishes, if it is this loop's.
    pub(super) fn find_receivers(&mut self, topic: &str, from: Option<Key>) -> Vec<Arc<Rule>> {
        self.message_number += 1;
        self.receivers.clear();
        let mut rules = Vec::new();
        let Self { router, connections, receivers, message_number, .. } = self;
        router.find(topic, |found| match found {
            Found::Rule(rule) => rules.push(Arc::clone(rule)),
            // [MQTT5 3.8.3-3]
            Found::Session(key, options) if options.no_local && from == Some(key) => {}
            Found::Session(key, SubscriptionOptions { qos, retain_as_published, .. }) => {
                let Some(connection) = connections.get_mut(key) else { return };
                let (number, place) = connection.matched;
                if number == *message_number {
                    let receiver = &mut receivers[place];
                    receiver.qos = receiver.qos.max(qos);
                    receiver.retain_as_published |= retain_as_published;
                } else if !connection.is_closing && !connection.is_opening {
                    connection.matched = (*message_number, receivers.len());
                    receivers.push(Receiver { key, qos, retain_as_published });
                }
            }
        });
        rules
    }

    /// A message that another loop's client, or the API, has published: rules have run there.
    pub(super) fn deliver_from_elsewhere(&mut self, message: &Arc<Message>) {
        self.find_receivers(&message.topic(), None);
        self.deliver(&View::of(message), Some(message));
    }

    pub(super) fn deliver_to_receivers(&mut self, incoming: &Incoming<'_>) {
        self.deliver(&View::of_incoming(incoming, self.now), None);
    }

    /// Gives a message to everybody on the list of receivers.
    fn deliver(&mut self, view: &View<'_>, shared: Option<&Arc<Message>>) {
        let receivers = std::mem::take(&mut self.receivers);
        let mut message = shared.map(Arc::clone);
        for Receiver { key, qos, retain_as_published } in &receivers {
            let retain = view.retain && *retain_as_published;
            // [MQTT311 3.8.4-6] The lower of the two.
            let qos = view.qos.min(*qos);
            if qos == QoS::AtMostOnce {
                self.deliver_at_most_once(*key, view, retain);
            } else if !self.is_kept(*key) {
                // It may have to outlive its packet in the receiver's session.
                let message = message.get_or_insert_with(|| view.to_message());
                self.deliver_acknowledged(*key, view, message, qos, retain);
            }
        }
        self.frames.clear();
        self.receivers = receivers;
    }

    /// Whether the client's session is kept: then what comes with QoS 1 goes by way of the store, see `sessions`.
    pub(super) fn is_kept(&self, key: Key) -> bool {
        self.connections.get(key).is_some_and(|connection| connection.is_kept)
    }

    pub(super) fn deliver_at_most_once(&mut self, key: Key, view: &View<'_>, retain: bool) {
        if !self.may_receive(key, &view.topic) {
            return;
        }
        self.make_room(key);
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.outbox.is_full() {
            self.me().counters.dropped_slow.increment();
            return self.tell_slow(key, "its socket is full; QoS 0 messages for it are dropped");
        }
        // [AWS General Reference] "Publish requests that exceed that quota are discarded."
        if let Err((quota, _)) = self.may_send(key) {
            return self.hold_up(key, quota);
        }
        let Some(connection) = self.connections.get_mut(key) else { return };
        let peer = *connection.session.peer();
        let (frame, _) = self.frames.of(view, peer.version, QoS::AtMostOnce, self.now);
        if !peer.takes(frame.len()) {
            self.give_back(key);
            return self.drop_too_large(key, &view.topic);
        }
        connection.outbox.push_frame(frame, retain, None, &mut self.pool);
        self.observe_sent(key, peer.version, &view.topic, QoS::AtMostOnce);
        self.sent(key);
    }

    /// With QoS 1 or 2.
    pub(super) fn deliver_acknowledged(
        &mut self,
        key: Key,
        view: &View<'_>,
        message: &Arc<Message>,
        qos: QoS,
        retain: bool,
    ) {
        if !self.may_receive(key, &view.topic) {
            return;
        }
        self.make_room(key);
        // What waits behind others anyway asks when its turn has come.
        let goes_now = self.connections.get(key).is_some_and(|connection| {
            !connection.outbox.is_full() && !connection.is_closing && connection.session.is_open()
        });
        let too_fast = if goes_now { self.may_send(key).err() } else { None };
        let Some(connection) = self.connections.get_mut(key) else { return };
        let peer = *connection.session.peer();
        let (frame, at) = self.frames.of(view, peer.version, qos, self.now);
        if !peer.takes(frame.len()) {
            if goes_now && too_fast.is_none() {
                self.give_back(key);
            }
            return self.drop_too_large(key, &view.topic);
        }
        let due = Due::new(Arc::clone(message), qos, retain);
        let bytes = message.bytes_len();
        let delivery = if !goes_now || too_fast.is_some() {
            connection.session.hold(qos, due, bytes)
        } else {
            connection.session.deliver(qos, due, bytes)
        };
        match delivery {
            Delivery::Send(Outgoing { packet_id, .. }) => {
                let packet_id = packet_id.map(|id| (at, id));
                connection.outbox.push_frame(frame, retain, packet_id, &mut self.pool);
                self.observe_sent(key, peer.version, &view.topic, qos);
                self.sent(key);
            }
            Delivery::Queued => self.log_queued(key, &view.topic),
            Delivery::Dropped(reason) => {
                self.me().counters.dropped_slow.increment();
                self.tell_slow(key, &reason.to_string());
            }
        }
        // [AWS General Reference] QoS 1 is tried again for an hour: it waits, as for the window.
        if let Some((quota, at)) = too_fast {
            self.wait_for_rate(key, quota, at);
        }
    }

    /// Does not wait for the turn's end with an outbox that is full, if its socket is not known to be: one turn can
    /// bring more for a client than its outbox holds.
    fn make_room(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.outbox.is_full() && !connection.is_blocked() {
            self.write_out(key);
        }
    }

    /// Sends what waited in the session and in the inbox, as far as the window, the socket and the rate have room.
    pub(super) fn feed(&mut self, key: Key) {
        for _ in 0..FED_AT_ONCE {
            let Some(outgoing) = self.next_outgoing(key) else { return self.feed_replays(key) };
            self.send_due(key, outgoing);
        }
        // Not one has to wait for the client when they have expired: others have their turn first.
        self.mark_ready(key, false);
    }

    fn feed_replays(&mut self, key: Key) {
        if self.connections.get(key).is_some_and(|connection| connection.may_replay()) {
            self.mark_ready(key, false);
        }
    }

    fn next_outgoing(&mut self, key: Key) -> Option<Outgoing<Due>> {
        let connection = self.connections.get_mut(key)?;
        let is_stalled = connection.stalled.is_some();
        if connection.outbox.is_full() || connection.is_closing || connection.is_opening || is_stalled {
            return None;
        }
        let waits_outside = || {
            connection.inbox.as_ref().is_some_and(|inbox| {
                !inbox.is_idle() || connection.groups.iter().any(|group| group.has_waiting(inbox))
            })
        };
        let has_next =
            connection.session.has_next_delivery() || connection.session.is_open() && waits_outside();
        if !has_next {
            return None;
        }
        if let Err((quota, at)) = self.may_send(key) {
            self.wait_for_rate(key, quota, at);
            return None;
        }
        let next = self.take_next(key);
        if next.is_none() {
            self.give_back(key);
        }
        next
    }

    fn take_next(&mut self, key: Key) -> Option<Outgoing<Due>> {
        let connection = self.connections.get_mut(key)?;
        let waited = connection.session.next_delivery();
        if waited.is_some() || !connection.session.is_open() {
            return waited;
        }
        let inbox = Arc::clone(connection.inbox.as_ref()?);
        let own = inbox.take(&self.shared.sessions);
        let due = own.or_else(|| self.take_of_groups(key, &inbox))?;
        let (qos, bytes) = (due.qos, due.message.bytes_len());
        match self.connections.get_mut(key)?.session.deliver(qos, due, bytes) {
            Delivery::Send(outgoing) => Some(outgoing),
            // INVARIANT: the window is open.
            Delivery::Queued | Delivery::Dropped(_) => None,
        }
    }

    /// What waits for any member of the client's groups is for who has room, and may receive it.
    fn take_of_groups(&mut self, key: Key, inbox: &Arc<Inbox>) -> Option<Due> {
        let (mut asked, mut place) = (0, 0);
        loop {
            let group = Arc::clone(self.connections.get(key)?.groups.get(place)?);
            while let Some((number, message)) = group.peek(inbox) {
                if self.may_receive_shared(key, &message.topic(), &group.filter) {
                    // Another member may be faster.
                    if let Some(due) = group.take(inbox, number, &self.shared.sessions) {
                        return Some(due);
                    }
                } else {
                    let (sessions, account) = (&self.shared.sessions, &self.shared.account);
                    let mut handed_out = self.shared.handed_out();
                    sessions.pass_over(&group, number, inbox, account, self.now, &mut handed_out);
                    self.shared.tell(handed_out);
                }
                asked += 1;
                if asked == FED_AT_ONCE {
                    self.mark_ready(key, false);
                    return None;
                }
            }
            place += 1;
        }
    }

    fn send_due(&mut self, key: Key, Outgoing { packet_id, qos, is_again, frame: mut due }: Outgoing<Due>) {
        // [MQTT5 3.3.2-5] What came too late is no longer sent. The client's policies may have changed, too. What was sent
        // before has to be sent again, else its identifier is never free.
        let is_wanted = is_again || !due.message.is_expired(self.now);
        let is_permitted = is_wanted && self.may_receive_due(key, &due);
        let Some(connection) = self.connections.get_mut(key) else { return };
        if is_wanted
            && !is_permitted
            && let (Some(_), Some(inbox)) = (&due.group, &connection.inbox)
        {
            let (inbox, mut handed_out) = (Arc::clone(inbox), self.shared.handed_out());
            if let Some(packet_id) = packet_id {
                connection.session.withdraw(packet_id);
            }
            let (sessions, account) = (&self.shared.sessions, &self.shared.account);
            sessions.give_to_others(due, &inbox, account, self.now, &mut handed_out);
            self.shared.tell(handed_out);
            return self.give_back(key);
        }
        let is_wanted = is_permitted;
        if is_wanted
            && connection.is_kept
            && let Some(packet_id) = packet_id
        {
            // Behind what is settled: that may be the end of what had this identifier before.
            if due.keep_sent(packet_id, &mut self.settled) {
                connection.session.remember(packet_id, due);
                let effects = Effects::of(std::mem::take(&mut self.settled));
                return self.keep(key, effects, Reply::Send(packet_id));
            }
        }
        let peer = *connection.session.peer();
        let header = Header { qos, packet_id, dup: is_again, retain: due.retain };
        let message = Arc::clone(&due.message);
        let sent = is_wanted
            && with_packet(&View::of(&due.message), peer.version, header, self.now, |packet| {
                let fits = peer.takes(packet.encoded_len(peer.version));
                if fits {
                    connection.outbox.push(packet, peer.version, &mut self.pool);
                }
                fits
            });
        match packet_id {
            // It goes to the next connection, or to another member of the group, if this one breaks.
            Some(packet_id) if sent && (connection.is_kept || due.group.is_some()) => {
                due.sent_at = Some(self.now);
                connection.session.remember(packet_id, due);
            }
            Some(packet_id) if !sent => {
                connection.session.withdraw(packet_id);
                self.settle(due);
            }
            _ => self.settle(due),
        }
        if sent {
            self.observe_sent(key, peer.version, &message.topic(), qos);
            self.sent(key);
        } else {
            self.give_back(key);
            if is_wanted {
                self.drop_too_large(key, &message.topic());
            }
        }
    }

    /// What a message is sent with is on disk.
    pub(super) fn send_remembered(&mut self, key: Key, packet_id: PacketId) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if let Some(due) = connection.session.recall(packet_id) {
            let qos = due.qos;
            self.send_due(key, Outgoing { packet_id: Some(packet_id), qos, is_again: false, frame: due });
        }
    }

    /// Whether a client may be given a message of this topic, asked anew for every delivery.
    pub(super) fn may_receive(&mut self, key: Key, topic: &str) -> bool {
        let Some(connection) = self.connections.get_mut(key) else { return false };
        let may = connection.client.may_receive(&self.shared.registry, topic, self.now_s);
        if let Err(news) = &may {
            self.me().counters.receives_withheld.increment();
            self.observe_withheld(key, news.as_ref());
        }
        may.is_ok()
    }

    fn may_receive_due(&mut self, key: Key, due: &Due) -> bool {
        let topic = due.message.topic();
        match &due.group {
            Some(group) => self.may_receive_shared(key, &topic, &group.filter),
            None => self.may_receive(key, &topic),
        }
    }

    fn may_receive_shared(&mut self, key: Key, topic: &str, shared: &str) -> bool {
        let Some(connection) = self.connections.get_mut(key) else { return false };
        let may = connection.client.may_receive_shared(&self.shared.registry, topic, shared, self.now_s);
        let Err(denied) = may else { return true };
        // Nobody remembers the decision: each message of the group would be told of.
        let told = connection.denials.add(self.now);
        self.me().counters.receives_withheld.increment();
        if let (Some(untold), Some(connection)) = (told, self.connections.get(key)) {
            let who = Arc::clone(&connection.client.who);
            denied.log(&who, untold);
            self.observe_denied(&who, &denied);
        }
        false
    }

    pub(super) fn sent(&mut self, key: Key) {
        self.mark_dirty(key);
    }

    /// [MQTT5 3.1.2-25] It is as if it had been sent.
    fn drop_too_large(&mut self, key: Key, topic: &str) {
        self.me().counters.dropped_too_large.increment();
        let reason = "the message is larger than the maximum packet size that the client named";
        self.remember_at(key, What::NotDelivered { topic: Some(kept(topic)), reason: reason.into() });
    }

    fn tell_slow(&mut self, key: Key, reason: &str) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if !std::mem::replace(&mut connection.told_slow, true) {
            let client_id = &*connection.client.who.client_id;
            tracing::warn!(target: "eyot::delivery", client_id, reason, "the client takes messages too slowly");
            self.remember_at(key, What::NotDelivered { topic: None, reason: kept(reason) });
        }
    }

    /// Puts a message on the list for the other loops, if they have subscribers at all.
    pub(super) fn forward(&mut self, incoming: &Incoming<'_>) {
        let others = self.shared.peers.iter().enumerate().filter(|(index, _)| *index != self.index);
        // One to be retained goes to all: `Peer::post` looks again when it can be found, so that who subscribes meanwhile
        // gets it either way.
        if incoming.retain
            || others.into_iter().any(|(_, peer)| peer.subscriptions.load(Ordering::Acquire) > 0)
        {
            self.outgoing.push(View::of_incoming(incoming, self.now).to_message());
        }
    }

    /// Lets the other threads know whether this loop wants messages; before the SUBACK leaves.
    pub(super) fn tell_subscriptions(&self) {
        self.me().subscriptions.store(self.router.subscriptions(), Ordering::Release);
    }
}
