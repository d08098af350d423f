"""What a process did to the files below one directory, from `strace`: the raw material of power cuts.

Every change of a file or a directory becomes a `Change` with the time at which it began and ended, every fsync a `Sync`.
Only what the real system saw counts: nothing here knows how the program or its libraries write.
"""

import re
from bisect import bisect_left
from dataclasses import dataclass, field
from pathlib import PurePosixPath

CALLS = ("openat,read,write,pread64,pwrite64,lseek,ftruncate,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,"
         "mkdir,mkdirat,rmdir,close")
"""Calls that are understood."""

REFUSED = "open,creat,writev,pwritev,pwritev2,truncate,fallocate,link,linkat,symlink,symlinkat,copy_file_range,sync_file_range,dup,dup2,dup3"
"""Calls that would change files and are not understood: a trace with one of them below the directory is an error."""


def strace(output):
    """The command to put in front of the program. Strings are written whole and in hexadecimal."""
    return ("strace", "-f", "-ttt", "-T", "-y", "-xx", "-s", str(64 << 20), "-e", "signal=none", "--seccomp-bpf",
            "-e", f"trace={CALLS},{REFUSED}", "-o", str(output))


@dataclass
class Change:
    """Of a file: `("write", offset, bytes)`, `("size", bytes)`. Of a directory: `("add", name, node)`, `("remove", name)`,
    `("rename", name, name)`."""

    what: tuple
    begun: float
    ended: float


@dataclass
class Node:
    """A file or a directory, whatever its names are. Its changes and its syncs are in order."""

    is_directory: bool
    changes: list = field(default_factory=list)
    syncs: list = field(default_factory=list)  # (begun, ended)
    size: int = 0

    def durable_changes(self, now):
        """How many changes, from the first on, no power cut at `now` can take back: those that ended before a sync began
        that has ended."""
        begun = max((begun for begun, ended in self.syncs if ended <= now), default=None)
        if begun is None:
            return 0
        return bisect_left([change.ended for change in self.changes], begun)


@dataclass
class _Open:
    node: Node
    appends: bool
    offset: int = 0


class DiskTrace:
    """The files below `root`, which is empty or absent at first. `read` takes the traces of one process after the other."""

    def __init__(self, root):
        self.root = PurePosixPath(root)
        self.top = Node(is_directory=True)
        self.names = {self.root: self.top}
        self.nodes = [self.top]  # those that have lost their name too
        self.times = []  # at which something below the root happened

    def read(self, path):
        """Adds the trace of one whole process."""
        opened = {}
        calls = sorted(_calls(path), key=lambda call: call.ended)
        for call in calls:
            if call.result >= 0:
                self._take(call, opened)

    def _take(self, call, opened):
        handler = getattr(self, f"_{call.name}", None)
        if handler:
            handler(call, opened)
        elif any(self._below(argument) for argument in call.paths()):
            raise AssertionError(f"a call that is not understood: {call}")

    def _below(self, path):
        path = PurePosixPath(path)
        return path == self.root or self.root in path.parents

    def _change(self, node, call, *what):
        match what:
            case ("write", offset, data):
                node.size = max(node.size, offset + len(data))
            case ("size", size):
                node.size = size
        node.changes.append(Change(what, call.begun, call.ended))
        self.times.append(call.ended)

    def _add(self, path, call, is_directory):
        parent = self.names.get(path.parent)
        if path == self.root or not self._below(path):
            return
        node = Node(is_directory)
        self.nodes.append(node)
        self.names[path] = node
        self._change(parent, call, "add", path.name, node)

    # One handler for each call ---------------------------------------------------------------------------------------------

    def _openat(self, call, opened):
        path = PurePosixPath(call.strings[0])
        if not self._below(path):
            opened.pop(call.result, None)
            return
        if path not in self.names:
            assert "O_CREAT" in call.text, f"an unknown file was opened: {call}"
            self._add(path, call, is_directory=False)
        node = self.names[path]
        if "O_TRUNC" in call.text and not node.is_directory:
            self._change(node, call, "size", 0)
        opened[call.result] = _Open(node, "O_APPEND" in call.text)

    def _close(self, call, opened):
        opened.pop(call.descriptor, None)

    def _read(self, call, opened):
        if handle := opened.get(call.descriptor):
            handle.offset += call.result

    def _pread64(self, call, opened):
        pass

    def _write(self, call, opened):
        if handle := opened.get(call.descriptor):
            if handle.appends:
                handle.offset = handle.node.size
            self._change(handle.node, call, "write", handle.offset, call.data()[:call.result])
            handle.offset += call.result

    def _pwrite64(self, call, opened):
        if handle := opened.get(call.descriptor):
            self._change(handle.node, call, "write", call.last_number(), call.data()[:call.result])

    def _lseek(self, call, opened):
        if handle := opened.get(call.descriptor):
            handle.offset = call.result

    def _ftruncate(self, call, opened):
        if handle := opened.get(call.descriptor):
            self._change(handle.node, call, "size", call.last_number())

    def _fsync(self, call, opened):
        if handle := opened.get(call.descriptor):
            handle.node.syncs.append((call.begun, call.ended))
            self.times.append(call.ended)

    _fdatasync = _fsync

    def _mkdir(self, call, opened):
        self._add(PurePosixPath(call.strings[0]), call, is_directory=True)

    _mkdirat = _mkdir

    def _unlink(self, call, opened):
        path = PurePosixPath(call.strings[0])
        if self._below(path):
            del self.names[path]
            self._change(self.names[path.parent], call, "remove", path.name)

    _unlinkat = _rmdir = _unlink

    def _rename(self, call, opened):
        old, new = map(PurePosixPath, call.strings)
        if self._below(old) or self._below(new):
            assert old.parent == new.parent, f"not understood: {call}"
            for path in [path for path in self.names if path == old or old in path.parents]:
                self.names[new / path.relative_to(old)] = self.names.pop(path)
            self._change(self.names[old.parent], call, "rename", old.name, new.name)

    _renameat = _renameat2 = _rename


