"""What nobody should send: an error where the protocol has one, else the connection closes and the log says why. The server goes on."""

import http.client
import json
import os
import random
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from botocore.exceptions import ClientError

from support import mqtt
from support.cloud import refused
from support.http import as_bytes, logs_request, send, signed
from support.mqtt import Client, tls_context
from support.server import because
from support.waiting import DEADLINE_S, eventually

SEED = 20230325  # the day of the post


@pytest.fixture(scope="module")
def device(cloud, tmp_path_factory):
    return cloud.device(tmp_path_factory.mktemp("device"), "device")


@pytest.fixture(autouse=True)
def server_goes_on(server, cloud, device):
    """After every test: a publish still arrives, and the API still answers."""
    yield
    with Client.connected(server, device, "after-to") as to, Client.connected(server, device, "after-by") as by:
        to.subscribe("still/alive")
        by.publish_qos1("still/alive", "yes")
        assert to.read_message()[:2] == ("still/alive", b"yes")
    assert cloud.sts.get_caller_identity()["Account"]
    assert server.process.poll() is None


# MQTT --------------------------------------------------------------------------------------------------------------

CONNECT = mqtt.connect("bad-first")
# What comes, and what the log must give as the reason.
FIRST_PACKETS = {
    "publish-before-connect": (mqtt.publish("a", "b"), "the first packet is PUBLISH instead of CONNECT"),
    "ping-before-connect": (b"\xc0\x00", "the first packet is PINGREQ instead of CONNECT"),
    "reserved-type-0": (b"\x00\x00", "packet type 0 is reserved"),
    "reserved-type-15": (b"\xf0\x00", "packet type 15 is reserved"),
    "connack-from-a-client": (b"\x20\x02\x00\x00", "the first packet is CONNACK instead of CONNECT"),
    "wrong-protocol-name": (
        mqtt.packet(1, 0, mqtt.text("MQIsdp") + b"\x04\x02\x00\x3c" + mqtt.text("x")),
        "the protocol name is not `MQTT`"),
    "reserved-connect-flag": (
        mqtt.packet(1, 0, mqtt.text("MQTT") + b"\x04\x03\x00\x3c" + mqtt.text("x")),
        "the reserved connect flag is set"),
    "will-qos-3": (
        mqtt.packet(1, 0, mqtt.text("MQTT") + b"\x04\x1e\x00\x3c" + mqtt.text("x") + mqtt.text("w") + mqtt.text("m")),
        "the will QoS is 3"),
    "will-qos-2": (mqtt.connect("bad-will", will=("w", "m", 2, False)), "the will has QoS 2, which is not supported"),
    "flags-in-fixed-header": (bytes([0x13]) + CONNECT[1:], "CONNECT has the flags 0b0011 in its first byte"),
    "client-id-of-129-bytes": (mqtt.connect("c" * 129), "the client identifier has 129 bytes, at most 128 are allowed"),
    "client-id-with-dollar": (mqtt.connect("$bad"), "the client identifier begins with `$`"),
    "client-id-not-utf8": (
        mqtt.packet(1, 0, mqtt.text("MQTT") + b"\x04\x02\x00\x3c" + mqtt.text(b"\xff\xfe")),
        "the client identifier is not UTF-8"),
    "client-id-with-nul": (mqtt.connect("a\0b"), "the client identifier holds a null character"),
    "length-of-five-bytes": (b"\x10\xff\xff\xff\xff\x01", "the remaining length has more than four bytes"),
    "length-of-256-mib": (b"\x10\xff\xff\xff\x7f", "the packet has 268435460 bytes, at most 149504 are accepted"),
    "trailing-bytes": (mqtt.packet(1, 0, CONNECT[2:] + b"tail"), "4 bytes follow the packet's last field"),
    "http": (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP came instead of CONNECT, not MQTT"),
    "zeroes": (b"\x00" * 1000, "what came instead of CONNECT is not MQTT: packet type 0 is reserved"),
}


@pytest.mark.parametrize("kind", FIRST_PACKETS)
def test_a_bad_first_packet(server, device, kind):
    data, reason = FIRST_PACKETS[kind]
    mark = server.log_mark()
    client = Client(server, tls_context(device))
    client.send(data)
    client.expect_closed()
    # The certificate says whose device it is when no client id could be read.
    server.expect_log("refused", device.certificate_id, "127.0.0.1", because(reason), since=mark)


@pytest.mark.parametrize("level", [3, 6, 99])
def test_another_version_of_mqtt_is_told_so(server, device, level):
    """[MQTT311 3.1.2-2] CONNACK 1, unacceptable protocol level, then the end."""
    mark = server.log_mark()
    client = Client(server, tls_context(device))
    client.send(mqtt.packet(1, 0, mqtt.text("MQTT") + bytes([level]) + b"\x02\x00\x3c" + mqtt.text("x")))
    assert client.read_exactly(4) == b"\x20\x02\x00\x01"
    client.expect_closed()
    server.expect_log("refused", "127.0.0.1", because(f"protocol level {level} is not supported"), since=mark)


LATER_PACKETS = {
    "second-connect": (mqtt.connect("bad-later"), "the client sent a second CONNECT"),
    "topic-of-300-bytes": (mqtt.publish("t" * 300, "x"), "the topic has 300 bytes, at most 256 are allowed"),
    "topic-with-8-slashes": (mqtt.publish("a/b/c/d/e/f/g/h/i", "x"), "the topic has 8 slashes, at most 7 are allowed"),
    "topic-with-wildcard": (mqtt.publish("a/+/b", "x"), "the topic holds a wildcard"),
    "empty-topic": (mqtt.publish("", "x"), "the topic is empty"),
    "topic-not-utf8": (mqtt.publish(b"\xc3\x28", "x"), "the topic is not UTF-8"),
    "topic-with-nul": (mqtt.publish("a\0b", "x"), "the topic holds a null character"),
    "publish-qos-2": (mqtt.publish("a", "x", 2, 1), "the client published with QoS 2, which is not supported"),
    "publish-qos-3": (mqtt.publish("a", "x", 3, 1), "the QoS is 3"),
    "packet-id-0": (mqtt.publish("a", "x", 1, 0), "the packet identifier is zero"),
    "payload-over-128-kib": (
        mqtt.publish("a", b"x" * (128 * 1024 + 1)),
        "the payload has 131073 bytes, at most 131072 are allowed"),
    "subscribe-without-filters": (mqtt.packet(8, 2, b"\x00\x01"), "the packet has no topic filter"),
    "subscribe-flags": (
        mqtt.packet(8, 0, b"\x00\x01" + mqtt.text("a") + b"\x00"),
        "SUBSCRIBE has the flags 0b0000 in its first byte"),
    "subscribe-qos-3": (mqtt.packet(8, 2, b"\x00\x01" + mqtt.text("a") + b"\x03"), "the requested QoS is 3"),
    "filter-hash-in-the-middle": (mqtt.subscribe(1, "a/#/b"), "a `#` before the last level"),
    "filter-plus-in-a-word": (mqtt.subscribe(1, "a/b+"), "a topic filter has a wildcard that is not alone in its level"),
    "filter-sys": (mqtt.subscribe(1, "$SYS/#"), "SUBSCRIBE to `$SYS/#`: topics that begin with `$` are reserved"),
    "unsubscribe-without-filters": (mqtt.packet(10, 2, b"\x00\x01"), "the packet has no topic filter"),
    "connack-from-a-client": (b"\x20\x02\x00\x00", "the client sent CONNACK, which only a server sends"),
    "suback-from-a-client": (b"\x90\x03\x00\x01\x00", "the client sent SUBACK, which only a server sends"),
    "pingresp-from-a-client": (b"\xd0\x00", "the client sent PINGRESP, which only a server sends"),
    "ping-with-a-body": (b"\xc0\x01x", "1 bytes follow the packet's last field"),
    "puback-of-one-byte": (b"\x40\x01\x00", "the packet ends inside its packet identifier"),
    "pubrel": (b"\x62\x02\x00\x01", "the client sent PUBREL, but QoS 2 is not supported"),
}


@pytest.mark.parametrize("kind", LATER_PACKETS)
def test_a_bad_packet_later(server, device, kind):
    data, reason = LATER_PACKETS[kind]
    client = Client.connected(server, device, "bad-later")
    mark = server.log_mark()
    try:
        client.send(data)
    except mqtt.GONE:
        pass  # closed while we were still sending
    client.expect_closed()
    # As AWS's presence events tell: a forbidden topic is no mistake in the protocol.
    code = "FORBIDDEN_ACCESS" if kind == "filter-sys" else "CLIENT_ERROR"
    server.expect_log("disconnected", "bad-later", code, because(reason), since=mark)


def test_a_filter_that_is_too_long(server, device):
    """SUBACK has a code for it; the connection stays."""
    with Client.connected(server, device, "long-filter") as client:
        mark = server.log_mark()
        client.send(mqtt.subscribe(1, "f" * 300))
        client.expect(mqtt.SUBACK, b"\x00\x01\x80")
        client.ping()
        server.expect_log("long-filter", because("the topic filter has 300 bytes, at most 256 are allowed"), since=mark)


def test_the_largest_that_is_allowed(server, device):
    """The limits refuse nothing that AWS takes."""
    with Client.connected(server, device, "c" * 128) as client:
        client.subscribe("a/b/c/d/e/f/g/+")
        topic = "a/b/c/d/e/f/g/" + "h" * (256 - 14)
        assert len(topic) == 256
        payload = os.urandom(128 * 1024)
        client.send(mqtt.publish(topic, payload))
        assert client.read_message()[:2] == (topic, payload)


def test_basic_ingest_does_not_count_its_prefix(server, device):
    with Client.connected(server, device, "prefix") as client:
        client.publish_qos1("$aws/rules/none/a/b/c/d/e/f/g/" + "h" * (256 - 14), "x")


def test_random_bytes_after_connect(server, device):
    generator = random.Random(SEED)
    for round_number in range(60):
        client = Client.connected(server, device, "random")
        try:
            client.send(bytes([generator.choice((0x30, 0x32, 0x40, 0x82, 0xA2, 0xC0, generator.randrange(256)))])
                        + generator.randbytes(generator.randrange(200)))
            client.send(mqtt.packet(mqtt.DISCONNECT, 0, b""))
            client.socket.shutdown(socket.SHUT_WR)
        except (*mqtt.GONE, OSError):
            pass
        client.close()


def test_garbage_instead_of_tls(server):
    mark = server.log_mark()
    generator = random.Random(SEED)
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 70000, b"\x10\x0c\x00\x04MQTT\x04\x02",
                 *(generator.randbytes(generator.randrange(1, 4000)) for _ in range(40))):
        with socket.create_connection(("127.0.0.1", server.mqtts_port), DEADLINE_S) as tcp:
            try:
                tcp.sendall(data)
                tcp.shutdown(socket.SHUT_WR)
                while tcp.recv(4096):
                    pass
            except TimeoutError:
                raise
            except OSError:
                pass  # closed by the server while we were still at it
    server.expect_log("127.0.0.1", because("what the client sent is not TLS"), because("plain MQTT is not served on this port"), since=mark)


