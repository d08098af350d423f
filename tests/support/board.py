"""The emulated Pico W, running the real firmware: started, heard, hurt, and ended by its id.

Times are the board's own, in emulated milliseconds; only how long a test waits is measured by the clock on the wall.
"""

import json
import os
import re
import subprocess
import threading
import time
from pathlib import Path

from .cloud import Cloud
from .server import BINARY, ROOT, Server, clean_environment

EMULATOR = ROOT / "emulator/dist/src/main.js"
FIRMWARE = Path(os.environ.get("EYOT_FIRMWARE", ROOT / "target/firmware"))
RELEASE_UF2 = FIRMWARE / "eyot-pico-w.uf2"
"""What goes onto a board, byte for byte."""
EMULATED_UF2 = FIRMWARE / "emulated-eyot-pico-w.uf2"
"""The same, but for the radio's own firmware: the emulated radio needs none, and boots faster without."""

SSID = "emulated"
PASSWORD = "emulated-password"
SERVER_NAME = "eyot.test"
"""The server's name, which only the emulated network knows."""

DEADLINE_S = float(os.environ.get('EYOT_BOARD_DEADLINE_S', 240))
"""An emulated second of computing takes several; on a busy machine many."""

FLASH_PAUSE_MS = 800
"""Between two rounds of flashes the LED is dark for a second; between two flashes for a fifth of one."""


def make_image(directory, server, thing, *options, firmware=EMULATED_UF2, host=SERVER_NAME):
    """`eyot pico image`: thing, key, certificate, policy, and the file that goes onto a board. Without firmware it holds
    the configuration only."""
    directory = Path(directory)
    password = directory / "wifi-password"
    password.write_text(PASSWORD)
    image = directory / (f"{thing}.uf2" if firmware else f"{thing}-configuration.uf2")
    content = ["--firmware", firmware] if firmware else ["--config-only"]
    command = [BINARY, "pico", "image", "--thing", thing, "--wifi-ssid", SSID, "--wifi-password-file", password,
               "--endpoint", f"{host}:8883", "--endpoint-url", server.api_url, "--offline",
               *content, "--out", image, "--force", *options]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60, env=clean_environment())
    assert done.returncode == 0, done.stdout + done.stderr
    return image


def flash_of(image):
    """What a UF2 file writes, one block behind the other: 256 of a block's 512 bytes."""
    uf2 = Path(image).read_bytes()
    return b"".join(uf2[at + 32 : at + 288] for at in range(0, len(uf2), 512))


class BoardServer(Server):
    """A server for emulated boards: it has the name that they look for, patience, and the post's rule."""

    def __init__(self, directory, *flags, **options):
        super().__init__(directory, "--advertise", SERVER_NAME, "--connect-timeout", "10m", *flags, **options)

    def start(self):
        self.directory.mkdir(exist_ok=True)
        super().start()
        self.cloud = Cloud(self.api_url)
        if not self.cloud.logs.describe_log_groups()["logGroups"]:
            self.cloud.telemetry_rule()
        return self

    def readings(self):
        return [json.loads(message) for message in self.cloud.messages()]


class Board:
    """`with Board(image, mqtts_port) as board:` runs one."""

    def __init__(self, image, mqtts_port, *options, first=(), names=(SERVER_NAME, "pool.ntp.org"), then=()):
        """`first`: commands that are carried out before the board starts. `then`: files copied onto it after the image."""
        self.command_line = ["node", EMULATOR, "run", image, *then, "--json", "--ssid", SSID,
                             "--password-file", Path(image).parent / "wifi-password",
                             "--tcp-forward", f"8883=127.0.0.1:{mqtts_port}", *options]
        for name in names:
            self.command_line += ["--dns", name]
        for command in first:
            self.command_line += ["--first", json.dumps(command)]
        self.events = []
        self.changed = threading.Condition()
        self.process = None
        self.next_id = 0

    def __enter__(self):
        assert EMULATOR.exists(), f"no {EMULATOR}: npm run build in emulator/"
        self.process = subprocess.Popen([str(part) for part in self.command_line], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=clean_environment())
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, kind, error, trace):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if kind is not None:
            print("\n".join(self.story()[-80:]))

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.events.append(json.loads(line))
                self.changed.notify_all()
        with self.changed:
            self.events.append({"event": "ended", "at_ms": None})
            self.changed.notify_all()

    # What the board said -----------------------------------------------------------------------------------------

    def mark(self):
        """A place among the events: give it as `since` to look only at what comes later."""
        with self.changed:
            return len(self.events)

    def expect(self, what, found, since=0):
        """Waits for the first event that `found` returns something for, and returns that."""
        end = time.monotonic() + DEADLINE_S
        at = since
        with self.changed:
            while True:
                while at < len(self.events):
                    event = self.events[at]
                    at += 1
                    result = found(event)
                    if result:
                        return result
                    assert event["event"] != "ended", f"the emulator ended before {what}:\n" + "\n".join(self.story())
                assert self.changed.wait(max(0.0, end - time.monotonic())), (
                    f"did not happen within {DEADLINE_S} s: {what}; the board's story:\n" + "\n".join(self.story()[-60:]))

    def expect_log(self, pattern, since=0):
        """Waits for a line of the board's own log."""
        return self.expect(f"a line with `{pattern}`", lambda event: event["event"] == "log" and
                           (match := re.search(pattern, event["line"])) and (event["at_ms"], match), since)

    def log(self, since=0):
        with self.changed:
            return [event["line"] for event in self.events[since:] if event["event"] == "log"]

    def expect_flashes(self, since=0):
        """Waits for a whole round of flashes and returns how long each was, in ms."""
        edges = []

        def found(event):
            if event["event"] != "led":
                return None
            edges.append((event["at_ms"], event["on"]))
            return whole_round(edges)

        return self.expect("a round of flashes", found, since)

    def story(self):
        with self.changed:
            events = list(self.events)
        return [f"{event.get('at_ms')} {json.dumps({k: v for k, v in event.items() if k != 'at_ms'})}"
                for event in events if event["event"] != "led"]

    # What is done to the board -------------------------------------------------------------------------------------

    def do(self, command, **fields):
        """Sends a command to the emulator and returns its answer."""
        self.next_id += 1
        wanted, since = self.next_id, self.mark()
        self.process.stdin.write(json.dumps({"id": wanted, "command": command, **fields}) + "\n")
        self.process.stdin.flush()
        answer = self.expect(f"the answer to {command}", lambda event: event["event"] == "done" and
                             event["id"] == wanted and event, since)
        assert "error" not in answer, answer
        return answer


def whole_round(edges):
    """The flashes between the last two long pauses, once there are two."""
    flashes, rounds, dark_since = [], [], None
    for at_ms, is_on in edges:
        if is_on:
            if dark_since is not None and at_ms - dark_since >= FLASH_PAUSE_MS:
                rounds.append(flashes)
                flashes = []
            lit_since = at_ms
        elif edges[0] != (at_ms, is_on):
            flashes.append(round(at_ms - lit_since))
            dark_since = at_ms
    # What came before the first pause may have begun in the middle.
    return rounds[1] if len(rounds) > 1 else None
