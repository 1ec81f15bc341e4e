"""Records put together of parts are the record's JSON, to the byte."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from baluarte.core import decision_bytes, ids
from baluarte.core.decision import Decision, DecisionRecord
from baluarte.core.decision_bytes import RecordWriter
from baluarte.core.envelope import envelope_of
from baluarte.core.ids import format_ids

OUTCOMES, THRESHOLDS = ("pass", 'le "bloc" à'), (None, 500)
whole = st.integers(-(2**53) + 1, 2**53 - 1)
features = st.lists(st.floats(width=64) | st.none(), max_size=5)


KEY = "0f" * 16


class Event(msgspec.Struct, frozen=True, kw_only=True):
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
    answer = Decision(
        id="01M82B224R2SRZR00000000003", event_id=event_id, detector="flüsse", version=7,
        score=score, points=812, probability=0.25, band=band, outcome=OUTCOMES[band],
        base=None if reasons is None else -40, reasons=reasons,
    )  # fmt: skip
    envelope = None if sealed is None else envelope_of(KEY, sealed)
    record = DecisionRecord(
        v=1 if sealed is None else 2, id=answer.id, event_id=event_id, event_at=5, decided_at=9,
        detector="flüsse", version=7, bundle="sha256:00", role="challenger",
        event_digest="sha256:11", event=event, features=tuple(columns), score=score, points=812,
        band=band, outcome=OUTCOMES[band], threshold=THRESHOLDS[band], base=answer.base,
        reasons=reasons, reasons_deferred=True if late else UNSET,
        personal=UNSET if envelope is None else envelope,
    )  # fmt: skip
    writer = RecordWriter(
        detector="flüsse", version=7, bundle="sha256:00", role="challenger", outcomes=OUTCOMES,
        thresholds=THRESHOLDS,
    )  # fmt: skip
    written = writer.write(
        answer, event_at=5, decided_at=9, digest="sha256:11", event=msgspec.json.encode(event),
        features=columns, reasons=reasons, deferred=late, personal=envelope,
    )  # fmt: skip
    assert written == msgspec.json.encode(record)
    several = writer.write_all(
        [answer] * 3, [Event(event_at=5, digest="sha256:11", event=msgspec.json.encode(event))] * 3,
        decided_at=9, features=[columns] * 3, reasons=[reasons] * 3, deferred=[late] * 3,
        sealed=[None if sealed is None else (KEY, sealed)] * 3,
    )  # fmt: skip
    assert several == [written] * 3


def one_record(deferred: object = False, **changes: object) -> list[bytes]:
    answer = Decision(
        id="01M82B224R2SRZR00000000003", event_id="e", detector="d", version=1, score=5, points=1,
        probability=0.5, band=0, outcome="pass",
    )  # fmt: skip
    event = Event(event_at=5, digest="sha256:11", event=b"{}")
    writer = RecordWriter(
        detector="d", version=1, bundle="sha256:00", role="champion", outcomes=OUTCOMES,
        thresholds=THRESHOLDS,
    )  # fmt: skip
    parts: dict[str, list] = {  # type: ignore[type-arg]
        "features": [[1.0]], "reasons": [None], "deferred": [deferred], "sealed": [None]
    }  # fmt: skip
    given = msgspec.structs.replace(answer, **changes)
    return writer.write_all([given], [event], decided_at=9, **parts)


@pytest.mark.parametrize(
    "changes", [{"band": 2}, {"score": 2**63}, {"event_id": 5}, {"event_id": "\ud800"}]
)
def test_what_no_record_can_say_is_an_error(changes: dict[str, object]) -> None:
    with pytest.raises((IndexError, OverflowError, TypeError, UnicodeEncodeError)):
        one_record(**changes)


@pytest.mark.skipif(decision_bytes.NATIVE is None, reason="needs the compiled twin")
def test_the_compiled_twin_writes_what_python_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = one_record(), format_ids(2**48 - 1, "fedcba", 2**56 - 3, 3)
    monkeypatch.setattr(decision_bytes, "NATIVE", None)
    monkeypatch.setattr(ids, "NATIVE", None)
    assert compiled == (one_record(), format_ids(2**48 - 1, "fedcba", 2**56 - 3, 3))


@pytest.mark.parametrize("deferred", [True, 1, np.True_])
def test_whatever_is_true_is_deferred(deferred: object) -> None:
    assert b',"reasons_deferred":true' in one_record(deferred=deferred)[0]
