"""HTTP as bytes of our own choosing, signed or not: what a browser or an attacker sends, boto3 would not."""

import http.client
import json
import socket
import struct

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .server import REGION
from .waiting import DEADLINE_S


def signed(server, path, method="POST", body=b"", service="iot", host=None, region=REGION):
    """Headers of a well-formed SigV4 request."""
    host = host or server.ready["api"]
    request = AWSRequest(method, f"http://{host}{path}", data=body, headers={"Host": host})
    SigV4Auth(Credentials("page", "secret"), service, region).add_auth(request)
    return dict(request.headers)


def send(server, path, headers, method="POST", body=b""):
    connection = http.client.HTTPConnection("127.0.0.1", server.api_port, timeout=DEADLINE_S)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for key, value in headers.items():
            connection.putheader(key, value)
        if "Content-Length" not in headers:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def send_and_hang_up(server, path, method="POST", body=b"", reset=False):
    """Sends a signed request whole and closes at once: the answer finds nobody. `reset`: abruptly, as a killed machine does."""
    with socket.create_connection(("127.0.0.1", server.api_port), DEADLINE_S) as tcp:
        if reset:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        tcp.sendall(as_bytes(path, signed(server, path, method, body), method, body))


def logs_request(server, operation, **parameters):
    """Headers and body of a call of CloudWatch Logs."""
    body = json.dumps(parameters).encode()
    headers = signed(server, "/", body=body, service="logs")
    headers |= {"X-Amz-Target": f"Logs_20140328.{operation}", "Content-Type": "application/x-amz-json-1.1"}
    return headers, body


def as_bytes(path, headers, method="POST", body=b""):
    """A request as it goes over the wire, for who sends it without reading."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items()), f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body
