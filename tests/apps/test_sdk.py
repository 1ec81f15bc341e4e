"""baluarte.load and baluarte.Detector, as a notebook uses them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scoring_ground import Workplace, on_the_wire

import baluarte
from baluarte.apps.sdk import LoadedDetector, Result, Results
from baluarte.errors import ContractError, DataError, TrustError
from baluarte.testing.bundles import sample_events

EVENTS = [on_the_wire(event) for event in sample_events(60)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return Workplace(tmp_path_factory.mktemp("sdk"))


@pytest.fixture(scope="module")
def folder(place: Workplace) -> Path:
    return place.root / "bundles" / place.seal().digest.replace(":", "-")


@pytest.fixture(scope="module")
def detector(place: Workplace, folder: Path) -> LoadedDetector:
    return baluarte.load(folder, trusted=place.root / "trusted")


def tables() -> dict[str, Any]:
    """The same events as every kind of table that people bring."""
    frame = pd.DataFrame(
        {
            "id": [e["id"] for e in EVENTS],
            "flow.bytes_out": [e.get("flow", {}).get("bytes_out") for e in EVENTS],
            "failures": [e.get("failures") for e in EVENTS],
            "service": [e.get("service") for e in EVENTS],
            "another column": 1,
        }
    )
    flow = pa.struct([("bytes_out", pa.float64())])
    nested = pa.Table.from_pylist(
        EVENTS,
        schema=pa.schema(
            [
                ("id", pa.string()),
                ("flow", flow),
                ("failures", pa.int16()),
                ("service", pa.string()),
            ]
        ),
    )
    return {
        "pandas": frame,
        "pandas with its own missing values": frame.convert_dtypes(),
        "pandas with categories": frame.astype({"service": "category"}),
        "pandas with another index": frame.set_index(np.arange(60) * 2),
        "arrow": pa.table(frame),
        "arrow, nested": nested,
    }


@pytest.mark.parametrize("kind", list(tables()))
def test_every_kind_of_table_gives_the_scores_of_the_rows(
    detector: LoadedDetector, kind: str
) -> None:
    want = detector.score(EVENTS)
    assert np.array_equal(detector.score(tables()[kind]), want)
    assert np.array_equal(detector.decide(tables()[kind]).scores, want)


def test_without_pyarrow_a_table_gives_its_own_lists(
    detector: LoadedDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = detector.score(EVENTS)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    found = tables()
    for kind in ("pandas", "pandas with its own missing values", "pandas with categories"):
        assert np.array_equal(detector.score(found[kind]), want), kind


def test_one_event_is_decided_alone_as_among_others(detector: LoadedDetector) -> None:
    results = detector.decide(EVENTS, reasons="all")
    assert isinstance(results, Results)
    for i in (0, 7, 59):
        alone = detector.decide(EVENTS[i], reasons="all")
        assert isinstance(alone, Result)
        assert alone == results[i]
        assert alone.base is not None
        assert alone.reasons is not None
        assert alone.base + sum(reason.score for reason in alone.reasons) == alone.score


def test_results_are_columns_and_rows(detector: LoadedDetector) -> None:
    results = detector.decide(EVENTS)
    assert len(results) == 60
    assert results[-1].event_id == "e59"
    assert [row.outcome for row in results] == results.outcomes
    assert [row.score for row in results[3:6]] == results.scores[3:6].tolist()
    assert (results.alerts == (np.array(results.outcomes) == "alert")).all()
    frame = pd.DataFrame(results.to_dict())
    assert list(frame.columns) == ["outcome", "points", "score", "probability"]
    assert [row.reasons is not None for row in results] == results.alerts.tolist()
    with pytest.raises(IndexError):
        results[60]


def test_faults_are_told_by_row_and_field(detector: LoadedDetector) -> None:
    with pytest.raises(DataError, match=r"events\[1\]\.failures"):
        detector.decide([{}, {"failures": "x"}])
    with pytest.raises(DataError, match="unknown field"):
        detector.decide({"bytes": 3})
    with pytest.raises(DataError, match="expected an event"):
        detector.decide("text")
    with pytest.raises(DataError, match="failures"):
        detector.score(pd.DataFrame({"id": ["a"]}))


def test_a_notebook_is_shown_what_a_value_is_and_no_markup_of_an_event(
    detector: LoadedDetector,
) -> None:
    event = {"id": "<script>", "flow": {"bytes_out": 9e3}, "failures": 9, "service": "<b>x"}
    assert "flows@1" in detector._repr_html_()
    shown = detector.decide([event])._repr_html_() + detector.decide(event)._repr_html_()
    assert "alert" in shown
    assert "<script>" not in shown
    assert "<b>x" not in shown


def test_a_bundle_is_opened_with_every_check(
    place: Workplace, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrustError, match="no trusted keys"):
        baluarte.load(folder)
    (tmp_path / "none").mkdir()
    with pytest.raises(TrustError, match="not trusted"):
        baluarte.load(folder, trusted=tmp_path / "none")
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert baluarte.load(copy, trusted=place.root / "trusted").version == 1
    (copy / "bands.json").write_bytes((copy / "bands.json").read_bytes() + b" ")
    with pytest.raises(TrustError, match=r"bands\.json"):
        baluarte.load(copy, trusted=place.root / "trusted")


def test_the_keys_of_the_workspace_around_a_bundle_are_the_ones_believed(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    folder = tmp_path / "bundles" / place.seal().digest.replace(":", "-")
    (tmp_path / "trusted").rename(tmp_path / "keys" / "trusted")
    assert baluarte.load(folder).decide({}).version == 1


def test_deciding_loads_nothing_that_learns(place: Workplace, folder: Path) -> None:
    code = f"""
