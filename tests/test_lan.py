"""`serve --lan`: a board on the network reaches the server and can verify it; the API stays on loopback."""

import json
import re
import socket
import ssl
import subprocess

import pytest

from support import mqtt
from support.cloud import Cloud
from support.http import send, signed
from support.openssl import openssl
from support.server import Server
from support.waiting import DEADLINE_S


KEYS = "/keys-and-certificate?setAsActive=true"


def own_addresses():
    """This machine's IPv4 addresses other than loopback, from the kernel."""
    listed = json.loads(subprocess.run(["ip", "-j", "-4", "addr"], capture_output=True, text=True, check=True).stdout)
    return [info["local"] for link in listed for info in link["addr_info"] if not info["local"].startswith("127.")]


@pytest.fixture(scope="module")
def lan(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("lan"), "--lan") as server:
        yield server


@pytest.fixture(scope="module")
def device(lan, tmp_path_factory):
    return Cloud(lan.api_url).device(tmp_path_factory.mktemp("keys"), "board")


@pytest.fixture(scope="module")
def address():
    found = own_addresses()
    assert found, "this machine has no address but loopback: nothing to test --lan with"
    return found[0]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["tls12", "tls13"])
def test_a_device_reaches_it_by_address_and_verifies_it(lan, device, address, version):
    context = mqtt.tls_context(device, version, ca=lan.ca_path)
    assert context.check_hostname and context.verify_mode == ssl.CERT_REQUIRED
    with mqtt.Client(lan, context, server_name=address, address=(address, lan.mqtts_port)) as client:
        client.send(mqtt.connect(device.name))
        assert client.read_exactly(4) == b"\x20\x02\x00\x00"
        client.publish_qos1("from/the/lan", "x")
        client.disconnect()


@pytest.mark.parametrize("kind", ["ECDSA", "RSA"])
def test_openssl_verifies_both_server_certificates(lan, device, address, kind):
    printed = openssl(
        "s_client", "-connect", f"{address}:{lan.mqtts_port}", "-CAfile", lan.ca_path, "-verify_return_error", "-tls1_2",
        "-verify_ip", address, "-cipher", f"ECDHE-{kind}-AES128-GCM-SHA256", "-cert", device.certificate, "-key", device.key, text_in=b"")
    assert "Verification: OK" in printed and "Verify return code: 0 (ok)" in printed
    assert f"Cipher is ECDHE-{kind}-AES128-GCM-SHA256" in printed


def test_the_certificate_names_host_and_localhost(lan, device):
    text = served_certificate(lan, device).lower()
    assert "dns:localhost" in text and f"dns:{socket.gethostname().split('.')[0].lower()}.local" in text
    for address in own_addresses():
        assert f"ip address:{address}" in text


def served_certificate(lan, device):
    with mqtt.Client(lan, mqtt.tls_context(device)) as client:
        der = client.socket.getpeercert(binary_form=True)
    done = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-text"], input=der, capture_output=True, timeout=20)
    return done.stdout.decode()


def test_the_api_is_not_on_the_network(lan, address):
    with pytest.raises(OSError):
        socket.create_connection((address, lan.api_port), timeout=DEADLINE_S).close()


def test_a_page_cannot_use_a_name_that_the_network_answers_for(lan, address):
    """`HOSTNAME.local` is in the certificate, for devices; on the API's loopback it is a page that was rebound."""
    host = socket.gethostname().split(".")[0]
    for name in (f"{host}.local", host, address):
        origin = f"{name}:{lan.api_port}"
        headers = signed(lan, KEYS, host=origin) | {"Origin": f"http://{origin}", "Sec-Fetch-Site": "same-origin"}
        status, _, body = send(lan, KEYS, headers)
        assert status == 421 and b"PRIVATE KEY" not in body, (name, body)


def test_it_says_what_a_board_needs(lan, address):
    assert re.search(re.escape(address), lan.log())


def test_without_lan_the_devices_port_is_on_loopback_alone(server, address):
    with pytest.raises(OSError):
        socket.create_connection((address, server.mqtts_port), timeout=DEADLINE_S).close()


def test_names_may_change_under_the_same_ca(tmp_path):
    """Another name is asked for: the server certificate is made anew, the CA and so every device's trust stay."""
    with Server(tmp_path) as server:
        ca = open(server.ca_path).read()
    with Server(tmp_path, "--advertise", "cloud.example") as server:
        assert open(server.ca_path).read() == ca
        cloud = Cloud(server.api_url)
        assert cloud.iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"] == "cloud.example"
        device = cloud.device(tmp_path / "keys", "board")
        with mqtt.Client(server, mqtt.tls_context(device, ca=server.ca_path), server_name="cloud.example") as client:
            client.send(mqtt.connect("board"))
            assert client.read_exactly(4) == b"\x20\x02\x00\x00"
