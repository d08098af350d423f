//! A group of clients that share a subscription: each message goes to one of them [MQTT5 4.8.2].

use super::Sessions;
use super::inbox::{Inbox, Put};
use super::offer::HandedOut;
use super::queue::Queue;
use crate::history::SharedGroup;
use crate::message::{Due, Message};
use mqtt_wire::{QoS, SubscriptionOptions};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The clients behind one `$share/NAME/FILTER`.
///
/// A message is given to the members that are connected in turn. Who goes without having acknowledged it gives it back
/// [MQTT5 4.8.2-6]. While nobody is connected, messages wait if one of the members has a persistent session
/// [AWS mqtt shared-subscriptions].
///
/// What waits is numbered. Each member knows how far it has looked: a message that it may not receive stays where it is,
/// for the others, and keeps nothing from the member that comes behind.
#[derive(Debug)]
pub(crate) struct Group {
    /// As it is subscribed to.
    pub(crate) filter: Arc<str>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    members: Vec<Member>,
    /// Whose turn it is.
    next: usize,
    /// Names the group's messages on disk, while it has a member with a persistent session.
    queue: Option<u64>,
    /// For when a member has room, in the order of their numbers: [`Due::number`].
    waiting: Queue,
    /// The number of the last message that has waited.
    last_number: u64,
    /// Messages that found no room.
    dropped: u64,
}

#[derive(Debug)]
struct Member {
    inbox: Arc<Inbox>,
    options: SubscriptionOptions,
    is_online: bool,
    is_persistent: bool,
    /// Up to this number it may receive nothing of what waits.
    looked_at: u64,
}

/// What has changed in a group when a member came or left.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// There was such a member.
    pub(crate) was_member: bool,
    /// It had a persistent session.
    pub(crate) was_persistent: bool,
    /// Nobody is left.
    pub(crate) is_empty: bool,
    /// The group keeps nothing on disk any more, where it went by this number.
    pub(crate) queue: Option<u64>,
    /// What waited there, and nobody will take.
    pub(crate) dropped: Vec<Due>,
}

impl Group {
    pub(crate) fn new(filter: Arc<str>) -> Arc<Self> {
        Arc::new(Self { filter, state: Mutex::default() })
    }

    /// By what number its messages go on disk; `None`: they are not kept there.
    pub(crate) fn queue(&self) -> Option<u64> {
        self.lock().queue
    }

    /// Sets the number that the store knows it by.
    pub(crate) fn set_queue(&self, queue: u64) {
        self.lock().queue = Some(queue);
    }

    /// Takes a member in, or changes how it takes part; whether it is new.
    pub(crate) fn join(
        &self,
        inbox: &Arc<Inbox>,
        options: SubscriptionOptions,
        is_online: bool,
        is_persistent: bool,
    ) -> bool {
        let mut state = self.lock();
        let member = Member { inbox: Arc::clone(inbox), options, is_online, is_persistent, looked_at: 0 };
        match state.members.iter_mut().find(|present| Arc::ptr_eq(&present.inbox, inbox)) {
            Some(present) => {
                *present = member;
                false
            }
            None => {
                state.members.push(member);
                true
            }
        }
    }

    /// Lets a member go for good.
    pub(crate) fn leave(&self, inbox: &Arc<Inbox>, sessions: &Sessions) -> Left {
        let mut state = self.lock();
        let mut left = Left::default();
        if let Some(at) = state.place_of(inbox) {
            let member = state.members.remove(at);
            (left.was_member, left.was_persistent) = (true, member.is_persistent);
        }
        left.is_empty = state.members.is_empty();
        let is_kept = state.members.iter().any(|member| member.is_persistent);
        if !is_kept {
            left.queue = state.queue.take();
        }
        left.dropped = if is_kept || state.is_somebody_here() {
            state.take_unwanted(sessions)
        } else {
            state.waiting.take_where(sessions, |_| true)
        };
        left
    }

