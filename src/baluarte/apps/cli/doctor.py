"""Is this machine fit to run Baluarte? Python, kernel, rounding, extras, room, stores."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from baluarte.apps.cli.doctor_server import Finding, server_findings
from baluarte.apps.cli.screen import Screen
from baluarte.apps.place import find_workspace
from baluarte.errors import BaluarteError, ContractError

_ENOUGH_BYTES = 2 << 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte doctor``: none of its own."""
    del parser


def run(args: argparse.Namespace) -> int:
    """Look at everything; exit 1 where something would not work."""
    screen = Screen(as_json=args.json)
    findings = [*_python(), *_kernel(), *_extras(), *_workspace(args)]
    for found in findings:
        screen.item(found.label, f"{found.text}  {found.hint}".rstrip(), found.tone)
    broken = any(found.tone == "broken" for found in findings)
    screen.data(
        findings=[
            {"label": f.label, "text": f.text, "state": f.tone, "hint": f.hint} for f in findings
        ]
    )
    screen.next("baluarte demo" if not broken else "cure what is marked, then baluarte doctor")
    return screen.end(1 if broken else 0)


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    fit = sys.version_info >= (3, 11)
    yield Finding("Python", f"{version} on {platform.machine()}", "kept" if fit else "broken")
    yield Finding("Cores", str(len(os.sched_getaffinity(0))), "kept")


def _kernel() -> Iterator[Finding]:
    try:
        importlib.import_module("baluarte.core.program._kernel")
    except ImportError:
        yield Finding(
            "Kernel",
            "not built: the NumPy evaluator gives the same bits, slower",
            "unsure",
            "Install with a C compiler.",
        )
    else:
        yield Finding("Kernel", "C, the same bits as NumPy", "kept")


def _extras() -> Iterator[Finding]:
    for extra, names in (
        ("files", ("pyarrow",)),
        ("train", ("pyarrow", "scikit-learn", "lightgbm", "optuna")),
        ("grpc", ("grpcio", "protobuf")),
        ("otel", ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-grpc")),
    ):
        missing = []
        for name in names:
            try:
                importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                missing.append(name)
        if missing:
            yield Finding(
                f"[{extra}]",
                f"missing: {', '.join(missing)}",
                "unsure",
                f"pip install 'baluarte[{extra}]'",
            )
        else:
            yield Finding(f"[{extra}]", "installed", "kept")
    try:
        import lightgbm  # noqa: F401, PLC0415 - looks for its OpenMP library
    except ImportError:
        pass
    except OSError as error:
        yield Finding("LightGBM", str(error), "broken", "apt-get install libgomp1")


def _workspace(args: argparse.Namespace) -> Iterator[Finding]:
    try:
        place = find_workspace(args)
    except ContractError as error:
        yield Finding("Workspace", error.faults[0].message, "unsure", error.faults[0].hint or "")
        return
    yield Finding("Workspace", f"{len(place.workspace.detectors)} detectors", "kept")
    folder = _existing(place.ledger)
    free = shutil.disk_usage(folder).free
    yield Finding(
        "Room",
        f"{free / 2**30:.1f} GiB free for the ledger",
        "kept" if free >= _ENOUGH_BYTES else "unsure",
        "" if free >= _ENOUGH_BYTES else "No room to record means no decision (503).",
    )
    writable = os.access(folder, os.W_OK)
    yield Finding("Ledger", str(place.ledger), "kept" if writable else "broken")
    yield from server_findings(place, folder if writable else None)
    try:
        from baluarte.wiring import open_registry  # noqa: PLC0415 - loads sqlite3

        with open_registry(place.registry, password=place.stores_password) as registry:
            yield Finding("Registry", f"{len(registry.detectors())} detectors sealed", "kept")
    except BaluarteError as error:
        yield Finding("Registry", str(error), "broken")


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())
