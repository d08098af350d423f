"""What `eyot pico image` refuses, before it makes anything: names, places, servers, keys and firmware that no board can use."""

import contextlib
import os
import shutil
import ssl
import stat
import subprocess

import pytest

from support.authority import Authority, tls_server
from support.cloud import policy, statement
from support.pico import (
    FLASH,
    SSID,
    run,
    block,
    firmware,
    server,
    place,
    image,
    shown,
    provision,
    nothing_was_made,
    own_device,
    refused_with,
    certificate,
)
from support.server import BINARY, Server, clean_environment


# What is refused, before a file is written ---------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["short", "x" * 64, "", "two\nlines of it"], ids=["short", "long", "empty", "lines"])
def test_a_password_that_no_network_has(server, cloud, place, name, password):
    (place / "password").write_text(password + "\n")
    told = image(place, server, name, code=1)
    assert "8 to 63" in told and "--wifi-open" in told and (not password or password not in told)
    nothing_was_made(cloud, place, name)


@pytest.mark.parametrize("more", [
    ("--country", "Germany"), ("--interval", "1ms"), ("--interval", "2"), ("--qos", "2"), ("--topic", "a/#"),
    ("--keep-alive", "1h"), ("--board", "pico"), ("--wifi-open",), ("--will-payload", "without a topic"),
    ("--topic", "0/1/2/3/4/5/6/7/8"), ("--topic", "x" * 257), ("--topic", "$aws/rules//x"), ("--topic", "$aws/things/t/shadow/update"),
    ("--will-topic", "$SYS/gone"), ("--will-topic", "0/1/2/3/4/5/6/7/8"),
    ("--config-only", "--firmware", "firmware.uf2"), ("--device-dir", "d", "--key", "rsa"), ("--thing", "a b"),
], ids=lambda more: "_".join(more)[:40])
def test_wrong_usage(server, place, name, more):
    arguments = ["image", "--wifi-ssid", SSID, "--wifi-password-file", "password", "--out", "out.uf2", "--endpoint-url", server.api_url]
    # Not to be refused is another thing than to be refused for another reason.
    told = run(place, *arguments, *(() if "--thing" in more else ("--thing", name)), *more, code=2)
    assert more[0] in told or "wifi" in more[0] or "required" in told
    run(place, "image", "--thing", name, "--wifi-ssid", SSID, code=2)
    run(place, "image", "--thing", name, "--wifi-ssid", "x" * 33, "--wifi-open", code=2)


@pytest.mark.parametrize("password,stored", [("\ufeffcorrect horse", "correct horse"), ("pässwörter", "pässwörter")], ids=["bom", "utf-8"])
def test_a_password_as_an_editor_writes_it(server, place, name, password, stored):
    (place / "password").write_text(password + "\r\n")
    image(place, server, name)
    assert len(stored.encode()).to_bytes(2, "little") + stored.encode() in (place / "out.uf2").read_bytes()


@pytest.mark.parametrize("password", ["correct\x1bhorse", "correct\thorse", "correct\x7fhorse"], ids=["escape", "tab", "delete"])
def test_a_password_that_nobody_types(server, cloud, place, name, password):
    (place / "password").write_text(password + "\n")
    told = image(place, server, name, code=1)
    assert "control characters" in told and "horse" not in told
    nothing_was_made(cloud, place, name)


def test_a_key_in_hexadecimal_is_no_password(server, cloud, place, name):
    (place / "password").write_text("0123456789abcdef" * 4 + "\n")
    told = image(place, server, name, code=1)
    assert "hexadecimal keys are not supported" in told and "--wifi-open" not in told and "0123" not in told
    nothing_was_made(cloud, place, name)


