"""`serve --sntp-port`: devices ask for the time over UDP [RFC 4330]."""

import socket
import struct
import time

import pytest

from support.server import Server
from support.waiting import DEADLINE_S

# Seconds from 1900 to 1970.
EPOCH = 2_208_988_800
NONCE = b"\x01\x23\x45\x67\x89\xab\xcd\xef"
# Version 4, mode 3; the transmit timestamp is a number that the answer must carry.
QUESTION = b"\x23" + bytes(39) + NONCE


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("sntp"), "--sntp-port", "0") as server:
        yield server


@pytest.fixture
def client(server):
    host, _, port = server.ready["sntp"].rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(DEADLINE_S)
        client.connect((host, int(port)))
        yield client


def test_it_tells_the_time(server, client):
    before = time.time()
    client.send(QUESTION)
    answer = client.recv(1024)
    after = time.time()
    assert len(answer) == 48
    first, stratum = answer[0], answer[1]
    assert (first >> 6, first >> 3 & 7, first & 7) == (0, 4, 4), "no leap second, version 4, a server"
    assert 1 <= stratum <= 15
    assert answer[24:32] == NONCE
    for at in (32, 40):
        seconds, fraction = struct.unpack(">II", answer[at:at + 8])
        # Milliseconds are cut off.
        assert before - 0.002 <= seconds - EPOCH + fraction / 2**32 <= after
    server.expect_log("telling the time over SNTP")


@pytest.mark.parametrize("packet", [
    b"", b"\x23", QUESTION[:47], QUESTION + b"\0", b"\x23" * 1400, b"\x24" + QUESTION[1:], b"\x26" + QUESTION[1:],
    b"\x03" + QUESTION[1:], b"\x2b" + QUESTION[1:],
], ids=["empty", "one-byte", "short", "long", "flood", "an-answer", "control", "version-0", "version-5"])
def test_what_is_no_question_gets_no_answer(client, packet):
    client.send(packet)
    other = NONCE[::-1]
    client.send(QUESTION[:40] + other)
    # Packets on loopback keep their order, so an answer to the first would come first.
    assert client.recv(1024)[24:32] == other


def test_it_is_off_unless_asked_for(tmp_path):
    with Server(tmp_path) as server:
        assert server.ready["sntp"] is None
        assert "SNTP" not in server.log()


def test_the_port_may_stand_in_the_file(tmp_path):
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data/eyot.toml").write_text("sntp-port = 0\n")
    with Server(tmp_path) as server:
        assert server.ready["sntp"].startswith("127.0.0.1:")


def test_a_port_in_use_is_told(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        server = Server(tmp_path, "--sntp-port", str(port))
        with pytest.raises(AssertionError, match=f"UDP port {port} is in use"):
            server.start()
