"""CloudWatch Logs: groups, streams, events, retention, tags."""

import re
import time

import pytest

from support.cloud import pages, refused
from support.server import ACCOUNT, REGION

MISSING = "ResourceNotFoundException", 400
INVALID = "InvalidParameterException", 400
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def now_ms():
    return int(time.time() * 1000)


def group_arn(name):
    return f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}"


@pytest.fixture
def group(cloud, name):
    cloud.logs.create_log_group(logGroupName=name)
    return name


@pytest.fixture
def stream(cloud, group):
    cloud.logs.create_log_stream(logGroupName=group, logStreamName="stream")
    return {"logGroupName": group, "logStreamName": "stream"}


def put(cloud, stream, *messages, at=None):
    """Events one millisecond apart; returns the time of the first."""
    at = at or now_ms() - 1000
    events = [{"timestamp": at + index, "message": message} for index, message in enumerate(messages)]
    answer = cloud.logs.put_log_events(**stream, logEvents=events)
    assert answer["nextSequenceToken"] and "rejectedLogEventsInfo" not in answer
    return at


def messages(answer):
    return [event["message"] for event in answer["events"]]


# Groups ------------------------------------------------------------------------------------------------------------

def test_groups(cloud, name):
    cloud.logs.create_log_group(logGroupName=name, tags={"made": "here"})
    refused("ResourceAlreadyExistsException", 400, cloud.logs.create_log_group, logGroupName=name,
            text="The specified log group already exists")
    (described,) = cloud.logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    assert described["logGroupName"] == name
    assert described["arn"] == group_arn(name) + ":*" and described["logGroupArn"] == group_arn(name)
    assert abs(described["creationTime"] - now_ms()) < 60_000 and described["storedBytes"] == 0
    assert "retentionInDays" not in described and described["metricFilterCount"] == 0
    cloud.logs.delete_log_group(logGroupName=name)
    assert cloud.logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"] == []
    refused(*MISSING, cloud.logs.delete_log_group, logGroupName=name, text="The specified log group does not exist.")


def test_groups_in_pages(cloud, name):
    names = [f"{name}-{number}" for number in range(3)]
    for each in names:
        cloud.logs.create_log_group(logGroupName=each)
    found = pages(cloud.logs.describe_log_groups, {"limit": 1}, logGroupNamePrefix=name)
    assert [group["logGroupName"] for group in found] == names
    pattern = cloud.logs.describe_log_groups(logGroupNamePattern=f"{name[5:]}-1")["logGroups"]
    assert [group["logGroupName"] for group in pattern] == [f"{name}-1"]
    refused(*INVALID, cloud.logs.describe_log_groups, logGroupNamePattern="a", logGroupNamePrefix="b")
    # [AWS logs ListLogGroups] A pattern has at most 24 characters.
    listed = cloud.logs.list_log_groups(logGroupNamePattern=f"^{name[:23]}")["logGroups"]
    assert sorted(group["logGroupName"] for group in listed) == names
    refused(*INVALID, cloud.loose_logs.describe_log_groups, limit=51)


def test_retention(cloud, group):
    cloud.logs.put_retention_policy(logGroupName=group, retentionInDays=7)
    assert cloud.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["retentionInDays"] == 7
    cloud.logs.delete_retention_policy(logGroupName=group)
    assert "retentionInDays" not in cloud.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]
    for days in (0, 2, 8, 10_000):
        refused(*INVALID, cloud.logs.put_retention_policy, logGroupName=group, retentionInDays=days)
    refused(*MISSING, cloud.logs.put_retention_policy, logGroupName=f"{group}-none", retentionInDays=7)
    refused(*MISSING, cloud.logs.delete_retention_policy, logGroupName=f"{group}-none")


def test_retention_hides_what_is_older(cloud, stream):
    old, new = now_ms() - 2 * DAY_MS, now_ms() - 1000
    put(cloud, stream, "old", at=old)
    put(cloud, stream, "new", at=new)
    assert messages(cloud.logs.filter_log_events(logGroupName=stream["logGroupName"])) == ["old", "new"]
    cloud.logs.put_retention_policy(logGroupName=stream["logGroupName"], retentionInDays=1)
    assert messages(cloud.logs.filter_log_events(logGroupName=stream["logGroupName"])) == ["new"]


