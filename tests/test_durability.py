"""Acknowledged means kept: through kill -9, and the disk is asked before the PUBACK leaves."""

import os
import re
import shutil
import struct
import subprocess
import threading
import time
from pathlib import Path

from support import mqtt
from support.cloud import GROUP, Cloud, log_rule
from support.mqtt import Client
from support.server import BINARY, Server, clean_environment

ROUNDS = 6


def test_what_was_acknowledged_survives_kill_9(tmp_path):
    """Publishes QoS 1 as fast as it can, kills the server in the middle, starts it again: every PUBACKed reading is there."""
    server = Server(tmp_path).start()
    cloud = Cloud(server.api_url)
    device = cloud.device(tmp_path / "keys", "durable")
    cloud.telemetry_rule()
    acknowledged, sent = set(), set()
    for round_number in range(ROUNDS):
        publish_until_killed(server, device, round_number, acknowledged, sent)
        server.start()
        cloud = Cloud(server.api_url)
        # All definitions are there too: they were acknowledged by a 200.
        assert cloud.iot.describe_certificate(certificateId=device.certificate_id)["certificateDescription"]["status"] == "ACTIVE"
        assert cloud.iot.get_topic_rule(ruleName="telemetry")["rule"]["ruleName"] == "telemetry"
        kept = readings(cloud)
        missing = acknowledged - set(kept)
        assert not missing, f"round {round_number}: acknowledged and lost: {sorted(missing)[:10]} of {len(acknowledged)}"
        invented = set(kept) - sent
        assert not invented, f"round {round_number}: never sent: {sorted(invented)[:10]}"
    assert len(acknowledged) > ROUNDS * 20, f"only {len(acknowledged)} were acknowledged: this proves little"
    server.stop()


def publish_until_killed(server, device, round_number, acknowledged, sent):
    """Keeps up to 50 publishes in flight; the kill comes after the 100th PUBACK, from another thread."""
    client = Client.connected(server, device)
    enough = threading.Event()

    def killer():
        enough.wait(60)
        server.kill()

    thread = threading.Thread(target=killer)
    thread.start()
    numbers = {}
    try:
        in_flight = 0
        for number in range(1, 60_000):
            reading = round_number * 100_000 + number
            sent.add(reading)
            numbers[number] = reading
            client.send(mqtt.publish("$aws/rules/telemetry/durable", f'{{"n": {reading}}}', 1, number))
            in_flight += 1
            while in_flight >= 50:
                in_flight -= take_puback(client, numbers, acknowledged)
            if number > 100:
                enough.set()
    except mqtt.GONE:
        pass
    finally:
        enough.set()
        thread.join()
        client.close()


def take_puback(client, numbers, acknowledged):
    kind, _, body = client.read()
    assert kind == mqtt.PUBACK
    acknowledged.add(numbers[struct.unpack("!H", body)[0]])
    return 1


def readings(cloud):
    return [int(re.search(r'"n":(\d+)', message)[1]) for message in cloud.messages(GROUP)]


def test_a_clean_stop_loses_nothing_and_starts_again(tmp_path):
    """QoS 0 as well: SIGTERM drains."""
    with Server(tmp_path) as server:
        cloud = Cloud(server.api_url)
        device = cloud.device(tmp_path / "keys", "drain")
        cloud.telemetry_rule()
        with Client.connected(server, device) as client:
            for number in range(100):
                client.send(mqtt.publish("$aws/rules/telemetry/drain", f'{{"n": {number}}}'))
            client.ping()
    with Server(tmp_path) as server:
        cloud = Cloud(server.api_url)
        assert readings(cloud) == list(range(100))
        Client.connected(server, device).disconnect()


def test_two_servers_do_not_share_a_directory(tmp_path):
    with Server(tmp_path) as server:
        second = subprocess.run(
            [BINARY, "serve", "--data-dir", server.data_dir, "--api-port", "0", "--mqtts-port", "0", "--https-port", "0"],
            capture_output=True, text=True, timeout=30, env=clean_environment())
        assert second.returncode == 1
        assert str(server.pid) in second.stderr or "in use" in second.stderr or "lock" in second.stderr.lower(), second.stderr
        Cloud(server.api_url).sts.get_caller_identity()


def test_the_ca_and_its_devices_survive_a_restart(tmp_path):
    with Server(tmp_path) as server:
        device = Cloud(server.api_url).device(tmp_path / "keys", "again")
        ca = open(server.ca_path).read()
        Client.connected(server, device).disconnect()
    key_modes = {path.name: path.stat().st_mode & 0o777 for path in (server.data_dir / "ca").iterdir() if "key" in path.name}
    assert key_modes and set(key_modes.values()) == {0o600}, key_modes
    assert (server.data_dir / "ca").stat().st_mode & 0o777 == 0o700
    with Server(tmp_path) as server:
        assert open(server.ca_path).read() == ca
        Client.connected(server, device).disconnect()


def test_fdatasync_comes_before_the_puback(tmp_path):
    """Read off the kernel: between the PUBLISH that came in and the PUBACK that left lies an fdatasync that succeeded."""
    assert shutil.which("strace"), "apt-get install strace"
    trace = tmp_path / "trace"
    strace = ("strace", "-f", "-tt", "-s", "0", "-o", trace, "-e", "signal=none",
              "-e", "trace=fdatasync,fsync,read,recvfrom,readv,recvmsg,write,writev,sendto,sendmsg")
    with Server(tmp_path, wrapper=strace) as server:
        cloud = Cloud(server.api_url)
        device = cloud.device(tmp_path / "keys", "traced")
        cloud.telemetry_rule()
        with Client.connected(server, device) as client:
            port = client.socket.getsockname()[1]
            client.ping()
            rounds = 5
            for number in range(1, rounds + 1):
                client.publish_qos1("$aws/rules/telemetry/traced", f'{{"n": {number}}}', number)
            descriptor = socket_descriptor(server, port)
    order = calls_on(trace.read_text(), descriptor)
    check_order(order, rounds)


