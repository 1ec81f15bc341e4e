"""What the doctor looks at before a server starts: certificate, guard, port, files, disk, clock."""

from __future__ import annotations

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

from baluarte.apps.cli.screen import Tone
from baluarte.apps.place import Place
from baluarte.apps.scoring.guard import is_loopback

_SOON_DAYS = 21  #: in which a certificate should be renewed
_FILES = 4_096  #: descriptors that a server with many callers wants
_SLOW_MS = 20.0  #: an fdatasync above this is the time that callers wait
_PROBES = 16


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor: what was looked at, what was found, how it is, the cure."""

    label: str
    text: str
    tone: Tone
    hint: str = ""


def server_findings(place: Place, ledger: Path | None) -> Iterator[Finding]:
    """Everything that a data plane needs of this machine and workspace.

    Args:
        ledger: a folder on the ledger's disk that may be written; None where there is none.
    """
    yield from _address(place)
    yield from _certificate(place)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = soft != resource.RLIM_INFINITY and soft < _FILES
    yield Finding(
        "Open files",
        f"{soft} at most",
        "unsure" if few else "kept",
        f"ulimit -n {_FILES}: each connection takes one." if few else "",
    )
    if ledger is not None:
        yield _disk(ledger)


def _address(place: Place) -> Iterator[Finding]:
    address = place.workspace.serve.address
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, int(port)))
    except OSError as error:
        hint = "A server runs there already, or another program does."
        yield Finding("Address", f"{address}: {error.strerror}", "unsure", hint)
    else:
        yield Finding("Address", f"{address} is free", "kept")
    if is_loopback(host) or place.workspace.serve.platform != "none":
        return
    missing = [
        name
        for name, there in (
            ("serve.tls", place.workspace.serve.tls),
            ("serve.hosts", place.workspace.serve.hosts),
            ("an account (baluarte users add)", place.has_accounts),
        )
        if not there
    ]
    if missing:
        yield Finding("Guard", f"others reach {address}; missing: {', '.join(missing)}", "broken")
    else:
        yield Finding("Guard", "TLS, hosts and accounts", "kept")


def _certificate(place: Place) -> Iterator[Finding]:
    tls = place.workspace.serve.tls
    if tls is None:
        return
    certificate, key = place.at(tls.certificate), place.at(tls.key)
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        until = _valid_until(certificate)
    except (OSError, ssl.SSLError, ValueError) as error:
        yield Finding("Certificate", f"{certificate}: {error}", "broken", "Both files in PEM.")
        return
    days = (until - datetime.now(UTC)).days
    tone: Tone = "kept" if days >= _SOON_DAYS else "unsure" if days >= 0 else "broken"
    hint = "" if tone == "kept" else "Put the new files in place: workers take them up."
    yield Finding("Certificate", f"holds until {until:%Y-%m-%d}, {days} days", tone, hint)
    loose = key.stat().st_mode & 0o077
    if loose:
        yield Finding("Key of TLS", f"{key} is readable by others", "unsure", f"chmod 600 {key}")


def _valid_until(certificate: Path) -> datetime:
    from cryptography import x509  # noqa: PLC0415 - only where there is a certificate

    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc


def _disk(folder: Path) -> Finding:
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
    return Finding(
        "Disk",
        f"durable in {median:.1f} ms, {worst:.1f} ms at worst",
        "unsure" if slow else "kept",
        'With durability "commit" each answer waits so long.' if slow else "",
    )
