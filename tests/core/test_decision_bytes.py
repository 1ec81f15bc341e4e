"""Records put together of parts are the record's JSON, to the byte."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from baluarte.core import decision_bytes, ids
from baluarte.core.decision import DecisionRecord
from baluarte.core.decision_bytes import Decided, RecordWriter
from baluarte.core.envelope import envelope_of
from baluarte.core.ids import format_ids

OUTCOMES, THRESHOLDS = ("pass", 'le "bloc" à'), (None, 500)
whole = st.integers(-(2**53) + 1, 2**53 - 1)
features = st.lists(st.floats(width=64) | st.none(), max_size=5)


KEY = "0f" * 16
compiled = pytest.mark.skipif(decision_bytes.NATIVE is None, reason="needs the compiled twin")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    event_id: str
    event_at: int
    digest: str
    event: bytes


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.dictionaries(
        st.sampled_from("abc"), whole | st.floats(-1e9, 1e9) | st.text('é"\\', max_size=3)
    ),
    features,
    st.none() | st.tuples(whole, whole),
    whole,
    st.booleans(),
    st.none() | st.binary(max_size=9),
)
def test_a_record_of_parts_is_the_record(
    event_id: str,
    event: dict[str, float | int | str | None],
    columns: list[float | None],
    reasons: tuple[int, ...] | None,
    score: int,
    late: bool,
    sealed: bytes | None,
) -> None:
    band = score % 2
    band = score % 2
    envelope = None if sealed is None else envelope_of(KEY, sealed)
    record = DecisionRecord(
        v=1 if sealed is None else 2, id="01M82B224R2SRZR00000000003", event_id=event_id,
        event_at=5, decided_at=9,
        detector="flüsse", version=7, bundle="sha256:00", role="challenger",
        event_digest="sha256:11", event=event, features=tuple(columns), score=score, points=812,
        band=band, outcome=OUTCOMES[band], threshold=THRESHOLDS[band],
        base=None if reasons is None else -40, reasons=reasons,
        reasons_deferred=True if late else UNSET, personal=UNSET if envelope is None else envelope,
    )  # fmt: skip
    writer = RecordWriter(
        detector="flüsse", version=7, bundle="sha256:00", role="challenger", outcomes=OUTCOMES,
        thresholds=THRESHOLDS,
    )  # fmt: skip
    encoded = msgspec.json.encode(event)
    who = Event(event_id=event_id, event_at=5, digest="sha256:11", event=encoded)
    decided = decided_of(
        3, scores=score, bands=band, base=-40, reasons=reasons, deferred=late,
        features=[[np.nan if value is None else value for value in columns]] * 3,
    )  # fmt: skip
    keys = None if sealed is None else [(KEY, sealed)] * 3
    expected = [msgspec.json.encode(record)] * 3
    with pytest.MonkeyPatch.context() as patch:
        for _ in ("compiled", "Python"):
            written = writer.write_all(decided, [who] * 3, decided_at=9, sealed=keys)
            assert list(written) == expected
            untold = writer.write_all(
                decided, [who] * 3, decided_at=9, sealed=keys, tells_reasons=False
            )
            hidden = msgspec.structs.replace(record, reasons=None)
            assert untold[2] == msgspec.json.encode(hidden)
            patch.setattr(decision_bytes, "NATIVE", None)


def decided_of(n: int, features: object, **one: object) -> Decided:
    """``n`` decisions that are alike."""
    whole: dict[str, object] = {"scores": 5, "points": 812, "bands": 0} | one
    return Decided(
        ids=["01M82B224R2SRZR00000000003"] * n,
        base=whole.pop("base", 0),
        reasons=[whole.pop("reasons", None)] * n,
        deferred=[whole.pop("deferred", False)] * n,
        features=np.array(features, dtype=np.float64).reshape(n, -1),
        **{name: np.full(n, value, dtype=np.int64) for name, value in whole.items()},
    )  # type: ignore[arg-type]


def one_record(event_id: object = "e", **one: object) -> list[bytes]:
    event = Event(event_id=event_id, event_at=5, digest="sha256:11", event=b"{}")  # type: ignore[arg-type]
    writer = RecordWriter(
        detector="d", version=1, bundle="sha256:00", role="champion", outcomes=OUTCOMES,
        thresholds=THRESHOLDS,
    )  # fmt: skip
    return list(writer.write_all(decided_of(1, [[1.0]], **one), [event], decided_at=9))


@pytest.mark.parametrize(
    "changes",
    [
        {"bands": 2},
        {"event_id": "\ud800"},
        pytest.param({"base": 2**63, "reasons": ()}, marks=compiled),  # Python has no such bound
        pytest.param({"event_id": 5}, marks=compiled),
    ],
)
def test_what_no_record_can_say_is_an_error(changes: dict[str, object]) -> None:
    with pytest.raises((IndexError, OverflowError, TypeError, UnicodeEncodeError)):
        one_record(**changes)  # type: ignore[arg-type]


@compiled
@pytest.mark.parametrize("value", [0, 9, 10, 99, 100, 101, -1, -10, 12345, 2**63 - 1, -(2**63)])
def test_whole_numbers_are_written_as_python_writes_them(value: int) -> None:
    one = one_record(scores=value, points=value, reasons=(value, 5, value), base=value)[0]
    assert b'"score":%d,"points":%d,' % (value, value) in one
    assert b'"base":%d,"reasons":[%d,5,%d]' % (value, value, value) in one


@compiled
def test_parts_that_don_t_fit_one_another_are_refused() -> None:
    writer = RecordWriter(
        detector="d", version=1, bundle="sha256:00", role="champion", outcomes=OUTCOMES,
        thresholds=THRESHOLDS,
    )  # fmt: skip
    who = [Event(event_id="e", event_at=5, digest="sha256:11", event=b"{}")] * 2
    fits = decided_of(2, [[1.0], [2.0]])
    for wrong in (
        {"scores": fits.scores[:1]}, {"points": fits.points[:0]}, {"bands": np.zeros(3, np.int64)},
        {"scores": np.zeros(2)}, {"points": np.zeros(2, np.int32)},
        {"bands": np.zeros((2, 1), "q")},
        {"features": np.zeros((1, 1))}, {"features": np.zeros((3, 1))},
        {"reasons": [None]}, {"deferred": [False] * 3}, {"ids": ["x"]},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="expected"):
            writer.write_all(msgspec.structs.replace(fits, **wrong), who, decided_at=9)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected"):
        writer.write_all(fits, who[:1], decided_at=9)
    assert len(writer.write_all(fits, who, decided_at=9)) == 2


@compiled
def test_the_compiled_twin_makes_the_ids_that_python_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    found = format_ids(2**48 - 1, "fedcba", 2**56 - 3, 3)
    monkeypatch.setattr(ids, "NATIVE", None)
    assert found == format_ids(2**48 - 1, "fedcba", 2**56 - 3, 3)


@pytest.mark.parametrize("deferred", [True, 1, np.True_])
def test_whatever_is_true_is_deferred(deferred: object) -> None:
    assert b',"reasons_deferred":true' in one_record(deferred=deferred)[0]
