"""The conformance suite of the index over the ledger."""

from __future__ import annotations

from typing import Literal

from baluarte.core.decision_index import IndexedDecision, IndexMark, event_key
from baluarte.ports import DecisionIndex
from baluarte.testing.expect import same


def check_index(index: DecisionIndex) -> None:
    """Conformance of a fresh index.

    Raises:
        AssertionError: it breaks a rule of the port.
    """
    same((index.marks(), index.count(), index.spans(None, None)), ({}, 0, {}))
    first = [_decision("00000a", i, f"e{i % 3}", at=100 + i, band=i % 2) for i in range(5)]
    mark = IndexMark(size=6, leaf=b"\1" * 32)  # one of the records was no decision
    _took(index.add("00000a", start=0, mark=mark, decisions=first))
    same(index.marks(), {"00000a": mark})
    _was_late(index.add("00000a", start=0, mark=mark, decisions=first))
    same(index.count(), 5)
    _check_questions(index, first)
    more = IndexMark(size=9, leaf=b"\2" * 32)
    _took(index.add("00000a", start=6, mark=more, decisions=[]))
    same(index.marks()["00000a"], more)
    index.forget("00000a")
    index.forget("00000c")
    same(index.marks().keys(), {"00000b"})
    same([d.tag for d in index.of_events(["e0"])["e0"]], ["00000b"])
    many = [_decision("00000d", i, f"m{i}", at=i, band=0) for i in range(3_000)]
    _took(index.add("00000d", start=0, mark=mark, decisions=many))
    same(len(index.of_events([f"m{i}" for i in range(2_000)])), 2_000)


def _check_questions(index: DecisionIndex, first: list[IndexedDecision]) -> None:
    other = [
        _decision("00000b", 7, "e0", at=102, band=1, role="challenger"),
        _decision("00000b", 9, "e9", at=250, band=0, detector="cards"),
    ]
    mark = IndexMark(size=10, leaf=b"\0" * 32)
    _took(index.add("00000b", start=0, mark=mark, decisions=other))
    found = index.of_events(["e0", "e2", "none"])
    same(found, {"e0": [first[0], other[0], first[3]], "e2": [first[2]]})
    same(index.of_events(["e9"], detector="flows"), {})
    same(index.of_events([]), {})
    same(index.spans(None, None), {"00000a": (0, 5), "00000b": (7, 10)})
    same(index.spans(101, 104), {"00000a": (1, 4), "00000b": (7, 8)})
    same(index.spans(101, None, detector="cards"), {"00000b": (9, 10)})
    same(index.spans(300, None), {})
    same(index.outcomes(None, 104, detector="flows"), {(0, "pass"): 2, (1, "alert"): 2})
    beside = {("pass", "alert"): 1, ("alert", "alert"): 1}  # e0 was decided twice
    same(index.beside(None, None, detector="flows", version=1), beside)
    same(index.beside(103, None, detector="flows", version=1), {})
    same(index.beside(None, None, detector="flows", version=2), {})
    same(index.outcomes(103, None, detector="flows"), {(0, "pass"): 1, (1, "alert"): 1})


def _took(taken: bool) -> None:
    same(taken, expected=True)


def _was_late(taken: bool) -> None:
    same(taken, expected=False)


def _decision(
    tag: str,
    place: int,
    event_id: str,
    *,
    at: int,
    band: int,
    role: Literal["champion", "challenger"] = "champion",
    detector: str = "flows",
) -> IndexedDecision:
    return IndexedDecision(
        tag=tag,
        index=place,
        event=event_key(event_id),
        detector=detector,
        version=1,
        role=role,
        decided_at=at,
        event_at=at - 50,
        band=band,
        outcome=("pass", "alert")[band],
        score=-(2**53) + 1 + place,
        points=999,
    )
