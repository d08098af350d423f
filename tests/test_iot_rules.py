"""Topic rules: their life, what they refuse, and what they do with a message."""

import base64
import json
import re

import pytest

from support.cloud import ROLE, arn, log_rule, pages, refused
from support.mqtt import Client
from support.waiting import eventually

POST_SQL = "SELECT *, topic() as device_id, timestamp() AS received_at"


@pytest.fixture(scope="module")
def device(cloud, tmp_path_factory):
    return cloud.device(tmp_path_factory.mktemp("device"), "device")


@pytest.fixture
def group(cloud, name):
    cloud.logs.create_log_group(logGroupName=name)
    return name


def publish(server, device, *messages):
    """Each is (topic, payload); returns when all are acknowledged, so their consequences are on disk."""
    with Client.connected(server, device) as client:
        for topic, payload in messages:
            client.publish_qos1(topic, payload)


# Their life -------------------------------------------------------------------------------------------------------

def test_create_get_replace_delete(cloud, name, group):
    payload = log_rule("SELECT * FROM 'a/b'", group, description="text", ruleDisabled=False)
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=payload, tags="k=v&k%202=v%202")
    got = cloud.iot.get_topic_rule(ruleName=name)
    assert got["ruleArn"] == arn("rule", name)
    rule = got["rule"]
    created_at = rule.pop("createdAt")
    assert rule == payload | {"ruleName": name, "actions": rule["actions"]}
    assert rule["actions"][0]["cloudwatchLogs"]["logGroupName"] == group
    assert rule["actions"][0]["cloudwatchLogs"]["roleArn"] == ROLE
    tags = cloud.iot.list_tags_for_resource(resourceArn=arn("rule", name))["tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"k": "v", "k 2": "v 2"}
    refused("ResourceAlreadyExistsException", 409, cloud.iot.create_topic_rule, ruleName=name, topicRulePayload=payload)

    cloud.iot.replace_topic_rule(ruleName=name, topicRulePayload=log_rule("SELECT 1 AS one", group))
    rule = cloud.iot.get_topic_rule(ruleName=name)["rule"]
    assert rule["sql"] == "SELECT 1 AS one" and rule["createdAt"] == created_at and not rule.get("description")
    cloud.iot.disable_topic_rule(ruleName=name)
    assert cloud.iot.get_topic_rule(ruleName=name)["rule"]["ruleDisabled"] is True
    cloud.iot.enable_topic_rule(ruleName=name)
    assert cloud.iot.get_topic_rule(ruleName=name)["rule"]["ruleDisabled"] is False
    cloud.iot.delete_topic_rule(ruleName=name)
    refused("UnauthorizedException", 401, cloud.iot.get_topic_rule, ruleName=name,
            text=f"Access to topic rule '{name}' was denied")


def test_defaults(cloud, name):
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload={"sql": "SELECT 1 AS one", "actions": []})
    rule = cloud.iot.get_topic_rule(ruleName=name)["rule"]
    assert (rule["awsIotSqlVersion"], rule["ruleDisabled"], rule["actions"]) == ("2015-10-08", False, [])


@pytest.mark.parametrize("sql", [
    "", "SELECT", "SELECT FROM 'a'", "SELEC * FROM 'a'", "SELECT * FROM a", "SELECT * FROM 'a' WHERE", "SELECT * FROM 'a/#/b'",
    "SELECT nosuchfunction(1) FROM 'a'", "SELECT topic( FROM 'a'", "SELECT * FROM 'a'; DROP TABLE x", "SELECT 'open FROM 'a'",
])
def test_sql_that_does_not_parse(cloud, name, sql):
    refused("SqlParseException", 400, cloud.iot.create_topic_rule, ruleName=name,
            topicRulePayload={"sql": sql, "actions": []})
    refused("UnauthorizedException", 401, cloud.iot.get_topic_rule, ruleName=name)


def test_replace_refuses_bad_sql_and_keeps_the_old_rule(cloud, name, group):
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=log_rule(POST_SQL, group))
    refused("SqlParseException", 400, cloud.iot.replace_topic_rule, ruleName=name, topicRulePayload=log_rule("SELECT", group))
    assert cloud.iot.get_topic_rule(ruleName=name)["rule"]["sql"] == POST_SQL


