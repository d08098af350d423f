//! Sessions that outlive connections: begun, resumed, kept while their clients are away, and ended.

use super::EventLoop;
use super::backlog::{END_OF_SESSION, Unowned};
use crate::authorize::{Client, Who};
use crate::clock::now_ms;
use crate::connection::{Connection, Reply};
use crate::message::{Due, Message};
use crate::publication::Effects;
use crate::sessions::{self, Absent, Inbox, Offer, SETTLED_BYTES_MAX};
use crate::slots::Key;
use crate::spare;
use mqtt_session::{Accepted, Ended, Exchanges, Undelivered, Will};
use mqtt_wire::{QoS, SubscriptionOptions, TopicFilter};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{Lost, Transaction};

/// Sessions of clients that did not come back which one turn of the loop ends: all of them may be due at once, after a
/// restart above all.
const ENDED_PER_TURN: usize = 100;

/// Memory of one loop's wills that wait for their clients: 500 of AWS's largest, or 100,000 of the usual size. Above it a
/// will is published at once.
const DELAYED_WILL_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The sessions of one loop whose clients are away.
#[derive(Debug, Default)]
pub(super) struct Away {
    sessions: HashMap<Arc<str>, Session>,
    /// When something has to be done about which of them.
    due: BTreeSet<(Instant, Arc<str>)>,
    will_bytes: usize,
}

#[derive(Debug)]
struct Session {
    absent: Absent,
    will: Option<DelayedWill>,
}

/// A will that waits for its client to come back [MQTT5 3.1.2.5].
#[derive(Debug)]
struct DelayedWill {
    will: Box<Will>,
    /// Whose policies decide whether it may be published.
    client: Box<Client>,
    at: Instant,
}

