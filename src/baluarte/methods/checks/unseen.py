"""Categories that come up late: what a sealed detector will meet without having seen it."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.chance import share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding

LATE = 0.2  #: the newest share of the events, by time where there is one, by order otherwise
MANY = 0.01
FEWEST = 200
MAX_SHOWN = 4


class Unseen:
    """Warns if over 1 % of the newest fifth has a category never seen before, notes any."""

    name: ClassVar[str] = "unseen"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a categorical feature, the largest share first."""
        if events.n < FEWEST:
            return []
        order = _order(contract, events)
        cut = round(events.n * (1 - LATE))
        found = []
        for field in contract.events.features:
            if field.type != "category" or field.name not in events.columns:
                continue
            column = events.columns[field.name][order]
            before = set(column[:cut].tolist())
            late = Counter(v for v in column[cut:].tolist() if v is not None and v not in before)
            if not late:
                continue
            share = late.total() / (events.n - cut)
            shown = [value for value, _ in late.most_common(MAX_SHOWN)]
            values: dict[str, str | int | float] = {
                "field": field.name,
                "n": len(late),
                "share": share,
                "examples": ", ".join(shown) + (" …" if len(late) > MAX_SHOWN else ""),
            }
            finding = Finding(
                check=self.name,
                level="warn" if share > MANY else "note",
                field=field.name,
                values=values,
                fix=field.name if share > MANY and field.role == "feature" else None,
                evidence=(share_figure("of_unseen", late.total(), events.n - cut),),
            )
            found.append((share, finding))
        return [finding for _, finding in sorted(found, key=lambda entry: -entry[0])]


def _order(contract: Contract, events: Events) -> NDArray[np.int64]:
    time = contract.events.by_role("time")
    if time is None or time.name not in events.columns:
        return np.arange(events.n)
    return np.argsort(events.columns[time.name], kind="stable")
