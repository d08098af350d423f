//! What other threads tell an event loop.
//!
//! One lock per turn and sender, one wake-up per sleeping loop: messages travel in batches, never one by one.

use crate::completion::Ticket;
use crate::control::Question;
use crate::handshake::Arrival;
use crate::history::Survey;
use crate::message::Message;
use crate::sessions::Inbox;
use mio::Waker;
use pki::CertificateId;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use store::{Lost, Position};

/// Bytes of messages that may wait for one loop.
///
/// A loop that is this far behind gets no more for its subscribers; at half of it, the senders stop reading their
/// own clients first, so that only a burst from the API can reach it.
pub(crate) const MAILBOX_BYTES_MAX: usize = 64 * 1024 * 1024;

/// New connections that may wait for one loop. More means that the loop hangs: better to refuse than to collect.
const ARRIVALS_MAX: usize = 4_096;

/// One thing to tell.
#[derive(Debug)]
pub(crate) enum Mail {
    /// A client has connected and belongs to this loop.
    Arrival(Box<Arrival>),
    /// Messages published elsewhere, for this loop's subscribers.
    Messages(Vec<Arc<Message>>),
    /// There is something in the inboxes of these clients.
    Waiting(Vec<Arc<Inbox>>),
    /// Everything up to here is durable.
    Committed(Position),
    /// Appends that will never be durable.
    Lost(Lost),
    /// The registry has changed; these certificates are no longer active.
    RegistryChanged { dropped: Arc<[CertificateId]>, ticket: Ticket },
    /// The rules have changed.
    RulesChanged { ticket: Ticket },
    /// The API wants to know, or have done, something about a client.
    Ask { client_id: Box<str>, question: Question },
    /// The API wants to know something of every loop.
    Survey { survey: Arc<Survey>, ticket: Ticket },
    /// Finish until then, and end.
    Drain { deadline: Instant, ticket: Ticket },
}

/// One loop's mailbox.
#[derive(Debug)]
pub(crate) struct Mailbox {
    state: Mutex<State>,
    waker: Waker,
    /// The loop is about to sleep or sleeps: whoever sets it back wakes it.
    sleeping: AtomicBool,
    /// Mailboxes that are more than half full, over all loops.
    congested: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct State {
    mail: VecDeque<Mail>,
    message_bytes: usize,
    arrivals: usize,
    is_congested: bool,
    /// The loop has ended; mail is dropped, which counts its tickets.
    closed: bool,
}

impl Mailbox {
    pub(crate) fn new(waker: Waker, congested: Arc<AtomicUsize>) -> Self {
        Self { state: Mutex::default(), waker, sleeping: AtomicBool::new(false), congested }
    }

    /// Hands over a new client; gives it back when the loop takes no more.
    pub(crate) fn post_arrival(&self, arrival: Box<Arrival>) -> Result<(), Box<Arrival>> {
        let mut state = self.lock();
        if state.closed || state.arrivals >= ARRIVALS_MAX {
            return Err(arrival);
        }
        state.arrivals += 1;
        state.mail.push_back(Mail::Arrival(arrival));
        self.wake(state);
        Ok(())
    }

    /// Posts messages; gives how many were dropped because the loop is too far behind.
    pub(crate) fn post_messages(&self, mut messages: Vec<Arc<Message>>) -> usize {
        let mut state = self.lock();
        let mut room = MAILBOX_BYTES_MAX.saturating_sub(state.message_bytes);
        let fits = messages
            .iter()
            .take_while(|message| {
                let bytes = message.bytes_len();
                let fits = bytes <= room;
                room = room.saturating_sub(bytes);
                fits
            })
            .count();
        let dropped = messages.len() - fits;
        messages.truncate(fits);
        if messages.is_empty() || state.closed {
            return dropped;
        }
        state.message_bytes += messages.iter().map(|message| message.bytes_len()).sum::<usize>();
        if !state.is_congested && state.message_bytes > MAILBOX_BYTES_MAX / 2 {
            state.is_congested = true;
            self.congested.fetch_add(1, Ordering::Relaxed);
        }
        state.mail.push_back(Mail::Messages(messages));
        self.wake(state);
        dropped
    }

    /// Posts what must arrive. Its amount is bounded by who sends it: one per API call in progress, one per fsync.
    pub(crate) fn post(&self, mail: Mail) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        match (&mail, state.mail.back_mut()) {
            // A loop that is busy for several syncs needs the last position only.
            (Mail::Committed(position), Some(Mail::Committed(last))) => *last = *position,
            _ => state.mail.push_back(mail),
        }
        self.wake(state);
    }

