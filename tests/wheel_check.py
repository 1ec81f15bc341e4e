"""Build the wheel, install it clean (base, then all extras), import every module."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: rooms whose modules need an extra; everything else must import with the base dependencies alone
NEEDS_TRAIN = ("baluarte.methods.models.", "baluarte.methods.search.", "baluarte.methods.sklearn")
NEEDS_FILES = (
    "baluarte.adapters.sources.",
    "baluarte.adapters.sinks.",
    "baluarte.adapters.arrow_",
    "baluarte.adapters.csv_blocks",
    "baluarte.adapters.parquet_",
    "baluarte.apps.scoring.protocols.arrow_stream",
)
#: modules that their extras alone import: a gRPC door, a collector of telemetry
NEEDS_OTHERS = (
    "baluarte.apps.scoring.grpc_door",
    "baluarte.apps.scoring.protocols.inference_messages",
    "baluarte.apps.scoring.telemetry",
)
DATA_FOLDERS = ("shared", "nsl-kdd", ".parquet")

PROBE = """
import importlib, pkgutil, sys, baluarte
skip = tuple(sys.argv[1:])
names = [m.name for m in pkgutil.walk_packages(baluarte.__path__, "baluarte.")]
names = [n for n in names if not n.startswith(skip)] if skip else names
for name in names:
    importlib.import_module(name)
print(len(names), "modules imported")
"""


def run(*words: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def install(python: Path, lock: Path, wheel: Path) -> None:
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    pip = (
        [uv, "pip", "install", "--quiet", "--python", str(python)]
        if uv
        else [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    )
    run(*pip, "--require-hashes", "-r", str(lock))
    run(*pip, "--no-deps", str(wheel))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        run(
            sys.executable,
            "-m",
            "build",
            "--wheel",
            "--no-isolation",
            "--outdir",
            folder,
            str(ROOT),
        )
        wheel = next(place.glob("baluarte-*.whl"))
        names = zipfile.ZipFile(wheel).namelist()
        stray = [n for n in names if any(word in n for word in DATA_FOLDERS)]
        assert not stray, f"the wheel holds what it must not: {stray}"
        assert "baluarte/py.typed" in names
        for label, lock, skip in (
            ("base", "base.txt", NEEDS_TRAIN + NEEDS_FILES + NEEDS_OTHERS),
            ("train", "train.txt", NEEDS_OTHERS),
        ):
            home = place / label
            venv.create(home, with_pip=False)
            python = home / "bin" / "python"
            install(python, ROOT / "requirements" / lock, wheel)
            said = run(str(python), "-W", "error", "-c", PROBE, *skip, cwd=place)
            run(str(home / "bin" / "baluarte"), "--help", cwd=place)
            print(f"wheel, {label}: {said.strip()}")


if __name__ == "__main__":
    main()
