"""Small labelled events and the tools to train on them, for the tests of the road."""

from __future__ import annotations

import numpy as np

from baluarte.core.contract import (
    Band,
    Budget,
    Contract,
    Gate,
    Label,
    Learner,
    Objective,
    Points,
)
from baluarte.core.event import Events
from baluarte.core.schema import Field, Schema
from baluarte.methods.gates.false_alarms import FalseAlarms
from baluarte.methods.gates.recall import Recall
from baluarte.methods.models.lightgbm import LightGBM
from baluarte.methods.models.logistic import Logistic
from baluarte.methods.models.svm_rbf import SvmRbf
from baluarte.methods.models.xgboost import XGBoost
from baluarte.methods.search.optuna import Optuna
from baluarte.stages.train import TrainingTools

SCHEMA = Schema(
    fields=(
        Field(name="flow", type="text", role="id"),
        Field(name="bytes", type="number"),
        Field(name="rate", type="number"),
        Field(name="service", type="category"),
        Field(name="kind", type="category", role="label"),
    )
)
TIME = Field(name="at", type="time", role="time")


def contract(
    *,
    max_fpr: float = 0.1,
    min_recall: float | None = 0.3,
    labelled: bool = True,
    timed: bool = False,
    **learner: object,
) -> Contract:
    budget = Budget(kind="max_fpr", value=max_fpr)
    if not labelled:
        budget = Budget(kind="max_alerts_per_day", value=50.0)
    settings = {"families": ("logistic",), "trials": 3, "threads": 1} | learner
    gates = (Gate(name="false_alarms"), Gate(name="recall")) if labelled else ()
    return Contract(
        name="flows",
        purpose="test",
        owner="test",
        events=Schema(fields=(*SCHEMA.fields, TIME)) if timed else SCHEMA,
        label=Label(field="kind", negative=("normal",)) if labelled else None,
        objective=Objective(
            budget=budget,
            min_recall=min_recall if labelled else None,
            events_per_day=None if labelled else 1_000.0,
        ),
        bands=(Band(name="pass"), Band(name="alert", budget=budget)),
        points=Points(),
        learner=Learner(**settings),  # type: ignore[arg-type]
        gates=gates,
    )


def events(n: int = 4_000, *, seed: int = 0, shift: float = 0.0, separation: float = 3.0) -> Events:
    """A fifth are attacks; ``separation`` is how far from the rest, in standard deviations."""
    rng = np.random.default_rng(seed)
    attack = rng.random(n) < 0.2
    service = np.array(["http", "dns", "ssh", None], dtype=object)[
        np.where(attack, rng.integers(1, 4, n), rng.integers(0, 3, n))
    ]
    return Events(
        n=n,
        columns={
            "flow": np.array([f"{seed}-{i}" for i in range(n)], dtype=object),
            "bytes": rng.normal(size=n) + separation * attack + shift,
            "rate": np.where(rng.random(n) < 0.1, np.nan, rng.exponential(size=n) + attack),
            "service": service,
            "at": np.arange(n) * 1e6,
            "kind": np.where(attack, "scan", "normal").astype(object),
        },
    )


def tools(of: Contract, journal: str | None = None) -> TrainingTools:
    known = {model.name: model for model in (LightGBM(), Logistic(), SvmRbf(), XGBoost())}
    return TrainingTools(
        models=[known[family] for family in of.learner.families],
        search=Optuna(journal),
        gates={"false_alarms": FalseAlarms(), "recall": Recall()},
        rng=np.random.default_rng(0),
    )
