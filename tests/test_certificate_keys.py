"""Foreign certificates: which keys are taken, and that a client with such a key gets in."""

import re

import pytest

from support.cloud import Device, refused
from support.mqtt import Client
from support.openssl import openssl

KEYS = {
    "rsa-2048": ("-newkey", "rsa:2048"),
    "rsa-3072": ("-newkey", "rsa:3072"),
    "p256": ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "p384": ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"),
}
WEAK = {
    "rsa-1024": ("-newkey", "rsa:1024"),
    "secp256k1": ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"),
    "ed25519": ("-newkey", "ed25519"),
}


def self_signed(directory, options):
    directory.mkdir(exist_ok=True)
    openssl("req", "-x509", *options, "-nodes", "-days", "1", "-subj", "/CN=own",
            "-keyout", directory / "private.pem.key", "-out", directory / "certificate.pem.crt")
    return (directory / "certificate.pem.crt").read_text()


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_that_can_connect(server, cloud, tmp_path, name, kind):
    pem = self_signed(tmp_path / name, KEYS[kind])
    answer = cloud.iot.register_certificate_without_ca(certificatePem=pem, status="ACTIVE")
    cloud.iot.create_policy(policyName=name, policyDocument=ALLOW)
    cloud.iot.attach_policy(policyName=name, target=answer["certificateArn"])
    with Client.connected(server, Device(name, tmp_path / name, answer["certificateArn"], answer["certificateId"])) as client:
        client.publish_qos1("a", "b")


ALLOW = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}'


@pytest.mark.parametrize("kind", WEAK)
def test_a_key_that_cannot(cloud, tmp_path, name, kind):
    pem = self_signed(tmp_path / name, WEAK[kind])
    refused("CertificateValidationException", 400, cloud.iot.register_certificate_without_ca, certificatePem=pem,
            text=re.compile("no client can connect with its key"))
