"""Certificates: made with keys, from a CSR, registered; described, listed, changed, deleted."""

import re

import pytest

from support.cloud import Device, arn, pages, refused
from support.mqtt import Client
from support.openssl import openssl
from support.server import ACCOUNT

MISSING = "ResourceNotFoundException", 404
NOBODY = "0" * 64


def status(cloud, certificate_id):
    return cloud.iot.describe_certificate(certificateId=certificate_id)["certificateDescription"]["status"]


def request(directory, name, *key):
    """A CSR made by openssl; its key stays in the directory."""
    directory.mkdir(exist_ok=True)
    out, key_file = directory / f"{name}.csr", directory / "private.pem.key"
    openssl("req", "-new", "-nodes", "-subj", f"/CN={name}/O=Eyot", *key, "-keyout", key_file, "-out", out)
    return out.read_text()


def test_create_keys_and_certificate_is_inactive_unless_asked(cloud):
    created = cloud.iot.create_keys_and_certificate()
    assert status(cloud, created["certificateId"]) == "INACTIVE"
    assert created["certificateArn"] == arn("cert", created["certificateId"])
    other = cloud.iot.create_keys_and_certificate(setAsActive=True)
    assert status(cloud, other["certificateId"]) == "ACTIVE"
    assert other["certificateId"] != created["certificateId"]
    assert other["keyPair"]["PrivateKey"] != created["keyPair"]["PrivateKey"]


def test_describe(cloud):
    created = cloud.iot.create_keys_and_certificate(setAsActive=True)
    described = cloud.iot.describe_certificate(certificateId=created["certificateId"])["certificateDescription"]
    assert described["certificateArn"] == created["certificateArn"]
    assert described["certificatePem"] == created["certificatePem"]
    assert described["ownedBy"] == ACCOUNT and described["certificateMode"] == "DEFAULT"
    assert described["validity"]["notAfter"].year in (2049, 2050)
    assert described["validity"]["notBefore"] <= described["creationDate"] <= described["lastModifiedDate"]
    refused(*MISSING, cloud.iot.describe_certificate, certificateId=NOBODY)
    refused("InvalidRequestException", 400, cloud.loose_iot.describe_certificate, certificateId="short")


@pytest.mark.parametrize("key", [
    ("-newkey", "rsa:2048"), ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
    ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"),
], ids=["rsa-2048", "p-256", "p-384"])
def test_a_certificate_from_a_csr_connects(cloud, server, tmp_path, name, key):
    csr = request(tmp_path / name, name, *key)
    created = cloud.iot.create_certificate_from_csr(certificateSigningRequest=csr, setAsActive=True)
    (tmp_path / name / "certificate.pem.crt").write_text(created["certificatePem"])
    device = Device(name, tmp_path / name, created["certificateArn"], created["certificateId"])
    assert openssl("x509", "-in", device.certificate, "-noout", "-pubkey") == openssl("pkey", "-in", device.key, "-pubout")
    assert "CN = AWS IoT Certificate" in openssl("x509", "-in", device.certificate, "-noout", "-subject")
    again = cloud.iot.create_certificate_from_csr(certificateSigningRequest=csr)
    assert again["certificateId"] != created["certificateId"], "every call makes a new certificate"
    assert status(cloud, again["certificateId"]) == "INACTIVE"
    cloud.iot.create_policy(policyName=name, policyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}')
    cloud.iot.attach_policy(policyName=name, target=created["certificateArn"])
    Client.connected(server, device).disconnect()


@pytest.mark.parametrize("csr", [
    "nonsense", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
    "-----BEGIN CERTIFICATE REQUEST-----\n", "\0",
])
def test_a_bad_csr(cloud, csr):
    refused("InvalidRequestException", 400, cloud.iot.create_certificate_from_csr, certificateSigningRequest=csr)


def test_a_csr_whose_signature_does_not_fit(cloud, tmp_path, name):
    csr = request(tmp_path / name, name, "-newkey", "rsa:2048")
    lines = csr.splitlines()
    line = lines[-3]
    lines[-3] = line[:10] + ("A" if line[10] != "A" else "B") + line[11:]  # inside the signature, at the end
    refused("InvalidRequestException", 400, cloud.iot.create_certificate_from_csr, certificateSigningRequest="\n".join(lines) + "\n")


