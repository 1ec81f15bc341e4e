"""Told: a family with what the contract says of it, in place of what a search would try.

A family that is told keeps its port: its defaults and its space are those of the learner, but for
the parameters that ``[learner.params]`` names; its fit sees the rows that ``[learner.sampling]``
asks for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import UnsetType
from numpy.typing import NDArray

from baluarte.core.contract import Contract, Param, Sampling
from baluarte.core.nearest import did_you_mean
from baluarte.core.program.draft import Draft
from baluarte.core.row_keys import mixed
from baluarte.core.search import FitTask
from baluarte.errors import ContractError, Fault
from baluarte.ports import Fitted, Matrix, Model, Params, Suggest, Target

Said = Mapping[str, Param | tuple[Param, ...]]  #: by parameter, as the contract has it
Values = Mapping[str, tuple[Param, ...]]  #: likewise; one value is not searched


def told(contract: Contract, models: Sequence[Model]) -> list[Model]:
    """The families as the contract wants them.

    Raises:
        ContractError: every parameter that a family doesn't have, or value of another kind.
    """
    learner = contract.learner
    said = {} if isinstance(learner.params, UnsetType) else learner.params
    sampling = None if isinstance(learner.sampling, UnsetType) else learner.sampling
    faults = [
        Fault(fault.message, f"learner.params.{model.name}.{name}", fault.hint)
        for model in models
        for name, fault in param_faults(model, said.get(model.name, {}))
    ]
    if faults:
        raise ContractError.of(faults)
    return [
        Told(model=model, values=_values(model, said.get(model.name, {})), sampling=sampling)
        if model.name in said or sampling is not None
        else model
        for model in models
    ]


def param_faults(model: Model, said: Said) -> list[tuple[str, Fault]]:
    """What is wrong with what a family is told, by parameter; ranges bind the search alone."""
    kinds, found = _kinds(model), []
    why: Mapping[str, str] = getattr(model, "refuses", {})
    for name, values in said.items():
        kind = kinds.get(name)
        if name in why:
            found.append((name, Fault(f"is refused: {why[name]}")))
        elif kind is None:
            hint = did_you_mean(name, sorted(kinds))
            found.append((name, Fault(f"{model.name} has no such parameter.", hint=hint)))
        else:
            given = values if isinstance(values, tuple) else (values,)
            wrong = [value for value in given if not kind.fits(value)]
            found += [(name, Fault(f"expected {kind}; found {value!r}")) for value in wrong[:1]]
    return found


def _values(model: Model, said: Said) -> Values:
    kinds = _kinds(model)
    values = {name: v if isinstance(v, tuple) else (v,) for name, v in said.items()}
    return {
        name: tuple(float(v) if kinds[name].type is float else v for v in given)
        for name, given in values.items()
    }


@dataclass(frozen=True, slots=True)
class Told:
    """Meets ``ports.Model``."""

    model: Model
    values: Values
    sampling: Sampling | None

    @property
    def name(self) -> str:
        """The learner's."""
        return self.model.name

    @property
    def needs_labels(self) -> bool:
        """The learner's."""
        return self.model.needs_labels

    def defaults(self) -> Params:
        """The learner's, with what was told; of several values the first."""
        return {**self.model.defaults(), **{name: v[0] for name, v in self.values.items()}}

    def suggest(self, suggest: Suggest) -> Params:
        """The learner's space, where nothing was told."""
        return self.model.suggest(_Asking(suggest, self.values))

    def fit(self, X: Matrix, y: Target, *, params: Params, task: FitTask) -> Fitted:
        """Fit on the rows that are asked for.

        Raises:
            ContractError: the learner refuses a value that was told.
        """
        rows = None if self.sampling is None else sampled(y, self.sampling, seed=task.seed)
        try:
            if rows is None:
                return self.model.fit(X, y, params=params, task=task)
            fitted = self.model.fit(X[rows], y[rows], params=params, task=task)
            return FittedOnSome(fitted=fitted, rows=rows)
        except ValueError as error:
            if not self.values:
                raise
            raise ContractError(
                f"{self.name} refuses its parameters: {error}",
                where=f"learner.params.{self.name}",
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedOnSome:
    """A fitted model, and which rows it was fitted on."""

    fitted: Fitted
    rows: NDArray[np.int64]

    @property
    def sample(self) -> NDArray[np.int64]:
        """(m,) rows of the fit, one that was repeated several times."""
        inner = getattr(self.fitted, "sample", None)
        return self.rows if inner is None else self.rows[inner]

    def margin(self, X: Matrix) -> NDArray[np.float64]:
        """(n,) the model's own."""
        return self.fitted.margin(X)

    def compile(self) -> Draft:
        """The model's own."""
        return self.fitted.compile()


def sampled(y: Target, sampling: Sampling, *, seed: int) -> NDArray[np.int64]:
    """Rows of ``y``, ascending, among which attacks have the share that is asked for.

    A share that is there already changes nothing: no attack is left out, and none is repeated
    because others are few.
    """
    attack = y == 1
    n_attacks, n_others = int(attack.sum()), int((~attack).sum())
    odds = sampling.share / (1.0 - sampling.share)
    if not n_attacks or not n_others or n_attacks >= odds * n_others:
        return np.arange(len(y))
    if sampling.how == "under":
        others = np.flatnonzero(~attack)
        drawn = np.argsort(mixed(others.astype(np.uint64) + np.uint64(seed << 32)), kind="stable")
        kept = others[drawn[: max(1, round(n_attacks / odds))]]
        return np.sort(np.concatenate([np.flatnonzero(attack), kept]))
    whole, part = divmod(round(odds * n_others), n_attacks)
    times = np.ones(len(y), np.int64)
    times[attack] = whole
    times[np.flatnonzero(attack)[np.linspace(0, n_attacks - 1, part).astype(np.int64)]] += 1
    return np.repeat(np.arange(len(y)), times)


@dataclass(frozen=True, slots=True)
class _Asking(Suggest):
    """Draws from another, but for what was told."""

    inner: Suggest
    values: Values

    def integer(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        if name in self.values:
            return int(self._one_of(name))
        return self.inner.integer(name, low, high, log=log)

    def number(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        if name in self.values:
            return float(self._one_of(name))
        return self.inner.number(name, low, high, log=log)

    def choice(self, name: str, options: Sequence[Param]) -> Param:
        return self._one_of(name) if name in self.values else self.inner.choice(name, options)

    def option(self, name: str, options: Sequence[Param]) -> Param:
        return self._one_of(name) if name in self.values else self.inner.option(name, options)

    def _one_of(self, name: str) -> Param:
        values = self.values[name]
        return values[0] if len(values) == 1 else self.inner.choice(name, list(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """What a parameter of a space may be."""

    type: type[int | float] | None  #: None: one of the options
    options: tuple[Param, ...] = ()
    low: float = 0.0

    def fits(self, value: Param) -> bool:
        if self.type is None:
            return value in self.options
        if isinstance(value, bool | str) or not math.isfinite(value) or value < self.low:
            return False
        return self.type is float or isinstance(value, int)

    def __str__(self) -> str:
        if self.type is None:
            return "one of " + ", ".join(str(option) for option in self.options)
        kind = "a whole number" if self.type is int else "a number"
        return f"{kind} ≥ {self.low:g}"


class _Kinds(Suggest):
    """Notes the kind of each parameter of a space."""

    def __init__(self, defaults: Params) -> None:
        self._defaults = defaults
        self.kinds: dict[str, _Kind] = {}

    def integer(self, name: str, low: int, high: int, *, log: bool = False) -> int:  # noqa: ARG002 - the port's
        self.kinds[name] = _Kind(type=int, low=min(low, 0))
        return int(self._defaults[name])

    def number(self, name: str, low: float, high: float, *, log: bool = False) -> float:  # noqa: ARG002 - the port's
        self.kinds[name] = _Kind(type=float, low=min(low, 0.0))
        return float(self._defaults[name])

    def choice(self, name: str, options: Sequence[Param]) -> Param:
        self.kinds[name] = _Kind(type=None, options=tuple(options))
        return self._defaults[name]

    option = choice


def _kinds(model: Model) -> dict[str, _Kind]:
    space = _Kinds(model.defaults())
    model.suggest(space)
    return space.kinds
