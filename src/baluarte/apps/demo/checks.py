"""The five promises, checked on this very run; each has a command that checks it again."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from baluarte.apps.charts.values import Tone
from baluarte.apps.session import Session
from baluarte.errors import OutsideError
from baluarte.stages.bits import verify_bits
from baluarte.stages.replay import replay
from baluarte.stages.verify import verify_ledger
from baluarte.testing import guarantees

State = Literal["held", "not_held", "not_compared"]
TONES: dict[State, Tone] = {"held": "kept", "not_held": "broken", "not_compared": "unsure"}
_BITS_ROWS = 2_000
_REPLAYED = 1_000
_COMPUTED = 50  #: decisions whose reasons were left out, that are asked for them now
_SEED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One promise: its key in the catalogue, the command, whether it held, and the figures."""

    key: str
    command: str
    held: bool
    figures: dict[str, int | float | str]

    @property
    def state(self) -> State:
        """How it stands; without a compiled kernel there is nothing to compare bits with."""
        if self.key == "same_bits" and self.held and not self.figures["rows"]:
            return "not_compared"
        return "held" if self.held else "not_held"


def program(place: Path) -> str:
    """How a person standing in the demo's folder calls the command line."""
    found = shutil.which("baluarte")
    if found is not None:
        return "baluarte"
    beside = Path(sys.executable).with_name("baluarte")
    try:
        return str(Path("..") / beside.relative_to(place.resolve().parent))
    except ValueError:
        return str(beside)


def check_promises(session: Session, detector: str) -> list[Checked]:
    """Check all five; the order is that of the house."""
    call = program(session.place.root)
    champion = session.registry.champion(detector)
    label = f"{detector}@{champion.version}" if champion else detector
    checks: tuple[tuple[str, str, Callable[[], tuple[bool, dict[str, int | float | str]]]], ...] = (
        ("same_bits", f"verify {label} --bits", lambda: _same_bits(session, detector)),
        ("reasons", "explain LAST", lambda: _reasons(session)),
        ("proof", "ledger verify", lambda: _proof(session)),
        ("replay", f"replay --sample {_REPLAYED}", lambda: _replay(session)),
        ("guarantee", "report guarantee", _guarantee),
    )
    out = []
    for key, words, check in checks:
        held, figures = check()
        out.append(Checked(key=key, command=f"{call} {words}", held=held, figures=figures))
    return out


def _same_bits(session: Session, detector: str) -> tuple[bool, dict[str, int | float | str]]:
    champion = session.registry.champion(detector)
    if champion is None:
        return False, {}
    bundle = session.bundle(champion.digest)
    try:
        report = verify_bits(
            bundle.program,
            bundle.encoder.columns,
            n_rows=_BITS_ROWS,
            rng=np.random.default_rng(_SEED),
        )
    except OutsideError:  # only the NumPy evaluator is here: nothing to differ from
        return True, {"rows": 0, "different": 0}
    return report.n_different == 0, {"rows": report.n_rows, "different": report.n_different}


def _reasons(session: Session) -> tuple[bool, dict[str, int | float | str]]:
    records = list(session.decisions())
    told = [(r.base or 0, r.reasons, r.score) for r in records if r.reasons is not None]
    left = {r.id: r for r in records if r.reasons_deferred is True}
    asked = list(left.values())[:: max(1, len(left) // _COMPUTED)]
    told += [
        (*one.supplied, left[one.id].score)
        for one in replay(asked, session.bundle)
        if one.supplied is not None
    ]
    wrong = sum(base + sum(reasons) != score for base, reasons, score in told)
    return wrong == 0 and bool(told), {"decisions": len(told), "different": wrong}


def _proof(session: Session) -> tuple[bool, dict[str, int | float | str]]:
    report = verify_ledger(session.reader, session.verifier, witnesses=session.witnesses)
    records = sum(shard.size for shard in report.shards)
    signed = sum(shard.signed_size for shard in report.shards)
    faults = len(report.all_faults)
    return faults == 0, {"records": records, "signed": signed, "faults": faults}


def _replay(session: Session) -> tuple[bool, dict[str, int | float | str]]:
    records = list(session.decisions())
    chosen = np.random.default_rng(_SEED).permutation(len(records))[:_REPLAYED]
    found = replay([records[i] for i in chosen], session.bundle)
    differ = sum(one.difference is not None for one in found)
    return differ == 0 and bool(found), {"decisions": len(found), "different": differ}


def _guarantee() -> tuple[bool, dict[str, int | float | str]]:
    shown = guarantees.budget(_SEED, repetitions=2_000)
    slack = 3 * (shown.promised * (1 - shown.promised) / shown.n) ** 0.5
    usual = next(iter(shown.usual.values()))
    return shown.measured <= shown.promised + slack, {
        "broken": shown.measured,
        "promised": shown.promised,
        "usual": usual,
        "repetitions": shown.n,
    }
