"""The post's flow with the AWS CLI, version 2 (Debian's) and version 1 (PyPI's); the device is mosquitto_pub."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from support.cloud import ALLOW_ALL, GROUP, POST_SQL, ROLE
from support.openssl import openssl
from support.server import ACCOUNT, REGION, Server, clean_environment
from support.waiting import eventually

CLI = {"v2": Path("/usr/bin/aws"), "v1": Path(os.environ.get("EYOT_VENV", "target/venv/bin")) / "aws"}


class Aws:
    """`aws` with the endpoint on its command line, as versions before 2.13 need it."""

    def __init__(self, program, server, directory):
        self.command = [program, "--endpoint-url", server.api_url]
        self.directory = directory
        self.environment = clean_environment(
            AWS_ACCESS_KEY_ID="eyot", AWS_SECRET_ACCESS_KEY="eyot", AWS_DEFAULT_REGION=REGION,
            AWS_CONFIG_FILE=str(directory / "none"), AWS_SHARED_CREDENTIALS_FILE=str(directory / "none"), AWS_PAGER="",
        )

    def run(self, *arguments):
        done = subprocess.run([*self.command, *map(str, arguments)], cwd=self.directory, env=self.environment,
                              capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"aws {arguments}: {done.stderr}"
        return done.stdout

    def json(self, *arguments):
        return json.loads(self.run(*arguments, "--output", "json"))


@pytest.mark.parametrize("version", ["v2", "v1"])
def test_the_posts_flow(version, tmp_path):
    with Server(tmp_path) as server:
        aws = Aws(CLI[version], server, tmp_path)
        assert f"aws-cli/{version[1]}." in aws.run("--version")
        assert aws.json("sts", "get-caller-identity")["Account"] == ACCOUNT
        provision(aws)
        publish(server, tmp_path, ["27.51254", "26.10776"])
        events = eventually(
            lambda: aws.json("logs", "filter-log-events", "--log-group-name", GROUP)["events"], "events", 30)
        messages = [event["message"] for event in events]
        assert [re.sub(r"\d{13}", "T", message) for message in messages] == [
            '{"temp":27.51254,"device_id":"pico_w_simple","received_at":T}',
            '{"temp":26.10776,"device_id":"pico_w_simple","received_at":T}',
        ]
        if version == "v2":
            check_tail(aws, messages)


def provision(aws):
    assert aws.json("iot", "create-thing", "--thing-name", "pico_w_simple")["thingName"] == "pico_w_simple"
    aws.run("iot-data", "update-thing-shadow", "--thing-name", "pico_w_simple",
            *raw_payload(aws, '{"state":{"reported":{"on":true}}}'), "shadow.json")
    assert json.loads((aws.directory / "shadow.json").read_text())["version"] == 1
    certificate_arn = aws.run(
        "iot", "create-keys-and-certificate", "--set-as-active", "--certificate-pem-outfile", "certificate.pem.crt",
        "--private-key-outfile", "private.pem.key", "--public-key-outfile", "public.pem.key",
        "--query", "certificateArn", "--output", "text").strip()
    for command, file in (("x509", "certificate.pem.crt"), ("pkey", "private.pem.key")):
        openssl(command, "-in", aws.directory / file, "-out", aws.directory / f"{command}.der", "-outform", "DER")
    assert (aws.directory / "public.pem.key").read_text().startswith("-----BEGIN PUBLIC KEY-----")
    aws.run("iot", "create-policy", "--policy-name", "allow-all", "--policy-document", json.dumps(ALLOW_ALL))
    aws.run("iot", "attach-policy", "--policy-name", "allow-all", "--target", certificate_arn)
    aws.run("iot", "attach-thing-principal", "--thing-name", "pico_w_simple", "--principal", certificate_arn)
    assert aws.json("iot", "describe-endpoint", "--endpoint-type", "iot:Data-ATS")["endpointAddress"]
    aws.run("logs", "create-log-group", "--log-group-name", GROUP)
    rule = {"sql": POST_SQL, "awsIotSqlVersion": "2016-03-23",
            "actions": [{"cloudwatchLogs": {"logGroupName": GROUP, "roleArn": ROLE}}]}
    aws.run("iot", "create-topic-rule", "--rule-name", "telemetry", "--topic-rule-payload", json.dumps(rule))
    things = aws.json("iot", "list-things", "--page-size", "1")["things"]  # the CLI's own paginator
    assert [thing["thingName"] for thing in things] == ["pico_w_simple"]


def raw_payload(aws, text):
    """Version 2 takes blobs as base64 unless told otherwise; version 1 takes them raw and knows no such option."""
    if aws.command[0] == CLI["v2"]:
        return "--cli-binary-format", "raw-in-base64-out", "--payload", text
    return "--payload", text


def publish(server, directory, readings):
    for reading in readings:
        done = subprocess.run(
            ["mosquitto_pub", "-h", "localhost", "-p", str(server.mqtts_port), "--cafile", server.ca_path,
             "--cert", directory / "certificate.pem.crt", "--key", directory / "private.pem.key",
             "-i", "pico_w_simple", "-q", "1", "-V", "mqttv311",
             "-t", "$aws/rules/telemetry/pico_w_simple", "-m", '{"temp": ' + reading + "}"],
            capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr + server.log()


def check_tail(aws, messages):
    """`aws logs tail`: one line per event: time, stream, message."""
    lines = aws.run("logs", "tail", GROUP, "--since", "10m").splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == messages
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00 \S+ \{", line) for line in lines), lines
    shown = aws.run("logs", "tail", GROUP, "--since", "10m", "--filter-pattern", '"26.10776"', "--format", "short")
    assert len(shown.splitlines()) == 1
