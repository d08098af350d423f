"""A topic rule and its tags are made and deleted together."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from botocore.exceptions import ClientError

from support.cloud import Cloud, arn, log_rule

RULE = log_rule("SELECT * FROM 'a'", "g")
TAGS = "team=a&stage=b"


def tags(cloud, name):
    return {tag["Key"]: tag["Value"] for tag in cloud.iot.list_tags_for_resource(resourceArn=arn("rule", name))["tags"]}


def test_of_many_creations_at_once_one_succeeds_with_its_tags(server, cloud, name):
    """Those that come too late must not take the winner's tags away."""
    clouds = [Cloud(server.api_url) for _ in range(4)]
    for attempt in range(10):
        rule = f"{name}_{attempt}"[-100:]
        together = Barrier(len(clouds))

        def create(number):
            together.wait()
            try:
                clouds[number].iot.create_topic_rule(ruleName=rule, topicRulePayload=RULE, tags=f"by={number}")
                return number
            except ClientError as error:
                assert error.response["Error"]["Code"] == "ResourceAlreadyExistsException"
                return None

        with ThreadPoolExecutor(4) as pool:
            winners = [number for number in pool.map(create, range(4)) if number is not None]
        assert len(winners) == 1
        assert tags(cloud, rule) == {"by": str(winners[0])}


def test_a_new_rule_has_none_of_the_tags_of_one_that_was_deleted(cloud, name):
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=RULE, tags=TAGS)
    assert tags(cloud, name) == {"team": "a", "stage": "b"}
    cloud.iot.delete_topic_rule(ruleName=name)
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=RULE)
    assert tags(cloud, name) == {}


def test_a_rule_that_is_refused_leaves_no_tags(cloud, name):
    bad = RULE | {"sql": "SELECT"}
    try:
        cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=bad, tags=TAGS)
        raise AssertionError("it was taken")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "SqlParseException"
    cloud.iot.create_topic_rule(ruleName=name, topicRulePayload=RULE)
    assert tags(cloud, name) == {}
