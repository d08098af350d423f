"""The HTTPS port: Publish and the rest of the data plane with a client certificate or SigV4, and who stays out."""

import http.client
import json
import re
import socket
import ssl
import subprocess
import threading
import time

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config

from support import mqtt, shapes
from support.cloud import Cloud, arn, log_rule, policy, refused, statement
from support.http import send, signed
from support.mqtt import Client, tls_context
from support.server import REGION, Server, because
from support.waiting import DEADLINE_S, eventually
from support.websocket import Refused, WebSocket, at_time, presigned
from test_lan import own_addresses

VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["tls12", "tls13"])


@pytest.fixture(scope="module")
def device(cloud, tmp_path_factory):
    return cloud.device(tmp_path_factory.mktemp("device"), "device")


class Https:
    """One connection, kept alive: requests with the standard library."""

    def __init__(self, server, context, session=None, address=None, server_name="localhost"):
        self.address = address or ("127.0.0.1", server.https_port)
        self.connection = http.client.HTTPConnection(*self.address, timeout=DEADLINE_S)
        tcp = socket.create_connection(self.address, DEADLINE_S)
        self.connection.sock = context.wrap_socket(tcp, server_hostname=server_name, session=session)
        self.session_of_handshake = self.connection.sock.session  # of TLS 1.2; that of 1.3 comes later
        self.host = f"localhost:{self.address[1]}"

    def request(self, path, body=b"", method="POST", headers=()):
        self.connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in ({"Host": self.host, "Content-Length": str(len(body))} | dict(headers)).items():
            self.connection.putheader(name, value)
        self.connection.endheaders(body)
        answer = self.connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def publish(self, topic, body, query="qos=1", **more):
        return self.request(f"/topics/{topic}?{query}", body, **more)

    @property
    def session(self):
        return self.connection.sock.session if self.connection.sock else self.session_of_handshake

    @property
    def is_resumed(self):
        return self.connection.sock.session_reused

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()


def published(answer):
    status, headers, body = answer
    assert status == 200, body
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {"message": "OK", "traceId": headers["x-amzn-requestid"]}


def forbidden(answer, message="Forbidden"):
    status, headers, body = answer
    assert status == 403, body
    assert headers["x-amzn-errortype"] == "ForbiddenException:"
    assert message in json.loads(body)["message"]


# With a certificate --------------------------------------------------------------------------------------------------


@VERSIONS
def test_publish_reaches_subscribers_and_rules(server, cloud, device, name, version):
    cloud.logs.create_log_group(logGroupName=name)
    sql = f"SELECT *, principal() AS principal, clientid() AS client, sourceip() AS ip FROM '{name}/t'"
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=log_rule(sql, name))
    with Client.connected(server, device, f"{name}-to") as to:
        to.subscribe(f"{name}/#")
        with Https(server, tls_context(device, version, ca=server.ca_path)) as https:
            published(https.publish(f"{name}%2Ft", b'{"n": 1}'))
            published(https.publish(f"{name}/t", b'{"n": 2}', query="qos=0"))
            published(https.publish(f"{name}/empty", b"", query=""))
        for topic, payload in [(f"{name}/t", b'{"n": 1}'), (f"{name}/t", b'{"n": 2}'), (f"{name}/empty", b"")]:
            assert to.read_message()[:2] == (topic, payload)
    kept = [json.loads(message) for message in cloud.wait_for_messages(2, name)]
    expected = {"principal": device.certificate_id, "client": "n/a", "ip": "127.0.0.1"}
    assert kept == [{"n": 1} | expected, {"n": 2} | expected]


def test_curl(server, device):
    done = subprocess.run(
        ["curl", "-sS", "--cacert", server.ca_path, "--cert", device.certificate, "--key", device.key, "--data", "from curl",
         f"https://localhost:{server.https_port}/topics/curl/t?qos=1"], capture_output=True, text=True, timeout=30)
    assert json.loads(done.stdout)["message"] == "OK", done


