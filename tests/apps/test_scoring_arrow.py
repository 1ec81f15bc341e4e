"""Arrow streams on our own door: the same decisions, and nothing that unfolds or lies."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scoring_ground import Server, Workplace, on_the_wire

from baluarte.apps.scoring.body import ARROW_STREAM, form_of
from baluarte.apps.scoring.problem import Refusal
from baluarte.apps.scoring.protocols import arrow_stream
from baluarte.apps.scoring.settings import Limits
from baluarte.testing.bundles import sample_events, sample_parts

LIMITS = Limits(max_body_bytes=1 << 16, max_rows=50)
EVENTS = [on_the_wire(event) for event in sample_events(9)]


def stream(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def refused(body: bytes) -> str:
    with pytest.raises(Refusal) as info:
        arrow_stream.read(body, LIMITS)
    return info.value.code


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    place = Workplace(tmp_path_factory.mktemp("arrow"))
    place.promote(place.seal(sample_parts()))
    with Server(place) as made:
        yield made


def test_a_stream_gets_the_decisions_that_json_gets(server: Server) -> None:
    _, native = server.decide(EVENTS, "?reasons=all")
    names = sorted(set().union(*EVENTS))
    status, raw = server.ask(
        "POST",
        "/v1/detectors/flows/decisions?reasons=all",
        stream(pa.table({name: [one.get(name) for one in EVENTS] for name in names})),
        {"Content-Type": ARROW_STREAM},
    )
    assert status == 200
    answers = pa.ipc.open_stream(raw).read_all().to_pylist()
    for said, own in zip(answers, native, strict=True):
        for name in ("event_id", "score", "points", "probability", "outcome", "base"):
            assert said[name] == own[name]
        assert [(r["field"], r["score"]) for r in said["reasons"]] == [
            (r["field"], r["score"]) for r in own["reasons"]
        ]


def test_faults_are_told_with_their_path_and_labels_come_as_json(server: Server) -> None:
    body = stream(pa.table({"failures": ["many"]}))
    kind = {"Content-Type": ARROW_STREAM}
    status, said = server.ask("POST", "/v1/detectors/flows/decisions", body, kind)
    assert status == 422
    assert said["faults"][0]["path"] == "$[0].failures"
    status, _ = server.ask("POST", "/v1/detectors/flows/labels", body, kind)
    assert status == 415


def test_missing_nested_times_and_dictionaries_are_read_as_they_are_meant() -> None:
    at = dt.datetime(2026, 7, 31, 12, tzinfo=dt.UTC)
    table = pa.table(
        {
            "x": pa.array([1.5, float("nan"), None]),
            "s": pa.array(["a", None, "b"]).dictionary_encode(),
            "flow": pa.array([{"z": 1}, None, {"z": None}]),
            "at": pa.array([at, None, at], pa.timestamp("ns", "UTC")),
            "b": pa.array([True, None, False]),
        }
    )
    assert arrow_stream.read(stream(table), LIMITS) == [
        {"x": 1.5, "s": "a", "flow": {"z": 1}, "at": at, "b": True},
        {},
        {"s": "b", "flow": {}, "at": at, "b": False},
    ]


def test_what_unfolds_is_refused_before_it_does() -> None:
    long = pa.array(["x" * 50_000])
    many = pa.DictionaryArray.from_arrays(pa.array([0] * 40, pa.int8()), long)
    assert refused(stream(pa.table({"s": many}))) == "body_too_large"
    zeros = pa.table({"s": pa.array(["0" * 60_000])})
    for codec in ("lz4", "zstd"):
        if pa.Codec.is_available(codec):
            assert refused(stream(zeros, compression=codec)) == "wrong_shape"
    assert refused(stream(pa.table({"n": pa.nulls(10**6)}))) == "too_many_rows"
    assert refused(stream(pa.table({"n": pa.array([], pa.int64())}))) == "wrong_shape"


def test_what_no_event_has_is_refused() -> None:
    for odd in (
        pa.array([b"x"]),
        pa.array([[1, 2]]),
        pa.array([1]).dictionary_encode(),
        pa.array([dt.timedelta(1)]),
    ):
        assert refused(stream(pa.table({"c": odd}))) == "wrong_shape"
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    assert refused(stream(twice)) == "wrong_shape"
    assert refused(b"") == "wrong_shape"
    assert refused(b"ARROW1\0\0" + stream(pa.table({"a": [1]}))) == "wrong_shape"


SOUND = stream(
    pa.table({"x": [1.0, None], "s": pa.array(["a", "é"]).dictionary_encode(), "t": ["u", "vw"],
              "f": pa.array([{"z": 1}, None])})
)  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), max_size=4),
       st.integers(0, len(SOUND)))  # fmt: skip
def test_damaged_streams_are_read_or_refused(edits: list[tuple[int, int]], end: int) -> None:
    body = bytearray(SOUND)
    for at, value in edits:
        body[at] = value
    try:
        rows = arrow_stream.read(bytes(body[:end] if not edits else body), LIMITS)
    except Refusal as refusal:
        code = refusal.code
        rows = []
    else:
        code = "read"
    assert all(isinstance(row, dict) for row in rows)
    assert code in ("read", "wrong_shape", "too_many_rows", "body_too_large")


def test_a_head_that_points_beyond_itself_is_refused() -> None:
    """Each byte of the first message's head, made as large as it can be."""
    size = int.from_bytes(SOUND[4:8], "little")
    for at in range(8, 8 + size):
        for value in (0x7F, 0xFF):
            body = SOUND[:at] + bytes([value]) + SOUND[at + 1 :]
            with contextlib.suppress(Refusal):
                arrow_stream.read(body, LIMITS)


def test_a_name_that_is_no_text_is_refused() -> None:
    inner = stream(pa.table({"f": pa.array([{"field_of_a_struct": 1}])}))
    outer = stream(pa.table({"a_column": [1]}))
    for body, name in ((inner, b"field_of_a_struct"), (outer, b"a_column")):
        assert refused(body.replace(name, b"\x8c" * len(name))) == "wrong_shape"


def test_the_content_type_is_known_where_pyarrow_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert form_of(ARROW_STREAM) == "arrow"
    monkeypatch.setattr("baluarte.apps.scoring.body._reads_arrow", lambda: False)
    with pytest.raises(Refusal, match="unsupported_media_type"):
        form_of(ARROW_STREAM)
