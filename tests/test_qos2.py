"""QoS 2, which AWS does not have, under `--limits relaxed`: exactly once over lost packets, reconnects and restarts."""

import queue
import struct

import paho.mqtt.client as paho
import pytest

from support import mqtt
from support.cloud import Cloud, policy, statement
from support.mqtt import PUBLISH, packet
from support.server import Server
from support.sessions import V5, V311, Peer
from support.waiting import DEADLINE_S

PUBREC, PUBREL, PUBCOMP = 5, 6, 7
BOTH = pytest.mark.parametrize("version", [V311, V5])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("eyot"), "--loops", "2", "--limits", "relaxed") as server:
        yield server


@pytest.fixture(scope="module")
def device(cloud, tmp_path_factory):
    return cloud.device(tmp_path_factory.mktemp("device"), "device")


def step(kind, packet_id):
    return packet(kind, 2 if kind == PUBREL else 0, struct.pack("!H", packet_id))


def expect(peer, kind, packet_id):
    found, _, body = peer.read()
    assert (found, body[:2]) == (kind, struct.pack("!H", packet_id)), (found, body)
    return body[2:]


def publish(peer, topic, payload, packet_id=7):
    """All four steps."""
    peer.send(peer.published(topic, payload, 2, packet_id))
    expect(peer, PUBREC, packet_id)
    peer.send(step(PUBREL, packet_id))
    expect(peer, PUBCOMP, packet_id)


def receive(peer, count=1):
    """As a client does: every packet is answered, until so many messages have gone through. Gives (payload, dup)."""
    got, done = [], 0
    while done < count:
        kind, flags, body = peer.read()
        if kind == PUBLISH:
            topic_end = 2 + int.from_bytes(body[:2])
            assert flags >> 1 & 3 == 2
            got.append((body[topic_end + (3 if peer.version == V5 else 2):].decode(), bool(flags & 8)))
            peer.send(step(PUBREC, int.from_bytes(body[topic_end:topic_end + 2])))
        else:
            assert kind == PUBREL, (kind, body)
            peer.send(step(PUBCOMP, int.from_bytes(body[:2])))
            done += 1
    return got


def new(*payloads):
    return [(payload, False) for payload in payloads]


def by(server, device, name, version=V311):
    return Peer(server, device, f"{name}-by", version, clean=True, expiry=0)


@pytest.mark.parametrize("clean", [True, False])
@BOTH
def test_four_steps_in_both_directions(server, device, name, version, clean):
    with Peer(server, device, name, version, clean=clean, expiry=0 if clean else 100) as peer, by(server, device, name, version) as sender:
        assert peer.subscribe(name, qos=2) == [2]
        for payload in "123":
            publish(sender, name, payload)
        assert receive(peer, 3) == new("1", "2", "3")
        peer.ping()


@pytest.mark.parametrize("published, subscribed", [(2, 1), (1, 2), (0, 2), (2, 0)])
def test_the_lower_qos_holds(server, device, name, published, subscribed):
    with Peer(server, device, name) as peer, by(server, device, name) as sender:
        assert peer.subscribe(name, qos=subscribed) == [subscribed]
        if published == 2:
            publish(sender, name, "1")
        else:
            sender.publish(name, "1", qos=published)
        message = peer.take()
        assert (message.payload, message.qos) == (b"1", min(published, subscribed))


@pytest.mark.parametrize("clean", [True, False])
def test_a_repeated_publish_is_taken_once(server, device, name, clean):
    """[MQTT311 4.3.3-2]"""
    with Peer(server, device, name) as peer, Peer(server, device, f"{name}-by", clean=clean) as sender:
        peer.subscribe(name, qos=2)
        for _ in range(3):
            sender.send(sender.published(name, "1", 2))
            expect(sender, PUBREC, 7)
        sender.send(step(PUBREL, 7) + step(PUBREL, 7))
        expect(sender, PUBCOMP, 7)
        expect(sender, PUBCOMP, 7)
        publish(sender, name, "2")
        assert receive(peer, 2) == new("1", "2")
        peer.ping()


@BOTH
def test_a_publish_is_taken_once_over_a_reconnect(server, device, name, version):
    with Peer(server, device, name, version) as peer:
        peer.subscribe(name, qos=2)
        with Peer(server, device, f"{name}-by", version) as sender:
            sender.send(sender.published(name, "1", 2))
            expect(sender, PUBREC, 7)
        with Peer(server, device, f"{name}-by", version) as sender:
            assert sender.session_present
            sender.send(sender.published(name, "1", 2))
            expect(sender, PUBREC, 7)
            sender.send(step(PUBREL, 7))
            expect(sender, PUBCOMP, 7)
        assert receive(peer) == new("1")
        peer.ping()