def test_tags(cloud, group):
    arn = group_arn(group)
    cloud.logs.tag_resource(resourceArn=arn, tags={"a": "1", "b": "2"})
    cloud.logs.tag_resource(resourceArn=arn, tags={"a": "3"})
    assert cloud.logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"a": "3", "b": "2"}
    cloud.logs.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert cloud.logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "2"}
    refused(*MISSING, cloud.logs.tag_resource, resourceArn=group_arn(f"{group}-none"), tags={"a": "1"})


def test_older_tag_operations(cloud, group):
    cloud.logs.tag_log_group(logGroupName=group, tags={"a": "1"})
    assert cloud.logs.list_tags_log_group(logGroupName=group)["tags"] == {"a": "1"}
    cloud.logs.untag_log_group(logGroupName=group, tags=["a"])
    assert cloud.logs.list_tags_log_group(logGroupName=group)["tags"] == {}


# Streams -----------------------------------------------------------------------------------------------------------

def test_streams(cloud, group):
    for name in ("b", "a", "c"):
        cloud.logs.create_log_stream(logGroupName=group, logStreamName=name)
    refused("ResourceAlreadyExistsException", 400, cloud.logs.create_log_stream, logGroupName=group, logStreamName="a",
            text="The specified log stream already exists")
    refused(*MISSING, cloud.logs.create_log_stream, logGroupName=f"{group}-none", logStreamName="a",
            text="The specified log group does not exist.")
    for bad in ("with:colon", "with*star", ""):
        refused(*INVALID, cloud.loose_logs.create_log_stream, logGroupName=group, logStreamName=bad)
    found = pages(cloud.logs.describe_log_streams, {"limit": 1}, logGroupName=group)
    assert [stream["logStreamName"] for stream in found] == ["a", "b", "c"]
    assert found[0]["arn"] == f"{group_arn(group)}:log-stream:a"
    put(cloud, {"logGroupName": group, "logStreamName": "b"}, "x", at=now_ms() - 5000)
    put(cloud, {"logGroupName": group, "logStreamName": "c"}, "x", at=now_ms() - 1000)
    latest = cloud.logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True)["logStreams"]
    assert [stream["logStreamName"] for stream in latest][:2] == ["c", "b"]
    assert latest[0]["firstEventTimestamp"] == latest[0]["lastEventTimestamp"] and latest[0]["lastIngestionTime"]
    refused(*INVALID, cloud.logs.describe_log_streams, logGroupName=group, orderBy="LastEventTime", logStreamNamePrefix="a")
    prefixed = cloud.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="b")["logStreams"]
    assert [stream["logStreamName"] for stream in prefixed] == ["b"]
    cloud.logs.delete_log_stream(logGroupName=group, logStreamName="b")
    assert messages(cloud.logs.filter_log_events(logGroupName=group)) == ["x"]
    refused(*MISSING, cloud.logs.delete_log_stream, logGroupName=group, logStreamName="b",
            text="The specified log stream does not exist.")


def test_group_identifiers(cloud, stream):
    group = stream["logGroupName"]
    put(cloud, stream, "x")
    by_arn = cloud.logs.describe_log_streams(logGroupIdentifier=group_arn(group))["logStreams"]
    assert [found["logStreamName"] for found in by_arn] == ["stream"]
    assert messages(cloud.logs.filter_log_events(logGroupIdentifier=group)) == ["x"]
    assert messages(cloud.logs.get_log_events(logGroupIdentifier=group_arn(group), logStreamName="stream")) == ["x"]
    text = ("1 validation error detected: Value at 'logGroupIdentifier' failed to satisfy constraint: "
            r"Member must satisfy regular expression pattern: [\w#+=/:,.@-]*")
    refused(*INVALID, cloud.logs.describe_log_streams, logGroupIdentifier=group_arn(group) + ":*", text=text)


# Events ------------------------------------------------------------------------------------------------------------

