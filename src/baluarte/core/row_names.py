"""Which events rows are, by what no choice of features changes: looks are counted on that."""

from __future__ import annotations

import numpy as np

from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.row_keys import Keys, row_keys
from baluarte.core.telling import missing_in


def names_of_rows(
    contract: Contract, events: Events, contents: Keys, known: dict[str, Keys]
) -> Keys:
    """(n,) which event each row is: its id, or what no choice of features changes.

    Where it has no id its time and label stand for it, and where there are none of these all that
    it says. So a field that is left out, added or cleaned makes no other rows of a holdout. Two
    sets that agree in all times and labels count as one, which is on the safe side.

    Args:
        contents: (n,) of all that the rows say.
        known: as in :func:`baluarte.core.row_keys.row_keys`.
    """
    time, own = contract.events.by_role("time"), contract.events.by_role("id")
    label = contract.label.field if contract.label is not None else None
    names = [name for name in (time and time.name, label) if name in events.columns]
    otherwise = row_keys(events, [str(name) for name in names], known=known) if names else contents
    if own is None or own.name not in events.columns:
        return otherwise
    ids = row_keys(events, [own.name], known=known)
    return np.where(missing_in(events.columns[own.name]), otherwise, ids)