def test_fdatasync_comes_before_the_answer_of_the_api(tmp_path):
    """The same for changes over HTTP: each on a connection of its own, whose calls are told apart by their descriptor."""
    trace = tmp_path / "trace"
    strace = ("strace", "-f", "-tt", "-y", "-s", "16", "-o", trace, "-e", "signal=none",
              "-e", "trace=fdatasync,fsync,read,recvfrom,write,writev,sendto")
    with Server(tmp_path, wrapper=strace) as server:
        cloud = Cloud(server.api_url)
        cloud.logs.create_log_group(logGroupName="g")
        cloud.logs.create_log_stream(logGroupName="g", logStreamName="s")
        event = {"timestamp": int(time.time() * 1000), "message": "m"}
        changes = [
            lambda: cloud.iot.create_thing(thingName="t"),
            lambda: cloud.data.update_thing_shadow(thingName="t", payload='{"state": {}}'),
            lambda: cloud.iot.create_topic_rule(ruleName="r", topicRulePayload=log_rule("SELECT * FROM 'a'", "g")),
            lambda: cloud.iot.disable_topic_rule(ruleName="r"),
            lambda: cloud.data.publish(topic="a", payload="{}"),
            lambda: cloud.iot.enable_topic_rule(ruleName="r"),
            lambda: cloud.data.publish(topic="a", qos=1, payload="{}"),
            lambda: cloud.logs.put_log_events(logGroupName="g", logStreamName="s", logEvents=[event]),
            lambda: cloud.logs.put_retention_policy(logGroupName="g", retentionInDays=7),
            lambda: cloud.iot.delete_thing(thingName="t"),
        ]
        unkept = {4}  # a publish that no rule keeps leaves nothing to sync
        for change in changes:
            change()
    lines = trace.read_text().splitlines()
    # Answers of these changes, in order: the last ten heads of HTTP answers that were written to sockets.
    answers = [number for number, line in enumerate(lines) if re.search(r"(write|writev|sendto)\(\d+<socket", line) and "HTTP/1.1 2" in line]
    questions = [number for number, line in enumerate(lines) if re.search(r'(read|recvfrom)(\(\d+<socket| resumed)', line)
                 and re.search(r'"(POST|PUT|PATCH|DELETE|GET) /', line)]
    answers, questions = answers[-len(changes):], questions[-len(changes):]
    for index, (asked, answered) in enumerate(zip(questions, answers, strict=True)):
        synced = any(re.search(r"(fdatasync|fsync)(\(| resumed).*= 0$", line) for line in lines[asked:answered])
        assert synced or index in unkept, f"change {index} was answered without a sync:\n" + "\n".join(lines[asked:answered + 1])


def socket_descriptor(server, port):
    """The server's descriptor of the connection from `port`, through /proc."""
    inode = None
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[2].rpartition(":")[2], 16) == port and int(fields[1].rpartition(":")[2], 16) == server.mqtts_port:
                inode = fields[9]
    assert inode, "no such connection"
    for entry in Path(f"/proc/{server.pid}/fd").iterdir():
        if os.readlink(entry) == f"socket:[{inode}]":
            return int(entry.name)
    raise AssertionError("the server has no such socket")


def calls_on(trace, descriptor):
    """The events in order: ('in', time), ('out', …) of that socket, ('sync', …) when an fdatasync has returned 0."""
    order, unfinished = [], {}
    for line in trace.splitlines():
        match = re.match(r"(\d+)\s+\S+\s+(?:<\.\.\. )?(\w+)(?: resumed>)?(.*)", line)
        if not match:
            continue
        thread, call, rest = match.groups()
        resumed = "resumed>" in line
        if resumed:
            fd = unfinished.pop((thread, call), None)
        else:
            number = re.match(r"\((\d+)", rest)
            fd = int(number[1]) if number else None
        if call in ("write", "writev", "sendto", "sendmsg") and not resumed and fd == descriptor:
            order.append("out")  # from its start: later would hide a write that overtook the sync
        if "<unfinished" in line:
            unfinished[thread, call] = fd
            continue
        result = re.search(r"= (-?\d+)", line)
        done = result is not None and int(result[1]) >= 0
        if call in ("fdatasync", "fsync") and done:
            order.append("sync")
        if call in ("read", "recvfrom", "readv", "recvmsg") and done and fd == descriptor and int(result[1]) > 0:
            order.append("in")
    return order


def check_order(order, rounds):
    """The last `rounds` answers are the PUBACKs (the client waits for each), then comes the end of the connection."""
    text = "".join({"in": "i", "out": "o", "sync": "s"}[event] for event in order)
    assert "s" in text, "no fdatasync at all"
    # One exchange: bytes in, a sync, bytes out.
    exchanges = list(re.finditer(r"i+s[is]*o+", text))
    assert len(exchanges) >= rounds, f"a PUBACK left before its fdatasync: {text[-80:]}"
    tail = text[exchanges[-rounds].start():]
    assert "io" not in tail, f"a PUBACK left before its fdatasync: {tail}"
