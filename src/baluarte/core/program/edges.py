"""Where a program changes its mind about a column: what tests and proofs put values at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.model import LinearPart, Program, StackPart, TreePart


def edges(program: Program, column: int) -> NDArray[np.float64]:
    """Thresholds, cuts, clipping ranges, centres and codes of a column, as they are stored."""
    found: list[NDArray[np.float64]] = [np.zeros(0)]
    for part in program.parts:
        if isinstance(part, TreePart):
            found.append(part.threshold[part.feature == column])
        elif isinstance(part, StackPart):
            found += [edges(member, column) for member in part.members]
        else:
            mine = part.column == column
            found += [part.low[mine], part.high[mine], part.center[mine]]
            if isinstance(part, LinearPart):
                found += [
                    part.cut[part.cut_start[k] : part.cut_start[k + 1]]
                    for k in np.flatnonzero(part.table_column == column)
                ]
            else:
                found.append(part.code[part.flag_column == column].astype(np.float64))
    return np.concatenate(found)
