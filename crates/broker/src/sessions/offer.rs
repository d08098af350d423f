//! From a publish to the queues of those who must not miss it.

use super::Sessions;
use super::directory::Recipient;
use super::group::Group;
use super::inbox::{Inbox, Put};
use super::record::{MESSAGES, QUEUED, key_under, write_message, write_queued};
use crate::account::Account;
use crate::message::{Due, Message};
use mqtt_wire::QoS;
use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use store::Transaction;

/// Recipients of one message in one record of the journal: two megabytes of entries.
const RECIPIENTS_MAX: usize = 50_000;

/// What is written together: with one more message of any size it is still a record that the journal takes.
const OFFERS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A message, and the sessions and groups that it is kept for.
#[derive(Debug)]
pub(crate) struct Offer {
    message: Arc<Message>,
    recipients: Vec<Recipient>,
    groups: Vec<Arc<Group>>,
}

/// One place of a message on disk: in the queue of a session or a group.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Whose queue.
    queue: u64,
    kept: Arc<Kept>,
}

/// A message on disk.
#[derive(Debug)]
pub(super) struct Kept {
    number: u64,
    /// Entries that name it.
    entries: AtomicUsize,
}

impl Entry {
    pub(super) fn new(queue: u64, kept: Arc<Kept>) -> Self {
        Self { queue, kept }
    }

    /// By what number the store knows the session or group.
    pub(super) fn queue(&self) -> u64 {
        self.queue
    }

    /// By what number the store knows the message.
    pub(super) fn number(&self) -> u64 {
        self.kept.number
    }

    /// Removes the entry from the store, and the message with its last one.
    pub(super) fn settle(self, transaction: &mut Transaction) {
        let Self { queue, kept } = self;
        let number = kept.number.to_be_bytes();
        transaction.delete(QUEUED, key_under(queue, &number));
        if kept.entries.fetch_sub(1, Ordering::AcqRel) == 1 {
            transaction.delete(MESSAGES, number);
        }
    }
}

impl Kept {
    pub(super) fn new(number: u64, entries: usize) -> Arc<Self> {
        Arc::new(Self { number, entries: AtomicUsize::new(entries) })
    }

    pub(super) fn one_more(&self) {
        self.entries.fetch_add(1, Ordering::Relaxed);
    }
}

/// Messages that are in a transaction and will be handed out when it is in the journal.
#[derive(Debug, Default)]
pub(crate) struct Written {
    dues: Vec<(Target, Due)>,
    /// How many offers it is.
    offers: usize,
}

impl Written {
    /// Takes those offers out that are written.
    pub(crate) fn take_from(&self, offers: &mut Vec<Offer>) {
        offers.drain(..self.offers);
    }
}

#[derive(Debug)]
enum Target {
    Session(Arc<Inbox>),
    Group(Arc<Group>),
}

/// What has become of messages that were handed out.
#[derive(Debug, Default)]
pub(crate) struct HandedOut {
    /// Clients whose loop must be told.
    pub(crate) woken: Vec<Arc<Inbox>>,
    /// Messages that a limit kept from being queued.
    pub(crate) refused: Vec<Due>,
    /// Messages that have expired, or for which there is nobody.
    pub(crate) unwanted: Vec<Due>,
    /// Messages that wait for somebody who is away; `None`: nobody wants to know.
    pub(crate) waiting: Option<Vec<Waiting>>,
}

/// A message that waits for somebody who is away.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) message: Arc<Message>,
    pub(crate) whom: Whom,
}

/// For whom a message waits.
#[derive(Debug)]
pub(crate) enum Whom {
    /// A client, by its id.
    Client(Arc<str>),
    /// Any member of a group, by its filter.
    Group(Arc<str>),
}

impl HandedOut {
    pub(super) fn waits_for_group(&mut self, due: &Due) {
        if let Some(waiting) = &mut self.waiting
            && let Some(group) = &due.group
        {
            let whom = Whom::Group(Arc::clone(&group.filter));
            waiting.push(Waiting { message: Arc::clone(&due.message), whom });
        }
    }
}

impl Offer {
    /// A message for one session.
    pub(crate) fn to(message: Arc<Message>, inbox: Arc<Inbox>) -> Self {
        let recipients = vec![Recipient { inbox, qos: message.qos, retain_as_published: true }];
        Self { message, recipients, groups: Vec::new() }
    }

    /// Memory that it takes, about.
    pub(crate) fn bytes_len(&self) -> usize {
        self.message.bytes_len() + 48 * (self.recipients.len() + self.groups.len())
    }
}

/// Whom a message concerns, beside the sessions that get it from their loops.
#[derive(Debug, Default)]
pub(crate) struct Concerned {
    /// With whom it must be kept until they have it.
    pub(crate) kept: Vec<Offer>,
    /// Members of these groups get it, and nothing is kept of it.
    pub(crate) unkept: Vec<(Arc<Message>, Arc<Group>)>,
}

impl Sessions {
    /// Lists whom a message must be kept for, and the groups for which it need not.
    ///
    /// `from` is the client that publishes; `message` makes the message, if somebody is concerned at all.
    pub(crate) fn find(
        &self,
        topic: &str,
        qos: QoS,
        from: Option<&str>,
        message: impl FnOnce() -> Arc<Message>,
        concerned: &mut Concerned,
    ) {
        if self.concerned.load(Ordering::Acquire) == 0 {
            return;
        }
        let (mut recipients, mut groups) = self.read().find(topic, from);
        if qos == QoS::AtMostOnce {
            // The loops deliver it to the sessions that are here.
            recipients.clear();
        }
        if recipients.is_empty() && groups.is_empty() {
            return;
        }
        let message = message();
        groups.retain(|group| {
            let is_kept = qos != QoS::AtMostOnce && group.queue().is_some();
            if !is_kept {
                concerned.unkept.push((Arc::clone(&message), Arc::clone(group)));
            }
            is_kept
        });
        while !recipients.is_empty() || !groups.is_empty() {
            let rest = recipients.split_off(recipients.len().min(RECIPIENTS_MAX));
            let message = Arc::clone(&message);
            concerned.kept.push(Offer { message, recipients, groups: std::mem::take(&mut groups) });
            recipients = rest;
        }
    }

