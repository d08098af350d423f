"""The post, step by step, with boto3; then a device that sends what the Pico W's `umqtt.simple` sends, byte for byte."""

import json
import re
import socket
import ssl
import time

from support.cloud import ALLOW_ALL, GROUP, POST_SQL, ROLE, Device, arn
from support.mqtt import DEADLINE_S
from support.openssl import openssl

THING = "pico_w_simple"
# A reading as the device writes it, and as the log must show it. What is only copied keeps its text: 27.50 does not become
# 27.5, nor -3.0e1 become -30. Whole decimals are the exception that SQL 2016-03-23, the post's version, makes: they are Ints.
# MicroPython prints 27.0 for a whole float, so the post's own board meets it. See docs/spec/sql-decisions.md, "Whole decimals".
READINGS = {"27.51254": "27.51254", "26.10776": "26.10776", "27.50": "27.50", "-3.0e1": "-3.0e1", "28": "28", "27.0": "27"}


def test_the_posts_flow(server, cloud, tmp_path):
    device = provision(cloud, tmp_path)
    certificate, key = device.to_der()
    before = int(time.time() * 1000)
    run_umqtt_device(server, certificate, key, READINGS)
    messages = cloud.wait_for_messages(len(READINGS))
    after = int(time.time() * 1000)

    assert len(messages) == len(READINGS)
    for message, logged in zip(messages, READINGS.values()):
        # Exactly this text: the keys in this order, nothing else, the number to the letter.
        exact = re.fullmatch(r'\{"temp":(\S+),"device_id":"pico_w_simple","received_at":(\d{13})\}', message)
        assert exact, message
        assert exact[1] == logged
        assert before - 1000 <= int(exact[2]) <= after + 1000
        assert list(json.loads(message)) == ["temp", "device_id", "received_at"]

    events = cloud.logs.filter_log_events(logGroupName=GROUP)["events"]
    assert len({event["eventId"] for event in events}) == len(events), "event ids must be unique"
    streams = cloud.logs.describe_log_streams(logGroupName=GROUP)["logStreams"]
    assert {event["logStreamName"] for event in events} <= {stream["logStreamName"] for stream in streams}
    read_back = [
        event["message"]
        for stream in streams
        for event in cloud.logs.get_log_events(
            logGroupName=GROUP, logStreamName=stream["logStreamName"], startFromHead=True
        )["events"]
    ]
    assert sorted(read_back) == sorted(messages)


def provision(cloud, tmp_path):
    """Every step of the post, in its order, each answer looked at."""
    thing = cloud.iot.create_thing(thingName=THING)
    assert thing["thingArn"] == arn("thing", THING)

    # "with a unnamed shadow (classic)"
    cloud.data.update_thing_shadow(thingName=THING, payload=b'{"state":{"reported":{"connected":false}}}')
    shadow = json.loads(cloud.data.get_thing_shadow(thingName=THING)["payload"].read())
    assert shadow["state"] == {"reported": {"connected": False}} and shadow["version"] == 1

    # "Auto-generate a new certificate"
    answer = cloud.iot.create_keys_and_certificate(setAsActive=True)
    files = {
        "certificate.pem.crt": answer["certificatePem"],
        "private.pem.key": answer["keyPair"]["PrivateKey"],
        "public.pem.key": answer["keyPair"]["PublicKey"],
    }
    directory = tmp_path / "keys"
    directory.mkdir()
    for file, text in files.items():
        (directory / file).write_text(text)
    assert answer["keyPair"]["PrivateKey"].startswith("-----BEGIN RSA PRIVATE KEY-----\n")  # PKCS#1
    assert answer["keyPair"]["PublicKey"].startswith("-----BEGIN PUBLIC KEY-----\n")  # SPKI
    device = Device(THING, directory, answer["certificateArn"], answer["certificateId"])
    check_with_openssl(device)

    cloud.iot.create_policy(policyName="pico_w_policy", policyDocument=json.dumps(ALLOW_ALL))
    cloud.iot.attach_policy(policyName="pico_w_policy", target=device.arn)
    cloud.iot.attach_thing_principal(thingName=THING, principal=device.arn)
    assert cloud.iot.list_thing_principals(thingName=THING)["principals"] == [device.arn]
    attached = cloud.iot.list_attached_policies(target=device.arn)["policies"]
    assert [policy["policyName"] for policy in attached] == ["pico_w_policy"]

    endpoint = cloud.iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"]
    assert re.fullmatch(r"[A-Za-z0-9.-]+", endpoint), "SDKs append the port themselves: the host alone"

    cloud.logs.create_log_group(logGroupName=GROUP)
    cloud.iot.create_topic_rule(
        ruleName="telemetry",
        topicRulePayload={
            "sql": POST_SQL,  # no FROM: the device names the rule in its topic (basic ingest)
            "description": "as in the post",
            "awsIotSqlVersion": "2016-03-23",
            "ruleDisabled": False,
            "actions": [{"cloudwatchLogs": {"logGroupName": GROUP, "roleArn": ROLE}}],
        },
    )
    rule = cloud.iot.get_topic_rule(ruleName="telemetry")["rule"]
    assert rule["sql"] == POST_SQL and rule["actions"][0]["cloudwatchLogs"]["logGroupName"] == GROUP
    return device


