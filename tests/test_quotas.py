"""AWS's quotas, one by one: what happens to who exceeds them, in both versions where the answer differs.

Nothing here lifts AWS's rates as the other files do. Where AWS's number is too large for a test (500,000 connections), one
setting makes it small, and all others stay AWS's.
"""

import json
import re
import struct
import subprocess
import time

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from support import mqtt, mqtt5
from support.cloud import Cloud, refused
from support.http import send
from support.mqtt import CONNACK, DISCONNECT, PUBACK, PUBLISH, SUBACK, Client, tls_context
from support.mqtt5 import QUOTA_EXCEEDED, SUCCESS, codes_of, reason_of
from support.server import BINARY, Server, because, clean_environment
from support.sessions import Peer
from support.waiting import DEADLINE_S, eventually

AWS = ()
"""AWS's pace: no rate is lifted."""

TOPIC_NAME_INVALID, TOPIC_FILTER_INVALID, CLIENT_ID_NOT_VALID = 0x90, 0x8F, 0x85
TOPIC_ALIAS_INVALID, QOS_NOT_SUPPORTED = 0x94, 0x9B
VERSIONS = pytest.mark.parametrize("version", [4, 5])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("aws"), pace=AWS) as server:
        yield server


@pytest.fixture(scope="module")
def device(cloud, tmp_path_factory):
    return cloud.device(tmp_path_factory.mktemp("device"), "device")


class Small:
    """A server with AWS's limits, but for those given; and a device of it."""

    def __init__(self, directory, *flags, **limits):
        flags = [*flags] + [f"--limit={name}={value}" for name, value in limits.items()]
        self.server = Server(directory, *flags, pace=AWS)
        self.directory = directory

    def __enter__(self):
        self.server.__enter__()
        self.cloud = Cloud(self.server.api_url)
        self.device = self.cloud.device(self.directory / "keys", "device")
        return self

    def __exit__(self, *exception):
        self.server.__exit__(*exception)


def connected(server, device, client_id, version=4, **options):
    speaks = Client.connected if version == 4 else mqtt5.connected
    return speaks(server, device, client_id, **options)


def packets(version):
    return mqtt if version == 4 else mqtt5


def expect_end(client, version, reason):
    """The connection ends: MQTT 5 says why, MQTT 3.1.1 has no word for it."""
    if version == 5:
        assert reason_of(client.read()) == (DISCONNECT, reason)
    client.expect_closed()


def expect_no_connection(client, version, reason):
    """[verified 1] MQTT 3.1.1 gets no CONNACK."""
    if version == 5:
        assert reason_of(client.read()) == (CONNACK, reason)
    client.expect_closed()


def throttled(server, limit):
    """How often the limit was exceeded, as Prometheus is told."""
    status, _, body = send(server, "/_eyot/metrics", {"Host": server.ready["api"]}, "GET")
    assert status == 200
    return int(re.search(rf'^eyot_throttled_total{{limit="{limit}"}} (\d+)$', body.decode(), re.M)[1])


def acks_until(client, last):
    """PUBACKs up to the one of this packet id, or with None up to PINGRESP, as {packet id: reason}. They leave in the order of the
    messages, so one that is missing here does not come."""
    acks = {}
    while last not in acks:
        kind, flags, body = client.read()
        if kind == mqtt.PINGRESP:
            assert last is None
            return acks
        assert kind == PUBACK, (kind, body)
        (packet_id,) = struct.unpack("!H", body[:2])
        acks[packet_id] = reason_of((kind, flags, body))[1]
    return acks


def count_until_ping(client):
    return acks_until(client, None)


PING = mqtt.packet(mqtt.PINGREQ, 0, b"")