    /// Adds messages, and whom they are for, to the transaction that they are to be kept with, as many as one record
    /// takes: at least the first. Those are taken out of `offers` by [`Written::take_from`].
    pub(crate) fn write_offers(
        &self,
        offers: &[Offer],
        transaction: &mut Transaction,
        now: Instant,
        now_ms: i64,
    ) -> Written {
        let mut written = Written::default();
        for Offer { message, recipients, groups } in offers {
            if written.offers > 0 && transaction.bytes_len() + message.bytes_len() > OFFERS_BYTES_MAX {
                break;
            }
            written.offers += 1;
            let number = self.next_number();
            let kept = Kept::new(number, 0);
            let mut entry = |queue: u64, qos: QoS, retain: bool| {
                transaction.put(QUEUED, key_under(queue, &number.to_be_bytes()), write_queued(qos, retain));
                kept.one_more();
                Entry::new(queue, Arc::clone(&kept))
            };
            for Recipient { inbox, qos, retain_as_published } in recipients {
                // [MQTT311 3.8.4-6] The lower of the two.
                let (qos, retain) = (message.qos.min(*qos), message.retain && *retain_as_published);
                let entry = Some(entry(inbox.id, qos, retain));
                let due = Due { entry, ..Due::new(Arc::clone(message), qos, retain) };
                written.dues.push((Target::Session(Arc::clone(inbox)), due));
            }
            for group in groups {
                // Its last persistent member may have left since: then nobody has to keep it.
                let entry = group.queue().map(|queue| entry(queue, message.qos, false));
                written.dues.push((Target::Group(Arc::clone(group)), Due::of_group(message, group, entry)));
            }
            if kept.entries.load(Ordering::Relaxed) > 0 {
                transaction.put(MESSAGES, number.to_be_bytes(), write_message(message, now, now_ms));
            }
        }
        written
    }

    /// Puts messages that the journal has into the queues of those whom they are for.
    pub(crate) fn hand_out(
        &self,
        written: Written,
        account: &Account,
        now: Instant,
        handed_out: &mut HandedOut,
    ) {
        for (target, due) in written.dues {
            match target {
                Target::Group(group) => group.give(due, || account.may_queue(now), self, now, handed_out),
                Target::Session(inbox) => match self.put(&inbox, due, account, now, handed_out) {
                    Ok(Put::Wake) => handed_out.woken.push(inbox),
                    Ok(Put::Silent | Put::Away) => {}
                    Err(refused) => {
                        inbox.note_dropped(now);
                        handed_out.refused.push(refused);
                    }
                },
            }
        }
    }

    /// Gives messages to members of groups that keep nothing.
    pub(crate) fn give_unkept(
        &self,
        unkept: impl IntoIterator<Item = (Arc<Message>, Arc<Group>)>,
        now: Instant,
        handed_out: &mut HandedOut,
    ) {
        for (message, group) in unkept {
            group.give(Due::of_group(&message, &group, None), || true, self, now, handed_out);
        }
    }

    /// Puts a message into an inbox, for which others may have to go that are of no use any more.
    fn put(
        &self,
        inbox: &Arc<Inbox>,
        due: Due,
        account: &Account,
        now: Instant,
        handed_out: &mut HandedOut,
    ) -> Result<Put, Due> {
        let message = handed_out.waiting.is_some().then(|| Arc::clone(&due.message));
        // Asked once, also when a full queue makes it two attempts.
        let answer = OnceCell::new();
        let may_wait = || *answer.get_or_init(|| account.may_queue(now));
        let put = inbox.put(due, self, may_wait).or_else(|due| {
            handed_out.unwanted.extend(inbox.take_expired(now, self));
            inbox.put(due, self, may_wait)
        });
        if let (Ok(Put::Away), Some(message), Some(waiting)) = (&put, message, &mut handed_out.waiting) {
            waiting.push(Waiting { message, whom: Whom::Client(Arc::clone(&inbox.client_id)) });
        }
        put
    }

    /// What a member of a group has not acknowledged goes to the others.
    pub(crate) fn give_back(&self, due: Due, now: Instant, handed_out: &mut HandedOut) {
        if let Some(group) = due.group.clone() {
            group.give(due, || true, self, now, handed_out);
        }
    }

    /// A member of a group may not have what waits there: it is for the others, as long as there may be one who may.
    pub(crate) fn pass_over(
        &self,
        group: &Group,
        number: u64,
        inbox: &Arc<Inbox>,
        account: &Account,
        now: Instant,
        handed_out: &mut HandedOut,
    ) {
        group.pass_over(inbox, number, || account.may_queue(now), self, handed_out);
    }

    /// What a member of a group was given and may not have goes to the others, as long as there may be one who may.
    pub(crate) fn give_to_others(
        &self,
        due: Due,
        inbox: &Arc<Inbox>,
        account: &Account,
        now: Instant,
        handed_out: &mut HandedOut,
    ) {
        if let Some(group) = due.group.clone() {
            group.give_to_others(due, inbox, || account.may_queue(now), self, now, handed_out);
        }
    }
}
