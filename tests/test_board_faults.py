"""What the board survives: servers, networks, clocks and programs that fail; and what else it is given to work with.

Times are the board's own, emulated.
"""

import json
import socket
import ssl
import subprocess

import pytest

from support.board import SERVER_NAME, Board, BoardServer, flash_of, make_image
from support.mqtt import Client
from support.openssl import openssl
from support.relay import AwsLikeChain, Relay
from support.server import ROOT
from support.waiting import eventually

INTERVAL_MS = 2_000
"""Between two readings."""
GRID_MS = 5
"""A reading is taken when its timer fires, within this of its time."""

RISE_C = 1.5
"""By how much the chip gets warmer from one reading to the next: each tells its number, and the converter's steps are
only a third of that apart."""
GETTING_WARMER = {"command": "temperature", "celsius": -90, "per_second": RISE_C * 1_000 / INTERVAL_MS}

RING = 512
"""Readings that a board keeps."""

HEAP_MOST = 0.9
"""Of the heap, with the longest chain: the rest is for fragments."""

ARRIVAL_S = 120
"""How long readings may take to arrive: some emulated seconds of a busy machine."""

CONNECTED = r"mqtt: connected; (\d+) readings wait, (\d+) were dropped"

ONLY_12, ONLY_13 = "IoTSecurityPolicy_TLS12_1_2_2022_10", "IoTSecurityPolicy_TLS13_1_3_2022_10"


OTHER_PASSWORD = {"command": "access_point", "ssid": "emulated", "passphrase": "another password"}
DEAD_RADIO = {"command": "radio_dead", "dead": True}
TEN_YEARS_BACK = {"command": "sntp_offset", "seconds": -10 * 365 * 86_400}
TEN_YEARS_AHEAD = {"command": "sntp_offset", "seconds": 10 * 365 * 86_400}


def silent(service):
    return {"command": "service", "name": service, "answering": False}


@pytest.fixture
def server(tmp_path):
    with BoardServer(tmp_path) as server:
        yield server


@pytest.fixture
def image(tmp_path, server):
    return make_image(tmp_path, server, "survivor")


def late(server):
    """When the readings that came late were measured, in the order of their arrival, each once."""
    return list(dict.fromkeys(reading["measured_at"] for reading in server.readings() if "measured_at" in reading))


def expect_no_gap(server, count, since=0, step_ms=INTERVAL_MS):
    """At least `count` readings came late after the first `since`, in order, and none is missing between them."""
    eventually(lambda: len(late(server)) >= since + count,
               lambda: f"{count} more late readings than {since}; there are {late(server)}", ARRIVAL_S)
    measured = late(server)[since:]
    steps = [later - earlier for earlier, later in zip(measured, measured[1:])]
    assert all(abs(step - step_ms) <= GRID_MS for step in steps), steps


def expect_every_reading(server):
    """On a board that is `GETTING_WARMER`: no reading since its start is missing, and each came first in its turn."""
    temperatures = [reading["temp"] for reading in server.readings()]
    numbers = [round((temperature - temperatures[0]) / RISE_C) for temperature in temperatures]
    assert list(dict.fromkeys(numbers)) == list(range(max(numbers) + 1)), numbers


def expect_live_reading(server):
    before = len(server.readings())
    eventually(lambda: any("measured_at" not in reading for reading in server.readings()[before:]),
               "a reading that is sent at once", ARRIVAL_S)


def test_a_broker_that_restarts(tmp_path, server, image):
    with Board(image, server.mqtts_port, first=[GETTING_WARMER]) as board:
        board.expect_log(CONNECTED)
        expect_live_reading(server)
        mark, port, before = board.mark(), server.mqtts_port, len(late(server))
        server.stop()
        board.expect_log("mqtt: the server hung up", mark)
        # Until it has knocked in vain a few times.
        for _ in range(3):
            _, mark = board.expect_log("tcp: the connection was refused", mark), board.mark()
        with BoardServer(tmp_path, mqtts_port=port) as again:
            at_ms, match = board.expect_log(CONNECTED, mark)
            assert int(match[1]) > 0 and match[2] == "0", match[0]
            expect_no_gap(again, int(match[1]) - 1, before)
            expect_live_reading(again)
            expect_every_reading(again)
        # The fixture ends it once more.
        server.start()