def test_a_csr_with_a_weak_key(cloud, tmp_path, name):
    csr = request(tmp_path / name, name, "-newkey", "rsa:1024")
    refused("InvalidRequestException", 400, cloud.iot.create_certificate_from_csr, certificateSigningRequest=csr)


def test_register_without_ca(cloud, server, tmp_path, name):
    directory = tmp_path / name
    directory.mkdir()
    certificate, key = directory / "certificate.pem.crt", directory / "private.pem.key"
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=foreign", "-days", "10", "-out", certificate, "-keyout", key)
    pem = certificate.read_text()
    registered = cloud.iot.register_certificate_without_ca(certificatePem=pem)
    assert registered["certificateArn"] == arn("cert", registered["certificateId"])
    fingerprint = openssl("x509", "-in", certificate, "-noout", "-fingerprint", "-sha256").strip()
    assert fingerprint.rpartition("=")[2].replace(":", "").lower() == registered["certificateId"]
    described = cloud.iot.describe_certificate(certificateId=registered["certificateId"])["certificateDescription"]
    assert (described["status"], described["certificateMode"]) == ("INACTIVE", "SNI_ONLY")
    conflict = refused("ResourceAlreadyExistsException", 409, cloud.iot.register_certificate_without_ca, certificatePem=pem,
                       text=re.compile("already provisioned or registered"))
    assert conflict["resourceArn"] == registered["certificateArn"]
    # A foreign certificate is as good as ours once it is ACTIVE and has a policy.
    cloud.iot.update_certificate(certificateId=registered["certificateId"], newStatus="ACTIVE")
    cloud.iot.create_policy(policyName=name, policyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}')
    cloud.iot.attach_policy(policyName=name, target=registered["certificateArn"])
    Client.connected(server, Device(name, directory, registered["certificateArn"], registered["certificateId"])).disconnect()


def test_register_what_is_no_certificate(cloud):
    for pem in ("nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        for call in (cloud.iot.register_certificate, cloud.iot.register_certificate_without_ca):
            refused("CertificateValidationException", 400, call, certificatePem=pem, text=re.compile("^The certificate is invalid: "))


@pytest.fixture
def foreign_pem(tmp_path):
    """A certificate that is not ours, as text."""
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-days", "10",
            "-out", tmp_path / "c", "-keyout", tmp_path / "k")
    return (tmp_path / "c").read_text()


@pytest.mark.parametrize("pending", ["PENDING_ACTIVATION", "PENDING_TRANSFER"])
@pytest.mark.parametrize("operation", ["register_certificate", "register_certificate_without_ca"])
def test_register_as_pending(cloud, foreign_pem, operation, pending):
    """The text was measured on AWS for PENDING_ACTIVATION, with both operations."""
    refused("CertificateStateException", 406, getattr(cloud.iot, operation), certificatePem=foreign_pem, status=pending,
            text=f"Not allowed to register certificate with {pending} status")
    cloud.iot.register_certificate_without_ca(certificatePem=foreign_pem)  # the refusal has left nothing behind


@pytest.mark.parametrize("wanted", [{}, {"status": "ACTIVE"}, {"status": "INACTIVE"}, {"setAsActive": True}],
                         ids=["default", "active", "inactive", "set-as-active"])
def test_register_with_an_unknown_ca(cloud, foreign_pem, wanted):
    """RegisterCertificate wants a CA that is registered; CAs come later, so none is."""
    text = ("The CA certificate is not registered. Registering CA certificates is not available yet; "
            "RegisterCertificateWithoutCA takes certificates of any authority")
    for ca in ({}, {"caCertificatePem": foreign_pem}):
        refused("CertificateValidationException", 400, cloud.iot.register_certificate, certificatePem=foreign_pem, text=text,
                **wanted, **ca)
    registered = cloud.iot.register_certificate_without_ca(certificatePem=foreign_pem)
    assert status(cloud, registered["certificateId"]) == "INACTIVE"


