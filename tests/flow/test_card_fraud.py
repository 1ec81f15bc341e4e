"""The handbook's fourteen features, declared in an example, are the ones it publishes.

Source: Le Borgne et al., "Reproducible Machine Learning for Credit Card Fraud Detection", 2022,
chapter 3: the features, the split, and average precisions of .606 (logistic regression), .658
(random forest) and .639 (XGBoost) on them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from baluarte.adapters.sources.parquet import ParquetSource
from baluarte.core.contract import Contract
from baluarte.core.contract_toml import parse_contract
from baluarte.core.encode import fit_encoder
from baluarte.core.event import Events, concat
from baluarte.core.labels import attacks
from baluarte.core.program.draft import seal
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.search import FitTask
from baluarte.stages.derive import derive_for_training

FOLDER = "card-fraud-simulated"
RAW, PUBLISHED = (
    "transactions_2018-04-01_2018-09-30.parquet",
    "features_2018-07-25_2018-08-14.parquet",
)
EXAMPLE = Path(__file__).parents[2] / "examples" / "card-fraud" / "detector.toml"
DAY_US = 86_400_000_000


def example() -> Contract:
    return parse_contract(EXAMPLE.read_text("utf-8"), where=EXAMPLE.name)


def raw(data: Path, contract: Contract) -> Events:
    read = ParquetSource().read(str(data / FOLDER / RAW), contract.events, batch_rows=262_144)
    return concat(list(read))


def published(data: Path) -> Any:
    import pyarrow.parquet as pq

    return pq.read_table(data / FOLDER / PUBLISHED)


def differences(
    contract: Contract, found: Events, table: Any, *, only: str, among: set[int] | None = None
) -> dict[str, float]:
    """The largest difference of each feature, over the published rows of some entities."""
    by = {"customer": "CUSTOMER_ID", "terminal": "TERMINAL_ID"}.get(only)
    ids = table["TRANSACTION_ID"].to_numpy()
    wanted = np.ones(len(ids), dtype=bool)
    if by is not None and among is not None:
        wanted = np.isin(table[by].to_numpy(), list(among))
    own = found.columns["TRANSACTION_ID"].astype(np.int64)
    order = np.argsort(own)
    rows = order[np.searchsorted(own[order], ids[wanted])]
    assert (own[rows] == ids[wanted]).all()
    assert wanted.sum() > 500
    out = {}
    for window in contract.windows:
        if window.name.startswith(only):
            theirs = table[window.name.upper()].to_numpy()[wanted].astype(np.float64)
            out[window.name] = float(np.abs(found.columns[window.name][rows] - theirs).max())
    return out


def check(apart: dict[str, float]) -> None:
    assert apart
    for name, largest in apart.items():
        if "avg" in name or "risk" in name:
            assert largest <= 1e-9, name
        else:
            assert largest == 0, name


@pytest.mark.data
@pytest.mark.parametrize("by", ["customer", "terminal"])
def test_of_some_cards_and_terminals_every_published_feature_comes_out_of_the_raw_payments(
    data: Path, by: str
) -> None:
    contract = example()
    events = raw(data, contract)
    chosen = set(range(0, 5_000, 100)) if by == "customer" else set(range(0, 10_000, 100))
    column = events.columns[f"{by.upper()}_ID"]
    some = events.take(np.isin(column, list(chosen)))
    check(
        differences(
            contract, derive_for_training(contract, some), published(data), only=by, among=chosen
        )
    )


@pytest.mark.soak
@pytest.mark.data
def test_all_features_of_all_payments_are_the_published_ones_and_train_as_well(data: Path) -> None:
    from baluarte.methods.models.random_forest import RandomForest

    contract = example()
    events = raw(data, contract)
    assert events.n == 1_754_155
    found = derive_for_training(contract, events)
    apart = differences(contract, found, published(data), only="")
    assert len(apart) == 14
    check(apart)
    train, test = handbook_split(found, attacks(contract, found))
    y = attacks(contract, found)
    assert (len(train), int(y[train].sum())) == (67_240, 598)
    assert (len(test), int(y[test].sum())) == (58_264, 385)
    fit = found.take(train)
    encoder = fit_encoder(contract.events, fit)
    d = len(encoder.columns)
    task = FitTask(
        categorical=(False,) * d, monotone=(0,) * d, seed=0, threads=2, class_weight="none"
    )
    model = RandomForest()
    fitted = model.fit(
        encoder.encode(fit), y[train].astype(np.int8), params=model.defaults(), task=task
    )
    scores = Evaluator(seal(fitted.compile())).score(encoder.encode(found.take(test)))
    assert average_precision(scores, y[test]) >= 0.658


def handbook_split(
    events: Events, y: NDArray[np.int8]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A week to train, a week of delay, a week to test, without cards known to be compromised."""
    at, card = events.columns["TX_DATETIME"], events.columns["CUSTOMER_ID"]

    def day(n: int) -> NDArray[np.bool_]:
        start = np.datetime64("2018-07-25").astype("datetime64[us]").astype(np.int64) + n * DAY_US
        return np.asarray((at >= start) & (at < start + DAY_US))

    train = np.logical_or.reduce([day(n) for n in range(7)])
    known = set(card[train & (y == 1)].tolist())
    test = []
    for n in range(14, 21):
        known |= set(card[day(n - 8) & (y == 1)].tolist())
        test.append(np.flatnonzero(day(n) & ~np.isin(card, list(known))))
    return np.flatnonzero(train), np.concatenate(test)


def average_precision(scores: NDArray[np.int64], y: NDArray[np.int8]) -> float:
    """The mean precision at each fraud, equal scores taken together."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(y[order] == 1)
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    precision, recall = hits[last] / (last + 1), hits[last] / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))
