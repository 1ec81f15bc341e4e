"""TLS 1.3 and nothing below, clients by certificate, and a new certificate without a restart."""

from __future__ import annotations

import datetime as dt
import http.client
import ipaddress
import json
import os
import signal
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from scoring_ground import Server, Workplace, on_the_wire

from baluarte.apps.scoring.server import serve
from baluarte.errors import ContractError
from baluarte.testing.bundles import sample_events, sample_parts


class Authority:
    """Signs certificates for one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self._n = 0
        self._write("ca", self._sign(self._name, self._key, is_ca=True), self._key)

    def issue(self, name: str) -> None:
        """NAME.pem and NAME.key for 127.0.0.1, replaced as a whole."""
        self._n += 1
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} {self._n}")])
        self._write(name, self._sign(subject, key, is_ca=False), key)

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, is_ca: bool) -> bytes:
        now = dt.datetime.now(dt.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        return made.public_bytes(Encoding.PEM)

    def _write(self, name: str, pem: bytes, key: ec.EllipticCurvePrivateKey) -> None:
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        for suffix, data in ((".key", private), (".pem", pem)):
            aside = self.folder / f".{name}{suffix}"
            aside.write_bytes(data)
            aside.rename(self.folder / f"{name}{suffix}")


class Secure(Server):
    """A server that speaks TLS."""

    def __init__(self, place: Workplace, authority: Authority, **changes: object) -> None:
        authority.issue("server")
        super().__init__(
            place, tls_cert=authority.path("server.pem"), tls_key=authority.path("server.key"),
            **changes,
        )  # fmt: skip
        self.authority = authority

    def context(self, client: str | None = None) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=self.authority.path("ca.pem"))
        if client is not None:
            made.load_cert_chain(
                self.authority.path(f"{client}.pem"), self.authority.path(f"{client}.key")
            )
        return made

    def once(self, context: ssl.SSLContext) -> tuple[int, str]:
        """One decision on a connection of its own; the status and the certificate's name."""
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=context, timeout=20
        )
        try:
            connection.request(
                "POST", "/v1/detectors/flows/decisions", json.dumps(EVENT),
                {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
            )  # fmt: skip
            name = dict(pair[0] for pair in connection.sock.getpeercert()["subject"])["commonName"]
            response = connection.getresponse()
            response.read()
            return response.status, name
        finally:
            connection.close()


EVENT = on_the_wire(sample_events(1)[0])


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    made = Workplace(tmp_path)
    made.promote(made.seal(sample_parts()))
    return made


def test_tls_1_3_is_spoken_and_1_2_is_not(place: Workplace, tmp_path: Path) -> None:
    with Secure(place, Authority(tmp_path)) as server:
        assert server.serving["url"].startswith("https://")
        assert server.once(server.context()) == (200, "server 1")
        old = server.context()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError):
            server.once(old)
        plain = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        plain.request("GET", "/healthz")
        with pytest.raises((http.client.HTTPException, OSError)):
            plain.getresponse()
        plain.close()


def test_only_clients_of_the_authority_are_let_in(place: Workplace, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("switch")
    (tmp_path / "elsewhere").mkdir()
    stranger = Authority(tmp_path / "elsewhere")
    stranger.issue("stranger")
    with Secure(place, authority, tls_client_ca=authority.path("ca.pem")) as server:
        assert server.once(server.context("switch"))[0] == 200
        unknown = server.context()
        unknown.load_cert_chain(stranger.path("stranger.pem"), stranger.path("stranger.key"))
        for context in (server.context(), unknown):
            with pytest.raises((ssl.SSLError, http.client.HTTPException, OSError)):
                server.once(context)


def until(holds: Callable[[], bool]) -> None:
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < 60
        time.sleep(0.05)


def test_a_new_certificate_is_taken_up_and_no_request_is_lost(
    place: Workplace, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    with Secure(place, authority, workers=2) as server:
        context = server.context()
        seen: list[tuple[int, str]] = []

        def newest(name: str) -> bool:
            seen.append(server.once(context))
            return seen[-1][1] == name

        for n in (2, 3):
            authority.issue("server")
            until(lambda n=n: newest(f"server {n}"))
        assert {status for status, _ in seen} == {200}


def test_a_certificate_that_does_not_fit_its_key_is_not_taken(
    place: Workplace, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    with Secure(place, authority) as server:
        (tmp_path / "server.pem").write_text("no certificate")
        time.sleep(1.2)
        assert server.once(server.context())[0] == 200
    (tmp_path / "server.pem").write_text("no certificate")
    settings = place.settings(
        tls_cert=authority.path("server.pem"), tls_key=authority.path("server.key")
    )
    with pytest.raises(ContractError, match=r"serve\.tls"):
        serve(settings, ready=lambda _: None)


def test_workers_that_are_killed_again_and_again_come_back(place: Workplace) -> None:
    with Server(place, workers=2) as server:
        for _ in range(3):
            before = set(server.workers())
            os.kill(min(before), signal.SIGKILL)
            until(lambda before=before: len(set(server.workers()) - before) == 1)
            status = None
            while status is None:
                try:
                    status, _ = server.decide(EVENT)
                except (http.client.HTTPException, OSError):
                    continue  # it was in the killed worker's hands
            assert status == 200
