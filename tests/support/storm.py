"""Crowds in processes of their own, and two well-behaved clients that measure meanwhile what the others have to wait."""

import multiprocessing
import resource
import selectors
import ssl
import struct
import time
from collections import Counter
from typing import NamedTuple

from .crowd import Crowd
from .mqtt import PUBACK, PUBLISH, Client, puback, publish

PROCESSES = multiprocessing.get_context("spawn")
PERIOD_S = 0.05
"""Between two messages of the well-behaved pair. AWS's window of 100 is full when five seconds of them are unacknowledged."""

WAIT_S = 120
"""For the pair's last messages, and for a worker to answer that has ended its work."""


class Identity(NamedTuple):
    """What another process needs of a device."""

    name: str
    certificate: str
    key: str

    @classmethod
    def of(cls, device):
        return cls(device.name, str(device.certificate), str(device.key))


class Worker:
    """One process that does what it is told: `serve(pipe, *arguments)` answers every message with (ok, value)."""

    def __init__(self, serve, *arguments):
        self.pipe, theirs = PROCESSES.Pipe()
        self.process = PROCESSES.Process(target=serve, args=(theirs, *arguments), daemon=True)
        self.process.start()
        theirs.close()

    def tell(self, *message):
        self.pipe.send(message)

    def answer(self, timeout_s):
        assert self.pipe.poll(timeout_s), f"no answer within {timeout_s} s"
        ok, value = self.pipe.recv()
        assert ok, value
        return value

    def end(self):
        self.pipe.close()
        self.process.join(10)
        if self.process.is_alive():
            self.process.kill()


class Storm:
    """`with Storm(server, device) as storm: storm.run(behaviour, 10_000)`: the clients are spread over the processes, as
    each may have 20,000 files only."""

    def __init__(self, server, device, processes=2):
        self.workers = [Worker(_crowd, server.mqtts_port, server.plain_port, Identity.of(device), share, processes) for share in range(processes)]

    def run(self, behaviour, count, deadline_s=300, **options):
        return self._all("run", behaviour, count, deadline_s=deadline_s, **options)

    def run_held(self, behaviour, deadline_s=300, **options):
        return self._all("run_held", behaviour, deadline_s=deadline_s, **options)

    def release(self):
        return self._all("release")

    def start(self, behaviour, count, deadline_s=300, **options):
        """Like `run`; `finish` gives the outcomes."""
        self.deadline_s = deadline_s
        for worker in self.workers:
            worker.tell("run", (behaviour, count), dict(deadline_s=deadline_s, **options))

    def finish(self):
        return sum((worker.answer(self.deadline_s + WAIT_S) for worker in self.workers), Counter())

    def _all(self, method, *arguments, **options):
        self.deadline_s = options.get("deadline_s", 0)
        for worker in self.workers:
            worker.tell(method, arguments, options)
        return self.finish()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for worker in self.workers:
            worker.end()


def _crowd(pipe, port, plain_port, device, share, shares):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = Crowd(port, plain_port, device, share, shares)
    _serve(pipe, lambda method, arguments, options: getattr(crowd, method)(*arguments, **options))


def _serve(pipe, handle):
    while True:
        try:
            message = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send((True, handle(*message)))
        except Exception as error:  # told to the test, which fails with it
            pipe.send((False, f"{type(error).__name__}: {error}"))


# The well-behaved pair ---------------------------------------------------------------------------------------------


class Pair:
    """`with Pair(server, device) as pair:` publishes with QoS 1 at fixed times, whatever came of the messages before."""

    def __init__(self, server, device, name="pair"):
        self.worker = Worker(_pair, server.mqtts_port, Identity.of(device), name)
        self.worker.answer(WAIT_S)

    def finish(self, since, until):
        """Gives the latencies in seconds, sorted, of messages that were due in this time (`time.monotonic()`). All of its
        messages have come once, in order, and were acknowledged."""
        self.worker.tell("finish")
        sent, received, acknowledged, latencies = self.worker.answer(2 * WAIT_S)
        assert received == list(range(sent)), f"the pair's messages: {sent} sent, {len(received)} received"
        assert acknowledged == sent, f"the pair's messages: {sent} sent, {acknowledged} acknowledged"
        return sorted(latency for due, latency in latencies if since <= due <= until)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.worker.end()


class _Server:
    """As much of a server as a client needs."""

    def __init__(self, mqtts_port):
        self.mqtts_port = mqtts_port


def _pair(pipe, port, device, name):
    server, topic = _Server(port), f"{name}/measured"
    to = Client.connected(server, device, f"{name}-to", keep_alive=1200)
    by = Client.connected(server, device, f"{name}-by", keep_alive=1200)
    to.subscribe(topic, qos=1)
    selector = selectors.DefaultSelector()
    sent, acknowledged, received, latencies = 0, 0, [], []

    def packets(client):
        """Those that are here."""
        client.socket.settimeout(0)
        try:
            while more := client.socket.recv(65536):
                client.buffer += more
            raise ConnectionError("the server closed a well-behaved client's connection")
        except (ssl.SSLWantReadError, BlockingIOError):
            pass
        finally:
            client.socket.settimeout(WAIT_S)
        while len(client.buffer) >= 2 and len(client.buffer) >= 2 + client.buffer[1]:  # none of ours is longer than 127
            packet, client.buffer = client.buffer[:2 + client.buffer[1]], client.buffer[2 + client.buffer[1]:]
            yield packet[0] >> 4, packet[2:]

    for client in (to, by):
        selector.register(client.socket, selectors.EVENT_READ, client)
    selector.register(pipe, selectors.EVENT_READ, None)
    pipe.send((True, "ready"))
    due, ends_at = time.monotonic(), None
    while ends_at is None or len(received) < sent or acknowledged < sent:
        now = time.monotonic()
        if ends_at is not None and now > ends_at:
            break
        if ends_at is None and now >= due:
            # The time at which it was to be sent: waiting to send is latency too.
            by.send(publish(topic, struct.pack("!Id", sent, due), 1, sent % 65535 + 1))
            sent, due = sent + 1, due + PERIOD_S
        for key, _ in selector.select(max(0, due - time.monotonic()) if ends_at is None else 0.1):
            if key.data is None:
                pipe.recv()
                ends_at = time.monotonic() + WAIT_S
                continue
            for kind, body in packets(key.data):
                if kind == PUBACK:
                    acknowledged += 1
                elif kind == PUBLISH:
                    at = 2 + len(topic)
                    number, begun = struct.unpack("!Id", body[at + 2:])
                    received.append(number)
                    latencies.append((begun, time.monotonic() - begun))
                    to.send(puback(*struct.unpack("!H", body[at:at + 2])))
    pipe.send((True, (sent, received, acknowledged, latencies)))
    pipe.poll(WAIT_S)