ACTION = {"cloudwatchLogs": {"logGroupName": "g", "roleArn": ROLE}}
BAD_PAYLOADS = {
    "eleven-actions": (
        {"sql": "SELECT 1 AS a", "actions": [ACTION] * 11},
        "'topicRulePayload.actions' failed to satisfy constraint: Member must have length less than or equal to 10"),
    "eleven-actions-and-no-sql-that-parses": (
        {"sql": "SELECT", "actions": [ACTION] * 11}, "Member must have length less than or equal to 10"),
    "an-action-of-no-kind": ({"sql": "SELECT 1 AS a", "actions": [{}]}, "action 1: an action has exactly one kind"),
    "an-action-of-two-kinds": (
        {"sql": "SELECT 1 AS a", "actions": [ACTION, ACTION | {"republish": {"topic": "t", "roleArn": ROLE}}]},
        "action 2: an action has exactly one kind"),
    "an-action-without-a-member": (
        {"sql": "SELECT 1 AS a", "actions": [{"cloudwatchLogs": {"roleArn": ROLE}}]},
        "Value null at 'topicRulePayload.actions.1.member.cloudwatchLogs.logGroupName' failed to satisfy constraint: "
        "Member must not be null"),
    "an-unknown-version": (
        {"sql": "SELECT 1 AS a", "actions": [], "awsIotSqlVersion": "1999-01-01"},
        "`1999-01-01` is no SQL version: 2015-10-08, 2016-03-23 or beta"),
    "no-sql": ({"actions": []}, "Value null at 'topicRulePayload.sql' failed to satisfy constraint: Member must not be null"),
    "no-actions": (
        {"sql": "SELECT 1 AS a"}, "Value null at 'topicRulePayload.actions' failed to satisfy constraint: Member must not be null"),
}


@pytest.mark.parametrize("kind", BAD_PAYLOADS)
def test_bad_payloads(cloud, name, kind):
    payload, text = BAD_PAYLOADS[kind]
    text = re.compile(f"{re.escape(text)}$")
    refused("InvalidRequestException", 400, cloud.loose_iot.create_topic_rule, ruleName=name, topicRulePayload=payload, text=text)
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload={"sql": "SELECT 1 AS a", "actions": []})
    refused("InvalidRequestException", 400, cloud.loose_iot.replace_topic_rule, ruleName=name, topicRulePayload=payload, text=text)
    assert cloud.iot.get_topic_rule(ruleName=name)["rule"]["actions"] == []


def test_a_bad_name(cloud):
    refused("InvalidRequestException", 400, cloud.loose_iot.create_topic_rule, ruleName="with-dash",
            topicRulePayload={"sql": "SELECT 1 AS a", "actions": []},
            text=re.compile(r"1 validation error detected: Value 'with-dash' at 'ruleName' failed to satisfy constraint: "
                            r"Member must satisfy regular expression pattern: \^\[a-zA-Z0-9_\]\+\$"))


ACTIONS = {
    "republish": {"topic": "a/${topic()}", "qos": 1, "roleArn": ROLE},
    "s3": {"bucketName": "b", "key": "${topic()}/${timestamp()}", "roleArn": ROLE, "cannedAcl": "private"},
    "sqs": {"queueUrl": "https://queue.example/q", "useBase64": True, "roleArn": ROLE},
    "sns": {"targetArn": "arn:aws:sns:us-east-1:000000000000:t", "messageFormat": "RAW", "roleArn": ROLE},
    "lambda": {"functionArn": "arn:aws:lambda:us-east-1:000000000000:function:f"},
    "kinesis": {"streamName": "s", "partitionKey": "${newuuid()}", "roleArn": ROLE},
    "firehose": {"deliveryStreamName": "d", "separator": "\n", "batchMode": True, "roleArn": ROLE},
    "dynamoDBv2": {"putItem": {"tableName": "t"}, "roleArn": ROLE},
    "http": {"url": "https://example.org/a", "confirmationUrl": "https://example.org", "headers": [{"key": "k", "value": "v"}]},
    "timestream": {"databaseName": "d", "tableName": "t", "dimensions": [{"name": "n", "value": "${topic()}"}], "roleArn": ROLE},
    "stepFunctions": {"stateMachineName": "m", "executionNamePrefix": "p", "roleArn": ROLE},
    "kafka": {"destinationArn": "arn:aws:iot:us-east-1:000000000000:ruledestination/x", "topic": "t", "clientProperties": {"acks": "1"}},
    "cloudwatchMetric": {"metricName": "m", "metricNamespace": "n", "metricUnit": "None", "metricValue": "1", "roleArn": ROLE},
}


@pytest.mark.parametrize("kind", ACTIONS)
def test_every_kind_of_action_is_kept_as_it_was_given(cloud, name, kind):
    payload = {"sql": "SELECT 1 AS a", "actions": [{kind: ACTIONS[kind]}], "errorAction": {kind: ACTIONS[kind]}}
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=payload)
    rule = cloud.iot.get_topic_rule(ruleName=name)["rule"]
    assert rule["actions"] == payload["actions"] and rule["errorAction"] == payload["errorAction"]


