"""`eyot pico image`: a file for a board from nothing but a server, and the same device again."""

import fcntl
import json
import os
import shutil
import stat
import subprocess

import pytest

from support.api_proxy import ApiProxy
from support.cloud import policy, statement
from support.pico import (
    CONFIG,
    FAMILIES,
    FLASH,
    PASSWORD,
    SSID,
    run,
    firmware,
    read_uf2,
    server,
    place,
    image,
    shown,
    unheard,
    provision,
    policies_of,
    nothing_was_made,
    certificate,
)
from support.server import BINARY, clean_environment


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
