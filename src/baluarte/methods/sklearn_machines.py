"""A fitted ``SVC`` looked over before its library is asked: its compiled code trusts its arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_NUMBERS = 1 << 26  #: of a matrix: an array of a program holds no more


def check_machine(model: Any) -> None:
    """Return if a machine of two classes has as many of everything as its vectors ask for.

    Raises:
        ValueError: it hasn't, or a sparse matrix points outside itself.
    """
    vectors, sparse = in_full(model.support_vectors_), _sparse(model.support_vectors_)
    n, counts = len(vectors), model._n_support  # noqa: SLF001 - what its library reads
    if vectors.shape != (n, int(model.n_features_in_)) or bool(model._sparse) != sparse:  # noqa: SLF001
        raise ValueError("the support vectors are not as the model says")
    if np.shape(counts) != (2,) or int(np.sum(counts)) != n or len(model.support_) != n:
        raise ValueError("the support vectors and their count differ")
    for weights in (model.dual_coef_, model._dual_coef_):
        stored = len(weights.data) if sparse else n
        if in_full(weights).shape != (1, n) or stored != n or _sparse(weights) != sparse:
            raise ValueError("the support vectors and their weights differ in number")
    if np.shape(model._intercept_) != (1,):
        raise ValueError("expected one intercept of two classes")


def in_full(matrix: Any) -> NDArray[np.float64]:
    """A matrix with all its numbers, also where SciPy keeps those alone that aren't zero.

    An estimator that was fitted behind a OneHotEncoder keeps such matrices.

    Raises:
        ValueError: a sparse matrix points outside itself, is too large, or of another form.
    """
    if not _sparse(matrix):
        return np.asarray(matrix, dtype=np.float64)
    if matrix.format != "csr" or len(matrix.shape) != 2:
        raise ValueError(f"expected a sparse matrix by rows, found {matrix.format!s:.20}")
    if matrix.shape[0] * matrix.shape[1] > _MOST_NUMBERS:
        raise ValueError(f"a matrix of {matrix.shape} is too large")
    matrix.check_format(full_check=True)
    return np.asarray(matrix.toarray(), dtype=np.float64)


def _sparse(matrix: Any) -> bool:
    return hasattr(matrix, "toarray")