def test_put_and_get(cloud, stream):
    at = put(cloud, stream, *(f"message {number}" for number in range(10)))
    answer = cloud.logs.get_log_events(**stream, startFromHead=True)
    assert messages(answer) == [f"message {number}" for number in range(10)]
    assert [event["timestamp"] for event in answer["events"]] == [at + number for number in range(10)]
    assert all(abs(event["ingestionTime"] - now_ms()) < 60_000 for event in answer["events"])
    assert "eventId" not in answer["events"][0]
    # The newest page without startFromHead; times are from (inclusive) to (exclusive).
    assert messages(cloud.logs.get_log_events(**stream, limit=3)) == ["message 7", "message 8", "message 9"]
    between = cloud.logs.get_log_events(**stream, startTime=at + 2, endTime=at + 5, startFromHead=True)
    assert messages(between) == ["message 2", "message 3", "message 4"]


def test_get_in_pages_forwards_and_backwards(cloud, stream):
    """Tokens are never absent; at the end the same one comes back: that is how clients stop."""
    put(cloud, stream, *"abcde")
    seen, token = [], {}
    for _ in range(20):
        answer = cloud.logs.get_log_events(**stream, startFromHead=True, limit=1, **token)
        assert answer["nextForwardToken"].startswith("f/") and answer["nextBackwardToken"].startswith("b/")
        seen += messages(answer)
        if token == {"nextToken": answer["nextForwardToken"]}:
            break
        token = {"nextToken": answer["nextForwardToken"]}
    assert seen == list("abcde")
    put(cloud, stream, "f", at=now_ms())
    assert messages(cloud.logs.get_log_events(**stream, startFromHead=True, **token)) == ["f"], "a follower goes on"
    back, token = [], {}
    for _ in range(20):
        answer = cloud.logs.get_log_events(**stream, limit=2, **token)
        back = messages(answer) + back
        if token == {"nextToken": answer["nextBackwardToken"]}:
            break
        token = {"nextToken": answer["nextBackwardToken"]}
    assert back == list("abcdef")


@pytest.mark.parametrize("token", ["nonsense", "f/1/s", "b/"])
def test_an_unknown_token(cloud, stream, token):
    put(cloud, stream, "x")
    refused(*INVALID, cloud.loose_logs.get_log_events, **stream, nextToken=token, text="The specified nextToken is invalid.")
    refused(*INVALID, cloud.loose_logs.filter_log_events, logGroupName=stream["logGroupName"], nextToken=token,
            text="The specified nextToken is invalid.")


def test_filter(cloud, group):
    at = now_ms() - 10_000
    for index, name in enumerate(("one", "two", "other")):
        stream = {"logGroupName": group, "logStreamName": name}
        cloud.logs.create_log_stream(**stream)
        put(cloud, stream, f"ERROR {name} a", f"info {name} b", at=at + index * 100)
    everything = cloud.logs.filter_log_events(logGroupName=group)
    assert [event["timestamp"] for event in everything["events"]] == sorted(event["timestamp"] for event in everything["events"])
    assert len({event["eventId"] for event in everything["events"]}) == 6
    again = cloud.logs.filter_log_events(logGroupName=group)
    assert [event["eventId"] for event in again["events"]] == [event["eventId"] for event in everything["events"]]

    def found(**query):
        return messages(cloud.logs.filter_log_events(logGroupName=group, **query))

    assert found(filterPattern="ERROR") == ["ERROR one a", "ERROR two a", "ERROR other a"]
    assert found(filterPattern="error") == []
    assert found(filterPattern="ERROR one") == ["ERROR one a"]
    assert found(filterPattern="?one ?two") == ["ERROR one a", "info one b", "ERROR two a", "info two b"]
    assert found(filterPattern="ERROR -one") == ["ERROR two a", "ERROR other a"]
    assert found(filterPattern='"two b"') == ["info two b"]
    assert len(found(filterPattern="")) == 6
    assert found(logStreamNames=["two"]) == ["ERROR two a", "info two b"]
    assert len(found(logStreamNamePrefix="o")) == 4
    assert found(startTime=at + 200) == ["ERROR other a", "info other b"]
    assert found(endTime=at + 1, logStreamNames=["one"]) in (["ERROR one a"], ["ERROR one a", "info one b"])
    refused(*INVALID, cloud.logs.filter_log_events, logGroupName=group, logStreamNames=["one"], logStreamNamePrefix="o")
    refused(*MISSING, cloud.logs.filter_log_events, logGroupName=f"{group}-none", text="The specified log group does not exist.")
    refused(*MISSING, cloud.logs.filter_log_events, logGroupName=group, logStreamNames=["none"])


