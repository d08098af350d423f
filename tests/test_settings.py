"""What `eyot serve` takes: flags, variables and the file, in that order, each seen from outside."""

import json
import os
import subprocess
import time

import pytest

from support import mqtt
from support.cloud import Cloud
from support.http import send
from support.mqtt import Client
from support.server import BINARY, Server, clean_environment


def identity(server):
    answer = Cloud(server.api_url).iot.create_thing(thingName="named")
    return answer["thingArn"]


def test_region_and_account_are_in_arns(tmp_path):
    with Server(tmp_path, "--region", "eu-central-1", "--account-id", "123456789012") as server:
        assert identity(server) == "arn:aws:iot:eu-central-1:123456789012:thing/named"


def test_a_flag_wins_over_a_variable_and_a_variable_over_the_file(tmp_path):
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data/eyot.toml").write_text('region = "eu-west-1"\naccount-id = "111111111111"\n')
    with Server(tmp_path) as server:
        assert identity(server) == "arn:aws:iot:eu-west-1:111111111111:thing/named"
    variables = {"EYOT_REGION": "eu-west-2", "EYOT_ACCOUNT_ID": "222222222222"}
    with Server(tmp_path, "--account-id", "333333333333", environment=variables) as server:
        assert identity(server) == "arn:aws:iot:eu-west-2:333333333333:thing/named"


def test_tags_are_found_after_a_start_in_another_region(tmp_path):
    tags = [{"Key": "team", "Value": "a"}]
    with Server(tmp_path, "--region", "eu-west-1") as server:
        Cloud(server.api_url).iot.create_policy(policyName="p", policyDocument=ANY, tags=tags)
    with Server(tmp_path, "--region", "eu-west-2") as server:
        iot = Cloud(server.api_url).iot
        arn = iot.get_policy(policyName="p")["policyArn"]
        assert ":eu-west-2:" in arn
        assert iot.list_tags_for_resource(resourceArn=arn)["tags"] == tags


ANY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]})


def test_in_memory_leaves_nothing_but_the_ca(tmp_path):
    with Server(tmp_path, "--in-memory") as server:
        identity(server)
    assert not (server.data_dir / "journal").exists() and not (server.data_dir / "state").exists()
    with Server(tmp_path, "--in-memory") as server:
        assert Cloud(server.api_url).iot.list_things()["things"] == []


@pytest.mark.parametrize("profile, is_taken", [("aws", False), ("relaxed", True), ("none", True)])
def test_profiles_of_limits(tmp_path, profile, is_taken):
    """A payload of 200 KiB is above AWS's wall."""
    with Server(tmp_path, "--limits", profile) as server:
        device = Cloud(server.api_url).device(tmp_path / "keys", "device")
        with Client.connected(server, device) as client:
            client.subscribe("big")
            payload = os.urandom(200 * 1024)
            try:
                client.send(mqtt.publish("big", payload))
            except mqtt.GONE:
                assert not is_taken
            if is_taken:
                assert client.read_message()[1] == payload
            else:
                client.expect_closed()


@pytest.mark.parametrize("loops", [1, 3])
def test_every_number_of_loops_delivers(tmp_path, loops):
    """Clients of all loops hear each other."""
    with Server(tmp_path, "--loops", str(loops)) as server:
        device = Cloud(server.api_url).device(tmp_path / "keys", "device")
        names = [f"client-{number}" for number in range(8)]
        clients = [Client.connected(server, device, name) for name in names]
        for client in clients:
            client.subscribe("to/all")
        clients[0].send(mqtt.publish("to/all", "hello"))
        for client in clients:
            assert client.read_message()[:2] == ("to/all", b"hello")
            client.disconnect()


@pytest.mark.parametrize("arguments, told", [
    (("serve", "--region", "nowhere!"), "region"),
    (("serve", "--account-id", "1"), "twelve digits"),
    (("serve", "--limits", "some"), "relaxed"),
    (("serve", "--loops", "0"), "loops"),
    (("serve", "--https-port", "70000"), "70000"),
    (("serve", "--alpn-port", "x"), "alpn-port"),
    (("serve", "--insecure-mqtt-port", "-1"), "-1"),
], ids=lambda value: "-".join(value[1:2]) if isinstance(value, tuple) else "")
def test_what_cannot_be_is_refused_as_wrong_usage(arguments, told):
    done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=30, env=clean_environment())
    assert done.returncode == 2 and told in done.stderr, done.stderr


@pytest.mark.parametrize("command", ["access-key"])
def test_commands_that_are_to_come_say_so(command):
    done = subprocess.run([BINARY, command, "x", "--flag"], capture_output=True, text=True, timeout=30, env=clean_environment())
    assert done.returncode == 1 and "not available yet" in done.stderr, done.stderr


def test_the_api_is_not_offered_to_the_network_without_keys(tmp_path):
    done = subprocess.run([BINARY, "serve", "--data-dir", tmp_path / "d", "--api-host", "0.0.0.0", "--api-port", "0"],
                          capture_output=True, text=True, timeout=30, env=clean_environment())
    assert done.returncode == 1 and "access keys" in done.stderr, done.stderr


def test_tail_follows_and_shows_no_escapes(server, cloud, name):
    cloud.logs.create_log_group(logGroupName=name)
    cloud.logs.create_log_stream(logGroupName=name, logStreamName="s")

    def put(message, age_s=0):
        at = wall_ms() - age_s * 1000
        cloud.logs.put_log_events(logGroupName=name, logStreamName="s", logEvents=[{"timestamp": at, "message": message}])

    put("older", age_s=3600)
    put("first \x1b[2J")
    command = [BINARY, "logs", "tail", name, "--since", "10m", "--follow", "--endpoint-url", server.api_url]
    tail = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment())
    try:
        assert tail.stdout.readline().endswith(" s first \\u{1b}[2J\n")
        put("second")
        assert tail.stdout.readline().endswith(" s second\n")
    finally:
        tail.terminate()
        tail.wait(10)


def wall_ms():
    return int(time.time() * 1000)


def test_health_names_the_version(server):
    status, _, body = send(server, "/_eyot/health", {"Host": server.ready["api"]}, "GET")
    assert status == 200 and json.loads(body)["status"] == "ok"


def test_a_ready_file_that_cannot_be_written_leaves_none(tmp_path):
    missing = tmp_path / "no/such/ready.json"
    done = subprocess.run([BINARY, "serve", "--data-dir", tmp_path / "d", "--api-port", "0", "--mqtts-port", "0", "--https-port", "0", "--ready-file", missing],
                          capture_output=True, text=True, timeout=30, env=clean_environment())
    assert done.returncode == 1 and str(missing) in done.stderr, done.stderr
    assert not (tmp_path / "d/ready.json").exists()
