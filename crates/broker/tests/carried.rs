//! Clients whose bytes somebody else carries, as MQTT over WebSocket does: under the limits of all others.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use broker::{Carried, ClientState, Ended, Identity, Line, Pass, TurnedAway};
use mqtt_session::DisconnectReason;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use support::{Cloud, PATIENCE, Setup, logged, until};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// CONNECT of MQTT 3.1.1 with a clean session, and the CONNACK that accepts it.
const CONNACK: [u8; 4] = [0x20, 2, 0, 0];

fn connect(client_id: &str) -> Vec<u8> {
    let length = u8::try_from(client_id.len()).unwrap();
    let head = [0x10, 12 + length, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, length];
    [&head, client_id.as_bytes()].concat()
}

/// Brings a client; gives the carrier's end.
fn bring(cloud: &Cloud, pass: Pass) -> (UnixStream, Arc<Line>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    let line = Arc::new(Line::default());
    cloud.broker.bring(Carried {
        pipe: theirs,
        identity: Identity::AccessKey("AKIDEXAMPLE".into()),
        peer: (HERE, 4_711).into(),
        local: None,
        domain_name: None,
        line: Arc::clone(&line),
        pass,
    });
    (ours, line)
}

fn connected(cloud: &Cloud, client_id: &str) -> (UnixStream, Arc<Line>) {
    let (mut carrier, line) = bring(cloud, cloud.broker.admit(HERE, 1).unwrap());
    carrier.write_all(&connect(client_id)).unwrap();
    let mut connack = [0; 4];
    carrier.read_exact(&mut connack).unwrap();
    assert_eq!(connack, CONNACK);
    (carrier, line)
}

fn found<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    until(|| {
        found = look();
        found.is_some()
    });
    found.expect("it has become so")
}

/// What the loop of a client answers.
fn ask<T>(question: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut question = pin!(question);
    loop {
        if let Poll::Ready(answer) = question.as_mut().poll(&mut Context::from_waker(&waker)) {
            return answer;
        }
        std::thread::park();
    }
}

fn left(cloud: &Cloud, client_id: &str) -> DisconnectReason {
    found(|| match ask(cloud.broker.client(client_id)) {
        Some(ClientState::Disconnected { reason, .. }) => Some(reason),
        _ => None,
    })
}

#[test]
fn connect_has_its_deadline_here_too() {
    let cloud = Cloud::with(Setup { connect_deadline: Duration::from_millis(200), ..Setup::default() });
    let (mut carrier, line) = bring(&cloud, cloud.broker.admit(HERE, 1).unwrap());
    carrier.write_all(&connect("late")[..5]).unwrap();
    assert_eq!(carrier.read(&mut [0]).unwrap(), 0, "closed");
    until(|| line.is_hung_up());
    assert_eq!(cloud.broker.counters().connects_late, 1);
    logged(&["192.0.2.1:4711", "CONNECT did not come in time"]);
}

#[test]
fn unfinished_ones_count_for_their_address_and_in_all() {
    let cloud = Cloud::with(Setup { unfinished_max: 4, unfinished_per_address_max: 3, ..Setup::default() });
    let there = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    let mut passes: Vec<Pass> = (0..3).map(|_| cloud.broker.admit(HERE, 1).unwrap()).collect();
    assert_eq!(cloud.broker.admit(HERE, 1).unwrap_err(), TurnedAway::Busy);
    passes.push(cloud.broker.admit(there, 1).unwrap());
    assert_eq!(cloud.broker.admit(there, 1).unwrap_err(), TurnedAway::Busy, "all together");
    passes[0].finish();
    let (mut carrier, _) = bring(&cloud, cloud.broker.admit(HERE, 1).unwrap());
    carrier.write_all(&connect("in")).unwrap();
    carrier.read_exact(&mut [0; 4]).unwrap();
    passes.push(cloud.broker.admit(HERE, 1).unwrap());
    assert_eq!(cloud.broker.counters().refused_busy, 2);
}

#[test]
fn seats_are_given_back_when_all_ends_are_closed() {
    let cloud = Cloud::with(Setup { connections_max: 3, ..Setup::default() });
    let (pass, held) = cloud.broker.admit(HERE, 3).unwrap().split();
    assert_eq!(cloud.broker.admit(HERE, 1).unwrap_err(), TurnedAway::Full);
    let (carrier, line) = bring(&cloud, pass);
    drop(carrier);
    until(|| line.is_hung_up());
    assert_eq!(cloud.broker.admit(HERE, 2).unwrap_err(), TurnedAway::Full, "the carrier's are still held");
    drop(held);
    found(|| cloud.broker.admit(HERE, 3).ok());
}

#[test]
fn the_carrier_says_how_it_ended() {
    let cloud = Cloud::start();
    for (name, ended, reason) in [
        ("closed", Some(Ended::ByClient), DisconnectReason::ClientInitiatedDisconnect),
        ("expired", Some(Ended::Expired), DisconnectReason::WebsocketTtlExpiration),
        ("broke", Some(Ended::Violation("a wrong frame".to_owned())), DisconnectReason::ClientError),
        ("lost", None, DisconnectReason::ConnectionLost),
    ] {
        let (carrier, line) = connected(&cloud, name);
        if let Some(ended) = ended {
            line.end(ended);
        }
        drop(carrier);
        assert_eq!(left(&cloud, name), reason, "{name}");
        assert!(line.is_hung_up());
    }
}

#[test]
fn nobody_is_brought_to_a_broker_that_has_ended() {
    let cloud = Cloud::start();
    let pass = cloud.broker.admit(HERE, 1).unwrap();
    let (mut carrier, _) = connected(&cloud, "in");
    cloud.broker.drain(PATIENCE);
    assert_eq!(carrier.read(&mut [0]).unwrap(), 0, "closed");
    let (mut late, _) = bring(&cloud, pass);
    assert_eq!(late.read(&mut [0]).unwrap(), 0, "closed");
}
