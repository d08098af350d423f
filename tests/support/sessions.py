"""A client of either version whose session may outlive its connection, byte by byte: it acknowledges when the test says so."""

import struct
from dataclasses import dataclass

from .mqtt import CONNACK, CONNECT, DISCONNECT, PUBACK, PUBLISH, SUBACK, SUBSCRIBE, UNSUBACK, UNSUBSCRIBE, Client, packet, text, tls_context

V311, V5 = 4, 5
SESSION_EXPIRY, WILL_DELAY, MESSAGE_EXPIRY, RECEIVE_MAXIMUM = 0x11, 0x18, 0x02, 0x21


def properties(**values):
    """A block of the properties that these tests need, with its length."""
    ids = dict(session_expiry=(SESSION_EXPIRY, "!I"), will_delay=(WILL_DELAY, "!I"), message_expiry=(MESSAGE_EXPIRY, "!I"),
               receive_maximum=(RECEIVE_MAXIMUM, "!H"))
    block = b"".join(bytes([ids[name][0]]) + struct.pack(ids[name][1], value) for name, value in values.items() if value is not None)
    return bytes([len(block)]) + block


@dataclass
class Message:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    packet_id: int | None


class Peer(Client):
    """`with Peer(server, device, "name", clean=False) as peer:` connects and keeps the CONNACK's session present flag."""

    def __init__(self, server, device, client_id=None, version=V311, clean=False, expiry=3600, will=None, will_delay=None, keep_alive=60,
                 receive_maximum=None, context=None):
        super().__init__(server, context or tls_context(device))
        self.version, flags = version, 0x02 if clean else 0
        tail = text(client_id or device.name)
        if will:
            topic, payload, qos, retain = will
            flags |= 0x04 | qos << 3 | (0x20 if retain else 0)
            tail += self.block(will_delay=will_delay) + text(topic) + text(payload)
        body = text("MQTT") + bytes([version, flags]) + struct.pack("!H", keep_alive)
        self.send(packet(CONNECT, 0, body + self.block(session_expiry=expiry, receive_maximum=receive_maximum) + tail))
        kind, _, answer = self.read()
        assert kind == CONNACK and answer[1] == 0, (kind, answer)
        self.session_present = bool(answer[0] & 1)

    def block(self, **values):
        return properties(**values) if self.version == V5 else b""

    def subscribe(self, *filters, qos=1, packet_id=1):
        """Gives the codes of the SUBACK."""
        listed = b"".join(text(each) + bytes([qos]) for each in filters)
        self.send(packet(SUBSCRIBE, 2, struct.pack("!H", packet_id) + self.block() + listed))
        kind, _, body = self.read()
        assert kind == SUBACK, (kind, body)
        return list(body[3 if self.version == V5 else 2:])

    def unsubscribe(self, *filters):
        self.send(packet(UNSUBSCRIBE, 2, struct.pack("!H", 2) + self.block() + b"".join(map(text, filters))))
        kind, _, body = self.read()
        assert kind == UNSUBACK, (kind, body)

    def publish(self, topic, payload, qos=1, packet_id=7, retain=False, expiry=None):
        """With QoS 1 the PUBACK is waited for: nothing else may come before it."""
        self.send(self.published(topic, payload, qos, packet_id, retain, expiry))
        if qos:
            kind, _, body = self.read()
            assert (kind, body[:2]) == (PUBACK, struct.pack("!H", packet_id)), (kind, body)

    def published(self, topic, payload, qos=1, packet_id=7, retain=False, expiry=None):
        data = payload.encode() if isinstance(payload, str) else payload
        ident = struct.pack("!H", packet_id) if qos else b""
        return packet(PUBLISH, qos << 1 | int(retain), text(topic) + ident + self.block(message_expiry=expiry) + data)

    def take(self):
        """The next message, without acknowledging it."""
        kind, flags, body = self.read()
        assert kind == PUBLISH, (kind, body)
        (length,) = struct.unpack_from("!H", body)
        topic, rest, qos, packet_id = body[2:2 + length].decode(), body[2 + length:], flags >> 1 & 3, None
        if qos:
            (packet_id,), rest = struct.unpack_from("!H", rest), rest[2:]
        if self.version == V5:
            rest = rest[1 + rest[0]:]
        return Message(topic, rest, qos, bool(flags & 1), bool(flags & 8), packet_id)

    def ack(self, message):
        self.send(packet(PUBACK, 0, struct.pack("!H", message.packet_id)))

    def receive(self, count=1):
        """Payloads of the next messages, acknowledged."""
        payloads = []
        for _ in range(count):
            message = self.take()
            if message.qos:
                self.ack(message)
            payloads.append(message.payload.decode())
        return payloads

    def leave(self, expiry=None, reason=0):
        """DISCONNECT, and the end of the connection."""
        body = bytes([reason]) + properties(session_expiry=expiry) if self.version == V5 else b""
        self.send(packet(DISCONNECT, 0, body))
        self.expect_closed()
