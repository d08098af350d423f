"""mqtt.js, the client of Node.js programs and browsers, over mutual TLS in both versions."""

import base64

import pytest

from support.cloud import Cloud, arn, policy, statement
from support.mqttjs import MqttJs
from support.server import Server

VERSIONS = {"v311": 4, "v5": 5}
NOT_AUTHORIZED, TAKEN_OVER, QOS_NOT_SUPPORTED = 0x87, 0x8E, 0x9B


@pytest.fixture(scope="module")
def device(cloud, tmp_path_factory):
    return cloud.device(tmp_path_factory.mktemp("device"), "device")


@pytest.fixture(params=VERSIONS)
def version(request):
    return VERSIONS[request.param]


@pytest.mark.parametrize(("publish_qos", "subscribe_qos"), [(0, 1), (1, 0), (1, 1)])
def test_publish_and_subscribe(server, device, name, version, publish_qos, subscribe_qos):
    with MqttJs(server, device, f"{name}-to", version) as to, MqttJs(server, device, f"{name}-by", version) as by:
        assert to.subscribe([f"{name}/+", f"{name}/x/#"], subscribe_qos) == [subscribe_qos, subscribe_qos]
        for topic, payload in ((f"{name}/t", b"\x00\xff"), (f"{name}/x/y", bytes(100_000))):
            assert by.publish(topic, payload, publish_qos) is None
            message = to.message()
            assert (message["topic"], message["payload"]) == (topic, payload)
            assert (message["qos"], message["retain"], message["dup"]) == (min(publish_qos, subscribe_qos), False, False)
        to.unsubscribe(f"{name}/+")
        by.publish(f"{name}/t", b"must not arrive")
        by.publish(f"{name}/x/marker", b"")
        assert to.message()["topic"] == f"{name}/x/marker"


def test_retained(server, device, name, version):
    with MqttJs(server, device, f"{name}-by", version) as by:
        by.publish(f"{name}/t", b"kept", retain=True)
        with MqttJs(server, device, f"{name}-to", version) as to:
            to.subscribe(f"{name}/t")
            message = to.message()
            assert (message["payload"], message["retain"]) == (b"kept", True)
            by.publish(f"{name}/t", b"", retain=True)
            message = to.message()
            assert (message["payload"], message["retain"]) == (b"", False)


def test_the_will_of_a_program_that_dies(server, device, name, version):
    will = {"topic": f"{name}/will", "payload": "gone", "qos": 1, "retain": False}
    with MqttJs(server, device, f"{name}-to", version) as to:
        to.subscribe(f"{name}/#")
        with MqttJs(server, device, f"{name}-polite", version, will=will) as polite:
            polite.end()
        MqttJs(server, device, f"{name}-dead", version, will=will).kill()
        assert to.message()["payload"] == b"gone"
        with MqttJs(server, device, f"{name}-cut", version, will=will) as cut:
            cut.end(force=True)
            assert to.message()["payload"] == b"gone"
        to.publish(f"{name}/marker", b"")
        assert to.message()["topic"] == f"{name}/marker"


def test_takeover(server, device, name, version):
    with MqttJs(server, device, name, version) as first, MqttJs(server, device, name, version) as second:
        if version == 5:
            assert first.expect("disconnect")["reasonCode"] == TAKEN_OVER
        first.expect("close")
        assert second.publish(f"{name}/t", b"still here") is None


def test_it_comes_back_by_itself_and_subscribes_again(tmp_path, name, version):
    server = Server(tmp_path).start()
    device = Cloud(server.api_url).device(tmp_path, "device")
    with MqttJs(server, device, name, version, reconnectPeriod=200, resubscribe=True) as client:
        client.subscribe(f"{name}/t")
        server.stop()
        if version == 5:
            client.expect("disconnect")
        client.expect("close")
        with Server(tmp_path, mqtts_port=server.mqtts_port):
            while client.events.get(timeout=15)["event"] != "connect":
                pass
            # Behind the SUBSCRIBE that it sends by itself.
            client.publish(f"{name}/t", b"back")
            assert client.message()["payload"] == b"back"
            client.end()


def test_5_what_the_server_offers(server, device, name):
    with MqttJs(server, device, name, keepalive=10) as client:
        offered = client.connack["properties"]
        assert (offered["maximumQoS"], offered["receiveMaximum"], offered["topicAliasMaximum"]) == (1, 100, 8)
        assert (offered["maximumPacketSize"], offered["serverKeepAlive"]) == (149_504, 30)
        assert "assignedClientIdentifier" not in offered
    with MqttJs(server, device, "") as client:
        assert client.connack["properties"]["assignedClientIdentifier"]