def test_two_minutes_without_wifi(server, image):
    with Board(image, server.mqtts_port, first=[GETTING_WARMER]) as board:
        board.expect_log(CONNECTED)
        expect_live_reading(server)
        mark, before = board.mark(), len(late(server))
        board.do("link_loss", for_ms=120_000)
        lost_ms, _ = board.expect_log("wifi: the Wi-Fi network is gone", mark)
        assert board.expect_flashes(board.mark()) == [150, 150]
        found_ms, match = board.expect_log(CONNECTED, mark)
        assert 120_000 < found_ms - lost_ms < 300_000
        waited = int(match[1])
        assert waited >= 60 and match[2] == "0", match[0]
        expect_no_gap(server, waited - 1, before)
        expect_live_reading(server)
        expect_every_reading(server)


def test_a_network_that_gives_no_address(server, image):
    with Board(image, server.mqtts_port, first=[silent("dhcp")]) as board:
        board.expect_log("wifi: asking for an address")
        mark = board.mark()
        assert board.expect_flashes(board.mark()) == [150, 150, 150]
        for _ in range(3):
            _, mark = board.expect_log("wifi: the network gave no address in time", mark), board.mark()
        board.expect_log("radio: turning it off and on again")
        board.do("service", name="dhcp", answering=True)
        board.expect_log(CONNECTED)
        expect_live_reading(server)


def test_a_wrong_wifi_password(tmp_path, server, image):
    with Board(image, server.mqtts_port, first=[OTHER_PASSWORD]) as board:
        board.expect_log("wifi: the Wi-Fi network did not accept the password")
        board.do("access_point", ssid="emulated", passphrase="emulated-password")
        board.expect_log(CONNECTED)


def test_a_connection_that_leads_nowhere(server, image):
    with Board(image, server.mqtts_port, first=[GETTING_WARMER]) as board:
        board.expect_log(CONNECTED)
        expect_live_reading(server)
        mark, before = board.mark(), len(late(server))
        assert board.do("tcp_black_hole")["connections"] == 1
        cut_ms = board.do("counters")["at_ms"]
        found_ms, match = board.expect_log(CONNECTED, mark)
        assert found_ms - cut_ms < 60_000, "it notices within its deadlines"
        assert match[2] == "0"
        expect_no_gap(server, int(match[1]) - 1, before)
        expect_live_reading(server)
        expect_every_reading(server)


def test_a_stuck_program(server, image):
    with Board(image, server.mqtts_port) as board:
        board.expect_log(CONNECTED)
        mark = board.mark()
        board.do("hang")
        board.expect_log("the application is stuck; the watchdog will restart the board", mark)
        board.expect("a reset", lambda event: event["event"] == "reset" and event["reason"] == "watchdog", mark)
        board.expect_log("restarted by the watchdog", mark)
        board.expect_log(CONNECTED, mark)
        expect_live_reading(server)


def test_a_power_cut(server, image):
    with Board(image, server.mqtts_port) as board:
        board.expect_log(CONNECTED)
        mark = board.mark()
        board.do("power_cut", off_ms=1_000)
        board.expect_log("on Pico W, started", mark)
        board.expect_log(CONNECTED, mark)
        expect_live_reading(server)


def test_a_dead_radio(server, image):
    with Board(image, server.mqtts_port, first=[GETTING_WARMER, DEAD_RADIO]) as board:
        board.expect_log("radio: it does not answer; the LED hangs on it and stays dark")
        board.do("radio_dead", dead=False)
        at_ms, match = board.expect_log(CONNECTED)
        # Readings were taken all the time.
        assert int(match[1]) >= 5
        expect_no_gap(server, int(match[1]) - 1)
        expect_live_reading(server)
        expect_every_reading(server)


def test_without_the_time_nothing_is_tried(server, image):
    with Board(image, server.mqtts_port, first=[silent("sntp")]) as board:
        board.expect_log("time: pool.ntp.org: no answer")
        assert board.expect_flashes(board.mark()) == [150] * 4
        assert not [line for line in board.log() if "tcp: connecting" in line]
        board.do("service", name="sntp", answering=True)
        board.expect_log(CONNECTED)


