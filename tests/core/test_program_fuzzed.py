"""baluarte.core.program.format under libFuzzer: no crash, no hang, no memory over the bound."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
#: of the whole process, Python and NumPy among it; an input has at most 16 KiB
MEMORY_MIB = 1024
HANG_S = 60


def fuzz(folder, seconds):
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed here: libFuzzer has no other way to Python")
    done = subprocess.run(
        [
            *(sys.executable, str(HERE / "fuzz_program.py"), str(folder / "corpus")),
            *(f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY_MIB}", f"-timeout={HANG_S}"),
            *(f"-artifact_prefix={folder}/", "-print_final_stats=1", "-seed=1"),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1] / "src"), "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    (inputs,) = re.findall(r"stat::number_of_executed_units:\s+(\d+)", done.stderr)
    return int(inputs)


def test_some_seconds_of_fuzzing_find_nothing(tmp_path):
    assert fuzz(tmp_path, 10) > 10


@pytest.mark.soak
def test_ten_minutes_of_fuzzing_find_nothing(tmp_path):
    assert fuzz(tmp_path, 600) > 1_000
