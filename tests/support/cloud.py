"""The cloud as boto3 sees it, with every answer checked against the models; and the post's provisioning in a few lines."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from . import shapes
from .openssl import openssl
from .server import ACCOUNT, REGION
from .waiting import eventually

ALLOW_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}
GROUP = "iot-core-telemetry"
POST_SQL = "SELECT *, topic() as device_id, timestamp() AS received_at"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/unchecked"


def arn(kind, name):
    return f"arn:aws:iot:{REGION}:{ACCOUNT}:{kind}/{name}"


def statement(action, resource, effect="Allow"):
    return {"Effect": effect, "Action": action, "Resource": resource}


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


class Cloud:
    """boto3 clients of one server. `loose` ones send what boto3 itself would refuse."""

    def __init__(self, url):
        self.url = url
        self.session = boto3.Session("eyot-test", "eyot-test-secret", region_name=REGION)
        self.iot = self.client("iot")
        self.data = self.client("iot-data")
        self.logs = self.client("logs")
        self.sts = self.client("sts")
        self.loose_iot = self.client("iot", parameter_validation=False)
        self.loose_data = self.client("iot-data", parameter_validation=False)
        self.loose_logs = self.client("logs", parameter_validation=False)

    def client(self, service, **config):
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=30, **config)
        client = self.session.client(service, endpoint_url=self.url, config=config)
        shapes.watch(client)
        return client

    # A device, as the post makes one -------------------------------------------------------------------------

    def device(self, directory, name, document=None, active=True):
        """Thing, keys, certificate, a policy of its own (`document`; None: allow all), attached; files in `directory`."""
        self.iot.create_thing(thingName=name)
        device = self.certificate(directory, name, active)
        self.iot.create_policy(policyName=name, policyDocument=document or json.dumps(ALLOW_ALL))
        self.iot.attach_policy(policyName=name, target=device.arn)
        self.iot.attach_thing_principal(thingName=name, principal=device.arn)
        return device

    def certificate(self, directory, name, active=True):
        """Keys and a certificate alone, as files."""
        answer = self.iot.create_keys_and_certificate(setAsActive=active)
        directory = Path(directory) / name
        directory.mkdir(parents=True)
        (directory / "certificate.pem.crt").write_text(answer["certificatePem"])
        (directory / "private.pem.key").write_text(answer["keyPair"]["PrivateKey"])
        (directory / "public.pem.key").write_text(answer["keyPair"]["PublicKey"])
        return Device(name, directory, answer["certificateArn"], answer["certificateId"])

    def telemetry_rule(self, name="telemetry", group=GROUP, sql=POST_SQL):
        """The post's log group and rule."""
        self.logs.create_log_group(logGroupName=group)
        self.iot.create_topic_rule(ruleName=name, topicRulePayload=log_rule(sql, group))

    # Reading -------------------------------------------------------------------------------------------------

    def messages(self, group=GROUP, **query):
        pages = self.logs.get_paginator("filter_log_events").paginate(logGroupName=group, **query)
        return [event["message"] for page in pages for event in page["events"]]

    def wait_for_messages(self, count, group=GROUP, **query):
        """Waits until the group holds at least `count` events."""
        seen = []

        def enough():
            seen[:] = self.messages(group, **query)
            return len(seen) >= count

        eventually(enough, lambda: f"{count} events in {group}; there are {len(seen)}: {seen[:5]}")
        return seen


@dataclass
class Device:
    """A client's credentials as files, and its names."""

    name: str
    directory: Path
    arn: str
    certificate_id: str

    @property
    def certificate(self):
        return self.directory / "certificate.pem.crt"

    @property
    def key(self):
        return self.directory / "private.pem.key"

    def to_der(self):
        """The post's two openssl commands."""
        certificate, key = self.directory / "certificate.der", self.directory / "private.der"
        openssl("x509", "-in", self.certificate, "-out", certificate, "-outform", "DER")
        openssl("pkey", "-in", self.key, "-out", key, "-outform", "DER")
        return certificate, key


def log_rule(sql, group, **extra):
    actions = [{"cloudwatchLogs": {"logGroupName": group, "roleArn": ROLE}}]
    return {"sql": sql, "awsIotSqlVersion": "2016-03-23", "actions": actions} | extra


def refused(code, status, call, /, *, text=None, **parameters):
    """Asserts that the call is refused with this code and status (and text: exact, or a compiled pattern)."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response = caught.value.response
    found = response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
    assert found == (code, status), response["Error"]
    message = response["Error"]["Message"]
    assert message.strip(), "an error must say what is wrong"
    if isinstance(text, re.Pattern):
        assert text.search(message), message
    elif text is not None:
        assert message == text
    return response


def pages(call, size, token="nextToken", answer_token=None, **parameters):
    """All pages of an operation, walked by hand: no page is longer than one item asked for, no token comes twice."""
    answer_token = answer_token or token
    collected, tokens = [], set()
    while True:
        answer = call(**parameters, **size)
        lists = [value for value in answer.values() if isinstance(value, list)]
        assert len(lists) >= 1 and len(lists[0]) <= 1, f"asked for one item, got {lists}"
        collected.extend(lists[0])
        if answer_token not in answer:
            return collected
        assert answer[answer_token] not in tokens, "the same token again: a client would loop"
        assert len(tokens) < 200, "a walk without end"
        tokens.add(answer[answer_token])
        parameters[token] = answer[answer_token]
