"""The plain MQTT port: off by default, for this machine alone, with a policy of its own, and never silently."""

import json
import socket
import subprocess

import paho.mqtt.client as paho
import pytest

from support import mqtt
from support.cloud import log_rule, policy, statement, arn
from support.mqtt import Client
from support.server import BINARY, Server, because, clean_environment
from support.waiting import DEADLINE_S

CONNECTED = b"\x20\x02\x00\x00"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("plain"), "--insecure-mqtt-port", "0") as server:
        yield server


class NoTls:
    """For `Client`: the socket as it is."""

    @staticmethod
    def wrap_socket(tcp, **_):
        return tcp


def plain(server, client_id=None, **options):
    client = Client(server, NoTls, address=("127.0.0.1", server.plain_port))
    if client_id:
        client.send(mqtt.connect(client_id, **options))
        assert client.read_exactly(4) == CONNECTED
    return client


def test_paho_without_anything(server, name):
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, name)
    client.connect("127.0.0.1", server.plain_port)
    client.loop_start()
    try:
        sent = client.publish(f"{name}/t", "x", 1)
        sent.wait_for_publish(DEADLINE_S)
        assert sent.is_published()
    finally:
        client.disconnect()
        client.loop_stop()


def test_it_is_one_broker_with_the_others(server, cloud, tmp_path, name):
    device = cloud.device(tmp_path, name)
    cloud.logs.create_log_group(logGroupName=name)
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=log_rule(f"SELECT principal() AS principal, clientid() AS client FROM '{name}/t'", name))
    with plain(server, f"{name}-plain") as one, Client.connected(server, device) as other:
        other.subscribe(f"{name}/#")
        one.subscribe(f"{name}/#")
        one.send(mqtt.publish(f"{name}/t", "{}"))
        assert one.read_message()[:2] == other.read_message()[:2] == (f"{name}/t", b"{}")
        other.send(mqtt.publish(f"{name}/u", "back"))
        assert one.read_message()[:2] == (f"{name}/u", b"back")
    assert json.loads(cloud.wait_for_messages(1, name)[0]) == {"principal": "insecure", "client": f"{name}-plain"}


def test_events_and_log_name_the_principal(server, cloud, tmp_path, name):
    device = cloud.device(tmp_path, name)
    with Client.connected(server, device) as watcher:
        watcher.subscribe(f"$aws/events/presence/+/{name}-plain")
        with plain(server, f"{name}-plain"):
            came = json.loads(watcher.read_message()[1])
            assert (came["principalIdentifier"], came["ipAddress"]) == ("insecure", "127.0.0.1")
            line = server.expect_log(f'"{name}-plain"', "connected", 'principal="insecure"', 'transport="tcp"')
            assert "certificate_id" not in line
            assert cloud.data.get_connection(clientId=f"{name}-plain")["connected"]


def test_reserved_topics_stay_reserved(server, name):
    mark = server.log_mark()
    with plain(server, name) as client:
        client.send(mqtt.publish("$aws/events/presence/connected/somebody", "forged"))
        client.expect_closed()
    server.expect_log(f'"{name}"', "FORBIDDEN_ACCESS", since=mark)


@pytest.mark.parametrize(("sent", "words"), [
    (b"POST /topics/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", "HTTP came"),
    (b"\x16\x03\x01\x02\x00\x01", "not MQTT"),
    (b"\x00" * 10, "not MQTT"),
    (b"\x10\xff\xff\xff\xff", "not MQTT"),
    (b"\x10\xff\xff\xff\x7f", "too large"),
], ids=["a page", "tls", "zeros", "length", "huge"])
def test_what_is_not_mqtt_is_closed_and_told(server, sent, words):
    mark = server.log_mark()
    with plain(server) as client:
        client.send(sent)
        client.expect_closed()
    server.expect_log("connection refused", because(words), since=mark)


def test_unfinished_connections_count(tmp_path):
    with Server(tmp_path, "--insecure-mqtt-port", "0") as server:
        waiting = [plain(server) for _ in range(256)]
        with plain(server) as client:
            client.expect_closed()
        server.expect_log("connection refused", because("without a finished CONNECT"))
        waiting[0].send(mqtt.connect("first"))
        assert waiting[0].read_exactly(4) == CONNECTED
        plain(server, "second").close()
        for client in waiting:
            client.close()


def test_every_start_warns(server, tmp_path):
    assert [line for line in server.log().splitlines() if "WARN" in line and "insecure MQTT port" in line]
    assert [line for line in server.log().splitlines() if "MQTT, plain" in line and "INSECURE" in line]
    with Server(tmp_path) as other:
        assert other.ready["mqtt"] is None
        assert "insecure" not in other.log().lower()


# A policy of its own ---------------------------------------------------------------------------------------------------


def test_its_policy_decides(tmp_path):
    document = tmp_path / "policy.json"
    document.write_text(policy(statement("iot:Connect", arn("client", "sensor-*")),
                               statement("iot:Publish", arn("topic", "${iot:ClientId}/t")),
                               statement("iot:Publish", arn("topic", "*"), "Deny") | {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}))
    with Server(tmp_path, "--insecure-mqtt-port", "0", "--insecure-policy", document) as server:
        with plain(server, "sensor-1") as client:
            client.publish_qos1("sensor-1/t", "mine")
            mark = server.log_mark()
            client.send(mqtt.publish("sensor-2/t", "another's"))
            client.expect_closed()
            server.expect_log("denied", '"sensor-1"', 'principal="insecure"', "sensor-2/t", "insecure port", since=mark)
        with plain(server) as client:
            client.send(mqtt.connect("other"))
            client.expect_closed()
        server.expect_log("connection refused", '"other"', because("iot:Connect is not allowed"))


def serve(tmp_path, *flags):
    command = [BINARY, "serve", "--data-dir", tmp_path / "d", "--api-port", "0", "--mqtts-port", "0", *flags]
    free = {} if "--https-port" in flags else {"EYOT_HTTPS_PORT": "0"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=clean_environment(**free))
    assert done.returncode == 1, done
    return done.stderr


@pytest.mark.parametrize(("text", "word"), [("{", "policy document"), ('{"Statement": 1}', "policy document"), (None, "cannot read")])
def test_a_policy_that_is_none_refuses_to_start(tmp_path, text, word):
    document = tmp_path / "policy.json"
    if text:
        document.write_text(text)
    assert word in serve(tmp_path, "--insecure-mqtt-port", "0", "--insecure-policy", document)


@pytest.mark.parametrize("flags", [["--lan"], ["--device-host", "0.0.0.0"]], ids=["lan", "device-host"])
def test_beyond_this_machine_it_refuses_to_start(tmp_path, flags):
    assert "everybody on the network" in serve(tmp_path, "--insecure-mqtt-port", "0", *flags)


def test_a_port_in_use_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for flag in ("--insecure-mqtt-port", "--alpn-port", "--https-port"):
            error = serve(tmp_path, flag, port)
            assert port in error and flag in error
            doctor = subprocess.run([BINARY, "doctor", "--data-dir", tmp_path / "d", flag, port], capture_output=True, text=True,
                                    timeout=30, env=clean_environment())
            assert doctor.returncode == 1 and f"{port} cannot be listened on" in doctor.stdout and flag in doctor.stdout, doctor
