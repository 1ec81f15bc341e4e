"""baluarte.apps.scoring.answer: short answers, compiled and not, are what is rendered."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.apps.scoring import answer
from baluarte.apps.scoring.answer import Answer
from baluarte.stages.score import Decisions, Identity

OUTCOMES = ("pass", 'review "é"', "decline")


class Detector:
    detector, version, outcomes = 'a "name" — ñ', 7, OUTCOMES


def decisions(n: int, seed: int) -> Decisions:
    rng = np.random.default_rng(seed)
    return Decisions(
        n=n,
        features=np.zeros((n, 1)),
        scores=rng.integers(-(2**62), 2**62, n),
        points=rng.integers(0, 1_000, n),
        probability=rng.choice([0.0, 1.0, 0.1, 1e-300], n) * rng.random(n),
        bands=rng.integers(0, 3, n),
        outcomes=OUTCOMES,
        fields=("x",),
        base=0,
        explained=np.zeros(0, np.int64),
        phi=np.zeros((0, 1), np.int64),
    )  # fmt: skip


@pytest.mark.parametrize("compiled", [True, False])
@given(event_ids=st.lists(st.text(max_size=60), max_size=9), seed=st.integers(0, 99))
def test_short_answers_are_answers_without_reasons(
    compiled: bool, event_ids: list[str], seed: int
) -> None:
    if compiled and answer.NATIVE is None:
        pytest.skip("the compiled records were not built")
    n = len(event_ids)
    decided, ids = decisions(n, seed), [f"{i:027}" for i in range(n)]
    identities = [Identity(event_id=one, event_at=0, digest="", event=b"") for one in event_ids]
    with pytest.MonkeyPatch.context() as patch:
        if not compiled:
            patch.setattr(answer, "NATIVE", None)
        found = answer.plain_answers(decided, ids, identities, Detector)  # type: ignore[arg-type]
    for i, text in enumerate(found):
        whole = Answer(
            id=ids[i], event_id=event_ids[i], detector=Detector.detector, version=7,
            outcome=OUTCOMES[decided.bands[i]], points=int(decided.points[i]),
            score=int(decided.scores[i]), probability=float(decided.probability[i]),
        )  # fmt: skip
        assert text == msgspec.json.encode(whole)
    assert len(found) == n


def test_what_is_no_batch_of_answers_is_refused() -> None:
    if answer.NATIVE is None:
        pytest.skip("the compiled records were not built")
    one = Identity(event_id="e", event_at=0, digest="", event=b"")
    column = np.zeros(1, np.int64)
    sound = [["a"], [one], (b",",), column, column, column, b"[0.5]"]
    assert answer.NATIVE.answers(*sound) == [
        b'{"id":"a","event_id":"e",0,"score":0,"probability":0.5}'
    ]
    faults = [
        (0, ["a", "b"]), (1, []), (2, ()), (3, column.astype(float)), (4, np.zeros(2, np.int64)),
        (5, [0]), (6, b"[0.5,0.5]"), (6, b"[]"), (6, b"0.5"), (1, [object()]), (0, [1]),
    ]  # fmt: skip
    for place, fault in faults:
        given_ = [*sound[:place], fault, *sound[place + 1 :]]
        with pytest.raises((ValueError, TypeError, IndexError, AttributeError)):
            answer.NATIVE.answers(*given_)
