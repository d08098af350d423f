"""Storms: memory stays within the limits while they last, comes back when they are over, and well-behaved clients lose
nothing meanwhile.

How long those had to wait is printed and not asserted: it is the machine's affair as much as the server's. The long tier
has the sizes of `docs/robustness.md`, the short one a twentieth of them.
"""

import faulthandler
import os
import resource
import time
import urllib.request
from contextlib import contextmanager

import pytest

from support import misbehaviour as bad
from support.cloud import Cloud, Device
from support.memory import Memory
from support.openssl import openssl
from support.server import BRISK, Server
from support.storm import Pair, Storm
from support.waiting import eventually

UNBRIDLED = (*BRISK, *(f"--limit={name}=unlimited" for name in (
    "account_connects_per_s", "account_publishes_in_per_s", "account_publishes_out_per_s", "account_subscribes_per_s")))
"""Without AWS's rates: a storm is as large as the clients can make it."""

FULL = bool(os.environ.get("EYOT_FULL"))
GIVEN_BACK = 1.2
"""What may be left after a storm, as a part of what was there before."""

GIVEN_BACK_S = 60
"""Sessions and half-open connections have to run out first, and the allocator returns pages a little later."""

QUIET_S = 12 if FULL else 1.5
"""Memory is compared when it has stopped falling: the allocator returns pages ten seconds after they were last used, in the
short tier after one."""

ALLOCATOR = {} if FULL else {"MALLOC_CONF": "dirty_decay_ms:1000"}

KNOWN = 30_000
"""Clients that have been here before: `eyot explain` remembers the last 16 MiB of what happened to clients, per loop."""

GONE_S = 240
"""For clients to be closed and for sessions to end: made-up ones run out after a minute in the long tier."""

OUTBOX_MIB, PENDING_MIB, QUEUED_MIB = 1, 8, 32
"""`OUTBOX_BYTES_MAX`, `pending_bytes_max` and `queued_bytes_max`: what may wait for one slow client."""

SIZE_CLASS = 1.25
"""The allocator's sizes are a quarter apart: a message of 16 KiB with its topic takes 20."""

CONNECTION_MIB = 0.03
"""A connection with its TLS state, its session, and the buffers of its handshake."""

SESSION_MIB = 0.004
"""A session that is kept, with its filters, its place in the timers and what is remembered of its client."""

PRESENCE_MIB = 0.0003
"""When and why a client left, which GetConnection answers for half an hour: of 250,000 clients at most, per loop."""

MEMTABLE_MIB = 1
"""What of the keyed state's memtable is not written as a table when nothing happens any more."""

PACKET_MIB = 0.3
"""A packet of 146 KiB of which the end is missing, in a buffer that doubled."""

STORE_MIB = 160
"""Whatever is published: journal (64 MiB may wait for it), memtable and block cache of the keyed state, 16 MiB each, and a
checkpoint's copies."""


def sized(full, short):
    return full if FULL else short


