"""The events that come after training: in a stated, seeded order, each with an id, labels apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from baluarte import wiring
from baluarte.core.contract import Contract
from baluarte.core.event import Events, concat, records
from baluarte.core.labels import as_text, attacks, families

Label = Literal[0, 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterEvents:
    """Events to be sent, their truth kept aside until it is told."""

    rows: list[Mapping[str, object]]  #: what is sent: JSON-like, without the label
    ids: list[str]
    labels: list[Label]
    families: list[str | None]

    def __len__(self) -> int:
        return len(self.rows)


def read_later(address: str, contract: Contract, *, seed: int) -> LaterEvents:
    """Read the later file; shuffled by the seed where events have no time, in order otherwise."""
    source = wiring.source_for(address)
    events = concat(list(source.read(address, contract.events, batch_rows=65_536)))
    time = contract.events.by_role("time")
    if time is not None and time.name in events.columns:
        order = np.argsort(events.columns[time.name], kind="stable")
    else:
        order = np.random.default_rng(seed).permutation(events.n)
    events = events.take(order)
    truth = attacks(contract, events)
    labels: list[Label] = [1 if said == 1 else 0 for said in truth.tolist()]
    ids = [f"later-{i:06d}" for i in range(events.n)]
    return LaterEvents(
        rows=_rows(events, contract, ids),
        ids=ids,
        labels=labels,
        families=_kinds(contract, events),
    )


def _kinds(contract: Contract, events: Events) -> list[str | None]:
    """The kind of each attack: the family field, or the label's own words where these name it."""
    label = contract.label
    if label is None or label.family is not None or not label.negative:
        return families(contract, events)
    said = as_text(events.columns[label.field], contract.events[label.field].type)
    return [None if text in label.negative else text for text in said]


def _rows(events: Events, contract: Contract, ids: list[str]) -> list[Mapping[str, object]]:
    """What a collector would send: features, time and entity, with an id."""
    id_field = contract.events.by_role("id")
    sent = {
        field.name
        for field in contract.events.fields
        if field.is_feature or field.role in {"time", "entity"}
    }
    time = contract.events.by_role("time")
    rows: list[Mapping[str, object]] = []
    for own, values in zip(ids, records(events), strict=True):
        row: dict[str, Any] = {name: values[name] for name in values if name in sent}
        if time is not None and isinstance(row.get(time.name), int | float):
            row[time.name] = row[time.name] / 1e6
        for name, value in row.items():
            if isinstance(value, float) and math.isfinite(value) and value == int(value):
                row[name] = int(value)
        if id_field is not None:
            row[id_field.name] = own
        rows.append(row)
    return rows