# One packet ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked, applies", [(0, 1200), (1, 30), (29, 30), (60, 60), (1200, 1200), (1201, 1200), (65535, 1200)])
def test_keep_alive_is_30_to_1200_seconds(server, cloud, device, name, asked, applies):
    """That silence of 45 seconds then ends a connection is in test_slow_clocks.py."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, f"{name}-5", protocol=paho.MQTTv5)
    client.tls_set_context(tls_context(device, ca=server.ca_path))
    told = []
    client.on_connect = lambda client, data, flags, reason, found: told.append(found.ServerKeepAlive)
    client.connect("localhost", server.mqtts_port, max(asked, 1))
    client.loop_start()
    try:
        eventually(lambda: told, "CONNACK")
    finally:
        client.disconnect()
        client.loop_stop()
    assert told == [applies if asked else 30]
    # MQTT 3.1.1 cannot tell the client; the API tells what applies.
    with Client.connected(server, device, name, keep_alive=asked):
        assert cloud.data.get_connection(clientId=name)["keepAliveDuration"] == applies


@VERSIONS
def test_payload_of_128_kib(server, cloud, device, name, version):
    speak = packets(version)
    with connected(server, device, name, version) as client, Client.connected(server, device, f"{name}-to") as to:
        to.subscribe(name)
        largest = b"x" * 131_072
        client.send(speak.publish(name, largest))
        assert to.read_message()[1] == largest
        client.send(speak.publish(name, largest + b"x"))
        expect_end(client, version, QUOTA_EXCEEDED)
    with Client(server, tls_context(device)) as client:
        # A will has its length in two bytes: the largest that MQTT can say is below AWS's limit.
        client.send(speak.connect(f"{name}-will", will=(name, b"x" * 65_535) + ((0, False) if version == 4 else ())))
        assert client.read()[0] == CONNACK
    server.expect_log("PAYLOAD_LIMIT_EXCEEDED", name)


def test_payload_of_128_kib_over_http(cloud, name):
    cloud.data.publish(topic=name, payload=b"x" * 131_072)
    refused("InvalidRequestException", 400, cloud.data.publish, topic=name, payload=b"x" * 131_073)


@VERSIONS
@pytest.mark.parametrize("longest, longer", [
    ("x" * 256, "x" * 257),
    ("ü" * 128, "ü" * 128 + "x"),
    ("/" * 7, "/" * 8),
    ("$aws/rules/r/" + "x" * 256, "$aws/rules/r/" + "x" * 257),
    ("$aws/rules/r/" + "/" * 7, "$aws/rules/r/" + "/" * 8),
], ids=["bytes", "bytes-not-characters", "slashes", "bytes-behind-a-rule", "slashes-behind-a-rule"])
def test_topics_of_256_bytes_and_7_slashes(server, device, name, version, longest, longer):
    speak = packets(version)
    with connected(server, device, name, version) as client:
        client.send(speak.publish(longest, "x", 1, 1))
        assert reason_of(client.read()) == (PUBACK, SUCCESS)
        client.send(speak.publish(longer, "x", 1, 2))
        expect_end(client, version, TOPIC_NAME_INVALID)


@VERSIONS
def test_filters_of_256_bytes_and_7_slashes(server, device, name, version):
    speak = packets(version)
    with connected(server, device, name, version) as client:
        client.send(speak.subscribe(1, "x" * 256, "x" * 257, "+/" * 7 + "#", "+/" * 8 + "#"))
        answer = client.read()
        codes = list(answer[2][2:]) if version == 4 else codes_of(answer)
        wrong = 0x80 if version == 4 else TOPIC_FILTER_INVALID
        assert codes == [0, wrong, 0, wrong]


@VERSIONS
def test_share_names_of_128_characters(server, device, name, version):
    with connected(server, device, name, version) as client:
        client.send(packets(version).subscribe(1, f"$share/{'ü' * 128}/{name}", f"$share/{'ü' * 129}/{name}", f"$share/s/{'/' * 7}"))
        assert list(client.read()[2][-3:]) == [0, 0x80 if version == 4 else TOPIC_FILTER_INVALID, 0]


@pytest.mark.parametrize("asked, applies", [(0, 0), (604_800, 604_800), (604_801, 604_800), (0xFFFF_FFFF, 604_800)])
def test_sessions_of_7_days(server, cloud, device, name, asked, applies):
    """MQTT 3.1.1 has an hour; the API tells. That sessions end then is in test_sessions.py."""
    with Client(server, tls_context(device)) as client:
        client.send(mqtt5.connect(name, found=b"\x11" + struct.pack("!I", asked)))
        kind, _, body = client.read()
        assert (kind, body[1], body[3:8]) == (CONNACK, SUCCESS, b"\x11" + struct.pack("!I", applies))
    with Client.connected(server, device, f"{name}-old", clean=False):
        assert cloud.data.get_connection(clientId=f"{name}-old")["sessionExpiry"] == 3_600


@VERSIONS
def test_client_id_of_128_bytes(server, device, name, version):
    longest = name.ljust(128, "x")
    with connected(server, device, longest, version):
        with Client(server, tls_context(device)) as client:
            client.send(packets(version).connect(longest + "x"))
            expect_no_connection(client, version, CLIENT_ID_NOT_VALID)


@VERSIONS
def test_8_filters_in_one_subscribe(server, device, name, version):
    """[verified 5]"""
    speak = packets(version)
    with connected(server, device, name, version) as client:
        client.send(speak.subscribe(1, *(f"{name}/{number}" for number in range(8))))
        assert client.read()[2][-8:] == b"\0" * 8
        client.send(speak.subscribe(2, *(f"{name}/{number}" for number in range(9))))
        expect_end(client, version, QUOTA_EXCEEDED)


@VERSIONS
def test_50_subscriptions_of_one_connection(server, device, name, version):
    """[verified 6] The connection stays."""
    with connected(server, device, name, version) as client:
        codes = b""
        for number in range(17):
            client.send(packets(version).subscribe(1, *(f"{name}/{3 * number + one}" for one in range(3))))
            codes += client.read()[2][-3:]
        assert codes == b"\0" * 50 + (b"\x80" if version == 4 else bytes([QUOTA_EXCEEDED]))
        client.ping()


@VERSIONS
def test_qos_2_is_not_offered(server, device, name, version):
    with connected(server, device, name, version) as client:
        client.send(packets(version).publish(name, "x", 2, 1))
        expect_end(client, version, QOS_NOT_SUPPORTED)


def test_8_topic_aliases(server, device, name):
    with mqtt5.connected(server, device, name) as client:
        for alias in range(1, 9):
            client.send(mqtt5.publish(name, "x", 1, alias, found=b"\x23" + struct.pack("!H", alias)))
            assert reason_of(client.read()) == (PUBACK, SUCCESS)
        client.send(mqtt5.publish(name, "x", 1, 9, found=b"\x23\0\x09"))
        expect_end(client, 5, TOPIC_ALIAS_INVALID)


@pytest.mark.parametrize("asked, at_most", [(604_799, 604_799), (604_801, 604_800), (0xFFFF_FFFF, 604_800)])
def test_message_expiry_of_7_days(server, device, name, asked, at_most):
    assert at_most - 1 <= expiry_of(server, device, name, asked) <= at_most


def test_message_expiry_of_a_second(tmp_path):
    """AWS's second cannot be told from none: what is left of it is rounded down."""
    _, limits = limits_of()
    assert limits["message_expiry_min_s"]["aws"] == "1"
    with Small(tmp_path, message_expiry_min_s=100) as small:
        assert 99 <= expiry_of(small.server, small.device, "client", 0) <= 100


