"""baluarte.adapters.feature_file: what is written in any order is read in that of the events."""

from __future__ import annotations

import os

import numpy as np
import pytest

from baluarte.adapters.feature_file import FeatureFile
from baluarte.errors import OutsideError


def test_features_written_in_any_order_are_read_by_the_events_number() -> None:
    draw = np.random.default_rng(4)
    values = draw.normal(size=(1_000, 3))
    values[17, 1] = np.nan
    order = draw.permutation(1_000)
    with FeatureFile(3) as file:
        for some in np.array_split(order, 7):
            file.write(some, values[some])
        assert file.read(0, 1_000).tobytes() == values.tobytes()
        assert file.read(990, 10).tobytes() == values[990:].tobytes()
        assert file.read(5, 0).shape == (0, 3)
        file.write(np.array([3, 4, 2]), np.zeros((3, 3)))
        assert file.read(1, 4).tolist() == [values[1].tolist(), *[[0.0] * 3] * 3]


def test_what_is_not_there_and_a_full_disk_are_errors_for_the_operator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with FeatureFile(2) as file:
        file.write(np.arange(3), np.ones((3, 2)))
        with pytest.raises(OutsideError, match=r"laid down on disk: 16 bytes are not there"):
            file.read(2, 2)

        def full(*_: object) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(OutsideError, match=r"No space left on device.*\n?.*TMPDIR"):
            file.write(np.arange(3), np.ones((3, 2)))
