"""Who may not in stays out, who may no longer stay is dropped, and the server's log says why. Resumed TLS sessions too."""

import socket
import ssl

import pytest
from tlslite.api import X509, HandshakeSettings, TLSConnection, X509CertChain, parsePEMKey
from tlslite.errors import TLSError

from support import mqtt
from support.cloud import Device, arn, policy, statement
from support.mqtt import Client, expect_refused, tls_context
from support.openssl import openssl
from support.server import because
from support.waiting import DEADLINE_S

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = pytest.mark.parametrize("version", [TLS12, TLS13], ids=["tls12", "tls13"])


@pytest.fixture
def device(cloud, tmp_path, name):
    """A device that may do everything."""
    return cloud.device(tmp_path, name)


class Way:
    """How devices connect: with a handshake in full, or with a TLS session that is resumed from the second time on.

    A resumed session never shows its certificate again, so nothing may rest on the handshake having looked at it.
    """

    def __init__(self, server, version, resumes):
        self.server, self.version, self.resumes = server, version, resumes
        self.sessions = {}

    def connected(self, device, client_id=None, **options):
        context, session = self._session(device)
        client = Client.connected(self.server, device, client_id, context=context, session=session, **options)
        assert client.socket.session_reused == self.resumes
        return client

    def expect_refused(self, device, client_id=None):
        """The handshake is fine; the CONNECT that follows is answered by the end of the connection."""
        context, session = self._session(device)
        client = Client(self.server, context, session=session)
        assert client.socket.session_reused == self.resumes
        client.send(mqtt.connect(client_id or device.name))
        client.expect_closed()

    def meet(self, device):
        """The device connects once: from here on there is a session to resume."""
        self.connected(device).disconnect()

    def _session(self, device):
        if not self.resumes:
            return tls_context(device, self.version), None
        if device.name not in self.sessions:
            context = tls_context(device, self.version)
            first = Client.connected(self.server, device, context=context)
            self.sessions[device.name] = context, first.socket.session
            first.disconnect()
        return self.sessions[device.name]


WAYS = {"tls12": (TLS12, False), "tls13": (TLS13, False), "tls12-resumed": (TLS12, True), "tls13-resumed": (TLS13, True)}


@pytest.fixture(params=WAYS)
def way(request, server):
    return Way(server, *WAYS[request.param])


# Before the first packet -----------------------------------------------------------------------------------------

@VERSIONS
def test_no_certificate(server, version, name):
    mark = server.log_mark()
    expect_refused(server, tls_context(version=version), name)
    server.expect_log("127.0.0.1", because("the client sent no certificate"), since=mark)


@VERSIONS
def test_an_unknown_certificate(server, version, tmp_path, name):
    """A good key and certificate that nobody registered."""
    mark = server.log_mark()
    stranger = self_signed(tmp_path, name)
    expect_refused(server, tls_context(stranger, version), name)
    server.expect_log(name, because(f"certificate {stranger.certificate_id} is not registered"), since=mark)


def test_a_certificate_of_our_ca_that_was_deleted(server, cloud, device, way):
    way.meet(device)
    delete_certificate(cloud, device)
    mark = server.log_mark()
    way.expect_refused(device)
    server.expect_log(device.name, because(f"certificate {device.certificate_id} is not registered"), since=mark)


@pytest.mark.parametrize("status", ["INACTIVE", "REVOKED"])
def test_a_certificate_that_is_not_active(server, cloud, device, way, status):
    way.meet(device)
    cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus=status)
    mark = server.log_mark()
    way.expect_refused(device)
    server.expect_log(device.name, because(not_active(device, status)), since=mark)
    cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus="ACTIVE")
    way.connected(device).disconnect()


def test_a_certificate_created_without_set_as_active(server, cloud, tmp_path, name):
    device = cloud.certificate(tmp_path, name, active=False)
    mark = server.log_mark()
    expect_refused(server, tls_context(device), name)
    server.expect_log(name, because(not_active(device, "INACTIVE")), since=mark)