def expiry_of(server, device, name, asked):
    """Which expiry the subscriber is told."""
    with mqtt5.connected(server, device, f"{name}-to") as to, mqtt5.connected(server, device, f"{name}-by") as by:
        to.send(mqtt5.subscribe(1, name))
        assert codes_of(to.read()) == [0]
        by.send(mqtt5.publish(name, "x", found=b"\x02" + struct.pack("!I", asked)))
        kind, _, body = to.read()
        # Topic, length of the properties, the property, the payload.
        assert kind == PUBLISH and body[2 + len(name):][:2] == b"\x05\x02"
        (left,) = struct.unpack("!I", body[4 + len(name):][:4])
        return left


# One connection --------------------------------------------------------------------------------------------------


@VERSIONS
def test_100_messages_a_second_of_one_connection(server, device, name, version):
    """What exceeds them is discarded, and the connection stays. QoS 1 of MQTT 3.1.1 gets no PUBACK, MQTT 5 is told."""
    before, speak = throttled(server, "connection_publishes_per_s"), packets(version)
    with connected(server, device, f"{name}-to") as to, connected(server, device, name, version) as client:
        to.subscribe(f"{name}/#")
        # All in one write: the server works it off in one go.
        client.send(b"".join(speak.publish(f"{name}/t", str(number), 1, number) for number in range(1, 301)) + PING)
        acks = count_until_ping(client)
        taken = [packet_id for packet_id, reason in acks.items() if reason == SUCCESS]
        assert taken[:100] == list(range(1, 101)) and len(taken) < 300
        if version == 4:
            assert len(acks) == len(taken)
        else:
            assert list(acks) == list(range(1, 301)) and set(acks.values()) == {SUCCESS, QUOTA_EXCEEDED}
        assert [int(to.read_message()[1]) for _ in taken[:100]] == taken[:100]
        # It is told why, and by which limit; and goes on after a moment.
        server.expect_log(name, "limit=\"connection_publishes_per_s\"", because("more than 100 messages in a second"))
        assert throttled(server, "connection_publishes_per_s") >= before + 300 - len(taken)

        def goes_on():
            client.send(speak.publish(f"{name}/later", "x", 1, 400) + PING)
            return count_until_ping(client).get(400) == SUCCESS

        eventually(goes_on, "a message that is taken again")


def test_qos_0_above_the_rate_is_discarded_in_silence(server, device, name):
    with mqtt5.connected(server, device, name) as client:
        client.send(mqtt5.publish(f"{name}/t", "x") * 300 + PING)
        assert count_until_ping(client) == {}
        server.expect_log(name, "throttled", "connection_publishes_per_s")


def test_100_messages_a_second_to_one_connection(server, device, name):
    """QoS 0 is discarded; QoS 1 waits and comes, as AWS tries it again for an hour."""
    publishers = [Client.connected(server, device, f"{name}-by-{number}") for number in range(3)]
    with connected(server, device, f"{name}-0") as lossy, connected(server, device, f"{name}-1") as sure:
        lossy.subscribe(f"{name}/#", qos=0)
        sure.subscribe(f"{name}/#", qos=1)
        for number, publisher in enumerate(publishers):
            batch = range(1 + 80 * number, 81 + 80 * number)
            publisher.send(b"".join(mqtt.publish(f"{name}/t", str(each), 1, each) for each in batch) + PING)
            assert count_until_ping(publisher) == {each: SUCCESS for each in batch}
        assert sorted(int(sure.read_message()[1]) for _ in range(240)) == list(range(1, 241))
        # More than two seconds have passed: a marker comes through.
        publishers[0].publish_qos1(f"{name}/marker", "marker", 500)
        seen = 0
        while lossy.read_message()[1] != b"marker":
            seen += 1
        assert 100 <= seen < 240
    for publisher in publishers:
        publisher.close()