def test_a_place_that_is_no_files(server, cloud, place, name):
    """Also with --force only a regular file is replaced."""
    (place / "directory").mkdir()
    (place / "target").write_text("kept")
    (place / "link").symlink_to("target")
    (place / "dangling").symlink_to("nowhere")
    os.mkfifo(place / "pipe")
    with contextlib.suppress(PermissionError):  # Only root makes one. The system's own is not risked.
        os.mknod(place / "device", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    if not (place / "device").exists():
        (place / "device").symlink_to("/dev/null")
    for out, told in [("directory", "a directory"), ("link", "a symbolic link"), ("dangling", "a symbolic link"), ("pipe", "a pipe"),
                      ("device", "a "), ("none/out.uf2", "mkdir -p none"), ("x" * 250, "name too long"), ("..", "a directory")]:
        for more in ((), ("--force",)):
            printed = image(place, server, name, *more, out=out, code=1)
            assert f"cannot write `{out}`" in printed and told in printed and "try: " in printed
    nothing_was_made(cloud, place, name)
    assert (place / "target").read_text() == "kept" and (place / "link").is_symlink()
    assert stat.S_ISCHR(os.stat(place / "device").st_mode) and stat.S_ISFIFO(os.stat(place / "pipe").st_mode)


def test_what_does_not_fit_into_the_partition(server, cloud, place, name):
    large = [Authority(place, "ec", name=f"large {number}", extensions="nsComment=" + "x" * 5000).certificate for number in range(3)]
    told = image(place, server, name, "--ca", large[0], "--ca", large[1], "--ca", large[2], "--offline", code=1)
    assert "does not fit" in told and "fewer --ca" in told
    nothing_was_made(cloud, place, name)
    image(place, server, name, "--ca", large[0], "--ca", large[1], "--offline")


def test_every_refusal_has_a_next_step(server, cloud, place, name):
    (place / "long").write_bytes(bytes(9 * 1024 * 1024))
    for told in [image(place, server, name, content=("--firmware", "none.uf2"), code=1),
                 image(place, server, name, content=("--firmware", "long"), code=1),
                 image(place, server, name, wifi=("--wifi-password-file", "none"), code=1),
                 image(place, server, name, "--policy", "none.json", code=1),
                 run(place, "show", "none.uf2", code=1), run(place, "show", "/dev/zero", code=1), run(place, "show", "long", code=1)]:
        assert "try: " in told
    nothing_was_made(cloud, place, name)
    (place / f"{name}-keys").write_text("a file")
    assert "try: " in image(place, server, name, code=1)


def test_localhost_is_refused(tmp_path_factory, place, name):
    """A board cannot reach its server's loopback."""
    with Server(tmp_path_factory.mktemp("loopback")) as server:
        told = image(place, server, name, code=1)
        assert "localhost" in told and "--lan" in told and "--endpoint" in told
        assert not (place / "out.uf2").exists()
        # A board's loopback is never this machine's, not in an emulator either: so it is not used when it is given by hand.
        for host in ("localhost", "127.0.0.1", "a.localhost"):
            assert "the board itself" in image(place, server, name, "--endpoint", f"{host}:{server.mqtts_port}", code=2)
        assert not (place / "out.uf2").exists()


def test_a_server_that_does_not_answer_or_cannot_be_verified(server, cloud, place, name):
    host = lan_host(cloud)
    told = image(place, server, name, "--endpoint", f"{host}:1", code=1)
    assert f"{host}:1" in told and "--offline" in told
    authority = Authority(place, "ec")
    with tls_server(authority.server("ec", "another.example"), host) as port:
        told = image(place, server, name, "--endpoint", f"{host}:{port}", "--ca", authority.certificate, code=1)
    assert "certificate" in told and "--advertise" in told
    nothing_was_made(cloud, place, name)
    image(place, server, name, "--endpoint", "192.0.2.1", "--offline")
    assert shown(place)["configuration"]["endpoint"] == "192.0.2.1"


@pytest.mark.parametrize("option", ["--endpoint", "--ntp"])
@pytest.mark.parametrize("host,told", [
    ("[fe80::1]:8883", "IPv4 alone"), ("::1", "IPv4 alone"), ("[::1]", "IPv4 alone"), ("eyot.local", ".local"), ("127.0.0.1", "board itself"),
    ("localhost", "board itself"), ("256.1.1.1", "IPv4 address such as"), ("1.2.3", "IPv4 address such as"), ("a..b", "letters, digits"),
    ("a_b", "letters, digits"), ("x" * 64, "letters, digits"), ("0.0.0.0", "nobody has"), ("", "letters, digits"),
], ids=lambda text: text[:12])
def test_a_host_that_no_board_can_use(server, cloud, place, name, option, host, told):
    """Whether or not the server is looked at."""
    for more in ((), ("--offline",)):
        printed = image(place, server, name, f"{option}={host}", *more, code=2)
        assert told in printed and option in printed
    for port in ("0", "65536", "+1", ""):
        assert "1 to 65535" in image(place, server, name, f"--endpoint=eyot.test:{port}", code=2)
    nothing_was_made(cloud, place, name)


def test_a_name_for_devices_that_no_board_looks_up(tmp_path_factory, place, name):
    with Server(tmp_path_factory.mktemp("local"), "--advertise", "eyot.local") as server:
        told = image(place, server, name, "--offline", code=1)
        assert "eyot.local" in told and "--advertise" in told and "--endpoint" in told
        assert not (place / "out.uf2").exists() and not (place / f"{name}-keys").exists()


# A server as the firmware sees it --------------------------------------------------------------------------------------------


def lan_host(cloud):
    """This machine's address in its network: the server names it to devices."""
    return cloud.iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"]


def attempt_with(place, server, cloud, name, authority, context, code, *more):
    host = lan_host(cloud)
    with tls_server(context, host) as port:
        return image(place, server, name, "--endpoint", f"{host}:{port}", "--ca", authority.certificate, *more, code=code)


@pytest.mark.parametrize("kind", ["ec", "rsa"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda version: version.name)
def test_a_server_with_keys_that_the_firmware_knows(server, cloud, place, name, kind, version):
    authority = Authority(place, kind)
    context = authority.server(kind, lan_host(cloud))
    context.minimum_version = context.maximum_version = version
    assert "answers with a certificate" in attempt_with(place, server, cloud, name, authority, context, 0)
    assert "own CA" in str(shown(place)["configuration"]["serverCas"])


@pytest.mark.parametrize("kind", ["p384", "ed25519"])
def test_a_server_with_a_key_that_the_firmware_does_not_know(server, cloud, place, name, kind):
    authority = Authority(place, "ec")
    told = attempt_with(place, server, cloud, name, authority, authority.server(kind, lan_host(cloud)), 1)
    assert "would not get a connection" in told and "P-256 alone" in told
    nothing_was_made(cloud, place, name)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda version: version.name)
def test_a_server_without_the_firmwares_curve(server, cloud, place, name, version):
    authority = Authority(place, "rsa")
    context = authority.server("rsa", lan_host(cloud))
    context.minimum_version = context.maximum_version = version
    context.set_ecdh_curve("secp384r1")
    assert "P-256 alone" in attempt_with(place, server, cloud, name, authority, context, 1)
    nothing_was_made(cloud, place, name)


@pytest.mark.parametrize("kind", ["p384", "ed25519"])
def test_a_ca_that_the_firmware_cannot_read(server, cloud, place, name, kind):
    authority = Authority(place, kind)
    told = image(place, server, name, "--ca", authority.certificate, "--offline", code=1)
    assert "own CA" in told and "P-256 alone" in told and ("P-384" in told) == (kind == "p384") and "certificate 1" in told
    nothing_was_made(cloud, place, name)


def test_a_ca_that_is_over(server, cloud, place, name):
    """The firmware looks at a CA's dates, which other programs do not."""
    authority = Authority(place, "ec", end="20210101000000Z")
    context = authority.server("ec", lan_host(cloud))
    told = attempt_with(place, server, cloud, name, authority, context, 1)
    assert "would not get a connection" in told
    nothing_was_made(cloud, place, name)
    printed = attempt_with(place, server, cloud, name, authority, context, 0, "--offline")
    line, = [line for line in printed.splitlines() if line.startswith("!") and "own CA" in line]
    assert "ended on 2021-01-01" in line


def test_a_ca_file_that_is_none(server, cloud, place, name):
    first, second = Authority(place, "ec", name="first"), Authority(place, "ec", name="second")
    third = Authority(place, "ec", name="third").certificate.read_text()
    whole = first.certificate.read_text()
    lines = second.certificate.read_text().splitlines()
    for damage in ([*lines[:2], "!!!", *lines[3:]], lines[:-1]):
        (place / "bundle.pem").write_text(whole + "\n".join(damage) + "\n" + third)
        told = image(place, server, name, "--ca", "bundle.pem", "--offline", code=1)
        # Without its end line a block runs into the next one, and whether that can be decoded is chance.
        assert "PEM block 2 cannot be decoded" in told or "certificate 2 in it: not an X.509 certificate" in told
    assert "neither a file nor a pipe" in image(place, server, name, "--ca", "/dev/zero", "--offline", code=1)
    (place / "long").write_bytes(bytes(1024 * 1024 + 1))
    assert "1024 KiB" in image(place, server, name, "--ca", "long", "--offline", code=1)
    told = image(place, server, name, "--ca", "none", "--offline", code=1)
    assert "cannot read" in told and "--ca FILE" in told
    (place / "bundle.pem").write_text(whole + third)
    nothing_was_made(cloud, place, name)
    image(place, server, name, "--ca", "bundle.pem", "--offline")
    assert len(shown(place)["configuration"]["serverCas"]) == 3
    reading, writing = os.pipe()
    os.write(writing, whole.encode())
    os.close(writing)
    done = subprocess.run([BINARY, "pico", "image", "--thing", name, "--wifi-ssid", SSID, "--wifi-open", "--out", "piped.uf2", "--offline",
                           "--firmware", "firmware.uf2", "--endpoint-url", server.api_url, "--ca", f"/dev/fd/{reading}"],
                          cwd=place, pass_fds=[reading], timeout=60, env=clean_environment())
    os.close(reading)
    assert done.returncode == 0


def test_keys_that_another_server_made_are_left_alone(server, tmp_path_factory, place, name):
    image(place, server, name)
    kept = (place / f"{name}-keys" / "private.der").read_bytes()
    with Server(tmp_path_factory.mktemp("another"), "--lan") as another:
        told = image(place, another, name, "--force", code=1)
    assert "does not know this certificate" in told and f"eyot provision {name} --out DIR" in told
    assert (place / f"{name}-keys" / "private.der").read_bytes() == kept


def test_policies_must_allow_what_the_board_will_do(server, place, name):
    def attempt(thing, *statements, more=(), code=1):
        (place / f"{thing}.json").write_text(policy(*statements))
        return image(place, server, thing, "--policy", f"{thing}.json", *more, code=code)

    def connect(thing):
        return statement("iot:Connect", f"arn:aws:iot:us-east-1:000000000000:client/{thing}")

    publish_a = statement("iot:Publish", "arn:aws:iot:us-east-1:000000000000:topic/a")
    to_a = "--topic", "a"
    refusals = [
        ("connect as", attempt(name + "1", statement("iot:Publish", "*"))),
        ("publish to `$aws/rules/telemetry/", attempt(name + "2", connect(name + "2"))),
        ("publish to `b`", attempt(name + "3", connect(name + "3"), publish_a, more=("--topic", "b"))),
        ("publish to `gone`", attempt(name + "4", connect(name + "4"), publish_a, more=(*to_a, "--will-topic", "gone"))),
    ]
    assert not (place / "out.uf2").exists()
    for expected, told in refusals:
        assert expected in told and "list-attached-policies" in told
    attempt(name, connect(name), publish_a, more=(*to_a, "--will-topic", "a"), code=0)
    assert shown(place)["configuration"]["willTopic"] == "a"


def test_a_certificate_that_would_not_get_in(server, cloud, place, name):
    device = cloud.device(place, name)
    device.to_der()
    image(place, server, name, "--device-dir", device.directory)
    cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus="INACTIVE")
    assert "INACTIVE" in refused_with(place, server, name, device)
    cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus="ACTIVE")
    cloud.iot.detach_thing_principal(thingName=name, principal=device.arn)
    assert "attach-thing-principal" in refused_with(place, server, name, device)
    assert "no thing" in image(place, server, name + "x", "--device-dir", device.directory, "--force", code=1)
    cloud.iot.attach_thing_principal(thingName=name, principal=device.arn)
    other = cloud.certificate(place / "other", name)
    other.to_der()
    shutil.copy(other.directory / "private.der", device.directory / "private.der")
    assert "does not belong" in refused_with(place, server, name, device)


