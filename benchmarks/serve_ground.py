"""What the serving benchmarks serve: one LightGBM model, the same for us and for the peers.

300 trees of 63 leaves over 41 columns, as in ``benchmarks/kernel.py``, sealed with the threshold
that one event in a hundred is above, and events as a caller writes them.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import lightgbm
import msgspec
import numpy as np
from kernel import N_COLUMNS, made_rows, trained
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests" / "apps")]

from scoring_ground import Workplace  # noqa: E402 - after the path that leads to it

from baluarte.core import bands as band_format  # noqa: E402
from baluarte.core.bands import Bands, point_cuts  # noqa: E402
from baluarte.core.bundle import BundleParts  # noqa: E402
from baluarte.core.calibration import Knots  # noqa: E402
from baluarte.core.contract import Points  # noqa: E402
from baluarte.core.encode import Encoder, EncoderTables, FieldEncoding, encoder_to_json  # noqa: E402
from baluarte.core.program import format as program_format  # noqa: E402
from baluarte.core.program.draft import seal  # noqa: E402
from baluarte.core.program.evaluate import Evaluator  # noqa: E402
from baluarte.core.schema import Field, Schema  # noqa: E402
from baluarte.core.spread import fit_spread  # noqa: E402
from baluarte.methods.lightgbm_text import draft_of_text  # noqa: E402
from baluarte.testing.bundles import sample_parts  # noqa: E402

Rows = NDArray[np.float64]
DETECTOR = "flows"
FIELDS = tuple(f"f{j:02d}" for j in range(N_COLUMNS))
ALERTS = 0.01  #: of all events


def booster(n_trees: int, *, n_rows: int = 60_000) -> tuple[lightgbm.Booster, Rows]:
    """The model and its rows: numbers alone, none missing, since not every peer takes others."""
    X, y, _ = made_rows(np.random.default_rng(0), n_rows)
    X = np.nan_to_num(X)
    return trained((X, y, []), n_trees), X


def parts(model: lightgbm.Booster, X: Rows) -> BundleParts:
    """All that a seal takes; the figures of its evidence are the sample's, not this model's."""
    program = seal(draft_of_text(model.model_to_string()))
    scores = Evaluator(program).score(np.ascontiguousarray(X))
    cuts = np.unique(np.quantile(scores, np.linspace(0, 1, 101)).astype(np.int64))
    knots = Knots(scores=cuts, probabilities=np.linspace(0.001, 0.999, len(cuts)))
    bands = Bands(
        names=("pass", "alert"),
        thresholds=(int(np.quantile(scores, 1 - ALERTS)),),
        knot_scores=tuple(knots.scores.tolist()),
        knot_probabilities=tuple(knots.probabilities.tolist()),
        point_cuts=point_cuts(knots, Points()),
        calibration="quantile",
    )
    encoder = Encoder(
        EncoderTables(fields=tuple(FieldEncoding(field=name, type="number") for name in FIELDS))
    )
    schema = Schema(
        fields=(
            Field(name="id", type="text", role="id"),
            *(Field(name=name, type="number") for name in FIELDS),
        )
    )
    return dataclasses.replace(
        sample_parts(DETECTOR, schema=schema),
        encoder_json=encoder_to_json(encoder),
        program=program_format.dumps(program),
        bands_json=band_format.dumps(bands),
        spread=fit_spread(X[:2_000], np.zeros(2_000, np.int8), encoder.columns),
    )


def events(X: Rows, n: int) -> list[bytes]:
    """The first rows as JSON events; a request's own id takes the place of the mark in them."""
    return [
        msgspec.json.encode({"id": "@ID@"} | dict(zip(FIELDS, row, strict=True)))
        for row in X[:n].tolist()
    ]


def workplace(folder: Path, made: BundleParts) -> Workplace:
    """Stores in which the model decides."""
    place = Workplace(folder)
    place.promote(place.seal(made))
    return place
