//! A journal that is behind: what waits for it keeps its order, is seen, and is lost with nobody's connection.

mod support;

use broker::Counters;
use mqtt_wire::QoS::AtMostOnce;
use services::{Retained, RetainedLimits};
use std::time::Duration;
use store::StoreOptions;
use support::{
    ALLOW_ALL, Client, Cloud, Device, Gate, Options, Received, Setup, received, to_log_group, until,
};

/// A cloud whose journal has room for a small record and for no large one, until the gate opens.
struct Behind {
    cloud: Cloud,
    gate: Gate,
    connected: Vec<Client>,
    /// May connect too.
    device: Device,
}

impl Behind {
    /// `clients` of these options are connected before, and what `prepare` does is durable.
    fn new(clients: &[Options<'_>], prepare: impl FnOnce(&Cloud, &mut [Client])) -> Self {
        let gate = Gate::open();
        let options = StoreOptions { backlog_bytes_max: 4_096, ..gate.store() };
        let cloud = Cloud::with(Setup { loops: 1, store: Some(options), ..Setup::default() });
        let mut connected: Vec<_> = clients
            .iter()
            .map(|options| Client::connect(&cloud, &cloud.device(ALLOW_ALL), options))
            .collect();
        prepare(&cloud, &mut connected);
        let device = cloud.device(ALLOW_ALL);
        let mut filler = cloud.connect(&device);
        filler.publish_retained("prepared", "", Some(1));
        assert_eq!(filler.receive(), Received::PubAck(1));
        cloud.store.wait_applied(cloud.store.committed()).expect("applied");
        gate.set_closed(true);
        filler.publish_retained("fill", &"x".repeat(3_000), None);
        filler.ping();
        connected.push(filler);
        Self { cloud, gate, connected, device }
    }

    fn until_counted(&self, count: impl Fn(&Counters) -> u64, at_least: u64) {
        until(|| count(&self.cloud.broker.counters()) >= at_least);
    }

    /// What readers find, and what they would after a restart.
    fn retained(&self, topic: &str) -> [Option<String>; 2] {
        let stored = Retained::load(&self.cloud.store, RetainedLimits::default()).expect("readable");
        [&*self.cloud.retained, &stored].map(|retained| {
            let message = retained.get(topic, 0)?;
            Some(String::from_utf8_lossy(&message.payload).into_owned())
        })
    }
}

fn large(mark: char) -> String {
    mark.to_string().repeat(2_000)
}

fn both(payload: &str) -> [Option<String>; 2] {
    [Some(payload.to_owned()), Some(payload.to_owned())]
}

#[test]
fn a_publish_that_waits_does_not_replace_what_was_published_later() {
    let mut behind = Behind::new(&vec![Options::default(); 3], |_, clients| {
        clients[0].publish_retained("removed", "old", Some(1));
        assert_eq!(clients[0].receive(), Received::PubAck(1));
    });
    for (index, topic) in ["replaced", "removed"].into_iter().enumerate() {
        behind.connected[index].publish_retained(topic, &large('a'), Some(5));
        behind.until_counted(|counters| counters.backlog_stalls, index as u64 + 1);
    }
    let [a, b, c, _] = &mut behind.connected[..] else { panic!("four clients") };
    c.publish_retained("replaced", "newer", Some(6));
    c.publish_retained("removed", "", Some(7));
    behind.gate.set_closed(false);
    assert_eq!((c.receive(), c.receive()), (Received::PubAck(6), Received::PubAck(7)));
    assert_eq!((a.receive(), b.receive()), (Received::PubAck(5), Received::PubAck(5)));
    behind.cloud.store.wait_applied(behind.cloud.store.committed()).unwrap();
    assert_eq!(behind.retained("replaced"), both("newer"));
    assert_eq!(behind.retained("removed"), [None, None]);
}

#[test]
fn who_subscribes_while_a_publish_waits_gets_it() {
    let mut behind = Behind::new(&[Options::default()], |_, _| {});
    behind.connected[0].publish_retained("t", &large('a'), Some(5));
    behind.until_counted(|counters| counters.backlog_stalls, 1);
    let mut late = behind.connected.pop().expect("the filler");
    late.subscribe(&[("t", AtMostOnce)]);
    assert_eq!(late.receive(), received("t", &large('a')));
    behind.gate.set_closed(false);
}

#[test]
fn what_a_client_leaves_behind_waits_without_it() {
    let will = large('w');
    let with_will = Options {
        will: Some(("will", &will)),
        will_retain: true,
        client_id: Some("w"),
        ..Options::default()
    };
    let stalled = Options { client_id: Some("stalled"), ..Options::default() };
    let mut behind = Behind::new(&[with_will, stalled.clone()], |cloud, _| {
        cloud.log_group("g");
        cloud.rule("keep", "SELECT topic() AS t FROM '#'", vec![to_log_group("g")]);
    });
    behind.connected.remove(0).vanish();
    behind.until_counted(|counters| counters.disconnects, 1);
    behind.connected[0].publish_retained("published", &large('p'), Some(5));
    behind.until_counted(|counters| counters.backlog_stalls, 1);
    // Its successor ends it.
    let successor = Client::connect(&behind.cloud, &behind.device, &stalled);
    behind.until_counted(|counters| counters.disconnects, 2);
    behind.gate.set_closed(false);
    until(|| behind.retained("will") == both(&large('w')));
    until(|| behind.retained("published") == both(&large('p')));
    let events = behind.cloud.log_events("g");
    for topic in ["will", "published"] {
        assert!(events.contains(&format!(r#"{{"t":"{topic}"}}"#)), "{topic}: {events:?}");
    }
    drop(successor);
}

#[test]
fn draining_waits_for_what_clients_leave_behind() {
    let will = large('w');
    let with_will = Options { will: Some(("will", &will)), will_retain: true, ..Options::default() };
    let behind = Behind::new(&[with_will], |_, _| {});
    std::thread::scope(|scope| {
        let drained = scope.spawn(|| behind.cloud.broker.drain(Duration::from_secs(20)));
        behind.until_counted(|counters| counters.disconnects, 2);
        assert!(!drained.is_finished());
        behind.gate.set_closed(false);
    });
    behind.cloud.store.wait_applied(behind.cloud.store.committed()).unwrap();
    until(|| behind.retained("will") == both(&large('w')));
}