def test_the_time_of_eyot_for_a_network_without_internet(tmp_path):
    with BoardServer(tmp_path, "--sntp-port", "0") as server:
        image = make_image(tmp_path, server, "inland")
        port = server.ready["sntp"].rpartition(":")[2]
        options = ["--ntp-server", "10.0.2.2", "--udp-forward", f"123=127.0.0.1:{port}"]
        with Board(image, server.mqtts_port, *options, names=[SERVER_NAME]) as board:
            board.expect_log(r"time: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ from the network's time server")
            board.expect_log(CONNECTED)
        named = make_image(tmp_path, server, "named", "--ntp", "clock.test")
        with Board(named, server.mqtts_port, *options[2:], names=[SERVER_NAME, "clock.test"]) as board:
            board.expect_log(r"time: \S+ from clock.test")


def test_a_time_before_the_firmware_was_built_is_not_believed(server, image):
    with Board(image, server.mqtts_port, first=[TEN_YEARS_BACK]) as board:
        board.expect_log("time: pool.ntp.org: .*before this firmware was built")
        assert board.expect_flashes(board.mark()) == [150] * 4
        assert not [line for line in board.log() if "tcp: connecting" in line]
        board.do("sntp_offset", seconds=0)
        board.expect_log(CONNECTED)


def test_a_wrong_clock_leads_to_a_restart(server, image):
    """A time server that is wrong by ten years: every certificate has expired, until two others agree."""
    names = [SERVER_NAME, "pool.ntp.org", "time.aws.com"]
    with Board(image, server.mqtts_port, first=[TEN_YEARS_AHEAD], names=names) as board:
        board.expect_log("tls: the server's certificate is refused: it has expired")
        board.do("sntp_offset", seconds=0)
        board.expect_log("it was set by a wrong server; restarting")
        board.expect_log(CONNECTED)


def test_a_bad_link(server, image):
    with Board(image, server.mqtts_port) as board:
        for direction in ("to_device", "from_device"):
            board.do("drop_frames", direction=direction, percent=15)
        board.do("slow_network", latency_ms=100, bytes_per_second=20_000)
        board.expect_log(CONNECTED)
        eventually(lambda: len(server.readings()) >= 5, "five readings", ARRIVAL_S)


def test_a_certificate_that_the_server_does_not_want(server, image):
    iot = server.cloud.iot
    certificate_id = iot.list_certificates()["certificates"][0]["certificateId"]
    iot.update_certificate(certificateId=certificate_id, newStatus="INACTIVE")
    with Board(image, server.mqtts_port) as board:
        board.expect_log("mqtt: the server hung up before it accepted this board")
        assert board.expect_flashes(board.mark()) == [150] * 7
        iot.update_certificate(certificateId=certificate_id, newStatus="ACTIVE")
        board.expect_log(CONNECTED)


@pytest.mark.parametrize("policy", [ONLY_12, ONLY_13])
def test_a_session_is_resumed(tmp_path, policy):
    """Coming back costs no signature: with an RSA key that is seconds."""
    with BoardServer(tmp_path, "--tls-policy", policy) as server:
        image = make_image(tmp_path, server, "returning", "--key", "rsa")
        with Board(image, server.mqtts_port) as board:
            _, first = board.expect_log(r"tls: handshake took (\d+) ms")
            board.expect_log(CONNECTED)
            mark = board.mark()
            board.do("tcp_reset")
            _, second = board.expect_log(r"tls: handshake took (\d+) ms", mark)
            board.expect_log(CONNECTED, mark)
            assert int(second[1]) < int(first[1]) / 4, (first[1], second[1])
            expect_live_reading(server)


def test_a_server_that_has_an_address_and_no_name(tmp_path):
    """`eyot serve --lan` names an address for devices: the certificate must be for it, and is."""
    gateway = "10.0.2.2"
    with BoardServer(tmp_path, "--advertise", gateway) as server:
        image = make_image(tmp_path, server, "addressed", host=gateway)
        with Board(image, server.mqtts_port, names=["pool.ntp.org"]) as board:
            board.expect_log(f"tls: version 1.3 with {gateway}")
            board.expect_log(CONNECTED)
            expect_live_reading(server)


def test_a_radio_that_dies_while_it_is_used(server, image):
    with Board(image, server.mqtts_port, first=[GETTING_WARMER]) as board:
        board.expect_log(CONNECTED)
        mark = board.mark()
        board.do("radio_dead", dead=True)
        board.expect_log("radio: it (no longer answers|does not answer)", mark)
        board.do("radio_dead", dead=False)
        board.expect_log(CONNECTED, mark)
        expect_live_reading(server)
        expect_every_reading(server)


