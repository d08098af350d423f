"""MQTT over WebSocket: who gets in by which port, what a client may send in frames, and how a connection ends."""

import json
import queue
import re
import socket
import ssl
import struct
import time

import paho.mqtt.client as paho
import pytest

from support import mqtt
from support.cloud import Cloud, arn, policy, statement
from support.mqtt import Client, tls_context
from support.server import Server, because
from support.waiting import DEADLINE_S, eventually
from support.websocket import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Refused, WebSocket, frame, header_signed,
                               presigned)

PORTS = pytest.mark.parametrize("port", ["api", "https"])
CONNECTED = b"\x20\x02\x00\x00"


@pytest.fixture(scope="module")
def device(cloud, tmp_path_factory):
    return cloud.device(tmp_path_factory.mktemp("device"), "device")


class Way:
    """A port, and TLS where it has it."""

    def __init__(self, server, port):
        self.address = ("127.0.0.1", server.api_port if port == "api" else server.https_port)
        self.context = None if port == "api" else tls_context(ca=server.ca_path)

    def open(self, path=None, **more):
        return WebSocket(self.address, path, self.context, **more)

    def connected(self, client_id, **more):
        return WebSocket.connected(self.address, client_id, self.context, **more)

    @property
    def host(self):
        return f"localhost:{self.address[1]}"


@pytest.fixture(params=["api", "https"])
def way(request, server):
    return Way(server, request.param)


@pytest.fixture
def api(server):
    return Way(server, "api")


@pytest.fixture
def watcher(server, device, name):
    with Client.connected(server, device, f"{name}-watcher") as client:
        client.subscribe(f"$aws/events/presence/+/{name}", f"will/{name}", qos=1)
        yield client


def presence(watcher, kind, name):
    topic, payload, _, _ = watcher.read_message()
    assert topic == f"$aws/events/presence/{kind}/{name}", payload
    return json.loads(payload)


def refused(call, *arguments, **more):
    with pytest.raises(Refused) as caught:
        call(*arguments, **more)
    return caught.value


# Real clients ------------------------------------------------------------------------------------------------------


class Paho:
    """paho over WebSockets: path and query as AWS's documentation builds them, or a certificate."""

    def __init__(self, server, port, client_id, path, device=None, version=paho.MQTTv311):
        self.messages, self.events = queue.Queue(), queue.Queue()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id, protocol=version, transport="websockets")
        number = server.api_port if port == "api" else server.https_port
        if port == "https":
            self.client.tls_set_context(tls_context(device, ca=server.ca_path))
        self.client.ws_set_options(path=path or presigned(f"localhost:{number}"))
        self.client.on_message = lambda client, data, message: self.messages.put(message)
        self.client.on_connect = lambda *arguments: self.events.put(("connected", arguments[3].value))
        self.client.on_subscribe = lambda *arguments: self.events.put(("subscribed", [code.value for code in arguments[3]]))
        self.client.connect("localhost", number)
        self.client.loop_start()
        assert self.events.get(timeout=DEADLINE_S) == ("connected", 0)

    def subscribe(self, topic, qos):
        self.client.subscribe(topic, qos)
        assert self.events.get(timeout=DEADLINE_S) == ("subscribed", [qos])

    def publish(self, topic, payload):
        sent = self.client.publish(topic, payload, 1)
        sent.wait_for_publish(DEADLINE_S)
        assert sent.is_published()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.mark.parametrize("version", [paho.MQTTv311, paho.MQTTv5], ids=["3.1.1", "5"])
@PORTS
def test_paho_with_a_presigned_path(server, port, version, name):
    with Paho(server, port, f"{name}-to", None, version=version) as to, Paho(server, port, f"{name}-by", None) as by:
        to.subscribe(f"{name}/t", 1)
        for payload in (b"small", bytes(range(256)) * 500):
            by.publish(f"{name}/t", payload)
            message = to.messages.get(timeout=DEADLINE_S)
            assert (message.payload, message.qos) == (payload, 1)


def test_paho_with_a_client_certificate(server, device, name):
    with Paho(server, "https", name, "/mqtt", device) as client:
        client.subscribe(f"{name}/t", 1)
        client.publish(f"{name}/t", "from myself")
        assert client.messages.get(timeout=DEADLINE_S).payload == b"from myself"


