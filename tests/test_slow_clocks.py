"""Deadlines that the server keeps by its own clock: half a minute each, so they run in the long tier only."""

import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.http import as_bytes, logs_request, send, signed
from support.mqtt import Client, tls_context
from support.waiting import DEADLINE_S, eventually

CONNECT_DEADLINE_S = 30
"""A Pico W signs with RSA for 7 s; nobody needs longer than this from TCP to CONNECT."""

SLACK_S = 10


@pytest.fixture(scope="module")
def device(cloud, tmp_path_factory):
    return cloud.device(tmp_path_factory.mktemp("device"), "device")


def test_who_does_not_finish_is_closed_at_the_connect_deadline(server, device):
    """One says nothing, one sends a byte a second, one finishes TLS and sends no CONNECT."""
    begun = time.monotonic()
    silent = socket.create_connection(("127.0.0.1", server.mqtts_port))
    trickle = socket.create_connection(("127.0.0.1", server.mqtts_port))
    idle = Client(server, tls_context(device))
    closed_after = {}
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 100
    for second in range(CONNECT_DEADLINE_S + SLACK_S):
        for name, tcp in (("silent", silent), ("trickle", trickle), ("idle", idle.socket)):
            if name not in closed_after and is_closed(tcp, hello[second:second + 1] if name == "trickle" else b""):
                closed_after[name] = time.monotonic() - begun
        if len(closed_after) == 3:
            break
    assert set(closed_after) == {"silent", "trickle", "idle"}, closed_after
    assert all(after > CONNECT_DEADLINE_S - 5 for after in closed_after.values()), closed_after


def is_closed(tcp, data):
    """Sends `data`, then waits up to a third of a second for the end."""
    try:
        if data:
            tcp.sendall(data)
        tcp.settimeout(1 / 3)
        return tcp.recv(100) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_a_silent_client_is_closed_after_one_and_a_half_keep_alives(server, device):
    """30 s is the shortest keep-alive that AWS knows; its will is published. A client that pings stays."""
    with Client.connected(server, device, "watcher") as watcher, \
            Client.connected(server, device, "silent", keep_alive=5, will=("clock/will", "gone", 1, False)) as silent:
        watcher.subscribe("clock/will")
        begun = time.monotonic()
        silent.expect_closed(timeout_s=60)
        assert 40 < time.monotonic() - begun < 55
        assert watcher.read_message()[1] == b"gone"
        server.expect_log("silent", "MQTT_KEEP_ALIVE_TIMEOUT")


HEAD_TIMEOUT_S = 30


def test_who_sends_no_further_request_is_told_when_its_connection_ends(server):
    """Clients keep connections for their next request. One that is closed in silence would swallow it."""
    with socket.create_connection(("127.0.0.1", server.api_port)) as tcp:
        tcp.settimeout(HEAD_TIMEOUT_S + SLACK_S)
        tcp.sendall(b"GET /_eyot/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        begun = time.monotonic()
        assert tcp.recv(4096).startswith(b"HTTP/1.1 200")
        assert tcp.recv(4096) == b""
        assert HEAD_TIMEOUT_S - 1 < time.monotonic() - begun < HEAD_TIMEOUT_S + 1


WRITE_TIMEOUT_S = 30
LARGE_BODIES = 4
"""Bodies of the largest size that the API reads at the same time."""

LARGE_ANSWERS = 11
"""Pages of 6.0 MB that find room in the 64 MiB that may be on their way at the same time."""

BODY_BYTES_MAX = 8 * 1024 * 1024


def megabyte_page(server, cloud, name, character):
    """A log group with one page of events, and the request for it."""
    cloud.logs.create_log_group(logGroupName=name)
    cloud.logs.create_log_stream(logGroupName=name, logStreamName="s")
    event = {"timestamp": int(time.time() * 1000), "message": character * 250_000}
    cloud.logs.put_log_events(logGroupName=name, logStreamName="s", logEvents=[event] * 4)
    return logs_request(server, "FilterLogEvents", logGroupName=name)


def asked_and_not_read(server, request):
    """A connection on which nobody reads the answer."""
    tcp = socket.socket()
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    tcp.connect(("127.0.0.1", server.api_port))
    tcp.sendall(request)
    return tcp


def test_who_never_reads_its_answers_is_closed(server, cloud, name):
    """Answers of 30 MB in all, more than any socket buffers: the server gives up on who takes none of it."""
    headers, body = megabyte_page(server, cloud, name, "x")
    begun = time.monotonic()
    with asked_and_not_read(server, as_bytes("/", headers, body=body) * 30) as tcp:
        ports = server.api_port, tcp.getsockname()[1]
        assert is_established(*ports)
        eventually(lambda: not is_established(*ports), "the end of the connection", WRITE_TIMEOUT_S + SLACK_S)
        assert time.monotonic() - begun > WRITE_TIMEOUT_S - 5


def test_large_answers_have_a_bound_in_all_and_small_ones_pass(server, cloud, name):
    """Clients that ask for a page of log events and do not read it: the next one is told to come back."""
    headers, body = megabyte_page(server, cloud, name, "\x01")
    with ExitStack() as stack:
        statuses = []
        for _ in range(LARGE_ANSWERS + 2):
            tcp = stack.enter_context(asked_and_not_read(server, as_bytes("/", headers, body=body)))
            tcp.settimeout(DEADLINE_S)
            statuses.append(tcp.recv(12, socket.MSG_PEEK))
        assert statuses == [b"HTTP/1.1 200"] * LARGE_ANSWERS + [b"HTTP/1.1 500"] * 2
        assert cloud.iot.list_things()["things"] is not None
    eventually(lambda: send(server, "/", headers, body=body)[0] == 200, "room for a large answer, once the others have gone")


def is_established(local_port, remote_port):
    """Whether the server's side of a connection on loopback is open, as the system sees it."""
    ends = f"0100007F:{local_port:04X} 0100007F:{remote_port:04X} 01 "
    return ends in Path("/proc/net/tcp").read_text()


def test_large_bodies_have_a_bound_in_all_and_small_ones_pass(server, cloud):
    """Four that never end take all the room there is: a fifth is told to come back, small requests notice nothing."""
    with ExitStack() as stack:
        for _ in range(LARGE_BODIES):
            tcp = stack.enter_context(socket.create_connection(("127.0.0.1", server.api_port)))
            headers = signed(server, "/things/slow") | {"Content-Length": str(BODY_BYTES_MAX)}
            head = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
            # Not until it has turned out to be large does a body take room.
            tcp.sendall(f"POST /things/slow HTTP/1.1\r\n{head}\r\n".encode() + b" " * 100_000)
        body = b" " * BODY_BYTES_MAX
        status, _, answer = send(server, "/things/fifth", signed(server, "/things/fifth", body=body), body=body)
        assert status == 503, answer
        assert cloud.iot.list_things()["things"] is not None
    eventually(lambda: send(server, "/things/sixth", signed(server, "/things/sixth", body=body), body=body)[0] != 503,
               "room for a large body, once the others have gone")
