"""MQTT 3.1.1 as bytes over TLS: a client that does exactly what a test says, right or wrong."""

import socket
import ssl
import struct

from .waiting import DEADLINE_S

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 1, 2, 3, 4, 8, 9
UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 10, 11, 12, 13, 14
TCP_ESTABLISHED = 1  # of Linux' `tcp_info`
GONE = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLError)


def text(value):
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(data)) + data


def packet(kind, flags, body):
    length, left = bytearray(), len(body)
    while True:
        left, digit = divmod(left, 128)
        length.append(digit | (0x80 if left else 0))
        if not left:
            return bytes([kind << 4 | flags]) + bytes(length) + body


def connect(client_id, keep_alive=60, clean=True, username=None, password=None, will=None):
    """`will` is (topic, payload, qos, retain)."""
    flags, tail = 0x02 if clean else 0, text(client_id)
    if will:
        topic, payload, qos, retain = will
        flags |= 0x04 | qos << 3 | (0x20 if retain else 0)
        tail += text(topic) + text(payload)
    if username is not None:
        flags, tail = flags | 0x80, tail + text(username)
    if password is not None:
        flags, tail = flags | 0x40, tail + text(password)
    return packet(CONNECT, 0, text("MQTT") + bytes([4, flags]) + struct.pack("!H", keep_alive) + tail)


def publish(topic, payload, qos=0, packet_id=None, retain=False, dup=False):
    body = text(topic)
    if qos:
        body += struct.pack("!H", packet_id)
    data = payload.encode() if isinstance(payload, str) else payload
    return packet(PUBLISH, (8 if dup else 0) | qos << 1 | int(retain), body + data)


def subscribe(packet_id, *filters, qos=0):
    return packet(SUBSCRIBE, 2, struct.pack("!H", packet_id) + b"".join(text(f) + bytes([qos]) for f in filters))


def unsubscribe(packet_id, *filters):
    return packet(UNSUBSCRIBE, 2, struct.pack("!H", packet_id) + b"".join(text(f) for f in filters))


def puback(packet_id):
    return packet(PUBACK, 0, struct.pack("!H", packet_id))


def tls_context(device=None, version=None, ca=None):
    """A client's TLS. Without `ca` the server is not verified: as the post's board does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = ca is not None
    context.verify_mode = ssl.CERT_REQUIRED if ca else ssl.CERT_NONE
    if ca:
        context.load_verify_locations(ca)
    if version:
        context.minimum_version = context.maximum_version = version
    if device:
        context.load_cert_chain(device.certificate, device.key)
    return context


class Client:
    """One connection. Every read has a deadline."""

    def __init__(self, server, context, server_name=None, session=None, address=None, source=None):
        """`source`: the address to come from, such as another one of loopback."""
        address = address or ("127.0.0.1", server.mqtts_port)
        tcp = socket.create_connection(address, DEADLINE_S, source_address=source and (source, 0))
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.socket = context.wrap_socket(tcp, server_hostname=server_name, session=session)
        except BaseException:
            tcp.close()
            raise
        self.buffer = b""

    @classmethod
    def connected(cls, server, device, client_id=None, version=None, session=None, context=None, source=None, **options):
        """TLS, CONNECT, and a CONNACK that accepts."""
        client = cls(server, context or tls_context(device, version), session=session, source=source)
        client.send(connect(client_id or device.name, **options))
        assert client.read_exactly(4) == b"\x20\x02\x00\x00"
        return client

    def send(self, data):
        self.socket.sendall(data)

    def read_exactly(self, count, timeout_s=DEADLINE_S):
        self.socket.settimeout(timeout_s)
        while len(self.buffer) < count:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError(f"closed by the server after {self.buffer!r}")
            self.buffer += more
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def read(self, timeout_s=DEADLINE_S):
        """The next packet as (kind, flags, body)."""
        first = self.read_exactly(1, timeout_s)[0]
        length, shift = 0, 0
        while True:
            digit = self.read_exactly(1)[0]
            length |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                break
        return first >> 4, first & 0x0F, self.read_exactly(length) if length else b""

    def read_message(self, timeout_s=DEADLINE_S):
        """The next PUBLISH as (topic, payload, qos, retain); a QoS 1 one is acknowledged."""
        kind, flags, body = self.read(timeout_s)
        assert kind == PUBLISH, f"a packet of kind {kind} instead of PUBLISH: {body!r}"
        (length,) = struct.unpack_from("!H", body)
        topic, rest = body[2:2 + length].decode(), body[2 + length:]
        qos = flags >> 1 & 3
        if qos:
            self.send(puback(*struct.unpack("!H", rest[:2])))
            rest = rest[2:]
        return topic, rest, qos, bool(flags & 1)

    def expect(self, kind, body):
        found, _, found_body = self.read()
        assert (found, found_body) == (kind, body)

    def ping(self):
        """PINGREQ and its answer: all that was sent before has been handled by the server."""
        self.send(packet(PINGREQ, 0, b""))
        self.expect(PINGRESP, b"")

    def subscribe(self, *filters, qos=0):
        self.send(subscribe(1, *filters, qos=qos))
        self.expect(SUBACK, b"\x00\x01" + bytes([qos]) * len(filters))

    def publish_qos1(self, topic, payload, packet_id=7):
        self.send(publish(topic, payload, 1, packet_id))
        self.expect(PUBACK, struct.pack("!H", packet_id))

    def is_closed_already(self):
        """Whether the server has closed TCP by now, as our end of it knows: waits for nothing and reads nothing."""
        state = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        return state != TCP_ESTABLISHED

    def expect_closed(self, timeout_s=DEADLINE_S):
        """The server must close without sending another packet."""
        try:
            data = self.read_exactly(1, timeout_s)
        except GONE:
            self.socket.close()
            return
        raise AssertionError(f"not closed: {data + self.buffer!r} came")

    def disconnect(self):
        self.send(packet(DISCONNECT, 0, b""))
        self.expect_closed()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def expect_refused(server, context, client_id, session=None, **options):
    """A connection that must fail: in the handshake, or at CONNECT, without any CONNACK."""
    try:
        client = Client(server, context, session=session)
        client.send(connect(client_id, **options))
    except GONE:
        return
    client.expect_closed()
