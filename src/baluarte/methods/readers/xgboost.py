"""XGBoost's own JSON and UBJSON: boosted trees of one output.

XGBoost adds its leaves in float32. The certificate compares with the float64 sum of the leaves that
the library itself says it reaches, and reports the difference from its float32 margin beside it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from baluarte.core.adopted import LibraryOutput, ModelInput, Scale
from baluarte.core.program.draft import Draft
from baluarte.errors import DataError
from baluarte.methods.foreign_text import category_text, refuse_damaged
from baluarte.methods.foreign_trees import MAX_CODE
from baluarte.methods.libraries import library
from baluarte.methods.xgboost_model import base_margin, draft_of_model, leaf_values, read_model
from baluarte.ports import ForeignModel, Matrix

_MAX_FEATURES = 1 << 20


class XGBoost:
    """Reads what ``Booster.save_model`` writes."""

    name: ClassVar[str] = "xgboost"

    def recognises(self, name: str, head: bytes) -> bool:  # noqa: ARG002 - the port's
        """By the learner at its start: both forms begin with the same keys."""
        return head[:1] == b"{" and b"learner" in head[:64]

    def read(self, data: bytes, *, positive: str | None, where: str) -> ForeignModel:
        """The trees, and the texts of categories where the file has them."""
        with refuse_damaged("an XGBoost model", where):
            saved = read_model(data)
            learner = saved["learner"]
            if positive not in {None, "1"}:
                raise DataError(
                    f"the model has one output, for the class 1; found {positive!r}",
                    where="--positive",
                    hint="Leave the option out.",
                )
            n_inputs = int(learner["learner_model_param"]["num_feature"])
            if not 1 <= n_inputs <= _MAX_FEATURES:
                raise DataError(
                    f"expected 1 to {_MAX_FEATURES} features, found {n_inputs}", where=where
                )
            _refuse_codes(learner)
            draft = draft_of_model(saved)
            version = ".".join(str(int(part)) for part in saved.get("version", ()))
            return XGBoostModel(
                read_as=f"xgboost {version}".rstrip(),
                inputs=_inputs(learner, n_inputs, where),
                compiled=draft,
                saved=saved,
                data=data,
                scale=("log-odds" if "logi" in str(learner["objective"]["name"]) else "raw"),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class XGBoostModel:
    """A model as XGBoost saves it."""

    read_as: str
    scale: Scale
    inputs: tuple[ModelInput, ...]
    compiled: Draft
    saved: Mapping[str, Any]
    data: bytes

    def draft(self, rows: Matrix) -> Draft:  # noqa: ARG002 - the port's; the file has all
        """The trees as the file has them."""
        return self.compiled

    def by_library(self, rows: Matrix) -> LibraryOutput | None:
        """The leaves at ``pred_leaf`` and the margin at ``output_margin``."""
        if importlib.util.find_spec("xgboost") is None:
            return None
        xgb = library("xgboost")
        learner = self.saved["learner"]
        booster = xgb.Booster(params={"nthread": 1})
        booster.load_model(bytearray(self.data))
        table = xgb.DMatrix(
            rows,
            feature_names=list(learner.get("feature_names") or ()) or None,
            feature_types=list(learner.get("feature_types") or ()) or None,
            enable_categorical=True,
            nthread=1,
        )
        leaves = np.asarray(booster.predict(table, pred_leaf=True)).reshape(len(rows), -1)
        values = leaf_values(self.saved)
        total = np.full(len(rows), base_margin(self.saved))
        for k, value in enumerate(values):
            total += value[leaves[:, k].astype(np.int64)]
        single = np.asarray(booster.predict(table, output_margin=True), dtype=np.float64)
        return LibraryOutput(
            library="xgboost",
            version=xgb.__version__,
            margin=total,
            single=single.ravel(),
            leaves=True,
        )


def _refuse_codes(learner: Mapping[str, Any]) -> None:
    """Category codes are few and small: a damaged one must not ask for memory."""
    booster = learner["gradient_booster"]
    model = booster.get("gbtree", booster)["model"]
    for tree in model["trees"]:
        codes = np.asarray(tree.get("categories", ()), dtype=np.float64)
        if codes.size and not (codes.min() >= 0 and codes.max() < MAX_CODE):
            raise DataError(f"expected category codes in [0, {MAX_CODE}), found others")


def _inputs(learner: Mapping[str, Any], n_inputs: int, where: str) -> tuple[ModelInput, ...]:
    names = [str(name) for name in learner.get("feature_names") or ()]
    kinds = [str(kind) for kind in learner.get("feature_types") or ()]
    if (names and len(names) != n_inputs) or (kinds and len(kinds) != n_inputs):
        raise DataError(f"expected names and types of {n_inputs} features", where=where)
    if names == [f"f{i}" for i in range(n_inputs)]:
        names = []
    booster = learner["gradient_booster"]
    model = booster.get("gbtree", booster)["model"]
    tables = (model.get("cats") or {}).get("enc") or ()
    found = []
    for j in range(n_inputs):
        coded = bool(kinds) and kinds[j] == "c"
        texts = _texts(tables[j], where) if coded and j < len(tables) else ()
        found.append(
            ModelInput(
                name=names[j] if names else None,
                categories=texts or None,
                whole=coded and not texts,
            )
        )
    return tuple(found)


def _texts(table: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """The texts of a column's categories in the order of their codes; none where it has none.

    Source: XGBoost src/data/cat_container.cc: texts as offsets into bytes, numbers as they are.
    """
    values = np.asarray(table.get("values", ()))
    if "offsets" not in table:
        return tuple(category_text(value, where) for value in values.tolist())
    offsets = np.asarray(table["offsets"]).astype(np.int64).tolist()
    raw = values.astype(np.int64).astype(np.uint8).tobytes()
    pairs = pairwise(offsets)
    return tuple(raw[start:stop].decode("utf-8") for start, stop in pairs)
