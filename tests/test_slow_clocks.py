"""Deadlines that the server keeps by its own clock: half a minute each, so they run in the long tier only."""

import socket
import time

import pytest

from support.mqtt import Client, tls_context

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