def check_with_openssl(device):
    """What openssl thinks of the three files."""
    text = openssl("x509", "-in", device.certificate, "-noout", "-text")
    assert "CN = AWS IoT Certificate" in text and "Public-Key: (2048 bit)" in text
    assert re.search(r"Not After : Dec 31 23:59:59 2049 GMT", text), text
    fingerprint = openssl("x509", "-in", device.certificate, "-noout", "-fingerprint", "-sha256")
    assert fingerprint.strip().rpartition("=")[2].replace(":", "").lower() == device.certificate_id
    public = openssl("pkey", "-in", device.key, "-pubout")
    assert public == (device.directory / "public.pem.key").read_text()
    assert public == openssl("x509", "-in", device.certificate, "-noout", "-pubkey")


def run_umqtt_device(server, certificate_der, key_der, readings):
    """The board: TLS 1.2, no SNI, server not verified, and the writes of `umqtt/simple.py` one by one.

    Each `write` of umqtt is a TLS record of its own, so the server sees CONNECT and PUBLISH in pieces.
    """
    board = umqtt_socket(server, certificate_der, key_der)
    # connect(): a fixed header whose length counts 10 bytes of variable header and the client id with its length;
    # the first of the two length bytes of "MQTT" belongs to umqtt's premsg.
    board.sendall(bytes([0x10, 12 + len(THING)]) + b"\x00")
    # \x04MQTT, level 4, flags 0x02 (clean session), keep alive 10000 = 0x2710 (AWS and we treat it as 1200).
    board.sendall(b"\x04MQTT\x04\x02\x27\x10")
    board.sendall(len(THING).to_bytes(2, "big"))
    board.sendall(THING.encode())
    # resp = self.sock.read(4): exactly a CONNACK, and nothing may come with it.
    assert board.recv(16) == b"\x20\x02\x00\x00"
    topic = b"$aws/rules/telemetry/" + THING.encode()
    for reading in readings:
        payload = b'{"temp": ' + reading.encode() + b"}"
        # publish(): QoS 0, no packet id. umqtt never reads again and never pings.
        board.sendall(bytes([0x30, 2 + len(topic) + len(payload)]))
        board.sendall(len(topic).to_bytes(2, "big"))
        board.sendall(topic)
        board.sendall(payload)
    # The board is switched off: no DISCONNECT. What it sent has been sent.
    board.close()


def umqtt_socket(server, certificate_der, key_der):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    # Python takes PEM files only: these are the DER files again, so a wrong conversion would not load.
    pem = certificate_der.parent / "from-der.pem"
    pem.write_text(
        openssl("x509", "-inform", "DER", "-in", certificate_der)
        + openssl("pkey", "-inform", "DER", "-in", key_der)
    )
    context.load_cert_chain(pem)
    tcp = socket.create_connection(("127.0.0.1", server.mqtts_port), timeout=DEADLINE_S)
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # No server_hostname: the ClientHello carries no server_name extension.
    return context.wrap_socket(tcp)