def test_messages_go_between_all_transports(server, cloud, device, way, name):
    with way.connected(f"{name}-ws") as over_websocket, Client.connected(server, device, f"{name}-tls") as over_tls:
        over_websocket.subscribe(f"{name}/#")
        over_tls.subscribe(f"{name}/#")
        for topic, publish in [("a", over_websocket.send), ("b", over_tls.send)]:
            publish(mqtt.publish(f"{name}/{topic}", topic))
            for client in (over_websocket, over_tls):
                assert client.read_message()[:2] == (f"{name}/{topic}", topic.encode())
        cloud.data.publish(topic=f"{name}/c", payload=b"c")
        assert over_websocket.read_message()[:2] == (f"{name}/c", b"c")


# Who gets in -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signing", [
    {"service": "iotdevicegateway"}, {"service": "iotdata"}, {"region": "eu-central-1"},
    {"token": "tok/en+="}, {"token": "tok/en+=", "token_is_signed": True},
], ids=["gateway", "iotdata", "other region", "token behind the signature", "token signed"])
def test_a_signature_in_the_query(way, name, signing):
    with way.connected(name, **signing) as client:
        client.ping()


def test_a_signature_in_the_header(way, name):
    with way.connected(name, path="/mqtt", headers=header_signed(way.host)) as client:
        client.ping()


def forbidden(refusal, text):
    """As AWS's gateway refuses [verified.md 14]."""
    assert refusal.status == 403
    assert refusal.headers["x-amzn-errortype"] == "ForbiddenException:"
    assert refusal.headers["content-type"] == "application/json"
    assert refusal.headers["access-control-allow-origin"] == "*"
    assert "x-amzn-RequestId" in refusal.headers["access-control-expose-headers"] and refusal.headers["date"]
    assert set(refusal.json) == {"message", "traceId"}
    assert refusal.json["traceId"] == refusal.headers["x-amzn-requestid"]
    assert re.search(text, refusal.json["message"]), refusal.json


def test_without_a_signature(server, way):
    mark = server.log_mark()
    forbidden(refused(way.open, "/mqtt"), "^Missing Authentication Token$")
    server.expect_log("WebSocket refused", because("Missing Authentication Token"), since=mark)


