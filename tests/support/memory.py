"""What a process takes of the machine's memory, as Linux counts it."""

import time
from pathlib import Path

MIB = 1024 * 1024


class Memory:
    """Resident memory of a process, in MiB."""

    def __init__(self, pid):
        self.place = Path(f"/proc/{pid}")

    def now(self):
        return self._status("VmRSS")

    def settled(self, quiet_s, timeout_s=90):
        """What it is when it has not fallen by another fiftieth for `quiet_s`."""
        end = time.monotonic() + timeout_s
        lowest, since = self.now(), time.monotonic()
        while time.monotonic() < min(since + quiet_s, end):
            time.sleep(0.1)
            if (now := self.now()) < 0.98 * lowest:
                lowest, since = now, time.monotonic()
        return self.now()

    def peak(self):
        """Since the last `forget_peak`."""
        return self._status("VmHWM")

    def forget_peak(self):
        (self.place / "clear_refs").write_text("5")

    def kinds(self):
        """Ours, and what is only mapped from files: the program itself."""
        return {name: round(self._status(name), 1) for name in ("RssAnon", "RssFile")}

    def _status(self, name):
        for line in (self.place / "status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
        raise AssertionError(f"no {name}")
