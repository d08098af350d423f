"""AWSIotLogsV2: what is logged, in AWS's format, read by boto3 and by `eyot logs tail`; and the operations that turn it on."""

import json
import re
import subprocess

import pytest

from support import mqtt, mqtt5
from support.cloud import ROLE, Cloud, arn, log_rule, pages, policy, refused, statement
from support.mqtt import Client, expect_refused, tls_context
from support.server import ACCOUNT, BINARY, Server, clean_environment
from support.sessions import V5, Peer
from support.waiting import eventually
from support.websocket import Refused, WebSocket
from test_https_publish import Https

GROUP = "AWSIotLogsV2"
COMMON = {"timestamp", "logLevel", "traceId", "accountId", "status", "eventType"}


@pytest.fixture(autouse=True)
def debug(cloud):
    """Everything is logged, and no target has a level of its own."""
    cloud.iot.set_v2_logging_options(roleArn=ROLE, defaultLogLevel="DEBUG")
    for configured in cloud.iot.list_v2_logging_levels(maxResults=250)["logTargetConfigurations"]:
        if configured["logTarget"]["targetType"] != "DEFAULT":
            cloud.iot.delete_v2_logging_level(**configured["logTarget"])


@pytest.fixture
def device(cloud, tmp_path, name):
    return cloud.device(tmp_path, name)


def lines(cloud, group=GROUP, **wanted):
    """The lines with these members, in the order of time."""
    found = [json.loads(message) for message in cloud.messages(group)] if group_exists(cloud, group) else []
    return [line for line in found if all(line.get(key) == value for key, value in wanted.items())]


