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
from baluarte.core.survey import survey

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
    found = _findings(given)
    seconds = time.perf_counter() - started
    trapped = {column for trap in given.traps for column in trap.columns}
    clean = [f.name for f in given.contract.events.features if f.name not in trapped]
    flagged = {f.field for f in found if f.level != "note"} & set(clean)
    noted = {f.field for f in found if f.level == "note"} & set(clean)
    named = [trap for trap in given.traps if _is_named(trap, found)]
    print(
        f"{given.name:14} {given.events.n:>9,} {len(named):>3}/{len(given.traps):<3} "
        f"{len(clean):>6} {len(flagged):>8} {len(noted):>6} {seconds:>6.1f}"
    )
    worse = [f"{given.name}: unnamed: {t.says}" for t in given.traps if not _is_named(t, found)]
    if len(flagged) > MOST_FLAGGED * len(clean):
        worse.append(f"{given.name}: flagged: {', '.join(sorted(map(str, flagged)))}")
    return worse


def _findings(given: PlanSet) -> list[Finding]:
    held = survey(given.contract, [given.holdout]) if given.holdout is not None else None
    seen = survey(given.contract, [given.events], holdout=held)
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