@pytest.mark.parametrize("change", [
    (r"X-Amz-Signature=..", "X-Amz-Signature="), (r"X-Amz-Signature=.", "X-Amz-Signature=x"), (r"&X-Amz-Date=\w+", ""),
    (r"aws4_request", "aws5_request"), (r"SignedHeaders=host", "SignedHeaders=date"), (r"AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
], ids=["short", "no digits", "no date", "scope", "host not signed", "algorithm"])
def test_with_a_signature_that_is_none(way, change):
    path, count = re.subn(*change, presigned(way.host))
    assert count == 1
    assert refused(way.open, path).status == 403


@pytest.mark.parametrize("name_of", ["Credential", "Date", "SignedHeaders", "Signature", "Algorithm"])
def test_with_two_signatures(way, name_of):
    """Whoever checks one must not act on the other."""
    path = presigned(way.host)
    again = re.search(rf"X-Amz-{name_of}=[^&]*", path)[0]
    assert refused(way.open, f"{path}&{again}").status == 403
    headers = header_signed(way.host)
    if name_of in headers["Authorization"]:
        headers["Authorization"] += "," + re.search(rf"{name_of}=[^,]*", headers["Authorization"])[0]
        assert refused(way.open, "/mqtt", headers=headers).status == 403


def test_with_the_clock_wrong(way, name):
    """AWS's words, in both directions. `X-Amz-Expires` of a day does not count."""
    for late, text in [(600, r"^Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 5 min\.\)$"),
                       (-600, r"^Signature not yet current: \d{8}T\d{6}Z is still later than \d{8}T\d{6}Z \(\d{8}T\d{6}Z \+ 5 min\.\)$")]:
        forbidden(refused(way.open, at=time.time() - late), text)
        forbidden(refused(way.open, "/mqtt", headers=header_signed(way.host, at=time.time() - late)), text)
    with way.connected(name, at=time.time() - 200) as client:
        client.ping()


def test_for_another_service(way):
    forbidden(refused(way.open, service="iot"), "iotdevicegateway")


def test_the_key_is_the_principal(server, cloud, watcher, way, name):
    with way.connected(name, key="AKIDOFSOMEBODY") as client:
        came = presence(watcher, "connected", name)
        assert (came["principalIdentifier"], came["ipAddress"]) == ("AKIDOFSOMEBODY", "127.0.0.1")
        line = server.expect_log(f'"{name}"', "connected", "transport=\"websocket\"", "principal=\"AKIDOFSOMEBODY\"")
        assert "certificate_id" not in line
        found = cloud.data.get_connection(clientId=name)
        assert found["connected"] and found["keepAliveDuration"] == 60
        client.send(mqtt.packet(mqtt.DISCONNECT, 0, b""))
        client.expect_close(1000)
    assert presence(watcher, "disconnected", name)["disconnectReason"] == "CLIENT_INITIATED_DISCONNECT"


def test_who_signs_may_do_everything_but_what_is_reserved(server, way, name):
    mark = server.log_mark()
    with way.connected(name) as client:
        client.send(mqtt.publish("$aws/events/presence/connected/somebody", "forged"))
        with pytest.raises(ConnectionError):
            client.read()
    server.expect_log(f'"{name}"', "FORBIDDEN_ACCESS", since=mark)


# With a certificate ------------------------------------------------------------------------------------------------


@pytest.fixture
def secure(server):
    return Way(server, "https")


def with_certificate(server, device, **more):
    return WebSocket(("127.0.0.1", server.https_port), "/mqtt", tls_context(device, ca=server.ca_path), **more)


def test_its_policies_decide(server, cloud, tmp_path, name):
    document = policy(statement("iot:Connect", arn("client", name)), statement("iot:Publish", arn("topic", f"{name}/mine")))
    device = cloud.device(tmp_path, name, document)
    mark = server.log_mark()
    client = with_certificate(server, device)
    client.send(mqtt.connect(name))
    assert client.read_exactly(4) == CONNECTED
    client.publish_qos1(f"{name}/mine", "yes")
    client.send(mqtt.publish(f"{name}/other", "no"))
    client.expect_close(1000)
    server.expect_log(f'"{name}"', device.certificate_id, f"{name}/other", "denied", since=mark)

    other = with_certificate(server, device)
    other.send(mqtt.connect(f"{name}-other"))
    other.expect_close(1000)


def test_a_certificate_counts_before_a_signature(server, cloud, tmp_path, name):
    """Its policies give less: a signature beside it must not give more."""
    device = cloud.device(tmp_path, name, policy(statement("iot:Connect", arn("client", name))))
    with WebSocket(("127.0.0.1", server.https_port), None, tls_context(device, ca=server.ca_path)) as client:
        client.send(mqtt.connect(f"{name}-other"))
        client.expect_close(1000)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["tls12", "tls13"])
def test_a_deactivated_certificate_loses_its_connection_and_its_tls_session(server, cloud, tmp_path, name, version):
    device = cloud.device(tmp_path, name)
    context = tls_context(device, version)
    address = ("127.0.0.1", server.https_port)
    client = WebSocket.connected(address, name, context, "/mqtt")
    session = client.socket.session
    with WebSocket.connected(address, f"{name}-2", context, "/mqtt", session=session) as again:
        assert again.socket.session_reused
        again.ping()
    mark = server.log_mark()
    cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus="INACTIVE")
    client.expect_close(1000)
    server.expect_log(f'"{name}"', "AUTH_ERROR", since=mark)
    for resumed in (None, session):
        forbidden(refused(WebSocket, address, "/mqtt", context, session=resumed), "^Forbidden$")
    # Nor does a signature help.
    forbidden(refused(WebSocket, address, None, context), "^Forbidden$")
    server.expect_log(device.certificate_id, because("INACTIVE"), since=mark)


def test_a_certificate_of_nobody(server, cloud, tmp_path, name):
    stranger = cloud.certificate(tmp_path, name, active=False)
    cloud.iot.delete_certificate(certificateId=stranger.certificate_id)
    mark = server.log_mark()
    forbidden(refused(with_certificate, server, stranger), "^Forbidden$")
    server.expect_log(stranger.certificate_id, because("is not registered"), since=mark)


