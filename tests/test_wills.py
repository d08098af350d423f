"""Wills, by every reason for which a connection ends. [AWS iot-lifecycle-events], aws-map 1.4"""

import json

import pytest

from support.cloud import Cloud, policy, statement
from support.mqtt import GONE, packet
from support.server import Server
from support.sessions import V5, V311, Peer

BOTH = pytest.mark.parametrize("version", [V311, V5])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Keep-alives of a second are as good as those of half a minute, and sooner over."""
    with Server(tmp_path_factory.mktemp("eyot"), "--loops", "2", "--limit", "keep_alive_min_s=1", "--limit", "payload_bytes_max=1000") as server:
        yield server


@pytest.fixture(scope="module")
def device(cloud, tmp_path_factory):
    return cloud.device(tmp_path_factory.mktemp("device"), "device")


def lost(peer, **_):
    peer.close()


def leaves(peer, **_):
    peer.leave()


def leaves_with_will(peer, **_):
    peer.leave(reason=0x04)


def second_connect(peer, **_):
    peer.send(packet(1, 0, b"\0\4MQTT\4\2\0\x3c\0\1x"))


def too_large(peer, **_):
    peer.send(peer.published("t", "x" * 1001, qos=0))


def garbage(peer, **_):
    peer.send(b"\x00\xff\xff")


def forbidden(peer, **_):
    peer.send(peer.published("$aws/things/t/shadow/update", "{}", qos=0))


def denied(peer, **_):
    peer.send(peer.published("not/allowed", "x", qos=0))


def silent(peer, **_):
    pass


def taken_over(peer, server, device, name, version, **_):
    Peer(server, device, name, version, clean=True, expiry=0).leave()


def by_api(peer, cloud, name, **_):
    cloud.data.delete_connection(clientId=name)


def deactivated(peer, cloud, device, **_):
    cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus="INACTIVE")


ENDS = {
    "CONNECTION_LOST": (lost, True), "CLIENT_INITIATED_DISCONNECT": (leaves, False), "CLIENT_ERROR by a second CONNECT": (second_connect, True),
    "CLIENT_ERROR by size": (too_large, True), "CLIENT_ERROR by garbage": (garbage, True), "FORBIDDEN_ACCESS by topic": (forbidden, True),
    "FORBIDDEN_ACCESS by policy": (denied, True), "MQTT_KEEP_ALIVE_TIMEOUT": (silent, True), "DUPLICATE_CLIENTID": (taken_over, True),
    "API_INITIATED_DISCONNECT": (by_api, True), "AUTH_ERROR": (deactivated, True),
}


@BOTH
@pytest.mark.parametrize("clean", [True, False], ids=["clean", "kept"])
@pytest.mark.parametrize("reason", ENDS)
def test_every_end_and_its_will(server, cloud, device, tmp_path, name, reason, clean, version):
    end, has_will = ENDS[reason]
    document = policy(statement("iot:*", "*"), statement("iot:Publish", "*/not/allowed", "Deny"))
    dies = cloud.device(tmp_path, name, document)
    with Peer(server, device, f"{name}-sees", V5, clean=True, expiry=0) as sees:
        sees.subscribe(f"{name}/will", f"$aws/events/presence/disconnected/{name}")
        peer = Peer(server, dies, name, version, clean=clean, expiry=0 if clean else 100, will=(f"{name}/will", "gone", 1, False), keep_alive=1)
        try:
            end(peer, server=server, cloud=cloud, device=dies, name=name, version=version)
        except GONE:
            pass
        told = [sees.take() for _ in range(1 + has_will)]
        for message in told:
            sees.ack(message)
        if has_will:
            assert (told[0].topic, told[0].payload) == (f"{name}/will", b"gone"), "it comes before the event"
        assert json.loads(told[-1].payload)["disconnectReason"] == reason.split(" ")[0]
        if end is not taken_over:
            sees.ping()
        peer.close()


def test_mqtt_5_may_leave_with_its_will(server, device, name):
    """[MQTT5 3.14.2.1] 0x04"""
    with Peer(server, device, f"{name}-sees", V5, clean=True, expiry=0) as sees:
        sees.subscribe(f"{name}/will")
        with Peer(server, device, name, V5, clean=True, expiry=0, will=(f"{name}/will", "gone", 1, False)) as peer:
            leaves_with_will(peer)
        assert sees.receive() == ["gone"]


def test_the_api_can_prevent_it(server, cloud, device, name):
    with Peer(server, device, f"{name}-sees", V5, clean=True, expiry=0) as sees:
        sees.subscribe(f"{name}/will", f"$aws/events/presence/disconnected/{name}")
        with Peer(server, device, name, V5, clean=True, expiry=0, will=(f"{name}/will", "gone", 1, False)):
            cloud.data.delete_connection(clientId=name, preventWillMessage=True)
            assert json.loads(sees.take().payload)["disconnectReason"] == "API_INITIATED_DISCONNECT"


@BOTH
def test_the_servers_end_publishes_wills_for_those_who_come_back(tmp_path, version):
    """SERVER_INITIATED_DISCONNECT: also one that was to wait for its client, because nobody would publish it later."""
    with Server(tmp_path) as server:
        device = Cloud(server.api_url).device(tmp_path, "device")
        with Peer(server, device, "sees", V5) as sees:
            sees.subscribe("will", "$aws/events/presence/disconnected/dies")
            dying = Peer(server, device, "dies", version, will=("will", "at once", 1, False))
            waiting = Peer(server, device, "waits", V5, will=("will", "though it was to wait", 1, False), will_delay=3600)
            waiting.close()
            server.expect_log("disconnected", "waits")
            server.stop()
            dying.close()
        server.start()
        with Peer(server, device, "sees", V5) as sees:
            assert sees.session_present
            told = sorted(sees.receive(3))
            assert told[:2] == ["at once", "though it was to wait"]
            assert json.loads(told[2])["disconnectReason"] == "SERVER_INITIATED_DISCONNECT"


@BOTH
def test_a_will_that_may_not_be_published_is_not(server, cloud, device, tmp_path, name, version):
    """Its client is refused; and one whose policies change before its end takes the will along."""
    dies = cloud.device(tmp_path, name, policy(statement("iot:*", "*")))
    with Peer(server, device, f"{name}-sees", V5, clean=True, expiry=0) as sees:
        sees.subscribe(f"{name}/#", f"$aws/events/presence/disconnected/{name}")
        peer = Peer(server, dies, name, version, clean=True, expiry=0, will=(f"{name}/will", "gone", 1, False))
        denied = policy(statement("iot:*", "*"), statement("iot:Publish", f"*{name}/will", "Deny"))
        cloud.iot.create_policy_version(policyName=name, policyDocument=denied, setAsDefault=True)
        peer.close()
        assert json.loads(sees.take().payload)["disconnectReason"] == "CONNECTION_LOST"
        mark = server.log_mark()
        with pytest.raises(GONE + (AssertionError,)):
            Peer(server, dies, name, version, clean=True, expiry=0, will=(f"{name}/will", "gone", 1, False))
        server.expect_log("refused", name, "iot:Publish", f"{name}/will", since=mark)
