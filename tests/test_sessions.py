"""Persistent sessions of both versions: subscriptions and QoS 1 messages that outlive connections and servers.

[AWS mqtt-persistent-sessions], `docs/spec/sessions.md`.
"""

import json
import time

import pytest

from support.cloud import Cloud, policy, refused, statement
from support.server import Server
from support.sessions import V5, V311, Peer
from support.waiting import eventually

PUBREC = 5
BOTH = pytest.mark.parametrize("version", [V311, V5])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Several loops: a client, its publisher and its earlier connections are seldom in the same one."""
    with Server(tmp_path_factory.mktemp("eyot"), "--loops", "4") as server:
        yield server


@pytest.fixture(scope="module")
def device(cloud, tmp_path_factory):
    return cloud.device(tmp_path_factory.mktemp("device"), "device")


def publish(server, device, name, topic, *payloads, qos=1, **options):
    with Peer(server, device, f"{name}-by", clean=True, expiry=0, version=V5) as by:
        for payload in payloads:
            by.publish(topic, payload, qos, **options)
        by.ping()


@BOTH
def test_what_a_client_misses_waits_for_it(server, device, name, version):
    with Peer(server, device, name, version) as peer:
        assert not peer.session_present
        assert peer.subscribe(f"{name}/+") == [1]
        peer.leave()
    publish(server, device, name, f"{name}/a", "1", "2")
    publish(server, device, name, f"{name}/a", "not kept", qos=0)
    publish(server, device, name, f"{name}/b", "3")
    with Peer(server, device, name, version) as peer:
        assert peer.session_present
        messages = [peer.take() for _ in range(3)]
        assert [message.payload for message in messages] == [b"1", b"2", b"3"]
        assert all(message.qos == 1 and not message.retain for message in messages)
        for message in messages:
            peer.ack(message)
        publish(server, device, name, f"{name}/a", "4")
        assert peer.receive() == ["4"]
        peer.leave()
    with Peer(server, device, name, version) as peer:
        assert peer.session_present
        peer.ping()  # What was acknowledged does not come again.


@BOTH
def test_what_is_subscribed_with_qos_0_does_not_wait(server, device, name, version):
    with Peer(server, device, name, version) as peer:
        assert peer.subscribe(f"{name}/a", qos=0) == [0]
        assert peer.subscribe(f"{name}/b", qos=1) == [1]
        peer.leave()
    publish(server, device, name, f"{name}/a", "not kept")
    publish(server, device, name, f"{name}/b", "kept")
    with Peer(server, device, name, version) as peer:
        assert peer.receive() == ["kept"]
        publish(server, device, name, f"{name}/a", "now it is here")
        assert peer.receive() == ["now it is here"]


@BOTH
def test_what_is_not_acknowledged_comes_again(server, device, name, version):
    """[MQTT311 4.4.0-1]; [AWS mqtt] DUP is not set, and the identifier may be another."""
    with Peer(server, device, name, version) as peer:
        peer.subscribe(name)
        publish(server, device, name, name, "1", "2", "3")
        first = [peer.take() for _ in range(3)]
        peer.ack(first[1])
        peer.ping()
        peer.close()
    for _ in range(2):
        with Peer(server, device, name, version) as peer:
            again = [peer.take() for _ in range(2)]
            assert [(message.payload, message.dup) for message in again] == [(b"1", False), (b"3", False)]
    with Peer(server, device, name, version) as peer:
        assert peer.receive(2) == ["1", "3"]
        peer.leave()
    with Peer(server, device, name, version) as peer:
        peer.ping()


@BOTH
def test_the_window_holds_and_the_rest_follows(server, device, name, version):
    """A hundred in flight [AWS General Reference], then one for each that is acknowledged."""
    with Peer(server, device, name, version) as peer:
        peer.subscribe(name)
        peer.leave()
    payloads = [str(number) for number in range(130)]
    publish(server, device, name, name, *payloads)
    with Peer(server, device, name, version) as peer:
        window = [peer.take() for _ in range(100)]
        peer.ping()  # Nothing more came before the answer.
        for message in window:
            peer.ack(message)
        assert [message.payload.decode() for message in window] + peer.receive(30) == payloads


def test_a_small_receive_maximum_holds_for_what_waited(server, device, name):
    with Peer(server, device, name, V5) as peer:
        peer.subscribe(name)
        peer.leave()
    publish(server, device, name, name, *map(str, range(7)))
    with Peer(server, device, name, V5, receive_maximum=2) as peer:
        window = [peer.take() for _ in range(2)]
        peer.ping()
        for message in window:
            peer.ack(message)
        assert peer.receive(5) == ["2", "3", "4", "5", "6"]


@BOTH
def test_a_clean_start_ends_the_session(server, device, name, version):
    with Peer(server, device, name, version) as peer:
        peer.subscribe(name)
        peer.leave()
    publish(server, device, name, name, "gone")
    with Peer(server, device, name, version, clean=True, expiry=0) as peer:
        assert not peer.session_present
        publish(server, device, name, name, "gone as well")
        peer.ping()
        peer.leave()
    with Peer(server, device, name, version) as peer:
        assert not peer.session_present


def test_a_clean_start_with_an_expiry_begins_a_new_session(server, device, name):
    for _ in range(2):
        with Peer(server, device, name, V5, clean=True) as peer:
            assert not peer.session_present
            peer.subscribe(name)
            peer.leave()
    publish(server, device, name, name, "1")
    with Peer(server, device, name, V5) as peer:
        assert peer.session_present
        assert peer.receive() == ["1"]


def test_the_versions_do_not_share_a_session(server, device, name):
    """[AWS mqtt-persistent-sessions]"""
    for version, other in ((V311, V5), (V5, V311)):
        with Peer(server, device, name, version) as peer:
            assert not peer.session_present
            peer.subscribe(name)
            peer.leave()
        publish(server, device, name, name, "gone")
        with Peer(server, device, name, other) as peer:
            assert not peer.session_present
            peer.ping()
            peer.leave()
        with Peer(server, device, name, other, clean=True, expiry=0) as peer:
            peer.leave()


def test_a_session_ends_when_its_time_is_over(server, device, name):
    with Peer(server, device, name, V5, expiry=1) as peer:
        peer.subscribe(name)
        peer.leave()
    publish(server, device, name, name, "too late")
    server.expect_log("session ended", name)
    with Peer(server, device, name, V5) as peer:
        assert not peer.session_present
        peer.ping()


def test_a_disconnect_may_end_the_session(server, device, name):
    """[MQTT5 3.14.2.2.2]"""
    with Peer(server, device, name, V5) as peer:
        peer.subscribe(name)
        peer.leave(expiry=0)
    with Peer(server, device, name, V5, expiry=0) as peer:
        assert not peer.session_present


def test_a_session_can_be_resumed_for_the_last_time(server, device, name):
    with Peer(server, device, name, V5) as peer:
        peer.subscribe(name)
        peer.leave()
    publish(server, device, name, name, "1")
    with Peer(server, device, name, V5, expiry=0) as peer:
        assert peer.session_present
        assert peer.receive() == ["1"]
        peer.close()
    eventually(lambda: not resumed(server, device, name), lambda: "the session to be gone")


def resumed(server, device, name):
    with Peer(server, device, name, V5, expiry=0) as peer:
        return peer.session_present


@BOTH
def test_a_takeover_takes_the_session_over(server, device, name, version):
    first = Peer(server, device, name, version)
    first.subscribe(name)
    publish(server, device, name, name, "1")
    assert first.take().payload == b"1"
    with Peer(server, device, name, version) as second:
        assert second.session_present
        assert second.receive() == ["1"]
        publish(server, device, name, name, "2")
        assert second.receive() == ["2"]
    first.close()


@BOTH
def test_an_ended_subscription_brings_nothing_any_more(server, device, name, version):
    with Peer(server, device, name, version) as peer:
        peer.subscribe(f"{name}/a", f"{name}/b")
        peer.unsubscribe(f"{name}/a")
        peer.leave()
    publish(server, device, name, f"{name}/a", "not subscribed")
    publish(server, device, name, f"{name}/b", "1")
    with Peer(server, device, name, version) as peer:
        assert peer.receive() == ["1"]
        peer.ping()


def test_overlapping_subscriptions_bring_one_copy(server, device, name):
    with Peer(server, device, name) as peer:
        assert peer.subscribe(f"{name}/+", f"{name}/a", f"{name}/#") == [1, 1, 1]
        peer.leave()
    publish(server, device, name, f"{name}/a", "1", "2")
    with Peer(server, device, name) as peer:
        assert peer.receive(2) == ["1", "2"]
        peer.ping()


def test_an_expired_message_does_not_wait(server, device, name):
    with Peer(server, device, name, V5) as peer:
        peer.subscribe(name)
        peer.leave()
    publish(server, device, name, name, "short", expiry=1)
    publish(server, device, name, name, "long", expiry=100)
    time.sleep(1.1)  # Nothing happens at that moment that could be waited for.
    with Peer(server, device, name, V5) as peer:
        assert peer.receive() == ["long"]
        peer.ping()


def test_messages_of_rules_and_of_the_api_wait_as_well(server, cloud, device, name):
    with Peer(server, device, name) as peer:
        peer.subscribe(f"{name}/+")
        peer.leave()
    cloud.data.publish(topic=f"{name}/api", payload=b"from the API", qos=1)
    action = {"republish": {"roleArn": "arn:aws:iam::000000000000:role/unchecked", "topic": f"{name}/rule", "qos": 1}}
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload={
        "sql": f"SELECT 'from the rule' AS text FROM '{name}/in/+'", "actions": [action], "awsIotSqlVersion": "2016-03-23"})
    publish(server, device, name, f"{name}/in/1", "{}")
    with Peer(server, device, name) as peer:
        payloads = peer.receive(2)
    assert payloads[0] == "from the API" and json.loads(payloads[1]) == {"text": "from the rule"}


@BOTH
def test_a_retained_message_is_replayed_until_it_is_acknowledged(server, device, name, version):
    publish(server, device, name, name, "kept", retain=True)
    with Peer(server, device, name, version) as peer:
        peer.subscribe(name)
        assert (peer.take().payload, peer.session_present) == (b"kept", False)
        peer.close()
    with Peer(server, device, name, version) as peer:
        message = peer.take()
        assert (message.payload, message.retain) == (b"kept", True)
        peer.ack(message)
        peer.ping()


def test_who_may_not_receive_does_not_get_what_waited(server, cloud, device, tmp_path, name):
    everything = policy(statement("iot:*", "*"))
    other = cloud.device(tmp_path, name, everything)
    with Peer(server, other, name) as peer:
        peer.subscribe(f"{name}/secret", f"{name}/open")
        peer.leave()
    publish(server, device, name, f"{name}/secret", "secret")
    publish(server, device, name, f"{name}/open", "open")
    denied = policy(statement("iot:*", "*"), statement("iot:Receive", "*secret", "Deny"))
    cloud.iot.create_policy_version(policyName=name, policyDocument=denied, setAsDefault=True)
    with Peer(server, other, name) as peer:
        assert peer.receive() == ["open"]
        peer.ping()


def test_who_may_not_subscribe_any_more_loses_the_subscription(server, cloud, device, tmp_path, name):
    other = cloud.device(tmp_path, name, policy(statement("iot:*", "*")))
    with Peer(server, other, name) as peer:
        peer.subscribe(f"{name}/a", f"{name}/b")
        peer.leave()
    denied = policy(statement("iot:*", "*"), statement("iot:Subscribe", "*/a", "Deny"))
    cloud.iot.create_policy_version(policyName=name, policyDocument=denied, setAsDefault=True)
    with Peer(server, other, name) as peer:
        assert peer.session_present
        assert [each["topicFilter"] for each in cloud.data.list_subscriptions(clientId=name)["subscriptions"]] == [f"{name}/b"]
        publish(server, device, name, f"{name}/a", "no")
        publish(server, device, name, f"{name}/b", "yes")
        assert peer.receive() == ["yes"]


def test_the_api_sees_and_ends_sessions(server, cloud, device, name):
    with Peer(server, device, name, V5, expiry=100) as peer:
        peer.subscribe(f"{name}/a", qos=0)
        peer.subscribe(f"{name}/b", qos=1)
        state = cloud.data.get_connection(clientId=name)
        assert (state["connected"], state["cleanSession"], state["sessionExpiry"]) == (True, False, 100)
        peer.leave()
    listed = cloud.data.list_subscriptions(clientId=name)["subscriptions"]
    assert [(each["topicFilter"], each["qos"]) for each in listed] == [(f"{name}/a", 0), (f"{name}/b", 1)]
    publish(server, device, name, f"{name}/b", "gone")
    cloud.data.delete_connection(clientId=name, cleanSession=True)
    refused("ResourceNotFoundException", 404, cloud.data.list_subscriptions, clientId=name)
    refused("ResourceNotFoundException", 404, cloud.data.delete_connection, clientId=name, cleanSession=True)
    with Peer(server, device, name, V5) as peer:
        assert not peer.session_present
        peer.subscribe(name)
        cloud.data.delete_connection(clientId=name)
        peer.close()
    with Peer(server, device, name, V5) as peer:
        assert peer.session_present
        cloud.data.delete_connection(clientId=name, cleanSession=True)
    with Peer(server, device, name, V5) as peer:
        assert not peer.session_present


# Wills --------------------------------------------------------------------------------------------------------

def test_a_delayed_will_waits_for_the_client(server, device, name):
    """[MQTT5 3.1.2.5]"""
    with Peer(server, device, f"{name}-sees", V5, clean=True, expiry=0) as sees:
        sees.subscribe(f"{name}/will")
        with Peer(server, device, name, V5, will=(f"{name}/will", "comes back", 1, False), will_delay=1) as peer:
            peer.close()
        # It would come before this one, whose second begins later.
        with Peer(server, device, name, V5, will=(f"{name}/will", "after a second", 1, False), will_delay=1) as peer:
            peer.close()
        assert sees.receive() == ["after a second"]
        sees.ping()


def test_a_delayed_will_comes_when_the_session_ends(server, device, name):
    with Peer(server, device, f"{name}-sees", V5, clean=True, expiry=0) as sees:
        sees.subscribe(f"{name}/will")
        will = dict(will=(f"{name}/will", "the session ended", 1, False), will_delay=3600)
        with Peer(server, device, name, V5, expiry=1, **will) as peer:
            peer.close()
        assert sees.receive() == ["the session ended"]
        with Peer(server, device, name, V5, expiry=0, **will) as peer:
            peer.close()
        assert sees.receive() == ["the session ended"], "a session that ends with its connection has no delay"
        with Peer(server, device, name, V5, expiry=100, **will) as peer:
            peer.close()
        with Peer(server, device, name, V5, clean=True, expiry=0):
            assert sees.receive() == ["the session ended"], "a new session ends the old one"


@pytest.mark.parametrize("end", ["takeover", "api", "disconnect", "disconnect with will"])
def test_a_delayed_will_and_how_the_connection_ends(server, cloud, device, name, end):
    with Peer(server, device, f"{name}-sees", V5, clean=True, expiry=0) as sees:
        sees.subscribe(f"{name}/will")
        peer = Peer(server, device, name, V5, will=(f"{name}/will", "gone", 1, False), will_delay=1)
        if end == "takeover":
            # It is back: there is no will but the later one of the second connection.
            with Peer(server, device, name, V5, will=(f"{name}/will", "of the second", 1, False), will_delay=1) as second:
                peer.close()
                second.close()
            assert sees.receive() == ["of the second"]
            sees.ping()
            return
        if end == "api":
            cloud.data.delete_connection(clientId=name)
        else:
            peer.leave(reason=0x04 if end == "disconnect with will" else 0)
        if end == "disconnect":
            time.sleep(1.2)  # A will that must not come has no moment to wait for.
            sees.ping()
        else:
            assert sees.receive() == ["gone"]
        peer.close()


# Limits -------------------------------------------------------------------------------------------------------

def test_a_queue_is_bounded_and_says_so(tmp_path):
    with Server(tmp_path, "--limit", "queued_messages_max=5") as server:
        device = Cloud(server.api_url).device(tmp_path, "device")
        with Peer(server, device, "away") as peer:
            peer.subscribe("t")
            peer.leave()
        publish(server, device, "by", "t", "0", expiry=1)
        publish(server, device, "by", "t", *map(str, range(1, 8)))
        server.expect_log("a queue is full", "topic=\"t\"")
        time.sleep(1.1)  # The first one expires, and makes room.
        publish(server, device, "by", "t", "8")
        with Peer(server, device, "away") as peer:
            assert peer.receive(5) == ["1", "2", "3", "4", "8"]
            peer.ping()


def test_large_messages_are_bounded_in_bytes(tmp_path):
    with Server(tmp_path, "--limit", "queued_bytes_max=100000") as server:
        device = Cloud(server.api_url).device(tmp_path, "device")
        with Peer(server, device, "away") as peer:
            peer.subscribe("t")
            peer.leave()
        publish(server, device, "by", "t", "a" * 60_000, "b" * 60_000, "c" * 10_000)
        with Peer(server, device, "away") as peer:
            assert [payload[0] for payload in peer.receive(2)] == ["a", "c"]
            peer.ping()


def test_filters_that_no_store_takes_are_refused_alone(tmp_path):
    with Server(tmp_path, "--limits", "relaxed") as server:
        device = Cloud(server.api_url).device(tmp_path, "device")
        with Peer(server, device, "kept", V5) as peer:
            assert peer.subscribe("x" * 40_000) == [0x97]
            assert peer.subscribe("t") == [1]
            peer.leave()
        with Peer(server, device, "kept", V5) as peer:
            assert peer.session_present
        with Peer(server, device, "clean", V5, clean=True, expiry=0) as peer:
            assert peer.subscribe("x" * 40_000) == [1]


def test_narrower_limits_meet_wider_sessions(tmp_path):
    """What was granted QoS 2 goes on with QoS 1 where there is none."""
    with Server(tmp_path, "--limits", "relaxed") as server:
        device = Cloud(server.api_url).device(tmp_path, "device")
        with Peer(server, device, "peer") as peer:
            assert peer.subscribe("t", qos=2) == [2]
            peer.leave()
        with Peer(server, device, "by", clean=True, expiry=0) as by:
            by.send(by.published("t", "1", 2) + by.published("t", "2", 2, 8))
            assert [by.read()[0] for _ in range(2)] == [PUBREC, PUBREC]
    with Server(tmp_path) as server:
        with Peer(server, device, "peer") as peer:
            assert peer.session_present
            assert peer.receive(2) == ["1", "2"]
            publish(server, device, "by", "t", "3")
            assert peer.receive() == ["3"]


# Restarts -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("end", ["stop", "kill"])
def test_sessions_survive_the_server(tmp_path, end):
    with Server(tmp_path, "--loops", "2") as server:
        device = Cloud(server.api_url).device(tmp_path, "device")
        away = Peer(server, device, "away", V5)
        away.subscribe("t/+")
        away.subscribe("$share/g/s/+")
        away.leave()
        here = Peer(server, device, "here", V311)
        here.subscribe("t/+")
        publish(server, device, "p", "t/1", "1", "2", expiry=1000)
        publish(server, device, "p", "s/1", "shared")
        messages = [here.take() for _ in range(2)]
        here.ack(messages[0])
        here.ping()
        # The next PUBACK waits for the journal, in which the removal of what was acknowledged stands before it.
        publish(server, device, "p", "elsewhere", "x", retain=True)
        with Peer(server, device, "new", V5) as new:
            new.subscribe("u")
            new.unsubscribe("u")
        if end == "kill":
            server.kill()
        else:
            server.stop()
        here.close()
        server.start()
        with Peer(server, device, "here", V311) as here:
            assert here.session_present
            assert here.receive() == ["2"]
            publish(server, device, "p", "t/2", "3")
            assert here.receive() == ["3"]
        with Peer(server, device, "away", V5) as away:
            assert away.session_present
            assert sorted(away.receive(4)) == ["1", "2", "3", "shared"]
        with Peer(server, device, "new", V5) as new:
            assert new.session_present
            new.subscribe("marker")
            publish(server, device, "p", "u", "no longer subscribed")
            publish(server, device, "p", "marker", "behind it")
            assert new.receive() == ["behind it"]
