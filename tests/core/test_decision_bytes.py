"""Records put together of parts are the record's JSON, to the byte."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from baluarte.core.decision import Decision, DecisionRecord
from baluarte.core.decision_bytes import RecordWriter
from baluarte.core.envelope import Envelope

OUTCOMES, THRESHOLDS = ("pass", 'le "bloc" à'), (None, 500)
whole = st.integers(-(2**53) + 1, 2**53 - 1)
features = st.lists(st.floats(width=64) | st.none(), max_size=5)


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.dictionaries(
        st.sampled_from("abc"), whole | st.floats(-1e9, 1e9) | st.text('é"\\', max_size=3)
    ),
    features,
    st.none() | st.tuples(whole, whole),
    whole,
    st.booleans(),
    st.booleans(),
)
def test_a_record_of_parts_is_the_record(
    event_id: str,
    event: dict[str, float | int | str | None],
    columns: list[float | None],
    reasons: tuple[int, ...] | None,
    score: int,
    late: bool,
    sealed: bool,
) -> None:
    band = score % 2
    answer = Decision(
        id="01M82B224R2SRZR00000000003", event_id=event_id, detector="flüsse", version=7,
        score=score, points=812, probability=0.25, band=band, outcome=OUTCOMES[band],
        base=None if reasons is None else -40, reasons=reasons,
    )  # fmt: skip
    envelope = Envelope(key="0f" * 16, sealed="AAAA") if sealed else None
    record = DecisionRecord(
        v=2 if sealed else 1, id=answer.id, event_id=event_id, event_at=5, decided_at=9,
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
