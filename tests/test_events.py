"""Presence and subscription events: who comes, goes, and listens, as AWS tells it."""

import json

import pytest

from support import mqtt
from support.cloud import arn, log_rule, policy, statement
from support.mqtt import Client, expect_refused, tls_context


@pytest.fixture(scope="module")
def device(cloud, tmp_path_factory):
    return cloud.device(tmp_path_factory.mktemp("device"), "device")


@pytest.fixture
def watcher(server, device, name):
    with Client.connected(server, device, f"{name}-watcher") as client:
        client.subscribe(f"$aws/events/presence/+/{name}", f"$aws/events/subscriptions/+/{name}", qos=1)
        yield client


def event(watcher, kind, name):
    """The next event must be this one."""
    topic, payload, qos, retain = watcher.read_message()
    assert (topic, qos, retain) == (f"$aws/events/{kind}/{name}", 1, False)
    return json.loads(payload)


def test_a_visit_is_told_from_its_beginning_to_its_end(server, device, watcher, name):
    with Client.connected(server, device, name) as client:
        came = event(watcher, "presence/connected", name)
        assert set(came) == {"clientId", "timestamp", "eventType", "sessionIdentifier", "principalIdentifier", "ipAddress", "versionNumber"}
        assert (came["clientId"], came["eventType"], came["versionNumber"]) == (name, "connected", 0)
        assert (came["principalIdentifier"], came["ipAddress"]) == (device.certificate_id, "127.0.0.1")
        assert came["timestamp"] > 1_700_000_000_000
        client.subscribe("a/+", "b")
        listens = event(watcher, "subscriptions/subscribed", name)
        assert (listens["topics"], listens["sessionIdentifier"]) == (["a/+", "b"], came["sessionIdentifier"])
        client.send(mqtt.unsubscribe(2, "b"))
        client.read()
        assert event(watcher, "subscriptions/unsubscribed", name)["topics"] == ["b"]
        client.disconnect()
    left = event(watcher, "presence/disconnected", name)
    assert set(left) == {"clientId", "timestamp", "eventType", "sessionIdentifier", "principalIdentifier", "clientInitiatedDisconnect",
                         "disconnectReason", "versionNumber"}
    assert (left["clientInitiatedDisconnect"], left["disconnectReason"]) == (True, "CLIENT_INITIATED_DISCONNECT")
    assert (left["sessionIdentifier"], left["versionNumber"]) == (came["sessionIdentifier"], 0)


def test_each_end_has_its_reason_and_each_visit_its_number(server, device, watcher, name):
    def lost(client):
        client.socket.close()

    def broke_the_rules(client):
        client.send(b"\xff\0")

    def taken_over(client):
        Client.connected(server, device, name).disconnect()

    number = 0
    for ends, reasons in ((lost, ["CONNECTION_LOST"]), (broke_the_rules, ["CLIENT_ERROR"]),
                          (taken_over, ["DUPLICATE_CLIENTID", "CLIENT_INITIATED_DISCONNECT"])):
        client = Client.connected(server, device, name)
        ends(client)
        for reason in reasons:
            assert event(watcher, "presence/connected", name)["versionNumber"] == number
            left = event(watcher, "presence/disconnected", name)
            assert (left["disconnectReason"], left["versionNumber"]) == (reason, number)
            assert left["clientInitiatedDisconnect"] is (reason == "CLIENT_INITIATED_DISCONNECT")
            number += 1
        client.close()


def test_who_may_not_connect_is_told_of(server, cloud, device, watcher, name, tmp_path):
    nobody = cloud.device(tmp_path, name, policy(statement("iot:Connect", arn("client", "other"))))
    expect_refused(server, tls_context(nobody), name)
    failed = event(watcher, "presence/connect_failed", name)
    assert (failed["connectFailureReason"], failed["principalIdentifier"]) == ("AUTHORIZATION_FAILED", nobody.certificate_id)
    # A certificate that is not active is a stranger's: nothing is told of it.
    cloud.iot.update_certificate(certificateId=nobody.certificate_id, newStatus="INACTIVE")
    expect_refused(server, tls_context(nobody), name)
    with Client.connected(server, device, name):
        event(watcher, "presence/connected", name)


def test_rules_see_them(server, cloud, device, name):
    cloud.logs.create_log_group(logGroupName=name)
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=log_rule(
        f"SELECT clientId, eventType FROM '$aws/events/presence/+/{name}'", name))
    with Client.connected(server, device, name) as client:
        client.disconnect()
    found = [json.loads(message) for message in cloud.wait_for_messages(2, group=name)]
    assert [(each["clientId"], each["eventType"]) for each in found] == [(name, "connected"), (name, "disconnected")]


def test_nobody_else_says_such_things_and_a_plain_wildcard_does_not_hear_them(server, device, name):
    with Client.connected(server, device, f"{name}-all") as everything:
        everything.subscribe("#", "+/events/#")
        with Client.connected(server, device, name) as client:
            client.send(mqtt.publish(f"$aws/events/presence/connected/{name}", "{}"))
            client.expect_closed()
        everything.ping()


def test_a_policy_decides_who_hears_them(server, cloud, name, tmp_path):
    limited = cloud.device(tmp_path, name, policy(statement("iot:Connect", "*"), statement("iot:Subscribe", arn("topicfilter", "a/*"))))
    with Client.connected(server, limited, name) as client:
        client.send(mqtt.subscribe(1, "$aws/events/presence/connected/+"))
        client.expect_closed()
