//! What happens next.

use super::client::{Client, Kind, Profile, Stands};
use super::line::Wire;
use super::server::{Server, Sizes};
use super::trace::Trace;
use crate::clock;
use crate::completion::Settled;
use crate::event_loop::EventLoop;
use crate::mailbox::Mail;
use mqtt_wire::{PacketId, ProtocolVersion};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};
use store::Position;
use store::disk::sim::{Random, SimDisk};

/// When every run begins, in milliseconds since 1970.
const START_MS: i64 = 1_764_000_000_000;

/// How long sessions outlive their connections: AWS's default, which MQTT 3.1.1 gets.
pub(super) const EXPIRY: Duration = Duration::from_secs(3_600);

/// Lives of the server in one run. Everything is collected in the last of them, or in another one.
const LIVES: usize = 3;

/// Rounds in which everything must have come to rest when nothing breaks any more.
const ROUNDS_MAX: usize = 20_000;

const ALLOW_ALL: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;

/// May subscribe to everything, and receive nothing that is secret.
const NO_SECRETS: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"iot:*","Resource":"*"},
    {"Effect":"Deny","Action":"iot:Receive","Resource":"arn:aws:iot:eu-west-1:123456789012:topic/secret/*"}]}"#;

const NO_SUBSCRIBE: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":["iot:Connect","iot:Publish","iot:Receive"],"Resource":"*"}]}"#;

const OWN_NAME: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:eu-west-1:123456789012:client/intruder"},
    {"Effect":"Allow","Action":["iot:Publish","iot:Subscribe","iot:Receive"],"Resource":"*"}]}"#;

use ProtocolVersion::{V5, V311};

const fn profile(
    name: &'static str,
    kind: Kind,
    version: ProtocolVersion,
    policies: &'static [&'static str],
) -> Profile {
    Profile { name, kind, version, policies, shares: false, receive_maximum: 10 }
}

/// Who there is; the numbers are those of their certificates.
pub(super) static PROFILES: [Profile; 9] = [
    profile("old-publisher", Kind::Publisher, V311, &[ALLOW_ALL]),
    profile("new-publisher", Kind::Publisher, V5, &[ALLOW_ALL]),
    profile("no-secrets", Kind::Subscriber, V311, &[NO_SECRETS]),
    Profile { shares: true, receive_maximum: 4, ..profile("sharer", Kind::Subscriber, V5, &[ALLOW_ALL]) },
    profile("wavering", Kind::Subscriber, V5, &[ALLOW_ALL, NO_SECRETS]),
    Profile { shares: true, ..profile("old-sharer", Kind::Subscriber, V311, &[ALLOW_ALL]) },
    profile("visitor", Kind::Visitor, V5, &[ALLOW_ALL]),
    profile("barred", Kind::Barred, V5, &[NO_SUBSCRIBE]),
    profile("intruder", Kind::Intruder, V311, &[OWN_NAME]),
];

pub(super) const NO_SECRETS_CLIENT: usize = 2;
pub(super) const WAVERING_CLIENT: usize = 4;

/// A published message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) publisher: usize,
    pub(super) topic: &'static str,
    /// Clients whose subscription stood when it was sent first.
    pub(super) first_promised: Vec<(usize, u64, u64)>,
}

/// A group, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Changes whenever it may have been without members.
    pub(super) generation: u64,
    /// Messages that one of its members must get.
    pub(super) expected: BTreeSet<usize>,
}

/// Whether the client whose policy changes may receive what is secret.
pub(super) enum Wavering {
    Certain(bool),
    Changing { to: bool, settled: Option<Settled>, position: Option<Position> },
}

/// A socket of the server whose client is gone.
pub(super) struct Ghost {
    pub(super) client: usize,
    pub(super) wire: Wire,
    /// When the server learns of it; `None`: never.
    pub(super) told_at: Option<Duration>,
    pub(super) is_broken: bool,
}

macro_rules! counts {
    ($($name:ident: $words:literal),+ $(,)?) => {
        /// What happened, counted.
        #[derive(Debug, Default)]
        pub(super) struct Counts {
            pub(super) virtual_time: Duration,
            $(pub(super) $name: u64,)+
        }

        impl Counts {
            pub(super) fn add(&mut self, other: &Self) {
                self.virtual_time += other.virtual_time;
                $(self.$name += other.$name;)+
            }

            /// Whether everything happened that can.
            pub(super) fn is_complete(&self) -> bool {
                true $(&& self.$name > 0)+
            }
        }

        impl fmt::Display for Counts {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(write!(f, "{} {}, ", self.$name, $words)?;)+
                write!(f, "{} h of simulated time", self.virtual_time.as_secs() / 3_600)
            }
        }
    };
}