def data_plane(server, device=None, key=True):
    """boto3's client of the HTTPS port."""
    certificate = {"client_cert": (str(device.certificate), str(device.key))} if device else {}
    signing = {} if key else {"signature_version": UNSIGNED}
    client = boto3.Session("AKIDOFBOTO", "secret", region_name=REGION).client(
        "iot-data", endpoint_url=f"https://localhost:{server.https_port}", verify=server.ca_path,
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=30, **certificate, **signing))
    shapes.watch(client)
    return client


@pytest.mark.parametrize("key", [True, False], ids=["signed as well", "unsigned"])
def test_boto3_with_a_certificate(server, device, name, key):
    data = data_plane(server, device, key)
    with Client.connected(server, device, f"{name}-to") as to:
        to.subscribe(f"{name}/t")
        data.publish(topic=f"{name}/t", payload=b"from boto3", qos=1)
        assert to.read_message()[:2] == (f"{name}/t", b"from boto3")


def test_retain_needs_its_own_permission(server, cloud, tmp_path, name):
    may_not = cloud.device(tmp_path, f"{name}_1", policy(statement("iot:Publish", arn("topic", f"{name}/*"))))
    may = cloud.device(tmp_path, f"{name}_2", policy(statement(["iot:Publish", "iot:RetainPublish"], arn("topic", f"{name}/*"))))
    mark = server.log_mark()
    with Https(server, tls_context(may_not)) as https:
        forbidden(https.publish(f"{name}/t", b"kept", query="retain=true"))
        published(https.publish(f"{name}/t", b"not kept", query="retain=false"))
    server.expect_log("denied", "iot:RetainPublish", may_not.certificate_id, since=mark)
    refused("ResourceNotFoundException", 404, cloud.data.get_retained_message, topic=f"{name}/t")
    with Https(server, tls_context(may)) as https:
        published(https.publish(f"{name}/t", b"kept", query="retain=true&qos=1"))
    assert cloud.data.get_retained_message(topic=f"{name}/t")["payload"] == b"kept"


def denials(server):
    _, _, body = send(server, "/_eyot/metrics", {"Host": server.ready["api"]}, "GET")
    return int(re.search(rb"^eyot_broker_denied_total (\d+)$", body, re.M)[1])


def test_policies_decide_and_the_log_says_how(server, cloud, tmp_path, name):
    document = policy(statement("iot:Publish", arn("topic", f"{name}/mine/*")),
                      statement("iot:Publish", arn("topic", f"{name}/mine/secret"), "Deny"))
    device = cloud.device(tmp_path, name, document)
    mark, before = server.log_mark(), denials(server)
    with Client.connected(server, cloud.device(tmp_path, f"{name}_to"), f"{name}_to") as to, \
            Https(server, tls_context(device)) as https:
        to.subscribe(f"{name}/#")
        published(https.publish(f"{name}/mine/x", b"1"))
        forbidden(https.publish(f"{name}/other", b"2"))
        forbidden(https.publish(f"{name}/mine/secret", b"3"))
        published(https.publish(f"{name}/mine/y", b"4"))
        assert [to.read_message()[1] for _ in range(2)] == [b"1", b"4"]
    assert denials(server) == before + 2
    server.expect_log("denied", f"{name}/mine/secret", device.certificate_id, name, since=mark)
    data = data_plane(server, device)
    refused("ForbiddenException", 403, data.publish, topic=f"{name}/other", payload=b"", text="Forbidden")


