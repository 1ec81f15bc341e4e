"""scikit-learn's models saved with skops: only types that skops trusts by itself are loaded.

A pipeline of imputers, scalers and encoders before a supported estimator becomes one program over
the fields themselves.
"""

from __future__ import annotations

import copy
import importlib.util
import io
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from baluarte.core.adopted import LibraryOutput, ModelInput, Scale
from baluarte.core.program.draft import Draft
from baluarte.errors import BaluarteError, DataError, OutsideError
from baluarte.methods.foreign_inputs import Inputs
from baluarte.methods.foreign_text import refuse_damaged
from baluarte.methods.libraries import library
from baluarte.methods.sklearn_columns import Transformers
from baluarte.methods.sklearn_ensembles import Place, whole
from baluarte.methods.sklearn_models import Estimated
from baluarte.ports import ForeignModel, Matrix

_MAX_UNPACKED = 2 << 30  #: bytes
_MAX_MEMBERS = 100_000
_TRUSTED = (
    "numpy.dtype",
    "scipy.sparse._csr.csr_array",
    "scipy.sparse._csr.csr_matrix",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
)
"""Beside what skops trusts by itself: the kind of a number, matrices of what isn't zero, what
fitted a network, arrays of trees, the two numbers of a sigmoid, and the table of an ensemble's
members by name.

The library walks a tree without looking where it points. Nothing is asked of it before every node
was checked here.
"""
_ABSENT = "\x00absent"  #: no category's text


