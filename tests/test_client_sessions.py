"""Persistent sessions, delayed wills and shared subscriptions, as real clients use them."""

import itertools

import pytest
from awscrt import mqtt5

from support.aws_sdk import Sdk3, Sdk5, over_mtls
from support.cloud import Cloud
from support.mosquitto import Mosquitto
from support.mqttjs import MqttJs
from support.server import Server

ALWAYS = mqtt5.ClientSessionBehaviorType.REJOIN_ALWAYS
WEEK_S = 7 * 24 * 3600


@pytest.fixture(scope="module")
def device(cloud, tmp_path_factory):
    return cloud.device(tmp_path_factory.mktemp("device"), "device")


@pytest.fixture
def mtls(server, device):
    return over_mtls(server, device)


def payloads(client, count):
    """What the next messages of one of AWS's clients say."""
    messages = [client.message() for _ in range(count)]
    return [message[1] if isinstance(message, tuple) else message.payload for message in messages]


def publish_offline(mtls, name):
    """Three messages that are kept, and one of QoS 0 that is not. What comes behind them is a marker."""
    with Sdk5(mtls, f"{name}-by") as by:
        for payload in (b"1", b"2", b"3"):
            by.publish(f"{name}/t", payload)
        by.publish(f"{name}/t", b"QoS 0", qos=0)
        by.publish(f"{name}/t", b"marker")


# AWS's SDK ------------------------------------------------------------------------------------------------------------------


def test_sdk_3_resumes(mtls, name):
    with Sdk3(mtls, name, clean=False) as client:
        assert client.session_present is False
        client.subscribe(f"{name}/t")
    publish_offline(mtls, name)
    with Sdk3(mtls, name, clean=False) as client:
        assert client.session_present is True
        assert payloads(client, 4) == [b"1", b"2", b"3", b"marker"]
        # The subscription stands without another SUBSCRIBE.
        client.publish(f"{name}/t", b"live")
        assert payloads(client, 1) == [b"live"]
    # [MQTT311 3.1.2-6] A clean session ends the other one.
    with Sdk3(mtls, name) as client:
        assert client.session_present is False
    with Sdk3(mtls, name, clean=False) as client:
        assert client.session_present is False


def test_sdk_5_resumes(mtls, name):
    with Sdk5(mtls, name, session_expiry_interval_sec=3600, session_behavior=ALWAYS) as client:
        assert client.settings.session_expiry_interval_sec == 3600
        assert client.settings.rejoined_session is False
        client.subscribe(f"{name}/t")
        client.stop()
        publish_offline(mtls, name)
        client.client.start()
        client.expect_connected()
        assert client.settings.rejoined_session is True
        assert payloads(client, 4) == [b"1", b"2", b"3", b"marker"]
        client.stop(mqtt5.DisconnectPacket(session_expiry_interval_sec=0))
        client.client.start()
        client.expect_connected()
        assert client.settings.rejoined_session is False


def test_sdk_5_is_told_how_long_a_session_lasts_at_most(mtls, name):
    with Sdk5(mtls, name, session_expiry_interval_sec=30 * 24 * 3600, session_behavior=ALWAYS) as client:
        assert client.settings.session_expiry_interval_sec == WEEK_S


def test_sdk_5_session_and_messages_outlive_the_server(tmp_path, name):
    """`kill -9`: whatever was acknowledged is there."""
    server = Server(tmp_path).start()
    device = Cloud(server.api_url).device(tmp_path, "device")
    options = {"session_expiry_interval_sec": 3600, "session_behavior": ALWAYS}
    client = Sdk5(over_mtls(server, device), name, **options)
    client.subscribe(f"{name}/t")
    client.close()
    publish_offline(over_mtls(server, device), name)
    server.kill()
    with Server(tmp_path) as again, Sdk5(over_mtls(again, device), name, **options) as client:
        assert client.settings.rejoined_session is True
        assert payloads(client, 4) == [b"1", b"2", b"3", b"marker"]


def test_sdk_5_a_delayed_will_waits_for_the_client(mtls, name):
    """It does not come while the client may still come back, and not when it has."""
    will = mqtt5.PublishPacket(topic=f"{name}/will", payload=b"gone", qos=mqtt5.QoS.AT_LEAST_ONCE)
    options = {"will": will, "session_expiry_interval_sec": 3600, "session_behavior": ALWAYS}
    with Sdk5(mtls, f"{name}-to") as to:
        to.subscribe(f"{name}/+")
        patient = Sdk5(mtls, f"{name}-patient", will_delay_interval_sec=3000, **options)
        patient.stop()
        to.publish(f"{name}/marker", b"still away")
        assert payloads(to, 1) == [b"still away"]
        patient.client.start()
        patient.expect_connected()
        assert patient.settings.rejoined_session is True
        patient.close()
        brief = Sdk5(mtls, f"{name}-brief", will_delay_interval_sec=1, **options)
        brief.stop()
        to.publish(f"{name}/marker", b"before")
        assert payloads(to, 2) == [b"before", b"gone"]