def test_what_policies_know_of_a_request(server, cloud, tmp_path, name):
    """Its certificate, address and server name; no client identifier, and so no thing of that name."""
    def device(number, condition, resource):
        allowed = statement("iot:Publish", arn("topic", resource)) | ({"Condition": condition} if condition else {})
        return cloud.device(tmp_path, f"{name}_{number}", policy(allowed))

    def may(device):
        with Https(server, tls_context(device)) as https:
            return https.publish(f"{name}/t", b"")[0] == 200

    assert may(device(1, {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, f"{name}/t"))
    assert not may(device(2, {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, f"{name}/t"))
    assert may(device(3, {"StringEquals": {"iot:DomainName": "localhost"}}, f"{name}/t"))
    assert not may(device(4, {"StringEquals": {"iot:DomainName": "elsewhere"}}, f"{name}/t"))
    assert not may(device(5, {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}, f"{name}/t"))
    assert not may(device(6, None, "${iot:ClientId}/t"))


@VERSIONS
def test_a_deactivated_certificate_is_out_at_once(server, cloud, tmp_path, name, version):
    """On the connection that stands, on a new one, and in a TLS session that is resumed."""
    device = cloud.device(tmp_path, name)
    context = tls_context(device, version)
    mark = server.log_mark()
    with Https(server, context) as stands:
        published(stands.publish(f"{name}/t", b"1"))
        session = stands.session
        with Https(server, context, session) as again:
            assert again.is_resumed
            published(again.publish(f"{name}/t", b"2"))
        cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus="INACTIVE")
        forbidden(stands.publish(f"{name}/t", b"3"))
    path = f"/topics/{name}/t"
    for resumed in (None, session):
        # A signature beside it does not help.
        for headers in ({}, signed(server, path, service="iotdata", host=f"localhost:{server.https_port}")):
            with Https(server, context, resumed) as https:
                assert https.is_resumed == (resumed is not None)
                forbidden(https.request(path, headers=headers))
    server.expect_log("denied", device.certificate_id, because("INACTIVE"), since=mark)


def test_a_detached_policy_is_gone_at_once(server, cloud, tmp_path, name):
    device = cloud.device(tmp_path, name)
    with Https(server, tls_context(device)) as https:
        published(https.publish(f"{name}/t", b"1"))
        cloud.iot.detach_policy(policyName=name, target=device.arn)
        forbidden(https.publish(f"{name}/t", b"2"))


def test_a_certificate_of_nobody(server, cloud, tmp_path, name):
    stranger = cloud.certificate(tmp_path, name, active=False)
    cloud.iot.delete_certificate(certificateId=stranger.certificate_id)
    mark = server.log_mark()
    with Https(server, tls_context(stranger)) as https:
        forbidden(https.publish("a/b", b"x"))
    server.expect_log("denied", stranger.certificate_id, because("is not registered"), since=mark)


def test_a_session_of_the_other_port_is_not_resumed(server, cloud, tmp_path, name):
    """Tickets of a port that requires certificates are good there alone, and the other way round."""
    device = cloud.device(tmp_path, name)
    context = tls_context(device, ssl.TLSVersion.TLSv1_2)

    def connected(session):
        # With the same server name: for another one no session is resumed anyway.
        client = Client(server, context, "localhost", session)
        client.send(mqtt.connect(name))
        assert client.read_exactly(4) == b"\x20\x02\x00\x00"
        return client

    with connected(None) as client:
        session = client.socket.session
    with connected(session) as client:
        assert client.socket.session_reused, "the control"
    with Https(server, context, session) as https:
        assert not https.is_resumed
        published(https.publish(f"{name}/t", b"x"))
        session = https.session
    with connected(session) as client:
        assert not client.socket.session_reused


def test_without_a_certificate_no_session_lets_one_in_on_the_mqtt_port(server, name):
    context = tls_context(version=ssl.TLSVersion.TLSv1_2)
    with Https(server, context) as https:
        https.request("/nothing", method="GET")
        session = https.session
    with Https(server, context, session) as https:
        assert https.is_resumed, "the control"
    with pytest.raises(mqtt.GONE):
        client = Client(server, context, "localhost", session)
        client.send(mqtt.connect(name))
        client.read()


# The rest of the data plane ------------------------------------------------------------------------------------------


def test_shadows_with_a_certificate(server, cloud, tmp_path, name):
    document = policy(statement(["iot:GetThingShadow", "iot:UpdateThingShadow"], arn("thing", name)),
                      statement("iot:*ThingShadow", arn("thing", f"{name}/named")),
                      statement("iot:ListNamedShadowsForThing", arn("thing", name)))
    data = data_plane(server, cloud.device(tmp_path, name, document), key=False)
    state = json.dumps({"state": {"reported": {"on": True}}})
    data.update_thing_shadow(thingName=name, payload=state)
    assert json.loads(data.get_thing_shadow(thingName=name)["payload"].read())["state"] == {"reported": {"on": True}}
    refused("ForbiddenException", 403, data.delete_thing_shadow, thingName=name)
    data.update_thing_shadow(thingName=name, shadowName="named", payload=state)
    assert data.list_named_shadows_for_thing(thingName=name)["results"] == ["named"]
    data.delete_thing_shadow(thingName=name, shadowName="named")
    refused("ForbiddenException", 403, data.get_thing_shadow, thingName=name, shadowName="another")
    refused("ForbiddenException", 403, data.get_thing_shadow, thingName="another")


def test_retained_messages_with_a_certificate(server, cloud, tmp_path, name):
    cloud.data.publish(topic=f"{name}/t", payload=b"kept", retain=True)
    one = data_plane(server, cloud.device(tmp_path, f"{name}_1", policy(statement("iot:GetRetainedMessage", arn("topic", f"{name}/t")))))
    assert one.get_retained_message(topic=f"{name}/t")["payload"] == b"kept"
    refused("ForbiddenException", 403, one.get_retained_message, topic=f"{name}/u")
    refused("ForbiddenException", 403, one.list_retained_messages)
    every = data_plane(server, cloud.device(tmp_path, f"{name}_2", policy(statement("iot:ListRetainedMessages", "*"))))
    assert f"{name}/t" in [topic["topic"] for topic in every.list_retained_messages()["retainedTopics"]]


def test_what_no_policy_can_allow_a_certificate(server, cloud, device):
    """Other clients' connections are IAM's matter, even with `iot:*` on everything."""
    data = data_plane(server, device)
    for call in (data.get_connection, data.delete_connection):
        refused("ForbiddenException", 403, call, clientId="somebody", text="a client certificate cannot be permitted this operation: sign the request, and send it without one")


def test_everything_with_a_signature(server, cloud, device, name):
    data = data_plane(server)
    with Client.connected(server, device, name) as client:
        client.subscribe(f"{name}/t")
        data.publish(topic=f"{name}/t", payload=b"kept", retain=True)
        assert client.read_message()[:2] == (f"{name}/t", b"kept")
        assert data.get_retained_message(topic=f"{name}/t")["payload"] == b"kept"
        assert data.get_connection(clientId=name)["connected"]
        data.update_thing_shadow(thingName=name, payload=b'{"state": {}}')
        data.delete_connection(clientId=name)
        client.expect_closed()


def test_reserved_topics(server, device):
    for data in (data_plane(server, device), data_plane(server)):
        for topic in ("$aws/events/presence/connected/x", "$SYS/x", "$aws/things/x/shadow/update/accepted"):
            refused("InvalidRequestException", 400, data.publish, topic=topic, payload=b"forged")


@pytest.mark.parametrize("path, word", [
    ("/topics/a%zz", b"percent-encoded"), ("/topics/a%", b"percent-encoded"), ("/topics/%ff", b"UTF-8"), ("/topics/a?qos=0&qos=1", b"given once"),
    ("/topics/a?qos=2", b"qos"), ("/topics/a?retain=maybe", b"true or false"),
])
def test_a_request_with_two_meanings_or_none(server, device, path, word):
    with Https(server, tls_context(device)) as https:
        status, _, body = https.request(path, b"x")
        assert status == 400 and word in body, body


def test_the_control_plane_is_not_here(server, device):
    """Nor anything else of the API's port: whoever reaches this port is a device."""
    for method, path, service in [("GET", "/things", "iot"), ("POST", "/keys-and-certificate?setAsActive=true", "iotdata"),
                                  ("GET", "/things", "iotdata"), ("GET", "/_eyot/metrics", "iotdata"), ("GET", "/_eyot/ca.pem", "iotdata"),
                                  ("GET", "/console", "iotdata"), ("POST", "/", "logs"), ("POST", "/", "iotdata")]:
        headers = signed(server, path, method, service=service, host=f"localhost:{server.https_port}")
        if path == "/":
            headers |= {"X-Amz-Target": "Logs_20140328.DescribeLogGroups"}
        for context in (tls_context(device), tls_context()):
            with Https(server, context) as https:
                status, _, body = https.request(path, method=method, headers=headers)
                # CloudWatch Logs has 400 for what it does not know.
                assert status == 400 and b"UnknownOperation" in body or status in (403, 404), (path, body)


# Who stays out ---------------------------------------------------------------------------------------------------------


def test_a_signature_that_says_twice_how_long_it_holds(server):
    """No other one than the first counts for a week."""
    for more, reason in [("", "expired"), ("&X-Amz-Expires=60", "one 'X-Amz-Expires'"), ("&X-Amz-Expires=zz", "one 'X-Amz-Expires'")]:
        path = presigned(f"localhost:{server.https_port}", service="iotdata", at=time.time() - 5 * 3600).replace("/mqtt", "/topics/a")
        path = path.replace("X-Amz-Expires=86400", "X-Amz-Expires=60")
        with Https(server, tls_context()) as https:
            forbidden(https.request(path + more, b"x"), reason)


def test_neither_certificate_nor_signature(server):
    with Https(server, tls_context()) as https:
        forbidden(https.publish("a/b", b"x"), "Missing Authentication Token")
    with Https(server, tls_context()) as https:
        forbidden(https.request("/things/x/shadow", method="GET"), "Missing Authentication Token")


def test_a_signature_of_another_day_or_service(server, name):
    path, host = f"/topics/{name}", f"localhost:{server.https_port}"
    with at_time(time.time() - 600):
        late = signed(server, path, service="iotdata", host=host)
    for headers, words in [(late, "Signature expired"), (signed(server, path, service="iot", host=host), "correct service")]:
        with Https(server, tls_context()) as https:
            forbidden(https.request(path, headers=headers), words)
    with Https(server, tls_context()) as https:
        published(https.request(path, headers=signed(server, path, service="iotdata", host=host)))


def test_a_stranger_is_shown_out_with_the_answer(server, device, cloud, name):
    """Who is not known must not hold one of the places of those who are; who is known and may not keeps its connection."""
    for path, headers in [("/topics/x", {}), ("/mqtt", {}), ("/topics/x", {"Origin": "https://evil.example"})]:
        with Https(server, tls_context()) as https:
            status, found, _ = https.request(path, headers=headers)
            assert (status, found["connection"]) == (403, "close")
            assert https.connection.sock is None or https.connection.sock.recv(1) == b""
    with Https(server, tls_context(device)) as https:
        status, found, _ = https.request("/connections/x", method="GET")
        assert status == 403 and "connection" not in found
        published(https.publish(f"{name}/t", b"x"))


def test_pages_of_other_sites(server, device, name):
    """With a certificate in the browser, or with any signature."""
    path = f"/topics/{name}"
    for context in (tls_context(device), tls_context()):
        for more in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            with Https(server, context) as https:
                headers = signed(server, path, service="iotdata", host=https.host)
                status, found, _ = https.request(path, headers=headers | more)
                assert status == 403 and "access-control-allow-origin" not in found
        with Https(server, context) as https:
            ours = {"Origin": f"https://{https.host}", "Sec-Fetch-Site": "same-origin"}
            published(https.request(path, headers=headers | ours))


def test_a_foreign_name_is_for_certificates_alone(server, device, name):
    """A device may know us by the name of a router; a page whose name was rebound has no certificate."""
    path = f"/topics/{name}"
    with Https(server, tls_context(device)) as https:
        published(https.request(path, headers={"Host": "router.example:443"}))
    with Https(server, tls_context()) as https:
        headers = signed(server, path, service="iotdata", host="router.example:443")
        assert https.request(path, headers=headers)[0] == 421


def test_beyond_loopback_signatures_do_not_count(tmp_path):
    """They cannot be verified, so whoever is on the network could write one. Certificates do count."""
    addresses = own_addresses()
    assert addresses, "this machine has no address but loopback"
    with Server(tmp_path, "--lan") as server:
        cloud = Cloud(server.api_url)
        device = cloud.device(tmp_path, "device")
        address = (addresses[0], server.https_port)
        with Https(server, tls_context(device, ca=server.ca_path), address=address, server_name=addresses[0]) as https:
            published(https.publish("a/b", b"x", headers={"Host": f"{address[0]}:{address[1]}"}))
        with Https(server, tls_context(), address=address) as https:
            host = f"{address[0]}:{address[1]}"
            headers = signed(server, "/topics/a/b", service="iotdata", host=host)
            forbidden(https.request("/topics/a/b", headers=headers), "client certificate")
        with pytest.raises(Refused) as caught:
            WebSocket(address, None, tls_context(), host=host)
        assert caught.value.status == 403
        with WebSocket.connected(address, "device", tls_context(device), "/mqtt", host=host) as client:
            client.ping()
        # From this machine itself they do.
        with Https(server, tls_context()) as https:
            published(https.request("/topics/a/b", headers=signed(server, "/topics/a/b", service="iotdata", host=https.host)))


# What is not HTTPS -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sent", "words"), [
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "not TLS"),
    (b"\xff" * 100, "not TLS"),
    (mqtt.connect("lost"), "not TLS"),
], ids=["http", "garbage", "mqtt"])
def test_what_is_not_tls_is_closed_and_told(server, sent, words):
    mark = server.log_mark()
    with socket.create_connection(("127.0.0.1", server.https_port), DEADLINE_S) as tcp:
        tcp.sendall(sent)
        while tcp.recv(1024):  # an alert, perhaps
            pass
    server.expect_log("connection refused", because(words), since=mark)


