"""The public sets as they are, traps left in, each with the traps that its own page names.

A trap is told by the findings that name it; a column that no trap is about is a clean one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from baluarte.core.contract import Contract
from baluarte.core.contract_toml import parse_contract
from baluarte.core.event import Events
from baluarte.core.event_columns import from_columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """One trap of a set's page, and the findings that name it: (check, field or None for any)."""

    says: str
    named_by: tuple[tuple[str, str | None], ...]
    columns: tuple[str, ...] = ()  #: that are not clean because of it


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSet:
    """One set with its contract and its traps."""

    name: str
    contract: Contract
    events: Events
    traps: tuple[Trap, ...]
    holdout: Events | None = None
    unseen: tuple[str, ...] = field(default=())  #: traps that no look at these data can show


def _contract(name: str, frame: pd.DataFrame, **roles: str | list[str]) -> Contract:
    """A contract over all columns: texts are categories, whole numbers integers."""
    kinds: dict[str, list[str]] = {}
    named = [roles[key] for key in ("label", "id", "entity") if key in roles]
    for column in frame.columns:
        kind = "number"
        if column == roles.get("time") or pd.api.types.is_datetime64_any_dtype(frame[column]):
            kind = "time"
        elif column in named or not pd.api.types.is_numeric_dtype(frame[column]):
            kind = "category"
        elif pd.api.types.is_integer_dtype(frame[column]):
            kind = "integer"
        kinds.setdefault(kind, []).append(column)
    lines = [f'name = "{name}"', 'purpose = "a public set"', 'owner = "nobody"', "[events]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in roles.items()]
    lines += ["[types]", *(f"{kind} = {json.dumps(names)}" for kind, names in kinds.items())]
    lines += ["[objective]", "min_recall = 0.5", "max_fpr = 0.01"]
    return parse_contract("\n".join(lines), where=name)


def _events(contract: Contract, frame: pd.DataFrame) -> Events:
    columns = {
        name: column.astype(object).where(column.notna(), None).tolist()
        if column.dtype == object or isinstance(column.dtype, pd.StringDtype)
        else column.to_numpy()
        for name, column in frame.items()
    }
    return from_columns(contract.events, columns)  # type: ignore[arg-type]


def _nsl_kdd(data: Path) -> PlanSet:
    train = pd.read_parquet(data / "nsl-kdd" / "KDDTrain+.parquet")
    test = pd.read_parquet(data / "nsl-kdd" / "KDDTest+.parquet")
    contract = _contract("nsl-kdd", train, label="label", negative=["normal"], family="label")
    return PlanSet(
        name="nsl-kdd",
        contract=contract,
        events=_events(contract, train),
        holdout=_events(contract, test),
        traps=(
            Trap(says="17 attack types only in test", named_by=(("holdout.families", None),)),
            Trap(
                says="difficulty is a leak",
                named_by=(("after_the_fact", "difficulty"), ("label_copy", "difficulty")),
                columns=("difficulty",),
            ),
            Trap(
                says="num_outbound_cmds is constant",
                named_by=(("constant", "num_outbound_cmds"),),
                columns=("num_outbound_cmds",),
            ),
            Trap(
                says="6 services of train never in test",
                named_by=(("holdout.categories", "service"),),
                columns=("service",),
            ),
            Trap(
                says="class share moves from 46 to 57 %, thresholds do not carry over",
                named_by=(("holdout.share", None),),
            ),
        ),
        unseen=("accuracy over 90 % means a random split",),
    )


def _kdd99(data: Path) -> PlanSet:
    train = pd.read_parquet(data / "kdd99" / "kddcup.data_10_percent.parquet")
    test = pd.read_parquet(data / "kdd99" / "corrected.parquet")
    contract = _contract("kdd99", train, label="label", negative=["normal."], family="label")
    return PlanSet(
        name="kdd99",
        contract=contract,
        events=_events(contract, train),
        holdout=_events(contract, test),
        traps=(
            Trap(says="71 % of train rows are duplicates", named_by=(("duplicates", None),)),
            Trap(says="75 % of test rows are duplicates", named_by=(("holdout.repeats", None),)),
            Trap(says="test is distributed differently", named_by=(("holdout.drift", None),)),
            Trap(says="17 attack types only in test", named_by=(("holdout.families", None),)),
            Trap(
                says="two constant columns (as in NSL-KDD)",
                named_by=(("constant", "num_outbound_cmds"), ("constant", "is_host_login")),
                columns=("num_outbound_cmds", "is_host_login"),
            ),
        ),
        unseen=("NSL-KDD is drawn from it",),
    )


_CARD_TRAPS = (
    Trap(
        says="TX_FRAUD_SCENARIO is the label in disguise",
        named_by=(("label_copy", "TX_FRAUD_SCENARIO"),),
        columns=("TX_FRAUD_SCENARIO",),
    ),
    Trap(
        says="TRANSACTION_ID encodes time",
        named_by=(("clock", "TRANSACTION_ID"), ("identifier", "TRANSACTION_ID")),
        columns=("TRANSACTION_ID",),
    ),
    Trap(
        says="TX_TIME_SECONDS encodes time",
        named_by=(("clock", "TX_TIME_SECONDS"),),
        columns=("TX_TIME_SECONDS",),
    ),
    Trap(
        says="TX_TIME_DAYS encodes time",
        named_by=(("clock", "TX_TIME_DAYS"),),
        columns=("TX_TIME_DAYS",),
    ),
    Trap(
        says="a random split leaks: compromised cards and terminals stay so for weeks",
        named_by=(("bursts", "CUSTOMER_ID"), ("bursts", "TERMINAL_ID")),
        columns=("TERMINAL_ID",),
    ),
)


def _card(data: Path, name: str, file: str) -> PlanSet:
    frame = pd.read_parquet(data / "card-fraud-simulated" / file)
    # The source keeps these two as texts in one file and as numbers in the other.
    for column in ("TX_TIME_SECONDS", "TX_TIME_DAYS", "CUSTOMER_ID", "TERMINAL_ID"):
        frame[column] = frame[column].astype(np.int64)
    frame["TERMINAL_ID"] = frame["TERMINAL_ID"].astype(str)
    frame["TX_FRAUD"] = frame["TX_FRAUD"].astype(int)
    contract = _contract(
        name, frame, label="TX_FRAUD", positive=["1"], time="TX_DATETIME", entity="CUSTOMER_ID"
    )
    return PlanSet(
        name=name,
        contract=contract,
        events=_events(contract, frame),
        traps=_CARD_TRAPS,
        unseen=("terminal risks computed without their delay",),
    )


def _card_raw(data: Path) -> PlanSet:
    return _card(data, "card-raw", "transactions_2018-04-01_2018-09-30.parquet")


def _card_features(data: Path) -> PlanSet:
    return _card(data, "card-features", "features_2018-07-25_2018-08-14.parquet")


def _adult(data: Path) -> PlanSet:
    train = pd.read_parquet(data / "adult" / "adult.data.parquet")
    test = pd.read_parquet(data / "adult" / "adult.test.parquet")
    contract = _contract("adult", train, label="income", positive=[">50K"])
    return PlanSet(
        name="adult",
        contract=contract,
        events=_events(contract, train),
        holdout=_events(contract, test),
        traps=(
            Trap(says="test labels end with a dot", named_by=(("holdout.labels", None),)),
            Trap(
                says="? means missing",
                named_by=tuple(
                    ("placeholders", name) for name in ("workclass", "occupation", "native-country")
                ),
                columns=("workclass", "occupation"),
            ),
            Trap(
                says="fnlwgt is a sampling weight",
                named_by=(("weights", "fnlwgt"),),
                columns=("fnlwgt",),
            ),
            Trap(
                says="education and education-num are the same",
                named_by=(("redundant", "education"), ("redundant", "education-num")),
                columns=("education", "education-num"),
            ),
            Trap(says="24 exact duplicates", named_by=(("duplicates", None),)),
            Trap(
                says="unfair on sex; race, age, native-country protected",
                named_by=(("protected", "sex"),),
                columns=("sex", "race", "age", "native-country"),
            ),
        ),
    )


def _german(data: Path) -> PlanSet:
    frame = pd.read_parquet(data / "german-credit" / "german.data.parquet")
    contract = _contract("german", frame, label="class", positive=["2"])
    return PlanSet(
        name="german",
        contract=contract,
        events=_events(contract, frame),
        traps=(
            Trap(says="codes (A11 …) must be decoded", named_by=(("codes.opaque", None),)),
            Trap(
                says="protected: age, sex inside personal_status_sex, foreign_worker",
                named_by=(("protected", "personal_status_sex"),),
                columns=("personal_status_sex", "age", "foreign_worker"),
            ),
            Trap(
                says="too small for recall at 1 % false alarms",
                named_by=(("needs.threshold", None), ("volume.few", None)),
            ),
        ),
        unseen=("the cost matrix of the task", "no code for single women"),
    )


def _nab(data: Path) -> PlanSet:
    frame = pd.read_parquet(data / "nab" / "nab_data.parquet")
    windows = json.loads((data / "nab" / "combined_windows.json").read_text("utf-8"))
    at = pd.to_datetime(frame["timestamp"])
    label = np.zeros(len(frame), dtype=np.int64)
    for file, spans in windows.items():
        mine = (frame["file"] == file).to_numpy()
        for start, stop in spans:
            label[mine & (at >= start).to_numpy() & (at <= stop).to_numpy()] = 1
    frame = frame.assign(timestamp=at, label=label)
    contract = _contract(
        "nab", frame, label="label", positive=["1"], time="timestamp", entity="file"
    )
    return PlanSet(
        name="nab",
        contract=contract,
        events=_events(contract, frame),
        traps=(
            Trap(says="windows are wide: labels come in long runs", named_by=(("bursts", None),)),
            Trap(says="several files have no anomaly", named_by=(("entities.quiet", None),)),
            Trap(says="49 duplicate timestamps", named_by=(("cadence.repeats", None),)),
            Trap(says="5 minutes for most but not all", named_by=(("cadence.uneven", None),)),
        ),
        unseen=("some labels are disputed",),
    )


def _asd(data: Path) -> PlanSet:
    test = pd.read_parquet(data / "asd-servers" / "test.parquet")
    train = pd.read_parquet(data / "asd-servers" / "train.parquet")
    whole = pd.concat([train.assign(label=None), test.assign(label=test["label"].astype(str))])
    start = pd.Timestamp("2020-01-01")
    offset = np.where(whole["label"].isna(), 0, 10_000)
    minutes = 5 * (whole["t"].to_numpy() + offset)
    whole = whole.assign(t=start + pd.to_timedelta(minutes, unit="min"))
    contract = _contract("asd", whole, label="label", positive=["1"], time="t", entity="entity")
    return PlanSet(
        name="asd",
        contract=contract,
        events=_events(contract, whole),
        traps=(
            Trap(says="train is unlabelled", named_by=(("unlabelled", None),)),
            Trap(says="omi-12 has a shorter train", named_by=(("entities.short", None),)),
            Trap(says="never pool entities before scaling", named_by=(("levels", None),)),
            Trap(says="labels come in long runs", named_by=(("bursts", None),)),
        ),
        unseen=("point-adjusted figures in papers",),
    )


def _cmapss(data: Path) -> PlanSet:
    frame = pd.read_parquet(data / "cmapss-fd001" / "train_FD001.parquet")
    left = frame.groupby("unit")["cycle"].transform("max") - frame["cycle"]
    frame = frame.assign(fails=(left <= 30).astype(int))
    contract = _contract("cmapss", frame, label="fails", positive=["1"], entity="unit")
    constant = [c for c in frame.columns if frame[c].nunique() == 1]
    return PlanSet(
        name="cmapss",
        contract=contract,
        events=_events(contract, frame),
        traps=(
            Trap(says="split by unit, never by row", named_by=(("bursts", "unit"),)),
            Trap(
                says="several sensors are constant",
                named_by=tuple(("constant", name) for name in constant),
                columns=tuple(constant),
            ),
            Trap(
                says="cycle alone is a strong predictor in train",
                named_by=(("clock", "cycle"),),
                columns=("cycle",),
            ),
        ),
    )


def _phishing(data: Path) -> PlanSet:
    frame = pd.read_parquet(data / "phishing-websites-uci" / "phishing_websites.parquet")
    frame = frame.astype(np.int64)
    contract = _contract("phishing", frame, label="Result", positive=["-1"])
    return PlanSet(
        name="phishing",
        contract=contract,
        events=_events(contract, frame),
        traps=(
            Trap(says="the positive class is coded -1", named_by=(("labels.coded", None),)),
            Trap(says="5,206 exact duplicates", named_by=(("duplicates", None),)),
            Trap(
                says="features are rules close to a verdict", named_by=(("codes.verdicts", None),)
            ),
        ),
        unseen=("misspelt names are original",),
    )


def _android(data: Path) -> PlanSet:
    frame = pd.read_parquet(data / "android-tuandromd" / "TUANDROMD.parquet")
    contract = _contract("android", frame, label="Label", positive=["malware"])
    constant = [c for c in frame.columns if frame[c].nunique() == 1]
    return PlanSet(
        name="android",
        contract=contract,
        events=_events(contract, frame),
        traps=(
            Trap(says="3,802 of 4,465 rows are duplicates", named_by=(("duplicates", None),)),
            Trap(says="the majority class is positive", named_by=(("balance.majority", None),)),
            Trap(says="one row is empty", named_by=(("unlabelled", None), ("empty_rows", None))),
            Trap(
                says="constant permissions",
                named_by=tuple(("constant", name) for name in constant),
                columns=tuple(constant),
            ),
        ),
    )


SETS: dict[str, Callable[[Path], PlanSet]] = {
    "nsl-kdd": _nsl_kdd,
    "kdd99": _kdd99,
    "card-raw": _card_raw,
    "card-features": _card_features,
    "adult": _adult,
    "german": _german,
    "nab": _nab,
    "asd": _asd,
    "cmapss": _cmapss,
    "phishing": _phishing,
    "android": _android,
}
