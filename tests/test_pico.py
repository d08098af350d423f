"""`eyot pico`: an image for a Pico W from nothing but a server, what is in it, and how it gets onto a board's drive.

UF2 files are read by a reader of a few lines that shares nothing with eyot; the partition's content by `eyot pico show`,
which uses the code of the firmware. No board is needed: its drive is a directory with an INFO_UF2.TXT.
"""

import base64
import contextlib
import fcntl
import json
import os
import resource
import shutil
import signal
import ssl
import stat
import struct
import subprocess
import threading
import zlib

import pytest

from support.api_proxy import ApiProxy
from support.authority import Authority, tls_server
from support.cloud import policy, statement
from support.openssl import openssl
from support.server import BINARY, Server, clean_environment
from support.waiting import eventually

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


# The image ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("board", FAMILIES)
def test_one_file_holds_firmware_and_a_configuration_that_the_firmware_reads(server, cloud, place, name, board):
    firmware(place / "firmware.uf2", board)
    printed = image(place, server, name, "--board", board, "--country", "de", "--interval", "5s")
    assert "✔" in printed and "eyot pico flash out.uf2" in printed and SSID in printed
    family, pages = read_uf2(place / "out.uf2")
    assert family == FAMILIES[board]
    assert sorted(pages) == [*range(FLASH, FLASH + 3 * 4096, 256), *range(CONFIG, CONFIG + 16384, 256)]
    assert all(pages[address] == b"\x55" * 256 for address in range(FLASH + 256, FLASH + 3 * 4096, 256))
    assert pages[CONFIG][:8] == b"EYOTCONF"
    partition = b"".join(pages[address] for address in range(CONFIG, CONFIG + 16384, 256))
    assert PASSWORD.encode() in partition and (place / f"{name}-keys" / "private.der").read_bytes() in partition

    found = shown(place)
    configuration = found["configuration"]
    assert (found["board"], found["firmwareBytes"]) == (board, 3 * 4096)
    described = cloud.iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"]
    expected = {
        "thingName": name, "clientId": name, "endpoint": described, "port": server.mqtts_port, "qos": 1, "intervalMs": 5000,
        "topic": f"$aws/rules/telemetry/{name}", "keepAliveS": 60, "willTopic": "", "ntpHost": "", "wifiSsid": SSID,
        "wifiCountry": "DE", "wifiIsOpen": False, "keyType": "P-256", "keyFitsCertificate": True,
    }
    assert {key: configuration[key] for key in expected} == expected
    assert len(configuration["serverCas"]) == 1
    arn = cloud.iot.list_thing_principals(thingName=name)["principals"][0]
    assert arn.endswith(configuration["certificateId"])
    assert cloud.iot.list_attached_policies(target=arn)["policies"]


def test_what_the_board_is_given_gets_in(server, place, name):
    """The simulated Pico W with the image's key and certificate, at the image's endpoint."""
    image(place, server, name)
    found = shown(place)["configuration"]
    since = server.log_mark()
    done = subprocess.run([BINARY, "device", name, "--keys", f"{name}-keys", "--endpoint", f"{found['endpoint']}:{found['port']}", "--count", "1"],
                          cwd=place, capture_output=True, text=True, timeout=60, env=clean_environment(NO_COLOR="1"))
    assert done.returncode == 0 and f"{found['topic']} " in done.stdout, done.stdout + done.stderr
    assert "denied" not in server.log()[since:]


def test_the_file_is_its_owners_and_is_not_overwritten(server, place, name):
    before = os.umask(0)
    try:
        image(place, server, name)
    finally:
        os.umask(before)
    path = place / "out.uf2"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {entry.name for entry in place.iterdir()} == {"firmware.uf2", f"{name}-keys", "out.uf2", "password"}
    first = path.read_bytes()
    assert "--force" in image(place, server, name, code=1)
    assert path.read_bytes() == first
    path.chmod(0o644)
    image(place, server, name, "--force")
    assert path.read_bytes() != first, "the random bytes are new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_image_is_the_same_device(server, cloud, place, name):
    image(place, server, name)
    answer = json.loads(image(place, server, name, "--json", "--config-only", out="again.uf2", content=()))
    assert answer["certificateReused"] and answer["firmware"] is None
    first, second = shown(place)["configuration"], shown(place, "again.uf2")["configuration"]
    assert first == second
    assert len(cloud.iot.list_thing_principals(thingName=name)["principals"]) == 1


@pytest.mark.parametrize("board", FAMILIES)
def test_a_configuration_alone_leaves_the_firmware(server, place, name, board):
    image(place, server, name, "--config-only", "--board", board, content=())
    family, pages = read_uf2(place / "out.uf2")
    assert family == FAMILIES[board] and sorted(pages) == [*range(CONFIG, CONFIG + 16384, 256)]
    assert shown(place)["firmwareBytes"] is None
    assert "the board keeps its own" in run(place, "show", "out.uf2")