@BOTH
def test_a_delivery_goes_on_where_it_broke(server, device, name, version):
    """[MQTT311 4.4.0-1] With the same identifier and DUP 1 before PUBREC, with PUBREL behind it."""
    with Peer(server, device, name, version) as peer:
        peer.subscribe(name, qos=2)
        with by(server, device, name) as sender:
            publish(sender, name, "1")
            publish(sender, name, "2")
        first, second = peer.take(), peer.take()
        peer.send(step(PUBREC, first.packet_id))
        expect(peer, PUBREL, first.packet_id)
    with Peer(server, device, name, version) as peer:
        expect(peer, PUBREL, first.packet_id)
        again = peer.take()
        assert (again.packet_id, again.payload, again.dup) == (second.packet_id, b"2", True)
        peer.send(step(PUBCOMP, first.packet_id) + step(PUBREC, again.packet_id))
        expect(peer, PUBREL, again.packet_id)
        peer.send(step(PUBCOMP, again.packet_id))
        peer.ping()
    with Peer(server, device, name, version) as peer:
        peer.ping()


def test_qos_1_is_marked_when_it_comes_again(server, device, name):
    """The standard's way, which `aws` has not."""
    with Peer(server, device, name) as peer:
        peer.subscribe(name)
        with by(server, device, name) as sender:
            sender.publish(name, "1")
        first = peer.take()
    with Peer(server, device, name) as peer:
        again = peer.take()
        assert (again.packet_id, again.payload, again.dup) == (first.packet_id, b"1", True)


def test_steps_of_nothing_are_answered(server, device, name):
    """[MQTT5 3.6.2.1] [MQTT5 3.7.2.1]"""
    with Peer(server, device, name, V5) as peer:
        peer.send(step(PUBREC, 9))
        assert expect(peer, PUBREL, 9) == b"\x92"
        peer.send(step(PUBREL, 9))
        assert expect(peer, PUBCOMP, 9) == b"\x92"
        peer.send(step(PUBCOMP, 9))
        peer.ping()


def test_a_denied_publish_ends_with_its_pubrec(server, cloud, device, tmp_path, name):
    other = cloud.device(tmp_path, name, policy(statement("iot:Connect", "*")))
    with Peer(server, other, name, V5) as peer:
        peer.send(peer.published("t", "1", 2))
        assert expect(peer, PUBREC, 7) == b"\x87"
        peer.ping()


@pytest.mark.parametrize("end", ["stop", "kill"])
@BOTH
def test_exactly_once_over_a_restart(tmp_path, version, end):
    """Every step is on disk before the other side hears of it: no cut can bring a message twice, or swallow one."""
    with Server(tmp_path, "--limits", "relaxed") as server:
        device = Cloud(server.api_url).device(tmp_path, "device")
        peer = Peer(server, device, "peer", version)
        peer.subscribe("t", qos=2)
        sender = Peer(server, device, "sender", version)
        for packet_id, payload in ((1, "1"), (2, "2")):
            publish(sender, "t", payload, packet_id)
        first, second = peer.take(), peer.take()
        peer.send(step(PUBREC, first.packet_id))
        expect(peer, PUBREL, first.packet_id)
        sender.send(sender.published("t", "3", 2, 3))
        expect(sender, PUBREC, 3)
        assert peer.take().payload == b"3"
        if end == "kill":
            server.kill()
        else:
            server.stop()
        peer.close()
        sender.close()
        server.start()
        with Peer(server, device, "sender", version) as sender, Peer(server, device, "peer", version) as peer:
            sender.send(sender.published("t", "3", 2, 3))
            expect(sender, PUBREC, 3)
            sender.send(step(PUBREL, 3))
            expect(sender, PUBCOMP, 3)
            expect(peer, PUBREL, first.packet_id)
            peer.send(step(PUBCOMP, first.packet_id))
            assert receive(peer, 2) == [("2", True), ("3", True)]
            publish(sender, "t", "4", 3)
            assert receive(peer) == new("4")
            peer.ping()


def test_paho_speaks_it(server, device, name):
    """A client that keeps the four steps by itself, over a broken connection."""
    got, ready = queue.Queue(), queue.Queue()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, name, clean_session=False)
    client.tls_set_context(mqtt.tls_context(device, ca=server.ca_path))
    client.on_message = lambda client, data, message: got.put((message.payload, message.qos))
    client.on_subscribe = lambda *_: ready.put(None)
    client.connect("localhost", server.mqtts_port, 60)
    client.loop_start()
    client.subscribe(name, 2)
    ready.get(timeout=DEADLINE_S)
    for number in range(20):
        client.publish(name, str(number), 2)
        if number == 10:
            client._sock_close()  # As a broken link does; paho connects again.
    assert sorted(int(got.get(timeout=DEADLINE_S)[0]) for _ in range(20)) == list(range(20))
    client.disconnect()
    client.loop_stop()
    assert got.empty()


def test_aws_has_none(tmp_path):
    with Server(tmp_path) as server:
        device = Cloud(server.api_url).device(tmp_path, "device")
        with Peer(server, device, "v3") as peer:
            peer.send(peer.published("t", "1", 2))
            peer.expect_closed()
        with Peer(server, device, "v5", V5) as peer:
            peer.send(peer.published("t", "1", 2))
            kind, _, body = peer.read()
            assert (kind, body[0]) == (14, 0x9B)
