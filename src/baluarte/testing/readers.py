"""What every reader of foreign models keeps: the model's own output, and a refusal of damage.

The rows hold what goes wrong: missing values, texts the model never saw, both zeros, and values at
and one unit in the last place beside every place where the model changes its mind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baluarte.core.adopted import Compared, certify, sealed
from baluarte.core.certificate import Certificate
from baluarte.core.program.draft import Draft, DraftLinear, DraftPart, DraftStack, DraftTrees
from baluarte.core.program.draft_dense import DraftKernel, DraftNetwork
from baluarte.core.program.draft_value import n_terms, value
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.program.format import dumps
from baluarte.core.program.model import Inputs
from baluarte.core.schema import FLOAT32_MAX
from baluarte.errors import DataError
from baluarte.ports import ForeignModel, Matrix, ModelReader
from baluarte.testing.expect import expect, same

_EDGES = (np.nan, 0.0, -0.0, 1e-35, -1e-35, 1e-300, 16_777_217.0, 1e30, -1e30)
_DAMAGED = 60  #: damaged forms of each sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A model's file as its library wrote it, and rows for the model.

    Attributes:
        output: what the library said of the rows, on the draft's scale, asked without Baluarte;
            None where the library has no float64 output.
        tolerance: of the larger of 1 and Σ|terms|.
    """

    name: str
    data: bytes
    rows: Matrix
    output: NDArray[np.float64] | None = None
    tolerance: float = 1e-9
    positive: str | None = None
    missing: bool = True  #: whether the model takes missing values
    library: bool = True  #: whether there is a library to ask

    def read(self, reader: ModelReader) -> ForeignModel:
        """The model."""
        return reader.read(self.data, positive=self.positive, where=self.name)


ReaderCheck = Callable[[ModelReader, Sample], None]


def certificate_of(model: ForeignModel, rows: Matrix, *, fit: Matrix) -> Certificate:
    """A certificate of a model on rows, its threshold at their median score."""
    draft = model.draft(fit)
    program = sealed(draft)
    scores = Evaluator(program).score(rows)
    own, size = value(draft, rows)
    return certify(
        Compared(
            scores=scores,
            scale_bits=program.scale_bits,
            own=own,
            size=size,
            n_terms=n_terms(draft),
            output=model.by_library(rows),
            thresholds=(int(np.median(scores)),),
            outcomes=("pass", "alert"),
        ),
        model="sha256:0",
        rows="sha256:0",
        read_as=model.read_as,
    )


def trap_rows(model: ForeignModel, rows: Matrix, *, n: int, missing: bool = True) -> Matrix:
    """(n, inputs) rows with values where a comparison could go the other way."""
    rng = np.random.default_rng(0)
    traps = rows[rng.integers(len(rows), size=n)].copy()
    draft = model.draft(rows)
    for j, one in enumerate(model.inputs):
        if one.categories is not None:
            pool = np.array([*range(len(one.categories) + 1), np.nan])
        elif one.whole:
            pool = np.array([np.nan, *range(70), 999], dtype=np.float64)
        else:
            pool = _near(draft, j)
        if not missing:
            pool = pool[~np.isnan(pool)]
        hit = rng.random(n) < 0.5
        traps[hit, j] = pool[rng.integers(len(pool), size=int(hit.sum()))]
    if missing:
        traps[0] = np.nan
    return traps


def _near(draft: Draft, column: int) -> NDArray[np.float64]:
    found = [np.array(_EDGES)]
    linear = False
    parts = _plain(draft)
    for part in parts:
        if isinstance(part, DraftTrees):
            found.append(part.threshold[part.feature == column])
        elif (ranged := _ranged(part)) is not None:
            mine = ranged.column == column
            linear = linear or bool(mine.any())
            found += [ranged.low[mine], ranged.high[mine], ranged.center[mine]]
    cuts = np.concatenate(found[1:] if linear else found)
    cuts = cuts[np.isnan(cuts) | (np.abs(cuts) <= FLOAT32_MAX)]
    near = np.concatenate([cuts, np.nextafter(cuts, np.inf), np.nextafter(cuts, -np.inf)])
    if linear:  # beyond the range of a linear term its value is the range's end
        for part in parts:
            ranged = _ranged(part)
            if ranged is not None:
                mine = ranged.column == column
                near = np.clip(near, ranged.low[mine].max(), ranged.high[mine].min())
    return near if len(near) else np.zeros(1)


