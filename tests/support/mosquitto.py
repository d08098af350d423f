"""Eclipse Mosquitto's command-line clients: `mosquitto_pub` and `mosquitto_sub` with a device's certificate."""

import queue
import subprocess
import threading

from .waiting import DEADLINE_S


class Mosquitto:
    """`version` is 311 or 5."""

    def __init__(self, server, device, version, *flags):
        self.version = version
        self.flags = ["-h", "localhost", "-p", str(server.mqtts_port), "--cafile", server.ca_path, "--cert", str(device.certificate),
                      "--key", str(device.key), "-V", f"mqttv{version}", *flags]

    def pub(self, *flags, lines=None):
        """Runs it to its end. `lines` are what it reads with -l."""
        return subprocess.run(["mosquitto_pub", *self.flags, *flags], input=lines, capture_output=True, text=True, timeout=DEADLINE_S)

    def publish(self, topic, message, *flags):
        done = self.pub("-t", topic, "-m", message, *flags)
        assert done.returncode == 0, done.stdout + done.stderr

    def sub(self, *flags):
        return Sub(self.flags, flags)


class Sub:
    """A `mosquitto_sub` that runs: its lines are to be waited for. `--quiet` is not: it says when it has subscribed."""

    def __init__(self, connection, flags):
        # stdbuf: into a pipe it would keep its lines to itself until the end.
        self.process = subprocess.Popen(["stdbuf", "-oL", "mosquitto_sub", *connection, "-d", *flags],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines, self.said = queue.Queue(), []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def expect(self, word):
        """The next line that holds the word; `None` is the end."""
        while (line := self.lines.get(timeout=DEADLINE_S)) is not None:
            self.said.append(line)
            if word in line:
                return line
        raise AssertionError(f"it ended without `{word}`: {self.said}")

    def subscribed(self):
        self.expect("Subscribed (mid")
        return self

    def rest(self):
        """What it still prints of messages, until it ends by itself."""
        lines = []
        while (line := self.lines.get(timeout=DEADLINE_S)) is not None:
            lines.append(line)
        assert self.process.wait(DEADLINE_S) == 0, lines
        return [line for line in lines if not line.startswith(("Client ", "Subscribed", "Timed out"))]

    def kill(self):
        """As when a program dies: nothing is sent any more."""
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
