"""The other commands: provision, keys to-der, device, logs tail, sql eval, doctor."""

import json
import re
import subprocess

import pytest

from support.cloud import GROUP
from support.openssl import openssl
from support.server import BINARY, clean_environment


def eyot(*arguments, code=0, text_in=None):
    done = subprocess.run([BINARY, *map(str, arguments)], input=text_in, capture_output=True, text=True, timeout=60,
                          env=clean_environment(NO_COLOR="1"), stdin=None if text_in is not None else subprocess.DEVNULL)
    assert done.returncode == code, f"eyot {arguments} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout if code == 0 else done.stderr


FILES = ["certificate.der", "certificate.pem.crt", "connection.json", "private.der", "private.pem.key", "public.pem.key",
         "root-ca.der", "root-ca.pem"]


@pytest.mark.parametrize("key_type", ["rsa", "p256"])
def test_provision_device_and_tail(server, cloud, tmp_path, name, key_type):
    """One command makes what the post makes by hand; the simulated Pico W runs with it."""
    if key_type == "rsa":
        cloud.telemetry_rule()
    out = tmp_path / "keys"
    eyot("provision", name, "--out", out, "--key-type", key_type, "--endpoint-url", server.api_url)
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert (out / "private.pem.key").stat().st_mode & 0o077 == 0 and (out / "private.der").stat().st_mode & 0o077 == 0
    openssl("verify", "-CAfile", out / "root-ca.pem", out / "certificate.pem.crt")
    public = openssl("pkey", "-inform", "DER", "-in", out / "private.der", "-pubout")
    assert public == openssl("x509", "-inform", "DER", "-in", out / "certificate.der", "-noout", "-pubkey")
    assert json.loads((out / "connection.json").read_text())
    assert cloud.iot.list_thing_principals(thingName=name)["principals"]
    since = len(cloud.messages())
    eyot("device", name, "--keys", out, "--endpoint", f"localhost:{server.mqtts_port}", "--interval", "50ms", "--count", 3)
    messages = cloud.wait_for_messages(since + 3)[since:]
    assert all(re.fullmatch(r'\{"temp":-?\d+(\.\d+)?,"device_id":"%s","received_at":\d{13}\}' % re.escape(name), message)
               for message in messages), messages
    tail = eyot("logs", "tail", GROUP, "--endpoint-url", server.api_url)
    assert messages[-1] in tail


def test_keys_to_der_makes_what_openssl_makes(cloud, tmp_path, name):
    device = cloud.certificate(tmp_path, name)
    certificate, key = device.to_der()
    expected = certificate.read_bytes(), key.read_bytes()
    out = tmp_path / "der"
    eyot("keys", "to-der", device.certificate, device.key, "--out", out)
    made = [path.read_bytes() for path in out.iterdir()]
    assert sorted(made) == sorted(expected)


def test_keys_to_der_of_what_is_no_key(tmp_path):
    (tmp_path / "x").write_text("nonsense")
    assert "x" in eyot("keys", "to-der", tmp_path / "x", tmp_path / "x", code=1)


def test_sql_eval():
    printed = eyot("sql", "eval", "--sql", "SELECT *, topic() as device_id FROM 'a/b'", "--topic", "a/b", "--payload", '{"temp": 27.50}')
    assert '{"temp":27.50,"device_id":"a/b"}' in printed
    refused = eyot("sql", "eval", "--sql", "SELECT FROM", "--payload", "{}", code=1)
    assert refused.strip()


def test_sql_eval_batch():
    lines = [
        {"id": "a", "kind": "sql", "sql": "SELECT temp FROM 't' WHERE temp > 20", "topic": "t", "payload": {"temp": 21}},
        {"id": "b", "kind": "sql", "sql": "SELECT temp FROM 't' WHERE temp > 20", "topic": "t", "payload": {"temp": 1}},
        {"id": "c", "kind": "parse_error", "sql": "SELEC", "topic": "t", "payload": {}},
    ]
    printed = eyot("sql", "eval", "--batch", text_in="".join(json.dumps(line) + "\n" for line in lines))
    answers = [json.loads(line) for line in printed.splitlines()]
    assert [(answer["id"], answer["outcome"]) for answer in answers] == [("a", "value"), ("b", "no_output"), ("c", "parse_error")]
    assert json.loads(answers[0]["text"]) == {"temp": 21}


def test_doctor(server):
    printed = eyot("doctor", "--data-dir", server.data_dir)
    assert printed.strip()


def test_help_and_usage():
    for command in ([], ["serve"], ["demo"], ["provision"], ["device"], ["logs", "tail"], ["sql", "eval"], ["doctor"], ["keys", "to-der"]):
        assert "Usage" in eyot(*command, "--help")
    eyot("serve", "--no-such-flag", code=2)
    eyot("no-such-command", code=2)


def test_a_port_in_use_is_named(server, tmp_path):
    text = eyot("serve", "--data-dir", tmp_path, "--mqtts-port", server.mqtts_port, "--api-port", 0, code=1)
    assert str(server.mqtts_port) in text
