"""MQTT 5 with paho, and byte by byte where paho does not go."""

import base64
import json
import queue
import struct
import time

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from support import mqtt
from support.cloud import arn, policy, statement
from support.server import Server
from support.waiting import DEADLINE_S

CONNACK, PUBACK, SUBACK, DISCONNECT = 0x20, 0x40, 0x90, 0xE0

NOT_AUTHORIZED, QUOTA_EXCEEDED, QOS_NOT_SUPPORTED, TAKEN_OVER = 0x87, 0x97, 0x9B, 0x8E
CLIENT_ID_NOT_VALID, TOPIC_ALIAS_INVALID, PROTOCOL_ERROR, MALFORMED = 0x85, 0x94, 0x82, 0x81
NO_SUBSCRIPTION_IDENTIFIERS, TOPIC_FILTER_INVALID = 0xA1, 0x8F


@pytest.fixture(scope="module", params=["1", "4"])
def server(tmp_path_factory, request):
    with Server(tmp_path_factory.mktemp("eyot"), "--loops", request.param) as server:
        yield server


@pytest.fixture(scope="module")
def device(cloud, tmp_path_factory):
    return cloud.device(tmp_path_factory.mktemp("device"), "device")


def properties(kind, **values):
    made = Properties(kind)
    for name, value in values.items():
        setattr(made, name, value)
    return made


