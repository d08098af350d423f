"""Many clients in one process. Each is a generator that yields what it waits for: (socket, events), or a pause in seconds."""

import heapq
import random
import selectors
import socket
import ssl
import struct
import time
from collections import Counter

from .mqtt import GONE, tls_context

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
LOST = (*GONE, OSError)
"""What a client sees of a connection that the server has closed; also of a socket whose other end is gone already."""

TRIES = 60
"""How often a client comes again that was turned away, as devices do."""


class Crowd:
    """The clients `share` of `shares`. What a behaviour holds on to is in `held` until `release` or a behaviour ends it."""

    def __init__(self, port, plain_port, device, share=0, shares=1, seed=0):
        self.address, self.plain_address = ("127.0.0.1", port), ("127.0.0.1", plain_port)
        self.context = tls_context(device)
        self.share, self.shares = share, shares
        self.random = random.Random(f"{seed}/{share}")
        self.selector = selectors.DefaultSelector()
        self.held = []
        self.turned_away = 0

    # Running --------------------------------------------------------------------------------------------------

    def run(self, behaviour, count, at_once=None, deadline_s=300, sources=1, **options):
        """This process's share of `count` clients. Gives how they ended: what they returned, or the error's name."""
        numbers = range(self.share, count, self.shares)
        clients = (behaviour(self, number, source(number, sources), **options) for number in numbers)
        return self._go(clients, at_once or count, deadline_s)

    def run_held(self, behaviour, deadline_s=300, **options):
        """All that are held do something; who is to stay is held again by the behaviour."""
        held, self.held = self.held, []
        return self._go((behaviour(self, one, **options) for one in held), len(held), deadline_s)

    def release(self):
        """Closes all sockets, as the end of a process does."""
        for one in self.held:
            one.close()
        count, self.held = len(self.held), []
        return Counter(released=count)

    def _go(self, clients, at_once, deadline_s):
        outcomes, pauses, self.turned_away = Counter(), [], 0
        end, running = time.monotonic() + deadline_s, 0

        def step(client):
            nonlocal running
            try:
                wanted = next(client)
            except StopIteration as done:
                outcomes[done.value or "done"] += 1
            except (OSError, AssertionError) as error:
                outcomes[f"{type(error).__name__}: {error}"] += 1
            else:
                if isinstance(wanted, float):
                    heapq.heappush(pauses, (time.monotonic() + wanted, id(client), client))
                else:
                    self.selector.register(*wanted, client)
                return
            running -= 1

        while True:
            while running < at_once and (client := next(clients, None)):
                running += 1
                step(client)
            if not running:
                break
            now = time.monotonic()
            if now > end:
                outcomes["not done in time"] += running
                for key in list(self.selector.get_map().values()):
                    self.selector.unregister(key.fileobj)
                break
            until = pauses[0][0] if pauses else end
            for key, _ in self.selector.select(min(max(until - now, 0), 1)):
                self.selector.unregister(key.fileobj)
                step(key.data)
            while pauses and pauses[0][0] <= time.monotonic():
                step(heapq.heappop(pauses)[2])
        if self.turned_away:
            outcomes["(times turned away)"] = self.turned_away
        return outcomes

    # What clients are made of -------------------------------------------------------------------------------------

    def tcp(self, source, receive_buffer=None, address=None):
        """A TCP connection from one of loopback's addresses."""
        one = socket.socket()
        one.setblocking(False)
        if receive_buffer:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            one.bind((source, 0))
            one.connect_ex(address or self.address)
            yield one, WRITE
            if error := one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise ConnectionError(f"connect: {error}")
        except BaseException:
            one.close()
            raise
        return one

    def tls(self, source, **options):
        """A TLS connection, its handshake done."""
        one = yield from self.tcp(source, **options)
        one = self.context.wrap_socket(one, do_handshake_on_connect=False)
        try:
            yield from patiently(one, one.do_handshake)
        except BaseException:
            one.close()
            raise
        return one

    def connected(self, source, packet, **options):
        """A client with its CONNACK, which tries again when it is turned away."""
        for _ in range(TRIES):
            one = None
            try:
                one = yield from self.tls(source, **options)
                yield from say(one, packet)
                connack = yield from hear(one, 2)
                connack += yield from hear(one, connack[1])
                assert connack[0] == 0x20 and connack[3] == 0, f"refused: {connack!r}"
                return one
            except LOST:
                self.turned_away += 1
                if one:
                    one.close()
            yield self.random.uniform(0.2, 1.5)
        raise ConnectionError("turned away too often")


def source(number, sources):
    """One of the addresses 127.0.1.1 and so on: each has its share of what may be unfinished."""
    return f"127.0.1.{1 + number % sources}"


def patiently(one, operation, *arguments):
    """An operation of a TLS or TCP socket, repeated until it is done."""
    while True:
        try:
            return operation(*arguments)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            yield one, READ if isinstance(error, ssl.SSLWantReadError) else WRITE
        except BlockingIOError:
            yield one, WRITE if operation.__name__ == "send" else READ


def say(one, data):
    """Sends all of it, however long the server does not read."""
    view = memoryview(data)
    while view:
        view = view[(yield from patiently(one, one.send, view[:65536])):]


def hear(one, count):
    data = b""
    while len(data) < count:
        more = yield from patiently(one, one.recv, count - len(data))
        if not more:
            raise ConnectionError("closed by the server")
        data += more
    return data


def hear_until_closed(one, pause=None):
    """Gives how many bytes came before the server closed."""
    count = 0
    try:
        while more := (yield from patiently(one, one.recv, 65536)):
            count += len(more)
    except LOST:
        pass
    one.close()
    return count


def vanish(one):
    """A close by TCP reset: no DISCONNECT, no FIN."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()
