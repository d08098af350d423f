"""paho-mqtt and mosquitto_sub against the broker: QoS, wildcards, wills, takeover, retain, keep-alive."""

import queue
import ssl
import subprocess

import paho.mqtt.client as paho
import pytest

from support import mqtt
from support.mqtt import Client
from support.server import because
from support.waiting import DEADLINE_S

TLS = {"tls12": ssl.TLSVersion.TLSv1_2, "tls13": ssl.TLSVersion.TLSv1_3}


class Paho:
    """A paho client whose callbacks are events to wait for."""

    def __init__(self, server, device, client_id=None, version=None, keep_alive=60, clean=True, will=None):
        self.messages, self.events = queue.Queue(), queue.Queue()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id or device.name, clean, protocol=paho.MQTTv311)
        context = mqtt.tls_context(device, version, ca=server.ca_path)
        self.client.tls_set_context(context)
        self.client.on_message = lambda client, data, message: self.messages.put(message)
        self.client.on_connect = lambda *arguments: self.events.put(("connected", arguments[2].session_present, arguments[3]))
        self.client.on_disconnect = lambda *arguments: self.events.put(("disconnected", None, arguments[3]))
        self.client.on_subscribe = lambda *arguments: self.events.put(("subscribed", None, arguments[3]))
        self.client.on_unsubscribe = lambda *arguments: self.events.put(("unsubscribed", None, None))
        if will:
            self.client.will_set(*will)
        self.client.connect("localhost", server.mqtts_port, keep_alive)
        self.client.loop_start()
        session, code = self.expect("connected")
        assert code == 0 and session is False

    def expect(self, event):
        name, *rest = self.events.get(timeout=DEADLINE_S)
        assert name == event, (name, rest)
        return rest

    def subscribe(self, topic, qos=0):
        self.client.subscribe(topic, qos)
        _, codes = self.expect("subscribed")
        assert [code.value for code in codes] == [qos]

    def publish(self, topic, payload, qos=1, retain=False):
        """Returns when it is acknowledged (QoS 1) or sent (QoS 0)."""
        sent = self.client.publish(topic, payload, qos, retain)
        sent.wait_for_publish(DEADLINE_S)
        assert sent.is_published()

    def message(self):
        return self.messages.get(timeout=DEADLINE_S)

    def expect_nothing(self, marker_from, topic):
        """What is queued before a marker that `marker_from` publishes now; waits for the marker, not for a time."""
        marker_from.publish(topic, "marker", 1)
        seen = []
        while (message := self.message()).payload != b"marker":
            seen.append(message)
        assert seen == []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Closes without waiting for the server: a test may have taken the connection away already.
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture(scope="module")
def sender(cloud, tmp_path_factory):
    return cloud.device(tmp_path_factory.mktemp("sender"), "sender")


@pytest.fixture(scope="module")
def receiver(cloud, tmp_path_factory):
    return cloud.device(tmp_path_factory.mktemp("receiver"), "receiver")


