"""Events that are another one but for a few fields, on the two sides of the split.

If two rows of d fields differ in at most k, then of k + 1 bands that the fields are shared out to,
one is equal in both. So rows that agree in a band are candidates, and each is compared in full: all
that is counted is true, and a pair is missed only in a crowd, where a row meets but its nearest
neighbours in the order of the bands' keys.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.chance import share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.core.row_keys import Keys, mixed
from baluarte.core.split import Part
from baluarte.core.survey import survey_of
from baluarte.core.telling import bins_of

MAX_ROWS = 30_000
FEWEST_FIELDS = 10
FIELDS_APART = 10  #: of so many fields one may differ
MAX_BANDS = 8
NEIGHBOURS = 6  #: that a row is compared with in each band
MANY = 0.25
FEWEST = 200


class NearDuplicates:
    """Warns where a quarter of the proof rows have a near copy among the fit rows, notes any.

    Near: equal in all but one of ten fields; a number counts as equal within the same 256th of its
    values. Exact copies are the check of duplicates'. At most 30,000 rows are compared.
    """

    name: ClassVar[str] = "near_duplicates"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one; none with fewer than ten features."""
        seen = survey_of(contract, events)
        split = seen.whole.split
        names = [f.name for f in contract.events.features if f.name in events.columns]
        if split is None or len(names) < FEWEST_FIELDS or events.n < FEWEST:
            return []
        _, first = np.unique(seen.whole.features[seen.rows], return_index=True)
        parts = split.parts[seen.rows[first]]
        proof = first[parts == Part.PROOF]
        fit = first[parts == Part.FIT]
        if not len(proof) or not len(fit):
            return []
        share = min(MAX_ROWS / (len(proof) + len(fit)), 1.0)
        proof, fit = (part[: max(round(share * len(part)), 1)] for part in (proof, fit))
        rows = np.concatenate([proof, fit])
        codes = np.stack([bins_of(events.columns[name])[rows] for name in names], axis=1)
        near = _near(codes, np.arange(len(rows)) < len(proof))
        n = int(near.sum())
        if n == 0:
            return []
        values: dict[str, str | int | float] = {
            "n": n, "of": len(proof), "share": n / len(proof), "fit": len(fit),
        }  # fmt: skip
        return [
            Finding(
                check=self.name,
                level="warn" if n >= MANY * len(proof) else "note",
                values=values,
                evidence=(share_figure("near", n, len(proof)),),
            )
        ]


def _near(codes: NDArray[np.int64], of_proof: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(proof rows,) where a fit row is near; the proof rows come first in ``codes``."""
    d = codes.shape[1]
    apart = max(d // FIELDS_APART, 1)
    n_bands = min(apart + 1, MAX_BANDS)
    # The fields that tell most apart are shared out first, so that no band is empty talk.
    telling = np.argsort([-len(np.unique(codes[:, j])) for j in range(d)], kind="stable")
    near = np.zeros(len(codes), dtype=bool)
    for band in range(n_bands):
        keys = _keys(codes[:, telling[band::n_bands]])
        # Within a band, neighbours by all fields are the likeliest to be near.
        order = np.lexsort((_keys(codes), codes[:, telling[0]], keys))
        for step in range(1, NEIGHBOURS + 1):
            a, b = order[:-step], order[step:]
            pair = (keys[a] == keys[b]) & (of_proof[a] != of_proof[b])
            a, b = a[pair], b[pair]
            a, b = np.where(of_proof[a], a, b), np.where(of_proof[a], b, a)
            left = ~near[a]
            a, b = a[left], b[left]
            near[a[(codes[a] != codes[b]).sum(axis=1) <= apart]] = True
    return near[of_proof]


def _keys(codes: NDArray[np.int64]) -> Keys:
    keys = np.zeros(len(codes), dtype=np.uint64)
    for j in range(codes.shape[1]):
        keys = mixed(keys ^ mixed(codes[:, j].astype(np.uint64) + np.uint64(1)))
    return keys