def test_a_handshake_broken_off_at_every_place(server, device):
    """A ClientHello cut after n bytes, then the connection is reset."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = tls_context(device).wrap_bio(incoming, outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    data = outgoing.read()
    for length in range(0, len(data), 37):
        with socket.create_connection(("127.0.0.1", server.mqtts_port), DEADLINE_S) as tcp:
            tcp.sendall(data[:length])


UNFINISHED_PER_ADDRESS_MAX = 256
"""Connections of one address that may be open without a finished CONNECT."""


def test_many_connections_that_say_nothing(server, device):
    """A crowd that holds connections and never begins its handshake has a bound, and keeps out nobody but itself."""
    crowd_address, surplus = "127.0.0.2", 150
    mark = server.log_mark()
    with ExitStack() as stack:
        crowd = [stack.enter_context(silent(server, crowd_address)) for _ in range(UNFINISHED_PER_ADDRESS_MAX + surplus)]
        with Client.connected(server, device, "beside-the-crowd") as client:
            client.publish_qos1("beside/the/crowd", "here")
        open_ones = []

        def surplus_is_closed():
            open_ones[:] = [tcp for tcp in crowd if is_open(tcp)]
            return len(open_ones) <= UNFINISHED_PER_ADDRESS_MAX

        eventually(surplus_is_closed, lambda: f"the surplus is closed; open are {len(open_ones)}")
        assert len(open_ones) == UNFINISHED_PER_ADDRESS_MAX, "those before the surplus are waited for"
        server.expect_log("refused", f"peer={crowd_address}:", because("too many connections of this address"), since=mark)
        # The crowd's own address is full for honest devices, too: it is what an address may hold.
        with pytest.raises(mqtt.GONE):
            Client.connected(server, device, "in-the-crowd", source=crowd_address)

    def gets_in():
        try:
            Client.connected(server, device, "after-the-crowd", source=crowd_address).disconnect()
        except mqtt.GONE:
            return False
        return True

    eventually(gets_in, f"a device at {crowd_address} gets in after the crowd has gone")


def silent(server, source):
    return socket.create_connection(("127.0.0.1", server.mqtts_port), DEADLINE_S, source_address=(source, 0))


def is_open(tcp):
    """Whether the server has neither sent anything nor closed; waits for nothing."""
    tcp.setblocking(False)
    try:
        assert tcp.recv(1) == b"", "the server speaks first"
        return False
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


# HTTP --------------------------------------------------------------------------------------------------------------

def post(server, path, body, service="iot", headers=None, method="POST"):
    return send(server, path, signed(server, path, method, body, service) | (headers or {}), method, body)


@pytest.mark.parametrize("body", [b"{", b"[]", b"nonsense", b'{"policyDocument": 1}', b'{"policyDocument": {"a":1}}',
                                  b"\xff\xfe", b'{"a":' * 5000, b'{"policyDocument":"x","policyDocument"'])
def test_broken_json(server, body):
    status, headers, answer = post(server, "/policies/broken", body)
    assert status == 400, answer
    assert json.loads(answer)["message"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"x", b'{"logGroupName": 5}', b'{"logGroupName": null}', b"", b"{}"])
def test_broken_json_for_logs(server, body):
    headers = {"X-Amz-Target": "Logs_20140328.CreateLogGroup", "Content-Type": "application/x-amz-json-1.1"}
    status, _, answer = post(server, "/", body, "logs", headers)
    assert status == 400 and json.loads(answer)["__type"], answer


@pytest.mark.parametrize("target", ["Logs_20140328.NoSuchThing", "Logs_20140328.", "Nonsense", "", "DynamoDB_20120810.ListTables"])
def test_unknown_operation_of_logs(server, target):
    status, _, answer = post(server, "/", b"{}", "logs", {"X-Amz-Target": target})
    assert status in (400, 404), answer
    assert json.loads(answer)["__type"].endswith("UnknownOperationException")


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "/no/such/path"), ("PUT", "/"), ("DELETE", "/things"), ("BREW", "/things"), ("GET", "/%"), ("GET", "/things/%zz"),
    ("GET", "/things/%ff%fe"), ("GET", "/things/..%2f..%2fetc"), ("POST", "/things/a%00b"), ("GET", "//things"),
])
def test_unknown_paths(server, method, path):
    status, _, answer = send(server, path, signed(server, "/things", method), method)
    assert 400 <= status < 500, answer


def test_an_operation_that_is_not_there_yet_says_so(cloud):
    response = refused_any(cloud.iot.list_jobs)
    assert response["ResponseMetadata"]["HTTPStatusCode"] >= 400
    assert response["Error"]["Message"]


def refused_any(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return caught.value.response


@pytest.mark.parametrize("thing", ["with space", "a/b", "ü", "x" * 129, "a*b"])
def test_wrong_thing_names(cloud, thing):
    refused("InvalidRequestException", 400, cloud.loose_iot.create_thing, thingName=thing)


@pytest.mark.parametrize("rule", ["with-dash", "with space", "ü", "x" * 129])
def test_wrong_rule_names(cloud, rule):
    payload = {"sql": "SELECT 1", "actions": []}
    refused("InvalidRequestException", 400, cloud.loose_iot.create_topic_rule, ruleName=rule, topicRulePayload=payload)


@pytest.mark.parametrize("policy", ["with space", "a/b", "x" * 129])
def test_wrong_policy_names(cloud, policy):
    refused("InvalidRequestException", 400, cloud.loose_iot.create_policy, policyName=policy, policyDocument="{}")


@pytest.mark.parametrize("group", ["with space", "ü", "x" * 513, "a*b", ""])
def test_wrong_group_names(cloud, group):
    refused("InvalidParameterException", 400, cloud.loose_logs.create_log_group, logGroupName=group)


def test_publish_over_http_keeps_the_limits(cloud):
    refused("InvalidRequestException", 400, cloud.data.publish, topic="t" * 300, payload=b"x")
    refused("InvalidRequestException", 400, cloud.data.publish, topic="a/b/c/d/e/f/g/h/i", payload=b"x")
    refused("InvalidRequestException", 400, cloud.data.publish, topic="a/+/b", payload=b"x")
    response = refused_any(cloud.data.publish, topic="a", payload=b"x" * (128 * 1024 + 1))
    assert response["ResponseMetadata"]["HTTPStatusCode"] in (400, 413)


def test_an_oversize_body(server):
    """Larger than anything the API takes: refused, before or after it was read; never kept in memory whole."""
    headers = signed(server, "/policies/large") | {"Content-Length": str(1 << 40)}
    with socket.create_connection(("127.0.0.1", server.api_port), DEADLINE_S) as tcp:
        head = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        tcp.sendall(f"POST /policies/large HTTP/1.1\r\n{head}\r\n".encode())
        tcp.settimeout(DEADLINE_S)
        try:
            for _ in range(64):
                tcp.sendall(b"x" * (1 << 20))
        except (ConnectionError, TimeoutError):
            pass
        try:
            answer = tcp.recv(4096)
        except ConnectionError:
            return
    assert answer == b"" or answer.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400", b"HTTP/1.1 403")), answer


SMUGGLED = {
    "both-lengths": b"POST /things/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two-lengths": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "negative-length": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    "obsolete-fold": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
    "no-version": b"GET /\r\n\r\n",
    "http-9": b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "bad-chunk": b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "two-hosts": b"GET /things HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    "absolute-form": b"GET http://evil.example/things HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "header-without-colon": b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
    "nul-in-header": b"GET / HTTP/1.1\r\nHost: local\0host\r\n\r\n",
    "a-million-headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 200_000,
    "long-target": b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500,
    "mqtt": CONNECT,
    "noise": random.Random(SEED).randbytes(5000),
}


@pytest.mark.parametrize("kind", SMUGGLED)
def test_http_junk(server, kind):
    with socket.create_connection(("127.0.0.1", server.api_port), DEADLINE_S) as tcp:
        tcp.settimeout(DEADLINE_S)
        answer = b""
        try:
            tcp.sendall(SMUGGLED[kind])
            tcp.shutdown(socket.SHUT_WR)
            while chunk := tcp.recv(65536):
                answer += chunk
        except TimeoutError:
            raise
        except OSError:
            pass  # closed by the server while we were still at it
    statuses = [line.split(b" ")[1] for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.")]
    assert all(status[:1] == b"4" for status in statuses), answer[:500]


def test_slow_headers_do_not_hold_the_api(server, cloud):
    """A crowd that sends one byte and waits: others are served meanwhile."""
    crowd = [socket.create_connection(("127.0.0.1", server.api_port), DEADLINE_S) for _ in range(100)]
    try:
        for tcp in crowd:
            tcp.sendall(b"G")
        assert cloud.iot.list_things()["things"] is not None
    finally:
        for tcp in crowd:
            tcp.close()


def test_a_client_that_leaves_in_the_middle_of_a_request(server):
    for _ in range(20):
        connection = http.client.HTTPConnection("127.0.0.1", server.api_port, timeout=DEADLINE_S)
        connection.putrequest("POST", "/policies/half")
        connection.putheader("Content-Length", "1000")
        connection.endheaders(b"{")
        connection.close()


def test_many_large_uploads_at_once_all_arrive(server, cloud, name):
    """60 batches of a megabyte, each in pieces: nobody waits for room that is held by somebody who waits for room."""
    cloud.logs.create_log_group(logGroupName=name)
    cloud.logs.create_log_stream(logGroupName=name, logStreamName="s")
    event = {"timestamp": int(time.time() * 1000), "message": "x" * 250_000}

    def upload(_):
        headers, body = logs_request(server, "PutLogEvents", logGroupName=name, logStreamName="s", logEvents=[event] * 4)
        request = as_bytes("/", headers, body=body)
        with socket.create_connection(("127.0.0.1", server.api_port), timeout=60) as tcp:
            for at in range(0, len(request), 16_384):
                tcp.sendall(request[at:at + 16_384])
                time.sleep(0.005)  # a network that is not loopback: the pieces of many uploads come in turns
            return tcp.makefile("rb").readline()

    with ThreadPoolExecutor(60) as pool:
        answers = list(pool.map(upload, range(60)))
    assert answers == [b"HTTP/1.1 200 OK\r\n"] * 60
