//! A group of clients that share a subscription: each message goes to one of them [MQTT5 4.8.2].

use super::Sessions;
use super::inbox::{Inbox, Put};
use crate::message::Due;
use mqtt_wire::{QoS, SubscriptionOptions};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    waiting: VecDeque<Due>,
    bytes: usize,
}

#[derive(Debug)]
struct Member {
    inbox: Arc<Inbox>,
    options: SubscriptionOptions,
    is_online: bool,
    is_persistent: bool,
}

/// What became of a message for a group.
#[derive(Debug)]
pub(crate) enum Given {
    /// A member has it, whose loop must be told.
    Wake(Arc<Inbox>),
    /// A member has it and is going to look, or it waits for one.
    Silent,
    /// Nobody takes it.
    Refused(Due),
}

/// What has changed in a group when a member came or left.
#[derive(Debug, Default)]
pub(crate) struct Left {
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

    /// Takes a member in, or changes how it takes part.
    pub(crate) fn join(
        &self,
        inbox: &Arc<Inbox>,
        options: SubscriptionOptions,
        is_online: bool,
        is_persistent: bool,
    ) {
        let mut state = self.lock();
        let member = Member { inbox: Arc::clone(inbox), options, is_online, is_persistent };
        match state.members.iter_mut().find(|present| Arc::ptr_eq(&present.inbox, inbox)) {
            Some(present) => *present = member,
            None => state.members.push(member),
        }
    }

    /// Lets a member go for good.
    pub(crate) fn leave(&self, inbox: &Arc<Inbox>, sessions: &Sessions) -> Left {
        let mut state = self.lock();
        state.members.retain(|member| !Arc::ptr_eq(&member.inbox, inbox));
        let mut left = Left { is_empty: state.members.is_empty(), ..Left::default() };
        if !state.members.iter().any(|member| member.is_persistent) {
            left.queue = state.queue.take();
            left.dropped = std::mem::take(&mut state.waiting).into();
            sessions.released(std::mem::take(&mut state.bytes));
        }
        left
    }

    /// A member has come or gone.
    pub(crate) fn set_online(&self, inbox: &Arc<Inbox>, is_online: bool) {
        let mut state = self.lock();
        if let Some(member) = state.members.iter_mut().find(|member| Arc::ptr_eq(&member.inbox, inbox)) {
            member.is_online = is_online;
        }
    }

    /// What waited for a member, now that there may be one.
    pub(crate) fn take_waiting(&self, sessions: &Sessions) -> Vec<Due> {
        let mut state = self.lock();
        sessions.released(std::mem::take(&mut state.bytes));
        std::mem::take(&mut state.waiting).into()
    }

    /// Gives a message to a member.
    pub(crate) fn give(&self, mut due: Due, sessions: &Sessions) -> Given {
        let mut state = self.lock();
        let (count, published) = (state.members.len(), due.qos);
        for _ in 0..count {
            let at = state.next % count;
            state.next = at + 1;
            let Member { inbox, options, is_online, .. } = &state.members[at];
            if !is_online {
                continue;
            }
            // [MQTT311 3.8.4-6] The lower of the two.
            due.qos = published.min(options.qos);
            match inbox.put(due, sessions) {
                Ok(Put::Wake) => return Given::Wake(Arc::clone(inbox)),
                Ok(Put::Silent) => return Given::Silent,
                Err(refused) => due = Due { qos: published, ..refused },
            }
        }
        let bytes = due.message.bytes_len();
        // [AWS mqtt shared-subscriptions] Only what was published with QoS 1 waits.
        let may_wait = state.queue.is_some() && published != QoS::AtMostOnce;
        if !may_wait || !sessions.has_room(state.waiting.len(), state.bytes, bytes) {
            return Given::Refused(due);
        }
        sessions.held(bytes);
        state.bytes += bytes;
        state.waiting.push_back(due);
        Given::Silent
    }

    /// Puts in what the store has, whatever the limits are now.
    pub(super) fn restore(&self, due: Due, sessions: &Sessions) {
        let mut state = self.lock();
        let bytes = due.message.bytes_len();
        sessions.held(bytes);
        state.bytes += bytes;
        state.waiting.push_back(due);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
