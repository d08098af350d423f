//! What all clients may do together, and each client id: the quotas of AWS that are one account's.
//!
//! Publishes are counted on every loop, so theirs are shared buckets with a lease for each loop (`event_loop::pace`).
//! Connects, subscribes and retained messages come by the hundreds a second at most: a lock for each is cheap.

use mqtt_session::rate::{KeyedBuckets, Lease, SharedBucket, TokenBucket};
use mqtt_session::{Limits, Quota, Rate, Throttled};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The books of the account that a server is.
#[derive(Debug)]
pub(crate) struct Account {
    limits: Arc<Limits>,
    connections: Arc<AtomicUsize>,
    connects: Mutex<Rates>,
    subscribes: SharedBucket,
    retained: Mutex<Rates>,
    queued: SharedBucket,
    publishes_in: SharedBucket,
    publishes_out: SharedBucket,
    throttled: [AtomicU64; Quota::ALL.len()],
}

/// A rate for all, and one for each name.
#[derive(Debug)]
struct Rates {
    all: TokenBucket,
    each: KeyedBuckets,
}

/// One client's place among those that may be connected: given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Rates {
    fn new(now: Instant) -> Mutex<Self> {
        Mutex::new(Self { all: TokenBucket::full(now), each: KeyedBuckets::default() })
    }

    /// Takes one of both, or of none.
    ///
    /// # Errors
    /// Which one has none.
    fn take(
        &mut self,
        name: &str,
        (all, of_all): (Rate, Quota),
        (each, of_each): (Rate, Quota),
        now: Instant,
    ) -> Result<(), Quota> {
        self.all.take(1, all, now).map_err(|_| of_all)?;
        self.each.take(name, each, now).map_err(|_| {
            self.all.give_back(1, all);
            of_each
        })
    }
}

impl Account {
    pub(crate) fn new(limits: Arc<Limits>, now: Instant) -> Self {
        Self {
            limits,
            connections: Arc::default(),
            connects: Rates::new(now),
            subscribes: SharedBucket::full(now),
            retained: Rates::new(now),
            queued: SharedBucket::full(now),
            publishes_in: SharedBucket::full(now),
            publishes_out: SharedBucket::full(now),
            throttled: [const { AtomicU64::new(0) }; Quota::ALL.len()],
        }
    }

    /// Lets a client in that its policies let in: who has no permission must not use up what others have.
    ///
    /// # Errors
    /// There are too many, or they come too fast.
    pub(crate) fn connect(&self, client_id: &str, now: Instant) -> Result<Place, Throttled> {
        let limits = &self.limits;
        // The place counts before it is looked whether there was one: dropping it takes that back.
        let place = Place(Arc::clone(&self.connections));
        if self.connections.fetch_add(1, Ordering::AcqRel) >= limits.account_connections_max {
            return Err(self.exceeded(Quota::AccountConnections));
        }
        let all = (limits.account_connects_per_s, Quota::AccountConnects);
        let each = (limits.client_connects_per_s, Quota::ClientConnects);
        let taken = lock(&self.connects).take(client_id, all, each, now);
        taken.map_err(|quota| self.exceeded(quota)).map(|()| place)
    }

    /// A filter of a SUBSCRIBE. `others`: subscriptions that stand; `None` when it replaces one of them.
    ///
    /// # Errors
    /// There are too many, or they come too fast.
    pub(crate) fn subscribe(&self, others: Option<usize>, now: Instant) -> Result<(), Throttled> {
        if others.is_some_and(|others| others >= self.limits.account_subscriptions_max) {
            return Err(self.exceeded(Quota::AccountSubscriptions));
        }
        let taken = self.subscribes.take(1, self.limits.account_subscribes_per_s, now);
        taken.map_err(|_| self.exceeded(Quota::AccountSubscribes))
    }

