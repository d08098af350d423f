"""ALPN and WebSockets with AWS's own SDK, mqtt.js and mosquitto: the ways in that are not the port 8883."""

import json

import pytest
from awscrt import mqtt, mqtt5
from awscrt.exceptions import AwsCrtError

from support.aws_sdk import Sdk3, Sdk5, over_alpn, over_mtls, over_websocket, over_websocket_unsigned
from support.mosquitto import Mosquitto
from support.mqttjs import MqttJs
from support.server import Server
from support.websocket import presigned

MQTT_CA, HTTP_CA = "x-amzn-mqtt-ca", "x-amzn-http-ca"
TOKEN = "a/token+with=signs//and==more"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("eyot"), "--alpn-port", "0") as server:
        yield server


@pytest.fixture(scope="module")
def device(cloud, tmp_path_factory):
    return cloud.device(tmp_path_factory.mktemp("device"), "device")


@pytest.fixture
def mtls(server, device):
    return over_mtls(server, device)


@pytest.fixture(params=["alpn", "alpn-of-two", "websocket", "websocket-token", "websocket-on-alpn-port", "websocket-certificate"])
def way(request, server, device):
    """How a client of the SDK gets in."""
    return {
        "alpn": lambda: over_alpn(server, device, MQTT_CA),
        "alpn-of-two": lambda: over_alpn(server, device, "http/1.1", MQTT_CA),
        "websocket": lambda: over_websocket(server.https_port, server),
        "websocket-token": lambda: over_websocket(server.https_port, server, TOKEN),
        "websocket-on-alpn-port": lambda: over_websocket(server.alpn_port, server),
        "websocket-certificate": lambda: over_websocket_unsigned(server.https_port, server, device),
    }[request.param]()


def test_sdk_3(way, mtls, name):
    """Both ways, with a payload of AWS's largest size."""
    large = bytes(range(256)) * 512
    with Sdk3(way, f"{name}-way") as here, Sdk3(mtls, f"{name}-8883") as there:
        assert here.subscribe(f"{name}/here") == there.subscribe(f"{name}/there") == 1
        for payload in (b"small", large):
            here.publish(f"{name}/there", payload)
            assert there.message() == (f"{name}/there", payload, 1, False)
            there.publish(f"{name}/here", payload)
            assert here.message() == (f"{name}/here", payload, 1, False)


def test_sdk_5(way, mtls, name):
    large = bytes(range(256)) * 512
    user_properties = [mqtt5.UserProperty("a", "1")]
    with Sdk5(way, f"{name}-way", keep_alive_interval_sec=60) as here, Sdk5(mtls, f"{name}-8883") as there:
        assert (here.settings.server_keep_alive_sec, here.settings.maximum_packet_size_to_server) == (60, 149_504)
        here.subscribe(f"{name}/here")
        there.subscribe(f"{name}/there")
        for payload in (b"small", large):
            here.publish(f"{name}/there", payload, user_properties=user_properties)
            message = there.message()
            assert (message.payload, message.user_properties) == (payload, user_properties)
            there.publish(f"{name}/here", payload, user_properties=user_properties)
            message = here.message()
            assert (message.payload, message.user_properties) == (payload, user_properties)


def test_sdk_5_comes_and_goes(way, mtls, name):
    """Will, takeover and the reason of it are those of any other client."""
    will = mqtt5.PublishPacket(topic=f"{name}/will", payload=b"gone", qos=mqtt5.QoS.AT_LEAST_ONCE)
    with Sdk5(mtls, f"{name}-to") as to:
        to.subscribe(f"{name}/will")
        first = Sdk5(way, f"{name}-twin", will=will)
        with Sdk5(way, f"{name}-twin"):
            packet = first.expect("disconnected").disconnect_packet
            assert packet.reason_code == mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER
            assert to.message().payload == b"gone"
            first.close()
        Sdk5(way, f"{name}-polite", will=will).stop(mqtt5.DisconnectPacket())
        to.publish(f"{name}/will", b"marker")
        assert to.message().payload == b"marker"


def test_sdk_3_will_of_one_that_is_replaced(way, mtls, name):
    will = mqtt.Will(f"{name}/will", mqtt.QoS.AT_LEAST_ONCE, b"gone", False)
    with Sdk3(mtls, f"{name}-to") as to:
        to.subscribe(f"{name}/will")
        first = Sdk3(way, f"{name}-twin", will=will)
        with Sdk3(way, f"{name}-twin"):
            assert first.expect("interrupted")
            assert to.message()[1] == b"gone"
            first.abandon()


