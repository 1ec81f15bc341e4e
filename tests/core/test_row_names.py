"""baluarte.core.row_names: a look stays a look at the same rows, however they are read."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from baluarte.core.contract import Contract, Label
from baluarte.core.event import Events
from baluarte.core.schema import Field, Schema
from baluarte.core.split import split_rows
from baluarte.testing.bundles import sample_contract

N = 4_000
RNG = np.random.default_rng(5)
LABELS = (RNG.random(N) < 0.3).astype(np.float64)


def contract_of(*fields: Field) -> Contract:
    return msgspec.structs.replace(
        sample_contract(), events=Schema(fields=fields), label=Label(field="y", positive=("1",))
    )


ID = Field(name="id", type="text", role="id")
AT = Field(name="at", type="time", role="time")
Y = Field(name="y", type="integer", role="label", available="after")
A, B = Field(name="a", type="number"), Field(name="b", type="number")


def events_of(fields: tuple[Field, ...], rows: np.ndarray | None = None) -> Events:
    draw = np.random.default_rng(7)
    columns = {
        "id": np.array([f"e{i}" for i in range(N)], dtype=object),
        "at": np.arange(N, dtype=np.float64) * 1e6,
        "y": LABELS,
        "a": draw.normal(size=N),
        "b": draw.normal(size=N),
    }
    events = Events(n=N, columns={field.name: columns[field.name] for field in fields})
    return events if rows is None else events.take(rows)


def holdout(*fields: Field, rows: np.ndarray | None = None) -> str:
    contract, events = contract_of(*fields), events_of(fields, rows)
    labels = (events.columns["y"] == 1).astype(np.int8)
    return split_rows(contract, events, labels).evidence.holdout


@pytest.mark.parametrize("roles", [(ID, AT, Y), (ID, Y), (AT, Y), (Y,)])
def test_leaving_a_field_out_is_no_other_holdout(roles: tuple[Field, ...]) -> None:
    both = holdout(*roles, A, B)
    assert both == holdout(*roles, A)
    assert both == holdout(*roles, B)
    assert both == holdout(*roles, A, B, rows=np.random.default_rng(1).permutation(N))


@pytest.mark.parametrize("roles", [(ID, AT, Y), (ID, Y), (AT, Y), (Y,)])
def test_other_events_are_another_holdout(roles: tuple[Field, ...]) -> None:
    assert holdout(*roles, A) != holdout(*roles, A, rows=np.arange(N - 1))


def test_what_was_given_is_told_apart_from_which_events_they_were() -> None:
    fields = (ID, AT, Y, A)
    events = events_of(fields)
    evidence = split_rows(contract_of(*fields), events, (LABELS == 1).astype(np.int8)).evidence
    assert evidence.given.startswith("sha256:")
    assert evidence.given != evidence.holdout