@pytest.mark.parametrize("own_key", [True, False])
def test_a_certificate_without_its_private_key(server, device, tmp_path, name, own_key):
    """The certificate is public: who has only that proves nothing. With the key the same client gets in."""
    key = device.key if own_key else self_signed(tmp_path, f"{name}-other").key
    mark = server.log_mark()
    with socket.create_connection(("127.0.0.1", server.mqtts_port), timeout=DEADLINE_S) as tcp:
        tls = TLSConnection(tcp)
        settings = HandshakeSettings()
        settings.minVersion = settings.maxVersion = (3, 3)
        chain = X509CertChain([X509().parse(device.certificate.read_text())])
        try:
            tls.handshakeClientCert(chain, parsePEMKey(key.read_text(), private=True), settings=settings)
            tls.write(mqtt.connect(name))
            answer = bytes(tls.read(max=4, min=4))
        except (TLSError, OSError) as refusal:
            answer = repr(refusal)
    if own_key:
        assert answer == b"\x20\x02\x00\x00"
    else:
        assert "description=51" in answer, answer  # the alert decrypt_error
        server.expect_log("127.0.0.1", because("the client did not prove that it has its certificate's key"), since=mark)


@VERSIONS
def test_a_certificate_without_policy(server, cloud, version, tmp_path, name):
    device = cloud.certificate(tmp_path, name)
    mark = server.log_mark()
    expect_refused(server, tls_context(device, version), name)
    server.expect_log(name, because("iot:Connect is not allowed: no policy is attached"), since=mark)


# Policies ----------------------------------------------------------------------------------------------------------

def limited(*more):
    """May connect under its own thing's name and use topics below `own/`."""
    return policy(
        statement("iot:Connect", arn("client", "${iot:Connection.Thing.ThingName}")),
        statement(["iot:Publish", "iot:Receive"], arn("topic", "own/*")),
        statement("iot:Subscribe", arn("topicfilter", "own/*")),
        *more,
    )


def test_a_policy_that_was_detached(server, cloud, device, way):
    way.meet(device)
    cloud.iot.detach_policy(policyName=device.name, target=device.arn)
    mark = server.log_mark()
    way.expect_refused(device)
    server.expect_log(device.name, because("iot:Connect is not allowed: no policy is attached"), since=mark)


def test_a_client_id_that_the_policy_does_not_allow(server, cloud, way, tmp_path, name):
    device = cloud.device(tmp_path, name, limited())
    way.meet(device)
    mark = server.log_mark()
    way.expect_refused(device, f"{name}-other")
    server.expect_log(
        f'client_id="{name}-other"',
        because(f"iot:Connect is not allowed: policy `{name}` statement 1 cannot match `client/{name}-other`"),
        because("the client id must be the name of a thing that the certificate is attached to"), since=mark)
    way.connected(device).disconnect()


@pytest.mark.parametrize("qos", [0, 1])
def test_a_topic_that_the_policy_does_not_allow(server, cloud, way, tmp_path, name, qos):
    device = cloud.device(tmp_path, name, limited())
    with way.connected(device) as client:
        client.publish_qos1("own/a", "fine")
        mark = server.log_mark()
        client.send(mqtt.publish("foreign/a", "x", qos, 8 if qos else None))
        client.expect_closed()
        server.expect_log(name, "denied", because(not_on(name, 2, "iot:Publish", "topic/own/*", "topic/foreign/a")), since=mark)
        server.expect_log(name, "disconnected", "FORBIDDEN_ACCESS", since=mark)


def test_a_filter_that_the_policy_does_not_allow(server, cloud, way, tmp_path, name):
    device = cloud.device(tmp_path, name, limited())
    with way.connected(device) as client:
        client.subscribe("own/#")
        mark = server.log_mark()
        client.send(mqtt.subscribe(2, "foreign/#"))
        client.expect_closed()
        server.expect_log(
            name, "denied", because(not_on(name, 3, "iot:Subscribe", "topicfilter/own/*", "topicfilter/foreign/#")), since=mark)


