"""The public data sets of the quality benchmark, by their published protocols.

Each set is canonical events with a schema, a target, and splits into train and test rows. Traps
that the sets' own pages name are kept out: leaks, identifiers, sampling weights, duplicates that
straddle a split.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baluarte.core.event import Events
from baluarte.core.schema import Field, Schema

SEEDED_SPLITS = 5
TEST_SHARE = 0.3
FAMILY = "family"  #: the field that names the kind of an attack, where a set has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of one set as events, and which of them are attacks."""

    schema: Schema
    events: Events
    y: NDArray[np.int8]

    def take(self, rows: NDArray[Any]) -> Table:
        """The table at these rows."""
        return Table(schema=self.schema, events=self.events.take(rows), y=self.y[rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One train and test pair of a set."""

    name: str
    train: Table
    test: Table
    test_rows: NDArray[np.int64]  #: (n,) number of each test row in its set, the same in all splits


def table(
    frame: pd.DataFrame,
    y: pd.Series,
    *,
    time: str | None = None,
    families: pd.Series | None = None,
) -> Table:
    """A frame as canonical events: texts are categories, the rest numbers.

    Args:
        families: the kind of each attack, known only after the fact.
    """
    fields, columns = [], {}
    for name in map(str, frame.columns):
        column = frame[name]
        if name == time:
            fields.append(Field(name=name, type="time", role="time"))
            columns[name] = column.astype("int64").to_numpy(np.float64)
        elif pd.api.types.is_numeric_dtype(column):
            fields.append(Field(name=name, type="number"))
            columns[name] = column.to_numpy(np.float64)
        else:
            fields.append(Field(name=name, type="category"))
            values = column.astype(object)
            columns[name] = values.where(values.notna(), None).to_numpy(object)
    fields.append(Field(name="attack", type="category", role="label"))
    if families is not None:
        fields.append(Field(name=FAMILY, type="category", available="after"))
        columns[FAMILY] = families.astype(str).to_numpy(object)
    attack = y.to_numpy(np.int8)
    columns["attack"] = np.where(attack == 1, "1", "0").astype(object)
    events = Events(n=len(frame), columns=columns)
    return Table(schema=Schema(fields=tuple(fields)), events=events, y=attack)


def splits(data: Path, name: str) -> Iterator[Split]:
    """The set's splits: one where a split is published, five seeded ones otherwise."""
    yield from _READERS[name](data)


def _network(folder: Path, train: str, test: str, normal: str) -> Iterator[Split]:
    """``difficulty`` is a leak and ``label`` the target; the rest is the record."""
    tables = []
    for file in (train, test):
        frame = pd.read_parquet(folder / file)
        features = frame.drop(columns=["label", "difficulty"], errors="ignore")
        attack = frame["label"] != normal
        tables.append(table(features, attack, families=frame["label"]))
    yield _published(*tables)


def _published(train: Table, test: Table) -> Split:
    return Split(name="published", train=train, test=test, test_rows=np.arange(test.events.n))


def _nsl_kdd(data: Path) -> Iterator[Split]:
    yield from _network(data / "nsl-kdd", "KDDTrain+.parquet", "KDDTest+.parquet", "normal")


def _kdd99(data: Path) -> Iterator[Split]:
    yield from _network(
        data / "kdd99", "kddcup.data_10_percent.parquet", "corrected.parquet", "normal."
    )


def _card_fraud(data: Path) -> Iterator[Split]:
    """The handbook's chapter 3: a week to train, one of label delay, one to test.

    A test day leaves out the cards known as compromised by then: labels are known a week later.
    """
    frame = pd.read_parquet(
        data / "card-fraud-simulated" / "features_2018-07-25_2018-08-14.parquet"
    ).sort_values("TRANSACTION_ID")
    day = pd.to_datetime(frame["TX_DATETIME"]).dt.normalize()
    first = pd.Timestamp("2018-07-25")
    train = frame[(day >= first) & (day < first + pd.Timedelta(days=7))]
    known = set(train.loc[train["TX_FRAUD"] == 1, "CUSTOMER_ID"])
    tests = []
    for k in range(7):
        # Labels of day d are known a week later: each test day's delayed frauds are known cards.
        at = first + pd.Timedelta(days=14 + k)
        delayed = frame[day == at - pd.Timedelta(days=8)]
        known |= set(delayed.loc[delayed["TX_FRAUD"] == 1, "CUSTOMER_ID"])
        today = frame[day == at]
        tests.append(today[~today["CUSTOMER_ID"].isin(known)])
    test = pd.concat(tests)
    features = [
        "TX_AMOUNT", "TX_DURING_WEEKEND", "TX_DURING_NIGHT",
        *[c for c in frame.columns if c.startswith(("CUSTOMER_ID_", "TERMINAL_ID_"))],
    ]  # fmt: skip
    a, b = (table(part[features], part["TX_FRAUD"] == 1) for part in (train, test))
    yield _published(a, b)


def _adult(data: Path) -> Iterator[Split]:
    tables = []
    for file in ("adult.data.parquet", "adult.test.parquet"):
        frame = pd.read_parquet(data / "adult" / file)
        target = frame["income"].str.strip().str.rstrip(".") == ">50K"
        features = frame.drop(columns=["income", "fnlwgt"])
        for name in features.columns:
            if not pd.api.types.is_numeric_dtype(features[name]):
                text = features[name].astype(object).str.strip()
                features[name] = text.where(text != "?", None)
        tables.append(table(features, target))
    yield _published(*tables)


def _seeded(frame: pd.DataFrame, y: pd.Series) -> Iterator[Split]:
    """Five stratified splits of the rows that are left when exact duplicates are dropped."""
    kept = ~frame.assign(_y=y).duplicated()
    whole = table(frame[kept], y[kept])
    for seed in range(SEEDED_SPLITS):
        rng = np.random.default_rng(seed)
        test = np.zeros(whole.events.n, dtype=bool)
        for label in (0, 1):
            rows = rng.permutation(np.flatnonzero(whole.y == label))
            test[rows[: round(TEST_SHARE * len(rows))]] = True
        yield Split(
            name=f"seed {seed}",
            train=whole.take(~test),
            test=whole.take(test),
            test_rows=np.flatnonzero(test),
        )


def _phishing(data: Path) -> Iterator[Split]:
    frame = pd.read_parquet(data / "phishing-websites-uci" / "phishing_websites.parquet")
    features = frame.drop(columns=["Result"]).astype(np.float64)
    yield from _seeded(features, frame["Result"].astype(int) == -1)


def _android(data: Path) -> Iterator[Split]:
    frame = pd.read_parquet(data / "android-tuandromd" / "TUANDROMD.parquet").dropna(how="all")
    features = frame.drop(columns=["Label"]).astype(np.float64)
    yield from _seeded(features, frame["Label"] == "malware")


_READERS = {
    "nsl-kdd": _nsl_kdd,
    "kdd99": _kdd99,
    "card-fraud": _card_fraud,
    "adult": _adult,
    "phishing": _phishing,
    "android": _android,
}
NAMES = tuple(_READERS)