def group_exists(cloud, group):
    return any(found["logGroupName"] == group for found in cloud.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"])


def line(cloud, **wanted):
    """Waits for the one line with these members."""
    found = eventually(lambda: lines(cloud, **wanted), lambda: f"{wanted} among {lines(cloud)}")
    assert len(found) == 1, found
    (one,) = found
    assert COMMON <= set(one), one
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", one["timestamp"]) and one["accountId"] == ACCOUNT
    assert one["status"] == ("Failure" if one["logLevel"] == "ERROR" else "Success")
    return one


# Off and on --------------------------------------------------------------------------------------------------------

def test_before_it_is_configured(tmp_path):
    (tmp_path / "s").mkdir()
    with Server(tmp_path / "s") as server:
        cloud = Cloud(server.api_url)
        not_configured = ("NotConfiguredException", 404)
        refused(*not_configured, cloud.iot.get_v2_logging_options)
        refused(*not_configured, cloud.iot.list_v2_logging_levels)
        target = {"targetType": "CLIENT_ID", "targetName": "c"}
        refused(*not_configured, cloud.iot.set_v2_logging_level, logTarget=target, logLevel="INFO")
        assert "roleArn" not in cloud.iot.get_logging_options()
        device = cloud.device(tmp_path, "quiet")
        Client.connected(server, device).disconnect()
        assert not group_exists(cloud, GROUP), "nothing is logged, and no group made"
        cloud.iot.set_v2_logging_options(roleArn=ROLE, defaultLogLevel="INFO")
        assert group_exists(cloud, GROUP), "the first `aws logs tail` finds it"


@pytest.mark.parametrize("options, told", [
    ({"roleArn": "logger"}, "no ARN of a role"), ({"roleArn": "arn:aws:iam::000000000000:user/logger"}, "no ARN of a role"),
    ({"roleArn": "arn:aws:iam::000000000000:role/"}, "no ARN of a role"), ({"defaultLogLevel": "LOUD"}, "enum value set"),
    ({"eventConfigurations": [{"eventType": "Connect"}, {"eventType": "Connect", "logLevel": "ERROR"}]}, "one of the eventConfigurations"),
    ({"eventConfigurations": [{"eventType": "Connect", "logDestination": "no group!"}]}, "logDestination"),
])
def test_options_that_make_no_sense_change_nothing(cloud, options, told):
    before = cloud.iot.get_v2_logging_options(verbose=True)
    assert told in str(refused("InvalidRequestException", 400, cloud.loose_iot.set_v2_logging_options, **options))
    after = cloud.iot.get_v2_logging_options(verbose=True)
    assert {**before, "ResponseMetadata": None} == {**after, "ResponseMetadata": None}


def test_options_are_kept_over_a_restart(tmp_path):
    (tmp_path / "s").mkdir()
    server = Server(tmp_path / "s")
    with server:
        cloud = Cloud(server.api_url)
        events = [{"eventType": "Publish-In", "logLevel": "DISABLED"}]
        cloud.iot.set_v2_logging_options(roleArn=ROLE, defaultLogLevel="WARN", eventConfigurations=events)
        cloud.iot.set_v2_logging_level(logTarget={"targetType": "CLIENT_ID", "targetName": "c"}, logLevel="DEBUG")
    with server:
        cloud = Cloud(server.api_url)
        options = cloud.iot.get_v2_logging_options(verbose=True)
        kept = {key: options[key] for key in ("roleArn", "defaultLogLevel", "disableAllLogs", "eventConfigurations")}
        assert kept == {"roleArn": ROLE, "defaultLogLevel": "WARN", "disableAllLogs": False, "eventConfigurations": events}
        assert cloud.iot.list_v2_logging_levels()["logTargetConfigurations"] == [
            {"logTarget": {"targetType": "DEFAULT"}, "logLevel": "WARN"},
            {"logTarget": {"targetType": "CLIENT_ID", "targetName": "c"}, "logLevel": "DEBUG"}]
        device = cloud.device(tmp_path, "c")
        Client.connected(server, device).disconnect()
        line(cloud, clientId="c", eventType="Connect")


def test_levels_of_targets_are_listed_in_pages_and_deleted(cloud, name):
    targets = [{"targetType": kind, "targetName": target} for kind, target in [
        ("THING_GROUP", name), ("CLIENT_ID", f"{name}-a"), ("CLIENT_ID", f"{name}-b"), ("SOURCE_IP", "192.0.2.1"),
        ("PRINCIPAL_ID", "a" * 64)]]
    for target in targets:
        cloud.iot.set_v2_logging_level(logTarget=target, logLevel="ERROR")
    walked = pages(cloud.iot.list_v2_logging_levels, {"maxResults": 1})
    assert [one["logTarget"] for one in walked] == [{"targetType": "DEFAULT"}, *targets]
    clients = cloud.iot.list_v2_logging_levels(targetType="CLIENT_ID")["logTargetConfigurations"]
    assert [one["logTarget"] for one in clients] == targets[1:3]
    for target in targets:
        cloud.iot.delete_v2_logging_level(**target)
    assert len(cloud.iot.list_v2_logging_levels()["logTargetConfigurations"]) == 1
    cloud.iot.set_v2_logging_level(logTarget={"targetType": "DEFAULT"}, logLevel="INFO")
    assert cloud.iot.get_v2_logging_options()["defaultLogLevel"] == "INFO"
    cloud.iot.set_logging_options(loggingOptionsPayload={"roleArn": ROLE, "logLevel": "ERROR"})
    answer = cloud.iot.get_logging_options()
    assert (answer["roleArn"], answer["logLevel"]) == (ROLE, "ERROR")


def test_what_makes_no_sense_is_refused(cloud):
    invalid = ("InvalidRequestException", 400)
    for target in ({"targetType": "CLIENT_ID"}, {"targetType": "SOURCE_IP", "targetName": "here"}):
        refused(*invalid, cloud.iot.set_v2_logging_level, logTarget=target, logLevel="INFO")
    refused(*invalid, cloud.loose_iot.set_v2_logging_options, defaultLogLevel="LOUD")
    events = [{"eventType": "Connect", "logDestination": "no such name:*"}]
    refused(*invalid, cloud.iot.set_v2_logging_options, eventConfigurations=events)


# What is logged ----------------------------------------------------------------------------------------------------

def test_a_connection_from_beginning_to_end(server, cloud, device, name):
    topic = f"{name}/a"
    with Client.connected(server, device) as client:
        port = client.socket.getsockname()[1]
        client.subscribe(topic, f"{name}/b", qos=1)
        client.send(mqtt.publish(topic, "hello", 1, 7))
        seen = {client.read()[0] for _ in range(2)}
        assert seen == {mqtt.PUBLISH, mqtt.PUBACK}
        client.disconnect()
    whose = {"protocol": "MQTT", "clientId": name, "principalId": device.certificate_id, "sourceIp": "127.0.0.1",
             "sourcePort": port}
    for kind, more in [("Connect", {}), ("Subscribe", {"topicName": f"{topic},{name}/b"}), ("Publish-In", {"topicName": topic}),
                       ("Publish-Out", {"topicName": topic}),
                       ("Disconnect", {"disconnectReason": "CLIENT_INITIATED_DISCONNECT"})]:
        found = line(cloud, eventType=kind, clientId=name)
        assert found["logLevel"] == "INFO" and found.items() >= (whose | more).items()


def test_a_refused_connection(server, cloud, tmp_path, name):
    device = cloud.device(tmp_path, name, policy(statement("iot:Connect", arn("client", "other"))))
    expect_refused(server, tls_context(device), name)
    found = line(cloud, eventType="Connect", clientId=name)
    assert found["reason"] == "AUTHORIZATION_FAILURE" and f"policy `{name}` statement 1" in found["details"]
    cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus="INACTIVE")
    expect_refused(server, tls_context(device), name)
    line(cloud, eventType="Connect", clientId=name, reason="AUTHENTICATION_FAILURE")


