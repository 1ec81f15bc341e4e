"""An erasure: whom it forgets, and what is left of it to do."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from baluarte.core.envelope import Subject


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """One erasure while it is being carried out; afterwards only an act without a name is left.

    Its keys are destroyed first, all at once: from then on it will be finished, by this process or
    by the next that opens the store.

    Attributes:
        id: 32 random hex digits; the act in the ledger has it.
        subjects: kept sealed under the master key until every place has forgotten them.
        texts: other spellings of the name, as rows that could not be read may have it.
        places: that hold personal values outside of records and have not yet forgotten.
        mark: records of each shard when the keys were destroyed; the act can only come after.
        keys: ids of the keys that were destroyed.
    """

    id: str
    at: int
    actor: str
    reason: str
    subjects: tuple[Subject, ...]
    texts: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    mark: Mapping[str, int] = {}
    keys: tuple[str, ...] = ()