# Pages of other sites ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["http://evil.example", "https://evil.example", "null", "http://localhost:1", "file://"])
def test_a_page_of_another_site_gets_no_websocket(way, origin):
    refusal = refused(way.open, headers={"Origin": origin})
    assert refusal.status == 403 and "access-control-allow-origin" not in refusal.headers


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_cross_site_request(way, site):
    assert refused(way.open, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "websocket"}).status == 403


def test_a_name_that_was_rebound(way):
    assert refused(way.open, host=f"evil.example:{way.address[1]}").status == 421


def test_a_page_of_our_own_does(server, way, name):
    scheme = "http" if way.context is None else "https"
    headers = {"Origin": f"{scheme}://{way.host}", "Sec-Fetch-Site": "same-origin"}
    with way.connected(name, headers=headers) as client:
        client.ping()


# What is no WebSocket ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("headers", "status", "word"), [
    ({"Upgrade": None, "Connection": None}, 426, "Upgrade"),
    ({"Upgrade": "h2c"}, 426, "Upgrade"),
    ({"Connection": "keep-alive"}, 426, "Upgrade"),
    ({"Sec-WebSocket-Version": "8"}, 426, "13"),
    ({"Sec-WebSocket-Version": None}, 426, "13"),
    ({"Sec-WebSocket-Key": None}, 400, "Key"),
    ({"Sec-WebSocket-Key": "short"}, 400, "Key"),
    ({"Sec-WebSocket-Protocol": None}, 400, "mqtt"),
    ({"Sec-WebSocket-Protocol": "mqttv3.1, chat"}, 400, "mqtt"),
])
def test_a_request_that_asks_for_something_else(way, headers, status, word):
    refusal = refused(way.open, headers=headers)
    assert refusal.status == status and word in refusal.json["message"], refusal.json
    if status == 426:
        assert refusal.headers["sec-websocket-version"] == "13"


def test_mqtt_among_other_subprotocols(way, name):
    with way.connected(name, headers={"Sec-WebSocket-Protocol": "chat, mqtt"}) as client:
        client.ping()


@pytest.mark.parametrize("path", ["/", "/mqtt/", "/mqtt/x", "/MQTT", "/ws"])
def test_another_path(way, path):
    assert refused(way.open, presigned(way.host).replace("/mqtt", path)).status in (403, 404)


# Frames --------------------------------------------------------------------------------------------------------------


def test_packets_and_frames_need_not_agree(way, name):
    """[MQTT311 6.0.0-3] Several packets in a frame, and a packet in several frames, with pings between."""
    with way.open() as client:
        together = mqtt.connect(name) + mqtt.subscribe(1, f"{name}/t") + mqtt.publish(f"{name}/t", "one")
        client.send(together[:5])
        client.send_raw(frame(BINARY, together[5:30], final=False) + frame(PING, b"x") + frame(CONTINUATION, together[30:]))
        assert client.read_frame() in [(PONG, b"x"), (BINARY, CONNECTED)]
        frames = b""
        while b"one" not in frames:
            kind, payload = client.read_frame()
            frames += payload if kind == BINARY else b""
        # Every frame cut into single bytes by TCP.
        for byte in frame(BINARY, mqtt.packet(mqtt.PINGREQ, 0, b"")):
            client.send_raw(bytes([byte]))
        client.expect(mqtt.PINGRESP, b"")


def test_ten_thousand_fragments_are_one_packet(way, name):
    with way.connected(name) as client:
        client.subscribe(f"{name}/t")
        payload = bytes(index % 251 for index in range(10_000))
        packet = mqtt.publish(f"{name}/t", payload)
        fragments = [frame(BINARY, packet[:1], final=False)]
        fragments += [frame(CONTINUATION, packet[at:at + 1], final=False) for at in range(1, len(packet) - 1)]
        client.send_raw(b"".join(fragments) + frame(CONTINUATION, packet[-1:]))
        assert client.read_message()[:2] == (f"{name}/t", payload)


def test_ping_is_answered_with_its_payload(way, name):
    with way.connected(name) as client:
        for payload in (b"", b"x" * 125):
            client.send_raw(frame(PING, payload))
            assert client.read_frame() == (PONG, payload)
        client.send_raw(frame(PONG, b"unasked"))
        client.ping()