def test_mqtt_inside_tls_is_closed_and_told(server, device):
    mark = server.log_mark()
    client = Client(server, tls_context(device), address=("127.0.0.1", server.https_port))
    client.send(mqtt.connect("lost"))
    with pytest.raises(mqtt.GONE):
        while client.socket.recv(1024) or client.read_exactly(1):
            pass
    server.expect_log("connection ended early", because("not HTTP"), since=mark)


def test_large_bodies_and_heads_are_bounded(server, device):
    with Https(server, tls_context(device)) as https:
        assert https.publish("a/b", b"x" * (128 * 1024 + 1))[0] == 400
    with Https(server, tls_context(device)) as https:
        assert https.publish("a/b", b"", headers={"Content-Length": str(9 << 20)})[0] == 413
    with Https(server, tls_context(device)) as https:
        # The bound is looked at between reads, each of which may bring as much again.
        assert https.publish("a/b", b"", headers={"X-Long": "x" * 200_000})[0] == 431


def test_slow_ones_keep_nobody_waiting(server, device, name):
    """Half handshakes and half requests, and a connection that publishes beside them."""
    held = [socket.create_connection(("127.0.0.1", server.https_port), DEADLINE_S) for _ in range(50)]
    for tcp in held[::2]:
        tcp.sendall(b"\x16\x03\x01\x02")
    half = [Https(server, tls_context(device)) for _ in range(20)]
    for https in half:
        https.connection.sock.sendall(b"POST /topics/a HTTP/1.1\r\nHost:")
    with Https(server, tls_context(device)) as https:
        published(https.publish(f"{name}/t", b"x"))
    for https in half:
        https.connection.close()
    for tcp in held:
        tcp.close()