@VERSIONS
def test_qos_2_above_the_rate(tmp_path, version):
    """Where QoS 2 is offered: MQTT 5 is told in the PUBREC, MQTT 3.1.1 gets none."""
    pubrec = 5
    with Small(tmp_path, qos_max=2, connection_publishes_per_s=20) as small, connected(small.server, small.device, "client", version) as client:
        client.send(b"".join(packets(version).publish("t", "x", 2, number) for number in range(1, 61)) + PING)
        refused = taken = 0
        while (packet := client.read())[0] != mqtt.PINGRESP:
            assert packet[0] == pubrec
            is_refused = len(packet[2]) > 2 and packet[2][2] == QUOTA_EXCEEDED
            refused, taken = refused + is_refused, taken + (not is_refused)
        assert 20 <= taken < 60 and refused == (60 - taken if version == 5 else 0)


def test_both_directions_count_together(server, device, name):
    """60 out and 60 in are more than 100: what comes in last is discarded."""
    with Client.connected(server, device, f"{name}-by") as by, mqtt5.connected(server, device, name) as client:
        client.send(mqtt5.subscribe(1, f"{name}/t"))
        assert codes_of(client.read()) == [0]
        by.send(mqtt.publish(f"{name}/t", "x") * 60 + PING)
        assert count_until_ping(by) == {}
        client.send(b"".join(mqtt5.publish(f"{name}/other", "x", 1, number) for number in range(1, 61)) + PING)
        received = 0
        acks = []
        while (packet := client.read())[0] != mqtt.PINGRESP:
            received += packet[0] == PUBLISH
            if packet[0] == PUBACK:
                acks.append(reason_of(packet)[1])
        assert received == 60 and acks[:40] == [SUCCESS] * 40 and QUOTA_EXCEEDED in acks


def test_512_kib_a_second_from_one_connection(server, device, name):
    """What exceeds them is delayed: nothing is lost, and it takes the time that it takes."""
    with Client.connected(server, device, name) as client:
        begun = time.monotonic()
        for _ in range(32):
            client.send(mqtt.publish(name, b"x" * 65_536))
        client.ping()
        # 2 MiB, of which a second's worth and what one go may take before it is counted are free.
        assert time.monotonic() - begun >= 2.0
        assert throttled(server, "connection_bytes_per_s") > 0
        server.expect_log(name, "limit=\"connection_bytes_per_s\"", because("more than 524288 bytes in a second"))


def test_512_kib_a_second_to_one_connection(server, device, name):
    publishers = [Client.connected(server, device, f"{name}-by-{number}") for number in range(6)]
    with Client.connected(server, device, name) as to:
        to.subscribe(f"{name}/#", qos=1)
        begun = time.monotonic()
        for number, publisher in enumerate(publishers):
            for each in range(8):
                publisher.send(mqtt.publish(f"{name}/{number}", bytes([each]) * 65_536, 1, 1 + each))
        got = [to.read_message() for _ in range(48)]
        assert sorted((topic, payload[0]) for topic, payload, _, _ in got) == \
            [(f"{name}/{number}", each) for number in range(6) for each in range(8)]
        # 3 MiB, of which a second's worth and the last MiB, which may go at once, are free.
        assert time.monotonic() - begun >= 2.0
    for publisher in publishers:
        publisher.close()


def test_silence_while_the_server_does_not_read_is_not_held_against_the_client(tmp_path):
    """A keep-alive of one second, and seconds during which nothing is read."""
    with Small(tmp_path, keep_alive_min_s=1, connection_bytes_per_s="10KiB") as small:
        with Client.connected(small.server, small.device, keep_alive=1) as client:
            client.send(mqtt.publish("t", b"x" * 50 * 1024))
            client.ping()
            begun = time.monotonic()
            client.ping()
            assert time.monotonic() - begun >= 2, "more than one and a half seconds passed unread"


def test_100_messages_from_the_client_without_their_puback(server, device, name):
    """MQTT 5 is told; that reading stops then is in the broker's own tests (`stalls.rs`)."""
    found = Properties(PacketTypes.CONNECT)
    with mqtt5.connected(server, device, f"{name}-raw"):
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv5)
        client.tls_set_context(tls_context(device, ca=server.ca_path))
        told = []
        client.on_connect = lambda client, data, flags, reason, found: told.append(found.ReceiveMaximum)
        client.connect("localhost", server.mqtts_port, 60, properties=found)
        client.loop_start()
        try:
            eventually(lambda: told, "CONNACK")
        finally:
            client.disconnect()
            client.loop_stop()
        assert told == [100]


