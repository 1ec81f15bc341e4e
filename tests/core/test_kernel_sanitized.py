"""The extension modules under AddressSanitizer and UndefinedBehaviorSanitizer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
#: harness -> the folder of the module's sources, and the module
MODULES = {
    "harness.py": ("core/program", "_kernel"),
    "windows_harness.py": ("core", "_windows"),
    "rows_harness.py": ("core", "_rows"),
    "records_harness.py": ("core", "_records"),
    "bands_harness.py": ("core", "_bands"),
    "multiset_harness.py": ("core", "_multiset"),
    "claims_harness.py": ("adapters/ledger", "_claims"),
}
FLAGS = (
    *("-shared", "-fPIC", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"),
    *("-ffp-contract=off", "-fno-fast-math", "-DPy_LIMITED_API=0x030B0000"),
    *("-fno-omit-frame-pointer", "-fno-sanitize-recover=all"),
    "-fsanitize=address,undefined,float-cast-overflow",
)


def built(folder, sources, name):
    compiler = shutil.which("gcc")
    headers = Path(sysconfig.get_paths()["include"])
    if compiler is None or not (headers / "Python.h").exists():
        pytest.skip("no gcc with Python's headers here: the sanitized kernel can't be built")
    runtime = [
        subprocess.run(
            [compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    if not all(Path(path).is_absolute() for path in runtime):
        pytest.skip("gcc has no sanitizer runtime here")
    module = folder / f"{name}.abi3.so"
    subprocess.run([compiler, *FLAGS, f"-I{headers}", *sources, "-o", str(module)], check=True)
    return module, runtime


def run_harness(folder, rounds, harness="harness.py"):
    place, name = MODULES[harness]
    sources = sorted(map(str, (ROOT / "src/baluarte" / place).glob("*.c")))
    module, runtime = built(folder, sources, name)
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join(runtime),
        # Python itself keeps memory until it exits, and refuses huge sizes by a failed malloc.
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(ROOT / "src"),
        "OPENBLAS_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, str(HERE / "sanitize" / harness), str(HERE), str(module), str(rounds)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    assert "sanitized: clean" in done.stdout


def test_sound_and_damaged_programs_plans_and_buffers_run_clean_under_sanitizers(tmp_path):
    run_harness(tmp_path, 3)


def test_hostile_tables_and_scores_run_clean_under_sanitizers(tmp_path):
    run_harness(tmp_path, 1, "bands_harness.py")


def test_window_features_and_damaged_state_run_clean_under_sanitizers(tmp_path):
    run_harness(tmp_path, 1, "windows_harness.py")


def test_rows_and_hostile_arguments_run_clean_under_sanitizers(tmp_path):
    run_harness(tmp_path, 1, "rows_harness.py")


def test_records_of_hostile_parts_run_clean_under_sanitizers(tmp_path):
    run_harness(tmp_path, 1, "records_harness.py")


def test_digests_of_rows_and_hostile_arguments_run_clean_under_sanitizers(tmp_path):
    run_harness(tmp_path, 1, "multiset_harness.py")


def test_claims_of_hostile_arguments_run_clean_under_sanitizers(tmp_path):
    run_harness(tmp_path, 1, "claims_harness.py")


@pytest.mark.soak
def test_many_more_rows_run_clean_under_sanitizers(tmp_path):
    run_harness(tmp_path, 50, "rows_harness.py")


@pytest.mark.soak
def test_many_more_histories_and_damages_run_clean_under_sanitizers(tmp_path):
    run_harness(tmp_path, 100, "windows_harness.py")


@pytest.mark.soak
def test_many_more_damages_run_clean_under_sanitizers(tmp_path):
    run_harness(tmp_path, 300)