def test_a_radio_that_dies_before_it_joins(server, image):
    with Board(image, server.mqtts_port) as board:
        board.expect_log("radio: ready")
        board.do("radio_dead", dead=True)
        mark = board.mark()
        board.expect_log("radio: it (no longer answers|does not answer)", mark)
        board.do("radio_dead", dead=False)
        board.expect_log(CONNECTED, mark)


def test_readings_come_faster_than_a_silent_server_is_given_up(tmp_path, server):
    """A server that takes the connection and says nothing costs 30 s; at ten readings a second none may be lost."""
    image = make_image(tmp_path, server, "fast", "--interval", "100ms")
    port = server.mqtts_port
    server.stop()
    with socket.create_server(("127.0.0.1", port)) as silent_server, Board(image, port) as board:
        board.expect_log("tls: no answer in time")
        silent_server.close()
        with BoardServer(tmp_path, mqtts_port=port):
            _, match = board.expect_log(CONNECTED)
            assert int(match[1]) + int(match[2]) >= 300, match[0]
    server.start()


def test_a_policy_that_lets_connect_but_not_publish(server, image):
    iot = server.cloud.iot
    connect_only = {"Version": "2012-10-17",
                    "Statement": [{"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}]}
    policy = iot.list_policies()["policies"][0]["policyName"]
    iot.create_policy_version(policyName=policy, policyDocument=json.dumps(connect_only), setAsDefault=True)
    with Board(image, server.mqtts_port) as board:
        board.expect_log("mqtt: the server hung up at the first message: does its policy allow publishing to")
        assert board.expect_flashes(board.mark()) == [150] * 7


def test_more_readings_than_the_board_can_keep(tmp_path, server):
    """The oldest make room, and are counted."""
    image = make_image(tmp_path, server, "overflowing", "--interval", "100ms")
    with Board(image, server.mqtts_port) as board:
        board.expect_log(CONNECTED)
        mark, before = board.mark(), len(late(server))
        board.do("link_loss", for_ms=RING * 100 + 20_000)
        _, match = board.expect_log(CONNECTED, mark)
        waited, dropped = int(match[1]), int(match[2])
        assert RING <= waited <= RING + 8 and dropped >= 200, match[0]
        eventually(lambda: len(late(server)) >= before + RING - 1, lambda: f"late readings; there are {len(late(server))}",
                   ARRIVAL_S)
        measured = late(server)[before:]
        # The last ones of before may have been on their way when the link went.
        steps = [later - earlier for earlier, later in zip(measured, measured[1:])][-(RING - 2):]
        assert all(abs(step - 100) <= GRID_MS for step in steps), steps
        expect_live_reading(server)


@pytest.mark.parametrize("options, qos", [((), 1), (("--qos", "0"), 0)])
def test_the_qos_is_that_of_the_image(tmp_path, server, options, qos):
    watcher = server.cloud.device(tmp_path, "watcher")
    image = make_image(tmp_path, server, "publisher", "--topic", "room/temperature", *options)
    with Client.connected(server, watcher) as client, Board(image, server.mqtts_port) as board:
        client.subscribe("room/temperature", qos=1)
        board.expect_log(CONNECTED)
        for _ in range(3):
            topic, payload, found, _ = client.read_message(ARRIVAL_S)
            assert (topic, found) == ("room/temperature", qos) and "temp" in json.loads(payload)


def test_the_last_will_of_a_board_that_is_gone(tmp_path, server):
    watcher = server.cloud.device(tmp_path, "watcher")
    image = make_image(tmp_path, server, "mortal", "--will-topic", "boards/mortal")
    with Client.connected(server, watcher) as client, Board(image, server.mqtts_port) as board:
        client.subscribe("boards/mortal", qos=1)
        board.expect_log(CONNECTED)
        board.do("tcp_reset")
        assert client.read_message(ARRIVAL_S) == ("boards/mortal", b'{"online": false}', 1, False)


def test_a_program_that_crashes_tells_where_after_the_restart(server, image):
    with Board(image, server.mqtts_port) as board:
        board.expect_log(CONNECTED)
        mark = board.mark()
        board.do("crash")
        board.expect_log("the last run ended: fault at 0x[0-9a-f]{8}, called from 0x[0-9a-f]{8}", mark)
        board.expect_log(CONNECTED, mark)
        expect_live_reading(server)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_chain_like_that_of_aws(tmp_path, server, version):
    """Four RSA certificates, and an RSA key of the board: what TLS needs most memory for, again and again."""
    chain = AwsLikeChain(tmp_path / "aws", SERVER_NAME)
    image = make_image(tmp_path, server, "far", "--key", "rsa", "--ca", chain.root)
    keys = tmp_path / "far-keys"
    device = (keys / "certificate.pem.crt", keys / "private.pem.key")
    with Relay(chain, device, server, version) as relay, Board(image, relay.port) as board:
        peaks = []
        for _ in range(4):
            mark = board.mark()
            _, memory = board.expect_log(r"memory: heap (\d+) of (\d+) bytes at most", mark if peaks else 0)
            peaks.append(int(memory[1]))
            board.expect_log(CONNECTED, mark if peaks[1:] else 0)
            board.do("tcp_reset")
        assert relay.handshakes >= 4
        assert peaks[-1] == peaks[1], f"each connection needs more: {peaks}"
        assert peaks[-1] <= HEAP_MOST * int(memory[2]), peaks
        expect_live_reading(server)


def test_readings_go_on_while_the_board_computes_a_signature(tmp_path, server):
    """An RSA key signs for seconds in thread mode; radio, sensor and log live beside it."""
    image = make_image(tmp_path, server, "signer", "--key", "rsa", "--interval", "100ms")
    with Board(image, server.mqtts_port) as board:
        begun_ms, _ = board.expect_log("tcp: connecting")
        taken_ms, _ = board.expect_log("tls: handshake took")
        assert taken_ms - begun_ms > 2_000
        _, match = board.expect_log(CONNECTED)
        assert int(match[1]) >= (taken_ms - begun_ms) / 100 and match[2] == "0", match[0]
        # The youngest of them are live: they are less than a second old when their turn comes.
        expect_no_gap(server, int(match[1]) - 20, step_ms=100)


@pytest.mark.parametrize("algorithm", ["rsa", "p256"])
def test_a_key_in_the_form_that_tools_make_of_it(tmp_path, server, algorithm):
    """Keys of AWS and eyot are PKCS #1 and SEC 1; newer tools make PKCS #8 of either."""
    own = make_image(tmp_path, server, "converted", "--key", algorithm)
    der = tmp_path / "converted-keys" / "private.der"
    before = der.read_bytes()
    openssl("pkcs8", "-topk8", "-nocrypt", "-inform", "DER", "-in", der, "-outform", "DER", "-out", tmp_path / "pkcs8.der")
    der.write_bytes((tmp_path / "pkcs8.der").read_bytes())
    assert der.read_bytes() != before and before in flash_of(own)
    image = make_image(tmp_path, server, "converted", "--device-dir", "converted-keys")
    assert der.read_bytes() in flash_of(image)
    with Board(image, server.mqtts_port) as board:
        board.expect_log(CONNECTED)
        expect_live_reading(server)


def test_a_configuration_alone_leaves_the_firmware_as_it_is(tmp_path, server, image):
    only = make_image(tmp_path, server, "survivor", "--topic", "$aws/rules/telemetry/moved", firmware=None)
    with Board(image, server.mqtts_port, then=[only]) as board:
        board.expect_log(r"publishes to \$aws/rules/telemetry/moved")
        board.expect_log(CONNECTED)
        expect_live_reading(server)


def test_the_led_flashes_shortly_for_each_reading_that_the_server_has(server, image):
    with Board(image, server.mqtts_port) as board:
        board.expect_log(CONNECTED)
        expect_live_reading(server)
        edges = []

        def flashed(event):
            if event["event"] == "led":
                edges.append(event["at_ms"])
            return len(edges) >= 7 and edges

        board.expect("three flashes", flashed, board.mark())
        # Whichever edge came first: short ones and an interval's rest take turns.
        lasting = [round(later - earlier) for earlier, later in zip(edges[1:], edges[2:])]
        assert all(abs(short - 50) <= GRID_MS for short in lasting[lasting[0] > 1_000::2]), lasting
        assert all(abs(rest - 1_950) <= GRID_MS for rest in lasting[lasting[0] < 1_000::2]), lasting


def test_the_command_for_a_person_ends_after_so_many_readings():
    """`cargo xtask emulate`: server, image, emulated board and log group in one."""
    command = ["cargo", "xtask", "emulate", "--dummy-radio-firmware", "--key", "rsa", "--messages", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 readings went from the emulated board's sensor to the log group iot-core-telemetry" in done.stdout
    assert done.stdout.count('"device_id":"pico_w_emulated"') >= 2
