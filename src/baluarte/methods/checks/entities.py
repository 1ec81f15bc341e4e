"""Entities on both sides of the split by time: what is learnt of them is tested on them."""

from __future__ import annotations

from typing import ClassVar

from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.core.labels import attacks
from baluarte.core.split import split_rows
from baluarte.errors import DataError


class Entities:
    """Notes how many there are. A split by entity has none; a split by time may have many."""

    name: ClassVar[str] = "entities"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one; none without an entity and a time."""
        entity, time = contract.events.by_role("entity"), contract.events.by_role("time")
        if entity is None or time is None or events.n == 0:
            return []
        try:
            split = split_rows(contract, events, attacks(contract, events))
        except DataError:
            return []  # too few rows to split: the plan says so itself
        n = split.evidence.entities_on_two_sides
        if n == 0:
            return []
        values: dict[str, str | int | float] = {"n": n, "field": entity.name}
        return [Finding(check=self.name, level="note", field=entity.name, values=values)]