import sys, baluarte
assert "numpy" not in sys.modules
baluarte.load({str(folder)!r}, trusted={str(place.root / "trusted")!r}).decide({{}})
bad = {{"sklearn", "lightgbm", "optuna", "pandas", "pyarrow", "uvloop"}} & set(sys.modules)
assert not bad, bad
"""
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


# --- the estimator -------------------------------------------------------------------------------


def training_rows(n: int = 2_500) -> tuple[pd.DataFrame, Any]:
    draw = np.random.default_rng(5)
    X = pd.DataFrame(
        {
            "size": draw.normal(size=n),
            "rate": draw.normal(size=n),
            "kind": draw.choice(["a", "b", "c"], n),
        }
    )
    risk = 2 * X["size"] + X["rate"] + (X["kind"] == "a") + draw.normal(size=n) * 0.3
    return X, (risk > np.quantile(risk, 0.9)).astype(int)


def fast(**more: Any) -> baluarte.Detector:
    return baluarte.Detector(families=("logistic",), trials=1, max_fpr=0.05, **more)


def test_an_estimator_is_fitted_on_a_table_and_predicts() -> None:
    X, y = training_rows()
    fitted = fast(name="My detector").fit(X, y)
    assert fitted.contract_.name == "my-detector"
    assert fitted.contract_.objective.budget.value == 0.05
    predicted = fitted.predict(X)
    assert predicted[y == 1].mean() > 0.8
    assert predicted[y == 0].mean() < 0.05
    assert np.array_equal(predicted, (fitted.decision_function(X) > 0).astype(int))
    p = fitted.predict_proba(X)
    assert p.shape == (2_500, 2)
    assert np.allclose(p.sum(axis=1), 1)
    order = np.argsort(fitted.score_samples(X), kind="stable")
    assert (np.diff(p[order, 1]) >= 0).all()
    assert "not proved" in fitted._repr_html_()


def test_an_estimator_takes_plain_numbers() -> None:
    X, y = training_rows()
    numbers = X[["size", "rate"]].to_numpy()
    fitted = fast().fit(numbers, y.to_numpy())
    assert fitted.predict(numbers).mean() > 0.02


def test_an_estimator_takes_a_contract(tmp_path: Path) -> None:
    X, y = training_rows()
    contract = fast().fit(X, y).contract_
    fitted = baluarte.Detector(contract, families=("logistic",), trials=1).fit(X, y)
    assert fitted.contract_.objective == contract.objective


def test_parameters_are_read_and_changed_as_scikit_learn_does() -> None:
    from sklearn.base import clone

    estimator = fast(seed=3)
    assert clone(estimator).get_params() == estimator.get_params()
    assert estimator.set_params(seed=4).seed == 4
    with pytest.raises(ValueError, match="sed"):
        estimator.set_params(sed=4)


def test_what_can_not_be_fitted_is_said() -> None:
    X, y = training_rows(50)
    with pytest.raises(DataError, match="not fitted"):
        fast().predict(X)
    with pytest.raises(DataError, match="0 and 1"):
        fast().fit(X, y + 1)
    with pytest.raises(DataError, match="expected a table"):
        fast().fit([1, 2], y)
    with pytest.raises(ContractError, match="rate"):
        fast().set_params(max_fpr=2).fit(X, y)
    with pytest.raises(DataError):
        fast().fit(X, y)