class Paho:
    """A client of MQTT 5 whose callbacks are events to wait for."""

    def __init__(self, server, device, client_id, will=None, connect=None):
        self.messages, self.events = queue.Queue(), queue.Queue()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5)
        self.client.tls_set_context(mqtt.tls_context(device, ca=server.ca_path))
        self.client.on_message = lambda client, data, message: self.messages.put(message)
        self.client.on_connect = lambda client, data, flags, reason, found: self.events.put(("connected", flags, reason, found))
        self.client.on_disconnect = lambda client, data, flags, reason, found: self.events.put(("disconnected", flags, reason, found))
        self.client.on_subscribe = lambda client, data, mid, reasons, found: self.events.put(("subscribed", None, reasons, found))
        self.client.on_publish = lambda client, data, mid, reason, found: self.events.put(("published", None, reason, found))
        if will:
            self.client.will_set(*will)
        self.client.connect("localhost", server.mqtts_port, 60, clean_start=True, properties=connect)
        self.client.loop_start()
        _, self.reason, self.connack = self.expect("connected")

    def expect(self, event):
        name, *rest = self.events.get(timeout=DEADLINE_S)
        assert name == event, (name, rest)
        return rest

    def subscribe(self, topic, qos=1, **options):
        self.client.subscribe(topic, options=SubscribeOptions(qos=qos, **options))
        return [reason.value for reason in self.expect("subscribed")[1]]

    def publish(self, topic, payload, qos=1, retain=False, **values):
        """Returns what the PUBACK says; with QoS 0, that it was sent."""
        self.client.publish(topic, payload, qos, retain, properties(PacketTypes.PUBLISH, **values))
        return self.expect("published")[1].value

    def message(self):
        return self.messages.get(timeout=DEADLINE_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.disconnect()
        self.client.loop_stop()


def test_what_the_server_offers(server, device):
    with Paho(server, device, "offered", connect=properties(PacketTypes.CONNECT, SessionExpiryInterval=100)) as client:
        assert client.reason.value == 0
        found = client.connack
        assert (found.ReceiveMaximum, found.MaximumQoS, found.RetainAvailable) == (100, 1, 1)
        assert (found.MaximumPacketSize, found.TopicAliasMaximum, found.ServerKeepAlive) == (149_504, 8, 60)
        assert found.SubscriptionIdentifierAvailable == 0
        # Not what paho supposes of a property that is not there.
        assert (found.WildcardSubscriptionAvailable, found.SharedSubscriptionAvailable) == (1, 1)


def test_a_client_without_a_name_is_given_one(server, device):
    with Paho(server, device, "") as one, Paho(server, device, "") as other:
        names = {one.connack.AssignedClientIdentifier, other.connack.AssignedClientIdentifier}
        assert len(names) == 2 and all(names)


def test_properties_arrive_as_they_were_sent(server, device, name):
    with Paho(server, device, f"{name}-to") as to, Paho(server, device, f"{name}-by") as by:
        assert to.subscribe(f"{name}/+") == [1]
        sent = dict(ContentType="application/json", ResponseTopic="answers/here", CorrelationData=b"\0\1", PayloadFormatIndicator=1,
                    UserProperty=[("a", "1"), ("b", "2"), ("a", "3")], MessageExpiryInterval=100)
        assert by.publish(f"{name}/t", "hello", **sent) == 0
        got = to.message()
        assert (got.topic, got.payload, got.qos, got.retain) == (f"{name}/t", b"hello", 1, False)
        for each, value in sent.items():
            if each == "MessageExpiryInterval":
                assert 98 <= got.properties.MessageExpiryInterval <= 100
            else:
                assert getattr(got.properties, each) == value, each


def test_messages_pass_between_the_versions(server, device, name):
    with mqtt.Client.connected(server, device, f"{name}-old") as old, Paho(server, device, f"{name}-new") as new:
        old.subscribe(f"{name}/new", qos=1)
        new.subscribe(f"{name}/old")
        assert new.publish(f"{name}/new", "to the old", ContentType="text/plain", UserProperty=[("a", "1")]) == 0
        assert old.read_message() == (f"{name}/new", b"to the old", 1, False)
        old.publish_qos1(f"{name}/old", "to the new")
        assert new.message().payload == b"to the new"


def test_retained_messages_keep_their_properties(server, cloud, device, name):
    with Paho(server, device, f"{name}-by") as by:
        by.publish(f"{name}/kept", "x", retain=True, UserProperty=[("unit", "C")], MessageExpiryInterval=1_000)
        by.publish(f"{name}/short", "x", retain=True, MessageExpiryInterval=1)
        by.subscribe(f"{name}/kept")
        got = by.message()
        assert got.retain and got.properties.UserProperty == [("unit", "C")]
        assert 990 <= got.properties.MessageExpiryInterval <= 1_000
        # [MQTT5 3.3.1-10] [MQTT5 3.3.1-11]
        by.subscribe(f"{name}/kept", retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
        by.subscribe(f"{name}/kept", retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        end = time.monotonic() + DEADLINE_S
        while any(each["topic"] == f"{name}/short" for each in cloud.data.list_retained_messages()["retainedTopics"]):
            assert time.monotonic() < end, "a message that expires after a second"
        by.subscribe(f"{name}/short")
        by.publish(f"{name}/kept", "marker")
        assert by.message().payload == b"marker"


def test_subscription_options(server, device, name):
    with Paho(server, device, f"{name}-self") as client:
        client.subscribe(f"{name}/mine", noLocal=True)
        client.subscribe(f"{name}/flagged", retainAsPublished=True)
        client.publish(f"{name}/mine", "not to myself")
        client.publish(f"{name}/flagged", "kept", retain=True)
        got = client.message()
        assert (got.topic, got.retain) == (f"{name}/flagged", True)


def test_what_is_not_permitted_is_said(server, cloud, tmp_path, name):
    careful = cloud.device(tmp_path, name, policy(statement("iot:Connect", "*"), statement("iot:Publish", arn("topic", "ok/*")),
                                                  statement("iot:Subscribe", arn("topicfilter", "ok/*")), statement("iot:Receive", "*")))
    with Paho(server, careful, name) as client:
        assert client.publish("secret/a", "x") == NOT_AUTHORIZED
        assert client.subscribe("secret/#") == [NOT_AUTHORIZED]
        assert client.subscribe("ok/a") == [1]
        assert client.publish("ok/a", "still here") == 0
        assert client.message().payload == b"still here"
        client.client.publish("secret/a", "x", 0)
        client.expect("published")
        _, reason, _ = client.expect("disconnected")
        assert reason.value == NOT_AUTHORIZED
    server.expect_log(name, "denied", "secret/a")


def test_who_may_not_connect_is_told(server, cloud, tmp_path, name):
    nobody = cloud.device(tmp_path, name, policy(statement("iot:Connect", arn("client", "other"))))
    with Paho(server, nobody, name) as client:
        assert client.reason.value == NOT_AUTHORIZED
        assert client.connack.ReasonString.startswith("CONNACK:Client is not authenticated/authorized to send the message:")


def test_a_second_connection_takes_over_and_the_first_is_told(server, device, name):
    with Paho(server, device, name) as first:
        first.client.on_connect_fail = None
        with mqtt5(server, device, name):
            _, reason, _ = first.expect("disconnected")
            assert reason.value == TAKEN_OVER


# Byte by byte ---------------------------------------------------------------------------------------------------


def text(value):
    return struct.pack("!H", len(value)) + value.encode()


def packet(first, body):
    return bytes([first]) + (bytes([len(body)]) if len(body) < 128 else bytes([len(body) % 128 | 128, len(body) // 128])) + body


def connect(client_id, flags=2, found=b"", will=b""):
    return packet(0x10, text("MQTT") + bytes([5, flags]) + b"\0\x3c" + bytes([len(found)]) + found + text(client_id) + will)


def mqtt5(server, device, client_id):
    client = mqtt.Client(server, mqtt.tls_context(device))
    client.send(connect(client_id))
    kind, _, body = client.read()
    assert (kind << 4, body[:2]) == (CONNACK, b"\0\0")
    return client


def publish(topic, payload=b"", qos=0, found=b"", packet_id=1):
    return packet(0x30 | qos << 1, text(topic) + (struct.pack("!H", packet_id) if qos else b"") + bytes([len(found)]) + found + payload)


def subscribe(topic, options=0, found=b""):
    return packet(0x82, b"\0\1" + bytes([len(found)]) + found + text(topic) + bytes([options]))


@pytest.mark.parametrize("sent, reason", [
    (publish("a", qos=2), QOS_NOT_SUPPORTED),
    (subscribe("a", 2), QOS_NOT_SUPPORTED),
    (subscribe("a", found=b"\x0b\x01"), NO_SUBSCRIPTION_IDENTIFIERS),
    (publish("a", found=b"\x0b\x01"), PROTOCOL_ERROR),
    (publish("", found=b"\x23\0\1"), TOPIC_ALIAS_INVALID),
    (publish("a", found=b"\x23\0\x09"), TOPIC_ALIAS_INVALID),
    (publish(""), PROTOCOL_ERROR),
    (publish("a/#"), MALFORMED),
    (publish("a", found=b"\x11\0\0\0\1"), MALFORMED),
    (connect("again"), PROTOCOL_ERROR),
    (packet(0xF0, b""), PROTOCOL_ERROR),
    (packet(0x20, b"\0\0\0"), PROTOCOL_ERROR),
    (packet(0x62, b"\0\1"), PROTOCOL_ERROR),
    (packet(0xE0, b"\0\x05\x11\0\0\0\1"), PROTOCOL_ERROR),
    (subscribe("$SYS/#"), TOPIC_FILTER_INVALID),
    (publish("a", b"x" * 1, found=b"\x7f"), MALFORMED),
])
def test_a_breach_is_answered_with_its_reason(server, device, name, sent, reason):
    with mqtt5(server, device, name) as client:
        client.send(sent)
        kind, _, body = client.read()
        assert (kind << 4, body[0]) == (DISCONNECT, reason)
        client.expect_closed()


def test_too_many_subscriptions_are_refused_one_by_one(server, device, name):
    with mqtt5(server, device, name) as client:
        for number in range(51):
            client.send(subscribe(f"{name}/{number}"))
            kind, _, body = client.read()
            assert (kind << 4, body) == (SUBACK, b"\0\1\0" + bytes([QUOTA_EXCEEDED if number == 50 else 0]))


@pytest.mark.parametrize("client_id, flags, will, reason", [
    ("$reserved", 2, b"", CLIENT_ID_NOT_VALID),
    ("x" * 129, 2, b"", CLIENT_ID_NOT_VALID),
    ("will", 0x16, b"\0" + text("a") + text("x"), QOS_NOT_SUPPORTED),
    ("will", 0x06, b"\0" + text("a/b/c/d/e/f/g/h/i") + text("x"), 0x90),
    ("will", 0x06, b"\0" + text("$aws/x") + text("x"), NOT_AUTHORIZED),
    ("flags", 3, b"", MALFORMED),
])
def test_a_connect_that_is_refused_says_why(server, device, client_id, flags, will, reason):
    with mqtt.Client(server, mqtt.tls_context(device)) as client:
        client.send(connect(client_id, flags, will=will))
        kind, _, body = client.read()
        assert (kind << 4, body[1]) == (CONNACK, reason)
        client.expect_closed()


def test_aliases_stand_for_topics(server, device, name):
    with mqtt5(server, device, name) as by, mqtt.Client.connected(server, device, f"{name}-to") as to:
        to.subscribe(f"{name}/#")
        by.send(publish(f"{name}/a", b"1", found=b"\x23\0\1") + publish("", b"2", found=b"\x23\0\1")
                + publish(f"{name}/b", b"3", found=b"\x23\0\1") + publish("", b"4", found=b"\x23\0\1"))
        assert [to.read_message()[:2] for _ in range(4)] == [(f"{name}/{topic}", payload) for topic, payload in
                                                            (("a", b"1"), ("a", b"2"), ("b", b"3"), ("b", b"4"))]


def test_no_more_than_the_client_can_take(server, device, name):
    """Receive maximum 2, packets of 60 bytes at most."""
    client = mqtt.Client(server, mqtt.tls_context(device))
    client.send(connect(name, found=b"\x21\0\2" + b"\x27\0\0\0\x3c"))
    client.read()
    with client, mqtt.Client.connected(server, device, f"{name}-by") as by:
        client.send(subscribe("few/#", 1))
        client.read()
        by.publish_qos1("few/large", "x" * 100)
        for number in range(4):
            by.publish_qos1("few/small", str(number))
        got = [client.read() for _ in range(2)]
        client.send(packet(0xC0, b""))
        assert client.read()[0] == 13, "PINGRESP, and no third message"
        ids = [struct.unpack_from("!H", body, 2 + len("few/small"))[0] for _, _, body in got]
        for each in ids:
            client.send(packet(PUBACK, struct.pack("!H", each)))
        assert [body[-1:] for _, _, body in got + [client.read() for _ in range(2)]] == [b"0", b"1", b"2", b"3"]


def test_a_will_comes_with_its_properties_and_on_wish(server, device, name):
    with Paho(server, device, f"{name}-to") as to:
        to.subscribe(f"{name}/gone")
        found = b"\x03" + text("text/plain")
        for last, expected in ((b"", True), (packet(DISCONNECT, b"\x04"), True), (packet(DISCONNECT, b""), False)):
            dying = mqtt.Client(server, mqtt.tls_context(device))
            dying.send(connect(f"{name}-dying", 0x06, will=bytes([len(found)]) + found + text(f"{name}/gone") + text("bye")))
            dying.read()
            dying.send(last)
            dying.close()
            if expected:
                got = to.message()
                assert (got.payload, got.properties.ContentType) == (b"bye", "text/plain")
        to.publish(f"{name}/gone", "marker")
        assert to.message().payload == b"marker"


@pytest.mark.parametrize("takes, said", [(60, b"\x9b"), (3, None), (200, b"\x9b")])
def test_words_are_left_out_for_a_client_that_takes_little(server, device, name, takes, said):
    client = mqtt.Client(server, mqtt.tls_context(device))
    client.send(connect(name, found=b"\x27" + struct.pack("!I", takes)))
    if takes < 40:
        # Not even the CONNACK fits.
        client.expect_closed()
        return
    client.read()
    client.send(publish("a", qos=2))
    kind, _, body = client.read()
    assert kind << 4 == DISCONNECT and len(body) + 2 <= takes
    assert body == said if takes == 60 else body.startswith(said) and b"QoS 2" in body
    client.expect_closed()


def test_a_refusal_is_as_short_as_the_client_wants(server, cloud, tmp_path, name):
    nobody = cloud.device(tmp_path, name, policy(statement("iot:Connect", arn("client", "other"))))
    with mqtt.Client(server, mqtt.tls_context(nobody)) as client:
        client.send(connect(name, found=b"\x27\0\0\0\x0a"))
        assert client.read()[2] == b"\0\x87\0"


def test_what_is_no_shared_filter_is_refused_alone(server, device, name):
    with mqtt5(server, device, name) as client:
        client.send(packet(0x82, b"\0\1\0" + text("$share/+/a") + b"\1" + text("b") + b"\1"))
        assert client.read()[2] == b"\0\1\0\x8f\x01"


def test_denials_are_told_once_a_second(server, cloud, tmp_path, name):
    """A client that stays connected must not fill the log."""
    careful = cloud.device(tmp_path, name, policy(statement("iot:Connect", "*")))
    with mqtt5(server, careful, name) as client:
        mark = server.log_mark()
        for _ in range(300):
            client.send(publish("secret", qos=1))
        assert all(client.read()[2][:3] == b"\0\1\x87" for _ in range(300))
        told = [line for line in server.log()[mark:].splitlines() if "denied" in line and name in line]
        assert 1 <= len(told) <= 5, len(told)


def test_topics_that_no_rule_can_have_are_not_remembered(server, device, name):
    with mqtt5(server, device, name) as client:
        topic = "$aws/rules/" + "r" * 300 + "/x"
        client.send(bytes([0x30]) + encoded(2 + len(topic) + 4) + text(topic) + b"\x03\x23\0\x01")
        kind, _, body = client.read()
        assert (kind << 4, body[0]) == (DISCONNECT, 0x90)


def encoded(length):
    """A remaining length."""
    return bytes([length % 128 | 128, length // 128]) if length > 127 else bytes([length])


def test_what_the_api_says_to_one_client_has_its_properties(server, cloud, device, name):
    with Paho(server, device, name) as client:
        cloud.data.send_direct_message(
            clientId=name, topic=f"{name}/direct", payload=b"{}", contentType="application/json", responseTopic=f"{name}/answer",
            correlationData=base64.b64encode(b"\0\1").decode(), payloadFormatIndicator="UTF8_DATA", userProperties=json.dumps([{"a": "1"}, {"a": "2"}]))
        message = client.message()
        found = message.properties
        assert (message.topic, message.payload) == (f"{name}/direct", b"{}")
        assert (found.ContentType, found.ResponseTopic, found.CorrelationData) == ("application/json", f"{name}/answer", b"\0\1")
        assert (found.PayloadFormatIndicator, found.UserProperty) == (1, [("a", "1"), ("a", "2")])
