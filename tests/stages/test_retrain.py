"""baluarte.stages.retrain: what comes next is judged on what came last."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from training_ground import SCHEMA, contract, events, tools

from baluarte.core.contract import Label
from baluarte.core.decision import DecisionRecord
from baluarte.core.event import Events, records
from baluarte.core.labels import LABEL_SOURCE, attacks
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.registry import LabelRow
from baluarte.core.schema import FieldType
from baluarte.core.split import Part
from baluarte.errors import ContractError, DataError
from baluarte.stages.retrain import label_value, labelled_events, retrain, retraining_events
from baluarte.stages.train import Provenance, train

OLD, NEW, REPEATED = 3_000, 2_500, 500


def test_held_out_rows_are_new_ones_and_no_duplicate_of_what_was_fitted() -> None:
    of, old, new = contract(), events(OLD), events(NEW, seed=1, shift=2.0)
    repeated = Events(
        n=NEW + REPEATED,
        columns={
            name: np.concatenate([column, old.columns[name][:REPEATED]])
            for name, column in new.columns.items()
        },
    )
    made = retrain(of, old, repeated, tools=tools(of), provenance=Provenance())
    parts, together = made.parts, retraining_events(old, repeated)
    n_old = together.n - repeated.n
    assert 0 < n_old < OLD
    assert set(parts[:n_old].tolist()) == {Part.FIT, Part.UNUSED}
    proof = together.take(made.rows(Part.PROOF, together))
    fit = together.take(np.flatnonzero(parts == Part.FIT))
    assert not set(zip(proof.columns["bytes"], proof.columns["rate"], strict=True)) & set(
        zip(fit.columns["bytes"], fit.columns["rate"], strict=True)
    )


def test_a_challenger_keeps_the_budget_on_shifted_events_where_the_champion_breaks_it() -> None:
    of = contract()
    champion = train(of, events(OLD), tools=tools(of), provenance=Provenance())
    new = events(NEW, seed=1, shift=2.0)
    challenger = retrain(of, events(OLD), new, tools=tools(of), provenance=Provenance())
    later = events(4_000, seed=2, shift=2.0)
    normal = later.columns["kind"] == "normal"

    def false_alarms(made: object) -> float:
        scores = Evaluator(made.program).score(made.encoder.encode(later))
        return float(np.mean(made.bands.decide(scores)[normal] > 0))

    assert false_alarms(champion) > 0.1 >= false_alarms(challenger)


def test_nothing_to_learn_from_is_said_so() -> None:
    of = contract()
    with pytest.raises(DataError, match="found none"):
        retrain(of, events(100), events(0), tools=tools(of), provenance=Provenance())
    unlabelled = contract(labelled=False)
    with pytest.raises(ContractError):
        retrain(unlabelled, events(9), events(9), tools=tools(of), provenance=Provenance())


def test_events_of_the_ledger_get_their_labels_in_the_contracts_own_field() -> None:
    of, decided = contract(), events(40)
    rows = [
        record(str(values.pop("flow")), {k: v for k, v in values.items() if k != "kind"})
        for values in records(decided)
    ]
    truth = attacks(of, decided)
    known = {
        row.event_id: LabelRow(event_id=row.event_id, label=int(label), at=1, source="desk")
        for row, label in zip(rows[:30], truth[:30].tolist(), strict=True)
    }
    labelled = labelled_events(of, rows + rows[:5], known)
    assert labelled.n == 30
    np.testing.assert_array_equal(attacks(of, labelled), truth[:30])
    np.testing.assert_array_equal(labelled.columns["bytes"], decided.columns["bytes"][:30])
    assert set(labelled.columns) <= {f.name for f in SCHEMA.fields} | {LABEL_SOURCE}
    assert labelled.columns[LABEL_SOURCE].tolist() == ["desk"] * 30


def record(event_id: str, values: dict[str, object]) -> DecisionRecord:
    return msgspec.convert(
        {
            "kind": "decision", "id": "d", "event_id": event_id, "event_at": 0, "decided_at": 0,
            "detector": "flows", "version": 1, "bundle": "sha256:b", "event_digest": "sha256:e",
            "event": values, "features": [], "score": 0, "points": 0, "probability": 0.5,
            "band": 0, "outcome": "pass", "threshold": None,
        },
        type=DecisionRecord,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["category", "number", "boolean"])
@pytest.mark.parametrize("listed", [("1",), ("0", "1"), ("true",)])
def test_a_label_value_means_what_it_should(kind: FieldType, listed: tuple[str, ...]) -> None:
    if (kind == "number" and "true" in listed) or (kind == "boolean" and "true" not in listed):
        return
    field = SCHEMA["kind"]
    schema = msgspec.structs.replace(
        SCHEMA, fields=(*SCHEMA.fields[:-1], msgspec.structs.replace(field, type=kind))
    )
    for label in (Label(field="kind", positive=listed), Label(field="kind", negative=listed)):
        of = msgspec.structs.replace(contract(), label=label, events=schema)
        for attack in (False, True):
            value = label_value(label, kind, attack=attack)
            dtype = object if kind == "category" else np.float64
            one = Events(n=1, columns={"kind": np.array([value], dtype=dtype)})
            assert attacks(of, one).tolist() == [int(attack)]
