"""What clients should not do, each as one client of a `Crowd`: a generator that ends with a word on how it went."""

import ssl
import struct

from .crowd import LOST, hear, hear_until_closed, patiently, say, vanish
from .mqtt import CONNECT, DISCONNECT, PUBLISH, connect, packet, publish, subscribe, text

KEEP_ALIVE_S = 1200
PACKET_BYTES_MAX = 149_504
"""The largest packet that `--limits aws` accepts."""


def persistent(client_id, expiry_s, keep_alive=KEEP_ALIVE_S):
    """A CONNECT of MQTT 5 whose session outlives its connection."""
    expiry = b"\x05\x11" + struct.pack("!I", expiry_s)
    return packet(CONNECT, 0, text("MQTT") + b"\x05\x00" + struct.pack("!H", keep_alive) + expiry + text(client_id))


# Coming and going ------------------------------------------------------------------------------------------------------


def arrive(crowd, number, source, prefix="c", keep_alive=KEEP_ALIVE_S):
    """Connects, and stays."""
    crowd.held.append((yield from crowd.connected(source, connect(f"{prefix}-{number}", keep_alive=keep_alive))))
    return "connected"


def leave(crowd, one):
    yield from say(one, packet(DISCONNECT, 0, b""))
    yield from hear_until_closed(one)
    return "left"


def reset(crowd, one):
    vanish(one)
    return "reset"
    yield


def come_and_go(crowd, number, source, prefix="known"):
    """Without TLS, and without a trace but in what the server remembers of clients."""
    one = yield from crowd.tcp(source, address=crowd.plain_address)
    yield from say(one, connect(f"{prefix}-{number}"))
    assert (yield from hear(one, 4))[3] == 0
    yield from leave(crowd, one)
    return "left"


def made_up(crowd, number, source, prefix="m", expiry_s=60):
    """A client identifier that nobody will use again, with a session that is kept."""
    one = yield from crowd.connected(source, persistent(f"{prefix}-{number}", expiry_s))
    yield from leave(crowd, one)
    return "left a session"


# Slow subscribers ------------------------------------------------------------------------------------------------------


def subscribe_and_sleep(crowd, number, source, prefix="slow", qos=1, expiry_s=None):
    """Subscribes, and never reads again."""
    name = f"{prefix}-{number}"
    hello = connect(name, keep_alive=KEEP_ALIVE_S) if expiry_s is None else persistent(name, expiry_s)
    one = yield from crowd.connected(source, hello, receive_buffer=4096)
    if expiry_s is None:
        yield from say(one, subscribe(1, f"{prefix}/{number}", qos=qos))
    else:
        yield from say(one, packet(8, 2, struct.pack("!HB", 1, 0) + text(f"{prefix}/{number}") + bytes([qos])))
    suback = yield from hear(one, 2)
    suback += yield from hear(one, suback[1])
    assert suback[0] == 0x90 and suback[-1] == qos, suback
    crowd.held.append(one)
    return "subscribed"