@VERSIONS
def test_100_messages_to_the_client_without_their_puback(tmp_path, version):
    with Small(tmp_path, connection_publishes_per_s="unlimited") as small, \
            connected(small.server, small.device, "to", version) as to, Client.connected(small.server, small.device, "by") as by:
        to.send(packets(version).subscribe(1, "t", qos=1))
        assert to.read()[0] == SUBACK
        by.send(b"".join(mqtt.publish("t", str(number), 1, number) for number in range(1, 151)) + PING)
        assert len(count_until_ping(by)) == 150
        first = [to.read() for _ in range(100)]
        assert {kind for kind, _, _ in first} == {PUBLISH}
        # The window is full: nothing comes before the answer to a PINGREQ.
        to.ping()
        for _, _, body in first:
            to.send(mqtt.puback(*struct.unpack("!H", body[3:5])))
        second = [to.read() for _ in range(50)]
        assert [body[-3:] for _, _, body in second] == [str(number).encode() for number in range(101, 151)]


# Connecting ------------------------------------------------------------------------------------------------------


def dialled(server, device, count):
    """Connections that have done TLS: their CONNECTs can come within a moment."""
    return [Client(server, tls_context(device)) for _ in range(count)]


def is_accepted(client):
    try:
        return reason_of(client.read()) == (CONNACK, SUCCESS)
    except mqtt.GONE:
        return False


@VERSIONS
def test_one_connect_a_second_of_one_client_id(server, device, name, version):
    """The second one is refused, and does not take over from the first."""
    before = throttled(server, "client_connects_per_s")
    first, second = dialled(server, device, 2)
    first.send(packets(version).connect(name))
    second.send(packets(version).connect(name))
    if not is_accepted(first):
        # The one that was sent first need not be the one that is read first.
        first, second = second, first
        assert is_accepted(first)
    else:
        expect_no_connection(second, version, QUOTA_EXCEEDED)
    assert throttled(server, "client_connects_per_s") == before + 1
    server.expect_log(name, because("more than 1 connections in a second with one client id"))
    first.ping()

    def takes_over():
        (third,) = dialled(server, device, 1)
        third.send(packets(version).connect(name))
        return is_accepted(third) and third

    third = eventually(takes_over, "a connection a second later")
    expect_end(first, version, 0x8E)
    third.ping()
    third.close()


def test_who_may_not_connect_uses_up_nothing(server, cloud, device, name, tmp_path):
    """A device that tries with another's name is not let in, and does not keep the other one out."""
    from support.cloud import arn, policy, statement
    stranger = cloud.device(tmp_path, f"{name}_stranger", policy(statement("iot:Connect", arn("client", "own"))))
    bad = Client(server, tls_context(stranger))
    (good,) = dialled(server, device, 1)
    bad.send(mqtt.connect(name))
    bad.expect_closed()
    good.send(mqtt.connect(name))
    assert good.read() == (CONNACK, 0, b"\0\0")
    good.close()


@VERSIONS
def test_connects_a_second_of_all_clients(tmp_path, version):
    with Small(tmp_path, account_connects_per_s=1) as small:
        first, second, third = dialled(small.server, small.device, 3)
        for number, client in enumerate((first, second, third)):
            client.send(packets(version).connect(f"client-{number}"))
        answers = []
        for client in (first, second, third):
            try:
                answers.append(client.read()[2][1])
            except mqtt.GONE:
                answers.append(None)
        refusal = None if version == 4 else QUOTA_EXCEEDED
        assert sorted(answers, key=str) == sorted([SUCCESS, refusal, refusal], key=str)
        assert throttled(small.server, "account_connects_per_s") == 2
        small.server.expect_log(because("connections in a second of all clients"))


@VERSIONS
def test_connections_of_all_clients(tmp_path, version):
    with Small(tmp_path, account_connections_max=2) as small:
        one = connected(small.server, small.device, "one", version)
        other = connected(small.server, small.device, "other", version)
        (third,) = dialled(small.server, small.device, 1)
        third.send(packets(version).connect("third"))
        expect_no_connection(third, version, QUOTA_EXCEEDED)
        one.close()

        def has_room():
            (client,) = dialled(small.server, small.device, 1)
            client.send(packets(version).connect("third"))
            return is_accepted(client) and client

        eventually(has_room, "a place that was given back").close()
        other.close()


# All clients together --------------------------------------------------------------------------------------------


