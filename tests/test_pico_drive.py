"""`eyot pico show` and `eyot pico flash`. No board is needed: its drive is a directory with an INFO_UF2.TXT."""

import base64
import contextlib
import json
import resource
import signal
import stat
import subprocess
import threading

import pytest

from support.pico import (
    BOARD_IDS,
    FAMILIES,
    FLASH,
    PASSWORD,
    run,
    firmware,
    read_uf2,
    server,
    place,
    image,
    unheard,
    certificate,
    with_certificate,
)
from support.server import BINARY, clean_environment
from support.waiting import eventually


# show -------------------------------------------------------------------------------------------------------------------------


def test_show_tells_no_secret_and_says_what_is_damaged(server, place, name):
    image(place, server, name)
    key = (place / f"{name}-keys" / "private.der").read_bytes()
    # P-256's secret number in SEC 1, with what is before it.
    secret = key[5:39]
    assert secret[:2] == b"\x04\x20"
    forms = [secret[2:], secret[2:].hex().encode(), *(base64.b64encode(secret[skip:])[:40] for skip in range(3)),
             *(line.encode() for line in (place / f"{name}-keys" / "private.pem.key").read_text().splitlines()[1:-1]), PASSWORD.encode()]
    family, pages = read_uf2(place / "out.uf2")
    pem = "".join((place / f"{name}-keys" / "private.pem.key").read_text().split())
    assert forms[0] in b"".join(pages[address] for address in sorted(pages)) and any(form.decode() in pem for form in forms[2:5])
    for more in ((), ("--json",)):
        done = subprocess.run([BINARY, "pico", "show", "out.uf2", *more], cwd=place, capture_output=True, timeout=60,
                              env=clean_environment(NO_COLOR="1"))
        printed = done.stdout + done.stderr
        assert done.returncode == 0 and name.encode() in printed
        assert not [form for form in forms if form in printed or form.lower() in printed.lower()]
    assert json.loads(run(place, "show", "firmware.uf2", "--json"))["configuration"] is None
    data = bytearray((place / "out.uf2").read_bytes())
    data[3 * 16 * 512 + 32 + 100] ^= 1
    (place / "out.uf2").write_bytes(data)
    assert "damaged" in run(place, "show", "out.uf2", code=1)
    (place / "out.uf2").write_bytes(data[:-100])
    assert "cut off" in run(place, "show", "out.uf2", code=1)


def test_what_show_cannot_read_is_named(server, place, name):
    firmware(place / "elsewhere.uf2", start=FLASH + 4096)
    told = run(place, "show", "elsewhere.uf2", code=1)
    assert "no image of ours" in told and "elsewhere.uf2" in told and "make it again with `eyot pico image`" in told
    image(place, server, name, "--config-only", content=())
    with_certificate(place / "out.uf2", b"no certificate")
    told = run(place, "show", "out.uf2", code=1)
    assert "the certificate in the configuration of `out.uf2` is unreadable" in told and "make it again" in told


# flash ------------------------------------------------------------------------------------------------------------------------


def drive(path, board="pico-w"):
    path.mkdir()
    (path / "INFO_UF2.TXT").write_text(f"UF2 Bootloader v3.0\r\nModel: Raspberry Pi\r\nBoard-ID: {BOARD_IDS[board]}\r\n")
    return path


@pytest.mark.parametrize("board", FAMILIES)
def test_a_file_is_copied_whole(place, board):
    source = firmware(place / "firmware.uf2", board, sectors=30)
    target = drive(place / "drive", board)
    # As from an earlier try.
    (target / "eyot.uf2").write_bytes(b"old")
    (target / "eyot.uf2").chmod(0o644)
    with taken_by_a_board(target, source) as taken:
        assert "it has restarted" in run(place, "flash", source, "--drive", target)
    copied, = set(taken.iterdir()) - {taken / "INFO_UF2.TXT"}
    assert copied.read_bytes() == source.read_bytes()
    assert stat.S_IMODE(copied.stat().st_mode) == 0o600


@contextlib.contextmanager
def taken_by_a_board(target, source):
    """What is behind the drive: once it has the whole file it restarts, and the drive is gone. Gives where that went."""
    file, taken, size = target / "eyot.uf2", target.with_name("taken"), source.stat().st_size

    def take():
        eventually(lambda: file.exists() and file.stat().st_size == size, lambda: "the file")
        target.rename(taken)

    board = threading.Thread(target=take, daemon=True)
    board.start()
    yield taken
    board.join(30)


