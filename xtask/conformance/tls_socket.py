"""What the suite uses of the module `socket`, over TLS with a client certificate."""

import errno
import select
import socket
import ssl
import threading
import time

HANDSHAKE_S = 10
"""For TCP and TLS. The suite allows half a second for TCP alone, which a busy machine does not always keep."""

FIRST_PACKET_S = 5
"""For CONNACK, whose 0.3 s in the suite are meant for a server that has nothing to ask its disk."""

SLICE_S = 0.1
"""How soon a thread that reads notices that another one has closed the socket."""


class TlsSocket:
    """The suite reads in one thread and writes in another, and one TLS connection takes one call at a time: hence the lock."""

    def __init__(self, context):
        self._context, self._lock = context, threading.Lock()
        self._timeout_s, self._has_heard = None, False
        self._tls = None

    def settimeout(self, seconds):
        self._timeout_s = seconds

    def connect(self, address):
        tcp = socket.create_connection(address, HANDSHAKE_S)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._tls = self._context.wrap_socket(tcp, server_hostname=address[0])
        self._tls.setblocking(False)

    def recv(self, count):
        timeout_s = self._timeout_s if self._has_heard else max(self._timeout_s, FIRST_PACKET_S)
        data = self._retried(lambda tls: tls.recv(count), timeout_s)
        self._has_heard = True
        return data

    def send(self, data):
        """Sends all of it: the suite would send everything again after a part.

        What is sent to a server that has hung up is lost without a word, so that the suite comes to read the DISCONNECT
        before that: some of its clients do so by themselves.
        """
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._retried(lambda tls, rest=rest: tls.send(rest), self._timeout_s):]
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            pass
        return len(data)

    def shutdown(self, how):
        with self._lock:
            self._tls.shutdown(how)

    def close(self):
        with self._lock:
            self._tls.close()

    def _retried(self, call, timeout_s):
        end = time.monotonic() + timeout_s
        while True:
            with self._lock:
                try:
                    return call(self._tls)
                except ssl.SSLWantReadError:
                    readers, writers = [self._tls], []
                except ssl.SSLWantWriteError:
                    readers, writers = [], [self._tls]
                if self._tls.fileno() < 0:
                    raise OSError(errno.EBADF, "closed")
            left_s = end - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("timed out")
            try:
                select.select(readers, writers, [], min(left_s, SLICE_S))
            except ValueError:
                raise OSError(errno.EBADF, "closed") from None


class Sockets:
    """Stands for the module `socket` in the suite's clients."""

    AF_INET, SOCK_STREAM, SHUT_RDWR = socket.AF_INET, socket.SOCK_STREAM, socket.SHUT_RDWR

    def __init__(self, context):
        self._context = context

    def socket(self, _family, _kind):
        return TlsSocket(self._context)
