"""/_eyot/metrics: in Prometheus's format, complete in docs/metrics.md, and the numbers are those of what was done."""

import json
import math
import re
import socket

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support import mqtt
from support.cloud import Cloud, log_rule, policy, statement
from support.http import send
from support.mqtt import Client, expect_refused, tls_context
from support.server import ROOT, Server
from support.sessions import V5, Peer
from support.waiting import eventually

PUBREC = 5
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
HELP = re.compile(rf"# HELP ({NAME}) (\S.*)")
TYPE = re.compile(rf"# TYPE ({NAME}) (counter|gauge|histogram)")
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\d+(?:\.\d+)?(?:e-?\d+)?)")
UNITS = ("_seconds", "_bytes", "_messages", "_connections", "_info", "_subscriptions", "_total")


def scrape(server):
    status, headers, body = send(server, "/_eyot/metrics", {"Host": server.ready["api"]}, "GET")
    kind = next(value for name, value in headers.items() if name.lower() == "content-type")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return body.decode()


def parse(text):
    """{family: (type, help, {(sample, labels): value})}, and refuses whatever the format does not allow.

    [Prometheus exposition formats] HELP and TYPE come before the samples, all lines of a family together, each family once, no
    series twice, and the last line ends with a line feed.
    """
    assert text.endswith("\n") and not text.endswith("\n\n")
    families, current, pending_help = {}, None, None
    for line in text.splitlines():
        if found := HELP.fullmatch(line):
            assert pending_help is None, f"HELP without TYPE before {line}"
            pending_help = found.groups()
        elif found := TYPE.fullmatch(line):
            name, kind = found.groups()
            assert pending_help and pending_help[0] == name, f"TYPE without its HELP: {line}"
            assert name not in families, f"family twice: {name}"
            families[name] = (kind, pending_help[1], {})
            current, pending_help = name, None
        else:
            found = SAMPLE.fullmatch(line)
            assert found, f"not in the format: {line!r}"
            name, labels, value = found.groups()
            kind, _, samples = families[current]
            allowed = {f"{current}_bucket", f"{current}_sum", f"{current}_count"} if kind == "histogram" else {current}
            assert name in allowed, f"{name} stands among {current}"
            key = name, tuple(sorted(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")))
            assert key not in samples, f"series twice: {line}"
            samples[key] = float(value)
    for name, (kind, _, samples) in families.items():
        assert (kind == "counter") == name.endswith("_total"), f"{name} is a {kind}"
        assert name.endswith(UNITS) or name in ("eyot_broker_connections", "eyot_broker_sessions_absent"), f"{name} names no unit"
        if kind == "histogram":
            check_histogram(name, samples)
    return families


def check_histogram(name, samples):
    buckets = [(float(dict(labels)["le"].replace("+Inf", "inf")), value)
               for (sample, labels), value in samples.items() if sample == f"{name}_bucket"]
    assert buckets == sorted(buckets) and buckets[-1][0] == math.inf
    assert [value for _, value in buckets] == sorted(value for _, value in buckets), "buckets are cumulative"
    assert buckets[-1][1] == samples[f"{name}_count", ()] and samples[f"{name}_sum", ()] >= 0


def value(families, name, **labels):
    family = name if name in families else re.sub(r"_(bucket|sum|count)$", "", name)
    return families[family][2].get((name, tuple(sorted(labels.items()))), 0)


class Watch:
    """What has changed since."""

    def __init__(self, server):
        self.server, self.before = server, parse(scrape(server))

    def expect(self, count, name, **labels):
        def grown():
            now = value(parse(scrape(self.server)), name, **labels) - value(self.before, name, **labels)
            return now == count or None

        eventually(grown, lambda: f"{count} of {name} {labels}; there are "
                                  f"{value(parse(scrape(self.server)), name, **labels) - value(self.before, name, **labels)}")


@pytest.fixture
def device(cloud, tmp_path, name):
    return cloud.device(tmp_path, name)


@pytest.fixture
def watch(server, device):
    return Watch(server)


def test_the_format_is_prometheuss(server, cloud, device):
    with Client.connected(server, device) as client:
        client.publish_qos1("a", "x")
        text = scrape(server)
    families = parse(text)
    theirs = {family.name: family for family in text_string_to_metric_families(text)}
    # Prometheus' own client leaves the ending of counters out of the family's name.
    assert {name.removesuffix("_total") for name in families} == set(theirs)
    for name, (kind, text_of_help, samples) in families.items():
        their = theirs[name.removesuffix("_total")]
        assert (their.type, their.documentation, len(their.samples)) == (kind, text_of_help, len(samples))


def test_every_family_is_documented_and_every_documented_one_is_there(server, cloud, name):
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=log_rule("SELECT *", "g"))
    documented = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| ([^|]+) \|$", (ROOT / "docs/metrics.md").read_text(), re.M)
    families = parse(scrape(server))
    expected = []
    for family, (kind, text, samples) in families.items():
        labels = sorted({label for _, labels in samples for label, _ in labels if label != "le"})
        expected.append((family, kind, ", ".join(f"`{label}`" for label in labels), text))
    assert sorted(documented) == sorted(expected)


def test_the_parser_is_strict():
    good = "# HELP a_total A.\n# TYPE a_total counter\na_total 1\n"
    parse(good)
    for bad in [good + "\n", good.rstrip(), good + good, good.replace("# HELP a_total A.\n", ""), good + "a_total 2\n",
                good.replace("a_total 1", "a_total x"), good.replace("a_total 1", 'a_total{l="x} 1'),
                good.replace("a_total", "a"), good + "b_total 1\n"]:
        with pytest.raises(AssertionError):
            parse(bad)


# The numbers -------------------------------------------------------------------------------------------------------

def test_publishes_by_version_qos_and_outcome(server, watch, device):
    with Client.connected(server, device) as client:
        client.subscribe("m/a", "m/b")
        client.send(mqtt.publish("m/a", "0"))
        client.read_message()
        client.publish_qos1("m/none", "1")
        client.send(mqtt.publish("$aws/things/x/y", "x"))
        client.expect_closed()
    v3 = {"version": "3.1.1"}
    watch.expect(1, "eyot_broker_publishes_in_total", qos="0", outcome="accepted", **v3)
    watch.expect(1, "eyot_broker_publishes_in_total", qos="1", outcome="accepted", **v3)
    watch.expect(1, "eyot_broker_publishes_in_total", qos="0", outcome="reserved", **v3)
    watch.expect(1, "eyot_broker_publishes_out_total", qos="0", **v3)
    watch.expect(2, "eyot_broker_subscribes_total", outcome="granted")
    watch.expect(1, "eyot_broker_connects_total")
    watch.expect(1, "eyot_broker_disconnects_total", reason="FORBIDDEN_ACCESS")
    now = parse(scrape(server))
    assert value(now, "eyot_broker_received_bytes_total") > value(watch.before, "eyot_broker_received_bytes_total")
    assert value(now, "eyot_broker_sent_bytes_total") > value(watch.before, "eyot_broker_sent_bytes_total")


def test_denials(server, cloud, tmp_path, watch, name):
    device = cloud.device(tmp_path, f"{name}_r", policy(statement("iot:Connect", "*")))
    for packet in (mqtt.publish("x", "x", 1, 3), mqtt.subscribe(1, "x")):
        with Client.connected(server, device) as client:
            client.send(packet)
            client.expect_closed()
    watch.expect(1, "eyot_broker_publishes_in_total", version="3.1.1", qos="1", outcome="denied")
    watch.expect(1, "eyot_broker_subscribes_total", outcome="denied")
    watch.expect(2, "eyot_broker_denied_total")


def test_refusals_by_reason(server, cloud, tmp_path, watch, device, name):
    expect_refused(server, tls_context(), name)
    socket.create_connection(("127.0.0.1", server.mqtts_port)).close()
    expect_refused(server, tls_context(device), "x" * 129)
    cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus="INACTIVE")
    expect_refused(server, tls_context(device), name)
    for reason in ("no_certificate", "silent", "protocol", "not_active"):
        watch.expect(1, "eyot_broker_connects_refused_total", reason=reason)