def test_refused_over_http(server, cloud, tmp_path, name):
    device = cloud.device(tmp_path, name, policy(statement("iot:Publish", arn("topic", f"{name}/*"))))
    with Https(server, tls_context(device)) as https:
        assert https.publish("other", b"x")[0] == 403
    found = line(cloud, eventType="Publish-In", principalId=device.certificate_id, protocol="HTTP")
    assert found["topicName"] == "other" and found["reason"] == "AUTHORIZATION_FAILURE"
    assert "iot:Publish is not allowed" in found["details"] and f"policy `{name}` statement 1" in found["details"]
    cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus="INACTIVE")
    with Https(server, tls_context(device)) as https:
        assert https.publish(f"{name}/x", b"x")[0] == 403
    line(cloud, eventType="Publish-In", principalId=device.certificate_id, reason="AUTHENTICATION_FAILURE")
    with pytest.raises(Refused):
        WebSocket(("127.0.0.1", server.https_port), "/mqtt", tls_context(device))
    line(cloud, eventType="Connect", principalId=device.certificate_id, protocol="MQTT", reason="AUTHENTICATION_FAILURE")


def test_denials(server, cloud, device, tmp_path, name):
    document = policy(statement("iot:Connect", "*"), statement("iot:Subscribe", arn("topicfilter", f"{name}/*")))
    restricted = cloud.device(tmp_path, f"{name}_r", document)
    with Client.connected(server, restricted) as client, Client.connected(server, device) as sender:
        client.subscribe(f"{name}/#")
        sender.publish_qos1(f"{name}/x", "for nobody")
        found = line(cloud, eventType="Publish-Out", clientId=restricted.name, reason="AUTHORIZATION_FAILURE")
        assert found["topicName"] == f"{name}/x" and "iot:Receive" in found["details"]
        client.send(mqtt.publish("foreign", "x"))
        client.expect_closed()
    line(cloud, eventType="Publish-In", clientId=restricted.name, topicName="foreign", reason="AUTHORIZATION_FAILURE")
    line(cloud, eventType="Disconnect", clientId=restricted.name, disconnectReason="FORBIDDEN_ACCESS")
    with Client.connected(server, restricted) as client:
        client.send(mqtt.subscribe(1, "foreign/#"))
        client.expect_closed()
    line(cloud, eventType="Subscribe", clientId=restricted.name, topicName="foreign/#", reason="AUTHORIZATION_FAILURE")


