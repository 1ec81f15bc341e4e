"""What plan finds in the public sets: every trap that their own page names, and how much more.

    python benchmarks/plan.py --data shared/data [SET …]

A clean column is one that no trap of the set is about; it is flagged where a warning or a block
names it, and noted where a note does. The exit status is 1 where a trap goes unnamed, or where more
than one clean column in twenty is flagged.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from plan_sets import SETS, PlanSet, Trap

from baluarte import wiring
from baluarte.core.evidence import Finding
from baluarte.core.survey import MAX_ROWS, survey

MOST_FLAGGED = 1 / 20


def main() -> int:
    """Print one row a set, then what was missed or flagged by mistake."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)}")
    parser.add_argument("--data", type=Path, default=os.environ.get("BALUARTE_DATA"))
    args = parser.parse_args()
    if args.data is None:
        parser.error("no folder of the public sets: give --data or set BALUARTE_DATA")
    print(f"{'set':14} {'rows':>9} {'traps':>7} {'clean':>6} {'flagged':>8} {'noted':>6} {'s':>6}")
    worse = []
    for name in args.sets or SETS:
        worse += _judge(SETS[name](Path(args.data)))
    for line in worse:
        print(line)
    return 1 if worse else 0


def _judge(given: PlanSet) -> list[str]:
    """Print the set's row; what is short of the promise, in words."""
    started = time.perf_counter()
    found = findings(given)
    seconds = time.perf_counter() - started
    clean = clean_columns(given)
    noted = {f.field for f in found if f.level == "note"} & clean
    unnamed = unnamed_traps(given, found)
    flagged = flagged_columns(given, found)
    n_named = len(given.traps) - len(unnamed)
    print(
        f"{given.name:14} {given.events.n:>9,} {n_named:>3}/{len(given.traps):<3} "
        f"{len(clean):>6} {len(flagged):>8} {len(noted):>6} {seconds:>6.1f}"
    )
    worse = [f"{given.name}: unnamed: {says}" for says in unnamed]
    if len(flagged) > MOST_FLAGGED * len(clean):
        worse.append(f"{given.name}: flagged: {', '.join(flagged)}")
    return worse


def clean_columns(given: PlanSet) -> set[str]:
    """The features that no trap is about."""
    trapped = {column for trap in given.traps for column in trap.columns}
    return {f.name for f in given.contract.events.features if f.name not in trapped}


def flagged_columns(given: PlanSet, found: list[Finding]) -> list[str]:
    """The clean features that a warning or a block names."""
    clean = clean_columns(given)
    return sorted({f.field for f in found if f.level != "note" and f.field in clean})


def unnamed_traps(given: PlanSet, found: list[Finding]) -> list[str]:
    """What the traps say that no finding names."""
    return [trap.says for trap in given.traps if not _is_named(trap, found)]


def findings(given: PlanSet, *, max_rows: int = MAX_ROWS) -> list[Finding]:
    """All that the checks find in a set."""
    held = None
    if given.holdout is not None:
        held = survey(given.contract, [given.holdout], max_rows=max_rows)
    seen = survey(given.contract, [given.events], holdout=held, max_rows=max_rows)
    checks = [wiring.plugin("checks", name, where="") for name in wiring.plugin_names("checks")]
    return [finding for check in checks for finding in check.findings(given.contract, seen)]


def _is_named(trap: Trap, found: list[Finding]) -> bool:
    return any(
        (finding.check == check or finding.check.startswith(f"{check}."))
        and field in (None, finding.field)
        for finding in found
        for check, field in trap.named_by
    )


if __name__ == "__main__":
    sys.exit(main())
