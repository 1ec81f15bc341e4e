"""What the doctor looks at before a server starts: certificate, guard, port, files, disk, clock."""

from __future__ import annotations

import errno
import os
import resource
import socket
import ssl
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Tone
from baluarte.apps.place import Place
from baluarte.apps.scoring.reach import is_loopback

_SOON_DAYS = 21  #: in which a certificate should be renewed
_FILES = 4_096  #: descriptors that a server with many callers wants
_SLOW_MS = 20.0  #: an fdatasync above this is the time that callers wait
_PROBES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor: what was looked at, what was found, how it is, the cure."""

    check: str  #: the same in every language
    label: str
    text: str
    tone: Tone
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Doctor:
    """Says what was found in the reader's language."""

    texts: Texts

    def say(self, key: str, **values: object) -> str:
        """A text of the doctor's."""
        return self.texts.get(f"doctor.{key}", **values)

    def plain(self, check: str, text: str, tone: Tone, *, hint: str = "") -> Finding:
        """A finding in words that are no language's, or another program's own."""
        return Finding(check=check, label=self.say(check), text=text, tone=tone, hint=hint)

    def found(
        self, check: str, key: str, tone: Tone, *, cure: str | None = None, **values: object
    ) -> Finding:
        """A finding in words of the catalogue, the cure's key beside it."""
        hint = "" if cure is None else self.say(cure)
        return self.plain(check, self.say(key, **values), tone, hint=hint)


def server_findings(place: Place, ledger: Path | None, doctor: Doctor) -> Iterator[Finding]:
    """Everything that a data plane needs of this machine and workspace.

    Args:
        ledger: a folder on the ledger's disk that may be written; None where there is none.
    """
    yield from _address(place, doctor)
    yield from _certificate(place, doctor)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        yield doctor.found("open_files", "files_unbounded", "kept")
    else:
        few = soft < _FILES
        hint = doctor.say("files_cure", n=_FILES) if few else ""
        line = doctor.say("files_line", n=soft)
        yield doctor.plain("open_files", line, "unsure" if few else "kept", hint=hint)
    if ledger is not None:
        yield _disk(ledger, doctor)


def _address(place: Place, doctor: Doctor) -> Iterator[Finding]:
    address = place.workspace.serve.address
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, int(port)))
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = doctor.say("address_in_use") if taken else error.strerror or str(error)
        yield doctor.found(
            "address", "address_taken", "unsure", cure="address_cure", address=address, why=why
        )
    else:
        yield doctor.found("address", "address_free", "kept", address=address)
    if is_loopback(host) or place.workspace.serve.platform != "none":
        return
    missing = [
        name
        for name, there in (
            ("serve.tls", place.workspace.serve.tls),
            ("serve.hosts", place.workspace.serve.hosts),
            (doctor.say("guard_account"), place.has_accounts),
        )
        if not there
    ]
    if missing:
        names = ", ".join(missing)
        yield doctor.found("guard", "guard_missing", "broken", address=address, names=names)
    else:
        yield doctor.found("guard", "guard_there", "kept")


def _certificate(place: Place, doctor: Doctor) -> Iterator[Finding]:
    tls = place.workspace.serve.tls
    if tls is None:
        return
    certificate, key = place.at(tls.certificate), place.at(tls.key)
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        until = _valid_until(certificate)
    except (OSError, ssl.SSLError, ValueError) as error:
        hint = doctor.say("certificate_pem")
        yield doctor.plain("certificate", f"{certificate}: {error}", "broken", hint=hint)
        return
    days = (until - datetime.now(UTC)).days
    tone: Tone = "kept" if days >= _SOON_DAYS else "unsure" if days >= 0 else "broken"
    yield doctor.found(
        "certificate",
        "certificate_until" if days >= 0 else "certificate_over",
        tone,
        cure=None if tone == "kept" else "certificate_cure",
        until=f"{until:%Y-%m-%d}",
        days=days,
    )
    loose = key.stat().st_mode & 0o077
    if loose:
        line = doctor.say("tls_key_loose", file=str(key))
        yield doctor.plain("tls_key", line, "unsure", hint=f"chmod 600 {key}")


def _valid_until(certificate: Path) -> datetime:
    from cryptography import x509  # noqa: PLC0415 - only where there is a certificate

    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc


def _disk(folder: Path, doctor: Doctor) -> Finding:
    """How long the ledger's disk takes to make a record durable."""
    times = []
    with tempfile.TemporaryFile(dir=folder) as probe:
        for _ in range(_PROBES):
            os.pwrite(probe.fileno(), b"x" * 4_096, 0)
            began = time.perf_counter()
            os.fdatasync(probe.fileno())
            times.append(1_000 * (time.perf_counter() - began))
    median, worst = statistics.median(times), max(times)
    slow = median > _SLOW_MS
    return doctor.found(
        "disk",
        "disk_line",
        "unsure" if slow else "kept",
        cure="disk_cure" if slow else None,
        median=round(median, 1),
        worst=round(worst, 1),
    )
