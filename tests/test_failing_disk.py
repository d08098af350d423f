"""A disk that is full for a while, and one that fails, under the whole binary: strace answers for the kernel."""

import os
import re
import signal
import struct

import pytest
from botocore.exceptions import ClientError

from support import mqtt
from support.cloud import GROUP, Cloud
from support.mqtt import Client
from support.server import Server
from support.waiting import DEADLINE_S, eventually


def injecting(output, fault, *paths):
    """strace that lets the program run and answers some of its system calls itself: all, or those about some paths.

    `when=` counts for each thread by itself.
    """
    call = fault.partition(":")[0]
    only = [argument for path in paths for argument in ("-P", str(path))]
    return ("strace", "-f", "-o", str(output), *only, "-e", "signal=none", "-e", f"trace={call}", "-e", f"inject={fault}")


def published(server, device, acknowledged, numbers):
    """Publishes readings one by one until the server hangs up; gives how many were acknowledged."""
    count = 0
    try:
        with Client.connected(server, device) as client:
            for number in numbers:
                client.send(mqtt.publish("$aws/rules/telemetry/device", f'{{"n": {number}}}', 1, number % 60_000 + 1))
                kind, _, body = client.read()
                assert (kind, struct.unpack("!H", body)[0]) == (mqtt.PUBACK, number % 60_000 + 1)
                acknowledged.add(number)
                count += 1
    except mqtt.GONE:
        pass
    return count


def readings(cloud):
    return {int(re.search(r'"n":(\d+)', message)[1]) for message in cloud.messages(GROUP)}


def provisioned(tmp_path):
    with Server(tmp_path) as server:
        cloud = Cloud(server.api_url)
        device = cloud.device(tmp_path / "keys", "device")
        cloud.telemetry_rule()
    return device


def test_a_disk_that_is_full_for_a_while_refuses_and_recovers(tmp_path):
    """Writes of the journal and the log segments fail with ENOSPC, 20 times: nothing of it is acknowledged, the API says 503,
    devices are let go with the reason in the log; then everything works again, without a restart."""
    device = provisioned(tmp_path)
    acknowledged = set()
    with Server(tmp_path, wrapper=injecting(tmp_path / "trace", "pwrite64:error=ENOSPC:when=30..50")) as server:
        cloud = Cloud(server.api_url)
        sent = iter(range(1, 100_000))
        mark = server.log_mark()
        published(server, device, acknowledged, sent)
        before = len(acknowledged)
        assert 0 < before < 100, "the disk was to be full by now"
        server.expect_log("device", "SERVER_ERROR", "the disk has no room", since=mark)
        with pytest.raises(ClientError) as refusal:
            cloud.iot.create_thing(thingName="refused")
        assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503, refusal.value.response
        eventually(lambda: published(server, device, acknowledged, [next(sent) for _ in range(20)]) == 20, "room on the disk")
        cloud.iot.create_thing(thingName="taken")
        assert {thing["thingName"] for thing in cloud.iot.list_things()["things"]} == {"device", "taken"}
        eventually(lambda: acknowledged <= readings(cloud), "every acknowledged reading in the log group")
    with Server(tmp_path) as server:
        cloud = Cloud(server.api_url)
        assert acknowledged <= readings(cloud)
        assert {thing["thingName"] for thing in cloud.iot.list_things()["things"]} == {"device", "taken"}


def test_a_keyed_state_without_room_loses_nothing_and_leaves_nothing_half_written(tmp_path):
    """Its tables cannot be written while the server ends: it ends in order, the journal has everything; the next start writes it."""
    device = provisioned(tmp_path)
    acknowledged = set()
    tables = tmp_path / "data/state/tables"
    before = sorted(path.name for path in tables.iterdir())
    paths = [tables / str(number) for number in range(50)]
    with Server(tmp_path, wrapper=injecting(tmp_path / "trace", "write:error=ENOSPC", *paths)) as server:
        assert published(server, device, acknowledged, range(1, 100)) == 99
        Cloud(server.api_url).iot.create_thing(thingName="kept")
    assert "ENOSPC" in (tmp_path / "trace").read_text()
    assert sorted(path.name for path in tables.iterdir()) == before
    with Server(tmp_path) as server:
        cloud = Cloud(server.api_url)
        assert acknowledged <= readings(cloud)
        assert "kept" in {thing["thingName"] for thing in cloud.iot.list_things()["things"]}


def test_a_failed_fdatasync_is_never_acknowledged_and_ends_the_server(tmp_path):
    """EIO once: what the kernel threw away cannot be synced again, so the server says why and ends; the next start has all."""
    device = provisioned(tmp_path)
    acknowledged = set()
    server = Server(tmp_path, wrapper=injecting(tmp_path / "trace", "fdatasync:error=EIO:when=25")).start()
    published(server, device, acknowledged, range(1, 100_000))
    assert 0 < len(acknowledged) < 100
    assert server.process.wait(DEADLINE_S) == 1, server.log()
    server.expect_log("the journal", "Input/output error")
    with Server(tmp_path) as server:
        assert acknowledged <= readings(Cloud(server.api_url))


def test_a_keyed_state_that_cannot_be_synced_ends_the_server_and_loses_nothing(tmp_path):
    """The directory of its tables cannot be synced, so the last checkpoint fails: the journal still has everything."""
    device = provisioned(tmp_path)
    acknowledged = set()
    tables = tmp_path / "data/state/tables"
    assert tables.is_dir()
    server = Server(tmp_path, wrapper=injecting(tmp_path / "trace", "fsync:error=EIO", tables)).start()
    assert published(server, device, acknowledged, range(1, 200)) == 199
    Cloud(server.api_url).iot.create_thing(thingName="kept")
    os.kill(server.pid, signal.SIGTERM)
    assert server.process.wait(30) == 1, "nothing is lost, and still somebody has to look after the disk"
    server.expect_log("the last checkpoint failed", "Input/output error")
    with Server(tmp_path) as server:
        cloud = Cloud(server.api_url)
        assert acknowledged <= readings(cloud)
        assert "kept" in {thing["thingName"] for thing in cloud.iot.list_things()["things"]}