def test_list_in_pages_with_filters(cloud, name):
    for number in range(4):
        payload = {"sql": f"SELECT * FROM '{name}/{number}'", "actions": [], "ruleDisabled": number % 2 == 1}
        cloud.iot.create_topic_rule(ruleName=f"{name}_{number}", topicRulePayload=payload)
    found = pages(cloud.iot.list_topic_rules, {"maxResults": 1})
    mine = [rule for rule in found if rule["ruleName"].startswith(f"{name}_")]
    assert [rule["ruleName"] for rule in mine] == [f"{name}_{number}" for number in range(4)]
    assert [rule["topicPattern"] for rule in mine] == [f"{name}/{number}" for number in range(4)]
    assert [rule["ruleDisabled"] for rule in mine] == [False, True, False, True]
    assert mine[0]["ruleArn"] == arn("rule", f"{name}_0")
    by_topic = cloud.iot.list_topic_rules(topic=f"{name}/2")["rules"]
    assert [rule["ruleName"] for rule in by_topic] == [f"{name}_2"]
    disabled = {rule["ruleName"] for rule in cloud.iot.list_topic_rules(ruleDisabled=True)["rules"]}
    assert disabled >= {f"{name}_1", f"{name}_3"} and f"{name}_0" not in disabled


# What they do -----------------------------------------------------------------------------------------------------

def test_a_from_filter(server, cloud, device, name, group):
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=log_rule(
        f"SELECT temp, topic(2) AS room, clientid() AS by FROM '{name}/+/temp' WHERE temp > 20", group))
    publish(server, device, (f"{name}/kitchen/temp", '{"temp": 21.50, "more": 1}'), (f"{name}/kitchen/temp", '{"temp": 20}'),
            (f"{name}/kitchen/other", '{"temp": 30}'), (f"{name}/cellar/temp", '{"temp": "x"}'), (f"{name}/attic/temp", '{"temp": 1e2}'))
    assert cloud.wait_for_messages(2, group) == [
        '{"temp":21.50,"room":"kitchen","by":"device"}', '{"temp":1e2,"room":"attic","by":"device"}']


@pytest.mark.parametrize(("version", "logged"), [
    ("2016-03-23", '{"a":27,"b":27.50,"c":-3,"d":2.70e1,"e":27,"f":"27.0","g":{"h":[0,1.5]}}'),
    ("2015-10-08", '{"a":27.0,"b":27.50,"c":-3.00,"d":2.70e1,"e":27,"f":"27.0","g":{"h":[0.0,1.5]}}'),
], ids=["2016-03-23", "2015-10-08"])
def test_whole_decimals_are_ints_under_2016_03_23(server, cloud, device, name, group, version, logged):
    """[AWS iot-sql] "SQL versions": 10.0 is processed as the Int 10, under 2015-10-08 it stays.

    Ours: in what `SELECT *` copies too, at any depth, and numbers with an exponent keep their text. See
    docs/spec/sql-decisions.md, "Whole decimals".
    """
    rule = log_rule(f"SELECT * FROM '{name}'", group, awsIotSqlVersion=version)
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=rule)
    publish(server, device, (name, '{"a": 27.0, "b": 27.50, "c": -3.00, "d": 2.70e1, "e": 27, "f": "27.0", "g": {"h": [0.0, 1.5]}}'))
    assert cloud.wait_for_messages(1, group) == [logged]


def test_basic_ingest_reaches_its_rule_only(server, cloud, device, name, group):
    """Nothing is delivered to subscribers, and no FROM filter matches."""
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=log_rule(f"SELECT *, topic() AS t FROM 'ignored/{name}'", group))
    cloud.iot.create_topic_rule(ruleName=f"{name}_from", topicRulePayload=log_rule(f"SELECT 'from' AS x FROM '{name}/#'", group))
    with Client.connected(server, device, f"{name}-sub") as to:
        to.subscribe(f"{name}/#", f"+/rules/{name}/#")
        publish(server, device, (f"$aws/rules/{name}/{name}/x", '{"a":1}'), (f"{name}/marker", "{}"))
        assert to.read_message()[0] == f"{name}/marker"
    assert sorted(cloud.wait_for_messages(2, group)) == [f'{{"a":1,"t":"{name}/x"}}', '{"x":"from"}']


def test_a_disabled_rule_and_an_unknown_one_do_nothing(server, cloud, device, name, group):
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=log_rule("SELECT *", group, ruleDisabled=True))
    publish(server, device, (f"$aws/rules/{name}/x", '{"n":1}'), (f"$aws/rules/{name}_none/x", '{"n":2}'))
    cloud.iot.enable_topic_rule(ruleName=name)
    publish(server, device, (f"$aws/rules/{name}/x", '{"n":3}'))
    assert cloud.wait_for_messages(1, group) == ['{"n":3}']