def test_sdk_5_the_end_of_a_session_ends_the_wills_delay(mtls, name):
    """[MQTT5 3.1.3.2.2]"""
    will = mqtt5.PublishPacket(topic=f"{name}/will", payload=b"gone", qos=mqtt5.QoS.AT_LEAST_ONCE)
    with Sdk5(mtls, f"{name}-to") as to:
        to.subscribe(f"{name}/+")
        Sdk5(mtls, name, will=will, will_delay_interval_sec=3000, session_expiry_interval_sec=3600, session_behavior=ALWAYS).stop()
        with Sdk5(mtls, name):
            assert payloads(to, 1) == [b"gone"]


@pytest.mark.parametrize(("one", "other"), [*itertools.combinations_with_replacement((Sdk3, Sdk5), 2)])
def test_sdk_shared_subscriptions(mtls, name, one, other):
    """Each message reaches one of the group, and everybody who is not in it."""
    sent = {str(number).encode() for number in range(40)}
    shared = f"$share/group/{name}/t"
    with one(mtls, f"{name}-1") as first, other(mtls, f"{name}-2") as second, Sdk5(mtls, f"{name}-3") as alone:
        first.subscribe(shared)
        second.subscribe(shared)
        alone.subscribe(f"{name}/t")
        for payload in sent:
            alone.publish(f"{name}/t", payload)
        assert set(payloads(alone, len(sent))) == sent
        # Each member gets a marker of its own, on the connection that brought the messages before.
        for member, topic in ((first, f"{name}/1"), (second, f"{name}/2")):
            member.subscribe(topic)
            alone.publish(topic, b"marker")
        got = []
        for member in (first, second):
            while (payload := payloads(member, 1)[0]) != b"marker":
                got.append(payload)
        assert sorted(got) == sorted(sent)


def test_sdk_5_knows_that_there_are_shared_subscriptions(mtls, name):
    with Sdk5(mtls, name) as client:
        assert client.settings.shared_subscriptions_available is True


def test_sdk_5_a_group_whose_members_are_away_loses_nothing(mtls, name):
    options = {"session_expiry_interval_sec": 3600, "session_behavior": ALWAYS}
    with Sdk5(mtls, name, **options) as client:
        client.subscribe(f"$share/group/{name}/t")
        client.stop()
        publish_offline(mtls, name)
        client.client.start()
        client.expect_connected()
        assert sorted(payloads(client, 4)) == [b"1", b"2", b"3", b"marker"]


# mqtt.js --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [4, 5])
def test_mqttjs_resumes(server, device, mtls, name, version):
    options = {"clean": False} | ({"properties": {"sessionExpiryInterval": 3600}} if version == 5 else {})
    with MqttJs(server, device, name, version, **options) as client:
        assert client.connack["sessionPresent"] is False
        client.subscribe(f"{name}/t")
    publish_offline(mtls, name)
    with MqttJs(server, device, name, version, **options) as client:
        assert client.connack["sessionPresent"] is True
        assert [client.message()["payload"] for _ in range(4)] == [b"1", b"2", b"3", b"marker"]
    with MqttJs(server, device, name, version) as client:
        assert client.connack["sessionPresent"] is False


@pytest.mark.parametrize("version", [4, 5])
def test_mqttjs_shared_subscriptions(server, device, mtls, name, version):
    sent = [str(number).encode() for number in range(20)]
    with MqttJs(server, device, f"{name}-1", version) as first, MqttJs(server, device, f"{name}-2", version) as second, \
            Sdk5(mtls, f"{name}-by") as by:
        for number, member in enumerate((first, second)):
            assert member.subscribe([f"$share/group/{name}/+", f"{name}/marker/{number}"]) == [1, 1]
        for payload in sent:
            by.publish(f"{name}/t", payload)
        got = []
        for number, member in enumerate((first, second)):
            by.publish(f"{name}/marker/{number}", b"marker")
            while (payload := member.message()["payload"]) != b"marker":
                got.append(payload)
        assert sorted(got) == sorted(sent)


# mosquitto ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [311, 5])
def test_mosquitto_sub_resumes(server, device, mtls, name, version):
    client = Mosquitto(server, device, version)
    asks = ["-i", name, "-c", "-q", "1", "-t", f"{name}/t"]
    with client.sub(*asks, "-E") as sub:
        sub.rest()
    publish_offline(mtls, name)
    with client.sub(*asks, "-C", "4") as sub:
        assert sub.rest() == ["1", "2", "3", "marker"]


@pytest.mark.parametrize("version", [311, 5])
def test_mosquitto_sub_shares(server, device, name, version):
    client = Mosquitto(server, device, version)
    shared = ["-t", f"$share/group/{name}/t", "-t", f"{name}/marker", "-q", "1"]
    with client.sub("-i", f"{name}-1", *shared).subscribed() as first, client.sub("-i", f"{name}-2", *shared).subscribed() as second:
        lines = [f"line {number}" for number in range(20)]
        assert client.pub("-t", f"{name}/t", "-q", "1", "-l", lines="\n".join(lines) + "\n").returncode == 0
        client.publish(f"{name}/marker", "marker", "-q", "1")
        got = []
        for member in (first, second):
            while (line := member.lines.get(timeout=15)) != "marker":
                if line.startswith("line "):
                    got.append(line)
        assert sorted(got) == sorted(lines)
