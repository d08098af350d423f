"""A server before the server, whose chain of certificates is like AWS's: the board sees its chain, eyot the board's own
certificate, and what they say to each other passes unchanged."""

import select
import socket
import ssl
from pathlib import Path

from .listener import Listener
from .openssl import openssl

DEADLINE_S = 60
"""For a board that takes nothing, or does not come to the end of a handshake."""

RSA_2048 = ("-newkey", "rsa:2048")


class AwsLikeChain:
    """Four RSA-2048 certificates as AWS IoT's endpoints send them: server, issuer, root as signed by an older root, and
    that one as signed by a still older one. Boards trust the root by its own signature, which is not sent."""

    def __init__(self, directory, host):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True)
        oldest = self._key("oldest", "Oldest Root")
        older = self._key("older", "Older Root")
        root = self._key("root", "Root CA 1")
        issuer = self._key("issuer", "RSA 2048 M01")
        server = self._key("server", host)
        authority = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
        self._sign("oldest", "oldest", oldest, oldest, authority)
        self._sign("older", "older", older, oldest, authority, issuer="oldest")
        self.root = self._sign("root", "root", root, root, authority)
        self._sign("root-by-older", "root", root, older, authority, issuer="older")
        self._sign("issuer", "issuer", issuer, root, authority, issuer="root")
        self._sign("server", "server", server, issuer, "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n"
                   f"keyUsage=critical,digitalSignature,keyEncipherment\nsubjectAltName=DNS:{host}\n", issuer="issuer")
        self.key = server
        self.chain = self.directory / "chain.pem"
        names = ["server", "issuer", "root-by-older", "older"]
        self.chain.write_bytes(b"".join((self.directory / f"{name}.pem").read_bytes() for name in names))

    def _key(self, name, common_name):
        key = self.directory / f"{name}.key"
        openssl("req", *RSA_2048, "-nodes", "-keyout", key, "-out", self.directory / f"{name}.csr", "-subj",
                f"/C=US/O=Like Amazon/CN={common_name}")
        return key

    def _sign(self, name, subject, key, signer_key, extensions, issuer=None):
        certificate, extension_file = self.directory / f"{name}.pem", self.directory / f"{name}.ext"
        extension_file.write_text(extensions)
        signer = ["-CA", self.directory / f"{issuer}.pem", "-CAkey", signer_key, "-CAcreateserial"] if issuer else ["-signkey", key]
        openssl("x509", "-req", "-in", self.directory / f"{subject}.csr", *signer, "-days", "10", "-extfile", extension_file,
                "-out", certificate)
        return certificate


class Relay(Listener):
    """`with Relay(chain, device, server, version) as relay:` listens at `relay.port` for that device. It forgets sessions,
    so each connection costs a whole handshake."""

    def __init__(self, chain, device, server, version):
        super().__init__(0, self._relay)
        self.chain, self.device, self.server, self.version = chain, device, server, version
        self.handshakes = 0

    def _relay(self, connection):
        certificate, key = self.device
        towards_board = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        towards_board.minimum_version = towards_board.maximum_version = self.version
        towards_board.load_cert_chain(self.chain.chain, self.chain.key)
        towards_board.verify_mode = ssl.CERT_REQUIRED
        towards_board.load_verify_locations(self.server.ca_path)
        towards_server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        towards_server.check_hostname = False
        towards_server.load_verify_locations(self.server.ca_path)
        towards_server.load_cert_chain(certificate, key)
        with (towards_board.wrap_socket(connection, server_side=True) as board,
              socket.create_connection(("127.0.0.1", self.server.mqtts_port)) as tcp,
              towards_server.wrap_socket(tcp) as server):
            self.handshakes += 1
            pass_on(board, server)


def pass_on(one, other):
    """What either says goes to the other, until one of them is gone."""
    while True:
        ready = [stream for stream in (one, other) if stream.pending()] or select.select([one, other], [], [])[0]
        for source in ready:
            source.setblocking(False)
            try:
                data = source.recv(4096)
            except ssl.SSLWantReadError:
                # A session ticket, or a record whose rest is still to come.
                continue
            if not data:
                return
            sink = other if source is one else one
            sink.settimeout(DEADLINE_S)
            sink.sendall(data)
