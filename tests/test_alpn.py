"""The port that looks like AWS's 443: ALPN says what is spoken."""

import json
import queue
import re
import socket
import ssl

import paho.mqtt.client as paho
import pytest

from support import mqtt
from support.http import signed
from support.mqtt import Client, tls_context
from support.server import Server, because
from support.waiting import DEADLINE_S
from support.websocket import Refused, WebSocket
from test_https_publish import Https, forbidden, published

MQTT, HTTP = "x-amzn-mqtt-ca", "x-amzn-http-ca"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("alpn"), "--alpn-port", "0") as server:
        yield server


@pytest.fixture(scope="module")
def device(cloud, tmp_path_factory):
    return cloud.device(tmp_path_factory.mktemp("device"), "device")


def offering(*protocols, device=None, version=None):
    context = tls_context(device, version)
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


@pytest.fixture
def address(server):
    return "127.0.0.1", server.alpn_port


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["tls12", "tls13"])
def test_mqtt_with_a_certificate(server, device, address, version, name):
    context = offering("http/1.1", MQTT, device=device, version=version)
    with Client(server, context, address=address) as client:
        assert client.socket.selected_alpn_protocol() == MQTT
        client.send(mqtt.connect(name))
        assert client.read_exactly(4) == b"\x20\x02\x00\x00"
        client.ping()
        session = client.socket.session
        client.disconnect()
    with Client(server, context, address=address, session=session) as client:
        assert client.socket.session_reused and client.socket.selected_alpn_protocol() == MQTT
        client.send(mqtt.connect(name))
        assert client.read_exactly(4) == b"\x20\x02\x00\x00"


def test_paho_as_aws_documents_it(server, device):
    events = queue.Queue()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "paho-alpn")
    client.tls_set_context(offering(MQTT, device=device))
    client.on_connect = lambda *arguments: events.put(arguments[3].value)
    client.connect("localhost", server.alpn_port)
    client.loop_start()
    try:
        assert events.get(timeout=DEADLINE_S) == 0
        sent = client.publish("a/b", "x", 1)
        sent.wait_for_publish(DEADLINE_S)
        assert sent.is_published()
    finally:
        client.disconnect()
        client.loop_stop()


def test_mqtt_asks_policies_and_registry_as_ever(server, cloud, tmp_path, address, name):
    inactive = cloud.device(tmp_path, name, active=False)
    mark = server.log_mark()
    client = Client(server, offering(MQTT, device=inactive), address=address)
    client.send(mqtt.connect(name))
    client.expect_closed()
    server.expect_log(f'"{name}"', because("INACTIVE"), since=mark)


def test_mqtt_without_a_certificate(server, address, name):
    mark = server.log_mark()
    with pytest.raises(mqtt.GONE):
        client = Client(server, offering(MQTT), address=address)
        client.send(mqtt.connect(name))
        client.read()
    server.expect_log("connection refused", because("sent no certificate"), since=mark)


def test_https_with_a_certificate(server, device, address, name):
    with Https(server, offering(HTTP, device=device), address=address) as https:
        assert https.connection.sock.selected_alpn_protocol() == HTTP
        published(https.publish(f"{name}/t", b"x"))


def test_https_by_that_name_needs_a_certificate(server, address, name):
    """A signature is no substitute: who names this protocol has a certificate."""
    mark = server.log_mark()
    with pytest.raises(mqtt.GONE):
        with Https(server, offering(HTTP), address=address) as https:
            path = f"/topics/{name}"
            https.request(path, headers=signed(server, path, service="iotdata", host=https.host))
    server.expect_log("connection refused", because("sent no certificate"), since=mark)


@pytest.mark.parametrize(("offered", "selected"), [(("http/1.1",), "http/1.1"), (("h2", "http/1.1"), "http/1.1"), ((), None), (("h2",), None)],
                         ids=["http/1.1", "browser", "none", "h2 alone"])
def test_everything_else_is_the_https_port(server, device, address, offered, selected, name):
    with WebSocket.connected(address, name, offering(*offered)) as client:
        assert client.socket.selected_alpn_protocol() == selected
        client.ping()
    with WebSocket.connected(address, name, offering(*offered, device=device), "/mqtt") as client:
        client.ping()
    with Https(server, offering(*offered, device=device), address=address) as https:
        published(https.publish(f"{name}/t", b"x"))
    with Https(server, offering(*offered), address=address) as https:
        forbidden(https.publish(f"{name}/t", b"x"), "Missing Authentication Token")
    with pytest.raises(Refused):
        WebSocket(address, "/mqtt", offering(*offered))


def test_a_custom_authorizer_is_refused_with_a_reason(server, device, address):
    mark = server.log_mark()
    with pytest.raises(ssl.SSLError) as caught:
        Client(server, offering("mqtt", device=device), address=address)
    assert re.search("no application protocol", str(caught.value), re.IGNORECASE)
    server.expect_log("connection refused", because("custom authorizer"), because("x-amzn-mqtt-ca"), since=mark)


def test_sessions_are_not_resumed_across_protocols(server, device, address):
    """A session that began without a certificate must not end where one is required."""
    context = offering("http/1.1", device=None, version=ssl.TLSVersion.TLSv1_2)
    with Https(server, context, address=address) as https:
        https.request("/", method="GET")
        session = https.session
    context.set_alpn_protocols([MQTT])
    with pytest.raises(mqtt.GONE):
        client = Client(server, context, "localhost", session, address)
        client.send(mqtt.connect("resumed"))
        client.read()


def hello(*protocols):
    """A ClientHello as bytes."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        offering(*protocols).wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()


@pytest.mark.parametrize("protocol", [MQTT, HTTP, "http/1.1"])
def test_a_hello_in_single_bytes(device, address, protocol):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = offering(protocol, device=device).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(address, DEADLINE_S) as tcp:
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    tcp.send(bytes([byte]))
                incoming.write(tcp.recv(65536))
        assert tls.selected_alpn_protocol() == protocol


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", mqtt.connect("plain"), b"\xff" * 20_000, b"\x16\x03\x01\x3f\xff\x01\x00\xff\xff" + bytes(20_000)],
                         ids=["http", "mqtt", "garbage", "endless hello"])
def test_what_is_no_tls_is_closed_and_told(server, address, sent):
    mark = server.log_mark()
    with socket.create_connection(address, DEADLINE_S) as tcp:
        try:
            tcp.sendall(sent)
            while tcp.recv(1024):  # an alert, perhaps
                pass
        except ConnectionError:
            pass
    server.expect_log("connection refused", because("TLS"), since=mark)


def test_silence_holds_up_nobody(server, device, address, name):
    held = [socket.create_connection(address, DEADLINE_S) for _ in range(100)]
    for tcp in held[::2]:
        tcp.sendall(hello(MQTT)[:40])
    with Client(server, offering(MQTT, device=device), address=address) as client:
        client.send(mqtt.connect(name))
        assert client.read_exactly(4) == b"\x20\x02\x00\x00"
    for tcp in held:
        tcp.close()


def test_it_is_off_unless_asked_for(tmp_path):
    with Server(tmp_path) as server:
        assert server.ready["alpn"] is None
        assert json.loads((server.data_dir / "ready.json").read_text())["alpn"] is None
