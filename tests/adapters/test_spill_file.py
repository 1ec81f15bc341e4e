"""baluarte.adapters.spill_file: numbers that are too many for memory come back as they were."""

from __future__ import annotations

import numpy as np

from baluarte.adapters.spill_file import SpillFile


def test_what_is_kept_is_read_from_any_place() -> None:
    values = np.arange(2**64 - 1_000, 2**64, dtype=np.uint64)
    with SpillFile() as spill:
        assert spill.read(0, 0).tolist() == []
        assert [spill.append(part) for part in np.array_split(values, 4)] == [0, 250, 500, 750]
        assert spill.read(240, 20).tolist() == values[240:260].tolist()
        assert spill.append(values[:3]) == 1_000
        assert spill.read(998, 5).tolist() == [*values[998:].tolist(), *values[:3].tolist()]