class Ground:
    """One server, and everybody who comes to it."""

    def __init__(self, directory, capfd, *flags, pace=UNBRIDLED):
        self.server = Server(directory, *flags, pace=pace, environment=ALLOCATOR).start()
        self.capfd = capfd
        self.cloud = Cloud(self.server.api_url)
        self.device = quick_device(self.cloud, directory, "device")
        self.memory = Memory(self.server.pid)
        self.storm = Storm(self.server, self.device)
        # What the server remembers of clients that have left has a bound, and is reached.
        known = sized(KNOWN, 50) if pace is UNBRIDLED else 50  # AWS's 500 connects a second would not let them in
        assert self.storm.run(bad.come_and_go, known, at_once=100) == {"left": known}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.storm.__exit__()
        self.server.__exit__(*error)

    def gauge(self, name):
        with urllib.request.urlopen(f"{self.server.api_url}/_eyot/metrics", timeout=30) as answer:
            values = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if not line.startswith("#"))
        return int(values[f"eyot_broker_{name}"])

    def wait_until_gone(self, with_sessions=True):
        """Nobody is connected but the pair, and no session is kept."""
        eventually(lambda: self.gauge("connections") == 2 and not (with_sessions and self.gauge("sessions_absent")),
                   lambda: f"{self.gauge('connections')} connections, {self.gauge('sessions_absent')} sessions", GONE_S)

    @contextmanager
    def measured(self, title, bound_mib, with_sessions=True, kept_mib=0):
        """Around a storm: `bound_mib` is what the named limits allow it to take. `with_sessions`: its sessions end, too. `kept_mib`:
        what stays by design, within a bound of its own."""
        faulthandler.cancel_dump_traceback_later()  # pytest.ini's two minutes are not for the long tier's storms
        with Pair(self.server, self.device) as pair:
            self.wait_until_gone(with_sessions)
            before = self.memory.settled(QUIET_S)
            self.memory.forget_peak()
            begun = time.monotonic()
            try:
                yield
                self.wait_until_gone(with_sessions)
            finally:
                over, peak = time.monotonic(), self.memory.peak()
                self.say(f"\n{title}: {before:.0f} MiB before, {peak:.0f} at most, {self.memory.now():.0f} when it is over")
            end = over + GIVEN_BACK_S
            left = GIVEN_BACK * before + kept_mib
            while self.memory.now() > left and time.monotonic() < end:
                time.sleep(0.1)
            given_back_s = time.monotonic() - over
            after = self.memory.settled(QUIET_S)
            latencies = pair.finish(begun, over)
        p50, p99, longest = (1000 * latencies[int((len(latencies) - 1) * part)] for part in (0.5, 0.99, 1))
        self.say(f"| {title} | {over - begun:.0f} s | {before:.0f} | {peak:.0f} | {before + bound_mib:.0f} | {after:.0f} | "
                 f"{given_back_s:.0f} s | {p50:.1f} | {p99:.0f} | {longest:.0f} | {len(latencies)} |")
        assert peak <= before + bound_mib, f"{title}: {before:.0f} MiB before, {peak:.0f} at most, {bound_mib:.0f} more are allowed"
        assert after <= left, f"{title}: {before:.0f} MiB before, still {after:.0f} after"

    def say(self, text):
        with self.capfd.disabled():
            print(text, flush=True)


