"""MQTT 5 as bytes over TLS, as `mqtt.py` has 3.1.1: properties are given as bytes."""

import struct

from .mqtt import CONNACK, CONNECT, DISCONNECT, PUBACK, PUBLISH, SUBACK, SUBSCRIBE, Client, packet, text, tls_context

SUCCESS, QUOTA_EXCEEDED = 0x00, 0x97


def connect(client_id, keep_alive=60, found=b"", will=None):
    """`will` is (topic, payload)."""
    flags, tail = 2, b""
    if will:
        flags, tail = 6, b"\0" + text(will[0]) + text(will[1])
    body = text("MQTT") + bytes([5, flags]) + struct.pack("!H", keep_alive) + bytes([len(found)]) + found + text(client_id)
    return packet(CONNECT, 0, body + tail)


def publish(topic, payload, qos=0, packet_id=None, retain=False, found=b""):
    body = text(topic) + (struct.pack("!H", packet_id) if qos else b"") + bytes([len(found)]) + found
    data = payload.encode() if isinstance(payload, str) else payload
    return packet(PUBLISH, qos << 1 | int(retain), body + data)


def subscribe(packet_id, *filters, qos=0):
    return packet(SUBSCRIBE, 2, struct.pack("!H", packet_id) + b"\0" + b"".join(text(f) + bytes([qos]) for f in filters))


def connected(server, device, client_id, **options):
    client = Client(server, tls_context(device))
    client.send(connect(client_id, **options))
    kind, _, body = client.read()
    assert (kind, body[1]) == (CONNACK, SUCCESS), body
    return client


def reason_of(received):
    """The reason code of a CONNACK, PUBACK or DISCONNECT as `Client.read` gives it; a packet without one says success."""
    kind, _, body = received
    at = {CONNACK: 1, PUBACK: 2, DISCONNECT: 0}[kind]
    return kind, body[at] if len(body) > at else SUCCESS


def codes_of(received):
    """What a SUBACK without properties says."""
    kind, _, body = received
    assert (kind, body[2]) == (SUBACK, 0)
    return list(body[3:])
