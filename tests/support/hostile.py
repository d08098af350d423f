"""Servers that a device must refuse: with the wrong certificate, or with none at all.

Each serves one kind of wrong on a given port until it is closed. What a client says after a handshake is kept: nothing
may be.
"""

import hashlib
import hmac
import os
import ssl
import struct
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ecdsa import ECDH, NIST256p
from tlslite.utils.cipherfactory import createAESGCM

from .listener import Listener
from .openssl import openssl


class CertificateAuthority:
    """A CA made for a test, and certificates of it, as PEM files in one directory."""

    def __init__(self, directory, name):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.certificate, self.key = self.directory / "ca.pem", self.directory / "ca.key"
        openssl("req", "-x509", *P256, "-nodes", "-keyout", self.key, "-out", self.certificate, "-days", "30", "-subj",
                f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE", "-addext",
                "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, file_name, host, usage="serverAuth", days=("-days", "10"), issuer=None):
        """Returns the paths of chain and key. `issuer` (chain, key) signs in the CA's place."""
        chain, key = self.directory / f"{file_name}.pem", self.directory / f"{file_name}.key"
        request, extensions = self.directory / f"{file_name}.csr", self.directory / f"{file_name}.ext"
        openssl("req", *P256, "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={host}")
        extensions.write_text(f"basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
                              f"extendedKeyUsage={usage}\nsubjectAltName=DNS:{host}\n")
        signer, signer_key = issuer or (self.certificate, self.key)
        openssl("x509", "-req", "-in", request, "-CA", signer, "-CAkey", signer_key, "-CAcreateserial", "-out", chain,
                "-extfile", extensions, *days)
        if issuer:
            chain.write_bytes(chain.read_bytes() + Path(signer).read_bytes())
        return chain, key


    def issue_for_later(self, file_name, host):
        """Like `issue`, for a certificate that becomes valid tomorrow."""
        chain, key = self.issue(file_name, host)
        config, tomorrow = self.directory / "ca.conf", datetime.now(timezone.utc) + timedelta(days=1)
        (self.directory / "database").touch()
        config.write_text(f"[ca]\ndefault_ca=it\n[it]\ndatabase={self.directory}/database\ndefault_md=sha256\n"
                          f"rand_serial=yes\npolicy=any\n[any]\ncommonName=supplied\n")
        openssl("ca", "-config", config, "-batch", "-notext", "-cert", self.certificate, "-keyfile", self.key,
                "-in", self.directory / f"{file_name}.csr", "-extfile", self.directory / f"{file_name}.ext",
                "-startdate", f"{tomorrow:%Y%m%d%H%M%SZ}", "-enddate", f"{tomorrow + timedelta(days=9):%Y%m%d%H%M%SZ}",
                "-outdir", self.directory, "-out", chain)
        return chain, key


P256 = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")


class HostileServer(Listener):
    """`with HostileServer(port, serve) as server:` keeps in `server.heard` what `serve(socket)` returns."""

    def __init__(self, port, serve):
        super().__init__(port, lambda connection: self.heard.append(serve(connection)))
        self.heard = []


def with_certificate(chain, key, version=ssl.TLSVersion.TLSv1_3):
    """An honest handshake with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(chain, key)

    def serve(connection):
        with context.wrap_socket(connection, server_side=True) as stream:
            return stream.recv(1024)

    return serve


def without_certificate(connection):
    """TLS 1.3 without Certificate and CertificateVerify: ServerHello, EncryptedExtensions, Finished [RFC 8446 4.4].

    Whoever accepts this believes anybody.
    """
    hello = _record(connection)
    session_id, share = _parse_client_hello(hello)
    ours = ECDH(curve=NIST256p)
    ours.generate_private_key()
    ours.load_received_public_key_bytes(share)
    public = ours.get_public_key().to_string("uncompressed")
    extensions = struct.pack(">HHH", 43, 2, 0x0304) + struct.pack(">HHHH", 51, 4 + len(public), 23, len(public)) + public
    body = (b"\x03\x03" + os.urandom(32) + bytes([len(session_id)]) + session_id + b"\x13\x01\x00" +
            struct.pack(">H", len(extensions)) + extensions)
    server_hello = _message(2, body)
    connection.sendall(b"\x16\x03\x03" + struct.pack(">H", len(server_hello)) + server_hello)

    early = _extract(bytes(32), bytes(32))
    secret = _extract(_expand(early, b"derived", _hash(b"")), ours.generate_sharedsecret_bytes())
    transcript = hello + server_hello
    traffic = _expand(secret, b"s hs traffic", _hash(transcript))
    encrypted_extensions = _message(8, b"\0\0")
    transcript += encrypted_extensions
    finished = _message(20, hmac.digest(_expand(traffic, b"finished", b""), _hash(transcript), hashlib.sha256))
    connection.sendall(_seal(traffic, 0, encrypted_extensions) + _seal(traffic, 1, finished))
    # An alert, if the client is right.
    while (record := _whole_record(connection)) is not None:
        if record[0] not in (20, 21):
            return record
    return b""


def _parse_client_hello(hello):
    """Session id, and the key share for P-256."""
    at = 4 + 2 + 32
    session_id = hello[at + 1 : at + 1 + hello[at]]
    at += 1 + len(session_id)
    at += 2 + int.from_bytes(hello[at : at + 2], "big")
    at += 1 + hello[at] + 2
    while at < len(hello):
        kind, length = struct.unpack(">HH", hello[at : at + 4])
        if kind == 51:
            shares, place = hello[at + 4 : at + 4 + length], 2
            while place < len(shares):
                group, size = struct.unpack(">HH", shares[place : place + 4])
                if group == 23:
                    return session_id, shares[place + 4 : place + 4 + size]
                place += 4 + size
        at += 4 + length
    raise ConnectionError("the client offers no P-256 share")


def _whole_record(connection):
    header = _exactly(connection, 5)
    return header and header[:1] + (_exactly(connection, int.from_bytes(header[3:], "big")) or b"")


def _record(connection):
    record = _whole_record(connection)
    if record is None or record[0] != 22:
        raise ConnectionError("no handshake")
    return record[1:]


def _exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            return None
        data += more
    return data


def _message(kind, body):
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def _hash(data):
    return hashlib.sha256(data).digest()


def _extract(salt, key):
    return hmac.digest(salt, key, hashlib.sha256)


def _expand(secret, label, context, length=32):
    """HKDF-Expand-Label of at most one block [RFC 8446 7.1]."""
    label = b"tls13 " + label
    info = struct.pack(">H", length) + bytes([len(label)]) + label + bytes([len(context)]) + context
    return hmac.digest(secret, info + b"\x01", hashlib.sha256)[:length]


def _seal(secret, sequence, handshake):
    key, iv = _expand(secret, b"key", b"", 16), _expand(secret, b"iv", b"", 12)
    nonce = (int.from_bytes(iv, "big") ^ sequence).to_bytes(12, "big")
    plain = handshake + b"\x16"
    header = b"\x17\x03\x03" + struct.pack(">H", len(plain) + 16)
    return header + bytes(createAESGCM(bytearray(key)).seal(bytearray(nonce), bytearray(plain), bytearray(header)))