    /// Takes everything, in order.
    pub(crate) fn take(&self) -> VecDeque<Mail> {
        let mut state = self.lock();
        self.calm(&mut state);
        state.message_bytes = 0;
        state.arrivals = 0;
        std::mem::take(&mut state.mail)
    }

    /// Announces sleep; gives whether the loop may sleep, as nothing has arrived.
    pub(crate) fn may_sleep(&self) -> bool {
        self.sleeping.store(true, Ordering::SeqCst);
        let empty = self.lock().mail.is_empty();
        if !empty {
            self.sleeping.store(false, Ordering::SeqCst);
        }
        empty
    }

    pub(crate) fn woke(&self) {
        self.sleeping.store(false, Ordering::SeqCst);
    }

    /// Takes no more mail, and drops what is there.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        self.calm(&mut state);
        state.closed = true;
        let mail = std::mem::take(&mut state.mail);
        drop(state);
        drop(mail);
    }

    fn calm(&self, state: &mut State) {
        if state.is_congested {
            state.is_congested = false;
            self.congested.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn wake(&self, state: MutexGuard<'_, State>) {
        drop(state);
        if self.sleeping.swap(false, Ordering::SeqCst)
            && let Err(error) = self.waker.wake()
        {
            // Without it the mail waits for the next event or timer of the loop.
            tracing::error!(%error, "an event loop could not be woken");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::completion::Settled;
    use mio::{Poll, Token};
    use mqtt_wire::{QoS, TopicName};
    use std::time::Duration;

    fn mailbox() -> (Mailbox, Poll, Arc<AtomicUsize>) {
        let poll = Poll::new().unwrap();
        let congested = Arc::new(AtomicUsize::new(0));
        (
            Mailbox::new(Waker::new(poll.registry(), Token(0)).unwrap(), Arc::clone(&congested)),
            poll,
            congested,
        )
    }

    #[test]
    fn commits_merge_but_keep_their_place_among_losses() {
        let (mailbox, _poll, _) = mailbox();
        let lost = Lost { up_to: Position(9), error: store::AppendError::Shortage };
        for mail in [
            Mail::Committed(Position(1)),
            Mail::Committed(Position(2)),
            Mail::Lost(lost),
            Mail::Committed(Position(12)),
        ] {
            mailbox.post(mail);
        }
        let mail: Vec<_> = mailbox.take().into();
        assert!(
            matches!(&mail[..], [Mail::Committed(Position(2)), Mail::Lost(_), Mail::Committed(Position(12))]),
            "{mail:?}"
        );
    }

    #[test]
    fn messages_beyond_the_limit_are_dropped_and_congestion_is_told() {
        let (mailbox, _poll, congested) = mailbox();
        let message = Message::new(
            TopicName::parse("t").unwrap(),
            &vec![0; MAILBOX_BYTES_MAX / 4],
            QoS::AtMostOnce,
            false,
            mqtt_session::Attached::default(),
        );
        let batch = |count| vec![Arc::clone(&message); count];
        assert_eq!((mailbox.post_messages(batch(1)), congested.load(Ordering::Relaxed)), (0, 0));
        assert_eq!((mailbox.post_messages(batch(2)), congested.load(Ordering::Relaxed)), (0, 1));
        assert_eq!(mailbox.post_messages(batch(3)), 3);
        assert_eq!(mailbox.take().len(), 2);
        assert_eq!(congested.load(Ordering::Relaxed), 0);
        assert_eq!(mailbox.post_messages(batch(1)), 0);
    }

    #[test]
    fn a_sleeping_loop_is_woken_once_and_a_closed_one_drops_its_tickets() {
        let (mailbox, mut poll, _) = mailbox();
        let mut events = mio::Events::with_capacity(4);
        assert!(mailbox.may_sleep());
        mailbox.post(Mail::Committed(Position(1)));
        poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
        assert!(!events.is_empty());
        assert!(!mailbox.may_sleep(), "there is mail");

        let (settled, mut tickets) = Settled::after(2);
        mailbox.post(Mail::RulesChanged { ticket: tickets.next().unwrap() });
        mailbox.close();
        mailbox.post(Mail::RulesChanged { ticket: tickets.next().unwrap() });
        settled.wait();
    }
}
