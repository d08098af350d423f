"""The data plane's operations on connections: who is there, what it listens to, hanging up, a word to one alone."""

import threading

import pytest

from support.cloud import arn, pages, policy, refused, statement
from support.mqtt import Client


@pytest.fixture(scope="module")
def device(cloud, tmp_path_factory):
    return cloud.device(tmp_path_factory.mktemp("device"), "device")


def test_who_is_connected_and_who_was(server, cloud, device, name):
    refused("ResourceNotFoundException", 404, cloud.data.get_connection, clientId=name)
    with Client.connected(server, device, name, keep_alive=90) as client:
        found = cloud.data.get_connection(clientId=name)
        assert (found["clientId"], found["connected"], found["keepAliveDuration"], found["cleanSession"]) == (name, True, 90, True)
        assert found["connectedSince"] > 1_700_000_000_000 and "sourceIp" not in found
        found = cloud.data.get_connection(clientId=name, includeSocketInformation=True)
        host, port = client.socket.getsockname()
        assert (found["sourceIp"], found["sourcePort"], found["targetIp"], found["targetPort"]) == (host, port, "127.0.0.1", server.mqtts_port)
        client.disconnect()
    found = cloud.data.get_connection(clientId=name)
    assert (found["connected"], found["disconnectReason"]) == (False, "CLIENT_INITIATED_DISCONNECT")
    assert found["disconnectedSince"] > 1_700_000_000_000


def test_hanging_up_with_and_without_the_will(server, cloud, device, name):
    with Client.connected(server, device, f"{name}-watcher") as watcher:
        watcher.subscribe(f"{name}/gone")
        for prevent in (True, False):
            with Client.connected(server, device, name, will=(f"{name}/gone", str(prevent), 0, False)) as client:
                cloud.data.delete_connection(clientId=name, preventWillMessage=prevent)
                client.expect_closed()
        assert watcher.read_message()[1] == b"False"
        watcher.ping()
    assert cloud.data.get_connection(clientId=name)["disconnectReason"] == "API_INITIATED_DISCONNECT"
    refused("ResourceNotFoundException", 404, cloud.data.delete_connection, clientId=name)


def test_what_it_listens_to(server, cloud, device, name):
    with Client.connected(server, device, name) as client:
        client.subscribe("c", "a/+", qos=1)
        client.subscribe("b/#", qos=0)
        found = pages(cloud.data.list_subscriptions, {"maxResults": 1}, clientId=name)
        listed = [(each["topicFilter"], each["qos"]) for each in found]
        assert listed == [("a/+", 1), ("b/#", 0), ("c", 1)]
    refused("ResourceNotFoundException", 404, cloud.data.list_subscriptions, clientId=f"{name}-nobody")


def test_a_word_to_one_alone(server, cloud, device, name):
    with Client.connected(server, device, name) as client, Client.connected(server, device, f"{name}-other") as other:
        other.subscribe(f"{name}/#")
        assert cloud.data.send_direct_message(clientId=name, topic=f"{name}/direct", payload=b"psst")["message"] == "OK"
        assert client.read_message() == (f"{name}/direct", b"psst", 0, False)
        other.ping()


def test_a_word_that_must_be_confirmed(server, cloud, device, name):
    with Client.connected(server, device, name) as client:
        told = {}

        def send(**more):
            try:
                told["answer"] = cloud.data.send_direct_message(clientId=name, topic="direct", payload=b"?", confirmation=True, **more)
            except Exception as error:  # noqa: BLE001: looked at below
                told["answer"] = error

        sender = threading.Thread(target=send)
        sender.start()
        assert client.read_message()[1:3] == (b"?", 1)
        sender.join(20)
        assert told["answer"]["message"] == "OK"

        sender = threading.Thread(target=send, kwargs={"timeout": 1})
        sender.start()
        assert client.read()[0] == 3
        sender.join(20)
        assert told["answer"].response["Error"]["Code"] == "GatewayTimeoutException"


def test_a_word_that_its_policies_do_not_let_it_hear(server, cloud, name, tmp_path):
    deaf = cloud.device(tmp_path, name, policy(statement("iot:Connect", "*"), statement("iot:Receive", arn("topic", "loud/*"))))
    with Client.connected(server, deaf, name) as client:
        refused("ForbiddenException", 403, cloud.data.send_direct_message, clientId=name, topic="quiet", payload=b"x")
        cloud.data.send_direct_message(clientId=name, topic="loud/a", payload=b"x")
        assert client.read_message()[0] == "loud/a"
        client.disconnect()
    refused("ResourceNotFoundException", 404, cloud.data.send_direct_message, clientId=name, topic="loud/a", payload=b"x")
    refused("InvalidRequestException", 400, cloud.data.send_direct_message, clientId=name, topic="a/#", payload=b"x")
    for reserved in ("$aws/things/x/shadow/update/accepted", "$SYS/broker", "$share/g/t"):
        refused("InvalidRequestException", 400, cloud.data.send_direct_message, clientId=name, topic=reserved, payload=b"x")
    refused("InvalidRequestException", 400, cloud.data.send_direct_message, clientId=name, topic="a", payload=b"x", timeout=16)