def test_the_end_does_not_wait_for_half_a_handshake(tmp_path):
    with Server(tmp_path) as server:
        device = Cloud(server.api_url).device(tmp_path, "device")
        held = [socket.create_connection(("127.0.0.1", server.https_port), DEADLINE_S) for _ in range(3)]
        held[1].sendall(b"\x16\x03\x01\x02")
        idle = Https(server, tls_context(device))
        published(idle.publish("a/b", b"x"))
        server.stop()
        assert "not answered in time" not in server.log()
        for tcp in held:
            assert tcp.recv(1) == b""


def test_many_at_once(server, device, name):
    """More clients than are served at a time by the runtime's threads: all are answered."""
    statuses = []

    def publish():
        with Https(server, tls_context(device)) as https:
            for _ in range(5):
                statuses.append(https.publish(f"{name}/t", b"x")[0])

    threads = [threading.Thread(target=publish) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses == [200] * 200


def test_metrics_count_its_handshakes(server, device):
    def counted():
        _, _, text = send(server, "/_eyot/metrics", {"Host": server.ready["api"]}, "GET")
        lines = [line.split() for line in text.decode().splitlines() if line.startswith("eyot_broker_handshakes")]
        return {line[0]: int(line[1]) for line in lines}

    before = counted()
    with Https(server, tls_context(device)) as https:
        published(https.publish("a/b", b"x"))
    eventually(lambda: counted()["eyot_broker_handshakes_full_total"] > before["eyot_broker_handshakes_full_total"], counted)