def test_mqtt_5(server, cloud, tmp_path, name):
    topic = f"{name}/a"
    document = policy(statement("iot:Connect", "*"), statement(["iot:Publish", "iot:Receive"], arn("topic", topic)),
                      statement("iot:Subscribe", arn("topicfilter", topic)))
    device = cloud.device(tmp_path, name, document)
    with mqtt5.connected(server, device, name) as client:
        client.send(mqtt5.subscribe(1, topic, f"{name}/b"))
        assert mqtt5.codes_of(client.read()) == [0, 0x87]
        client.send(mqtt5.publish(topic, "x"))
        client.read()
        client.send(mqtt5.publish(f"{name}/b", "x", 1, 3))
        assert mqtt5.reason_of(client.read()) == (mqtt.PUBACK, 0x87)
        client.send(mqtt.packet(mqtt.DISCONNECT, 0, b""))
        client.expect_closed()
    denied = {"reason": "AUTHORIZATION_FAILURE", "logLevel": "ERROR"}
    for kind, more in [("Connect", {}), ("Subscribe", {"topicName": topic}), ("Subscribe", {"topicName": f"{name}/b", **denied}),
                       ("Publish-In", {"topicName": topic}), ("Publish-Out", {"topicName": topic}),
                       ("Publish-In", {"topicName": f"{name}/b", **denied}),
                       ("Disconnect", {"disconnectReason": "CLIENT_INITIATED_DISCONNECT"})]:
        line(cloud, eventType=kind, clientId=name, **more)


def test_what_waits_for_a_client_that_is_away(server, cloud, device, name):
    """Of a client that is away only its id is known."""
    shared = f"$share/group/{name}/b"
    with Peer(server, device, name, V5) as peer:
        peer.subscribe(f"{name}/a", shared)
        peer.leave()
    line(cloud, eventType="Disconnect", clientId=name)
    with Peer(server, device, f"{name}-by", clean=True, expiry=0) as by:
        by.publish(f"{name}/a", "1")
        by.publish(f"{name}/b", "2")
    queued = line(cloud, eventType="Queued", topicName=f"{name}/a")
    assert queued["clientId"] == name and queued["protocol"] == "MQTT" and "principalId" not in queued
    assert f"`{shared}`" in line(cloud, eventType="Queued", topicName=f"{name}/b")["details"]
    with Peer(server, device, name, V5) as peer:
        assert sorted(peer.receive(2)) == ["1", "2"]
        for topic in ("a", "b"):
            line(cloud, eventType="Publish-Out", clientId=name, topicName=f"{name}/{topic}")


def test_rates(tmp_path, name):
    with Server(tmp_path, pace=()) as server:
        cloud = Cloud(server.api_url)
        cloud.iot.set_v2_logging_options(roleArn=ROLE, defaultLogLevel="ERROR")
        device = cloud.device(tmp_path / "keys", name)
        with Client.connected(server, device) as client:
            client.send(b"".join(mqtt.publish(f"{name}/a", "x") for _ in range(200)))
            client.ping()
            expect_refused(server, tls_context(device), name)
        throttled = {"reason": "THROTTLED", "clientId": name, "logLevel": "ERROR"}
        found = line(cloud, eventType="Publish-In", **throttled)
        assert "connection_publishes_per_s" in found["details"]
        found = line(cloud, eventType="Connect", **throttled)
        assert "client_connects_per_s" in found["details"]