def test_what_waits(server, watch, device):
    """A receiver that does not acknowledge holds messages in flight."""
    with Client.connected(server, device) as client:
        client.subscribe("w/+", qos=1)
        for number in range(3):
            client.send(mqtt.publish(f"w/{number}", "x", 1, 10 + number))
        watch.expect(3, "eyot_broker_inflight_messages")
        watch.expect(1, "eyot_broker_connections")
        watch.expect(1, "eyot_broker_subscriptions")
    watch.expect(0, "eyot_broker_inflight_messages")
    watch.expect(0, "eyot_broker_connections")


def test_sessions_of_clients_that_are_away(server, watch, device, name):
    with Peer(server, device, name) as peer:
        peer.subscribe(name)
        peer.leave()
    watch.expect(1, "eyot_broker_sessions_absent")
    with Client.connected(server, device, f"{name}-by") as by:
        by.publish_qos1(name, "x")
        watch.expect(1, "eyot_broker_queued_messages")
    with Peer(server, device, name) as peer:
        assert peer.receive() == ["x"]
        watch.expect(0, "eyot_broker_sessions_absent")
        watch.expect(0, "eyot_broker_queued_messages")
        watch.expect(1, "eyot_broker_publishes_out_total", version="3.1.1", qos="1")


def test_limits_and_qos_2(tmp_path, name):
    limits = ["--limit=connection_publishes_per_s=2", "--limit=queued_messages_max=1"]
    with Server(tmp_path, "--limits", "relaxed", *limits, pace=()) as server:
        device = Cloud(server.api_url).device(tmp_path / "keys", name)
        with Peer(server, device, f"{name}-away") as peer:
            peer.subscribe(name)
            peer.leave()
        watch = Watch(server)
        with Peer(server, device, name, V5, clean=True, expiry=0) as peer:
            for packet_id in (1, 2, 3):
                peer.send(peer.published(name, "x", 2, packet_id))
                assert peer.read()[0] == PUBREC
        of = {"version": "5", "qos": "2"}
        watch.expect(2, "eyot_broker_publishes_in_total", outcome="accepted", **of)
        watch.expect(1, "eyot_broker_publishes_in_total", outcome="throttled", **of)
        watch.expect(1, "eyot_throttled_total", limit="connection_publishes_per_s")
        watch.expect(1, "eyot_broker_dropped_queue_full_total")


