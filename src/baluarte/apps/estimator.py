"""``baluarte.Detector``: the whole training road behind scikit-learn's ``fit`` and ``predict``."""

from __future__ import annotations

import getpass
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte import __version__, wiring
from baluarte.adapters.frames import columns_of, is_table, profile_of
from baluarte.adapters.profile import profile_values
from baluarte.adapters.system import SystemClock
from baluarte.apps.html import Html, tag
from baluarte.apps.making import training_tools
from baluarte.apps.place import Place, text_beside
from baluarte.core.contract import Budget, Contract, Label
from baluarte.core.contract_toml import parse_contract
from baluarte.core.event import Events
from baluarte.core.event_columns import Cells, from_columns
from baluarte.core.raw_column import RawColumn
from baluarte.core.workspace import Workspace
from baluarte.errors import ContractError, DataError
from baluarte.stages.infer import infer, plain_name
from baluarte.stages.score import Scorer
from baluarte.stages.train import Provenance, train

LABEL = "label"  #: the column that ``y`` becomes where no contract names one


class Detector:
    """A detector to be fitted: contract, training, thresholds, rehearsal, as one estimator.

    What is fitted here is a candidate: nothing has been proved of it, and it is not sealed. For a
    version that may decide, put the contract in a workspace and run ``baluarte build``.

    Args:
        contract: a ``detector.toml`` or what it declares; None infers one from the columns.
        max_fpr: the false-positive budget, instead of the contract's.
        families: of learners, instead of the contract's.
        trials: of the search, instead of the contract's.
        seed: of everything drawn; equal rows and seed give equal bits.
    """

    def __init__(
        self,
        contract: str | Path | Contract | None = None,
        *,
        name: str = "detector",
        max_fpr: float | None = None,
        families: tuple[str, ...] | None = None,
        trials: int | None = None,
        seed: int = 0,
    ) -> None:
        self.contract = contract
        self.name = name
        self.max_fpr = max_fpr
        self.families = families
        self.trials = trials
        self.seed = seed

    def fit(self, X: object, y: object = None) -> Self:
        """Train on a table, or on (n, d) numbers; ``y`` is 1 for an attack and 0 for none.

        Without ``y`` the contract's label column must be in the table, or the contract has no
        label.

        Raises:
            ContractError: the contract can't be trained as it stands.
            DataError: the rows don't conform, or are too few for the budget.
        """
        table = _as_table(X)
        labels = None if y is None else _as_labels(y)
        contract = self._chosen(table, labels)
        events = _labelled_events(contract, table, labels)
        place = Place(root=Path.cwd(), workspace=Workspace())
        self.candidate_ = train(
            contract,
            events,
            tools=training_tools(place, contract, progress=None),
            provenance=Provenance(
                code=__version__,
                trained_by=getpass.getuser(),
                trained_at=SystemClock().now_us(),
            ),
        )
        self.contract_ = contract
        self.classes_ = np.array([0, 1])
        self.scorer_ = Scorer(self.candidate_, kernel=wiring.kernel_choice())
        return self

    def predict(self, X: object) -> NDArray[np.int64]:
        """(n,) 1 where the event is above the lowest band, else 0."""
        scorer = self._fitted()
        return (scorer.bands.decide(self.score_samples(X)) > 0).astype(np.int64)

    def predict_proba(self, X: object) -> NDArray[np.float64]:
        """(n, 2) probabilities of 0 and of 1."""
        p = self._fitted().bands.probability(self.score_samples(X))
        return np.stack([1 - p, p], axis=1)

    def decision_function(self, X: object) -> NDArray[np.int64]:
        """(n,) score less the first threshold; above zero is an alert."""
        return self.score_samples(X) - self._fitted().bands.thresholds[0]

    def score_samples(self, X: object) -> NDArray[np.int64]:
        """(n,) the integer score; higher is more suspicious."""
        scorer = self._fitted()
        return scorer.score(_events(self.contract_, _as_table(X)))

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002 - scikit-learn's signature
        """The parameters, as scikit-learn asks for them."""
        names = ("contract", "name", "max_fpr", "families", "trials", "seed")
        return {name: getattr(self, name) for name in names}

    def set_params(self, **params: Any) -> Self:
        """Change parameters, as scikit-learn does.

        Raises:
            ValueError: there is no such parameter.
        """
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"expected one of {', '.join(known)}; found {name!r}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        state = "fitted" if hasattr(self, "candidate_") else "not fitted"
        return f"Detector({self.name}, {state})"

    def _repr_html_(self) -> str:
        if not hasattr(self, "candidate_"):
            return tag("p", repr(self))
        rows = [
            tag("tr", tag("td", f.name), tag("td", f"{f.value:.4g}"), tag("td", f.method))
            for f in self.candidate_.training.rehearsal
        ]
        head = tag("p", tag("b", self.contract_.name), " · rehearsed on tuning rows, not proved")
        return Html(head + tag("table", tag("tbody", *rows)))

    def _fitted(self) -> Scorer:
        if not hasattr(self, "scorer_"):
            raise DataError("the detector is not fitted", hint="Call fit(X, y) first.")
        return self.scorer_

    def _chosen(self, table: object, labels: NDArray[np.int8] | None) -> Contract:
        """The contract, with what the parameters say instead of it."""
        if isinstance(self.contract, Contract):
            contract = self.contract
        elif self.contract is not None:
            path = Path(self.contract)
            contract = parse_contract(
                path.read_text("utf-8"), where=path.name, beside=text_beside(path)
            )
        else:
            contract = _inferred(plain_name(self.name), profile_of(table), labels)
        learner = msgspec.structs.replace(
            contract.learner,
            seed=self.seed,
            families=self.families or contract.learner.families,
            trials=contract.learner.trials if self.trials is None else self.trials,
        )
        contract = msgspec.structs.replace(contract, learner=learner)
        return contract if self.max_fpr is None else _within(contract, self.max_fpr)