    /// A member has come or gone. Who comes may have other rights than before, and looks at everything afresh.
    pub(crate) fn set_online(&self, inbox: &Arc<Inbox>, is_online: bool, sessions: &Sessions) {
        let mut state = self.lock();
        if let Some(at) = state.place_of(inbox) {
            let member = &mut state.members[at];
            (member.is_online, member.looked_at) = (is_online, 0);
        }
        if !state.waiting.is_empty() && !state.is_somebody_here() {
            // Nothing is kept of them.
            state.waiting.take_where(sessions, |due| due.message.qos == QoS::AtMostOnce);
        }
    }

    /// Whether messages wait that this member has not looked at.
    pub(crate) fn has_waiting(&self, inbox: &Arc<Inbox>) -> bool {
        let state = self.lock();
        !state.waiting.is_empty()
            && state.place_of(inbox).is_some_and(|at| state.has_news(&state.members[at]))
    }

    /// The message that has waited longest of those that this member has not looked at, and its number.
    pub(crate) fn peek(&self, inbox: &Arc<Inbox>) -> Option<(u64, Arc<Message>)> {
        let state = self.lock();
        let due = state.waiting.next_behind(state.members[state.place_of(inbox)?].looked_at)?;
        Some((due.number, Arc::clone(&due.message)))
    }

    /// The message of this number, unless another member was faster.
    pub(crate) fn take(&self, inbox: &Arc<Inbox>, number: u64, sessions: &Sessions) -> Option<Due> {
        let mut state = self.lock();
        let qos_max = state.members[state.place_of(inbox)?].options.qos;
        let due = state.waiting.take_number(number, sessions)?;
        Some(Due { qos: due.message.qos.min(qos_max), ..due })
    }

    /// A member may not receive the message of this number. `may_wait`: whether it may, for those who are away.
    pub(super) fn pass_over(
        &self,
        inbox: &Arc<Inbox>,
        number: u64,
        may_wait: impl FnOnce() -> bool,
        sessions: &Sessions,
        handed_out: &mut HandedOut,
    ) {
        let mut state = self.lock();
        let Some(at) = state.place_of(inbox) else { return };
        state.members[at].looked_at = number;
        if state.members.iter().any(|member| member.is_online && member.looked_at < number) {
            return;
        }
        handed_out.unwanted.extend(state.take_unwanted(sessions));
        let Some(due) = state.waiting.numbered_mut(number) else { return };
        if due.message.qos == QoS::AtMostOnce {
            return handed_out.unwanted.extend(state.waiting.take_number(number, sessions));
        }
        if !std::mem::replace(&mut due.is_counted, true) && !may_wait() {
            state.dropped += 1;
            handed_out.refused.extend(state.waiting.take_number(number, sessions));
        }
    }

    /// Gives a message to a member. `may_wait`: whether it may, if nobody is here.
    pub(super) fn give(
        &self,
        mut due: Due,
        may_wait: impl FnOnce() -> bool,
        sessions: &Sessions,
        now: Instant,
        handed_out: &mut HandedOut,
    ) {
        let mut state = self.lock();
        let (count, published) = (state.members.len(), due.message.qos);
        // [AWS mqtt shared-subscriptions] Only what was published with QoS 1 waits, for those who are away.
        let may_wait_long = published != QoS::AtMostOnce && state.queue.is_some();
        // What waits for a member goes first: it takes that when it has room. What cannot wait may overtake it.
        let rounds = if may_wait_long { count } else { 2 * count };
        for round in 0..rounds {
            let at = state.next % count;
            state.next = at + 1;
            let member = &state.members[at];
            if !member.is_online || round < count && state.has_news(member) {
                continue;
            }
            // [MQTT311 3.8.4-6] The lower of the two.
            due.qos = published.min(member.options.qos);
            match member.inbox.put(due, sessions, || true) {
                Ok(Put::Wake) => return handed_out.woken.push(Arc::clone(&member.inbox)),
                Ok(Put::Silent | Put::Away) => return,
                Err(refused) => due = refused,
            }
        }
        if may_wait_long {
            state.have_wait(due, None, may_wait, sessions, now, handed_out);
        } else if state.is_somebody_here() {
            state.dropped += 1;
            handed_out.refused.push(due);
        } else {
            handed_out.unwanted.push(due);
        }
    }