    /// A message that comes in on a loop, with permission. `retained`: its topic, when it is to be retained.
    ///
    /// # Errors
    /// They come too fast.
    pub(crate) fn publish_in(
        &self,
        retained: Option<&str>,
        lease: &mut Lease,
        now: Instant,
    ) -> Result<(), Throttled> {
        let taken = lease.take(1, &self.publishes_in, self.limits.account_publishes_in_per_s, now);
        taken.map_err(|_| self.exceeded(Quota::AccountPublishesIn))?;
        self.retain(retained, now).inspect_err(|_| lease.give_back(1))
    }

    /// The same of a message that comes from elsewhere.
    ///
    /// # Errors
    /// They come too fast.
    pub(crate) fn publish_in_elsewhere(&self, retained: Option<&str>, now: Instant) -> Result<(), Throttled> {
        let rate = self.limits.account_publishes_in_per_s;
        self.publishes_in.take(1, rate, now).map_err(|_| self.exceeded(Quota::AccountPublishesIn))?;
        self.retain(retained, now).inspect_err(|_| self.publishes_in.give_back(1, rate))
    }

    /// So many copies of a message that go out.
    ///
    /// # Errors
    /// When they may.
    pub(crate) fn publish_out(&self, copies: u64, lease: &mut Lease, now: Instant) -> Result<(), Instant> {
        lease.take(copies, &self.publishes_out, self.limits.account_publishes_out_per_s, now)
    }

    /// Whether one more message may be queued for somebody who is away.
    pub(crate) fn may_queue(&self, now: Instant) -> bool {
        let taken = self.queued.take(1, self.limits.queued_messages_per_s, now);
        taken.inspect_err(|_| self.count(Quota::QueuedMessages)).is_ok()
    }

    fn retain(&self, topic: Option<&str>, now: Instant) -> Result<(), Throttled> {
        let Some(topic) = topic else { return Ok(()) };
        let all = (self.limits.account_retained_per_s, Quota::AccountRetained);
        let each = (self.limits.topic_retained_per_s, Quota::TopicRetained);
        lock(&self.retained).take(topic, all, each, now).map_err(|quota| self.exceeded(quota))
    }