def want_files(count):
    """The server and each crowd raise their own soft limit; nobody can raise the hard one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.fail(f"a process may have {hard} open files, and the server needs {count} here: raise the hard limit "
                    f"(`ulimit -Hn {count}` as root, or LimitNOFILE={count})")


def quick_device(cloud, directory, name):
    """With a P-256 key: ten thousand handshakes sign as often."""
    place = directory / name
    place.mkdir()
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=storm",
            "-keyout", place / "private.pem.key", "-out", place / "request.pem")
    answer = cloud.iot.create_certificate_from_csr(certificateSigningRequest=(place / "request.pem").read_text(), setAsActive=True)
    (place / "certificate.pem.crt").write_text(answer["certificatePem"])
    cloud.iot.create_policy(policyName=name, policyDocument=ALLOW_ALL)
    cloud.iot.attach_policy(policyName=name, target=answer["certificateArn"])
    return Device(name, place, answer["certificateArn"], answer["certificateId"])


ALLOW_ALL = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}'


@pytest.fixture
def ground(request, tmp_path, capfd):
    want_files(sized(12_000, 2_048))
    with Ground(tmp_path, capfd, "--connect-timeout", "10s", "--limit=keep_alive_min_s=10", "--insecure-mqtt-port", "0", pace=getattr(request, "param", UNBRIDLED)) as ground:
        yield ground


# Connecting ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["reset", "disconnect"])
def test_a_burst_of_connects(ground, ending):
    count = sized(10_000, 500)
    end = {"reset": bad.reset, "disconnect": bad.leave}[ending]

    def burst(count):
        outcomes = ground.storm.run(bad.arrive, count, sources=8)
        ground.say(f"\n{dict(outcomes)}")
        assert outcomes["connected"] == count, outcomes
        eventually(lambda: ground.gauge("connections") >= count, "all are connected")
        assert sum(ground.storm.run_held(end).values()) == count

    burst(count // 20)
    with ground.measured(f"{count} connects in a burst, gone by {ending}", count * CONNECTION_MIB + STORE_MIB):
        burst(count)


# Slow subscribers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["clean", "persistent"])
def test_subscribers_that_never_read(ground, kind):
    clients, mib = sized((24, 48), (4, 12))
    expiry_s = None if kind == "clean" else 3600

    def storm(clients, mib, prefix):
        outcomes = ground.storm.run(bad.subscribe_and_sleep, clients, prefix=prefix, expiry_s=expiry_s)
        assert outcomes["subscribed"] == clients, outcomes
        outcomes = ground.storm.run(bad.publish_to, clients, prefix=prefix, mib=mib)
        assert outcomes["published"] == clients, outcomes
        ground.storm.run_held(bad.reset)
        if kind == "persistent":
            eventually(lambda: ground.gauge("sessions_absent") == clients, "their sessions are kept")
            ground.storm.run(bad.arrive, clients, prefix=prefix)  # with a clean session
            ground.storm.run_held(bad.leave)

    # A storm before the storm: the keyed state fills its block cache, and the allocator has tables of 1.2 % of the peak, which stay.
    storm(*sized((24, 48), (4, 24)), "first")
    waiting = OUTBOX_MIB + PENDING_MIB + (QUEUED_MIB if kind == "persistent" else 0)
    with ground.measured(f"{clients} {kind} subscribers that never read, {mib} MiB for each", clients * waiting * SIZE_CLASS + STORE_MIB):
        storm(clients, mib, "slow")


# Floods ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ground", [UNBRIDLED, ()], ids=["without-rates", "with-aws-rates"], indirect=True)
def test_floods_over_the_limits(ground, request):
    clients, rates = sized(100, 10), request.node.callspec.id

    def flood(clients):
        outcomes = ground.storm.run(bad.flood_publishes, clients, publishes=sized(100_000, 10_000))
        outcomes += ground.storm.run(bad.flood_subscribes, clients, subscribes=sized(500, 50))
        outcomes += ground.storm.run(bad.send_oversize, clients)
        ground.say(f"\n{dict(outcomes)}")
        ground.storm.run_held(bad.reset)

    flood(4)
    with ground.measured(f"{clients} clients flooding, {rates}",
                         2 * clients * (OUTBOX_MIB + CONNECTION_MIB) + STORE_MIB):
        flood(clients)


def test_sessions_of_made_up_clients(ground):
    count = sized(20_000, 500)

    def storm(count, prefix, expiry_s):
        outcomes = ground.storm.run(bad.made_up, count, at_once=100, sources=8, prefix=prefix, expiry_s=expiry_s)
        ground.say(f"\n{dict(outcomes)}")
        assert outcomes["left a session"] == count, outcomes

    storm(count // 20, "few", 3)
    with ground.measured(f"{count} persistent sessions of made-up clients", count * SESSION_MIB + 256 * CONNECTION_MIB + STORE_MIB, kept_mib=MEMTABLE_MIB + count * PRESENCE_MIB):
        storm(count, "many", sized(60, 3))


# Silence ---------------------------------------------------------------------------------------------------------------


def test_connections_that_fall_silent(ground):
    count = sized(2_000, 100)

    def storm(count):
        ground.storm.start(bad.begin_and_be_silent, count, sources=8)
        outcomes = ground.storm.finish()
        ground.say(f"\n{dict(outcomes)}")
        assert sum(outcomes.values()) == count, outcomes

    storm(count // 20)
    with ground.measured(f"{count} half-open connections, silent at each stage", count * CONNECTION_MIB + count / 5 * PACKET_MIB + STORE_MIB):
        storm(count)


@pytest.mark.skipif(not FULL, reason="waits for one and a half keep-alives")
def test_clients_that_vanish_within_a_packet(ground):
    count = 1_000

    def storm(count):
        outcomes = ground.storm.run(bad.stop_in_a_packet, count, sources=8)
        ground.say(f"\n{dict(outcomes)}")
        assert outcomes["closed"] == count, outcomes

    storm(count // 20)
    with ground.measured(f"{count} clients that vanish within a packet", count * (PACKET_MIB + CONNECTION_MIB) + STORE_MIB):
        storm(count)


# Garbage ---------------------------------------------------------------------------------------------------------------


def test_garbage_at_every_stage(ground):
    count = sized(20_000, 500)

    def storm(count):
        outcomes = ground.storm.run(bad.send_garbage, count, at_once=100, sources=8)
        ground.say(f"\n{dict(outcomes)}")
        assert sum(value for name, value in outcomes.items() if name.startswith(("closed", "answered"))) == count, outcomes

    storm(count // 20)
    # A turned bit of a CONNECT can ask for a session of an hour: a few of them stay.
    with ground.measured(f"{count} connections with garbage at every stage", 256 * CONNECTION_MIB + STORE_MIB, with_sessions=False):
        storm(count)
