"""One `eyot serve` process: started, waited for, read, ended by its id."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

from .waiting import DEADLINE_S, eventually

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("EYOT_BINARY", ROOT / "target/release/eyot"))
REGION = "us-east-1"
ACCOUNT = "000000000000"


BRISK = tuple(f"--limit={name}=unlimited" for name in (
    "connection_publishes_per_s", "connection_bytes_per_s", "client_connects_per_s", "topic_retained_per_s"))
"""Tests do not wait for a second to pass before they connect, publish or retain once more; `test_quotas.py` does."""


def clean_environment(**extra):
    """Our environment without settings of a real AWS account or of another eyot."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "EYOT_", "RUST_LOG"))}
    return kept | extra


class Server:
    """`with Server(directory) as server:` runs one, and checks that it drains with exit code 0."""

    def __init__(self, directory, *flags, wrapper=(), mqtts_port=0, environment=None, pace=BRISK):
        """`pace`: flags that lift AWS's rates."""
        self.directory = Path(directory)
        self.data_dir = self.directory / "data"
        self.log_path = self.directory / "eyot.log"
        self.ready_path = self.directory / "ready.json"
        self.flags = (*pace, *flags)
        self.wrapper = tuple(wrapper)
        self.environment = environment or {}
        self.mqtts_port_asked = str(mqtts_port)
        self.process = None
        self.ready = None

    def start(self):
        assert BINARY.exists(), f"no {BINARY}: cargo build --release -p eyot"
        self.ready_path.unlink(missing_ok=True)
        command = [*self.wrapper, BINARY, "serve", "--data-dir", self.data_dir, "--api-port", "0",
                   "--mqtts-port", self.mqtts_port_asked, "--https-port", "0", "--ready-file", self.ready_path, *self.flags]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.directory, env=clean_environment(NO_COLOR="1", **self.environment))
        self.ready = eventually(self._read_ready, lambda: f"the ready file; the log says:\n{self.log()}", 60)
        return self

    def _read_ready(self):
        assert self.process.poll() is None, f"eyot ended with {self.process.returncode}:\n{self.log()}"
        try:
            return json.loads(self.ready_path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    @property
    def pid(self):
        """The server's own process id, also under a wrapper such as strace."""
        return self.ready["pid"]

    @property
    def api_url(self):
        scheme = "http"
        return f"{scheme}://{self.ready['api']}"

    @property
    def api_port(self):
        return int(self.ready["api"].rpartition(":")[2])

    @property
    def mqtts_port(self):
        return int(self.ready["mqtts"].rpartition(":")[2])

    @property
    def https_port(self):
        return int(self.ready["https"].rpartition(":")[2])

    @property
    def alpn_port(self):
        return int(self.ready["alpn"].rpartition(":")[2])

    @property
    def plain_port(self):
        return int(self.ready["mqtt"].rpartition(":")[2])

    @property
    def ca_path(self):
        return self.ready["ca"]

    # The log ------------------------------------------------------------------------------------------------

    def log(self):
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return re.sub(r"\x1b\[[0-9;]*m", "", text)

    def log_mark(self):
        """A place in the log: give it to `expect_log` to look only at what comes later."""
        return len(self.log())

    def expect_log(self, *words, since=0):
        """Waits for one line that holds every word (case ignored; a compiled pattern is searched for)."""

        def found():
            for line in self.log()[since:].splitlines():
                if all(_holds(line, word) for word in words):
                    return line
            return None

        return eventually(found, lambda: f"a log line with {words}; the log since then:\n{self.log()[since:]}")

    # The end --------------------------------------------------------------------------------------------------

    def kill(self):
        """As `kill -9`: nothing is flushed, nothing is drained."""
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait(DEADLINE_S)

    def stop(self):
        """SIGTERM; the server must drain and end with 0."""
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGTERM)
        code = self.process.wait(30)
        assert code == 0, f"eyot ended with {code}:\n{self.log()}"
        assert "panicked" not in self.log(), f"a thread panicked:\n{self.log()}"

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.stop()
        elif self.process.poll() is None:
            # The test has failed already: end the process without hiding why.
            self.process.terminate()
            try:
                self.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()


def because(phrase):
    """For `expect_log`: the line gives this as its reason. A name in another field that holds the same words does not count."""
    return re.compile(rf"\b(?:reason|detail)=.*{re.escape(phrase)}", re.IGNORECASE)


def _holds(line, word):
    if isinstance(word, re.Pattern):
        return word.search(line) is not None
    return word.lower() in line.lower()
