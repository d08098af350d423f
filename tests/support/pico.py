"""`eyot pico` for tests: a server, a place, images, and a reader of UF2 files that shares nothing with eyot."""

import json
import os
import struct
import subprocess
import zlib

import pytest

from .openssl import openssl
from .server import BINARY, Server, clean_environment

PASSWORD = "correct horse battery"
SSID = "home network"
FAMILIES = {"pico-w": 0xE48BFF56, "pico2-w": 0xE48BFF59}
BOARD_IDS = {"pico-w": "RPI-RP2", "pico2-w": "RP2350"}
FLASH, CONFIG = 0x10000000, 0x101F0000


def run(directory, *arguments, code=0, text_in=None):
    """Runs `eyot pico …` in a directory; answers its output, or its errors."""
    done = subprocess.run([BINARY, "pico", *map(str, arguments)], input=text_in, capture_output=True, text=True, timeout=60,
                          cwd=directory, env=clean_environment(NO_COLOR="1"), stdin=None if text_in is not None else subprocess.DEVNULL)
    assert done.returncode == code, f"eyot pico {arguments} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert PASSWORD not in done.stdout + done.stderr, "a password was printed"
    return done.stdout if code == 0 else done.stderr


def block(family, address, number, count, page, flags=0x2000, extension=b""):
    return struct.pack("<8I", 0x0A324655, 0x9E5D5157, flags, address, 256, number, count, family) \
        + (page + extension).ljust(476, b"\0") + struct.pack("<I", 0x0AB16F30)


def firmware(path, board="pico-w", sectors=3, start=FLASH, mark=b"eyot firmware, with the radio's own"):
    """A UF2 file as a linker's tools make it: whole sectors of 0x55, and the mark of firmware of ours."""
    count = sectors * 16
    pages = [mark.ljust(256, b"\x55")] + [b"\x55" * 256] * (count - 1)
    path.write_bytes(b"".join(block(FAMILIES[board], start + 256 * number, number, count, page)
                              for number, page in enumerate(pages)))
    return path


