"""Counterfactuals on three real sets: every one flips, none touches what may not move."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from baluarte.adapters.frames import columns_of
from baluarte.core.bundle import Manifest, SealedBundle, pack
from baluarte.core.contract import Contract
from baluarte.core.encode import encoder_to_json, fit_encoder
from baluarte.core.event import Events, records
from baluarte.core.event_columns import from_columns
from baluarte.core.program import format as program_format
from baluarte.core.program.draft import seal
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.schema import Field, FieldType, Mutable, Schema
from baluarte.core.search import FitTask
from baluarte.core.spread import fit_spread
from baluarte.methods.explain.beam import Beam
from baluarte.methods.explain.branch_and_bound import BranchAndBound
from baluarte.methods.models.lightgbm import LightGBM
from baluarte.stages.counterfactual import Counterfactuals
from baluarte.stages.score import Scorer
from baluarte.testing.bundles import sample_bands, sample_contract, sample_parts
from baluarte.testing.clock import START_US

pytestmark = pytest.mark.data
MUTABLE: tuple[Mutable, ...] = ("any", "any", "down", "any", "up", "any", "no")
SETS = {
    "nsl-kdd/KDDTrain+.parquet": ("label", "normal", ("difficulty",)),
    "phishing-websites-uci/phishing_websites.parquet": ("Result", "1", ()),
    "adult/adult.data.parquet": ("income", "<=50K", ("fnlwgt",)),
}


@pytest.mark.parametrize("name", SETS)
def test_a_hundred_of_each_set_flip_and_keep_to_what_may_move(data: Path, name: str) -> None:
    flip(data / name, *SETS[name], n=100, rounds=20)


@pytest.mark.soak
@pytest.mark.parametrize("name", SETS)
def test_ten_thousand_over_three_sets_flip_and_keep_to_what_may_move(data: Path, name: str) -> None:
    flip(data / name, *SETS[name], n=3_334, rounds=120)


def flip(path: Path, label: str, negative: str, without: tuple[str, ...], *, n: int, rounds: int):  # type: ignore[no-untyped-def]
    events, attack, schema = read(path, label, negative, without, rows=max(3_000, 3 * n))
    bundle = fitted(events, attack, schema, rounds)
    scorer = Scorer(bundle)
    otherwise = Counterfactuals(scorer, bundle, quick=Beam(), exact=BranchAndBound())
    decided = scorer.decide(events, reasons="none")
    # As many that pass as that alert, each to the other side.
    order = np.argsort(np.abs(decided.scores - bundle.bands.thresholds[0]), kind="stable")
    rows = np.random.default_rng(0).permutation(order[: max(3 * n, 2_000)])
    values, n_found = records(events), 0
    for row in rows.tolist():
        found = otherwise.find(values[row])
        if found is None:  # what may move may not be enough
            continue
        n_found += 1
        changes = {change.field: change.after for change in found.changes}
        after = scorer.decide_records([values[row] | changes])
        assert int(after.bands[0]) != int(decided.bands[row])
        for change in found.changes:
            field = schema[change.field]
            assert field.mutable != "no"
            assert change.after != change.before
            if field.mutable in ("up", "down"):
                assert isinstance(change.after, int | float)
                assert isinstance(change.before, int | float)
                assert (change.after > change.before) == (field.mutable == "up")
        if n_found == n:
            return
    raise AssertionError(f"expected {n} counterfactuals, found {n_found} for {len(rows)} events")


def read(
    path: Path, label: str, negative: str, without: tuple[str, ...], *, rows: int
) -> tuple[Events, np.ndarray[tuple[int], np.dtype[np.int8]], Schema]:
    import pandas as pd

    table = pd.read_parquet(path).sample(rows, random_state=0, replace=False)
    attack = (table[label].astype(str).str.strip() != negative).to_numpy().astype(np.int8)
    table = table.drop(columns=[label, *without])
    fields = []
    for at, column in enumerate(table.columns):
        kind: FieldType = "category"
        if pd.api.types.is_numeric_dtype(table[column].dtype):
            whole = pd.api.types.is_integer_dtype(table[column].dtype)
            kind = "integer" if whole else "number"
        fields.append(Field(name=column, type=kind, mutable=MUTABLE[at % len(MUTABLE)]))
    schema = Schema(fields=tuple(fields))
    return from_columns(schema, columns_of(table, schema)), attack, schema


def fitted(
    events: Events, attack: np.ndarray[tuple[int], np.dtype[np.int8]], schema: Schema, rounds: int
) -> SealedBundle:
    """A booster on these events, sealed with a threshold that a third of them is above."""
    encoder = fit_encoder(schema, events)
    X = encoder.encode(events)
    task = FitTask(
        categorical=tuple(info.categorical for info in encoder.columns),
        monotone=(0,) * len(encoder.columns),
        seed=0,
        threads=1,
        class_weight="none",
    )
    model = LightGBM()
    params = dict(model.defaults()) | {"rounds": rounds}
    program = seal(model.fit(X, attack, params=params, task=task).compile())
    threshold = int(np.quantile(Evaluator(program).score(X), 0.67))
    knots = (threshold - 1, threshold, threshold + 1)
    bands = msgspec.structs.replace(
        sample_bands(),
        thresholds=(threshold,),
        knot_scores=knots,
        knot_probabilities=(0.3, 0.5, 0.7),
    )
    contract: Contract = msgspec.structs.replace(sample_contract(), events=schema)
    parts = sample_parts()
    files, _ = pack(parts, version=1, epoch=1, created_at=START_US)
    assert encoder_to_json(encoder)
    return SealedBundle(
        digest="sha256:" + "a" * 64,
        key_id="0" * 64,
        manifest=msgspec.json.decode(files["manifest.json"], type=Manifest),
        contract=contract,
        encoder=encoder,
        program=program_format.loads(program_format.dumps(program)),
        bands=bands,
        evidence=parts.evidence,
        lineage=parts.lineage,
        drift_json=None,
        card=None,
        spread=fit_spread(X, attack, encoder.columns),
    )
