"""The firmware of the Pico W, in the emulated board: Wi-Fi, time, mutual TLS, readings in the log group."""

import hashlib
import itertools
import os
import socket
import ssl
import struct

import pytest

from support.board import EMULATED_UF2, FIRMWARE, RELEASE_UF2, SERVER_NAME, Board, BoardServer, flash_of, make_image
from support.hostile import CertificateAuthority, HostileServer, with_certificate, without_certificate
from support.server import ROOT
from support.waiting import eventually

IS_FULL = bool(os.environ.get("EYOT_FULL"))

ONLY_13, ONLY_12, BOTH = (f"IoTSecurityPolicy_TLS{name}_2022_10" for name in ("13_1_3", "12_1_2", "13_1_2"))

SHORT = [("p256", BOTH, "1.3"), ("rsa", ONLY_12, "1.2")]
"""One boot per kind of key, and both TLS versions."""
FULL = [(key, policy, version) for key, (policy, version) in
        itertools.product(["p256", "rsa"], [(ONLY_13, "1.3"), (ONLY_12, "1.2")])]

TLS_1_2 = ssl.TLSVersion.TLSv1_2

EXPIRED = ("-days", "-1")
"""Its end lies before its beginning, and in the past."""

READING_S = 120
"""How long a reading may take: two emulated seconds of a busy machine."""

CONNECTING = [150] * 5
"""The LED says that the board connects, or waits for its next attempt."""

TRUSTED_NOT = [150] * 6
"""The LED says that the server is not trusted."""


def celsius(reading, expected):
    """The converter's steps are half a degree apart."""
    return abs(reading["temp"] - expected) < 0.6


def power_save(event):
    return event["event"] == "wifi" and event["what"] == "power_save" and event


@pytest.mark.parametrize("key, policy, version", FULL if IS_FULL else SHORT)
def test_the_release_image_reports_what_its_sensor_measures(tmp_path, key, policy, version):
    with BoardServer(tmp_path, "--tls-policy", policy) as server:
        image = make_image(tmp_path, server, "thermometer", "--key", key, firmware=RELEASE_UF2)
        with Board(image, server.mqtts_port) as board:
            board.do("temperature", celsius=21.0)
            # Else joins are slow, and associations are lost without a word.
            assert board.expect("power save", power_save)["on"] is False
            board.expect_log(f"tls: version {version} ")
            board.expect_log("mqtt: connected")
            for expected in (21.0, 35.0, -4.0):
                board.do("temperature", celsius=expected)
                eventually(lambda: any(celsius(reading, expected) for reading in server.readings()[-2:]),
                           lambda: f"a reading of {expected} degrees; there are {server.readings()[-5:]}", READING_S)


@pytest.fixture
def server(tmp_path):
    with BoardServer(tmp_path / "server") as server:
        yield server


def test_servers_that_cannot_prove_who_they_are_are_refused(tmp_path, server):
    """One board, to which one wrong server after the other answers at the same address."""
    authority = CertificateAuthority(tmp_path / "trusted", "Trusted by the board")
    stranger = CertificateAuthority(tmp_path / "stranger", "Unknown to the board")
    device = authority.issue("device", "device", usage="clientAuth")
    other_ca, other_host = stranger.issue("other-ca", SERVER_NAME), authority.issue("other-host", "other.test")
    expired = authority.issue("expired", SERVER_NAME, days=EXPIRED)
    wrong = [
        (with_certificate(*other_ca), "not from an authority that this board trusts"),
        (with_certificate(*other_host), "for another host name"),
        (with_certificate(*expired), "it has expired"),
        (with_certificate(*other_ca, TLS_1_2), "not from an authority that this board trusts"),
        (with_certificate(*other_host, TLS_1_2), "for another host name"),
        (with_certificate(*expired, TLS_1_2), "it has expired"),
        (with_certificate(*authority.issue_for_later("later", SERVER_NAME)), "it is not valid yet"),
        (with_certificate(*authority.issue("client", SERVER_NAME, usage="clientAuth")), "it is not a server's"),
        (with_certificate(*authority.issue("by-device", SERVER_NAME, issuer=device)), "not from an authority"),
        (without_certificate, "it left out a step of the handshake"),
    ]
    # A real device certificate of the CA that the board trusts: it names no host at all.
    posing = server.cloud.certificate(tmp_path, "posing")
    wrong.append((with_certificate(posing.certificate, posing.key), "for another host name"))
    port = free_port()
    image = make_image(tmp_path, server, "careful", "--ca", authority.certificate)
    with Board(image, port) as board:
        mark = board.mark()
        for serve, reason in wrong:
            # With nobody there the LED says so, and nothing of the server before.
            board.expect_log("tcp: the connection was refused", since=mark)
            assert board.expect_flashes(since=board.mark()) == CONNECTING, reason
            with HostileServer(port, serve) as hostile:
                board.expect_log(f"tls: the server.*is refused: .*{reason}", since=mark)
                mark = board.mark()
                assert board.expect_flashes(since=mark) == TRUSTED_NOT, reason
            assert not any(hostile.heard), f"the board talked to a server where {reason}"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_a_damaged_configuration_is_told_and_nothing_is_tried(tmp_path, server):
    image = make_image(tmp_path, server, "damaged")
    content = bytearray(image.read_bytes())
    for block in range(0, len(content), 512):
        address = struct.unpack_from("<I", content, block + 12)[0]
        if address == 0x101F_0000:
            content[block + 32 + 100] ^= 1
    image.write_bytes(content)
    with Board(image, server.mqtts_port) as board:
        board.expect_log("configuration: the configuration is damaged: write it again with `eyot pico image`")
        assert board.expect_flashes() == [600, 150, 600]
        assert not [line for line in board.log() if "wifi" in line]


@pytest.mark.parametrize("number, fingerprint", [
    (1, "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e"),
    (3, "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4"),
])
def test_the_roots_in_the_release_image_are_those_that_amazon_publishes(number, fingerprint):
    """Their SHA-256 fingerprints are on https://www.amazontrust.com/repository/."""
    root = (ROOT / f"firmware/pico-w/certificates/amazon-root-ca-{number}.der").read_bytes()
    assert hashlib.sha256(root).hexdigest() == fingerprint
    assert root in flash_of(RELEASE_UF2)


def test_the_radio_firmwares_terms_lie_beside_the_image():
    texts = {name: (FIRMWARE / name).read_text() for name in ("RADIO-FIRMWARE-LICENSE.txt", "RADIO-FIRMWARE-TERMS.md", "NOTICE")}
    assert "PERMISSIVE BINARY LICENSE" in texts["RADIO-FIRMWARE-LICENSE.txt"].upper()
    assert "George Robotics" in texts["RADIO-FIRMWARE-TERMS.md"]
    assert "RADIO-FIRMWARE-TERMS.md" in texts["NOTICE"]


def test_a_board_without_configuration_says_how_to_make_one(tmp_path, server):
    make_image(tmp_path, server, "none")
    image = tmp_path / "firmware.uf2"
    image.write_bytes(EMULATED_UF2.read_bytes())
    with Board(image, server.mqtts_port) as board:
        board.expect_log("there is no configuration on this board: make one with `eyot pico image`")