@VERSIONS
def test_messages_a_second_from_all_clients(tmp_path, version):
    speak = packets(version)
    with Small(tmp_path, account_publishes_in_per_s=5) as small, connected(small.server, small.device, "by", version) as by:
        by.send(b"".join(speak.publish("t", "x", 1, number) for number in range(1, 51)) + PING)
        acks = count_until_ping(by)
        taken = [packet_id for packet_id, reason in acks.items() if reason == SUCCESS]
        assert taken[:5] == [1, 2, 3, 4, 5] and len(taken) < 50
        assert len(acks) == (len(taken) if version == 4 else 50)
        assert throttled(small.server, "account_publishes_in_per_s") == 50 - len(taken)
        small.server.expect_log("by", because("more than 5 messages in a second from all clients"))


def test_messages_a_second_from_clients_of_several_loops(tmp_path):
    with Small(tmp_path, "--loops=3", account_publishes_in_per_s=5) as small:
        clients = [Client.connected(small.server, small.device, f"client-{number}") for number in range(8)]
        for client in clients:
            client.send(b"".join(mqtt.publish("t", "x", 1, number) for number in range(1, 11)) + PING)
        taken = sum(len(count_until_ping(client)) for client in clients)
        assert 5 <= taken < 80
        assert throttled(small.server, "account_publishes_in_per_s") == 80 - taken


def test_messages_a_second_over_http(tmp_path):
    with Small(tmp_path, account_publishes_in_per_s=1) as small:

        def is_throttled():
            try:
                small.cloud.data.publish(topic="t", payload=b"x")
            except small.cloud.data.exceptions.ClientError as error:
                return error.response
            return None

        response = eventually(is_throttled, "a publish within a second of another one")
        assert response["Error"]["Code"] == "ThrottlingException" and response["ResponseMetadata"]["HTTPStatusCode"] == 429
        assert "account_publishes_in_per_s" in response["Error"]["Message"]


@pytest.mark.parametrize("clean", [True, False], ids=["clean", "kept"])
def test_messages_a_second_to_all_clients(tmp_path, clean):
    """QoS 0 is discarded, QoS 1 waits."""
    with Small(tmp_path, account_publishes_out_per_s=10) as small, Client.connected(small.server, small.device, "by") as by, \
            Client.connected(small.server, small.device, "lossy") as lossy, Client.connected(small.server, small.device, "sure", clean=clean) as sure:
        lossy.subscribe("a", qos=0)
        sure.subscribe("b", qos=1)
        by.send(mqtt.publish("a", "x") * 50 + PING)
        assert count_until_ping(by) == {}
        by.send(b"".join(mqtt.publish("b", str(number), 1, number) for number in range(1, 31)))
        assert len(acks_until(by, 30)) == 30
        assert [int(sure.read_message()[1]) for _ in range(30)] == list(range(1, 31))
        lossy.send(PING)
        seen = 0
        while lossy.read()[0] == PUBLISH:
            seen += 1
        assert 10 <= seen < 50
        assert throttled(small.server, "account_publishes_out_per_s") > 0


@VERSIONS
def test_subscriptions_of_all_clients(tmp_path, version):
    refusal = 0x80 if version == 4 else QUOTA_EXCEEDED
    with Small(tmp_path, account_subscriptions_max=5) as small:
        one, other = (connected(small.server, small.device, name, version) for name in ("one", "other"))
        one.send(packets(version).subscribe(1, "a", "b", "c"))
        assert list(one.read()[2][-3:]) == [0, 0, 0]
        other.send(packets(version).subscribe(1, "a", "$share/g/b", "c"))
        assert list(other.read()[2][-3:]) == [0, 0, refusal]
        # The same again takes no place, and a place that is given back can be taken.
        other.send(packets(version).subscribe(1, "a", "$share/g/b"))
        assert list(other.read()[2][-2:]) == [0, 0]
        one.close()

        def has_room():
            other.send(packets(version).subscribe(1, "c"))
            return other.read()[2][-1] == 0

        eventually(has_room, "a subscription that ended with its connection")
        other.close()


@VERSIONS
def test_subscriptions_a_second_of_all_clients(tmp_path, version):
    """[verified 8] Each filter has its own answer."""
    refusal = 0x80 if version == 4 else QUOTA_EXCEEDED
    with Small(tmp_path, account_subscribes_per_s=5) as small, connected(small.server, small.device, "client", version) as client:
        client.send(packets(version).subscribe(1, *"abcdefgh"))
        assert list(client.read()[2][-8:]) == [0] * 5 + [refusal] * 3
        client.ping()
        small.server.expect_log("client", because("subscriptions in a second of all clients"))


# Retained messages -----------------------------------------------------------------------------------------------


def test_retained_messages_of_all_topics(tmp_path):
    """Above the limit a message is delivered and not kept; MQTT 5 is told."""
    with Small(tmp_path, account_retained_max=2) as small, mqtt5.connected(small.server, small.device, "by") as by, \
            Client.connected(small.server, small.device, "to") as to:
        to.subscribe("#")
        said = []
        for number in range(3):
            by.send(mqtt5.publish(f"topic/{number}", "x", 1, 1, retain=True))
            said.append(reason_of(by.read())[1])
            assert to.read_message()[:2] == (f"topic/{number}", b"x")
        assert said == [SUCCESS, SUCCESS, QUOTA_EXCEEDED]
        kept = [each["topic"] for each in small.cloud.data.list_retained_messages()["retainedTopics"]]
        assert kept == ["topic/0", "topic/1"]