def test_rules_and_the_trace_that_joins_them(server, cloud, device, name):
    topic = f"{name}/a"
    cloud.logs.create_log_group(logGroupName=name)
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=log_rule(f"SELECT * FROM '{topic}'", name))
    with Client.connected(server, device) as client:
        client.publish_qos1(topic, "{}")
        of_rule = {"clientId": name, "ruleName": name, "topicName": topic}
        matched = line(cloud, eventType="RuleMatch", **of_rule)
        assert line(cloud, eventType="StartingRuleExecution", **of_rule)["logLevel"] == "DEBUG"
        executed = line(cloud, eventType="RuleExecution", **of_rule)
        assert executed["ruleAction"] == "CloudwatchLogsAction"
        published = line(cloud, eventType="Publish-In", clientId=name)
        assert published["traceId"] == matched["traceId"] == executed["traceId"]
        client.publish_qos1(f"$aws/rules/{name}_missing/x", "{}")
        missing = line(cloud, eventType="RuleNotFound", ruleName=f"{name}_missing")
        assert missing["reason"] == "RuleNotFound" and missing["logLevel"] == "ERROR"


def test_an_action_that_fails(server, cloud, device, name):
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=log_rule("SELECT *", f"{name}_missing"))
    with Client.connected(server, device) as client:
        client.publish_qos1(f"$aws/rules/{name}/x", "{}")
    found = line(cloud, eventType="RuleExecution", ruleName=name)
    assert found["resources"] == {"LogGroup": f"{name}_missing"} and "does not exist" in found["details"]


def test_http_publishes_and_shadows(cloud, name):
    answer = cloud.data.publish(topic=f"{name}/http", payload=b"x")
    published = line(cloud, eventType="Publish-In", topicName=f"{name}/http")
    assert (published["protocol"], published["sourceIp"]) == ("HTTP", "127.0.0.1")
    assert published["traceId"] == answer["ResponseMetadata"]["RequestId"]
    cloud.data.update_thing_shadow(thingName=name, payload=b'{"state":{"reported":{}}}')
    cloud.data.get_thing_shadow(thingName=name)
    cloud.data.delete_thing_shadow(thingName=name)
    for verb in ("Update", "Get", "Delete"):
        found = line(cloud, eventType=f"{verb}ThingShadow", deviceShadowName=name)
        assert found["topicName"] == f"$aws/things/{name}/shadow/{verb.lower()}"
    refused("ResourceNotFoundException", 404, cloud.data.get_thing_shadow, thingName=f"{name}_none")
    missing = line(cloud, eventType="GetThingShadow", deviceShadowName=f"{name}_none")
    assert (missing["logLevel"], missing["reason"]) == ("ERROR", "ResourceNotFoundException")


# What is not logged ------------------------------------------------------------------------------------------------

def test_a_topic_that_is_far_too_long_is_cut(server, cloud, tmp_path, name):
    """Nobody fills the log with what is not even published."""
    barred = cloud.device(tmp_path, name, policy(statement("iot:Connect", "*")))
    with Https(server, tls_context(barred)) as https:
        assert https.publish("a" * 20_000, b"x")[0] == 403
    told = line(cloud, eventType="Publish-In", principalId=barred.certificate_id)
    assert told["topicName"] == "a" * 1024 and len(told["details"]) <= 1024


def after_this(server, cloud, device, name):
    """Something that is logged: what came before it has been decided on."""
    cloud.iot.set_v2_logging_level(logTarget={"targetType": "CLIENT_ID", "targetName": f"{name}-end"}, logLevel="INFO")
    Client.connected(server, device, f"{name}-end").disconnect()
    line(cloud, eventType="Disconnect", clientId=f"{name}-end")


@pytest.mark.parametrize("target", ["CLIENT_ID", "PRINCIPAL_ID", "SOURCE_IP"])
def test_a_target_has_its_own_level(server, cloud, device, name, target):
    loud, address = f"{name}-loud", {"source": "127.0.0.9"} if target == "SOURCE_IP" else {}
    names = {"CLIENT_ID": loud, "PRINCIPAL_ID": device.certificate_id, "SOURCE_IP": "127.0.0.9"}
    cloud.iot.set_v2_logging_options(defaultLogLevel="ERROR")
    Client.connected(server, device, loud, **address).disconnect()
    cloud.iot.set_v2_logging_level(logTarget={"targetType": target, "targetName": names[target]}, logLevel="INFO")
    with Client.connected(server, device, loud, **address) as client:
        port = client.socket.getsockname()[1]
        client.disconnect()
    after_this(server, cloud, device, name)
    assert [found["sourcePort"] for found in lines(cloud, clientId=loud)] == [port, port]