def test_register_what_is_registered(cloud, foreign_pem):
    """That it is known already comes before the question for its CA, for ours and for foreign ones."""
    foreign = cloud.iot.register_certificate_without_ca(certificatePem=foreign_pem)
    ours = cloud.iot.create_keys_and_certificate()
    for known, pem in ((foreign, foreign_pem), (ours, ours["certificatePem"])):
        for call in (cloud.iot.register_certificate, cloud.iot.register_certificate_without_ca):
            conflict = refused("ResourceAlreadyExistsException", 409, call, certificatePem=pem,
                               text="The certificate is already provisioned or registered")
            assert (conflict["resourceId"], conflict["resourceArn"]) == (known["certificateId"], known["certificateArn"])


@pytest.mark.parametrize("to", ["ACTIVE", "INACTIVE", "REVOKED"])
def test_update(cloud, to):
    created = cloud.iot.create_keys_and_certificate(setAsActive=True)
    cloud.iot.update_certificate(certificateId=created["certificateId"], newStatus=to)
    cloud.iot.update_certificate(certificateId=created["certificateId"], newStatus=to)
    assert status(cloud, created["certificateId"]) == to


def test_update_to_what_is_not_for_clients(cloud):
    created = cloud.iot.create_keys_and_certificate(setAsActive=True)
    for to in ("PENDING_TRANSFER", "PENDING_ACTIVATION"):
        refused("InvalidRequestException", 400, cloud.iot.update_certificate, certificateId=created["certificateId"], newStatus=to,
                text=f"Certificate status cannot be updated to {to}")
    refused("InvalidRequestException", 400, cloud.loose_iot.update_certificate,
            certificateId=created["certificateId"], newStatus="NONSENSE")
    refused(*MISSING, cloud.iot.update_certificate, certificateId=NOBODY, newStatus="INACTIVE")
    assert status(cloud, created["certificateId"]) == "ACTIVE"


def test_delete(cloud, name, tmp_path):
    device = cloud.device(tmp_path, name)
    delete = {"certificateId": device.certificate_id}
    refused("CertificateStateException", 406, cloud.iot.delete_certificate, **delete, forceDelete=True,
            text=f"Certificate must be deactivated (not ACTIVE) before deletion. Id: {device.certificate_id}")
    cloud.iot.update_certificate(certificateId=device.certificate_id, newStatus="INACTIVE")
    refused("DeleteConflictException", 409, cloud.iot.delete_certificate, **delete, forceDelete=True,
            text=f"Things must be detached before deletion (arn: {device.arn})")
    cloud.iot.detach_thing_principal(thingName=name, principal=device.arn)
    refused("DeleteConflictException", 409, cloud.iot.delete_certificate, **delete,
            text=f"Certificate policies must be detached before deletion (arn: {device.arn})")
    cloud.iot.delete_certificate(**delete, forceDelete=True)
    refused(*MISSING, cloud.iot.delete_certificate, **delete)
    refused(*MISSING, cloud.iot.describe_certificate, **delete)
    assert cloud.iot.list_targets_for_policy(policyName=name)["targets"] == []


def test_list_in_pages_both_ways(cloud):
    made = {cloud.iot.create_keys_and_certificate()["certificateId"] for _ in range(3)}
    walk = {"token": "marker", "answer_token": "nextMarker"}
    up = pages(cloud.iot.list_certificates, {"pageSize": 1}, **walk, ascendingOrder=True)
    down = pages(cloud.iot.list_certificates, {"pageSize": 1}, **walk, ascendingOrder=False)
    assert [item["certificateId"] for item in up] == [item["certificateId"] for item in reversed(down)]
    assert {item["certificateId"] for item in up} >= made
    assert len({item["certificateId"] for item in up}) == len(up)
    refused("InvalidRequestException", 400, cloud.iot.list_certificates, marker="bm9uc2Vuc2U=")
    refused("InvalidRequestException", 400, cloud.loose_iot.list_certificates, pageSize=251)
