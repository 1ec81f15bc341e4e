"""Start a plane: workers behind one port, until a signal says stop."""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import msgspec

from baluarte import wiring
from baluarte.apps.http.pool import Bounds
from baluarte.apps.http.process import Tls, listen
from baluarte.apps.http.supervisor import Supervisor, follow_files
from baluarte.apps.scoring.grpc_process import follow_grpc, require_collector, require_grpc
from baluarte.apps.scoring.reach import require_guarded
from baluarte.apps.scoring.reports import Readiness, reports
from baluarte.apps.scoring.settings import Listens, ServeSettings
from baluarte.apps.scoring.starting import load, load_when_told
from baluarte.errors import BaluarteError, ContractError, DataError, OutsideError, TrustError

if TYPE_CHECKING:
    from baluarte.apps.http.exchange import Service

_POLL_S = 0.01
_ASK_S = 5.0
_FOLLOW_S = 0.5  #: between two looks at the certificate's files
_FAMILIES: dict[str, type[BaluarteError]] = {
    family.__name__: family for family in (ContractError, DataError, TrustError, OutsideError)
}


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """A plane that answers: where, how soon, and by what."""

    url: str
    workers: int
    seconds: float  #: from the start until every worker answered
    readiness: Readiness  #: ``ready`` where a champion is in and the ledger takes records


def serve(settings: ServeSettings, *, ready: Callable[[Serving], None]) -> None:
    """Serve until SIGTERM or SIGINT; then answer what is open, and return.

    Call it from the main thread: it takes over the signals.

    Args:
        ready: called once, from another thread, when every worker answers.

    Raises:
        ContractError: the address can be reached from elsewhere, and isn't guarded for that; or
            the certificate and its key don't fit.
        OutsideError: the port is taken, or workers keep failing.
        TrustError: the ledger lost committed records.
    """
    require_guarded(
        settings.host,
        tls=bool(settings.tls_cert),
        keys=_keys(settings),
        hosts=settings.hosts,
        platform=settings.platform,
    )
    require_grpc(settings)
    require_collector(settings)
    host(
        settings,
        load,
        warm=load_when_told if settings.spare else None,
        most_workers=settings.max_workers,
        beside=follow_grpc,
        ready=ready,
    )


def host(
    settings: Listens,
    load: Callable[[Any], Service],
    *,
    ready: Callable[[Serving], None],
    beside: Callable[[Any, threading.Event], list[threading.Thread]] = lambda _settings, _stop: [],
    warm: Callable[[Any, Connection], Service] | None = None,
    most_workers: int = 0,
) -> None:
    """Run workers behind one port until SIGTERM or SIGINT.

    Args:
        settings: where; its ``metrics_dir`` is set to a folder that the workers share.
        load: makes what a worker answers by, in the worker's process; it reports there.
        beside: threads that run as long as the workers, until the event.
        warm: the same for a spare worker: it waits for a word from a pipe before it begins.
        most_workers: up to which more workers come as the load asks; 0: their number stays.

    Raises:
        ContractError: the certificate and its key don't fit.
        OutsideError: the port is taken, or workers keep failing.
    """
    _let_open_many()
    tls = _tls(settings)
    with (
        _listening(settings.host, settings.port) as listening,
        tempfile.TemporaryDirectory(prefix="baluarte-", ignore_cleanup_errors=True) as folder,
    ):
        settings = msgspec.structs.replace(
            settings, port=listening.getsockname()[1], metrics_dir=folder
        )
        follows_load = most_workers > settings.workers
        server = Supervisor(
            functools.partial(load, settings),
            listening,
            tls,
            workers=settings.workers,
            started=lambda: {r.pid for r in reports(folder) if r.readiness is not None},
            warm=None if warm is None else functools.partial(warm, settings),
            bounds=Bounds(settings.workers, most_workers) if follows_load else None,
        )
        stopping = threading.Event()
        watches = [
            threading.Thread(target=_wait_until_ready, args=(settings, ready, stopping)),
            *_follow_certificates(settings, server, stopping),
            *beside(settings, stopping),
        ]
        for watch in watches:
            watch.start()
        try:
            well = server.serve()
        finally:
            stopping.set()
            for watch in watches:
                watch.join()
        if not well:
            raise _why_it_ended(folder)


def _follow_certificates(
    settings: Listens, server: Supervisor, stopping: threading.Event
) -> list[threading.Thread]:
    """A thread that renews the workers when the certificate is another one."""
    if not settings.tls_cert:
        return []
    paths = [settings.tls_cert, settings.tls_key, settings.tls_client_ca]
    follow = functools.partial(
        follow_files,
        [path for path in paths if path],
        every_s=_FOLLOW_S,
        stopping=stopping,
        check=functools.partial(_tls, settings),
        changed=server.renew,
    )
    return [threading.Thread(target=follow, name="certificates")]


def _tls(settings: Listens) -> Tls | None:
    """What TLS is spoken by; None: nothing.

    Raises:
        ContractError: the files can't be read, or don't fit one another.
    """
    if not settings.tls_cert:
        return None
    tls = Tls(cert=settings.tls_cert, key=settings.tls_key, client_ca=settings.tls_client_ca)
    try:
        tls.context()
    except OSError as error:  # an SSLError is one, too
        raise ContractError(
            f"expected a certificate, the key that fits it and the authority of clients, in PEM: "
            f"{error}",
            where="workspace.toml: serve.tls",
        ) from error
    return tls


def _let_open_many() -> None:
    """Let this process and its workers have as many open files as the system lets them have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _keys(settings: ServeSettings) -> int:
    """How many keys there are that nobody took back."""
    if not settings.accounts:
        return 0
    password = settings.registry_password
    with wiring.open_accounts(settings.accounts, password=lambda: password) as accounts:
        return sum(key.revoked_at is None for key in accounts.api_keys())


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens there; a free port for 0.

    Raises:
        OutsideError: the port is taken, or can't be used.
    """
    try:
        return listen(host, port)
    except OSError as error:
        raise OutsideError(
            f"{host}:{port} can't be used: {os.strerror(error.errno or 0)}",
            where="serve.address",
            hint="Stop what listens there, or take another port: --set serve.address=…",
        ) from error


def _wait_until_ready(
    settings: Listens, ready: Callable[[Serving], None], stopping: threading.Event
) -> None:
    started = time.perf_counter()
    while not stopping.wait(_POLL_S):
        said = [r for r in reports(settings.metrics_dir) if r.readiness is not None]
        if len(said) < settings.workers or not _listens(settings):
            continue
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        readiness = next(r.readiness for r in said if r.readiness is not None)
        ready(
            Serving(
                url=f"{'https' if settings.tls_cert else 'http'}://{host}:{settings.port}",
                workers=settings.workers,
                seconds=time.perf_counter() - started,
                readiness=readiness,
            )
        )
        return


def _listens(settings: Listens) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - to ask, not to bind
    try:
        socket.create_connection((host, settings.port), timeout=_ASK_S).close()
    except OSError:
        return False
    return True


def _why_it_ended(folder: str) -> BaluarteError:
    """What the workers said before they ended."""
    for report in reports(folder):
        if report.error is not None:
            return _FAMILIES[report.error].of(report.faults)
    return OutsideError("the workers keep failing", hint="The lines above say why.")