def test_memory_of_all_retained_messages(tmp_path):
    """What takes the place of a larger one is kept."""
    with Small(tmp_path, account_retained_bytes_max=5_000, topic_retained_per_s="unlimited") as small, \
            mqtt5.connected(small.server, small.device, "by") as by:
        said = []
        for topic, size in (("a", 3_000), ("b", 3_000), ("a", 10), ("b", 3_000)):
            by.send(mqtt5.publish(topic, "x" * size, 1, 1, retain=True))
            said.append(reason_of(by.read())[1])
        assert said == [SUCCESS, QUOTA_EXCEEDED, SUCCESS, SUCCESS]
        kept = small.cloud.data.list_retained_messages()["retainedTopics"]
        assert [(each["topic"], each["payloadSize"]) for each in kept] == [("a", 10), ("b", 3_000)]


def test_a_session_of_mqtt_3_1_1_ends_an_hour_after_its_connection(tmp_path):
    """Here a second: there is no event before the server's log tells of it."""
    with Small(tmp_path, session_expiry_default_s=1, client_connects_per_s="unlimited") as small:
        with Peer(small.server, small.device, "away", 4) as away:
            away.subscribe("t")
            away.leave()
        small.server.expect_log("session ended", "away")
        with Peer(small.server, small.device, "away", 4) as away:
            assert not away.session_present
            away.ping()


@VERSIONS
def test_messages_queued_a_second_for_those_who_are_away(tmp_path, version):
    """Those who are here get all of them."""
    with Small(tmp_path, queued_messages_per_s=2, client_connects_per_s="unlimited") as small:
        with Peer(small.server, small.device, "away", version) as away:
            away.subscribe("t")
            away.leave()
        with Peer(small.server, small.device, "here", version) as here, Peer(small.server, small.device, "by") as by:
            here.subscribe("t")
            sent = [str(number) for number in range(12)]
            for payload in sent:
                by.publish("t", payload)
            assert here.receive(12) == sent
        dropped = throttled(small.server, "queued_messages_per_s")
        assert 0 < dropped <= 10
        small.server.expect_log("dropped", "queued_")
        with Peer(small.server, small.device, "away", version) as away:
            assert away.session_present
            got = away.receive(12 - dropped)
            assert got[:2] == sent[:2] and set(got) < set(sent)
            away.ping()


@VERSIONS
def test_how_long_a_message_may_be_without_its_puback(tmp_path, version):
    """It comes again on the next connection, but not when a connection has stood without its PUBACK for longer than the limit."""
    with Small(tmp_path, unacknowledged_max_s=1, client_connects_per_s="unlimited") as small, Peer(small.server, small.device, "by") as by:
        with Peer(small.server, small.device, "deaf", version) as deaf:
            deaf.subscribe("t")
            by.publish("t", "one")
            assert deaf.take().payload == b"one"
        with Peer(small.server, small.device, "deaf", version) as deaf:
            assert deaf.session_present and deaf.take().payload == b"one"
            # The limit itself: there is no event before.
            time.sleep(1.1)
            deaf.ping()
            by.publish("t", "two")
            assert deaf.take().payload == b"two"
        small.server.expect_log("deaf", "unacknowledged_max_s", "messages=1")
        with Peer(small.server, small.device, "deaf", version) as deaf:
            assert deaf.session_present and deaf.receive() == ["two"]
            deaf.ping()


@VERSIONS
def test_one_retained_message_a_second_of_one_topic(server, cloud, device, name, version):
    speak = packets(version)
    with connected(server, device, name, version) as client:
        first, second = (speak.publish(f"{name}/a", payload, 1, packet_id, retain=True) for payload, packet_id in (("1", 1), ("2", 2)))
        other = speak.publish(f"{name}/b", "3", 1, 3, retain=True)
        not_retained = speak.publish(f"{name}/a", "4", 1, 4)
        client.send(first + second + other + not_retained)
        expected = {1: SUCCESS, 3: SUCCESS, 4: SUCCESS} | ({} if version == 4 else {2: QUOTA_EXCEEDED})
        assert acks_until(client, 4) == expected
        assert cloud.data.get_retained_message(topic=f"{name}/a")["payload"] == b"1"
        server.expect_log(name, because("to be retained for one topic"))

        def is_kept():
            client.send(speak.publish(f"{name}/a", "5", 1, 5, retain=True) + speak.publish(f"{name}/a", "6", 1, 6))
            return acks_until(client, 6).get(5) == SUCCESS

        eventually(is_kept, "a retained message a second later")
        assert cloud.data.get_retained_message(topic=f"{name}/a")["payload"] == b"5"


