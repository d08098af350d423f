//! A group of clients that share a subscription: each message goes to one of them [MQTT5 4.8.2].

use super::Sessions;
use super::inbox::{Inbox, Put};
use super::offer::HandedOut;
use super::queue::Queue;
use crate::history::SharedGroup;
use crate::message::Due;
use mqtt_wire::{QoS, SubscriptionOptions};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The clients behind one `$share/NAME/FILTER`.
///
/// A message is given to the members that are connected in turn. Who goes without having acknowledged it gives it back
/// [MQTT5 4.8.2-6]. While nobody is connected, messages wait if one of the members has a persistent session
/// [AWS mqtt shared-subscriptions].
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
    /// For when a member has room.
    waiting: Queue,
    /// Messages that found no room.
    dropped: u64,
}

#[derive(Debug)]
struct Member {
    inbox: Arc<Inbox>,
    options: SubscriptionOptions,
    is_online: bool,
    is_persistent: bool,
}

/// What has changed in a group when a member came or left.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// There was such a member.
    pub(crate) was_member: bool,
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
        let member = Member { inbox: Arc::clone(inbox), options, is_online, is_persistent };
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
        let members = state.members.len();
        state.members.retain(|member| !Arc::ptr_eq(&member.inbox, inbox));
        let was_member = state.members.len() < members;
        let mut left = Left { was_member, is_empty: state.members.is_empty(), ..Left::default() };
        if !state.members.iter().any(|member| member.is_persistent) {
            left.queue = state.queue.take();
            left.dropped = state.waiting.take_where(sessions, |_| true);
            return left;
        }
        let State { members, waiting, .. } = &mut *state;
        if waiting.has(|due| is_refused_by_all(due, members)) {
            left.dropped = waiting.take_where(sessions, |due| is_refused_by_all(due, members));
        }
        left
    }

    /// A member has come or gone. Who comes may have other rights than before, and is asked afresh.
    pub(crate) fn set_online(&self, inbox: &Arc<Inbox>, is_online: bool) {
        let mut state = self.lock();
        if is_online {
            state.waiting.each_mut(|due| due.refused_by.retain(|&by| by != inbox.id));
        }
        if let Some(member) = state.members.iter_mut().find(|member| Arc::ptr_eq(&member.inbox, inbox)) {
            member.is_online = is_online;
        }
    }

    /// Whether messages wait that this member, which has room, has not refused.
    pub(crate) fn has_waiting(&self, inbox: &Inbox) -> bool {
        self.lock().waiting.has(|due| !due.refused_by.contains(&inbox.id))
    }

    /// The message that has waited longest, for a member that has room and has not refused it.
    pub(crate) fn take(&self, inbox: &Arc<Inbox>, sessions: &Sessions) -> Option<Due> {
        let mut state = self.lock();
        let member = state.members.iter().find(|member| Arc::ptr_eq(&member.inbox, inbox))?;
        let qos_max = member.options.qos;
        let due = state.waiting.take_first(sessions, |due| !due.refused_by.contains(&inbox.id))?;
        Some(Due { qos: due.message.qos.min(qos_max), ..due })
    }

    /// Gives a message to a member that has not refused it. `may_wait`: whether it may, if nobody is here.
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
        // What waits goes first, and whoever is here takes it when there is room.
        let mut awake = None;
        for _ in 0..count {
            let at = state.next % count;
            state.next = at + 1;
            let Member { inbox, options, is_online, .. } = &state.members[at];
            if !is_online || due.refused_by.contains(&inbox.id) {
                continue;
            }
            if !state.waiting.is_empty() {
                awake = Some(Arc::clone(inbox));
                break;
            }
            // [MQTT311 3.8.4-6] The lower of the two.
            due.qos = published.min(options.qos);
            match inbox.put(due, sessions, || true) {
                Ok(Put::Wake) => return handed_out.woken.push(Arc::clone(inbox)),
                Ok(Put::Silent | Put::Away) => return,
                Err(refused) => due = refused,
            }
        }
        // [AWS mqtt shared-subscriptions] Only what was published with QoS 1 waits.
        let is_unwanted = is_refused_by_all(&due, &state.members);
        if state.queue.is_none() || published == QoS::AtMostOnce || is_unwanted {
            return handed_out.unwanted.push(due);
        }
        if !state.waiting.takes(&due, sessions) {
            handed_out.unwanted.extend(state.waiting.take_expired(now, sessions));
            if !state.waiting.takes(&due, sessions) {
                state.dropped += 1;
                return handed_out.refused.push(due);
            }
        }
        if awake.is_none() {
            if !may_wait() {
                state.dropped += 1;
                return handed_out.refused.push(due);
            }
            handed_out.waits_for_group(&due);
        }
        state.waiting.push(due, sessions);
        if let Some(inbox) = awake.filter(|inbox| inbox.wake() == Put::Wake) {
            handed_out.woken.push(inbox);
        }
    }

    /// Puts in what the store has, whatever the limits are now.
    pub(super) fn restore(&self, due: Due, sessions: &Sessions) {
        self.lock().waiting.push(due, sessions);
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

/// Whether nobody is left whom a message could be for.
fn is_refused_by_all(due: &Due, members: &[Member]) -> bool {
    members.iter().all(|member| due.refused_by.contains(&member.inbox.id))
}
