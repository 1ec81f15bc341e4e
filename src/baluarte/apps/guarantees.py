"""The simulations behind every guarantee, run here and now, and whether each bound was kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import msgspec

from baluarte import wiring
from baluarte.apps.catalogue import Texts
from baluarte.apps.numerals import Numerals
from baluarte.testing import guarantees
from baluarte.testing.guarantees import Shown

TOLERANCE = 3.0  #: standard errors that a simulated rate may lie above what is promised

Run = Callable[[int], Shown]  #: from a seed


class Guarantee(msgspec.Struct, frozen=True, kw_only=True):
    """One guarantee, simulated: what is promised, what was measured, what usual practice does.

    Attributes:
        key: of its texts in the catalogue.
        counted: whether promised and measured are numbers of alarms, and no rates.
        allowed: the promise with the simulation's own tolerance.
    """

    key: str
    seed: int
    n: int
    counted: bool
    promised: float
    allowed: float
    measured: float
    usual: dict[str, float]

    @property
    def kept(self) -> bool:
        """Whether the bound held in this simulation."""
        return self.measured <= self.allowed


def _drift(seed: int) -> Shown:
    detector = wiring.plugin("drift", "e_detector", where="drift")
    view = wiring.plugin("drift", "ks", where="drift")
    return guarantees.quiet(
        detector, view, seed, events=100_000, arl=25_000, columns=12, baseline=20_000
    )


#: key and simulation; all together take some ten seconds of one core
SIMULATIONS: tuple[tuple[str, Run], ...] = (
    ("budget", lambda seed: guarantees.budget(seed, repetitions=20_000)),
    ("looks", lambda seed: guarantees.resubmissions(seed, repetitions=10_000, truth=0.9499)),
    ("segments", lambda seed: guarantees.best_segments(seed, repetitions=5_000)),
    ("challenger", lambda seed: guarantees.challenger(seed, repetitions=2_000)),
    ("audits", lambda seed: guarantees.audited_challenger(seed, repetitions=600)),
    ("drift", _drift),
)


def simulate(seed: int) -> Iterator[Guarantee]:
    """Run every simulation, one after another.

    Args:
        seed: of the first; the others have the numbers that follow.
    """
    for number, (key, run) in enumerate(SIMULATIONS):
        yield judged(key, seed + number, run(seed + number))


def judged(key: str, seed: int, shown: Shown) -> Guarantee:
    """Hold what was measured against the promise, with three standard errors of the simulation."""
    counted = shown.promised > 1
    p = shown.promised
    error = math.sqrt(p) if counted else math.sqrt(p * (1 - p) / shown.n)
    return Guarantee(
        key=key,
        seed=seed,
        n=shown.n,
        counted=counted,
        promised=p,
        allowed=p + TOLERANCE * error,
        measured=shown.measured,
        usual=shown.usual,
    )


def amount(numerals: Numerals, guarantee: Guarantee, value: float) -> str:
    """A rate in percent, or a number of alarms."""
    return numerals.number(value) if guarantee.counted else numerals.percent(value)


def usual_words(texts: Texts, guarantee: Guarantee) -> list[tuple[str, float]]:
    """The practices that it replaces, in words, with what each did in the same worlds."""
    return [
        (texts.get(f"guarantee.{guarantee.key}_usual_{number}"), value)
        for number, value in enumerate(guarantee.usual.values(), 1)
    ]