def test_levels_and_destinations_of_event_types(server, cloud, device, name):
    events = [{"eventType": "Publish-In", "logLevel": "DISABLED"}, {"eventType": "Connect", "logDestination": name}]
    cloud.iot.set_v2_logging_options(defaultLogLevel="INFO", eventConfigurations=events)
    with Client.connected(server, device) as client:
        client.publish_qos1("a", "x")
        client.disconnect()
    line(cloud, eventType="Disconnect", clientId=name)
    assert [found["eventType"] for found in lines(cloud, clientId=name)] == ["Disconnect"]
    eventually(lambda: lines(cloud, name, eventType="Connect", clientId=name), "the connect in its own group")


def test_all_logs_disabled(server, cloud, device, name):
    cloud.iot.set_v2_logging_options(disableAllLogs=True)
    Client.connected(server, device).disconnect()
    cloud.iot.set_v2_logging_options(disableAllLogs=False)
    after_this(server, cloud, device, name)
    assert lines(cloud, clientId=name) == []


def test_certificates_that_nobody_registered_are_not_logged(server, cloud, device, tmp_path, name):
    from test_refusals import self_signed
    expect_refused(server, tls_context(self_signed(tmp_path, name)), f"{name}-stranger")
    after_this(server, cloud, device, name)
    assert lines(cloud, clientId=f"{name}-stranger") == []


# Reading it --------------------------------------------------------------------------------------------------------

def test_a_deleted_group_comes_back(server, cloud, device, name):
    Client.connected(server, device).disconnect()
    line(cloud, eventType="Disconnect", clientId=name)
    cloud.logs.delete_log_group(logGroupName=GROUP)
    Client.connected(server, device, f"{name}-2").disconnect()
    line(cloud, eventType="Disconnect", clientId=f"{name}-2")
    streams = cloud.logs.describe_log_streams(logGroupName=GROUP)["logStreams"]
    assert all(re.fullmatch(rf"{ACCOUNT}-\d{{4}}-\d\d-\d\d", stream["logStreamName"]) for stream in streams), streams


def test_eyot_logs_tail_shows_it(server, cloud, device, name):
    Client.connected(server, device).disconnect()
    line(cloud, eventType="Disconnect", clientId=name)
    done = subprocess.run([BINARY, "logs", "tail", GROUP, "--filter-pattern", name, "--endpoint-url", server.api_url],
                          capture_output=True, text=True, timeout=60, env=clean_environment(NO_COLOR="1"))
    assert done.returncode == 0 and f'"eventType":"Connect","protocol":"MQTT","clientId":"{name}"' in done.stdout, done.stdout


def test_a_flood_is_written_or_counted_and_nobody_waits_for_it(server, cloud, device, name):
    """Every publish is taken; every line, Connect and Disconnect with them, is written or counted as dropped."""
    count = 20_000
    before = counts(server)
    with Client.connected(server, device) as client:
        for begin in range(0, count, 500):
            client.send(b"".join(mqtt.publish("flood", "x") for _ in range(500)))
        client.ping()
        client.disconnect()
    line(cloud, eventType="Connect", clientId=name)

    def all_told():
        now = counts(server)
        return sum(now.values()) - sum(before.values()) == count + 2

    eventually(all_told, lambda: f"{count} lines: {before}, {counts(server)}", 60)
    after = counts(server)
    assert after["failed"] == before["failed"]


def counts(server):
    from support.http import send
    _, _, body = send(server, "/_eyot/metrics", {"Host": server.ready["api"]}, "GET")
    found = re.findall(r'^eyot_iot_log_events_total\{outcome="(\w+)"\} (\d+)$', body.decode(), re.M)
    return {outcome: int(count) for outcome, count in found}