def test_a_replaced_rule_holds_at_once(server, cloud, device, name, group):
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=log_rule(f"SELECT 1 AS v FROM '{name}'", group))
    with Client.connected(server, device) as client:
        for version in range(1, 20):
            cloud.iot.replace_topic_rule(ruleName=name, topicRulePayload=log_rule(f"SELECT {version} AS v FROM '{name}'", group))
            client.publish_qos1(name, "{}")
        cloud.iot.delete_topic_rule(ruleName=name)
        client.publish_qos1(name, "{}")
    assert cloud.wait_for_messages(19, group) == [f'{{"v":{version}}}' for version in range(1, 20)]


def test_republish(server, cloud, device, name):
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload={
        "sql": f"SELECT temp FROM '{name}/in/+'", "awsIotSqlVersion": "2016-03-23",
        "actions": [{"republish": {"topic": f"{name}/out/${{topic(3)}}", "qos": 1, "roleArn": ROLE}}]})
    with Client.connected(server, device, f"{name}-sub") as to:
        to.subscribe(f"{name}/out/+", qos=1)
        publish(server, device, (f"{name}/in/a", '{"temp": 1.0, "x": 2}'))
        # 2016-03-23 makes whole decimals Ints (vector v0060); under the default version 1.0 would stay.
        assert to.read_message() == (f"{name}/out/a", b'{"temp":1}', 1, False)


def test_republish_to_itself_ends(server, cloud, device, name):
    """A loop is cut; the server goes on, and the log says so."""
    mark = server.log_mark()
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload={
        "sql": f"SELECT * FROM '{name}'", "actions": [{"republish": {"topic": name, "qos": 0, "roleArn": ROLE}}]})
    publish(server, device, (name, "{}"))
    server.expect_log(name, re.compile("loop|depth", re.I), since=mark)
    with Client.connected(server, device) as client:
        client.ping()


def test_a_rule_feeds_another_by_republish(server, cloud, device, name, group):
    cloud.iot.create_topic_rule(ruleName=f"{name}_1", topicRulePayload={
        "sql": f"SELECT n, 'one' AS by FROM '{name}/1'", "actions": [{"republish": {"topic": f"$$aws/rules/{name}_2", "roleArn": ROLE}}]})
    cloud.iot.create_topic_rule(ruleName=f"{name}_2", topicRulePayload=log_rule("SELECT *, 'two' AS then", group))
    publish(server, device, (f"{name}/1", '{"n":1}'))
    assert cloud.wait_for_messages(1, group) == ['{"n":1,"by":"one","then":"two"}']


def test_an_error_action_gets_what_failed(server, cloud, device, name, group):
    """The group of the action does not exist: the failure goes where errorAction says, with the original payload."""
    payload = log_rule(f"SELECT * FROM '{name}'", f"{name}-none")
    payload["errorAction"] = {"cloudwatchLogs": {"logGroupName": group, "roleArn": ROLE}}
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=payload)
    publish(server, device, (name, '{"n":1}'))
    failure = json.loads(cloud.wait_for_messages(1, group)[0])
    assert failure["ruleName"] == name and failure["topic"] == name and failure["clientId"] == "device"
    assert base64.b64decode(failure["base64OriginalPayload"]) == b'{"n":1}'
    assert failure["failures"][0]["failedResource"] and failure["failures"][0]["errorMessage"]


def test_an_action_that_is_not_there_yet_says_so(server, cloud, device, name, group):
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload={
        "sql": f"SELECT * FROM '{name}'", "actions": [{"s3": ACTIONS["s3"]}],
        "errorAction": {"cloudwatchLogs": {"logGroupName": group, "roleArn": ROLE}}})
    publish(server, device, (name, '{"n":1}'))
    assert "not available" in cloud.wait_for_messages(1, group)[0]


@pytest.mark.parametrize("payload", [b"not json", b"", b"\xff\x00", b"[1,2]", b'"text"', b'{"a":' * 200])
def test_a_payload_that_is_no_object(server, cloud, device, name, group, payload):
    """Whatever a device sends: the publish is acknowledged and the rule after it still runs."""
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=log_rule(f"SELECT a FROM '{name}'", group))
    publish(server, device, (name, payload), (name, '{"a":"after"}'))
    eventually(lambda: '{"a":"after"}' in cloud.messages(group), "the message after")


def test_publish_over_http(server, cloud, device, name, group):
    """iot-data Publish: rules run, subscribers get it, and the answer is AWS's."""
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=log_rule(f"SELECT * FROM '{name}/#'", group))
    with Client.connected(server, device) as to:
        to.subscribe(f"{name}/+", qos=1)
        cloud.data.publish(topic=f"{name}/a b", qos=1, payload=b'{"n": 1.50}')
        assert to.read_message() == (f"{name}/a b", b'{"n": 1.50}', 1, False)
    cloud.data.publish(topic=f"$aws/rules/{name}/x", payload=b'{"n": 2}')
    assert cloud.wait_for_messages(2, group) == ['{"n":1.50}', '{"n":2}']