    /// Counts it, for metrics.
    pub(crate) fn count(&self, quota: Quota) {
        self.throttled[quota.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// How often each quota was exceeded.
    pub(crate) fn throttled(&self) -> impl Iterator<Item = (Quota, u64)> {
        Quota::ALL.into_iter().map(|quota| (quota, self.throttled[quota.index()].load(Ordering::Relaxed)))
    }

    fn exceeded(&self, quota: Quota) -> Throttled {
        self.count(quota);
        quota.exceeded(&self.limits)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn account(limits: Limits, now: Instant) -> Account {
        Account::new(Arc::new(limits), now)
    }

    fn quota<T>(result: Result<T, Throttled>) -> Option<Quota> {
        result.err().map(|throttled| throttled.quota)
    }

    #[test]
    fn one_client_id_connects_once_a_second_and_hinders_nobody() {
        let now = Instant::now();
        let account = account(Limits::aws(), now);
        let first = account.connect("a", now).unwrap();
        assert_eq!(quota(account.connect("a", now)), Some(Quota::ClientConnects));
        assert_eq!(quota(account.connect("b", now)), None);
        assert_eq!(
            quota(account.connect("a", now + Duration::from_millis(999))),
            Some(Quota::ClientConnects)
        );
        assert_eq!(quota(account.connect("a", now + Duration::from_secs(1))), None);
        drop(first);
        assert_eq!(account.connections.load(Ordering::Acquire), 0, "who is refused has no place");
        assert_eq!(account.throttled().find(|(quota, _)| *quota == Quota::ClientConnects).unwrap().1, 2);
    }

    #[test]
    fn who_knocks_too_often_uses_up_nothing_of_the_others() {
        let now = Instant::now();
        let account = account(Limits { account_connects_per_s: Rate::per_second(2), ..Limits::aws() }, now);
        assert_eq!(quota(account.connect("a", now)), None);
        for _ in 0..10 {
            assert_eq!(quota(account.connect("a", now)), Some(Quota::ClientConnects));
        }
        assert_eq!(quota(account.connect("b", now)), None);
        assert_eq!(quota(account.connect("c", now)), Some(Quota::AccountConnects));
        assert_eq!(
            quota(account.connect("c", now + Duration::from_millis(500))),
            None,
            "nor was c's own used"
        );
    }

    #[test]
    fn places_are_given_back() {
        let now = Instant::now();
        let account = account(Limits { account_connections_max: 1, ..Limits::none() }, now);
        let place = account.connect("a", now).unwrap();
        assert_eq!(quota(account.connect("b", now)), Some(Quota::AccountConnections));
        drop(place);
        assert_eq!(quota(account.connect("b", now)), None);
    }

    #[test]
    fn subscriptions_are_counted_and_replacing_one_takes_no_place() {
        let now = Instant::now();
        let limits = Limits {
            account_subscriptions_max: 3,
            account_subscribes_per_s: Rate::per_second(2),
            ..Limits::none()
        };
        let account = account(limits, now);
        assert_eq!(quota(account.subscribe(Some(3), now)), Some(Quota::AccountSubscriptions));
        assert_eq!(quota(account.subscribe(Some(2), now)), None);
        assert_eq!(quota(account.subscribe(None, now)), None);
        assert_eq!(quota(account.subscribe(None, now)), Some(Quota::AccountSubscribes));
    }

    #[test]
    fn so_many_are_queued_in_a_second_and_the_rest_is_counted() {
        let now = Instant::now();
        let account = account(Limits::aws(), now);
        assert_eq!((0..502).filter(|_| account.may_queue(now)).count(), 500);
        assert!(account.may_queue(now + Duration::from_millis(2)));
        assert_eq!(account.throttled().find(|(quota, _)| *quota == Quota::QueuedMessages).unwrap().1, 2);
    }

    #[test]
    fn a_message_that_is_not_retained_does_not_count_as_one_that_came_in() {
        let now = Instant::now();
        let limits = Limits {
            account_publishes_in_per_s: Rate::per_second(2),
            account_retained_per_s: Rate::per_second(2),
            ..Limits::aws()
        };
        let (account, mut lease) = (account(limits, now), Lease::default());
        assert_eq!(quota(account.publish_in(Some("a"), &mut lease, now)), None);
        assert_eq!(quota(account.publish_in(Some("a"), &mut lease, now)), Some(Quota::TopicRetained));
        assert_eq!(quota(account.publish_in(Some("b"), &mut lease, now)), None);
        assert_eq!(quota(account.publish_in(None, &mut lease, now)), Some(Quota::AccountPublishesIn));
        let later = now + Duration::from_millis(500);
        assert_eq!(quota(account.publish_in(Some("c"), &mut lease, later)), None);
        assert_eq!(account.publish_out(1, &mut lease, now), Ok(()), "out has a bucket of its own");
    }

    #[test]
    fn messages_from_elsewhere_are_counted_with_those_of_the_loops() {
        let now = Instant::now();
        let limits = Limits { account_publishes_in_per_s: Rate::per_second(3), ..Limits::aws() };
        let (account, mut lease) = (account(limits, now), Lease::default());
        assert_eq!(quota(account.publish_in(None, &mut lease, now)), None);
        assert_eq!(quota(account.publish_in_elsewhere(Some("a"), now)), None);
        assert_eq!(quota(account.publish_in_elsewhere(Some("a"), now)), Some(Quota::TopicRetained));
        assert_eq!(quota(account.publish_in_elsewhere(None, now)), None, "the refused one was put back");
        assert_eq!(quota(account.publish_in_elsewhere(None, now)), Some(Quota::AccountPublishesIn));
        assert_eq!(quota(account.publish_in(None, &mut lease, now)), Some(Quota::AccountPublishesIn));
    }
}
