"""A server of a few lines: one connection after the other."""

import socket
import threading

DEADLINE_S = 120
"""For a client that says nothing: an emulated board takes its time."""


class Listener:
    """`with Listener(port, serve):` calls `serve(socket)` for each connection; port 0 picks a free one."""

    def __init__(self, port, serve):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.serve = serve

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind, error, trace):
        # A thread that waits in accept would keep the port.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(DEADLINE_S)
            with connection:
                try:
                    self.serve(connection)
                except OSError:
                    # Either side is gone, as it may.
                    pass