def test_rules_journal_retained_and_requests(server, cloud, watch, device, name):
    cloud.logs.create_log_group(logGroupName=name)
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=log_rule(f"SELECT * FROM '{name}'", name))
    with Client.connected(server, device) as client:
        client.publish_qos1(name, "{}")
        client.publish_qos1(name, "{}")
        client.send(mqtt.publish(f"{name}/kept", "x", 1, 9, retain=True))
        client.expect(mqtt.PUBACK, b"\x00\x09")
    watch.expect(2, "eyot_rule_matches_total", rule=name)
    watch.expect(2, "eyot_rule_actions_succeeded_total", rule=name)
    watch.expect(1, "eyot_retained_messages")
    watch.expect(1, "eyot_api_requests_total", service="iot", operation="CreateTopicRule", status="200")
    now = parse(scrape(server))
    grown = {family: value(now, family) - value(watch.before, family) for family in [
        "eyot_journal_transactions_total", "eyot_journal_written_bytes_total", "eyot_journal_commit_seconds_count",
        "eyot_journal_commit_seconds_sum"]}
    assert grown["eyot_journal_transactions_total"] >= 5 and all(grown.values()), grown


def test_clients_choose_no_labels(server, device):
    """Whatever clients call themselves and their topics, the series stay the same."""
    before = series(server)
    for number in range(20):
        with Client.connected(server, device, f"{device.name}-{number}") as client:
            client.publish_qos1(f"t/{number}", json.dumps({"n": number}))
            client.disconnect()
    assert series(server) == before


def series(server):
    return {key for _, _, samples in parse(scrape(server)).values() for key in samples}