def test_an_rsa_key_on_request(server, place, name):
    image(place, server, name, "--key", "rsa", "--qos", "0")
    assert shown(place)["configuration"]["qos"] == 0
    assert shown(place)["configuration"]["keyType"] == "RSA-2048"
    assert shown(place)["configuration"]["keyFitsCertificate"]


def test_files_of_eyot_provision_are_used_as_they_are(server, cloud, place, name):
    done = subprocess.run([BINARY, "provision", name, "--out", place / "keys", "--endpoint-url", server.api_url],
                          capture_output=True, timeout=60, env=clean_environment())
    assert done.returncode == 0
    image(place, server, name, "--device-dir", "keys")
    found = shown(place)["configuration"]
    assert found["keyType"] == "RSA-2048" and not (place / f"{name}-keys").exists()
    assert found["certificateId"] == json.loads((place / "keys" / "connection.json").read_text())["certificateId"]
    assert "eyot provision" in image(place, server, name, "--device-dir", "nothing", "--force", code=1)


def test_an_open_network_and_a_password_from_standard_input(server, place, name):
    image(place, server, name, wifi=("--wifi-open",))
    assert shown(place)["configuration"]["wifiIsOpen"]
    image(place, server, name, wifi=("--wifi-password-file", "-"), out="stdin.uf2", text_in=PASSWORD + "\r\n")
    assert not shown(place, "stdin.uf2")["configuration"]["wifiIsOpen"]
    assert PASSWORD.encode() + b"\r" not in (place / "stdin.uf2").read_bytes()


def test_a_configuration_alone_has_a_name_of_its_own(server, place, name):
    common = "image", "--thing", name, "--wifi-ssid", SSID, "--wifi-open", "--endpoint-url", server.api_url
    run(place, *common, "--firmware", "firmware.uf2")
    assert f"wrote {name}-config.uf2" in run(place, *common, "--config-only")
    assert shown(place, f"{name}.uf2")["firmwareBytes"] and shown(place, f"{name}-config.uf2")["firmwareBytes"] is None


def test_a_country_is_said_to_wait_for_its_firmware(server, place, name):
    line, = [line for line in image(place, server, name, "--country", "de").splitlines() if "country DE is kept" in line]
    assert line.startswith("! ") and "cannot set it" in line
    assert "cannot set it" not in image(place, server, name, "--force")
    assert shown(place)["configuration"]["wifiCountry"] == "XX"
    assert "cannot set it" in " ".join(run(place, "image", "--help").split())


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


def test_a_reader_that_goes_away_does_not_end_the_work(server, cloud, place, name):
    common = "--wifi-ssid", SSID, "--wifi-open", "--firmware", "firmware.uf2", "--endpoint-url", server.api_url
    unheard(place, "pico", "image", "--thing", name, *common, "--out", "out.uf2", code=0)
    assert shown(place)["configuration"]["thingName"] == name
    # What fails is not taken for a success.
    (place / f"{name}.json").write_text(policy(statement("iot:Publish", "*")))
    told = unheard(place, "provision", f"{name}2", "--policy", f"{name}.json", "--endpoint-url", server.api_url, code=1)
    assert "cannot connect with this" in told


def test_a_topic_does_not_drive_the_terminal(server, place, name):
    topic = "a\x1b[2J\n✔ b"
    printed = image(place, server, name, "--topic", topic)
    assert "\x1b" not in printed and "publish to `a\\u{1b}[2J\\u{a}✔ b`" in printed
    assert not [line for line in printed.splitlines() if line.startswith("✔ b")]
    (place / f"{name}x.json").write_text(policy(statement("iot:Connect", "*")))
    assert "\x1b" not in image(place, server, f"{name}x", "--policy", f"{name}x.json", "--topic", topic, "--force", code=1)


# The same device again -----------------------------------------------------------------------------------------------------


def provision(place, url, name, *more, code=0):
    done = subprocess.run([BINARY, "provision", name, "--endpoint-url", url, *map(str, more)], capture_output=True, text=True,
                          timeout=60, cwd=place, env=clean_environment(NO_COLOR="1"))
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def policies_of(cloud, name):
    arn, = cloud.iot.list_thing_principals(thingName=name)["principals"]
    return sorted(found["policyName"] for found in cloud.iot.list_attached_policies(target=arn)["policies"])