def test_filter_in_pages(cloud, stream):
    put(cloud, stream, *(f"match {number}" if number % 3 == 0 else "other" for number in range(30)))
    walked = pages(cloud.logs.filter_log_events, {"limit": 1}, logGroupName=stream["logGroupName"], filterPattern="match")
    assert [event["message"] for event in walked] == [f"match {number}" for number in range(0, 30, 3)]
    assert len({event["eventId"] for event in walked}) == 10


def test_put_refuses(cloud, stream):
    at = now_ms()
    event = {"timestamp": at, "message": "x"}
    refused(*MISSING, cloud.logs.put_log_events, logGroupName="none", logStreamName="s", logEvents=[event],
            text="The specified log group does not exist.")
    refused(*MISSING, cloud.logs.put_log_events, logGroupName=stream["logGroupName"], logStreamName="none", logEvents=[event],
            text="The specified log stream does not exist.")
    refused(*INVALID, cloud.logs.put_log_events, **stream, logEvents=[event, {"timestamp": at - 1, "message": "y"}],
            text="Log events in a single PutLogEvents request must be in chronological order.")
    refused(*INVALID, cloud.logs.put_log_events, **stream, logEvents=[{"timestamp": at - 25 * HOUR_MS, "message": "y"}, event],
            text="The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
    refused(*INVALID, cloud.loose_logs.put_log_events, **stream, logEvents=[])
    refused(*INVALID, cloud.loose_logs.put_log_events, **stream, logEvents=[{"timestamp": at, "message": ""}])
    refused(*INVALID, cloud.loose_logs.put_log_events, **stream, logEvents=[{"timestamp": -5, "message": "x"}])
    refused(*INVALID, cloud.logs.put_log_events, **stream, logEvents=[{"timestamp": at, "message": "x" * 600_000}] * 2)
    assert messages(cloud.logs.get_log_events(**stream)) == []


def test_events_too_old_or_too_new_are_named_and_the_rest_is_kept(cloud, stream):
    at = now_ms()
    answer = cloud.logs.put_log_events(**stream, logEvents=[
        {"timestamp": at, "message": "kept"}, {"timestamp": at + 3 * HOUR_MS, "message": "too new"}])
    assert answer["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 1}
    old = at - 15 * DAY_MS
    answer = cloud.logs.put_log_events(**stream, logEvents=[
        {"timestamp": old, "message": "too old"}, {"timestamp": old + 23 * HOUR_MS, "message": "too old as well"}])
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 2}
    assert messages(cloud.logs.get_log_events(**stream)) == ["kept"]


def test_any_text_comes_back_as_it_was(cloud, stream):
    texts = ["ünïcode ✓ 🦀", "line\nbreak\ttab", '{"a": 1.50}', " blanks ", "\\ \" '", "x" * 200_000]
    put(cloud, stream, *texts)
    assert messages(cloud.logs.get_log_events(**stream, startFromHead=True)) == texts


def test_a_full_batch(cloud, stream):
    """10,000 events in one call; read back in order over many pages."""
    at = now_ms() - 20_000
    events = [{"timestamp": at + number, "message": str(number)} for number in range(10_000)]
    cloud.logs.put_log_events(**stream, logEvents=events)
    read = [event["message"] for page in cloud.logs.get_paginator("filter_log_events").paginate(
        logGroupName=stream["logGroupName"]) for event in page["events"]]
    assert read == [str(number) for number in range(10_000)]
    refused(*INVALID, cloud.loose_logs.put_log_events, **stream, logEvents=[*events, events[-1]])


def test_deleting_a_group_deletes_its_events(cloud, name):
    stream = {"logGroupName": name, "logStreamName": "s"}
    for _ in range(2):
        cloud.logs.create_log_group(logGroupName=name)
        cloud.logs.create_log_stream(**stream)
        assert messages(cloud.logs.get_log_events(**stream)) == []
        put(cloud, stream, "x")
        cloud.logs.delete_log_group(logGroupName=name)
    refused(*MISSING, cloud.logs.get_log_events, **stream)


def test_an_operation_that_is_not_there_yet_says_so(cloud):
    with pytest.raises(cloud.logs.exceptions.ClientError) as caught:
        cloud.logs.describe_queries()
    assert re.search("Unknown|NotImplemented|Unsupported|InvalidAction", caught.value.response["Error"]["Code"])
    assert caught.value.response["Error"]["Message"]
