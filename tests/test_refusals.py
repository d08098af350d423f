"""Who may not in stays out, who may no longer stay is dropped, and the server's log says why. Resumed TLS sessions too."""

import re
import socket
import ssl
import subprocess

import pytest
from tlslite.api import X509, HandshakeSettings, TLSConnection, X509CertChain, parsePEMKey
from tlslite.errors import TLSError

from support import mqtt
from support.cloud import Device, arn, policy, statement
from support.mqtt import Client, expect_refused, tls_context
from support.openssl import openssl
from support.waiting import DEADLINE_S

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = pytest.mark.parametrize("version", [TLS12, TLS13], ids=["tls12", "tls13"])


@pytest.fixture
def device(cloud, tmp_path, name):
    """A device that may do everything."""
    return cloud.device(tmp_path, name)


# Before the first packet -----------------------------------------------------------------------------------------

@VERSIONS
def test_no_certificate(server, version, name):
    mark = server.log_mark()
    expect_refused(server, tls_context(version=version), name)
    server.expect_log("certificate", since=mark)


@VERSIONS
def test_an_unknown_certificate(server, version, tmp_path, name):
    """A good key and certificate that nobody registered."""
    mark = server.log_mark()
    stranger = self_signed(tmp_path, name)
    expect_refused(server, tls_context(stranger, version), name)
    server.expect_log(re.compile(stranger.certificate_id[:8]), re.compile("unknown|not registered", re.I), since=mark)


@VERSIONS
def test_a_certificate_of_our_ca_that_was_deleted(server, cloud, version, tmp_path, name):
    device = cloud.device(tmp_path, name)
    Client.connected(server, device, version=version).disconnect()
    delete_certificate(cloud, device)
    mark = server.log_mark()
    expect_refused(server, tls_context(device, version), name)
    server.expect_log(device.certificate_id[:8], re.compile("unknown|not registered", re.I), since=mark)


@VERSIONS
@pytest.mark.parametrize("status", ["INACTIVE", "REVOKED"])
def test_a_certificate_that_is_not_active(server, cloud, device, version, status):
    cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus=status)
    mark = server.log_mark()
    expect_refused(server, tls_context(device, version), device.name)
    server.expect_log(device.certificate_id[:8], status, since=mark)
    cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus="ACTIVE")
    Client.connected(server, device, version=version).disconnect()


def test_a_certificate_created_without_set_as_active(server, cloud, tmp_path, name):
    device = cloud.certificate(tmp_path, name, active=False)
    mark = server.log_mark()
    expect_refused(server, tls_context(device), name)
    server.expect_log(device.certificate_id[:8], "INACTIVE", since=mark)


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
        server.expect_log("127.0.0.1", re.compile("signature", re.I), since=mark)


@VERSIONS
def test_a_certificate_without_policy(server, cloud, version, tmp_path, name):
    device = cloud.certificate(tmp_path, name)
    mark = server.log_mark()
    expect_refused(server, tls_context(device, version), name)
    server.expect_log(name, "policy", since=mark)


# Policies ----------------------------------------------------------------------------------------------------------

def limited(*more):
    """May connect under its own thing's name and use topics below `own/`."""
    return policy(
        statement("iot:Connect", arn("client", "${iot:Connection.Thing.ThingName}")),
        statement(["iot:Publish", "iot:Receive"], arn("topic", "own/*")),
        statement("iot:Subscribe", arn("topicfilter", "own/*")),
        *more,
    )


@VERSIONS
def test_a_client_id_that_the_policy_does_not_allow(server, cloud, version, tmp_path, name):
    device = cloud.device(tmp_path, name, limited())
    mark = server.log_mark()
    expect_refused(server, tls_context(device, version), f"{name}-other")
    server.expect_log(f"{name}-other", re.compile("policy|polic", re.I), since=mark)
    Client.connected(server, device, version=version).disconnect()


@pytest.mark.parametrize("qos", [0, 1])
def test_a_topic_that_the_policy_does_not_allow(server, cloud, tmp_path, name, qos):
    device = cloud.device(tmp_path, name, limited())
    with Client.connected(server, device) as client:
        client.publish_qos1("own/a", "fine")
        mark = server.log_mark()
        client.send(mqtt.publish("foreign/a", "x", qos, 8 if qos else None))
        client.expect_closed()
        server.expect_log(name, "foreign/a", re.compile("polic", re.I), since=mark)