def _within(contract: Contract, max_fpr: float) -> Contract:
    """The contract under another false-positive budget."""
    if not 0 < max_fpr < 1:
        raise ContractError(f"expected a rate in (0, 1), found {max_fpr}", where="max_fpr")
    if len(contract.bands) != 2:
        raise ContractError("max_fpr is for contracts with two outcomes", where="max_fpr")
    budget = Budget(kind="max_fpr", value=max_fpr)
    return msgspec.structs.replace(
        contract,
        objective=msgspec.structs.replace(contract.objective, budget=budget),
        bands=(contract.bands[0], msgspec.structs.replace(contract.bands[1], budget=budget)),
    )


def _inferred(name: str, columns: list[RawColumn], labels: NDArray[np.int8] | None) -> Contract:
    n = columns[0].n if columns else 0
    if labels is None:
        return infer(columns, name=name, events="rows", n_rows=n).contract
    if any(column.name == LABEL for column in columns):
        raise DataError(f"expected no column {LABEL!r} beside y", hint="Leave it out of X.")
    counts = Counter(labels.tolist())
    columns = [*columns, profile_values(LABEL, counts, n=len(labels))]
    contract = infer(columns, name=name, events="rows", n_rows=n, label=LABEL).contract
    truth = "true" if contract.events[LABEL].type == "boolean" else "1"
    return msgspec.structs.replace(contract, label=Label(field=LABEL, positive=(truth,)))


def _as_table(X: object) -> object:
    if isinstance(X, np.ndarray):
        if X.ndim != 2:
            raise DataError(f"expected (n, d) numbers, found shape {X.shape}")
        return {f"x{j}": X[:, j] for j in range(X.shape[1])}
    if isinstance(X, Mapping) or is_table(X):
        return X
    raise DataError(
        f"expected a table or (n, d) numbers, found a {type(X).__name__}",
        hint="Bring a pandas, polars or Arrow table, a dict of columns, or a NumPy array.",
    )


def _as_labels(y: object) -> NDArray[np.int8]:
    values = np.asarray(y)
    if values.ndim != 1 or not np.isin(values, (0, 1)).all():
        raise DataError("expected y of 0 and 1, one a row; found other values", where="y")
    return values.astype(np.int8)


def _events(contract: Contract, table: object) -> Events:
    return from_columns(contract.events, columns_of(table, contract.events))


def _labelled_events(contract: Contract, table: object, labels: NDArray[np.int8] | None) -> Events:
    columns: dict[str, Cells] = dict(columns_of(table, contract.events))
    if labels is not None:
        if contract.label is None:
            raise ContractError("the contract has no label, so y has no meaning", where="label")
        field = contract.events[contract.label.field]
        columns[".".join(field.keys)] = _label_cells(contract.label, field.type, labels)
    return from_columns(contract.events, columns)


def _label_cells(label: Label, kind: str, labels: NDArray[np.int8]) -> list[Any]:
    """The values of the label's field that mean 1 and 0."""
    listed = (label.positive or label.negative)[0]
    other = "0" if listed == "1" else "1"
    named: list[Any] = [listed, other] if label.negative else [other, listed]
    if kind == "boolean":
        truth = listed in ("true", "1")
        named = [truth, not truth] if label.negative else [not truth, truth]
    elif kind in ("integer", "number"):
        named = [float(text) for text in named]
    return [named[code] for code in labels.tolist()]
