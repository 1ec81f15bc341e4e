"""The kernel without Python: on aarch64, under ThreadSanitizer, counting malloc, its machine code.

Each builds ``native/driver.c`` with the kernel's sources and lets it compute the same cases; what
they must give comes from the NumPy evaluator of this machine.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from dense_cases import KINDS, dense_draft
from native_case import native_case
from program_cases import RULES, mixed_draft, random_trees, trap_rows

from baluarte.core.program.draft import Draft, seal

HERE = Path(__file__).parent
KERNEL = HERE.parents[1] / "src/baluarte/core/program"
SOURCES = [
    str(HERE / "native/driver.c"),
    *sorted(str(path) for path in KERNEL.glob("*.c") if path.name != "_kernel.c"),
]
#: as pyproject.toml builds the wheel, but for the level
FLAGS = ("-ffp-contract=off", "-fno-fast-math", "-pthread", "-Wno-psabi", f"-I{KERNEL}")
COUNTED = (
    *("-O1", "-DCOUNT_ALLOCATIONS"),
    *(f"-Wl,--wrap={name}" for name in ("malloc", "calloc", "aligned_alloc")),
)
FUSED = re.compile(r"\s(vfn?m(?:add|sub)\w*|fn?m(?:add|sub)|fml[as])\s")


def found(*tools):
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed here: {', '.join(missing)}")


@lru_cache
def driver(compiler, folder, *flags):
    out = folder / ("driver-" + "".join(filter(str.isalnum, compiler + "".join(flags))))
    subprocess.run([compiler, *FLAGS, *flags, *SOURCES, "-lm", "-o", str(out)], check=True)
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("native")


def said(*command, **environment):
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=False,
        env=environment or None,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def programs(n_seeds):
    """Every rule and kind of part, small and large trees, many columns; whether all is exact."""
    for seed in range(n_seeds):
        rng = np.random.default_rng(seed)
        yield seal(mixed_draft(rng, n_trees=5, depth=int(rng.integers(0, 8)))), rng, True
        rule = RULES[seed % 3]
        large = random_trees(rng, rule, n_trees=3, depth=11, n_features=80)
        yield seal(Draft(n_features=80, base=0.5, parts=(large,))), rng, True
        for kind in KINDS:
            others = mixed_draft(rng, n_trees=1, depth=3).parts
            draft = dense_draft(rng, kind, others=others)
            parts = (*others, *draft.parts)
            yield seal(Draft(n_features=6, base=draft.base, parts=parts)), rng, False


def same_bits(run, folder, *, n_seeds, n_rows, n_explained):
    """Scores and reasons of every case by ``run``, an emulator and a driver; how many rows."""
    scores = 0
    case = folder / "case"
    for program, rng, exact in programs(n_seeds):
        X = trap_rows(program, rng, n_rows)
        case.write_bytes(native_case(program, X, n_explained=n_explained if exact else 0))
        out = said(*run, case)
        assert out.startswith("scores: 0 of ")
        assert not exact or "reasons: 0 of " in out
        scores += len(X)
    return scores


EMULATOR = ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu")


def aarch64(folder):
    """An emulator and the driver for it."""
    found("qemu-aarch64", "aarch64-linux-gnu-gcc")
    return (*EMULATOR, driver("aarch64-linux-gnu-gcc", folder, "-O3"))


def test_aarch64_gives_the_same_bits(folder):
    assert same_bits(aarch64(folder), folder, n_seeds=3, n_rows=250, n_explained=20) > 4000


@pytest.mark.soak
def test_aarch64_gives_the_same_bits_on_many_more_rows(folder):
    assert same_bits(aarch64(folder), folder, n_seeds=30, n_rows=2000, n_explained=60) > 300_000


def test_threads_share_a_program_without_a_race(folder):
    found("gcc")
    tsan = subprocess.run(
        ["gcc", "-print-file-name=libtsan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(tsan).is_absolute():
        pytest.skip("gcc has no ThreadSanitizer here")
    watched = driver("gcc", folder, "-O1", "-fsanitize=thread")
    same_bits((watched,), folder, n_seeds=1, n_rows=300, n_explained=12)


def test_a_single_row_is_scored_and_explained_without_allocating(folder):
    """Also where it has thousands of columns or inputs, which no stack would hold."""
    found("gcc")
    counted = driver("gcc", folder, *COUNTED)
    same_bits((counted,), folder, n_seeds=2, n_rows=20, n_explained=5)
    rng = np.random.default_rng(50)
    wide = random_trees(rng, "sklearn", n_trees=900, depth=6, n_features=9000)
    program = seal(Draft(n_features=9000, base=0.0, parts=(wide,)))
    case = folder / "wide"
    case.write_bytes(native_case(program, trap_rows(program, rng, 9), n_explained=3))
    assert "reasons of 3 single rows: 0 allocations" in said(counted, case)


def test_neither_machine_code_fuses_a_multiplication_and_an_addition(folder):
    found("objdump")
    module = pytest.importorskip("baluarte.core.program._kernel")
    built = [("objdump", module.__file__)]
    if shutil.which("aarch64-linux-gnu-objdump") and shutil.which("aarch64-linux-gnu-gcc"):
        other = driver("aarch64-linux-gnu-gcc", folder, "-O3")
        built.append(("aarch64-linux-gnu-objdump", other))
    for tool, path in built:
        code = said(tool, "-d", "--no-show-raw-insn", path)
        assert len(code) > 100_000
        assert not FUSED.findall(code)