PROTOCOL_ERROR, UNACCEPTABLE, TOO_LARGE = 1002, 1003, 1009
WRONG = {
    "text": (frame(TEXT, b"text"), UNACCEPTABLE, "text frame"),
    "unmasked": (frame(BINARY, b"\xc0\0", mask=None), PROTOCOL_ERROR, "without a mask"),
    "oversized": (frame(BINARY, b"", length=300_000_000), TOO_LARGE, "300000000"),
    "largest": (frame(BINARY, b"", length=(1 << 63) - 1), TOO_LARGE, "more than any MQTT packet"),
    "reserved bits": (frame(BINARY, b"", reserved=0x40), PROTOCOL_ERROR, "reserved bits"),
    "unknown kind": (frame(3, b""), PROTOCOL_ERROR, "unknown kind"),
    "continues nothing": (frame(CONTINUATION, b"x"), PROTOCOL_ERROR, "continuation"),
    "message in message": (frame(BINARY, b"\xc0", final=False) + frame(BINARY, b"\0"), PROTOCOL_ERROR, "new message"),
    "long ping": (frame(PING, b"x" * 126), PROTOCOL_ERROR, "control frame"),
    "garbage": (b"\xff" * 64, PROTOCOL_ERROR, "reserved bits"),
    "http": (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", PROTOCOL_ERROR, "WebSocket protocol"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_frame_that_may_not_be(server, watcher, way, name, kind):
    sent, code, words = WRONG[kind]
    mark = server.log_mark()
    with way.connected(name, options={"will": (f"will/{name}", "gone", 1, False)}) as client:
        presence(watcher, "connected", name)
        client.send_raw(sent)
        client.expect_close(code)
    assert watcher.read_message()[:2] == (f"will/{name}", b"gone")
    assert presence(watcher, "disconnected", name)["disconnectReason"] == "CLIENT_ERROR"
    server.expect_log(f'"{name}"', "disconnected", because(words), since=mark)


def test_a_frame_that_may_not_be_before_connect(server, way):
    mark = server.log_mark()
    with way.open() as client:
        client.send_raw(WRONG["text"][0])
        client.expect_close(UNACCEPTABLE)
    server.expect_log("connection refused", because("text frame"), since=mark)


def test_a_packet_above_the_limit_is_mqtts_to_judge(server, way, name):
    """A frame may be longer than the largest packet; what is in it may not."""
    mark = server.log_mark()
    with way.connected(name) as client:
        client.send(mqtt.packet(mqtt.PINGREQ, 0, b"") * 100_000)
        for _ in range(100_000):
            client.expect(mqtt.PINGRESP, b"")
        client.send_raw(frame(BINARY, b"\x30" + b"\xff\xff\xff\x7f", length=200_000_000))
        client.expect_close(1000)
    server.expect_log(f'"{name}"', "CLIENT_ERROR", since=mark)


# The end ---------------------------------------------------------------------------------------------------------------


def test_a_close_frame_is_the_clients_wish_and_publishes_no_will(server, watcher, way, name):
    with way.connected(name, options={"will": (f"will/{name}", "gone", 1, False)}) as client:
        presence(watcher, "connected", name)
        client.send_raw(frame(CLOSE, struct.pack("!H", 1000)))
        client.expect_close(1000)
    left = presence(watcher, "disconnected", name)
    assert (left["disconnectReason"], left["clientInitiatedDisconnect"]) == ("CLIENT_INITIATED_DISCONNECT", True)


def test_what_was_sent_before_the_close_frame_counts(server, device, way, name):
    with Client.connected(server, device, f"{name}-to") as to, way.connected(name) as client:
        to.subscribe(f"{name}/t")
        client.send_raw(frame(BINARY, mqtt.publish(f"{name}/t", "last")) + frame(CLOSE))
        assert to.read_message()[:2] == (f"{name}/t", b"last")
        client.expect_close(1000)


def test_a_lost_connection_publishes_the_will(server, watcher, way, name):
    client = way.connected(name, options={"will": (f"will/{name}", "gone", 1, False)})
    presence(watcher, "connected", name)
    client.socket.close()
    assert watcher.read_message()[:2] == (f"will/{name}", b"gone")
    assert presence(watcher, "disconnected", name)["disconnectReason"] == "CONNECTION_LOST"


def test_a_takeover_from_another_transport(server, device, way, name):
    client = way.connected(name)
    with Client.connected(server, device, name):
        client.expect_close(1000)


def test_delete_connection(cloud, watcher, way, name):
    client = way.connected(name)
    presence(watcher, "connected", name)
    cloud.data.delete_connection(clientId=name)
    client.expect_close(1000)
    assert presence(watcher, "disconnected", name)["disconnectReason"] == "API_INITIATED_DISCONNECT"


def test_the_end_of_the_server_closes_in_order(tmp_path):
    with Server(tmp_path) as server:
        clients = [Way(server, port).connected(f"{port}-client") for port in ("api", "https")]
        mark = server.log_mark()
        server.stop()
        for client in clients:
            client.expect_close(1000)
        assert "did not end in time" not in server.log()[mark:]


def test_a_websocket_has_its_time_and_its_will_is_published(tmp_path):
    with Server(tmp_path, "--limit", "websocket_duration_max_s=1") as server:
        device = Cloud(server.api_url).device(tmp_path, "device")
        with Client.connected(server, device, "watcher") as watcher:
            watcher.subscribe("$aws/events/presence/disconnected/+", "will/+")
            for port in ("api", "https"):
                with Way(server, port).connected(port, options={"will": (f"will/{port}", "gone", 0, False)}) as client:
                    client.expect_close(1000)
                assert watcher.read_message()[:2] == (f"will/{port}", b"gone")
                topic, payload, _, _ = watcher.read_message()
                assert topic.endswith(f"/{port}") and json.loads(payload)["disconnectReason"] == "WEBSOCKET_TTL_EXPIRATION"
            watcher.ping()


# Limits ------------------------------------------------------------------------------------------------------------------


def test_unfinished_connections_of_one_address_have_their_share(tmp_path):
    """Those without CONNECT count, whatever port they came by; those who give up make room."""
    with Server(tmp_path) as server:
        api, secure = Way(server, "api"), Way(server, "https")
        waiting = [api.open() for _ in range(256)]
        refusal = refused(api.open)
        assert refusal.status == 503 and "without a finished CONNECT" in refusal.json["message"]
        # A connection to a port for devices is closed before TLS.
        with pytest.raises(mqtt.GONE):
            secure.open()
        server.expect_log("connection refused", because("without a finished CONNECT"))
        waiting[0].send(mqtt.connect("finished"))
        assert waiting[0].read_exactly(4) == CONNECTED
        with secure.connected("let-in") as client:
            client.ping()
        for client in waiting:
            client.close()


def test_seats_are_those_of_descriptors(tmp_path):
    """A WebSocket has three; when all are taken the API still answers."""
    with Server(tmp_path, wrapper=("prlimit", "--nofile=320:320")) as server:
        # 320: 160 for the server, 40 for the API, 120 for devices.
        api = Way(server, "api")
        clients = [api.connected(f"client-{number}") for number in range(40)]
        refusal = refused(api.open)
        assert refusal.status == 503 and "ulimit" in refusal.json["message"], refusal.json
        clients.pop().close()

        def again():
            try:
                return api.connected("again")
            except Refused:
                return None

        clients.append(eventually(again, "the seats of the one that left"))
        for client in clients:
            client.ping()
            client.close()


def test_a_client_that_does_not_read_holds_up_nobody(server, device, way, name):
    """Its messages back up through frame, pipe and outbox until they are dropped; then it is gone, and nothing is stuck."""
    with way.connected(name) as slow, Client.connected(server, device, f"{name}-by") as by:
        slow.subscribe(f"{name}/t")
        payload = b"x" * 100_000
        for _ in range(300):
            by.send(mqtt.publish(f"{name}/t", payload))
        by.ping()
        with way.connected(f"{name}-other") as other:
            other.ping()
        # What was not dropped comes whole.
        assert slow.read_message()[1] == payload


def test_half_a_request_and_half_open_connections(server, way, name):
    """None of them disturbs the others, or ends up as a connection."""
    halves = []
    for sent in (b"", b"GET /mqtt HT", b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n", b"\x16\x03\x01"):
        tcp = socket.create_connection(way.address, DEADLINE_S)
        tcp.sendall(sent)
        halves.append(tcp)
    waits = way.open()
    with way.connected(name) as client:
        client.ping()
    waits.close()
    for tcp in halves:
        tcp.close()
