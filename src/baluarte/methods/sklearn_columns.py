"""scikit-learn's fitted transformers as treated columns: pipelines, scalers, imputers, encoders.

Each step is what the transformer computes, in its own order and precision; what isn't one
non-decreasing step of one column is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from baluarte.errors import DataError
from baluarte.methods.foreign_columns import (
    Above,
    Affine,
    Clipped,
    Coded,
    Column,
    Filled,
    MissingFlag,
    Number,
    Product,
)
from baluarte.methods.foreign_inputs import Inputs
from baluarte.methods.foreign_text import category_text


@dataclass(frozen=True, slots=True)
class Text:
    """A text input that nothing has coded yet, and what fills it where it is missing."""

    input: int
    filled: str | None = None


Vector = list[Number | Coded | Text]


@dataclass(slots=True, kw_only=True)
class Transformers:
    """Walks fitted transformers from the inputs on."""

    inputs: Inputs
    originals: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    #: by input, the library's own values of its categories
    strict: set[int] = field(default_factory=set)  #: inputs whose unseen categories are refused

    def start(self) -> Vector:
        """The inputs as they come."""
        return [Number(j) for j in range(len(self.inputs.names))]

    def take(self, transformer: Any, vector: Vector) -> Vector:
        """The columns after a fitted transformer.

        Raises:
            DataError: one that can't be put as a program exactly.
        """
        kind = type(transformer).__name__
        known: dict[str, Callable[[Any, Vector], Vector]] = {
            "Pipeline": self._pipeline,
            "ColumnTransformer": self._column_transformer,
            "FeatureUnion": self._union,
            "StandardScaler": self._standard,
            "RobustScaler": self._robust,
            "MinMaxScaler": self._min_max,
            "MaxAbsScaler": self._max_abs,
            "Binarizer": self._binarizer,
            "SimpleImputer": self._imputer,
            "OneHotEncoder": self._one_hot,
            "OrdinalEncoder": self._ordinal,
        }
        if transformer == "passthrough" or transformer is None:
            return vector
        if kind == "FunctionTransformer" and transformer.func is None:
            return vector
        if kind not in known or not type(transformer).__module__.startswith("sklearn."):
            raise DataError(
                f"the transformer {kind!r:.80} can't be put as a program exactly",
                where=self.inputs.where,
                hint=f"Supported: {', '.join(sorted(known))}.",
            )
        return known[kind](transformer, vector)

    def numbers(self, vector: Vector) -> list[Column]:
        """The columns as a model reads them.

        Raises:
            DataError: a text among them.
        """
        found: list[Column] = []
        for one in vector:
            if isinstance(one, Text):
                raise DataError(
                    f"the model reads the text {self.inputs.names[one.input]} as a number",
                    where=self.inputs.where,
                )
            found.append(one)
        return found

    # --- composition ---

    def _pipeline(self, pipeline: Any, vector: Vector) -> Vector:
        for _, step in pipeline.steps:
            vector = self.take(step, vector)
        return vector

    def _union(self, union: Any, vector: Vector) -> Vector:
        if union.transformer_weights:
            raise DataError("a weighted union of features", where=self.inputs.where)
        out: Vector = []
        for _, step in union.transformer_list:
            if step != "drop":
                out += self.take(step, vector)
        return out

    def _column_transformer(self, transformer: Any, vector: Vector) -> Vector:
        if transformer.transformer_weights:
            raise DataError("a weighted transformer of columns", where=self.inputs.where)
        names = [str(name) for name in getattr(transformer, "feature_names_in_", ())]
        out: Vector = []
        for _, step, columns in transformer.transformers_:
            if step == "drop":
                continue
            out += self.take(step, [vector[i] for i in _places(columns, names, len(vector))])
        return out

    # --- numbers ---

    def _standard(self, scaler: Any, vector: Vector) -> Vector:
        n = len(vector)
        centers = scaler.mean_ if scaler.with_mean else np.zeros(n)
        scales = scaler.scale_ if scaler.with_std else np.ones(n)
        return self._scaled(vector, centers, scales)

    def _robust(self, scaler: Any, vector: Vector) -> Vector:
        n = len(vector)
        centers = scaler.center_ if scaler.with_centering else np.zeros(n)
        scales = scaler.scale_ if scaler.with_scaling else np.ones(n)
        return self._scaled(vector, centers, scales)

    def _max_abs(self, scaler: Any, vector: Vector) -> Vector:
        return self._scaled(vector, np.zeros(len(vector)), scaler.scale_)

    def _scaled(self, vector: Vector, centers: Any, scales: Any) -> Vector:
        return [
            column.then(Affine(float(center), _positive(scale)))
            for column, center, scale in zip(self.numbers(vector), centers, scales, strict=True)
        ]

    def _min_max(self, scaler: Any, vector: Vector) -> Vector:
        out: Vector = []
        for column, factor, offset in zip(
            self.numbers(vector), scaler.scale_, scaler.min_, strict=True
        ):
            moved = column.then(Product(_positive(factor), float(offset)))
            if scaler.clip:
                low, high = scaler.feature_range
                moved = moved.then(Clipped(float(low), float(high)))
            out.append(moved)
        return out

    def _binarizer(self, binarizer: Any, vector: Vector) -> Vector:
        return [c.then(Above(float(binarizer.threshold))) for c in self.numbers(vector)]

    def _imputer(self, imputer: Any, vector: Vector) -> Vector:
        if not _is_nan(imputer.missing_values) and imputer.missing_values is not None:
            raise DataError(
                f"an imputer of {imputer.missing_values!r:.40} instead of missing values",
                where=self.inputs.where,
                hint="Let missing values be missing (NaN).",
            )
        out: Vector = []
        for column, value in zip(vector, imputer.statistics_.tolist(), strict=True):
            if isinstance(value, str):
                out.append(Text(self._raw(column), value))
            elif value is not None and not _is_nan(value):
                out.append(self.numbers([column])[0].then(Filled(float(value))))
            # A column that was always missing is dropped, or filled by 0 where that was asked for.
            elif imputer.keep_empty_features:
                out.append(self.numbers([column])[0].then(Filled(0.0)))
        if imputer.add_indicator:
            flagged = imputer.indicator_.features_.tolist()
            out += [self.numbers([vector[i]])[0].then(MissingFlag()) for i in flagged]
        return out

    # --- categories ---

    def _one_hot(self, encoder: Any, vector: Vector) -> Vector:
        if getattr(encoder, "_infrequent_enabled", False):
            raise DataError(
                "an encoder that groups infrequent categories",
                where=self.inputs.where,
                hint="Train it without min_frequency and max_categories.",
            )
        drops = encoder.drop_idx_ if encoder.drop_idx_ is not None else [None] * len(vector)
        out: Vector = []
        for column, categories, drop in zip(vector, encoder.categories_, drops, strict=True):
            j = self._raw(column)
            self._remember(j, categories, refuses=encoder.handle_unknown == "error")
            for k in range(len(categories)):
                if drop is None or k != int(drop):
                    values = [float(i == k) for i in range(len(categories))]
                    out.append(self._coded(column, categories, values, other=0.0, missing=None))
        return out

    def _ordinal(self, encoder: Any, vector: Vector) -> Vector:
        given = encoder.handle_unknown == "use_encoded_value"
        other = float(encoder.unknown_value) if given else 0.0
        out: Vector = []
        for column, categories in zip(vector, encoder.categories_, strict=True):
            self._remember(self._raw(column), categories, refuses=not given)
            values = [float(k) for k in range(len(categories))]
            missing = float(encoder.encoded_missing_value)
            out.append(self._coded(column, categories, values, other=other, missing=missing))
        return out

    def _coded(
        self,
        column: Number | Coded | Text,
        categories: Any,
        values: Sequence[float],
        *,
        other: float,
        missing: float | None,
    ) -> Coded:
        """A category input with these values; a missing one may be a category of its own."""
        table: dict[str, float] = {}
        at_missing = missing if missing is not None else other
        for category, value in zip(categories.tolist(), values, strict=True):
            if category is None or _is_nan(category):
                at_missing = value if missing is None else missing
            else:
                table[category_text(category, self.inputs.where)] = value
        if isinstance(column, Text) and column.filled is not None:
            at_missing = table.get(column.filled, other)
        return self.inputs.coded(self._raw(column), table, other=other, missing=at_missing)

    def _remember(self, j: int, categories: Any, *, refuses: bool) -> None:
        own = tuple(c for c in categories.tolist() if c is not None and not _is_nan(c))
        self.originals.setdefault(j, own)
        if refuses:
            self.strict.add(j)

    def _raw(self, column: Number | Coded | Text) -> int:
        if isinstance(column, Coded) or (isinstance(column, Number) and column.steps):
            raise DataError(
                "categories of treated values can't be put as a program", where=self.inputs.where
            )
        return column.input


def _places(columns: Any, names: list[str], n: int) -> list[int]:
    """Numbers of the columns that a transformer was given."""
    if isinstance(columns, slice):
        return list(range(n))[columns]
    if isinstance(columns, (str, int, np.integer)):
        columns = [columns]
    listed = list(columns)
    if listed and all(isinstance(one, (bool, np.bool_)) for one in listed):
        return np.flatnonzero(listed).tolist()
    return [names.index(one) if isinstance(one, str) else range(n)[int(one)] for one in listed]


def _positive(value: Any) -> float:
    number = float(value)
    if not (number > 0 and math.isfinite(number)):
        raise DataError(f"expected a scale above 0, found {number:g}")
    return number


def _is_nan(value: Any) -> bool:
    return isinstance(value, (float, np.floating)) and math.isnan(value)