def publish_to(crowd, number, source, prefix="slow", mib=12, payload_bytes=16 * 1024):
    """Publishes with QoS 1 to the subscriber of that number, and waits for its PUBACKs as it should."""
    one = yield from crowd.connected(source, connect(f"to-{prefix}-{number}", keep_alive=KEEP_ALIVE_S))
    payload, window, unacknowledged = bytes(payload_bytes), 20, 0
    for count in range(mib * 1024 * 1024 // payload_bytes):
        yield from say(one, publish(f"{prefix}/{number}", payload, 1, count % 60000 + 1))
        unacknowledged += 1
        if unacknowledged == window:
            assert (yield from hear(one, 4))[0] == 0x40
            unacknowledged -= 1
    yield from hear(one, 4 * unacknowledged)
    yield from leave(crowd, one)
    return "published"


# Floods over the limits --------------------------------------------------------------------------------------------------


def flood_publishes(crowd, number, source, publishes=100_000):
    """Publishes with QoS 1 without reading one PUBACK, until the server does not read any more either."""
    one = yield from crowd.connected(source, connect(f"flood-{number}", keep_alive=KEEP_ALIVE_S), receive_buffer=4096)
    burst = b"".join(publish(f"flood/{number}", b"x" * 20, 1, packet_id) for packet_id in range(1, 501))
    crowd.held.append(one)
    for _ in range(publishes // 500):
        if not (yield from say_a_while(one, burst)):
            return "not read any more"
    return "all was read"


def say_a_while(one, data, tries=100, pause=0.02):
    """Sends as much as the server takes; gives whether it took all. A TLS record that was begun has to be said again."""
    view = memoryview(data)
    while view:
        try:
            view = view[one.send(view[:16384]):]
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            if not tries:
                return False
            tries -= 1
            yield pause
    return True


def flood_subscribes(crowd, number, source, subscribes=2_000):
    """SUBSCRIBE after SUBSCRIBE, eight new filters each."""
    one = yield from crowd.connected(source, connect(f"greedy-{number}", keep_alive=KEEP_ALIVE_S))
    granted = refused = 0
    try:
        for turn in range(subscribes):
            filters = [f"greedy/{number}/{turn}/{each}/" + "y" * 200 for each in range(8)]
            yield from say(one, subscribe(turn + 1, *filters))
            suback = yield from hear(one, 12)
            granted, refused = granted + suback[4:].count(0), refused + suback[4:].count(0x80)
    except LOST:
        return "closed"
    crowd.held.append(one)
    return f"granted {granted}"


def send_oversize(crowd, number, source):
    """A packet above the largest: all of it is sent, whether it is read or not."""
    one = yield from crowd.connected(source, connect(f"large-{number}", keep_alive=KEEP_ALIVE_S))
    try:
        yield from say(one, publish("large", bytes(PACKET_BYTES_MAX)))
    except LOST:
        pass
    yield from hear_until_closed(one)
    return "closed"


# Silence --------------------------------------------------------------------------------------------------------------------


def begin_and_be_silent(crowd, number, source, stages=("tcp", "hello", "handshake", "tls", "connect")):
    """Goes as far as its stage, and waits there until the server closes."""
    stage = stages[number % len(stages)]
    one = yield from crowd.tls(source) if stage in ("tls", "connect") else crowd.tcp(source)
    hello = client_hello(crowd)
    try:
        if stage == "hello":  # half of it
            yield from say(one, hello[:len(hello) // 2])
        elif stage == "handshake":  # the server has answered, and waits for our certificate
            yield from say(one, hello)
        elif stage == "connect":  # all but the last byte of the largest CONNECT
            yield from say(one, largest_connect(f"silent-{number}")[:-1])
        yield from hear_until_closed(one)
    except LOST:
        pass
    return f"closed: {stage}"


def largest_connect(client_id):
    head = text("MQTT") + b"\x04\xc2" + struct.pack("!H", KEEP_ALIVE_S) + text(client_id)
    return packet(CONNECT, 0, head + text("u" * 65000) + text("p" * 65000))


def client_hello(crowd):
    """The first message of a handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        crowd.context.wrap_bio(incoming, outgoing).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def stop_in_a_packet(crowd, number, source, keep_alive=10):
    """Connects, sends all but the last byte of the largest PUBLISH, and is silent: the server closes after one and a half
    keep-alives."""
    one = yield from crowd.connected(source, connect(f"half-{number}", keep_alive=keep_alive))
    largest = packet(PUBLISH, 0, text("half") + bytes(128 * 1024))
    yield from say(one, largest[:-1])
    yield from hear_until_closed(one)
    return "closed"


# Garbage ------------------------------------------------------------------------------------------------------------------


def send_garbage(crowd, number, source):
    """Random bytes at one stage, or a good packet with some of its bits turned; then hears the server out."""
    kinds = (garbage_for_tcp, garbage_in_handshake, turned_hello, garbage_for_mqtt, turned_connect, garbage_after_connect,
             turned_packets)
    kind = kinds[number % len(kinds)]
    try:
        yield from kind(crowd, number, source)
        return f"answered: {kind.__name__}"
    except LOST:
        return f"closed: {kind.__name__}"


def garbage_for_tcp(crowd, number, source):
    one = yield from crowd.tcp(source)
    yield from say_and_be_closed(crowd, one, crowd.random.randbytes(crowd.random.randint(1, 20_000)))


def garbage_in_handshake(crowd, number, source):
    one = yield from crowd.tcp(source)
    yield from say_and_be_closed(crowd, one, client_hello(crowd) + crowd.random.randbytes(5_000))


def turned_hello(crowd, number, source):
    one = yield from crowd.tcp(source)
    yield from say_and_be_closed(crowd, one, turned(crowd, client_hello(crowd)))


def garbage_for_mqtt(crowd, number, source):
    one = yield from crowd.tls(source)
    yield from say_and_be_closed(crowd, one, crowd.random.randbytes(crowd.random.randint(1, 20_000)))


def turned_connect(crowd, number, source):
    one = yield from crowd.tls(source)
    hello = connect(f"turned-{number}", will=("a/b", "gone", 0, False), username="u" * 50)
    yield from say_and_be_closed(crowd, one, turned(crowd, hello))


def garbage_after_connect(crowd, number, source):
    one = yield from crowd.connected(source, connect(f"garbage-{number}"))
    yield from say_and_be_closed(crowd, one, crowd.random.randbytes(crowd.random.randint(1, 20_000)))


def turned_packets(crowd, number, source):
    one = yield from crowd.connected(source, connect(f"turned-{number}"))
    good = (subscribe(1, "turned/+/#", "$share/g/turned"), publish("turned/x", "y" * 300, 1, 9), publish("turned", b"", 0),
            packet(10, 2, struct.pack("!H", 3) + text("turned/+/#")), b"\xc0\x00", b"\x40\x02\x00\x09")
    stream = b"".join(turned(crowd, crowd.random.choice(good)) for _ in range(20))
    yield from say_and_be_closed(crowd, one, stream)


def turned(crowd, data):
    """With one to eight bits turned."""
    data = bytearray(data)
    for _ in range(crowd.random.randint(1, 8)):
        data[crowd.random.randrange(len(data))] ^= 1 << crowd.random.randrange(8)
    return bytes(data)


def say_and_be_closed(crowd, one, data):
    """Says it, ends its own side, and reads what the server has to say until it closes too."""
    try:
        yield from say(one, data)
        raw = one
        raw.shutdown(1)  # SHUT_WR: what was half a packet stays half a packet
    except LOST:
        one.close()
        raise
    yield from hear_until_closed(one)