    /// A member may not receive what it was given: it waits for the others.
    pub(super) fn give_to_others(
        &self,
        due: Due,
        inbox: &Arc<Inbox>,
        may_wait: impl FnOnce() -> bool,
        sessions: &Sessions,
        now: Instant,
        handed_out: &mut HandedOut,
    ) {
        let mut state = self.lock();
        let is_other = |member: &&Member| !Arc::ptr_eq(&member.inbox, inbox);
        let keeps = state.queue.is_some() && due.message.qos != QoS::AtMostOnce;
        if !state.members.iter().filter(is_other).any(|member| keeps || member.is_online) {
            return handed_out.unwanted.push(due);
        }
        let has_looked = state.place_of(inbox).filter(|at| !state.has_news(&state.members[*at]));
        if state.have_wait(due, Some(inbox), may_wait, sessions, now, handed_out)
            && let Some(at) = has_looked
        {
            state.members[at].looked_at = state.last_number;
        }
    }

    /// Puts in what the store has, whatever the limits are now.
    pub(super) fn restore(&self, due: Due, sessions: &Sessions) {
        let mut state = self.lock();
        state.last_number += 1;
        let due = Due { number: state.last_number, is_counted: true, ..due };
        state.waiting.push(due, sessions);
    }

    /// How it stands.
    pub(crate) fn report(&self) -> SharedGroup {
        let state = self.lock();
        SharedGroup {
            filter: self.filter.to_string(),
            members: state.members.len(),
            online: state.members.iter().filter(|member| member.is_online).count(),
            queued: state.waiting.len(),
            dropped: state.dropped,
        }
    }

    /// Those members that belong to a loop, with the QoS of their subscriptions.
    pub(crate) fn members_of(&self, place: usize) -> Vec<(Arc<str>, QoS)> {
        let state = self.lock();
        let own = state.members.iter().filter(|member| member.inbox.place == place);
        own.map(|member| (Arc::clone(&member.inbox.client_id), member.options.qos)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn place_of(&self, inbox: &Arc<Inbox>) -> Option<usize> {
        self.members.iter().position(|member| Arc::ptr_eq(&member.inbox, inbox))
    }

    fn is_somebody_here(&self) -> bool {
        self.members.iter().any(|member| member.is_online)
    }

    /// Whether something waits that the member has not looked at.
    fn has_news(&self, member: &Member) -> bool {
        self.waiting.last_number().is_some_and(|last| last > member.looked_at)
    }

    /// Puts a message behind those that wait, and tells all who are here but `refuser`; whether it found room.
    fn have_wait(
        &mut self,
        mut due: Due,
        refuser: Option<&Arc<Inbox>>,
        may_wait: impl FnOnce() -> bool,
        sessions: &Sessions,
        now: Instant,
        handed_out: &mut HandedOut,
    ) -> bool {
        if !self.waiting.takes(&due, sessions) {
            handed_out.unwanted.extend(self.waiting.take_expired(now, sessions));
        }
        let is_here = |member: &&Member| {
            member.is_online && refuser.is_none_or(|refuser| !Arc::ptr_eq(refuser, &member.inbox))
        };
        let is_somebody_here = self.members.iter().any(|member| is_here(&member));
        if !self.waiting.takes(&due, sessions) || !is_somebody_here && !may_wait() {
            self.dropped += 1;
            handed_out.refused.push(due);
            return false;
        }
        if !is_somebody_here {
            handed_out.waits_for_group(&due);
        }
        self.last_number += 1;
        (due.number, due.is_counted) = (self.last_number, !is_somebody_here);
        // Whoever has been told and has room takes until nothing is left, or it has none: then it looks when it has again.
        for member in self.members.iter().filter(|member| is_here(member) && !self.has_news(member)) {
            if member.inbox.wake() == Put::Wake {
                handed_out.woken.push(Arc::clone(&member.inbox));
            }
        }
        self.waiting.push(due, sessions);
        true
    }

    /// Takes out what each of the members has looked at and may not receive.
    fn take_unwanted(&mut self, sessions: &Sessions) -> Vec<Due> {
        let seen_by_all = self.members.iter().map(|member| member.looked_at).min().unwrap_or(0);
        let mut unwanted = Vec::new();
        while self.waiting.first_number().is_some_and(|first| first <= seen_by_all) {
            unwanted.extend(self.waiting.pop(sessions));
        }
        unwanted
    }
}
