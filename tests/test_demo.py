"""`eyot demo --messages 5`: the main job in one command."""

import json
import os
import re
import signal
import socket
import subprocess
import time

from support.server import BINARY, clean_environment
from support.waiting import DEADLINE_S, eventually

EVENT = re.compile(r'\{"temp":\s?-?\d+(\.\d+)?,\s?"device_id":\s?"pico_w_simple",\s?"received_at":\s?\d{13}\}')
FIRST_EVENT_S = 5.0


def start(*arguments):
    return subprocess.Popen([BINARY, "demo", *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, env=clean_environment(NO_COLOR="1"))


def run(*arguments):
    """Returns the exit code, everything it printed, and the time from the start to its first event."""
    begun = time.monotonic()
    demo = start(*arguments)
    lines, first = [], None
    for line in demo.stdout:
        lines.append(line)
        if first is None and EVENT.search(line):
            first = time.monotonic() - begun
    return demo.wait(DEADLINE_S), "".join(lines), first


def test_five_messages_as_a_person_runs_it():
    """The post's interval of 2 s; the first event within five seconds of the start."""
    code, printed, first = run("--messages", 5)
    assert code == 0, printed
    assert len(EVENT.findall(printed)) == 5, printed
    assert first is not None and first < FIRST_EVENT_S, f"{first} s"
    print(f"start to first event: {first:.2f} s")


def test_a_quick_one_in_a_directory_twice(tmp_path):
    """The second run finds everything provisioned and goes on with it."""
    for _ in range(2):
        code, printed, _ = run("--messages", 5, "--interval", "100ms", "--data-dir", tmp_path / "data")
        assert code == 0, printed
        assert len(EVENT.findall(printed)) == 5, printed


def test_ports_in_use_fall_back_to_free_ones():
    held = []
    for port in (4566, 8883):
        tcp = socket.socket()
        try:
            tcp.bind(("127.0.0.1", port))
            tcp.listen()
            held.append(tcp)
        except OSError:
            tcp.close()  # somebody else holds it: as good
    try:
        code, printed, _ = run("--messages", 1, "--interval", "100ms")
    finally:
        for tcp in held:
            tcp.close()
    assert code == 0 and len(EVENT.findall(printed)) == 1, printed


def test_ctrl_c_ends_it_cleanly():
    demo = start("--interval", "100ms")
    try:
        line = eventually(lambda: next((line for line in demo.stdout if EVENT.search(line)), None), "an event")
        assert json.loads(EVENT.search(line)[0])["device_id"] == "pico_w_simple"
        os.kill(demo.pid, signal.SIGINT)
        rest, _ = demo.communicate(timeout=DEADLINE_S)
        assert demo.returncode == 0, rest
    finally:
        demo.kill()
        demo.wait()