def test_5_properties_and_request_response(server, device, name):
    """A device answers where it is asked to, as the standard has it."""
    correlation = base64.b64encode(b"\x00\x01\xff").decode()
    with MqttJs(server, device, f"{name}-device") as responder, MqttJs(server, device, f"{name}-app") as asker:
        responder.subscribe(f"{name}/ask")
        asker.subscribe(f"{name}/answers")
        asker.publish(f"{name}/ask", b"temperature", properties={
            "responseTopic": f"{name}/answers", "correlationData": correlation, "contentType": "text/plain",
            "payloadFormatIndicator": True, "messageExpiryInterval": 600, "userProperties": {"a": ["1", "2"], "b": "ü"}})
        asked = responder.message()["properties"]
        assert (asked["contentType"], asked["payloadFormatIndicator"]) == ("text/plain", True)
        assert 590 <= asked["messageExpiryInterval"] <= 600
        assert asked["userProperties"] == {"a": ["1", "2"], "b": "ü"}
        responder.publish(asked["responseTopic"], b"21.5", properties={"correlationData": asked["correlationData"]})
        answer = asker.message()
        assert (answer["payload"], answer["properties"]["correlationData"]) == (b"21.5", correlation)


def test_5_aliases_that_it_sets(server, device, name):
    # More topics than aliases, each twice in a row: the second time its alias stands for it.
    topics = [f"{name}/{number // 2 % 12}" for number in range(48)]
    with MqttJs(server, device, f"{name}-to") as to, MqttJs(server, device, f"{name}-by", autoAssignTopicAlias=True) as by:
        to.subscribe(f"{name}/#")
        for topic in topics:
            by.publish(topic, b"")
        assert [to.message()["topic"] for _ in topics] == topics


def test_5_subscription_options(server, device, name):
    with MqttJs(server, device, f"{name}-by") as by, MqttJs(server, device, f"{name}-to") as to:
        by.publish(f"{name}/t", b"kept", retain=True)
        to.subscribe(f"{name}/t", nl=True, rap=True, rh=2)
        to.publish(f"{name}/t", b"own")
        by.publish(f"{name}/t", b"another's", retain=True)
        message = to.message()
        assert (message["payload"], message["retain"]) == (b"another's", True)


def test_5_refusals_have_reasons(server, cloud, name, tmp_path):
    limited = cloud.device(tmp_path, name, policy(
        statement("iot:Connect", arn("client", name)), statement("iot:Publish", arn("topic", f"{name}/open")),
        statement("iot:Subscribe", arn("topicfilter", f"{name}/open"))))
    with MqttJs(server, limited, f"other-{name}", is_refused=True) as other:
        assert other.expect("error")["code"] == NOT_AUTHORIZED
    with MqttJs(server, limited, name) as client:
        assert client.publish(f"{name}/open", b"") is None
        assert client.publish(f"{name}/closed", b"") == NOT_AUTHORIZED
        assert client.subscribe([f"{name}/open", f"{name}/closed"]) == [1, NOT_AUTHORIZED]
        client.order("publish", topic=f"{name}/closed", payload="", qos=0)
        client.expect("publish")
        assert client.expect("disconnect")["reasonCode"] == NOT_AUTHORIZED


def test_5_qos_2_ends_the_connection(server, device, name):
    with MqttJs(server, device, name) as client:
        client.order("subscribe", topic=f"{name}/t", qos=2)
        assert client.expect("disconnect")["reasonCode"] == QOS_NOT_SUPPORTED


def test_311_refusals_are_closed_connections(server, cloud, name, tmp_path):
    limited = cloud.device(tmp_path, name, policy(statement("iot:Connect", arn("client", name))))
    with MqttJs(server, limited, f"other-{name}", 4, is_refused=True) as other:
        other.expect("close")
    with MqttJs(server, limited, name, 4) as client:
        client.order("publish", topic=f"{name}/closed", payload="", qos=1)
        client.expect("close")
    server.expect_log("denied", name, "iot:Publish")


def test_without_a_certificate_there_is_no_connection(server, name, version):
    with MqttJs(server, None, name, version, is_refused=True) as client:
        assert client.expect("error")["event"] == "error"
        client.expect("close")
