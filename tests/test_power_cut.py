"""Power cuts of the whole binary: the real program on the real disk, cut at moments that a seed decides.

Four lives of one server are recorded with strace: provisioning, devices, log events, shadows, an orderly end, a kill. Then
the data directory is built anew as a power cut at some moment may have left it (support/power_cut.py), a server starts on it,
and everything that was acknowledged before that moment must be there, and nothing that nobody sent.

`EYOT_FULL=1` cuts 1,000 times instead of 100, and writes so much that the keyed state is written in between.
"""

import json
import os
import re
import shutil
import signal
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support import mqtt, power_cut
from support.cloud import GROUP, Cloud
from support.disk_trace import DiskTrace, strace
from support.http import logs_request, send, signed
from support.mqtt import Client
from support.server import Server
from support.waiting import eventually

FULL = bool(os.environ.get("EYOT_FULL"))
CUTS = 1_000 if FULL else 100
BIG_UPDATES = 2_500 if FULL else 0
"""Shadows of 8 KB in one life: together more than the keyed state keeps in memory, so tables are written between checkpoints."""

SERVERS_AT_ONCE = 3
"""A server that starts waits for the disk more than it computes."""


class Promises:
    """What was sent and what was acknowledged, each with its time."""

    def __init__(self):
        self.events = {}  # message: [sent, acknowledged or None]
        self.states = {}  # name of a thing or a shadow: [(sent, acknowledged, value)], value None: deleted

    def state(self, name, value, call):
        sent = time.time()
        call()
        self.states.setdefault(name, []).append((sent, time.time(), value))

    def allowed(self, name, now):
        """The values that may be found after a cut at `now`: the last that was acknowledged, or one that was sent since."""
        history = [(0, 0, None), *self.states[name]]
        last = max(index for index, (_, acknowledged, _) in enumerate(history) if acknowledged <= now)
        return [value for index, (sent, _, value) in enumerate(history) if index >= last and sent <= now]


def record(directory):
    """Lives of a server under strace; gives their traces and what was promised."""
    promises, traces = Promises(), []
    server = Server(directory)
    for life in range(4):
        traces.append(directory / f"trace-{life}")
        server.wrapper = strace(traces[-1])
        server.start()
        cloud = Cloud(server.api_url)
        if life == 0:
            device = cloud.device(directory / "keys", "device")
            cloud.telemetry_rule()
            cloud.logs.create_log_stream(logGroupName=GROUP, logStreamName="put")
            promises.started = time.time()
        live(life, server, cloud, device, promises)
        if life % 2 == 0:
            server.stop()
        else:
            freeze_and_kill(server)
    return traces, promises