def test_an_explicit_deny_wins(server, cloud, tmp_path, name):
    device = cloud.device(tmp_path, name, limited(statement("iot:Publish", arn("topic", "own/secret*"), "Deny")))
    with Client.connected(server, device) as client:
        client.publish_qos1("own/open", "fine")
        mark = server.log_mark()
        client.send(mqtt.publish("own/secret/x", "x"))
        client.expect_closed()
        reason = f"policy `{name}` statement 4 denies iot:Publish on `topic/own/secret/x`"
        server.expect_log(name, "denied", because(reason), since=mark)


def test_a_will_that_the_policy_does_not_allow(server, cloud, tmp_path, name):
    device = cloud.device(tmp_path, name, limited())
    mark = server.log_mark()
    expect_refused(server, tls_context(device), name, will=("foreign/will", "x", 0, False))
    server.expect_log(name, because("the will may not be published"),
                      because(not_on(name, 2, "iot:Publish", "topic/own/*", "topic/foreign/will")), since=mark)


def test_receive_decides_at_every_delivery(server, cloud, tmp_path, name):
    """Subscribe allows the wildcard, Receive only a part of what it matches."""
    document = policy(
        statement(["iot:Connect", "iot:Subscribe"], "*"), statement("iot:Receive", arn("topic", f"{name}/open/*")))
    device = cloud.device(tmp_path, name, document)
    by = cloud.device(tmp_path, f"{name}-by")
    with Client.connected(server, device) as to, Client.connected(server, by) as sender:
        to.subscribe(f"{name}/#")
        mark = server.log_mark()
        sender.publish_qos1(f"{name}/closed/1", "withheld")
        sender.publish_qos1(f"{name}/open/1", "delivered")
        assert to.read_message()[:2] == (f"{name}/open/1", b"delivered")
        reason = not_on(name, 2, "iot:Receive", f"topic/{name}/open/*", f"topic/{name}/closed/1")
        server.expect_log(f'client_id="{name}"', "denied", because(reason), since=mark)


# While connected -----------------------------------------------------------------------------------------------------

CLIENTS = 8
"""Enough that every event loop of the server has some: what is told to them one after the other must hold in all."""


@pytest.mark.parametrize("status", ["INACTIVE", "REVOKED"])
def test_deactivated_while_connected(server, cloud, device, way, status):
    """First the connection is closed, then the API answers: who has the answer need not wait for anything."""
    with way.connected(device) as client:
        client.ping()
        assert not client.is_closed_already()
        mark = server.log_mark()
        cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus=status)
        assert client.is_closed_already()
        client.expect_closed()
    server.expect_log(device.name, "AUTH_ERROR", because("its certificate is no longer ACTIVE"), since=mark)


def test_every_connection_of_the_certificate_is_dropped_and_no_other(server, cloud, device, tmp_path, name):
    bystander = cloud.device(tmp_path, f"{name}-bystander")
    with Client.connected(server, bystander) as stays:
        gone = [Client.connected(server, device, f"{name}-{number}") for number in range(CLIENTS)]
        assert [client.is_closed_already() for client in gone] == [False] * CLIENTS
        cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus="REVOKED")
        assert [client.is_closed_already() for client in gone] == [True] * CLIENTS
        for client in gone:
            client.expect_closed()
        stays.ping()


def detach(cloud, device):
    cloud.iot.detach_policy(policyName=device.name, target=device.arn)


def narrow(cloud, device):
    cloud.iot.create_policy_version(policyName=device.name, policyDocument=limited(), setAsDefault=True)