class Skops:
    """Reads what ``skops.io.dump`` writes."""

    name: ClassVar[str] = "skops"

    def recognises(self, name: str, head: bytes) -> bool:
        """By its name: the file itself is an archive like others."""
        return name.lower().endswith(".skops") and head[:2] == b"PK"

    def read(self, data: bytes, *, positive: str | None, where: str) -> ForeignModel:
        """Load trusted types, and put the pipeline as one sum."""
        with refuse_damaged("a skops file", where):
            model = _load(data, where)
            names, n = _names(model)
            inputs = Inputs(names=names or [None] * n, where=where)
            walk = Transformers(inputs=inputs)
            steps = model.steps if type(model).__name__ == "Pipeline" else [("model", model)]
            last = steps[-1][1]
            found = whole(model, Place(walk, walk.start(), where), positive)
            columns = found.columns
            undefined = () if _takes_missing(last) else range(len(columns))
            return SkopsModel(
                read_as=f"scikit-learn {_version(model)}, {type(last).__name__}",
                inputs=inputs.finished(columns, undefined=undefined),
                scale=found.scale,
                found=found,
                model=model,
                walk=walk,
                where=where,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SkopsModel:
    """A scikit-learn pipeline or estimator."""

    read_as: str
    scale: Scale
    inputs: tuple[ModelInput, ...]
    found: Estimated
    model: Any
    walk: Transformers
    where: str

    def draft(self, rows: Matrix) -> Draft:
        """The sum over the pipeline's inputs."""
        with refuse_damaged("a skops file", self.where):
            if self.found.dense is not None:
                return self.found.dense(rows)
            return self.found.sum.draft(self.found.columns, n_inputs=len(self.inputs), rows=rows)

    def by_library(self, rows: Matrix) -> LibraryOutput | None:
        """What the pipeline itself says, row for row, in float64."""
        given = self._fed(rows)
        if hasattr(self.model, "set_params") and "n_jobs" in self.model.get_params():
            self.model.set_params(n_jobs=1)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                said = np.asarray(self._said(given), dtype=np.float64)
        except ValueError as error:
            raise DataError(
                f"the model itself refuses these rows: {error!s:.300}",
                where=self.where,
                hint="Bring rows that it takes, or train it to take them "
                "(handle_unknown='ignore', an imputer).",
            ) from error
        margin = said if self.found.column is None else said[:, self.found.column]
        margin = margin if self.found.then is None else self.found.then(margin)
        sklearn = library("sklearn")
        return LibraryOutput(
            library="scikit-learn",
            version=sklearn.__version__,
            margin=self.found.sign * margin.ravel(),
        )

    def _said(self, given: Any) -> Any:
        """What the model's own method says."""
        if self.found.says != "log_odds":
            return getattr(self.model, self.found.says)(given)
        piped = type(self.model).__name__ == "Pipeline"
        network = copy.copy(self.model.steps[-1][1] if piped else self.model)
        network.out_activation_ = "identity"  # a probability of nearly 1 has lost its odds
        treated = self.model[:-1].transform(given) if piped and len(self.model) > 1 else given
        return network._forward_pass_fast(treated, check_input=False)  # noqa: SLF001 - the only way to the log-odds

    def _fed(self, rows: Matrix) -> Any:
        """The rows as the pipeline was trained on them."""
        names = [one.name for one in self.inputs]
        texts = [j for j, one in enumerate(self.inputs) if one.categories is not None]
        if not texts and None in names:
            return rows
        if importlib.util.find_spec("pandas") is None and None not in names and not texts:
            return rows
        frame = library("pandas").DataFrame(
            {names[j] if names[j] is not None else j: rows[:, j] for j in range(len(names))}
        )
        for j in texts:
            key = names[j] if names[j] is not None else j
            values = self.walk.originals[j]
            numeric = bool(values) and not isinstance(values[0], str)
            absent = np.nan if numeric else None
            unseen = -999_999 if numeric else _ABSENT
            frame[key] = [
                absent if np.isnan(x) else values[int(x)] if int(x) < len(values) else unseen
                for x in rows[:, j].tolist()
            ]
            if not numeric:
                frame[key] = frame[key].astype(object).where(frame[key].notna(), np.nan)
        return frame if None not in names else frame.to_numpy(dtype=object)


def _load(data: bytes, where: str) -> Any:
    if importlib.util.find_spec("skops") is None:
        raise OutsideError(
            "expected the library skops, found none", hint="pip install 'baluarte[adopt]'"
        )
    _refuse_bombs(data, where)
    skops = library("skops.io")
    with warnings.catch_warnings(), _refuse_unreadable(where):
        warnings.simplefilter("ignore")
        untrusted = sorted(set(skops.get_untrusted_types(data=data)) - set(_TRUSTED))
        model = skops.loads(data, trusted=list(_TRUSTED)) if not untrusted else None
    if untrusted:
        raise DataError(
            f"the file holds types that are not trusted: {', '.join(untrusted)[:400]}",
            where=where,
            hint="Only scikit-learn's, NumPy's and SciPy's own types can be adopted; functions and "
            "classes of your own can't.",
        )
    return model


@contextmanager
def _refuse_unreadable(where: str) -> Iterator[None]:
    try:
        yield
    except BaluarteError:
        raise
    except Exception as error:
        raise DataError(
            f"expected a skops file, found what can't be read: {error!s:.200}",
            where=where,
            hint="The file is damaged, or of another version of scikit-learn: save it again.",
        ) from error


def _refuse_bombs(data: bytes, where: str) -> None:
    try:
        total, n_members = _unpacked(data, _MAX_UNPACKED)
    except (zipfile.BadZipFile, OSError, RuntimeError, EOFError, zlib.error) as error:
        raise DataError(f"expected a skops file: {error}", where=where, hint="") from error
    if total > _MAX_UNPACKED or n_members > _MAX_MEMBERS:
        raise DataError(
            f"expected at most {_MAX_UNPACKED} bytes unpacked, found {total} or more",
            where=where,
            hint="The file is damaged or made to harm.",
        )


def _unpacked(data: bytes, most: int, *, deep: bool = True) -> tuple[int, int]:
    """Bytes and members of an archive, and of the archives in it; of more than ``most``, some.

    A sparse matrix is an archive of its own (.npz) within the file.
    """
    archive = zipfile.ZipFile(io.BytesIO(data))
    members = archive.infolist()
    total, n_members = sum(one.file_size for one in members), len(members)
    if total > most or n_members > _MAX_MEMBERS or not deep:
        return total, n_members
    for one in members:
        with archive.open(one) as file:
            if file.read(2) != b"PK":
                continue
            inner = b"PK" + file.read()
        within, n_within = _unpacked(inner, most - total, deep=False)
        total, n_members = total + within, n_members + n_within
        if total > most or n_members > _MAX_MEMBERS:
            break
    return total, n_members


def _names(model: Any) -> tuple[list[str | None], int]:
    """The names of the inputs, and how many there are."""
    first = model.steps[0][1] if type(model).__name__ == "Pipeline" else model
    for one in (model, first):
        names = getattr(one, "feature_names_in_", None)
        if names is not None:
            return [str(name) for name in names], len(names)
    return [], int(first.n_features_in_)


def _version(model: Any) -> str:
    first = model.steps[-1][1] if type(model).__name__ == "Pipeline" else model
    return str(first.__getstate__().get("_sklearn_version", "")) or "of an unknown version"


def _takes_missing(estimator: Any) -> bool:
    return bool(library("sklearn.utils").get_tags(estimator).input_tags.allow_nan)
