"""The process of the gRPC door: started beside the workers, and again when it ends by itself."""

from __future__ import annotations

import importlib.util
import logging
import multiprocessing
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec

from baluarte.apps.scoring.reach import is_loopback
from baluarte.apps.scoring.settings import ServeSettings
from baluarte.errors import ContractError

LOG = logging.getLogger("baluarte.scoring")
_STOP_S = 30.0
_AGAIN_S = 0.2
_SOON_S = 2.0  #: one that ends sooner than this is started again more slowly
_SLOWLY_S = 2.0


def require_grpc(settings: ServeSettings) -> None:
    """Return if the gRPC door can be opened where it is asked for.

    Raises:
        ContractError: the address is reached from elsewhere, or the extra isn't installed.
    """
    if not settings.grpc:
        return
    host, _, _ = settings.grpc.rpartition(":")
    if not is_loopback(host.strip("[]")):
        raise ContractError(
            f"expected a loopback address, found {settings.grpc}: gRPC's library can't be held to "
            "TLS 1.3",
            where="workspace.toml: serve.grpc",
            hint="Let a proxy on this machine end TLS and pass calls on.",
        )
    if any(importlib.util.find_spec(name) is None for name in ("grpc", "google.protobuf")):
        raise ContractError(
            "expected grpcio and protobuf; they are not installed",
            where="workspace.toml: serve.grpc",
            hint="pip install 'baluarte[grpc]'",
        )


def require_collector(settings: ServeSettings) -> None:
    """Return if a collector can be told what it is to be told.

    Raises:
        ContractError: it is not on this machine, or the extra isn't installed.
    """
    if not settings.collector:
        return
    parts = urlsplit(settings.collector)
    if parts.scheme != "http" or not is_loopback(parts.hostname or ""):
        raise ContractError(
            f"expected a collector on loopback, found {settings.collector}",
            where="workspace.toml: serve.telemetry.collector",
            hint="Run an agent on this machine, such as http://127.0.0.1:4317; it passes on.",
        )
    if importlib.util.find_spec("opentelemetry") is None:
        raise ContractError(
            "expected OpenTelemetry; it is not installed",
            where="workspace.toml: serve.telemetry",
            hint="pip install 'baluarte[otel]'",
        )


def follow_grpc(settings: ServeSettings, stopping: threading.Event) -> list[threading.Thread]:
    """A thread that keeps the gRPC door's process; none where there is no such door."""
    if not settings.grpc:
        return []
    # It is no worker of the HTTP port: who waits for those must not count it.
    apart = msgspec.structs.replace(settings, announced=False)
    return [threading.Thread(target=_keep, args=(apart, stopping, _process), name="grpc")]


def _process(settings: ServeSettings) -> multiprocessing.process.BaseProcess:
    from baluarte.apps.scoring.grpc_door import run  # noqa: PLC0415 - an extra's

    return multiprocessing.get_context("spawn").Process(
        target=run, args=(settings,), name="baluarte-grpc"
    )


def _keep(
    settings: ServeSettings,
    stopping: threading.Event,
    make: Callable[[ServeSettings], multiprocessing.process.BaseProcess],
) -> None:
    while not stopping.is_set():
        process = make(settings)
        process.start()
        started = time.monotonic()
        while process.is_alive() and not stopping.wait(0.05):
            continue
        if stopping.is_set():
            process.terminate()
            process.join(_STOP_S)
            if process.is_alive():
                process.kill()
                process.join()
            return
        LOG.error("the gRPC door ended by itself and is started again")
        stopping.wait(_AGAIN_S if time.monotonic() - started > _SOON_S else _SLOWLY_S)
