"""scikit-learn's kernel machines and networks over treated columns, as parts of a program."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import Draft
from baluarte.core.program.draft_dense import (
    Activation,
    DraftKernel,
    DraftNetwork,
    Layer,
    background_of,
)
from baluarte.core.program.model import Inputs
from baluarte.errors import DataError
from baluarte.methods.foreign_columns import Coded, Column, InFloat32, MissingFlag, Number
from baluarte.methods.foreign_linear import Fold, range_of
from baluarte.methods.sklearn_machines import in_full
from baluarte.ports import Matrix

_WIDER = 1.0  #: widths of the rows' range that an input's range reaches beyond it
_N_BACKGROUND = 32  #: rows that a kernel machine's reasons are estimated against


def kernel_machine(model: Any, columns: list[Column], rows: Matrix, sign: float) -> Draft:
    """A fitted ``SVC`` of two classes that was checked: its support vectors and their dual weights.

    Raises:
        DataError: another kernel than rbf and poly, or an input that can't be prepared.
    """
    if model.kernel not in {"rbf", "poly"}:
        raise DataError(
            f"the kernel {model.kernel!r:.40} can't be put as a program",
            hint="Train it with linear, rbf or poly.",
        )
    rbf = model.kernel == "rbf"
    # A polynomial grows fast: beyond the rows' own range its inputs stay at the range's end.
    inputs, order = _inputs(columns, rows, wider=_WIDER if rbf else 0.0, add_up=False)
    vectors, weights = in_full(model.support_vectors_), in_full(model.dual_coef_)
    part = DraftKernel(
        inputs=inputs,
        kernel="rbf" if rbf else "polynomial",
        gamma=float(model._gamma),  # noqa: SLF001 - the number that "scale" came to
        degree=0 if rbf else int(model.degree),
        coef0=0.0 if rbf else float(model.coef0),
        vector=vectors[:, order],
        weight=sign * weights[0],
        background=background_of(rows, _N_BACKGROUND),
    )
    base = sign * float(model.intercept_[0])
    return Draft(n_features=rows.shape[1], base=base, parts=(part,))


def network(model: Any, columns: list[Column], rows: Matrix, sign: float) -> Draft:
    """A fitted ``MLPClassifier`` of two classes: the log-odds before its last function.

    Raises:
        DataError: an activation that a program doesn't have.
    """
    inputs, order = _inputs(columns, rows, wider=_WIDER, add_up=True)
    activation: Activation = model.activation
    if activation not in get_args(Activation) or len(model.coefs_) != len(model.intercepts_):
        raise DataError(f"the activation {activation!r:.40} can't be put as a program")
    weights = [np.asarray(one, dtype=np.float64) for one in model.coefs_]
    biases = [np.asarray(one, dtype=np.float64) for one in model.intercepts_]
    weights[0] = weights[0][order]
    last = len(weights) - 1
    layers = tuple(
        Layer(weight=weight, bias=bias, activation=activation if at < last else "identity")
        for at, (weight, bias) in enumerate(zip(weights, biases, strict=True))
    )
    part = DraftNetwork(inputs=inputs, layers=layers, background=background_of(rows), weight=sign)
    return Draft(n_features=rows.shape[1], base=0.0, parts=(part,))


def _inputs(
    columns: list[Column], rows: Matrix, *, wider: float, add_up: bool
) -> tuple[Inputs, NDArray[np.int64]]:
    """The columns as prepared inputs, and which column each of these is of.

    Args:
        add_up: whether a column may be the sum of two inputs.
    """
    numbers: list[tuple[float, ...]] = []
    flags: list[tuple[float, ...]] = []
    at_number: list[int] = []
    at_flag: list[int] = []
    for k, column in enumerate(columns):
        if isinstance(column, Coded):
            for flag in _flags(column, add_up=add_up):
                flags.append(flag)
                at_flag.append(k)
        elif any(isinstance(step, MissingFlag) for step in column.steps):
            off, on = column.value(np.array([0.0, np.nan])).tolist()
            flags.append((column.input, -1, on, off))
            at_flag.append(k)
        else:
            numbers.append(_number(column, rows[:, column.input], wider))
            at_number.append(k)
    of_numbers = np.array(numbers, dtype=np.float64).reshape(len(numbers), 6).T
    of_flags = np.array(flags, dtype=np.float64).reshape(len(flags), 4).T
    found = Inputs(
        column=of_numbers[0].astype(np.int32),
        center=of_numbers[1],
        scale=of_numbers[2],
        low=of_numbers[3],
        high=of_numbers[4],
        missing=of_numbers[5],
        flag_column=of_flags[0].astype(np.int32),
        code=of_flags[1].astype(np.int32),
        on=of_flags[2],
        off=of_flags[3],
    )
    return found, np.array([*at_number, *at_flag], dtype=np.int64)


def _number(column: Number, x: NDArray[np.float64], wider: float) -> tuple[float, ...]:
    fold = Fold(*range_of(x, wider=wider))
    for step in column.steps:
        inner = step.step if isinstance(step, InFloat32) else step
        if inner is not None:
            fold.take(inner)
    center = fold.center - fold.constant * fold.scale
    seen = float(column.value(np.array([np.nan]))[0])
    missing = fold.mean(x) + fold.constant if np.isnan(seen) else seen
    return (column.input, center, fold.scale, fold.low, fold.high, missing)


def _flags(column: Coded, *, add_up: bool) -> list[tuple[float, ...]]:
    """A category's column that says one code from all the others."""
    values = np.array(column.values)
    off = float(values[-1])
    missing = off if np.isnan(column.missing) else column.missing
    on = np.flatnonzero(values != off)
    if len(on) > 1 or (missing != off and not add_up):
        raise DataError(
            "codes in an order, or for a kernel machine a category in the place of missing ones, "
            "can't be put as a program",
            hint="Code categories by a OneHotEncoder with handle_unknown='ignore', without an "
            "imputer before it.",
        )
    code = int(on[0]) if len(on) else 0
    flags: list[tuple[float, ...]] = [(column.input, code, float(values[code]), off)]
    return flags if missing == off else [*flags, (column.input, -1, missing - off, 0.0)]
