"""A client of the API that sends a request and hangs up: what the request has changed must be in effect like any change."""

import itertools
import json
import socket

import pytest

from support import mqtt
from support.cloud import log_rule
from support.http import as_bytes, send_and_hang_up, signed
from support.mqtt import Client
from support.server import because
from support.waiting import DEADLINE_S, eventually

ROUNDS = 8
"""How soon the server sees that its client has gone is a matter of luck: one round proves little."""

TRIES = 3
"""Publishes until a rule that is listed must run: it is listed before it is stored, and in effect only after that."""

LOOKS_PER_REQUEST = 20
"""How often a request's effect is looked for before it is sent again."""


@pytest.fixture(params=["closed", "reset"])
def hang_up(request, server):
    """Sends a request and leaves, until `happened` is true; a reset drops even what the server may have answered already.

    A request may be dropped before it is begun, as nobody waits for it: it is sent again when nothing comes of it.
    """

    def send_until(happened, what, *request_parts):
        looks = itertools.count()

        def look():
            if next(looks) % LOOKS_PER_REQUEST == 0:
                send_and_hang_up(server, *request_parts, reset=request.param == "reset")
            return happened()

        eventually(look, what)

    return send_until


# Certificates and policies -----------------------------------------------------------------------------------------

def deactivate(cloud, device, hang_up):
    def happened():
        described = cloud.iot.describe_certificate(certificateId=device.certificate_id)["certificateDescription"]
        return described["status"] == "INACTIVE"

    hang_up(happened, "the certificate is INACTIVE", f"/certificates/{device.certificate_id}?newStatus=INACTIVE", "PUT")


def activate(cloud, device):
    cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus="ACTIVE")


def test_a_deactivated_certificate_loses_its_session(server, cloud, tmp_path, name, hang_up):
    """The device says nothing, so nothing but the change can end its session."""
    device = cloud.device(tmp_path, name)
    for _ in range(ROUNDS):
        with Client.connected(server, device) as client:
            mark = server.log_mark()
            deactivate(cloud, device, hang_up)
            client.expect_closed()
            server.expect_log(name, "AUTH_ERROR", because("its certificate is no longer ACTIVE"), since=mark)
        activate(cloud, device)


@pytest.mark.parametrize("status", ["INACTIVE", "REVOKED"])
def test_who_deactivates_again_and_stays_may_rely_on_it(server, cloud, tmp_path, name, hang_up, status):
    """Whatever became of the first request."""
    device = cloud.device(tmp_path, name)
    for _ in range(ROUNDS):
        with Client.connected(server, device) as client:
            deactivate(cloud, device, hang_up)
            cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus=status)
            assert client.is_closed_already()
        activate(cloud, device)


def test_a_detached_policy_stops_the_next_publish(server, cloud, tmp_path, name, hang_up):
    device = cloud.device(tmp_path, name)
    body = json.dumps({"target": device.arn}).encode()

    def happened():
        return not cloud.iot.list_attached_policies(target=device.arn)["policies"]

    for _ in range(ROUNDS):
        with Client.connected(server, device) as client:
            client.publish_qos1("any/topic", "allowed")
            hang_up(happened, "the policy is detached", f"/target-policies/{name}", "POST", body)
            client.send(mqtt.publish("any/topic", "refused", 1, 9))
            client.expect_closed()
        cloud.iot.attach_policy(policyName=name, target=device.arn)


# Rules ---------------------------------------------------------------------------------------------------------------

@pytest.fixture
def client(server, cloud, tmp_path, name):
    """A connected device; a log group, and a rule that logs every message in it."""
    cloud.logs.create_log_group(logGroupName=name)
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=log_rule("SELECT *, topic() AS seen FROM '+/t'", name))
    with Client.connected(server, cloud.device(tmp_path, name)) as client:
        yield client


def test_a_rule_that_is_listed_runs(cloud, client, name, hang_up):
    for rule in (f"{name}_{number}" for number in range(ROUNDS)):
        body = json.dumps(logging_rule(rule, name)).encode()
        hang_up(lambda: rule in listed_rules(cloud), "the rule is listed", f"/rules/{rule}", "POST", body)
        assert settles(cloud, client, rule, name, runs=True), f"{rule} is listed, but its topic does not run it"


def test_a_rule_that_is_no_longer_listed_runs_no_more(cloud, client, name, hang_up):
    for rule in (f"{name}_{number}" for number in range(ROUNDS)):
        cloud.iot.create_topic_rule(ruleName=rule, topicRulePayload=logging_rule(rule, name))
        hang_up(lambda: rule not in listed_rules(cloud), "the rule is not listed", f"/rules/{rule}", "DELETE")
        assert settles(cloud, client, rule, name, runs=False), f"{rule} is no longer listed, but its topic runs it"


def logging_rule(rule, group):
    return log_rule(f"SELECT *, '{rule}' AS by FROM '{rule}/t'", group)


def listed_rules(cloud):
    return {item["ruleName"] for page in cloud.iot.get_paginator("list_topic_rules").paginate() for item in page["rules"]}


def settles(cloud, client, rule, group, runs):
    """Whether, within a few publishes, one runs the rule (`runs` False: one does not)."""
    for number in range(TRIES):
        client.publish_qos1(f"{rule}/t", f'{{"n":{number}}}')
        # What both rules log of one message is stored together: once one event can be read, the other can.
        seen, by = f'{{"n":{number},"seen":"{rule}/t"}}', f'{{"n":{number},"by":"{rule}"}}'
        logged = eventually(lambda: (found := cloud.messages(group)) and seen in found and found, f"the event {seen}")
        if (by in logged) == runs:
            return True
        # Answered when it is stored. The journal has one order, so the rule's change is stored by then as well.
        cloud.iot.create_thing(thingName=f"{rule}-{number}")
    return False


def test_a_client_that_has_said_everything_is_answered(server, cloud):
    """It closes its own side behind the request (`shutdown`), as `nc -N` does, and reads on."""
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", server.api_port), timeout=DEADLINE_S) as tcp:
            tcp.sendall(as_bytes("/things", signed(server, "/things", "GET"), "GET"))
            tcp.shutdown(socket.SHUT_WR)
            assert tcp.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"