def live(life, server, cloud, device, promises):
    with Client.connected(server, device) as client:
        for round_number in range(12):
            publish(client, promises, [f'{{"n":{life * 10_000 + round_number * 100 + number}}}' for number in range(20)])
            messages = [f"put {life} {round_number} {number} " + "." * 200 for number in range(5)]
            sent = time.time()
            events = [{"timestamp": int(sent * 1000), "message": message} for message in messages]
            cloud.logs.put_log_events(logGroupName=GROUP, logStreamName="put", logEvents=events)
            promises.events |= {message: [sent, time.time()] for message in messages}
            for name in ("one", "two"):
                value = f"{life}.{round_number}." + "x" * 2_000
                payload = json.dumps({"state": {"reported": {"v": value}}})
                promises.state(f"shadow {name}", value, lambda: cloud.data.update_thing_shadow(thingName=name, payload=payload))
            thing = f"thing-{life}-{round_number}"
            promises.state(f"thing {thing}", thing, lambda: cloud.iot.create_thing(thingName=thing))
            for number in range(BIG_UPDATES // 12 if life == 1 else 0):
                value = f"{number} " + "x" * 7_500
                payload = json.dumps({"state": {"reported": {"v": value}}})
                promises.state(f"shadow big-{number % 5}", value,
                               lambda: cloud.data.update_thing_shadow(thingName=f"big-{number % 5}", payload=payload))
            if round_number % 2:
                promises.state(f"thing {thing}", None, lambda: cloud.iot.delete_thing(thingName=thing))


def publish(client, promises, messages):
    """All at once, then their PUBACKs."""
    for number, message in enumerate(messages, 1):
        promises.events[message] = [time.time(), None]
        client.send(mqtt.publish("$aws/rules/telemetry/device", message, 1, number))
    for _ in messages:
        kind, _, body = client.read()
        assert kind == mqtt.PUBACK
        promises.events[messages[struct.unpack("!H", body)[0] - 1]][1] = time.time()


def freeze_and_kill(server):
    """As `kill -9`, but no system call is under way: what is in the trace is what the disk's cache has."""
    os.kill(server.pid, signal.SIGSTOP)
    tasks = Path(f"/proc/{server.pid}/task")

    def is_frozen():
        states = [re.search(r"State:\s+(\w)", (task / "status").read_text())[1] for task in tasks.iterdir()]
        return all(state in "Tt" for state in states)

    eventually(is_frozen, "every thread of the server to stop")
    server.kill()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    assert shutil.which("strace"), "apt-get install strace"
    directory = tmp_path_factory.mktemp("recorded")
    traces, promises = record(directory)
    trace = DiskTrace(directory / "data")
    for path in traces:
        trace.read(path)
    return directory, trace, promises


def test_the_recording_is_the_directory(recorded, tmp_path):
    """Without a cut the rebuilt directory is what the server left: otherwise the other test cuts something that never was."""
    directory, trace, _ = recorded
    power_cut.build(trace, float("inf"), 0, tmp_path / "data", kept=1.0)
    assert contents(tmp_path / "data") == contents(directory / "data")


def contents(directory):
    return {str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*"))
            if path.is_file() and path.name != "ready.json"}


def test_a_power_cut_at_any_moment_keeps_what_was_acknowledged(recorded, tmp_path):
    _, trace, promises = recorded
    moments = sorted(trace.times)
    assert len(moments) > 1_000, "too little was written to prove anything"
    with ThreadPoolExecutor(SERVERS_AT_ONCE) as pool:
        list(pool.map(lambda seed: cut_and_look(seed, trace, moments, promises, tmp_path), range(CUTS)))


def test_a_disk_that_lies_about_its_syncs_is_noticed(recorded, tmp_path):
    """The proof that the other test can fail: where a sync means nothing, something acknowledged is missing."""
    directory, _, promises = recorded
    liar = DiskTrace(directory / "data")
    for path in sorted(directory.glob("trace-*")):
        liar.read(path)
    for node in liar.nodes:
        node.syncs.clear()
    moments = sorted(liar.times)
    noticed = 0
    for seed in range(40, 50):
        try:
            cut_and_look(seed, liar, moments, promises, tmp_path)
        except AssertionError:
            noticed += 1
    assert noticed > 3


def cut_and_look(seed, trace, moments, promises, tmp_path):
    # Just behind the event: it has ended, the next has not.
    now = moments[(seed * 7_919) % len(moments)] + 1e-6
    directory = tmp_path / f"cut-{seed}"
    directory.mkdir()
    power_cut.build(trace, now, seed, directory / "data")
    server = Server(directory)
    context = f"seed {seed}, {sum(moment <= now for moment in moments)} of {len(moments)} events"
    try:
        server.start()
        if now > promises.started:
            check(server, promises, now)
    except AssertionError as error:
        raise AssertionError(f"{context}; the directory is {directory}: {error}") from error
    finally:
        # Also one that did not start, or lost something: it would run for ever.
        server.process.kill()
        server.process.wait()
    shutil.rmtree(directory)


def check(server, promises, now):
    found = log_messages(server)
    kept = [json.dumps({"n": json.loads(message)["n"]}, separators=(",", ":")) if message[0] == "{" else message
            for message in found]
    acknowledged = {message for message, (_, at) in promises.events.items() if at is not None and at <= now}
    sent = {message for message, (at, _) in promises.events.items() if at <= now}
    assert acknowledged <= set(kept), f"lost: {sorted(acknowledged - set(kept))[:5]}"
    assert set(kept) <= sent, f"never sent: {sorted(set(kept) - sent)[:5]}"
    assert len(kept) == len(set(kept)), "twice"
    for name in promises.states:
        kind, _, thing = name.partition(" ")
        path = f"/things/{thing}" + ("/shadow" if kind == "shadow" else "")
        status, _, body = send(server, path, signed(server, path, "GET", service="iot" if kind == "thing" else "iotdata"), "GET")
        assert status in (200, 404), (name, status, body)
        value = None
        if status == 200:
            value = thing if kind == "thing" else json.loads(body)["state"]["reported"]["v"]
        assert value in promises.allowed(name, now), (name, value, promises.allowed(name, now))


def log_messages(server):
    messages, token = [], None
    while True:
        headers, body = logs_request(server, "FilterLogEvents", logGroupName=GROUP, **({"nextToken": token} if token else {}))
        status, _, answer = send(server, "/", headers, body=body)
        assert status == 200, answer
        page = json.loads(answer)
        messages += [event["message"] for event in page["events"]]
        token = page.get("nextToken")
        if not token:
            return messages
