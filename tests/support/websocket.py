"""MQTT over WebSocket as bytes: a client that does exactly what a test says, right or wrong. And presigned URLs as AWS has them."""

import base64
import hashlib
import json
import os
import socket
import struct
from datetime import datetime, timezone
from unittest.mock import patch

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from . import mqtt
from .mqtt import Client
from .server import REGION
from .waiting import DEADLINE_S

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FINAL = 0x80
ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def presigned(host, service="iotdevicegateway", key="AKIDEXAMPLE", token=None, token_is_signed=False, at=None, region=REGION):
    """Path and query of a WebSocket, signed by botocore for that host. AWS's SDKs append the session token after signing."""
    request = AWSRequest("GET", f"http://{host}/mqtt", headers={"Host": host})
    credentials = Credentials(key, "secret", token if token_is_signed else None)
    with at_time(at):
        auth.SigV4QueryAuth(credentials, service, region, expires=86400).add_auth(request)
    path = request.url.partition(host)[2]
    if token and not token_is_signed:
        path += "&" + "X-Amz-Security-Token=" + "".join(c if c.isalnum() else f"%{ord(c):02X}" for c in token)
    return path


def header_signed(host, service="iotdevicegateway", key="AKIDEXAMPLE", at=None):
    """Headers that sign `GET /mqtt`."""
    request = AWSRequest("GET", f"http://{host}/mqtt", headers={"Host": host})
    with at_time(at):
        auth.SigV4Auth(Credentials(key, "secret"), service, REGION).add_auth(request)
    return {name: value for name, value in request.headers.items() if name.lower() in ("authorization", "x-amz-date")}


def at_time(at):
    """botocore's clock: now, or seconds since 1970."""
    moment = datetime.now(timezone.utc) if at is None else datetime.fromtimestamp(at, timezone.utc)
    return patch.object(auth, "get_current_datetime", lambda *_, **__: moment.replace(tzinfo=None))


def frame(kind, payload=b"", final=True, mask=b"\x12\x34\x56\x78", length=None, reserved=0):
    """A client's frame. `mask`: None sends it unmasked; `length`: what it says instead of the truth."""
    first = (FINAL if final else 0) | reserved | kind
    size = len(payload) if length is None else length
    if size < 126:
        head = bytes([first, size | (0x80 if mask else 0)])
    elif size < 65536:
        head = bytes([first, 126 | (0x80 if mask else 0)]) + struct.pack("!H", size)
    else:
        head = bytes([first, 127 | (0x80 if mask else 0)]) + struct.pack("!Q", size)
    if not mask:
        return head + payload
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


class Refused(Exception):
    """The answer was no WebSocket."""

    def __init__(self, status, headers, body):
        super().__init__(f"{status}: {body!r}")
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class WebSocket(Client):
    """One connection, upgraded. `send` wraps MQTT into one binary frame; `read_exactly` unwraps what comes."""

    def __init__(self, address, path=None, context=None, headers=(), host=None, server_name="localhost", session=None, **signing):
        """`context`: TLS. `headers`: instead of, or besides, the usual ones; None leaves one out. Without `path` it is
        presigned with `signing`."""
        host = host or f"localhost:{address[1]}"
        tcp = socket.create_connection(address, DEADLINE_S)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.socket = context.wrap_socket(tcp, server_hostname=server_name, session=session) if context else tcp
        except BaseException:
            tcp.close()
            raise
        key = base64.b64encode(os.urandom(16)).decode()
        usual = {"Host": host, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": key,
                 "Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": "mqtt"}
        usual |= dict(headers)
        lines = [f"{name}: {value}" for name, value in usual.items() if value is not None]
        path = presigned(host, **signing) if path is None else path
        self.socket.sendall("\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode())
        self.raw, self.buffer, self.close_code = b"", b"", None
        head = self._head()
        status, found = int(head[0].split()[1]), dict(line.split(": ", 1) for line in head[1:])
        self.headers = {name.lower(): value for name, value in found.items()}
        if status != 101:
            body = self._raw_exactly(int(self.headers.get("content-length", 0)))
            self.socket.close()
            raise Refused(status, self.headers, body)
        accept = base64.b64encode(hashlib.sha1((key + ACCEPT_GUID).encode()).digest()).decode()
        assert self.headers["sec-websocket-accept"] == accept
        assert self.headers["sec-websocket-protocol"] == "mqtt"

    @classmethod
    def connected(cls, address, client_id, context=None, path=None, options=(), **more):
        client = cls(address, path, context, **more)
        client.send(mqtt.connect(client_id, **dict(options)))
        assert client.read_exactly(4) == b"\x20\x02\x00\x00"
        return client

    def send(self, data):
        self.socket.sendall(frame(BINARY, data))

    def send_raw(self, data):
        self.socket.sendall(data)

    def read_exactly(self, count, timeout_s=DEADLINE_S):
        while len(self.buffer) < count:
            kind, payload = self.read_frame(timeout_s)
            if kind == CLOSE:
                self.close_code = struct.unpack("!H", payload[:2])[0] if payload else None
                raise ConnectionError(f"closed by the server with {self.close_code} after {self.buffer!r}")
            assert kind == BINARY, f"a frame of kind {kind}"
            self.buffer += payload
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def read_frame(self, timeout_s=DEADLINE_S):
        """The next frame as (kind, payload); the server's are whole and not masked."""
        self.socket.settimeout(timeout_s)
        first, second = self._raw_exactly(2)
        assert first & 0x70 == 0 and first & FINAL and second < 0x80
        length = second
        if length == 126:
            (length,) = struct.unpack("!H", self._raw_exactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._raw_exactly(8))
        return first & 0x0F, self._raw_exactly(length)

    def expect_close(self, code):
        """A Close frame with this code, and then the end; MQTT that comes before is dropped."""
        while True:
            kind, payload = self.read_frame()
            if kind == CLOSE:
                break
        assert struct.unpack("!H", payload[:2])[0] == code, payload
        self.expect_end()

    def expect_end(self):
        try:
            more = self.raw + self.socket.recv(1)
        except mqtt.GONE:
            more = b""
        assert not more, f"{more!r} after the end"
        self.socket.close()

    def _head(self):
        self.socket.settimeout(DEADLINE_S)
        while b"\r\n\r\n" not in self.raw:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError(f"closed before an answer: {self.raw!r}")
            self.raw += more
        head, _, self.raw = self.raw.partition(b"\r\n\r\n")
        return head.decode().split("\r\n")

    def _raw_exactly(self, count):
        while len(self.raw) < count:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError(f"ended in the middle: {self.raw!r}")
            self.raw += more
        data, self.raw = self.raw[:count], self.raw[count:]
        return data