def restricted(place, thing, policy_name):
    topics = [f"arn:aws:iot:us-east-1:000000000000:topic/$aws/rules/telemetry/{thing}"]
    (place / f"{policy_name}.json").write_text(policy(
        statement("iot:Connect", f"arn:aws:iot:us-east-1:000000000000:client/{thing}"), statement("iot:Publish", topics)))
    return f"{policy_name}.json"


def test_a_repetition_gives_a_restricted_device_no_more_rights(server, cloud, place, name):
    mine = restricted(place, name, f"{name}-mine")
    image(place, server, name, "--policy", mine)
    assert policies_of(cloud, name) == [f"{name}-mine"]
    assert f"policies    {name}-mine" in image(place, server, name, "--force")
    assert json.loads(image(place, server, name, "--force", "--json"))["policies"] == [f"{name}-mine"]
    image(place, server, name, "--force", "--policy", mine)
    assert f"policies    {name}-mine" in provision(place, server.api_url, name)
    assert json.loads(provision(place, server.api_url, name, "--policy", mine, "--json"))["policies"] == [f"{name}-mine"]
    assert policies_of(cloud, name) == [f"{name}-mine"]


def test_a_policy_beside_another_is_refused(server, cloud, place, name):
    image(place, server, name)
    mine = restricted(place, name, f"{name}-mine")
    for told in (image(place, server, name, "--force", "--policy", mine, code=1),
                 provision(place, server.api_url, name, "--policy", mine, code=1)):
        assert "allow-all" in told and "aws iot detach-policy --policy-name allow-all --target arn:" in told
    assert policies_of(cloud, name) == ["allow-all"]
    assert f"{name}-mine" not in [found["policyName"] for found in cloud.iot.list_policies()["policies"]]
    arn, = cloud.iot.list_thing_principals(thingName=name)["principals"]
    cloud.iot.detach_policy(policyName="allow-all", target=arn)
    image(place, server, name, "--force", "--policy", mine)
    assert policies_of(cloud, name) == [f"{name}-mine"]
    # Two, one of which is the given one: it is not the only one.
    cloud.iot.attach_policy(policyName="allow-all", target=arn)
    assert "detach-policy --policy-name allow-all" in image(place, server, name, "--force", "--policy", mine, code=1)
    assert policies_of(cloud, name) == sorted(["allow-all", f"{name}-mine"])


@pytest.mark.parametrize("document", ["{", '{"Version": "2012-10-17"}', None], ids=["no-json", "malformed", "none"])
def test_a_policy_that_cannot_be_used_leaves_nothing_made(server, cloud, place, name, document):
    if document is not None:
        (place / f"{name}.json").write_text(document)
    for told in (image(place, server, name, "--policy", f"{name}.json", code=1),
                 provision(place, server.api_url, name, "--policy", f"{name}.json", code=1)):
        assert f"{name}.json" in told and "try: " in told
        nothing_was_made(cloud, place, name)
    assert "--csr FILE" in provision(place, server.api_url, name, "--csr", "none.csr", code=1)
    (place / "a b.json").write_text(policy(statement("iot:*", "*")))
    assert "rename the file" in image(place, server, name, "--policy", "a b.json", code=1)
    nothing_was_made(cloud, place, name)


def test_things_with_similar_names_are_two_devices(server, cloud, place, name):
    with_colon, with_line = f"{name}:x", f"{name}_x"
    first = json.loads(image(place, server, with_colon, "--json"))
    second = json.loads(image(place, server, with_line, "--json", "--force"))
    assert not second["certificateReused"] and first["directory"] != second["directory"]
    assert cloud.iot.list_thing_principals(thingName=with_colon)["principals"] \
        != cloud.iot.list_thing_principals(thingName=with_line)["principals"]


def test_a_directory_is_one_things(server, cloud, place, name):
    provision(place, server.api_url, name, "--out", "keys")
    told = provision(place, server.api_url, f"{name}x", "--out", "keys", code=1)
    assert f"thing `{name}`" in told and f"eyot provision {name}x --out DIR" in told
    assert not any(thing["thingName"] == f"{name}x" for thing in cloud.iot.list_things()["things"])
    assert json.loads((place / "keys/connection.json").read_text())["thingName"] == name


def test_a_kind_of_key_that_was_asked_for_is_not_replaced(server, place, name):
    provision(place, server.api_url, name)
    told = image(place, server, name, "--key", "p256", code=1)
    assert "RSA-2048" in told and "p256 was asked for" in told and "--key-type p256" in told
    image(place, server, name, "--key", "rsa")
    image(place, server, name, "--force")
    assert shown(place)["configuration"]["keyType"] == "RSA-2048"
    image(place, server, f"{name}2", out="second.uf2")
    assert "P-256" in provision(place, server.api_url, f"{name}2", "--key-type", "rsa", code=1)
    provision(place, server.api_url, f"{name}2")
    assert "rsa was asked for" in image(place, server, f"{name}2", "--key", "rsa", "--force", code=1)


