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

from baluarte.apps.cli.doctor_server import Doctor, Finding, server_findings
from baluarte.apps.cli.screen import Screen
from baluarte.apps.place import find_workspace
from baluarte.apps.session import texts_anywhere
from baluarte.errors import BaluarteError, ContractError

_ENOUGH_BYTES = 2 << 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte doctor``: none of its own."""
    del parser


def run(args: argparse.Namespace) -> int:
    """Look at everything; exit 1 where something would not work."""
    screen = Screen(as_json=args.json)
    texts = screen.speaks(texts_anywhere(args))
    doctor = Doctor(texts)
    findings = [*_python(doctor), *_kernel(doctor), *_extras(doctor), *_workspace(args, doctor)]
    for found in findings:
        screen.item(found.label, f"{found.text}  {found.hint}".rstrip(), found.tone)
    broken = any(found.tone == "broken" for found in findings)
    screen.data(
        findings=[
            {
                "check": f.check,
                "label": f.label,
                "text": f.text,
                "state": f.tone,
                "hint": f.hint,
            }
            for f in findings
        ]
    )
    screen.next(texts.get("screen.cure_marked") if broken else "baluarte demo")
    return screen.end(1 if broken else 0)


def _python(doctor: Doctor) -> Iterator[Finding]:
    said = {"version": platform.python_version(), "machine": platform.machine()}
    fit = sys.version_info >= (3, 11)
    yield doctor.found("python", "python_line", "kept" if fit else "broken", **said)
    yield doctor.plain("cores", str(len(os.sched_getaffinity(0))), "kept")


def _kernel(doctor: Doctor) -> Iterator[Finding]:
    try:
        importlib.import_module("baluarte.core.program._kernel")
    except ImportError:
        yield doctor.found("kernel", "kernel_none", "unsure", cure="kernel_cure")
    else:
        yield doctor.found("kernel", "kernel_c", "kept")


def _extras(doctor: Doctor) -> Iterator[Finding]:
    for extra, names in (
        ("files", ("pyarrow",)),
        ("train", ("pyarrow", "scikit-learn", "lightgbm", "optuna")),
        ("grpc", ("grpcio", "protobuf")),
        ("otel", ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-grpc")),
    ):
        missing = [name for name in names if not _installed(name)]
        yield Finding(
            check=extra,
            label=f"[{extra}]",
            text=doctor.say("missing", names=", ".join(missing))
            if missing
            else doctor.say("installed"),
            tone="unsure" if missing else "kept",
            hint=f"pip install 'baluarte[{extra}]'" if missing else "",
        )
    try:
        import lightgbm  # noqa: F401, PLC0415 - looks for its OpenMP library
    except ImportError:
        pass
    except OSError as error:
        yield doctor.plain("lightgbm", str(error), "broken", hint="apt-get install libgomp1")


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _workspace(args: argparse.Namespace, doctor: Doctor) -> Iterator[Finding]:
    try:
        place = find_workspace(args)
    except ContractError as error:
        fault = error.faults[0]
        yield doctor.plain("workspace", fault.message, "unsure", hint=fault.hint or "")
        return
    yield doctor.found("workspace", "detectors", "kept", n=len(place.workspace.detectors))
    folder = _existing(place.ledger)
    free = shutil.disk_usage(folder).free
    enough = free >= _ENOUGH_BYTES
    yield doctor.found(
        "room",
        "room_line",
        "kept" if enough else "unsure",
        cure=None if enough else "room_cure",
        free=doctor.texts.numerals.size(free, 3),
    )
    writable = os.access(folder, os.W_OK)
    yield doctor.plain("ledger", str(place.ledger), "kept" if writable else "broken")
    yield from server_findings(place, folder if writable else None, doctor)
    try:
        from baluarte.wiring import open_registry  # noqa: PLC0415 - loads sqlite3

        with open_registry(place.registry, password=place.stores_password) as registry:
            yield doctor.found("registry", "sealed", "kept", n=len(registry.detectors()))
    except BaluarteError as error:
        yield doctor.plain("registry", str(error), "broken")


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())
