"""A board that makes the post's calls with the post's parameters, on real MicroPython with real umqtt.simple."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.cloud import GROUP, Cloud, openssl
from support.server import Server

BOARD = Path(__file__).parent / "board"
# main.py names port 8883; on an address of our own nobody else holds it.
ADDRESS = "127.88.83.1"
SETTINGS = {
    'ACCESS_POINT = ""': 'ACCESS_POINT = "home"',
    'PASSWORD = ""': 'PASSWORD = "secret"',
    'AWS_ENDPOINT = b""': f'AWS_ENDPOINT = b"{ADDRESS}"',
}


@pytest.fixture(scope="module")
def umqtt(tmp_path_factory):
    """`umqtt/simple.py` of the post's time (it still takes `ssl_params`), from PyPI.

    The package is a MicroPython one: pip fetches and unpacks it but cannot install it, which is all we need.
    """
    folder = tmp_path_factory.mktemp("umqtt")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-clean", "--no-binary", ":all:",
               "--dest", folder, "micropython-umqtt.simple==1.3.4"]
    done = subprocess.run(command, env=os.environ | {"TMPDIR": str(folder)}, capture_output=True, text=True, timeout=120)
    found = list(folder.glob("**/umqtt/simple.py"))
    assert found, f"pip did not bring umqtt.simple: {done.stderr}"
    assert "ussl.wrap_socket(self.sock, **self.ssl_params)" in found[0].read_text()
    return found[0]


@pytest.fixture
def server(tmp_path):
    with Server(tmp_path, "--device-host", ADDRESS, mqtts_port=8883) as server:
        yield server


def test_a_board_that_does_what_the_post_does(server, tmp_path, umqtt):
    cloud = Cloud(server.api_url)
    device = cloud.device(tmp_path / "provisioned", "pico_w_simple")
    cloud.telemetry_rule()
    board = put_on_the_board(tmp_path / "board", device, umqtt)
    micropython = Path(sys.executable).parent / "micropython"
    running = subprocess.Popen([micropython, board / "boot.py", board],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        printed = [line for line in (running.stdout.readline() for _ in range(4)) if line]
        assert printed[0].startswith("WiFi connecting: ") and "connected" in printed[0], printed
        payloads = [re.fullmatch(r"b'\{\"temp\": (\S+)\}'\n", line) for line in printed[1:]]
        assert len(payloads) == 3 and all(payloads), printed
        messages = cloud.wait_for_messages(3, GROUP)
        for payload, message in zip(payloads, messages):
            assert re.fullmatch(r'\{"temp":%s,"device_id":"pico_w_simple","received_at":\d{13}\}' % re.escape(payload[1]), message)
    finally:
        running.kill()
        running.wait()


# Behind the README's SSLContext: what umqtt.simple's connect() does with it, and the CONNACK.
CONNECT_WITH_CONTEXT = """
import socket
sock = socket.socket()
sock.connect(socket.getaddrinfo("{host}", {port})[0][-1])
sock = context.wrap_socket(sock, server_hostname="localhost")
sock.write(b"\\x10\\x19\\0\\x04MQTT\\x04\\x02\\x27\\x10\\0\\x0dpico_w_simple")
print(sock.read(4))
"""


@pytest.mark.parametrize("verify", [False, True])
def test_the_readmes_ssl_context(server, tmp_path, verify):
    """The README's lines for newer MicroPython, with and without the one that has the board verify the server."""
    keys = tmp_path / "keys"
    keys.mkdir()
    device = Cloud(server.api_url).device(tmp_path / "provisioned", "pico_w_simple")
    for made in device.to_der():
        shutil.copy(made, keys)
    openssl("x509", "-in", server.ca_path, "-outform", "DER", "-out", keys / "root-ca.der")
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    program = re.search(r"```python\n(import ssl\n.*?)mqtt = MQTTClient", readme, re.S)[1]
    assert program.count("# context.") == 1
    if verify:
        program = program.replace("# context.", "context.")
    program = program.replace("/keys/", f"{tmp_path}/keys/")
    program += CONNECT_WITH_CONTEXT.format(host=ADDRESS, port=8883)
    (tmp_path / "board.py").write_text(program)
    micropython = Path(sys.executable).parent / "micropython"
    done = subprocess.run([micropython, tmp_path / "board.py"], capture_output=True, text=True, timeout=60)
    assert done.stdout == "b' \\x02\\x00\\x00'\n", done


def put_on_the_board(board, device, umqtt):
    """The files as the post lists them: keys/, main.py, umqtt/."""
    shutil.copytree(BOARD, board)
    (board / "umqtt").mkdir()
    shutil.copy(umqtt, board / "umqtt/simple.py")
    (board / "keys").mkdir()
    for made, file in zip(device.to_der(), ("certificate.der", "private.der")):
        shutil.copy(made, board / "keys" / file)
    program = (BOARD / "main.py").read_text()
    for placeholder, value in SETTINGS.items():
        assert program.count(placeholder) == 1, placeholder
        program = program.replace(placeholder, value)
    (board / "main.py").write_text(program)
    return board