def test_a_filter_that_the_policy_does_not_allow(server, cloud, tmp_path, name):
    device = cloud.device(tmp_path, name, limited())
    with Client.connected(server, device) as client:
        client.subscribe("own/#")
        mark = server.log_mark()
        client.send(mqtt.subscribe(2, "foreign/#"))
        client.expect_closed()
        server.expect_log(name, "foreign/#", re.compile("polic", re.I), since=mark)


def test_an_explicit_deny_wins(server, cloud, tmp_path, name):
    device = cloud.device(tmp_path, name, limited(statement("iot:Publish", arn("topic", "own/secret*"), "Deny")))
    with Client.connected(server, device) as client:
        client.publish_qos1("own/open", "fine")
        mark = server.log_mark()
        client.send(mqtt.publish("own/secret/x", "x"))
        client.expect_closed()
        server.expect_log(name, "own/secret/x", re.compile("den(y|ied)", re.I), since=mark)


def test_a_will_that_the_policy_does_not_allow(server, cloud, tmp_path, name):
    device = cloud.device(tmp_path, name, limited())
    mark = server.log_mark()
    expect_refused(server, tls_context(device), name, will=("foreign/will", "x", 0, False))
    server.expect_log(name, "foreign/will", since=mark)


def test_receive_decides_at_every_delivery(server, cloud, tmp_path, name):
    """Subscribe allows the wildcard, Receive only a part of what it matches."""
    document = policy(
        statement(["iot:Connect", "iot:Subscribe"], "*"), statement("iot:Receive", arn("topic", f"{name}/open/*")))
    device = cloud.device(tmp_path, name, document)
    by = cloud.device(tmp_path, f"{name}-by")
    with Client.connected(server, device) as to, Client.connected(server, by) as sender:
        to.subscribe(f"{name}/#")
        sender.publish_qos1(f"{name}/closed/1", "withheld")
        sender.publish_qos1(f"{name}/open/1", "delivered")
        assert to.read_message()[:2] == (f"{name}/open/1", b"delivered")


# While connected -----------------------------------------------------------------------------------------------------

@VERSIONS
def test_deactivated_while_connected(server, cloud, device, version):
    """The API's answer comes after the connection has been dropped."""
    client = Client.connected(server, device, version=version)
    mark = server.log_mark()
    cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus="INACTIVE")
    client.expect_closed()
    server.expect_log(device.name, re.compile("INACTIVE|certificate", re.I), since=mark)


def test_every_connection_of_the_certificate_is_dropped_and_no_other(server, cloud, device, tmp_path, name):
    bystander = cloud.device(tmp_path, f"{name}-bystander")
    with Client.connected(server, bystander) as stays:
        gone = [Client.connected(server, device, f"{name}-{number}") for number in range(8)]
        cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus="REVOKED")
        for client in gone:
            client.expect_closed()
        stays.ping()


def test_a_policy_detached_while_connected_stops_the_next_publish(server, cloud, device):
    with Client.connected(server, device) as client:
        client.publish_qos1("any/topic", "allowed")
        mark = server.log_mark()
        cloud.iot.detach_policy(policyName=device.name, target=device.arn)
        client.send(mqtt.publish("any/topic", "refused", 1, 9))
        client.expect_closed()
        server.expect_log(device.name, "any/topic", re.compile("polic", re.I), since=mark)


def test_a_policy_detached_while_connected_withholds_the_next_delivery(server, cloud, device, tmp_path, name):
    by = cloud.device(tmp_path, f"{name}-by")
    with Client.connected(server, device) as to, Client.connected(server, by) as sender:
        to.subscribe(f"{name}/t", qos=1)
        sender.publish_qos1(f"{name}/t", "first")
        assert to.read_message()[1] == b"first"
        cloud.iot.detach_policy(policyName=device.name, target=device.arn)
        sender.publish_qos1(f"{name}/t", "withheld")
        # Allowed again: what comes now is the third message, not the second.
        cloud.iot.attach_policy(policyName=device.name, target=device.arn)
        sender.publish_qos1(f"{name}/t", "third")
        assert to.read_message()[1] == b"third"