def read_uf2(path):
    """Family and pages by address. Every rule that a boot ROM relies on is asserted."""
    data = path.read_bytes()
    assert len(data) % 512 == 0
    blocks = [data[at:at + 512] for at in range(0, len(data), 512)]
    heads = [struct.unpack("<8I", raw[:32]) for raw in blocks]
    assert all(raw[508:] == b"\x30\x6f\xb1\x0a" and head[:2] == (0x0A324655, 0x9E5D5157) for raw, head in zip(blocks, heads))
    if heads[0][7] == 0xE48BFF57:  # RP2350-E10
        assert blocks.pop(0) == block(0xE48BFF57, 0x10FFFF00, 0, 2, b"\xef" * 256, 0xA000, b"\x04\xe3\x57\x99")
        heads.pop(0)
        assert heads[0][7] == FAMILIES["pico2-w"]
    family = heads[0][7]
    pages = {}
    for position, (raw, (_, _, flags, address, size, number, count, family_here)) in enumerate(zip(blocks, heads)):
        assert (flags, size, number, count, family_here) == (0x2000, 256, position, len(blocks), family)
        assert address % 256 == 0 and address not in pages
        pages[address] = raw[32:288]
    sectors = {address // 4096 for address in pages}
    assert len(pages) == 16 * len(sectors), "a sector that is touched is erased: it must be written whole"
    return family, pages


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A cloud that names this machine's own address to devices, as one on a network does."""
    with Server(tmp_path_factory.mktemp("eyot"), "--lan") as server:
        yield server


@pytest.fixture
def place(tmp_path):
    (tmp_path / "password").write_text(PASSWORD + "\n")
    firmware(tmp_path / "firmware.uf2")
    return tmp_path


def image(place, server, name, *more, code=0, out="out.uf2", wifi=("--wifi-password-file", "password"), text_in=None,
          content=("--firmware", "firmware.uf2")):
    return run(place, "image", "--thing", name, "--wifi-ssid", SSID, *wifi, "--out", out, *content,
               "--endpoint-url", server.api_url, *more, code=code, text_in=text_in)


def shown(place, out="out.uf2"):
    return json.loads(run(place, "show", out, "--json"))


def closed_pipe():
    """What `eyot … | true` writes to."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def unheard(place, *arguments, code):
    """Runs a command whose reader has gone; answers its errors."""
    writing = closed_pipe()
    try:
        done = subprocess.run([BINARY, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=writing, stderr=subprocess.PIPE, text=True,
                              timeout=60, cwd=place, env=clean_environment(NO_COLOR="1"))
    finally:
        os.close(writing)
    assert done.returncode == code, done.stderr
    return done.stderr


def provision(place, url, name, *more, code=0):
    done = subprocess.run([BINARY, "provision", name, "--endpoint-url", url, *map(str, more)], capture_output=True, text=True,
                          timeout=60, cwd=place, env=clean_environment(NO_COLOR="1"))
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def policies_of(cloud, name):
    arn, = cloud.iot.list_thing_principals(thingName=name)["principals"]
    return sorted(found["policyName"] for found in cloud.iot.list_attached_policies(target=arn)["policies"])


def nothing_was_made(cloud, place, name):
    assert not (place / "out.uf2").exists() and not (place / f"{name}-keys").exists()
    assert not any(thing["thingName"] == name for thing in cloud.iot.list_things()["things"])


def own_device(cloud, place, name, *key, start="20200101000000Z", end="20900101000000Z"):
    """A device whose owner made key and certificate, in `keys`."""
    keys = place / "keys"
    keys.mkdir()
    openssl("req", "-new", *key, "-nodes", "-subj", "/CN=own", "-keyout", keys / "key.pem", "-out", keys / "request.pem")
    certificate(keys, start, end)
    registered = cloud.iot.register_certificate_without_ca(certificatePem=(keys / "certificate.pem").read_text(), status="ACTIVE")
    cloud.iot.create_thing(thingName=name)
    cloud.iot.attach_thing_principal(thingName=name, principal=registered["certificateArn"])


def refused_with(place, server, name, device):
    before = (place / "out.uf2").read_bytes()
    told = image(place, server, name, "--device-dir", device.directory, "--force", code=1)
    assert (place / "out.uf2").read_bytes() == before, "an image that works is not replaced by none"
    return told


def certificate(keys, start, end):
    """Self-signed, with any dates: `openssl ca` is the command that takes a start."""
    (keys / "ca.cnf").write_text(f"[ca]\ndefault_ca=d\n[d]\ndatabase={keys}/index\nnew_certs_dir={keys}\nserial={keys}/serial\n"
                                 "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n")
    (keys / "index").write_text("")
    (keys / "serial").write_text("01\n")
    openssl("ca", "-batch", "-selfsign", "-config", keys / "ca.cnf", "-in", keys / "request.pem", "-keyfile", keys / "key.pem",
            "-startdate", start, "-enddate", end, "-out", keys / "certificate.pem", "-notext")
    openssl("x509", "-in", keys / "certificate.pem", "-outform", "DER", "-out", keys / "certificate.der")
    openssl("pkey", "-in", keys / "key.pem", "-outform", "DER", "-out", keys / "private.der")


def with_certificate(path, certificate):
    """Puts other bytes in the place of the image's certificate: the checksum is right."""
    family, pages = read_uf2(path)
    partition = b"".join(pages[address] for address in sorted(pages))
    length, = struct.unpack_from("<I", partition, 8)
    fields, rest = b"", partition[16:16 + length]
    while rest:
        tag, size = struct.unpack_from("<HH", rest)
        value, rest = rest[4:4 + size], rest[4 + size:]
        value = certificate if tag == 0x0F else value
        fields += struct.pack("<HH", tag, len(value)) + value
    content = (partition[:8] + struct.pack("<II", len(fields), zlib.crc32(fields)) + fields).ljust(len(partition), b"\xff")
    path.write_bytes(b"".join(block(family, CONFIG + at, at // 256, len(pages), content[at:at + 256]) for at in range(0, len(content), 256)))