def test_retained_messages_a_second_of_all_topics(tmp_path):
    with Small(tmp_path, account_retained_per_s=3) as small, mqtt5.connected(small.server, small.device, "by") as by:
        by.send(b"".join(mqtt5.publish(f"topic/{number}", "x", 1, number, retain=True) for number in range(1, 21)))
        acks = acks_until(by, 20)
        kept = [number for number, reason in acks.items() if reason == SUCCESS]
        assert kept[:3] == [1, 2, 3] and len(kept) < 20
        topics = {each["topic"] for each in small.cloud.data.list_retained_messages()["retainedTopics"]}
        assert topics == {f"topic/{number}" for number in kept}


# The settings themselves -----------------------------------------------------------------------------------------


def limits_of(*arguments, **environment):
    done = subprocess.run([BINARY, "limits", "--in-memory", "--json", *arguments], capture_output=True, text=True, timeout=30,
                          env=clean_environment(**environment))
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    return shown["profile"], {each["name"]: each for each in shown["limits"]}


def test_every_limit_is_shown_with_its_reason():
    profile, limits = limits_of()
    assert profile == "aws"
    assert all(each["value"] == each["aws"] and each["unit"] and each["excess"] and each["why"] for each in limits.values())
    assert (limits["payload_bytes_max"]["value"], limits["connection_publishes_per_s"]["value"]) == ("131072", "100")


def test_one_limit_can_be_changed(tmp_path):
    _, limits = limits_of("--limits", "relaxed", "--limit", "payload_bytes_max=16MiB", EYOT_LIMIT="subscriptions_max=7,topic_bytes_max=9")
    assert limits["payload_bytes_max"]["value"] == str(16 * 1024 * 1024)
    assert limits["subscriptions_max"]["value"] == limits["subscriptions_max"]["relaxed"], "a flag stands for its variable"
    _, limits = limits_of(EYOT_LIMIT="subscriptions_max=7,topic_bytes_max=9")
    assert (limits["subscriptions_max"]["value"], limits["topic_bytes_max"]["value"]) == ("7", "9")
    (tmp_path / "eyot.toml").write_text("[limit]\nsubscriptions_max = 8\ntopic_bytes_max = 10\n")
    done = subprocess.run([BINARY, "limits", "--data-dir", tmp_path, "--json", "--limit", "topic_bytes_max=11"], capture_output=True,
                          text=True, timeout=30, env=clean_environment())
    limits = {each["name"]: each["value"] for each in json.loads(done.stdout)["limits"]}
    assert (limits["subscriptions_max"], limits["topic_bytes_max"]) == ("8", "11")


@pytest.mark.parametrize("limit, told", [
    ("subscriptions=1", "is it `subscriptions_max`?"),
    ("subscriptions_max", "NAME=VALUE"),
    ("subscriptions_max=x", "whole number"),
    ("connection_publishes_per_s=0", "whole number from 1 on, or `unlimited`"),
    ("match_rules=both", "one of `aws` `mqtt`"),
])
def test_a_limit_that_cannot_be_is_wrong_usage(limit, told):
    done = subprocess.run([BINARY, "serve", "--in-memory", "--limit", limit], capture_output=True, text=True, timeout=30,
                          env=clean_environment())
    assert done.returncode == 2 and told in done.stderr, done.stderr


@pytest.mark.parametrize("profile, matches", [("aws", False), ("relaxed", True), ("none", False)])
def test_whether_a_filter_takes_the_level_above_its_wildcard(tmp_path, profile, matches):
    """Whether `a/#` takes `a`: the standard's `#` does [MQTT311 4.7.1.2], AWS's does not."""
    with Small(tmp_path, f"--limits={profile}") as small, Peer(small.server, small.device, "to") as to, \
            Peer(small.server, small.device, "by") as by:
        to.subscribe("a/#")
        by.publish("a", "parent")
        by.publish("a/b", "child")
        got = to.receive(1 + matches)
        assert got == ["parent", "child"][not matches:]


def test_a_payload_beyond_what_relaxed_has(tmp_path):
    """8 MiB through the journal, as a retained message, and back."""
    flags = ("--limits", "relaxed", "--limit", "payload_bytes_max=8MiB")
    with Server(tmp_path, *flags, pace=AWS) as server:
        device = Cloud(server.api_url).device(tmp_path / "keys", "device")
        payload = bytes(range(256)) * (8 * 1024 * 4)
        with Client.connected(server, device, "by") as by:
            by.send(mqtt.publish("big", payload, 1, 1, retain=True))
            by.expect(PUBACK, b"\0\x01")
        with Client.connected(server, device, "to") as to:
            to.subscribe("#", qos=1)
            assert to.read_message(DEADLINE_S * 2) == ("big", payload, 1, True)