def test_a_key_that_a_board_cannot_use(server, cloud, place, name):
    own_device(cloud, place, name, "-newkey", "rsa:3072")
    told = image(place, server, name, "--device-dir", "keys", code=1)
    assert "RSA-3072" in told and "too slow" in told and "--key-type p256" in told
    device = cloud.device(place, f"{name}2")
    device.to_der()
    shutil.copy(device.directory / "private.pem.key", device.directory / "private.der")
    told = image(place, server, f"{name}2", "--device-dir", device.directory, code=1)
    assert "it is PEM" in told and "eyot keys to-der" in told
    (device.directory / "private.der").write_bytes(b"no key")
    assert "eyot keys to-der" in image(place, server, f"{name}2", "--device-dir", device.directory, code=1)


@pytest.mark.parametrize("dates", [("20200101000000Z", "20200201000000Z", "ended on 2020-02-01"),
                                   ("20900101000000Z", "20910101000000Z", "valid from 2090-01-01")], ids=["over", "to-come"])
def test_a_certificate_whose_time_it_is_not(server, cloud, place, name, dates):
    start, end, told = dates
    own_device(cloud, place, name, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", start=start, end=end)
    assert told in image(place, server, name, "--device-dir", "keys", code=1)


# Firmware -------------------------------------------------------------------------------------------------------------------


def test_firmware_that_is_not_there_is_named_with_all_places(server, cloud, place, name):
    # A checkout of its own: in ours the firmware may have been built.
    program = place / "target/release/eyot"
    program.parent.mkdir(parents=True)
    shutil.copy(BINARY, program)
    done = subprocess.run([program, "pico", "image", "--thing", name, "--wifi-ssid", SSID, "--wifi-open", "--endpoint-url", server.api_url],
                          capture_output=True, text=True, timeout=60, cwd=place, env=clean_environment())
    assert done.returncode == 1
    told = done.stdout + done.stderr
    assert "eyot-pico-w.uf2" in told and "share/eyot/firmware" in told and "target/firmware" in told
    assert "cargo xtask firmware" in told and "--config-only" in told
    nothing_was_made(cloud, place, name)


@pytest.mark.parametrize("where", ["bin", "share/eyot/firmware"])
def test_an_installed_eyot_finds_its_firmware(server, place, name, where):
    program = place / "prefix/bin/eyot"
    program.parent.mkdir(parents=True)
    shutil.copy(BINARY, program)
    directory = place / "prefix" / where
    directory.mkdir(parents=True, exist_ok=True)
    firmware(directory / "eyot-pico-w.uf2", sectors=5)
    done = subprocess.run([program, "pico", "image", "--thing", name, "--wifi-ssid", SSID, "--wifi-open", "--endpoint-url", server.api_url],
                          capture_output=True, text=True, timeout=60, cwd=place, env=clean_environment())
    assert done.returncode == 0, done.stderr
    assert shown(place, f"{name}.uf2")["firmwareBytes"] == 5 * 4096


def test_what_is_no_firmware_for_the_board(server, cloud, place, name):
    assert "--board pico-w" in image(place, server, name, "--board", "pico2-w", code=1)
    (place / "firmware.uf2").write_bytes(b"\x7fELF" + bytes(600))
    assert "no UF2 file" in image(place, server, name, code=1)
    firmware(place / "firmware.uf2", start=FLASH + 4096)
    assert "no firmware" in image(place, server, name, code=1)
    firmware(place / "firmware.uf2", mark=b"somebody's firmware")
    assert "is no firmware of eyot" in image(place, server, name, code=1)
    firmware(place / "firmware.uf2", sectors=209)
    assert "may have 851968 bytes" in image(place, server, name, code=1)
    firmware(place / "firmware.uf2").write_bytes((place / "firmware.uf2").read_bytes()[:-512])
    assert "missing" in image(place, server, name, code=1)
    nothing_was_made(cloud, place, name)


def test_firmware_for_the_emulated_board_is_told_apart(server, place, name):
    firmware(place / "firmware.uf2", mark=b"eyot firmware, without the radio's own")
    assert "! the firmware is for the emulated board" in image(place, server, name)


def test_an_image_is_no_firmware(server, place, name):
    image(place, server, name)
    told = image(place, server, name, out="second.uf2", content=("--firmware", "out.uf2"), code=1)
    assert "configuration already" in told


def test_the_firmware_file_says_for_which_board(server, place, name):
    firmware(place / "firmware.uf2", "pico2-w")
    image(place, server, name)
    assert shown(place)["board"] == "pico2-w"
