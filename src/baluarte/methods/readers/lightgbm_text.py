"""LightGBM's own text: boosted trees and forests of one class, or one of one-against-the-rest.

The library isn't needed to read it. Categories of a pandas table are matched by their text.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from baluarte.core.adopted import LibraryOutput, ModelInput, Scale
from baluarte.core.program.draft import Draft
from baluarte.errors import DataError
from baluarte.methods.foreign_text import category_text, refuse_damaged
from baluarte.methods.libraries import library
from baluarte.methods.lightgbm_text import draft_of_text
from baluarte.ports import ForeignModel, Matrix

_MAX_TREES = 100_000
_PANDAS = "\npandas_categorical:"
_VERSIONS = ("v3", "v4")


class LightGBMText:
    """Reads what ``Booster.save_model`` writes."""

    name: ClassVar[str] = "lightgbm_text"

    def recognises(self, name: str, head: bytes) -> bool:  # noqa: ARG002 - the port's
        """By its first line."""
        return head.lstrip().startswith(b"tree\n") or head.lstrip().startswith(b"tree\r\n")

    def read(self, data: bytes, *, positive: str | None, where: str) -> ForeignModel:
        """The header, the trees of the class that was asked for, and the categories' texts."""
        with refuse_damaged("a LightGBM model in text", where):
            text = data.decode("utf-8").replace("\r\n", "\n")
            header, *blocks = text.split("\nTree=")
            head = dict(_pairs(header))
            _refuse_other(head, text, len(blocks), where)
            n_inputs = int(head["max_feature_idx"]) + 1
            names = head["feature_names"].split(" ")
            if len(names) != n_inputs or not 1 <= n_inputs <= 1 << 20:
                raise DataError(
                    f"expected {n_inputs} feature names, found {len(names)}", where=where
                )
            classes = int(head.get("num_tree_per_iteration", "1"))
            chosen = _class_of(head, classes, positive, where)
            single = text if classes == 1 else _one_class(header, blocks, classes, chosen)
            draft = draft_of_text(single)
            inputs = _inputs(names, head["feature_infos"].split(" "), _pandas(text), where)
        return LightGBMModel(
            read_as=f"lightgbm text {head['version']}",
            inputs=inputs,
            compiled=draft,
            text=text,
            chosen=chosen,
            classes=classes,
            scale="log-odds"
            if head.get("objective", "").startswith(("binary", "multiclassova"))
            else "raw",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LightGBMModel:
    """A model in LightGBM's text."""

    read_as: str
    scale: Scale
    inputs: tuple[ModelInput, ...]
    compiled: Draft
    text: str
    chosen: int
    classes: int

    def draft(self, rows: Matrix) -> Draft:  # noqa: ARG002 - the port's; the file has all
        """The trees as the file has them."""
        return self.compiled

    def by_library(self, rows: Matrix) -> LibraryOutput | None:
        """``Booster.predict(raw_score=True)``; categories as pandas hands them over."""
        if importlib.util.find_spec("lightgbm") is None:
            return None
        lgb = library("lightgbm")
        given = rows.copy()
        for j, one in enumerate(self.inputs):
            if one.categories is not None:
                given[given[:, j] >= len(one.categories), j] = np.nan
        booster = lgb.Booster(model_str=self.text)
        raw = np.asarray(booster.predict(given, raw_score=True, num_threads=1), dtype=np.float64)
        if "\naverage_output\n" in self.text:  # a random forest's raw score is the sum of its trees
            raw /= booster.current_iteration()
        margin = raw if self.classes == 1 else raw[:, self.chosen]
        return LibraryOutput(library="lightgbm", version=lgb.__version__, margin=margin)


def _pairs(block: str) -> list[tuple[str, str]]:
    lines = (line.partition("=") for line in block.split("\n"))
    return [(key, value) for key, equals, value in lines if equals]


def _refuse_other(head: dict[str, str], text: str, n_trees: int, where: str) -> None:
    if head.get("version") not in _VERSIONS:
        raise DataError(
            f"expected version {' or '.join(_VERSIONS)} of the format, "
            f"found {head.get('version', 'none')!r:.40}",
            where=where,
            hint="Load and save it again with LightGBM 3 or 4.",
        )
    if not 1 <= n_trees <= _MAX_TREES:
        raise DataError(f"expected 1 to {_MAX_TREES} trees, found {n_trees}", where=where)
    if "\nend of trees" not in text:
        raise DataError(
            "the file ends before its trees do",
            where=where,
            hint="It was cut short: copy it again.",
        )
    if "\nis_linear=1" in text:
        raise DataError(
            "trees with linear models in their leaves can't be put as a program",
            where=where,
            hint="Train again with linear_tree=false.",
        )


def _class_of(head: dict[str, str], classes: int, positive: str | None, where: str) -> int:
    """Which of the classes' trees to take."""
    if classes == 1:
        if positive not in (None, "1"):
            raise DataError(
                f"the model has one output, for the class 1; found {positive!r}",
                where="--positive",
                hint="Leave the option out.",
            )
        return 0
    objective = head.get("objective", "").split(" ")[0]
    if objective != "multiclassova":
        raise DataError(
            f"a model of {classes} classes with the objective {objective} has no additive score: "
            "a class's probability depends on all classes' trees",
            where=where,
            hint="Train again as binary (attack or not), or with objective=multiclassova.",
        )
    if positive is None or not positive.isdecimal() or int(positive) >= classes:
        raise DataError(
            f"which of the {classes} classes is the attack? found {positive!r}",
            where="--positive",
            hint=f"Name one of 0 to {classes - 1}.",
        )
    return int(positive)


def _one_class(header: str, blocks: list[str], classes: int, chosen: int) -> str:
    """The text with the trees of one class alone."""
    last, _, rest = blocks[-1].partition("\nend of trees")
    own = [*blocks[:-1], last][chosen::classes]
    alone = header.replace(f"\nnum_tree_per_iteration={classes}\n", "\nnum_tree_per_iteration=1\n")
    return "\nTree=".join([alone, *own]) + "\nend of trees" + rest


def _pandas(text: str) -> list[list[Any]]:
    """The categories of a pandas table's columns, in the order of the model's features."""
    _, found, rest = text.rpartition(_PANDAS)
    said = json.loads(rest.split("\n")[0]) if found else None
    return said or []


def _inputs(
    names: list[str], infos: list[str], pandas: list[list[Any]], where: str
) -> tuple[ModelInput, ...]:
    """Each input; a category's codes are pandas's places, or numbers where there was no pandas."""
    if len(infos) != len(names):
        raise DataError(f"expected {len(names)} feature_infos, found {len(infos)}", where=where)
    nameless = all(name == f"Column_{i}" for i, name in enumerate(names))
    # Numbers are written [low:high], constants none, categories 3:1:2.
    coded = [i for i, info in enumerate(infos) if info != "none" and not info.startswith("[")]
    tables: dict[int, tuple[str, ...]] = {}
    if pandas:
        if len(pandas) < len(coded):
            raise DataError(
                f"expected categories of {len(coded)} columns, found {len(pandas)}", where=where
            )
        if len(pandas) > len(coded):
            raise DataError(
                f"the file has categories of {len(pandas)} columns and uses {len(coded)} of them, "
                "and doesn't say which",
                where=where,
                hint="Train again without the constant category columns.",
            )
        for i, values in zip(coded, pandas, strict=True):
            tables[i] = tuple(category_text(value, where) for value in values)
    return tuple(
        ModelInput(
            name=None if nameless else name,
            categories=tables.get(i),
            whole=i in coded and i not in tables,
        )
        for i, name in enumerate(names)
    )