@pytest.mark.parametrize("version", TLS)
@pytest.mark.parametrize(("publish_qos", "subscribe_qos"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_qos_of_a_delivery_is_the_lower_of_both(server, sender, receiver, version, publish_qos, subscribe_qos):
    with Paho(server, receiver, version=TLS[version]) as to, Paho(server, sender, version=TLS[version]) as by:
        to.subscribe("qos/t", subscribe_qos)
        payload = bytes(range(256)) * 4
        by.publish("qos/t", payload, publish_qos)
        message = to.message()
        assert (message.topic, message.payload) == ("qos/t", payload)
        assert message.qos == min(publish_qos, subscribe_qos) and not message.retain


def test_wildcards_as_aws_has_them(server, sender, receiver):
    with Paho(server, receiver) as to, Paho(server, sender) as by:
        to.subscribe("home/+/temp")
        to.subscribe("deep/#")
        for topic in ("home/kitchen/temp", "deep/a", "deep/a/b"):
            by.publish(topic, topic)
            assert to.message().topic == topic
        # AWS: `deep/#` does not match `deep`, unlike MQTT; `+` is one level.
        for topic in ("deep", "home/temp", "home/a/b/temp", "home/kitchen/temp/x"):
            by.publish(topic, "must not arrive")
        to.expect_nothing(by, "deep/marker")


def test_a_leading_wildcard_does_not_match_dollar_topics(server, sender, receiver):
    with Paho(server, receiver) as to, Paho(server, sender) as by:
        to.subscribe("#")
        to.subscribe("+/rules/none/x")
        by.publish("$aws/rules/none/x", "basic ingest is for rules alone")
        to.expect_nothing(by, "marker/t")


def test_unsubscribe_stops_deliveries(server, sender, receiver):
    with Paho(server, receiver) as to, Paho(server, sender) as by:
        to.subscribe("stop/a")
        to.subscribe("stop/marker")
        to.client.unsubscribe("stop/a")
        to.expect("unsubscribed")
        by.publish("stop/a", "must not arrive")
        to.expect_nothing(by, "stop/marker")


def test_one_publishers_order_is_kept(server, sender, receiver):
    with Paho(server, receiver) as to, Paho(server, sender) as by:
        to.subscribe("order/t", 1)
        for number in range(200):
            by.client.publish("order/t", str(number), 1)
        assert [int(to.message().payload) for _ in range(200)] == list(range(200))


def test_the_will_is_sent_when_the_connection_breaks_and_not_after_disconnect(server, sender, receiver):
    with Paho(server, receiver) as to, Paho(server, sender) as by:
        to.subscribe("will/#", 1)
        politely = Client.connected(server, sender, "will-a", will=("will/a", "no", 1, False))
        politely.disconnect()
        broken = Client.connected(server, sender, "will-b", will=("will/b", "gone", 1, False))
        broken.close()
        message = to.message()
        assert (message.topic, message.payload, message.qos) == ("will/b", b"gone", 1)
        to.expect_nothing(by, "will/marker")


def test_a_second_connection_with_the_same_client_id_takes_over(server, sender, receiver):
    with Paho(server, receiver) as to:
        to.subscribe("taken/will", 1)
        mark = server.log_mark()
        first = Client.connected(server, sender, "twin", will=("taken/will", "replaced", 1, False))
        second = Client.connected(server, sender, "twin")
        first.expect_closed()
        second.ping()
        # AWS sends the will on DUPLICATE_CLIENTID.
        assert to.message().payload == b"replaced"
        server.expect_log("disconnected", "twin", because("DUPLICATE_CLIENTID"), since=mark)
        second.disconnect()


def test_takeover_under_load_leaves_one_connection(server, sender):
    with Client.connected(server, sender, "many") as last:
        for _ in range(20):
            newer = Client.connected(server, sender, "many")
            last.expect_closed()
            last = newer
        last.ping()
        last.disconnect()


def test_a_live_delivery_never_carries_the_retain_flag(server, sender, receiver):
    with Paho(server, receiver) as to, Paho(server, sender) as by:
        to.subscribe("retain/t", 1)
        by.publish("retain/t", "kept", 1, retain=True)
        message = to.message()
        assert (message.payload, message.retain) == (b"kept", False)


@pytest.mark.parametrize("keep_alive", [0, 1, 10000, 65535])
def test_no_keep_alive_is_refused(server, sender, keep_alive):
    with Client.connected(server, sender, f"alive-{keep_alive}", keep_alive=keep_alive) as client:
        client.ping()
        client.disconnect()


def test_a_username_is_ignored_with_a_certificate(server, sender):
    name = "?SDK=PythonV2&Version=1.2.3&Platform=" + "x" * 200
    with Client.connected(server, sender, "metrics", username=name) as client:
        client.ping()


@pytest.mark.parametrize("password", ["secret", "", b"\xff\x00", "p" * 1000], ids=["text", "empty", "bytes", "long"])
def test_a_password_is_ignored_with_a_certificate(server, sender, receiver, password):
    """Custom authorizers will read it; a device with a certificate is who its certificate says, whatever else it sends."""
    with Client.connected(server, sender, "with-password", username="somebody", password=password) as client, \
            Client.connected(server, receiver, "beside-password") as to:
        to.subscribe("password/t")
        client.publish_qos1("password/t", "in")
        assert to.read_message()[:2] == ("password/t", b"in")


def test_a_password_opens_nothing_without_a_certificate(server, sender):
    mark = server.log_mark()
    mqtt.expect_refused(server, mqtt.tls_context(), sender.name, username=sender.name, password="secret")
    server.expect_log("refused", because("the client sent no certificate"), since=mark)
    Client.connected(server, sender, username=sender.name, password="secret").disconnect()


def test_an_empty_client_id_is_given_one(server, sender):
    client = Client(server, mqtt.tls_context(sender))
    client.send(mqtt.connect(""))
    assert client.read_exactly(4) == b"\x20\x02\x00\x00"
    client.ping()
    client.disconnect()


def test_packets_in_one_record_and_in_single_bytes(server, sender, receiver):
    with Client.connected(server, receiver, "pieces-r") as to, Client.connected(server, sender, "pieces-s") as by:
        to.subscribe("pieces/#")
        whole = b"".join(mqtt.publish(f"pieces/{n}", f"{n}") for n in range(50))
        by.send(whole)
        assert [to.read_message()[1] for _ in range(50)] == [str(n).encode() for n in range(50)]
        for byte in mqtt.publish("pieces/slow", "x" * 130):
            by.send(bytes([byte]))
        assert to.read_message()[:2] == ("pieces/slow", b"x" * 130)


def test_every_filter_of_one_subscribe_is_answered(server, sender):
    with Client.connected(server, sender, "eight") as client:
        client.subscribe(*(f"eight/{n}" for n in range(8)))
    # Nine: AWS drops the connection without a SUBACK.
    with Client.connected(server, sender, "nine") as client:
        client.send(mqtt.subscribe(1, *(f"nine/{n}" for n in range(9))))
        client.expect_closed()


def test_the_51st_subscription_fails_alone(server, sender):
    with Client.connected(server, sender, "fifty") as client:
        for number in range(50):
            client.subscribe(f"fifty/{number}")
        client.send(mqtt.subscribe(9, "fifty/50"))
        client.expect(mqtt.SUBACK, b"\x00\x09\x80")
        client.ping()


def test_a_slow_reader_does_not_stop_the_others(server, sender, receiver):
    """One subscriber never reads; another one gets everything."""
    with Client.connected(server, receiver, "slow") as slow, Client.connected(server, receiver, "quick") as quick, \
            Client.connected(server, sender, "firehose") as by:
        slow.subscribe("flood/t")
        quick.subscribe("flood/t")
        payload = b"x" * 60_000
        for _ in range(400):
            by.send(mqtt.publish("flood/t", payload))
            assert quick.read_message()[1] == payload


def test_mosquitto_sub_receives_what_paho_publishes(server, sender, receiver):
    listener = subprocess.Popen(
        # stdbuf: into a pipe, mosquitto_sub would keep its lines to itself until the end.
        ["stdbuf", "-oL", "mosquitto_sub", "-h", "localhost", "-p", str(server.mqtts_port), "--cafile", server.ca_path,
         "--cert", receiver.certificate, "--key", receiver.key, "-i", "mosquitto", "-t", "mosquitto/+/t", "-q", "1",
         "-C", "2", "-W", "30", "-v", "-V", "mqttv311", "-d"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        lines = []
        for line in listener.stdout:
            lines.append(line)
            if "Subscribed" in line:
                break
        with Paho(server, sender) as by:
            by.publish("mosquitto/a/t", "one")
            by.publish("mosquitto/b/t", "two")
        rest, _ = listener.communicate(timeout=DEADLINE_S)
        assert listener.returncode == 0, lines
        assert [line for line in rest.splitlines() if line.startswith("mosquitto/")] == ["mosquitto/a/t one", "mosquitto/b/t two"]
    finally:
        listener.kill()
        listener.wait()
