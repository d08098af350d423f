"""A web page must not be able to drive a server on localhost: signatures, Host, Origin. Raw HTTP, as a browser sends it."""

import json

import pytest

from support.http import send, signed

KEYS = "/keys-and-certificate?setAsActive=true"


@pytest.fixture
def unchanged(cloud):
    """Whatever the test sends: no certificate may come of it."""
    before = cloud.iot.list_certificates()["certificates"]
    yield
    assert cloud.iot.list_certificates()["certificates"] == before


def test_a_signed_request_creates_keys(server, cloud):
    """The control: without it the refusals below would prove nothing."""
    status, _, body = send(server, KEYS, signed(server, KEYS))
    assert status == 200 and json.loads(body)["keyPair"]["PrivateKey"]


def test_an_unsigned_request(server, unchanged):
    status, headers, body = send(server, KEYS, {"Host": server.ready["api"]})
    assert status in (401, 403), body
    assert json.loads(body)["message"]
    assert b"PRIVATE KEY" not in body
    assert "x-amzn-errortype" in {key.lower() for key in headers}


@pytest.mark.parametrize("authorization", [
    "Bearer token", "Basic cGFnZTpzZWNyZXQ=", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=a, Signature=b",
    "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/iot/aws4_request, SignedHeaders=host", "",
])
def test_a_malformed_signature(server, unchanged, authorization):
    status, _, body = send(server, KEYS, {"Host": server.ready["api"], "Authorization": authorization})
    assert status in (400, 401, 403) and b"PRIVATE KEY" not in body


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}",
                                  "localhost.evil.example", "169.254.169.254:{port}", "[::ffff:10.0.0.1]:{port}"])
def test_dns_rebinding(server, unchanged, host):
    """A foreign name that resolves to 127.0.0.1: the Host header gives it away. 421, however well it is signed."""
    host = host.format(port=server.api_port)
    status, _, body = send(server, KEYS, signed(server, KEYS, host=host))
    assert status == 421, body


def test_no_host_at_all(server, unchanged):
    headers = signed(server, KEYS)
    del headers["Host"]
    status, _, _ = send(server, KEYS, headers)
    assert status in (400, 421)


@pytest.mark.parametrize("host", ["localhost", "localhost:{port}", "127.0.0.1", "127.0.0.1:{port}", "[::1]:{port}", "LOCALHOST:{port}"])
def test_loopback_names_are_served(server, host):
    host = host.format(port=server.api_port)
    status, _, body = send(server, "/things", signed(server, "/things", "GET", host=host), "GET")
    assert status == 200, body


@pytest.mark.parametrize("origin", ["http://evil.example", "https://localhost.evil.example", "null", "http://localhost:1"])
def test_a_page_on_another_origin(server, unchanged, origin):
    status, headers, body = send(server, KEYS, signed(server, KEYS) | {"Origin": origin})
    assert status == 403, body
    assert "access-control-allow-origin" not in {key.lower() for key in headers}


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_cross_site_request_without_origin(server, unchanged, site):
    """A form or an image: browsers tell in Sec-Fetch-Site."""
    headers = signed(server, KEYS) | {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    status, _, body = send(server, KEYS, headers)
    assert status == 403, body


def test_a_preflight_grants_nothing(server, unchanged):
    headers = {"Host": server.ready["api"], "Origin": "http://evil.example", "Access-Control-Request-Method": "POST",
               "Access-Control-Request-Headers": "authorization,x-amz-date"}
    status, answered, _ = send(server, KEYS, headers, "OPTIONS")
    assert status >= 400
    assert not [key for key in answered if key.lower().startswith("access-control-")]


def test_health_needs_no_signature(server):
    assert send(server, "/_eyot/health", {"Host": server.ready["api"]}, "GET")[0] == 200


def test_a_signature_for_another_region_is_served(server):
    assert send(server, "/things", signed(server, "/things", "GET", region="eu-central-1"), "GET")[0] == 200
