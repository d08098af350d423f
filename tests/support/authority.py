"""A certificate authority with keys of any kind and any dates, by the real openssl, and TLS servers from it."""

import contextlib
import socket
import ssl
import threading

from .openssl import openssl


class Authority:
    """One CA in a directory of its own. `extensions` are lines of openssl's configuration."""

    KEYS = {"ec": ("EC", "ec_paramgen_curve:P-256"), "rsa": ("RSA", "rsa_keygen_bits:2048"), "p384": ("EC", "ec_paramgen_curve:P-384"),
            "ed25519": ("ED25519", None)}

    def __init__(self, place, kind, start="20200101000000Z", end="20900101000000Z", name="own CA", extensions=""):
        self.place = place / name.replace(" ", "-")
        self.place.mkdir()
        (self.place / "index").write_text("")
        self.settings = f"[ca]\ndefault_ca=d\n[d]\ndatabase={self.place}/index\nnew_certs_dir={self.place}\nrand_serial=yes\n" \
            "default_md=default\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n[x]\n"
        self.certificate, self.key = self.place / "ca.pem", self.place / "ca.key"
        self.request(kind, name, self.key)
        self.sign(f"basicConstraints=critical,CA:TRUE\n{extensions}", self.certificate, start, end, "-selfsign")

    def request(self, kind, name, key):
        algorithm, option = self.KEYS[kind]
        openssl("genpkey", "-algorithm", algorithm, *(("-pkeyopt", option) if option else ()), "-out", key)
        openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", self.place / "request.pem")

    def sign(self, extensions, certificate, start, end, *more):
        (self.place / "ca.cnf").write_text(self.settings + extensions + "\n")
        openssl("ca", "-batch", "-notext", "-config", self.place / "ca.cnf", "-extensions", "x", "-in", self.place / "request.pem",
                "-keyfile", self.key, "-startdate", start, "-enddate", end, "-out", certificate,
                *(more or ("-cert", self.certificate)))

    def server(self, kind, host):
        """A TLS server's context."""
        key, certificate = self.place / f"{kind}.key", self.place / f"{kind}.pem"
        self.request(kind, "server", key)
        prefix = "IP" if host.replace(".", "").isdigit() else "DNS"
        self.sign(f"subjectAltName={prefix}:{host}", certificate, "20200101000000Z", "20900101000000Z")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context


@contextlib.contextmanager
def tls_server(context, host):
    """Shakes hands with everybody, and hangs up. Gives its port."""
    listener = socket.create_server((host, 0))

    def serve():
        with contextlib.suppress(OSError):  # the end
            while True:
                connection, _ = listener.accept()
                with contextlib.suppress(OSError, ssl.SSLError):
                    connection.settimeout(10)
                    context.wrap_socket(connection, server_side=True).close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)