class _Call:
    """One finished system call."""

    def __init__(self, begun, text, result, seconds):
        self.begun, self.ended = begun, begun + seconds
        self.text, self.result = text, result
        self.name, _, arguments = text.partition("(")
        found = re.match(r"(\d+)<", arguments)
        self.descriptor = int(found[1]) if found else None
        self._strings = re.findall(r'"((?:\\x[0-9a-f]{2})*)"', arguments)

    @property
    def strings(self):
        return [_bytes(text).decode() for text in self._strings]

    def data(self):
        return _bytes(self._strings[0])

    def last_number(self):
        return int(re.search(r"(\d+)$", self.text.rstrip(")"))[1])

    def paths(self):
        """Every path that the call names, by text or by descriptor."""
        described = re.findall(r"\d+<((?:\\x[0-9a-f]{2})+)>", self.text)
        return [_bytes(text).decode(errors="replace") for text in [*self._strings, *described]]

    def __repr__(self):
        return f"{self.text[:200]} = {self.result}"


def _bytes(text):
    return bytes.fromhex(text.replace("\\x", ""))


LINE = re.compile(r"(\d+) +(\d+\.\d+) (.*)")
WHOLE = re.compile(r"(.*\)) += (-?\d+)(?:<[^>]*>)?(?: .*)? <(\d+\.\d+)>$")
UNFINISHED = " <unfinished ...>"
RESUMED = re.compile(r"<\.\.\. \w+ resumed>(.*)")


def _calls(path):
    begun = {}
    with open(path, encoding="ascii") as lines:
        for line in lines:
            thread, time, text = LINE.match(line.rstrip("\n")).groups()
            if text.startswith(("+++", "---")):
                continue
            if text.endswith(UNFINISHED):
                begun[thread] = float(time), text.removesuffix(UNFINISHED)
                continue
            if resumed := RESUMED.match(text):
                started, head = begun.pop(thread)
                text = head + resumed[1]
            else:
                started = float(time)
            whole = WHOLE.match(text)
            # What a kill interrupts has no result: whether it happened is open, as with a power cut; nobody waited for it.
            if whole:
                yield _Call(started, whole[1], int(whole[2]), float(whole[3]))