def _plain(draft: Draft) -> list[DraftPart]:
    """The parts, those of a stack's members in its place."""
    found: list[DraftPart] = []
    for part in draft.parts:
        if isinstance(part, DraftStack):
            found += [own for member in part.members for own in _plain(member.draft)]
        else:
            found.append(part)
    return found


def _ranged(part: DraftPart) -> DraftLinear | Inputs | None:
    """What a part clips numbers to, where it does."""
    if isinstance(part, (DraftKernel, DraftNetwork)):
        return part.inputs
    return part if isinstance(part, DraftLinear) else None


def check_it_recognises_its_own(reader: ModelReader, sample: Sample) -> None:
    """By the file's first bytes and its name."""
    expect(reader.recognises(sample.name, sample.data[:4096]), f"{reader.name} recognises it")
    expect(not reader.recognises("events.csv", b"a,b\n1,2\n"), "and not a table")


def check_the_program_is_the_model(reader: ModelReader, sample: Sample) -> None:
    """On the sample's rows: what the library said, asked without us."""
    draft = sample.read(reader).draft(sample.rows)
    program = sealed(draft)
    own = Evaluator(program).score(sample.rows) * 2.0**-program.scale_bits
    if sample.output is not None:
        _, size = value(draft, sample.rows)
        off = np.abs(own - sample.output) / np.maximum(1.0, size)
        worst = float(off.max())
        expect(worst <= sample.tolerance, f"off by {worst:g}, not {sample.tolerance:g}")


def check_the_certificate_holds_on_traps(reader: ModelReader, sample: Sample) -> None:
    """Every comparison goes as the library's does."""
    model = sample.read(reader)
    rows = trap_rows(model, sample.rows, n=2_000, missing=sample.missing)
    found = certificate_of(model, rows, fit=sample.rows)
    expect(found.kept, f"off by {found.largest_ratio:g} times the bound")
    same(found.n_changed, found.n_ties)
    if found.single_ratio is not None:
        expect(found.single_ratio <= 1.0, f"float32 is off by {found.single_ratio:g} bounds")
    expect((found.library != "") == sample.library, "the library was asked, where there is one")


def check_reading_is_a_function_of_the_bytes(reader: ModelReader, sample: Sample) -> None:
    """Equal files give equal programs."""
    first, second = (dumps(sealed(sample.read(reader).draft(sample.rows))) for _ in range(2))
    same(first, second)


def check_damage_is_refused_or_harmless(reader: ModelReader, sample: Sample) -> None:
    """Cut, changed and repeated bytes: a refusal, or a program that may be evaluated."""
    survive_damage(reader, sample, n=_DAMAGED)


def survive_damage(reader: ModelReader, sample: Sample, *, n: int, seed: int = 0) -> None:
    """Read ``n`` damaged forms of a sample; whatever can be read can be sealed and evaluated.

    Raises:
        Exception: anything but a refusal.
    """
    rng = np.random.default_rng((len(sample.data), seed))
    for _ in range(n):
        data = damaged(sample.data, rng)
        try:
            model = reader.read(data, positive=sample.positive, where=sample.name)
            rows = np.zeros((2, len(model.inputs)))
            Evaluator(sealed(model.draft(rows))).score(rows)
        except (DataError, ValueError):
            continue


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """A file with one thing wrong."""
    at = int(rng.integers(len(data)))
    kind = int(rng.integers(4))
    if kind == 0:
        return data[:at]
    if kind == 1:
        width = int(rng.integers(1, 40))
        return data[:at] + data[at + width :]
    if kind == 2:
        width = int(rng.integers(1, 200))
        return data[:at] + data[at : at + width] * int(rng.integers(2, 5)) + data[at + width :]
    changed = bytearray(data)
    for place in rng.integers(len(data), size=int(rng.integers(1, 6))):
        changed[place] = int(rng.integers(256))
    return bytes(changed)


READER_CHECKS: Sequence[ReaderCheck] = (
    check_it_recognises_its_own,
    check_the_program_is_the_model,
    check_the_certificate_holds_on_traps,
    check_reading_is_a_function_of_the_bytes,
    check_damage_is_refused_or_harmless,
)