def test_a_board_that_does_not_restart(server, place, name):
    """Perhaps it was none: the file that stays, with its secrets, is named."""
    image(place, server, name)
    target = drive(place / "drive")
    told = run(place, "flash", "out.uf2", "--drive", target, code=1)
    assert "is copied" in told and "has not restarted" in told and "private key" in told and f"rm {target}/eyot.uf2" in told
    assert (target / "eyot.uf2").read_bytes() == (place / "out.uf2").read_bytes()


def test_a_damaged_file_is_copied_by_force_alone(server, place, name):
    image(place, server, name)
    data = bytearray((place / "out.uf2").read_bytes())
    data[3 * 16 * 512 + 32 + 100] ^= 1
    (place / "out.uf2").write_bytes(data)
    target = drive(place / "drive")
    told = run(place, "flash", "out.uf2", "--drive", target, code=1)
    assert "damaged" in told and "--force" in told and len(list(target.iterdir())) == 1
    with taken_by_a_board(target, place / "out.uf2") as taken:
        run(place, "flash", "out.uf2", "--drive", target, "--force")
    assert (taken / "eyot.uf2").read_bytes() == data


def test_a_link_on_the_drive_is_not_followed(place):
    target = drive(place / "drive")
    (place / "precious").write_text("kept")
    (target / "eyot.uf2").symlink_to(place / "precious")
    assert "no regular file" in run(place, "flash", "firmware.uf2", "--drive", target, code=1)
    assert (place / "precious").read_text() == "kept" and (target / "eyot.uf2").is_symlink()


def test_a_file_for_the_other_board_is_not_copied(place):
    target = drive(place / "drive", "pico2-w")
    told = run(place, "flash", "firmware.uf2", "--drive", target, code=1)
    assert "for a Pico W" in told and "--board" in told and str(target) in told
    assert len(list(target.iterdir())) == 1


def test_what_is_no_drive_is_not_written_to(place):
    told = run(place, "flash", "firmware.uf2", "--drive", place, code=1)
    assert "INFO_UF2.TXT" in told and "BOOTSEL" in told
    other = drive(place / "drive")
    (other / "INFO_UF2.TXT").write_text("UF2 Bootloader v1.23\r\nModel: Feather M0\r\nBoard-ID: SAMD21G18A-Feather-v0\r\n")
    assert "RPI-RP2" in run(place, "flash", "firmware.uf2", "--drive", other, code=1)
    assert "BOOTSEL" in run(place, "flash", "firmware.uf2", code=1), "no board is plugged into the machine that runs the tests"
    assert "no UF2 file" in run(place, "flash", "password", "--drive", place, code=1)


def test_wait_waits_for_the_drive(place):
    process = subprocess.Popen([BINARY, "pico", "flash", "firmware.uf2", "--drive", "drive", "--wait"], cwd=place, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=clean_environment())
    try:
        assert "waiting" in process.stdout.readline()
        assert process.poll() is None
        drive(place / "made").rename(place / "drive")
        with taken_by_a_board(place / "drive", place / "firmware.uf2") as taken:
            eventually(lambda: process.poll() is not None, lambda: "the end of the copy")
        assert process.returncode == 0, process.stdout.read()
        assert (taken / "eyot.uf2").read_bytes() == (place / "firmware.uf2").read_bytes()
    finally:
        process.kill()
        process.wait()


def test_nobody_has_to_listen(place):
    target = place / "drive"

    def plug_in():
        drive(place / "made").rename(target)

    plugged = threading.Timer(0.5, plug_in)
    with taken_by_a_board(target, place / "firmware.uf2") as taken:
        plugged.start()
        unheard(place, "pico", "flash", "firmware.uf2", "--drive", target, "--wait", code=0)
    assert (taken / "eyot.uf2").read_bytes() == (place / "firmware.uf2").read_bytes()
    damaged = place / "firmware.uf2"
    damaged.write_bytes(damaged.read_bytes()[:-512])
    assert "missing" in unheard(place, "pico", "flash", "firmware.uf2", "--drive", taken, code=1)


def test_a_drive_that_takes_no_more(place):
    """Nothing has vanished: an error, and no half of a file with a key."""
    target = drive(place / "drive")

    def limited():
        # A file may have 100,000 bytes: the nearest to a full drive that needs no mount.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    source = firmware(place / "long.uf2", sectors=30)
    done = subprocess.run([BINARY, "pico", "flash", source, "--drive", target], capture_output=True, text=True, timeout=60, cwd=place,
                          env=clean_environment(), preexec_fn=limited)
    assert done.returncode == 1 and "cannot write" in done.stderr and "File too large" in done.stderr and "BOOTSEL" in done.stderr
    assert {entry.name for entry in target.iterdir()} == {"INFO_UF2.TXT"}
