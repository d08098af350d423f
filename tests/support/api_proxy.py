"""A proxy before a server's API: passes calls on as they are (the signature holds), and may refuse some or look on."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FRAMING = {"content-length", "transfer-encoding", "connection", "date", "server"}
"""Headers of one hop, which the next one has of its own."""


class ApiProxy:
    """`with ApiProxy(server.api_url) as proxy:` listens at `proxy.url`.

    `refuse` is a path of which one call is answered with 503; `answered` is called with each path and the answer's
    status before the caller is told.
    """

    def __init__(self, url, refuse=None, answered=lambda path, status: None):
        proxy = self
        self.refuse = refuse

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                path = self.path.partition("?")[0]
                body = self.body()
                if path == proxy.refuse:
                    proxy.refuse = None
                    status, headers, answer = 503, [], b'{"message": "not now"}'
                else:
                    asked = {name: value for name, value in self.headers.items() if name.lower() not in FRAMING}
                    status, headers, answer = proxy.call(url, self.command, self.path, asked, body)
                answered(path, status)
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in FRAMING:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def body(self):
                if self.headers.get("transfer-encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("content-length") or 0))
                chunks = []
                while size := int(self.rfile.readline(), 16):
                    chunks.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(chunks)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

            def log_message(self, *_):
                pass

        self.listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.listener.server_port}"

    @staticmethod
    def call(url, method, path, headers, body):
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def __enter__(self):
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown()
        self.listener.server_close()
