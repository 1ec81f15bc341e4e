"""A program, rows and the bits that they must give, as ``native/driver.c`` reads them."""

from __future__ import annotations

import struct

import numpy as np

from baluarte.core.program.evaluate import Evaluator, kernel_parts
from baluarte.core.program.reason_plan import plan_reasons, quadrature_tables


def native_case(program, X, *, n_explained=0):
    """The bytes of a case; what is expected comes from the NumPy evaluator."""
    vectors = Evaluator(program, kernel="numpy")
    chunks = [_numbers(program.n_features)]
    _add_program(chunks, program.base, kernel_parts(program))
    chunks += [_numbers(len(X)), X.tobytes(), vectors.score(X).tobytes(), _numbers(n_explained)]
    if n_explained:
        plan = plan_reasons(program)
        chunks.append(_numbers(plan.base, plan.max_order))
        for table in quadrature_tables(plan.max_order):
            _add_array(chunks, table)
        for trees in plan.trees:
            chunks.append(_numbers(trees is not None))
            for array in (
                () if trees is None else (trees.before, trees.share, trees.merged, trees.order)
            ):
                _add_array(chunks, array)
        chunks.append(vectors.reasons(X[:n_explained])[1].tobytes())
    return b"".join(chunks)


def _numbers(*values):
    return struct.pack(f"<{len(values)}q", *values)


def _add_array(chunks, array):
    data = np.ascontiguousarray(array).tobytes()
    chunks += [_numbers(array.itemsize, len(data)), data, bytes(-len(data) % 8)]


def _add_program(chunks, base, parts):
    chunks.append(_numbers(base, len(parts)))
    for kind, *arrays in parts:
        members = arrays.pop() if arrays and isinstance(arrays[-1], tuple) else None
        chunks.append(_numbers(kind, len(arrays)))
        for array in arrays:
            _add_array(chunks, array)
        if members is not None:
            chunks.append(_numbers(len(members)))
            for own_base, own_parts in members:
                _add_program(chunks, own_base, own_parts)