def test_sdk_5_resumes_by_another_way(way, mtls, device, name):
    """A session is the client identifier's: it begins on 8883 and goes on elsewhere."""
    options = {"session_expiry_interval_sec": 3600, "session_behavior": mqtt5.ClientSessionBehaviorType.REJOIN_ALWAYS}
    with Sdk5(mtls, name, **options) as client:
        client.subscribe(f"{name}/t")
    with Sdk5(mtls, f"{name}-by") as by:
        by.publish(f"{name}/t", b"waited")
    with Sdk5(way, name, **options) as client:
        assert client.settings.rejoined_session is True
        assert client.message().payload == b"waited"


def test_sdk_is_known_by_its_access_key(server, mtls, name):
    """In presence events, where a certificate's identifier would be."""
    with Sdk5(mtls, f"{name}-to") as to:
        to.subscribe(f"$aws/events/presence/connected/{name}")
        with Sdk3(over_websocket(server.https_port, server, TOKEN), name):
            event = json.loads(to.message().payload)
            assert event["principalIdentifier"].startswith("AKIDEXAMPLE") and event["clientId"] == name


def test_sdk_without_signature_and_certificate_gets_no_websocket(server, name):
    connection = over_websocket_unsigned(server.https_port, server)
    with pytest.raises(AwsCrtError) as refused:
        Sdk3(connection, name)
    assert refused.value.name == "AWS_ERROR_HTTP_WEBSOCKET_UPGRADE_FAILURE"
    client = Sdk5(connection, name, is_refused=True)
    assert client.expect("refused").exception.name == "AWS_ERROR_HTTP_WEBSOCKET_UPGRADE_FAILURE"
    client.close()


@pytest.mark.parametrize("protocols", [("mqtt",), (HTTP_CA,), ("h2",)], ids="-".join)
def test_sdk_other_protocols_are_not_mqtt_with_a_certificate(server, device, name, protocols):
    """`mqtt` is a custom authorizer's, `x-amzn-http-ca` is HTTPS, and `h2` is nothing."""
    client = Sdk5(over_alpn(server, device, *protocols), name, is_refused=True)
    assert client.expect("refused").connack_packet is None
    client.close()


# mqtt.js --------------------------------------------------------------------------------------------------------------------


def url_of(way, server):
    """The URL, and whether a certificate goes with it."""
    https, api = f"localhost:{server.https_port}", f"localhost:{server.api_port}"
    return {
        "wss-certificate": (f"wss://{https}/mqtt", True),
        "wss-signed": (f"wss://{https}{presigned(https)}", False),
        "wss-token": (f"wss://{https}{presigned(https, token=TOKEN)}", False),
        "ws-signed": (f"ws://{api}{presigned(api)}", False),
    }[way]


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("way", ["wss-certificate", "wss-signed", "wss-token", "ws-signed"])
def test_mqttjs_over_websocket(server, device, mtls, name, way, version):
    url, has_certificate = url_of(way, server)
    will = {"topic": f"{name}/will", "payload": "gone", "qos": 1, "retain": False}
    with Sdk5(mtls, f"{name}-8883") as there:
        there.subscribe(f"{name}/there", f"{name}/will")
        with MqttJs(server, device if has_certificate else None, name, version, url=url, will=will) as here:
            assert here.subscribe(f"{name}/here") == [1]
            for payload in (b"small", bytes(100_000)):
                here.publish(f"{name}/there", payload)
                assert there.message().payload == payload
                there.publish(f"{name}/here", payload)
                assert here.message()["payload"] == payload
            here.kill()
            assert there.message().payload == b"gone"


def test_mqttjs_unsigned_is_refused(server, name):
    for url in (f"wss://localhost:{server.https_port}/mqtt", f"ws://localhost:{server.api_port}/mqtt"):
        with MqttJs(server, None, name, url=url, is_refused=True) as client:
            client.expect("close")


# mosquitto ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [311, 5])
def test_mosquitto_with_alpn(server, device, name, version):
    """What AWS's own instructions for mosquitto on port 443 say."""
    client = Mosquitto(server, device, version, "-p", str(server.alpn_port), "--tls-alpn", MQTT_CA)
    with client.sub("-i", f"{name}-to", "-t", f"{name}/t", "-q", "1", "-C", "1").subscribed() as sub:
        client.publish(f"{name}/t", "hello", "-q", "1")
        assert sub.rest() == ["hello"]
