"""Events that are another one but for a few fields: across the split, and within the fit rows.

What is near is told in :mod:`baluarte.core.near_copies`.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baluarte.core.chance import share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.core.near_copies import (
    FEWEST_FIELDS,
    MANY_FIELDS,
    codes_of,
    left_out,
    near_rows,
    surplus,
)
from baluarte.core.split import Part, repeats_rule
from baluarte.core.survey import survey_of

MAX_ROWS = 30_000
MANY = 0.25
SOME = 0.01  #: share of near copies that is noted, where it takes some
FEWEST = 200


class NearDuplicates:
    """Warns where a quarter of the rows have a near copy: of the proof or of the fit rows.

    Proof rows are compared with the fit rows, fit rows with each other. Near: equal in all but one
    of ten fields, where a number counts as equal within the same 256th of its values; with four to
    nine fields, in all but one, exactly. Any is noted among proof rows of ten fields or more, one
    in a hundred elsewhere. Exact copies are the check of duplicates'. Of rows of ten fields or more
    at most 30,000 are compared.
    """

    name: ClassVar[str] = "near_duplicates"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one across the split and one within the fit rows; none under four features."""
        seen = survey_of(contract, events)
        split = seen.whole.split
        names = [f.name for f in contract.events.features if f.name in events.columns]
        if split is None or len(names) < FEWEST_FIELDS or events.n < FEWEST:
            return []
        kept = seen.kept
        _, first = np.unique(seen.whole.features[kept], return_index=True)
        parts = split.parts[kept[first]]
        proof, fit = first[parts == Part.PROOF], first[parts == Part.FIT]
        if not len(fit):
            return []
        few = len(names) < MANY_FIELDS
        share = 1.0 if few else min(MAX_ROWS / (len(proof) + len(fit)), 1.0)
        proof, fit = (part[: max(round(share * len(part)), 1)] for part in (proof, fit))
        rows = np.concatenate([proof, fit])
        codes = codes_of([events.columns[name][rows] for name in names])
        of_proof = np.arange(len(rows)) < len(proof)
        of_fit = ~of_proof
        rule = repeats_rule(contract)
        if rule in ("near", "once"):  # as training leaves them out
            of_fit &= ~left_out(codes, of_fit, of_proof)
        if rule == "once":
            hits = seen.whole.labels[kept[rows]] == 1
            for of_class in (of_fit & hits, of_fit & ~hits):
                of_fit &= ~surplus(codes, of_class)
        found = []
        if len(proof):
            n = int((near_rows(codes, of_proof, of_fit) >= 0).sum())
            if n >= max(SOME * len(proof) if few else 0, 1):
                more = {"fit": len(fit)}
                found.append(_finding(self.name, n, len(proof), more, "repeats:near"))
        mate = near_rows(codes, of_fit, of_fit)
        near = np.flatnonzero(mate >= 0)
        if len(near) >= max(SOME * len(fit), 1):
            # Numbered from 1, as in the file without its header.
            numbers = seen.rows[rows] + 1
            one = near[np.argmin(numbers[near])]
            pair = {"one": int(numbers[one]), "other": int(numbers[mate[one]])}
            cure = "repeats:once"
            found.append(_finding(f"{self.name}.within", len(near), len(fit), pair, cure))
        return found


def _finding(check: str, n: int, of: int, more: dict[str, int], cure: str) -> Finding:
    return Finding(
        check=check,
        level="warn" if n >= MANY * of else "note",
        values={"n": n, "of": of, "share": n / of, **more},
        fix=cure,
        evidence=(share_figure("near", n, of),),
    )