CHANGES = {"detached": (detach, "no policy is attached"), "new-default-version": (narrow, "allows iot:Publish on `topic/own/*`, not on")}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_policy_stops_the_next_publish(server, cloud, device, way, change):
    """The API's answer is a promise: the very next packet is decided by the new policies."""
    apply, reason = CHANGES[change]
    with way.connected(device) as client:
        client.publish_qos1("any/topic", "allowed")
        mark = server.log_mark()
        apply(cloud, device)
        client.send(mqtt.publish("any/topic", "refused", 1, 9))
        client.expect_closed()  # and no PUBACK before that
        server.expect_log(device.name, "denied", "iot:Publish", "topic/any/topic", because(reason), since=mark)
        server.expect_log(device.name, "FORBIDDEN_ACCESS", since=mark)


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_that_is_published_after_the_answer_is_delivered(server, cloud, device, tmp_path, name, change):
    """Devices on every event loop publish as fast as they can, with and without waiting for a PUBACK."""
    apply, _ = CHANGES[change]
    watcher = cloud.device(tmp_path, f"{name}-watcher")
    clients = [Client.connected(server, device, name if number == 0 else f"{name}-{number}") for number in range(CLIENTS)]
    with Client.connected(server, watcher) as to:
        to.subscribe(f"{name}/t")
        for client in clients:
            client.publish_qos1(f"{name}/t", "before")
            assert to.read_message()[1] == b"before"
        apply(cloud, device)
        for number, client in enumerate(clients):
            client.send(b"".join(mqtt.publish(f"{name}/t", f"{n}", number % 2, n + 1) for n in range(50)))
        for client in clients:
            client.expect_closed()
        with Client.connected(server, watcher, f"{name}-marker") as marker:
            marker.publish_qos1(f"{name}/t", "marker")
        assert to.read_message()[1] == b"marker"


def test_what_a_new_default_version_allows_goes_on(server, cloud, device, way):
    with way.connected(device) as client:
        client.publish_qos1("any/topic", "allowed")
        narrow(cloud, device)
        client.publish_qos1("own/topic", "allowed")
        cloud.iot.set_default_policy_version(policyName=device.name, policyVersionId="1")
        client.publish_qos1("any/topic", "allowed again")


def test_a_policy_detached_while_connected_withholds_the_next_delivery(server, cloud, device, way, tmp_path, name):
    by = cloud.device(tmp_path, f"{name}-by")
    with way.connected(device) as to, Client.connected(server, by) as sender:
        to.subscribe(f"{name}/t", qos=1)
        sender.publish_qos1(f"{name}/t", "first")
        assert to.read_message()[1] == b"first"
        mark = server.log_mark()
        detach(cloud, device)
        sender.publish_qos1(f"{name}/t", "withheld")
        server.expect_log(f'client_id="{name}"', "denied", "iot:Receive", f"topic/{name}/t",
                          because("no policy is attached"), since=mark)
        # Allowed again: what comes now is the third message, not the second.
        cloud.iot.attach_policy(policyName=device.name, target=device.arn)
        sender.publish_qos1(f"{name}/t", "third")
        assert to.read_message()[1] == b"third"


# Helpers ---------------------------------------------------------------------------------------------------------------

def self_signed(directory, name):
    directory = directory / f"self-signed-{name}"
    directory.mkdir()
    certificate, key = directory / "certificate.pem.crt", directory / "private.pem.key"
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=AWS IoT Certificate", "-days", "10",
            "-out", certificate, "-keyout", key)
    fingerprint = openssl("x509", "-in", certificate, "-noout", "-fingerprint", "-sha256")
    identifier = fingerprint.strip().rpartition("=")[2].replace(":", "").lower()
    return Device(name, directory, arn("cert", identifier), identifier)


def not_active(device, status):
    return f"certificate {device.certificate_id} is {status}, and only ACTIVE ones may connect"


def not_on(policy_name, number, action, allowed, asked):
    """How the log says that a statement came close."""
    return f"policy `{policy_name}` statement {number} allows {action} on `{allowed}`, not on `{asked}`"


def delete_certificate(cloud, device):
    for thing in cloud.iot.list_principal_things(principal=device.arn)["things"]:
        cloud.iot.detach_thing_principal(thingName=thing, principal=device.arn)
    cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus="INACTIVE")
    cloud.iot.delete_certificate(certificateId=device.certificate_id, forceDelete=True)