def test_a_new_default_version_of_a_policy_holds_at_once(server, cloud, tmp_path, name):
    device = cloud.device(tmp_path, name)
    with Client.connected(server, device) as client:
        client.publish_qos1("any/topic", "allowed")
        cloud.iot.create_policy_version(policyName=name, policyDocument=limited(), setAsDefault=True)
        client.publish_qos1("own/topic", "allowed")
        client.send(mqtt.publish("any/topic", "refused"))
        client.expect_closed()


def test_a_device_that_keeps_publishing_is_stopped_at_the_change(server, cloud, device, tmp_path, name):
    """Nothing published after the API's answer is delivered."""
    watcher = cloud.device(tmp_path, f"{name}-watcher")
    with Client.connected(server, watcher) as to, Client.connected(server, device) as client:
        to.subscribe(f"{name}/t")
        client.publish_qos1(f"{name}/t", "before")
        assert to.read_message()[1] == b"before"
        cloud.iot.detach_policy(policyName=device.name, target=device.arn)
        client.send(b"".join(mqtt.publish(f"{name}/t", f"{n}") for n in range(50)))
        client.expect_closed()
        with Client.connected(server, watcher, f"{name}-marker") as marker:
            marker.publish_qos1(f"{name}/t", "marker")
        assert to.read_message()[1] == b"marker"


# With a resumed TLS session, which never shows its certificate again ----------------------------------------------------

DENIALS = {
    "inactive": lambda cloud, device: cloud.iot.update_certificate(
        certificateId=device.certificate_id, newStatus="INACTIVE"),
    "revoked": lambda cloud, device: cloud.iot.update_certificate(
        certificateId=device.certificate_id, newStatus="REVOKED"),
    "deleted": lambda cloud, device: delete_certificate(cloud, device),
    "policy-detached": lambda cloud, device: cloud.iot.detach_policy(policyName=device.name, target=device.arn),
}


@pytest.mark.parametrize("denial", DENIALS)
def test_resumed_tls12_session_is_checked_again(server, cloud, device, denial):
    context = tls_context(device, TLS12)
    first = Client.connected(server, device, context=context)
    session = first.socket.session
    first.disconnect()
    again = Client.connected(server, device, context=context, session=session)
    assert again.socket.session_reused, "nothing is resumed, so this test would prove nothing"
    again.disconnect()
    DENIALS[denial](cloud, device)
    mark = server.log_mark()
    expect_refused(server, context, device.name, session=session)
    server.expect_log(re.compile(f"{device.certificate_id[:8]}|{device.name}"), since=mark)


@pytest.mark.parametrize("denial", DENIALS)
def test_resumed_tls13_session_is_checked_again(server, cloud, device, tmp_path, denial):
    stored = tmp_path / "session.pem"
    accepted, printed = s_client(server, device, "-sess_out", stored)
    assert accepted, printed
    accepted, printed = s_client(server, device, "-sess_in", stored)
    assert accepted and "Reused" in printed, printed
    DENIALS[denial](cloud, device)
    mark = server.log_mark()
    accepted, printed = s_client(server, device, "-sess_in", stored)
    assert not accepted and "Reused" in printed, printed
    server.expect_log(re.compile(f"{device.certificate_id[:8]}|{device.name}"), since=mark)


def s_client(server, device, *options):
    """A CONNECT through `openssl s_client` on TLS 1.3. Returns whether a CONNACK came, and what openssl printed."""
    process = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{server.mqtts_port}", "-tls1_3", "-noservername",
         "-cert", device.certificate, "-key", device.key, *map(str, options)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    printed = b""
    try:
        process.stdin.write(mqtt.connect(device.name))
        process.stdin.flush()
        while chunk := process.stdout.read1(65536):
            printed += chunk
            if b"\x20\x02\x00\x00" in printed:
                # Tickets come before the CONNACK on the same stream: the session file is complete now.
                process.stdin.write(mqtt.packet(mqtt.DISCONNECT, 0, b""))
                process.stdin.flush()
    except BrokenPipeError:
        printed += process.stdout.read()
    finally:
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass  # openssl has ended already
        try:
            process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return b"\x20\x02\x00\x00" in printed, printed.decode(errors="replace")


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


def delete_certificate(cloud, device):
    for thing in cloud.iot.list_principal_things(principal=device.arn)["things"]:
        cloud.iot.detach_thing_principal(thingName=thing, principal=device.arn)
    cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus="INACTIVE")
    cloud.iot.delete_certificate(certificateId=device.certificate_id, forceDelete=True)