counts! {
    packets: "packets",
    acknowledged: "messages acknowledged",
    promised: "deliveries promised by that",
    delivered: "deliveries",
    again: "redeliveries",
    breaks: "broken links",
    half_open: "half-open links",
    takeovers: "takeovers",
    resumed: "sessions resumed",
    begun_anew: "sessions ended by their clients",
    expired: "sessions expired",
    policy_changes: "changes of a policy",
    refused: "refused CONNECTs",
    subscriptions_refused: "refused subscriptions",
    restarts: "restarts",
    kills: "kills",
    cuts: "power cuts",
    cuts_inside: "within a write",
}

pub(super) struct World {
    pub(super) random: Random,
    start: Instant,
    pub(super) now: Duration,
    disk: SimDisk,
    pub(super) server: Option<Server>,
    pub(super) clients: Vec<Client>,
    pub(super) ghosts: Vec<Ghost>,
    pub(super) messages: Vec<Message>,
    pub(super) groups: [Group; 3],
    pub(super) wavering: Wavering,
    /// Counts its changes.
    pub(super) policy_epoch: u64,
    pub(super) next_id: u64,
    /// Nothing breaks any more.
    pub(super) is_calm: bool,
    pub(super) trace: Trace,
    pub(super) counts: Counts,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let disk = SimDisk::new(random.next_u64());
        let clients = PROFILES.iter().map(|profile| Client {
            profile,
            link: None,
            session: Stands::No,
            away_since: None,
            filters: BTreeMap::new(),
            expected: BTreeSet::new(),
            got: BTreeSet::new(),
            last: BTreeMap::new(),
            in_flight: VecDeque::new(),
            next_packet_id: PacketId::FIRST,
        });
        let mut world = Self {
            random,
            start: Instant::now(),
            now: Duration::ZERO,
            disk,
            server: None,
            clients: clients.collect(),
            ghosts: Vec::new(),
            messages: Vec::new(),
            groups: [Group::default(), Group::default(), Group::default()],
            wavering: Wavering::Certain(true),
            policy_epoch: 0,
            next_id: 0,
            is_calm: false,
            trace: Trace::new(),
            counts: Counts::default(),
        };
        world.wait(Duration::ZERO);
        world.start_server();
        for (number, profile) in PROFILES.iter().enumerate() {
            world.server().register(number, profile.name, profile.policies);
        }
        world
    }

    pub(super) fn run(&mut self) {
        // A start finds again what memory has lost: what is not on the way in memory must be found without one.
        let ends_in_life = self.random.chance(50);
        for life in 0..LIVES {
            let is_last = ends_in_life && life + 1 == LIVES;
            if !is_last && self.random.chance(40) {
                let operations = self.random.below(200);
                self.disk.power_off_after(operations);
            }
            for _ in 0..300 + self.random.below(900) {
                self.step();
            }
            if !is_last {
                self.end();
            }
        }
        self.collect();
        self.counts.virtual_time = self.now;
    }

    pub(super) fn server(&self) -> &Server {
        self.server.as_ref().expect("a server between its lives")
    }

    pub(super) fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn note(&mut self, what: std::fmt::Arguments<'_>) {
        self.trace.note(self.now, what);
    }

    /// Time passes.
    pub(super) fn wait(&mut self, time: Duration) {
        self.now += time;
        clock::simulated::set(self.start, START_MS, self.now);
        // At once: whoever joins a group later does not find what waited for those who may be gone.
        (0..self.clients.len()).for_each(|at| self.doubt_expired(at));
    }

    fn start_server(&mut self) {
        let mut pick = |of: &[u64]| of[self.random.below(of.len() as u64) as usize];
        let sizes = Sizes {
            loops: pick(&[1, 2, 3]) as usize,
            segment_bytes: pick(&[2_000, 20_000, 64 << 20]),
            backlog_bytes: pick(&[1_500, 64 << 20]),
            checkpoint_bytes: pick(&[2_000, 20_000, 64 << 20]),
        };
        self.note(format_args!("the server starts: {sizes:?}"));
        self.server = Some(Server::start(&self.disk, sizes));
    }

    fn step(&mut self) {
        match self.random.below(1_000) {
            0..=329 => self.turn(),
            330..=429 => self.commit(),
            430..=519 => {
                self.server().steps.apply();
            }
            520..=769 => {
                let at = self.random.below(PROFILES.len() as u64) as usize;
                self.act(at);
            }
            770..=959 => {
                let time = Duration::from_millis(self.random.below(20));
                self.wait(time);
            }
            960..=978 => self.break_a_link(),
            979..=984 => {
                let at = self.random.below(PROFILES.len() as u64) as usize;
                if let Some(link) = &mut self.clients[at].link {
                    link.is_deaf = !link.is_deaf;
                }
            }
            985..=990 => self.change_policy(),
            991..=994 => {
                let time = Duration::from_secs(1 + self.random.below(100));
                self.note(format_args!("{} s pass", time.as_secs()));
                self.wait(time);
            }
            995 if self.random.chance(25) => self.let_sessions_expire(),
            _ => {}
        }
        self.carry();
        self.follow_policy();
    }

    fn commit(&mut self) {
        if self.server().steps.commit() {
            let committed = self.server().shared.store.committed().0;
            self.note(format_args!("    journal: committed {committed}"));
        }
    }

    /// A turn of a loop that has a reason, mostly.
    fn turn(&mut self) {
        let Some(server) = &mut self.server else { return };
        let count = server.loops.len() as u64;
        let event_loop = &mut server.loops[self.random.below(count) as usize];
        if has_reason(event_loop) || self.random.chance(5) {
            event_loop.step();
        }
    }

    /// Every loop has turns until none has a reason, and the journal has everything; gives whether there was any.
    pub(super) fn settle(&mut self) -> bool {
        let mut was_busy = false;
        for _ in 0..ROUNDS_MAX {
            let Some(server) = &mut self.server else { return false };
            let mut is_busy = false;
            for event_loop in &mut server.loops {
                if has_reason(event_loop) {
                    event_loop.step();
                    is_busy = true;
                }
            }
            is_busy |= server.steps.commit() | server.steps.apply();
            self.carry();
            self.follow_policy();
            // What has arrived just now may be a reason again.
            is_busy |= self.server.iter_mut().flat_map(|server| &mut server.loops).any(has_reason);
            was_busy |= is_busy;
            if !is_busy {
                return was_busy;
            }
        }
        panic!("the server never comes to rest")
    }

    /// What is on its way arrives, and every loop works on it; the journal stands still.
    pub(super) fn turn_all(&mut self) {
        self.wait(Duration::from_millis(100));
        self.carry();
        if let Some(server) = &mut self.server {
            server.loops.iter_mut().for_each(EventLoop::step);
        }
        self.carry();
    }

    fn change_policy(&mut self) {
        if let Wavering::Certain(now) = self.wavering {
            self.counts.policy_changes += 1;
            self.policy_epoch += 1;
            self.note(format_args!("policy: may it receive what is secret? {}", !now));
            self.wavering = Wavering::Changing { to: !now, settled: None, position: None };
            let messages = &self.messages;
            self.clients[WAVERING_CLIENT].expected.retain(|message| !is_secret(messages[*message].topic));
        }
    }

    /// Asks for the change of the policy until it is made, and notes when it holds.
    fn follow_policy(&mut self) {
        let Some(server) = &mut self.server else { return };
        let Wavering::Changing { to, settled, position } = &mut self.wavering else { return };
        let to = *to;
        let Some(waiting) = settled else {
            let (registry, version) = (&server.shared.registry, if to { "1" } else { "2" });
            let name = PROFILES[WAVERING_CLIENT].name;
            // Refused while the journal has no room: then it is asked for again.
            let Ok(done) = registry.set_default_policy_version(name, version, clock::now_ms()) else {
                return;
            };
            *position = done.position;
            *settled = Some(server.settle(&done.change));
            return;
        };
        let is_settled = Pin::new(waiting).poll(&mut Context::from_waker(Waker::noop())).is_ready();
        let store = &server.shared.store;
        let is_durable = position.is_none_or(|position| store.committed() >= position);
        if !is_settled || !is_durable || store.failure().is_some() {
            return;
        }
        let name = PROFILES[WAVERING_CLIENT].name;
        let unsent: usize = server.loops.iter().map(|event_loop| event_loop.unsent(name)).sum();
        if let Some(link) = &mut self.clients[WAVERING_CLIENT].link {
            let partial = link.observed.len() + link.wire.socket().written.len();
            link.decided_before = link.observed_bytes + (partial + unsent) as u64;
        }
        self.wavering = Wavering::Certain(to);
        self.note(format_args!("policy: what was changed holds"));
    }

    /// So much time passes that sessions end.
    fn let_sessions_expire(&mut self) {
        self.settle();
        let ends = |at: usize| self.clients[at].session == Stands::Yes && self.is_seen_away(at);
        let ends: Vec<bool> = (0..self.clients.len()).map(ends).collect();
        self.note(format_args!("two hours pass"));
        self.wait(2 * EXPIRY);
        if let Some(server) = &mut self.server {
            // Before anybody comes back whose session is over, and would still find it.
            server.loops.iter_mut().for_each(EventLoop::step);
        }
        self.carry();
        self.settle();
        let is_kept = self.server().shared.store.failure().is_none();
        for (at, ends) in ends.into_iter().enumerate() {
            if ends && is_kept {
                self.counts.expired += 1;
                self.lose_session(at, Stands::No);
            }
        }
    }

    /// Whether the server has seen that the client is away, or has never seen it.
    fn is_seen_away(&self, at: usize) -> bool {
        let is_gone = |ghost: &Ghost| ghost.client != at || ghost.wire.socket().is_shut;
        self.clients[at].link.is_none() && self.ghosts.iter().all(is_gone)
    }

    /// The server ends in one of three ways, and another one starts.
    fn end(&mut self) {
        let kind = self.random.below(4);
        self.end_by(kind);
    }

    /// 0: in order; 1: it is killed; else: the power is cut.
    pub(super) fn end_by(&mut self, kind: u64) {
        let server = self.server.take().expect("a server between its lives");
        let was_inside = !self.disk.is_powered();
        match kind {
            0 => {
                self.counts.restarts += 1;
                self.note(format_args!("the server ends"));
                self.drain(server);
                self.disk.restart();
            }
            1 => {
                self.counts.kills += 1;
                self.note(format_args!("the server is killed"));
                self.disk.power_off();
                server.vanish();
                self.disk.restart();
            }
            _ => {
                self.counts.cuts += 1;
                self.counts.cuts_inside += u64::from(was_inside);
                self.note(format_args!("the power is cut"));
                self.disk.power_off();
                server.vanish();
                let seed = self.random.next_u64();
                self.disk.power_on(seed);
            }
        }
        // What the disk still has of the cut is the next start's to find.
        self.ghosts.clear();
        for at in 0..self.clients.len() {
            self.hang_up(at);
        }
        if let Wavering::Changing { settled, .. } = &mut self.wavering {
            *settled = None;
        }
        self.start_server();
    }

    /// An orderly end.
    fn drain(&mut self, server: Server) {
        let far = clock::now() + Duration::from_secs(10);
        drop(server.tell_all(|ticket| Mail::Drain { deadline: far, ticket }));
        self.server = Some(server);
        for _ in 0..200 {
            match self.random.below(3) {
                0 => self.commit(),
                1 => self.turn(),
                _ => self.carry(),
            }
        }
        let Some(mut server) = self.server.take() else { return };
        for mut event_loop in std::mem::take(&mut server.loops) {
            // The mail of the drain may still wait.
            event_loop.step();
            assert!(event_loop.end_if_drained(true), "a loop was told to end and does not");
            drop(event_loop);
            self.look_at_written();
        }
        server.steps.finish();
        let _ = server.shared.store.close();
        server.vanish();
    }

    /// Nothing breaks any more: everybody comes, and gets all there is.
    fn collect(&mut self) {
        self.is_calm = true;
        if let Wavering::Certain(false) = self.wavering {
            self.change_policy();
        }
        self.note(format_args!("from now on nothing breaks"));
        for at in 0..self.clients.len() {
            self.hang_up(at);
        }
        for _ in 0..ROUNDS_MAX {
            let mut is_busy = false;
            for at in 0..self.clients.len() {
                is_busy |= self.act_calmly(at);
            }
            is_busy |= self.settle();
            is_busy |= self.clients.iter().flat_map(|client| &client.link).any(super::client::Link::is_busy);
            self.wait(Duration::from_millis(5));
            self.carry();
            if !is_busy {
                break;
            }
        }
        self.check_complete();
    }
}

/// Whether a loop would have a turn now.
fn has_reason(event_loop: &mut EventLoop) -> bool {
    event_loop.sleeps() == Some(Duration::ZERO)
}

pub(super) fn is_secret(topic: &str) -> bool {
    topic.starts_with("secret/")
}
