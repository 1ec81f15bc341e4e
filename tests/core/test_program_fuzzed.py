"""baluarte.core.program.format under libFuzzer: no crash, no hang, no memory over the bound."""

from __future__ import annotations

import gc
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dense_cases import KINDS, dense_draft
from program_cases import KERNELS, mixed_draft

from baluarte.core.program.draft import seal
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.program.format import dumps, loads
from baluarte.errors import TrustError

HERE = Path(__file__).parent
#: of the whole process, Python and NumPy among it; an input has at most 16 KiB
MEMORY_MIB = 1024
HANG_S = 60
SLICE_S = 120


def fuzz(folder, seconds):
    """Inputs that were tried, in processes that follow one another on one corpus.

    What atheris writes into the code that it follows keeps some 10 KB an input, which the same code
    without it does not (the test below): a process ends before that would pass for a finding.
    """
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed here: libFuzzer has no other way to Python")
    slices = [SLICE_S] * (seconds // SLICE_S) + [seconds % SLICE_S] * (seconds % SLICE_S > 0)
    return sum(fuzz_once(folder, each, number) for number, each in enumerate(slices, start=1))


def fuzz_once(folder, seconds, number):
    done = subprocess.run(
        [
            *(sys.executable, str(HERE / "fuzz_program.py"), str(folder / "corpus")),
            *(f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY_MIB}", f"-timeout={HANG_S}"),
            *(f"-artifact_prefix={folder}/", "-print_final_stats=1", f"-seed={number}"),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1] / "src"), "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    (inputs,) = re.findall(r"stat::number_of_executed_units:\s+(\d+)", done.stderr)
    return int(inputs)


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc to read memory from")
def test_reading_refusing_scoring_and_explaining_keeps_no_memory():
    rng = np.random.default_rng(0)
    sound = [dumps(seal(mixed_draft(rng, n_trees=1, depth=depth))) for depth in (0, 2, 3)]
    sound += [dumps(seal(dense_draft(rng, kind, n_rows=2))) for kind in KINDS]

    def once(i):
        data = bytearray(sound[i % len(sound)])
        if i % 2:
            data[i * 7919 % len(data)] ^= 1 << i % 8
        try:
            program = loads(bytes(data))
        except TrustError:
            return
        X = np.zeros((1, program.n_features))
        for kernel in KERNELS:
            Evaluator(program, kernel=kernel).score(X)
        if i % 10 == 0:
            Evaluator(program, kernel=KERNELS[0]).reasons(X)

    for i in range(400):
        once(i)
    gc.collect()
    before, n = resident_bytes(), 4_000
    for i in range(n):
        once(i)
    gc.collect()
    assert resident_bytes() - before <= n * 512


def test_some_seconds_of_fuzzing_find_nothing(tmp_path):
    assert fuzz(tmp_path, 10) > 10


@pytest.mark.soak
def test_ten_minutes_of_fuzzing_find_nothing(tmp_path):
    assert fuzz(tmp_path, 600) > 1_000