impl Away {
    pub(super) fn new(absent: Vec<Absent>) -> Self {
        let mut away = Self::default();
        for absent in absent {
            away.insert(Session { absent, will: None });
        }
        away
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn contains(&self, client_id: &str) -> bool {
        self.sessions.contains_key(client_id)
    }

    /// When to look next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// What a client that is away has subscribed to.
    pub(super) fn subscriptions(
        &self,
        client_id: &str,
    ) -> Option<impl Iterator<Item = (&str, SubscriptionOptions)>> {
        let session = self.sessions.get(client_id)?;
        Some(session.absent.subscriptions.iter().map(|(filter, options)| (&**filter, *options)))
    }

    /// A session, and its will that waits.
    pub(super) fn find(&self, client_id: &str) -> Option<(&Absent, Option<(&Will, Instant)>)> {
        let Session { absent, will } = self.sessions.get(client_id)?;
        Some((absent, will.as_ref().map(|delayed| (&*delayed.will, delayed.at))))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Absent> {
        self.sessions.values().map(|session| &session.absent)
    }

    fn insert(&mut self, session: Session) {
        let client_id = &session.absent.inbox.client_id;
        for at in session.times() {
            self.due.insert((at, Arc::clone(client_id)));
        }
        self.will_bytes += session.will_bytes();
        self.sessions.insert(Arc::clone(client_id), session);
    }

    fn remove(&mut self, client_id: &str) -> Option<Session> {
        let (client_id, session) = self.sessions.remove_entry(client_id)?;
        spare::give_back(&mut self.sessions);
        for at in session.times() {
            self.due.remove(&(at, Arc::clone(&client_id)));
        }
        self.will_bytes -= session.will_bytes();
        Some(session)
    }

    /// Takes out a session for which something is due.
    fn pop_due(&mut self, now: Instant) -> Option<Session> {
        let (_, client_id) = self.due.first().filter(|(at, _)| *at <= now)?.clone();
        self.remove(&client_id)
    }

    /// Takes out every will that waits.
    fn take_wills(&mut self) -> Vec<DelayedWill> {
        let mut wills = Vec::new();
        for (client_id, session) in &mut self.sessions {
            if let Some(will) = session.will.take() {
                self.due.remove(&(will.at, Arc::clone(client_id)));
                wills.push(will);
            }
        }
        self.will_bytes = 0;
        // In the order in which they would have been published.
        wills.sort_unstable_by(|one, other| {
            let key = |will: &DelayedWill| (will.at, Arc::clone(&will.client.who.client_id));
            key(one).cmp(&key(other))
        });
        wills
    }
}

impl DelayedWill {
    fn bytes_len(&self) -> usize {
        // The fixed part stands for the client's names and the allocations.
        512 + self.will.payload.len() + self.will.topic().as_str().len() + self.will.attached.bytes_len()
    }
}

impl Session {
    fn will_bytes(&self) -> usize {
        self.will.as_ref().map_or(0, DelayedWill::bytes_len)
    }

    fn times(&self) -> impl Iterator<Item = Instant> {
        [Some(self.absent.ends_at), self.will.as_ref().map(|will| will.at)].into_iter().flatten()
    }
}

impl EventLoop {
    /// Gives a connection its session: the one that its client has left behind, or a new one. Gives whether it was
    /// there, and what the store has to keep before the client is told.
    pub(super) fn begin_session(
        &mut self,
        connection: &mut Connection,
        accepted: &Accepted,
    ) -> (bool, Effects) {
        let client_id = Arc::clone(&connection.client.who.client_id);
        let version = connection.session.peer().version;
        let mut effects = Effects::default();
        let earlier = self.away.remove(&client_id);
        let is_present = match earlier {
            // [AWS mqtt-persistent-sessions] A session of MQTT 3.1.1 is not resumed with MQTT 5, nor the other way.
            Some(Session { absent, will }) if accepted.clean_start || absent.version != version => {
                let why = if accepted.clean_start {
                    "its client began a new one"
                } else {
                    "its client came back with the other version of MQTT"
                };
                self.forget(absent, why, &mut effects.transaction);
                // [MQTT5 3.1.2-8] Its session has ended.
                self.publish_delayed(will);
                false
            }
            // There may be one in the store whose end was lost there, or is on its way there and could still be lost
            // [MQTT311 3.1.2-6]. One that has failed for good takes no news any more, and need not: the server is about to end.
            None if (accepted.clean_start && self.shared.sessions.has_lost()
                || !accepted.is_persistent() && self.may_be_ending())
                && self.shared.store.failure().is_none() =>
            {
                sessions::forget_session(&mut effects.transaction, &client_id);
                false
            }
            // [MQTT5 3.1.3-9] It is back in time: no will.
            Some(Session { absent: Absent { inbox, subscriptions, exchanges, .. }, will: _ }) => {
                let permitted =
                    self.still_permitted(connection, &inbox, subscriptions, &mut effects.transaction);
                connection.session.resume(permitted.iter().map(|(filter, options)| (&**filter, *options)));
                connection.session.resume_exchanges(&exchanges);
                for due in inbox.take_sent(&self.shared.sessions) {
                    if let Some(packet_id) = due.sent_as {
                        connection.session.redeliver(packet_id, due.qos, due);
                    }
                }
                connection.inbox = Some(inbox);
                true
            }
            None => false,
        };
        if accepted.is_persistent() && connection.inbox.is_none() {
            connection.inbox = Some(Inbox::new(self.shared.sessions.next_number(), client_id, self.index));
            self.shared.sessions.begun();
        }
        if let Some(inbox) = &connection.inbox {
            connection.is_kept = true;
            sessions::keep_session(&mut effects.transaction, inbox, version, accepted.session_expiry_s, None);
        }
        (is_present, effects)
    }

    /// The subscriptions of a session that its client may still have: its policies may have changed meanwhile, or the
    /// client comes with another certificate.
    fn still_permitted(
        &mut self,
        connection: &mut Connection,
        inbox: &Arc<Inbox>,
        subscriptions: BTreeMap<Box<str>, SubscriptionOptions>,
        transaction: &mut Transaction,
    ) -> Vec<(Box<str>, SubscriptionOptions)> {
        let mut permitted = Vec::with_capacity(subscriptions.len());
        for (filter, options) in subscriptions {
            match connection.client.may_subscribe(&self.shared.registry, &filter, self.now_s) {
                Ok(()) => permitted.push((filter, options)),
                Err(denied) => {
                    denied.log(&connection.client.who, 0);
                    self.end_subscription(inbox, &filter, true, transaction);
                }
            }
        }
        permitted
    }

    /// A resumed connection gets what its session has subscribed to.
    pub(super) fn route_to_resumed(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        for (filter, options) in connection.session.subscriptions() {
            if is_plain(filter) {
                self.router.subscribe(filter, key, options);
            }
        }
        self.tell_subscriptions();
    }

    /// The client has its CONNACK: from now on messages come to it, those first that waited.
    pub(super) fn go_online(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Some(inbox) = connection.inbox.clone() else { return };
        inbox.set_online(true);
        self.observe_dropped(&inbox);
        self.release_again(key);
        let Some(connection) = self.connections.get(key) else { return };
        let shared: Vec<_> = connection.session.subscriptions().map(|(filter, _)| filter).collect();
        let groups: Vec<_> =
            shared.into_iter().filter_map(|filter| self.shared.sessions.group(filter)).collect();
        for group in &groups {
            group.set_online(&inbox, true, &self.shared.sessions);
        }
        if let Some(connection) = self.connections.get_mut(key) {
            connection.groups = groups;
        }
        self.feed(key);
    }

    /// Something waits in a client's inbox.
    pub(super) fn look_into(&mut self, inbox: &Arc<Inbox>) {
        if let Some(&key) = self.clients.get(&inbox.client_id)
            && let Some(connection) = self.connections.get(key)
            && connection.inbox.as_ref().is_some_and(|own| Arc::ptr_eq(own, inbox))
        {
            self.feed(key);
        }
    }

    /// Has a subscription take effect that the session has.
    pub(super) fn begin_subscription(
        &mut self,
        key: Key,
        filter: TopicFilter<'_>,
        options: SubscriptionOptions,
        transaction: &mut Transaction,
    ) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let (is_kept, sessions) = (connection.is_kept, &self.shared.sessions);
        if let Ok(Some(shared)) = filter.shared() {
            let who = &connection.client.who;
            let inbox = connection.inbox.get_or_insert_with(|| {
                let inbox = Inbox::new(sessions.next_number(), Arc::clone(&who.client_id), self.index);
                inbox.set_online(true);
                inbox
            });
            if is_kept {
                sessions::keep_filter(transaction, inbox, &filter, options);
            }
            let group = sessions.join((&filter, shared.filter), inbox, options, is_kept, transaction);
            if !connection.groups.iter().any(|present| Arc::ptr_eq(present, &group)) {
                connection.groups.push(group);
            }
            // What waits for a member comes behind the SUBACK.
            return;
        }
        self.router.subscribe(&filter, key, options);
        if is_kept && let Some(inbox) = &connection.inbox {
            sessions.subscribe(&filter, inbox, options);
            sessions::keep_filter(transaction, inbox, &filter, options);
        }
    }

    /// Ends the part of a subscription that is not its connection's.
    pub(super) fn end_subscription(
        &mut self,
        inbox: &Arc<Inbox>,
        filter: &str,
        is_kept: bool,
        transaction: &mut Transaction,
    ) {
        match TopicFilter::parse(filter).map(|parsed| parsed.shared()) {
            Ok(Ok(Some(shared))) => {
                let dropped = self.shared.sessions.leave((filter, shared.filter), inbox, transaction);
                dropped.into_iter().for_each(|due| self.settle(due));
            }
            _ => self.shared.sessions.unsubscribe(filter, inbox),
        }
        if is_kept {
            sessions::forget_filter(transaction, inbox, filter);
        }
    }

    /// The connection has ended: its session waits for the client to come back, or ends as well. Then the will is
    /// published, if there is one.
    pub(super) fn leave_session(&mut self, connection: Connection, will: Option<Will>) {
        let Connection { session, client, inbox, groups, is_kept, .. } = connection;
        let (expiry_s, version) = (session.session_expiry_s(), session.peer().version);
        let marks_redeliveries = session.limits().marks_redeliveries;
        let patience = Duration::from_secs(session.limits().unacknowledged_max_s.into());
        let heard_at = session.heard_at();
        let Ended { subscriptions, undelivered, exchanges } = session.end();
        // [AWS General Reference] After an hour nothing more is tried. QoS 2 is not AWS's, and must come to its end.
        // Who has not been heard of in that hour cannot be blamed: perhaps the machine slept. What is a group's goes to others.
        let has_tired = |due: &Due| {
            let stood = due.sent_at.map(|at| heard_at.saturating_duration_since(at));
            due.qos == QoS::AtLeastOnce && due.group.is_none() && stood.is_some_and(|stood| stood > patience)
        };
        let (given_up, undelivered): (Vec<_>, Vec<_>) =
            undelivered.into_iter().partition(|undelivered| has_tired(&undelivered.frame));
        self.give_up(&client.who, given_up.into_iter().map(|undelivered| undelivered.frame));
        let undelivered = undelivered.into_iter().map(|Undelivered { frame: due, sent_as }| {
            // [AWS mqtt] What is sent again is sent as if it were new.
            let sent_as = sent_as.filter(|_| marks_redeliveries && due.group.is_none());
            Due { sent_as, sent_at: None, ..due }
        });
        let mut client = client;
        let Some(inbox) = inbox else {
            if let Some(will) = will {
                self.publish_will(&mut client, &will);
            }
            return;
        };
        inbox.set_online(false);
        let sessions = &self.shared.sessions;
        groups.iter().for_each(|group| group.set_online(&inbox, false, sessions));
        let waiting = std::iter::from_fn(|| inbox.take(sessions));
        let (of_groups, own): (Vec<_>, Vec<_>) =
            undelivered.chain(waiting).partition(|due: &Due| due.group.is_some());
        inbox.put_back(own.into_iter(), sessions);
        let ends_at = self.now + Duration::from_secs(expiry_s.into());
        let absent = Absent { inbox, version, expiry_s, subscriptions, exchanges, ends_at };
        if is_kept && expiry_s > 0 {
            self.keep_absent(absent, will, client);
        } else {
            let mut transaction = Transaction::new();
            if is_kept {
                self.forget(absent, "it was to end with its connection", &mut transaction);
            } else {
                self.forget_parts(&absent, false);
            }
            self.keep_end(transaction, &client.who.client_id);
            if let Some(will) = will {
                self.publish_will(&mut client, &will);
            }
        }
        let mut handed_out = self.shared.handed_out();
        for due in of_groups {
            self.shared.sessions.give_back(due, self.now, &mut handed_out);
        }
        self.shared.tell(handed_out);
    }

    /// Messages that a client has had for so long without a PUBACK that they are not sent again.
    fn give_up(&mut self, who: &Who, dues: impl ExactSizeIterator<Item = Due>) {
        let count = dues.len() as u64;
        if count == 0 {
            return;
        }
        self.me().counters.dropped_unacknowledged.add(count);
        self.observe_given_up(who, count);
        dues.for_each(|due| self.settle(due));
    }

    fn keep_absent(&mut self, absent: Absent, will: Option<Will>, mut client: Client) {
        client.leave();
        let mut transaction = Transaction::new();
        let Absent { inbox, version, expiry_s, .. } = &absent;
        sessions::keep_session(&mut transaction, inbox, *version, *expiry_s, Some(now_ms()));
        self.keep_quietly(transaction, "a session whose client left", &client.who.client_id);
        let will = match will {
            Some(will) if will.delay_s > 0 => {
                // The session's end publishes it, if that comes first [MQTT5 3.1.3-9].
                let at = absent.ends_at.min(self.now + Duration::from_secs(will.delay_s.into()));
                let delayed = DelayedWill { will: Box::new(will), client: Box::new(client), at };
                if self.away.will_bytes + delayed.bytes_len() > DELAYED_WILL_BYTES_MAX {
                    let client_id = &*delayed.client.who.client_id;
                    tracing::warn!(target: "eyot::delivery", client_id, "too many wills wait for their clients: it is published now");
                    self.publish_delayed(Some(delayed));
                    None
                } else {
                    Some(delayed)
                }
            }
            Some(will) => {
                self.publish_will(&mut client, &will);
                None
            }
            None => None,
        };
        self.away.insert(Session { absent, will });
    }

    /// Publishes the wills and ends the sessions whose time has come, some per turn.
    pub(super) fn end_absences(&mut self) {
        for _ in 0..ENDED_PER_TURN {
            let Some(Session { absent, will }) = self.away.pop_due(self.now) else { return };
            let (due, later): (Option<_>, Option<_>) = match will {
                Some(will) if will.at <= self.now => (Some(will), None),
                later => (None, later),
            };
            self.publish_delayed(due);
            if absent.ends_at > self.now {
                self.away.insert(Session { absent, will: later });
                continue;
            }
            let (mut transaction, client_id) = (Transaction::new(), Arc::clone(&absent.inbox.client_id));
            tracing::info!(
                target: "eyot::connection", client_id = &*client_id, messages = absent.inbox.len(),
                expiry_s = absent.expiry_s, "session ended: its client did not come back in time"
            );
            let why = format!("its client did not come back in {} s", absent.expiry_s);
            self.forget(absent, &why, &mut transaction);
            self.keep_end(transaction, &client_id);
        }
    }

    /// Ends the session of a client that is away, if there is one.
    pub(super) fn discard_absent(&mut self, client_id: &str, prevent_will: bool) -> bool {
        let Some(Session { absent, will }) = self.away.remove(client_id) else { return false };
        let mut transaction = Transaction::new();
        self.forget(absent, "DeleteConnection was called", &mut transaction);
        self.keep_end(transaction, client_id);
        self.publish_delayed(will.filter(|_| !prevent_will));
        true
    }

    /// The server ends: nobody would publish these later.
    pub(super) fn publish_delayed_wills(&mut self) {
        for will in self.away.take_wills() {
            self.publish_delayed(Some(will));
        }
    }

    fn publish_delayed(&mut self, will: Option<DelayedWill>) {
        if let Some(DelayedWill { will, mut client, .. }) = will {
            self.observe_delayed_will(&client.who, &will);
            self.publish_will(&mut client, &will);
        }
    }

    /// Has the store forget a session in this transaction, and by and by everything of it: what belongs to no session is
    /// found and removed at a start.
    fn forget(&mut self, absent: Absent, why: &str, transaction: &mut Transaction) {
        self.observe_session_ended(&absent.inbox, why);
        sessions::forget_session(transaction, &absent.inbox.client_id);
        self.shared.sessions.ended();
        self.forget_parts(&absent, true);
    }

    /// Nobody will take what waits in the inbox, and the client is in no group any more.
    fn forget_parts(&mut self, absent: &Absent, is_kept: bool) {
        let Absent { inbox, subscriptions, exchanges, .. } = absent;
        inbox.close();
        let mut transaction = Transaction::new();
        for filter in subscriptions.keys() {
            self.end_subscription(inbox, filter, is_kept, &mut transaction);
            self.forget_quietly(&mut transaction);
        }
        let Exchanges { inbound, outbound } = exchanges;
        if is_kept {
            inbound.keys().for_each(|id| sessions::forget_taken(&mut transaction, inbox, *id));
            outbound.iter().for_each(|id| sessions::forget_released(&mut transaction, inbox, *id));
        }
        self.forget_quietly(&mut transaction);
        while let Some(due) = inbox.take(&self.shared.sessions) {
            self.settle(due);
        }
    }

    /// A retained message is replayed to a client with a persistent session: it is kept until the client has it.
    pub(super) fn keep_for(&mut self, key: Key, message: Arc<Message>) {
        let Some(connection) = self.connections.get(key) else { return };
        let Some(inbox) = connection.inbox.clone() else { return };
        self.keep(key, Effects::of_offer(Offer::to(message, inbox)), Reply::Nothing);
    }

    /// What the journal has lost of the client's messages with QoS 2 was not taken over: the client sends it again.
    pub(super) fn forget_lost_exchanges(&mut self, lost: &Lost) {
        self.shared.sessions.lost();
        let (from, up_to) = (self.committed.0, lost.up_to.0);
        let is_lost = |after: u64| after > from && after <= up_to;
        let kept = self.connections.iter_mut().filter(|(_, connection)| connection.is_kept);
        kept.for_each(|(_, connection)| connection.session.forget_exchanges(is_lost));
        for session in self.away.sessions.values_mut() {
            session.absent.exchanges.inbound.retain(|_, after| !is_lost(*after));
        }
    }

    /// Nobody waits for a message any more: has the store forget it.
    pub(super) fn settle(&mut self, due: Due) {
        due.settle(&mut self.settled);
        self.bound_settled();
    }

    fn forget_quietly(&mut self, transaction: &mut Transaction) {
        self.settled.extend(transaction);
        *transaction = Transaction::new();
        self.bound_settled();
    }

    fn bound_settled(&mut self) {
        if self.settled.bytes_len() > SETTLED_BYTES_MAX {
            self.keep_settled();
        }
    }

    /// Has the store forget what clients have acknowledged in this turn, and what nobody will.
    pub(super) fn keep_settled(&mut self) {
        let settled = std::mem::take(&mut self.settled);
        self.keep_quietly(settled, "what clients have acknowledged", "");
    }

    /// Has the store forget a session whose client is not there to wait for that.
    fn keep_end(&mut self, transaction: Transaction, client_id: &str) {
        if !transaction.is_empty() {
            self.keep_quietly(transaction, END_OF_SESSION, client_id);
            self.last_end = self.last_end.max(self.last_kept);
        }
    }

    /// Whether the end of some session is not on disk yet. A new session of its client is in the journal behind it; one
    /// that is not kept has nothing there.
    fn may_be_ending(&self) -> bool {
        self.last_end > self.committed || self.backlog.has_ends()
    }

    fn keep_quietly(&mut self, transaction: Transaction, of: &'static str, name: &str) {
        if !transaction.is_empty() {
            self.keep_unowned(Unowned { effects: Effects::of(transaction), of, name: name.into() });
        }
    }
}

/// Whether a filter is a session's alone.
pub(super) fn is_plain(filter: &str) -> bool {
    !filter.starts_with(mqtt_wire::topic::SHARE_PREFIX)
}