@pytest.mark.parametrize("command", ["image", "provision"])
def test_a_run_that_failed_can_be_repeated(server, cloud, place, name, command):
    """The key was written, and the service had no time."""
    def attempt(url, code):
        if command == "provision":
            return provision(place, url, name, "--key-type", "p256", code=code)
        return run(place, "image", "--thing", name, "--wifi-ssid", SSID, "--wifi-open", "--out", "out.uf2", "--firmware", "firmware.uf2",
                   "--endpoint-url", url, code=code)

    with ApiProxy(server.api_url, refuse="/certificates") as proxy:
        assert "run the same command again" in attempt(proxy.url, 1)
        key = (place / f"{name}-keys/private.der").read_bytes()
        # As a run that was killed between two files leaves it.
        (place / f"{name}-keys/private.der").unlink()
        attempt(proxy.url, 0)
    assert (place / f"{name}-keys/private.der").read_bytes() == key
    assert policies_of(cloud, name) == ["allow-all"]


def test_a_certificate_that_was_written_by_half_is_found(server, cloud, place, name):
    image(place, server, name)
    before = (place / f"{name}-keys/certificate.der").read_bytes()
    for left in ("certificate.pem.crt", "connection.json", "root-ca.pem"):
        (place / f"{name}-keys" / left).unlink()
    assert json.loads(image(place, server, name, "--force", "--json"))["certificateReused"]
    assert (place / f"{name}-keys/certificate.der").read_bytes() == before
    assert len(cloud.iot.list_thing_principals(thingName=name)["principals"]) == 1


def test_a_key_of_the_service_that_was_lost(server, cloud, place, name):
    """It is told only once: what remains is said, and the command can be repeated."""
    keys = place / f"{name}-keys"

    def spoil(path, status):
        if path == "/keys-and-certificate":
            (keys / "private.pem.key").mkdir()

    with ApiProxy(server.api_url, answered=spoil) as proxy:
        told = provision(place, proxy.url, name, code=1)
    assert "only once" in told and "update-certificate --new-status INACTIVE --certificate-id" in told
    (keys / "private.pem.key").rmdir()
    assert "(made)" in provision(place, server.api_url, name)
    assert policies_of(cloud, name) == ["allow-all"]


def test_an_rsa_key_whose_certificate_was_lost_gets_another(server, cloud, place, name):
    provision(place, server.api_url, name, "--out", "first")
    keys = place / f"{name}-keys"
    keys.mkdir()
    shutil.copy(place / "first/private.pem.key", keys)
    printed = provision(place, server.api_url, name)
    assert "(made)" in printed and "list-certificates" in printed
    assert (keys / "private.der").read_bytes() == (place / "first/private.der").read_bytes()
    assert (keys / "certificate.der").read_bytes() != (place / "first/certificate.der").read_bytes()


def test_runs_at_the_same_time_make_one_device(server, cloud, place, name):
    command = [BINARY, "pico", "image", "--thing", name, "--wifi-ssid", SSID, "--wifi-open", "--firmware", "firmware.uf2",
               "--endpoint-url", server.api_url, "--json", "--out"]
    runs = [subprocess.Popen([*command, f"{number}.uf2"], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             env=clean_environment(NO_COLOR="1")) for number in range(6)]
    printed = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0] * 6, printed
    assert len({shown(place, f"{number}.uf2")["configuration"]["certificateId"] for number in range(6)}) == 1
    assert sorted(json.loads(text)["certificateReused"] for text in printed) == [False] + [True] * 5
    assert policies_of(cloud, name) == ["allow-all"]


def test_a_directory_that_another_run_keeps(server, place, name):
    (place / f"{name}-keys").mkdir()
    held = os.open(place / f"{name}-keys", os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        told = provision(place, server.api_url, name, code=1)
    finally:
        os.close(held)
    assert "another eyot" in told and "run the same command again" in told
    provision(place, server.api_url, name)


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


def nothing_was_made(cloud, place, name):
    assert not (place / "out.uf2").exists() and not (place / f"{name}-keys").exists()
    assert not any(thing["thingName"] == name for thing in cloud.iot.list_things()["things"])


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


@pytest.mark.parametrize("dates", [("20200101000000Z", "20200201000000Z", "ended on 2020-02-01"),
                                   ("20900101000000Z", "20910101000000Z", "valid from 2090-01-01")], ids=["over", "to-come"])
def test_a_certificate_whose_time_it_is_not(server, cloud, place, name, dates):
    start, end, told = dates
    own_device(cloud, place, name, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", start=start, end=end)
    assert told in image(place, server, name, "--device-dir", "keys", code=1)


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
