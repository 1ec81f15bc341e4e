"""Erasing people: not a byte of them is left anywhere, and everything else is as it was."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from people_ground import PeoplePlace, Person, records_of, search

from baluarte.stages.replay import replay


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def bad_rows(place: PeoplePlace, people: list[Person]) -> None:
    """A file with a row of each person that can't be read, and one that can."""
    lines = ["at,card,holder,pin,amount,shop"]
    for i, person in enumerate(people):
        lines.append(f"{1_700_000_000 + i},{person.card},{person.holder},{person.pin},many,s1")
        lines.append(f"{1_700_000_000 + i},other-{i},Somebody,1,{10 + i},s1")
    file = place.root / "late.csv"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    bad, share = f"limits.max_bad_rows={len(people)}", "limits.max_bad_share=0.9"
    assert place.run("score", str(file), "--set", bad, "--set", share) == 0
    file.unlink()
    (place.root / "late-decisions.csv").unlink()


def everything(people: list[Person]) -> dict[str, bytes]:
    needles: dict[str, bytes] = {}
    for person in people:
        for what, needle in person.needles().items():
            needles[f"{person.number}: {what}"] = needle
    return needles


def erase_and_look(
    place: PeoplePlace, capsys: pytest.CaptureFixture[str], *, n_people: int, n_erased: int
) -> None:
    people = [Person(i) for i in range(n_people)]
    erased, others = people[:n_erased], people[n_erased:]
    answers: list[dict[str, Any]] = []
    with place.server() as server:
        for i in range(3):
            answers += server.decide([person.event(i) for person in people])
    bad_rows(place, people)
    capsys.readouterr()

    everywhere = search(place.data, everything(erased[:3]))
    kinds = {path.split("/")[0] for path in everywhere}
    assert kinds == {"state", "quarantine"}, "the search would find them"

    before = counts(place)
    names = place.root / "names.txt"
    names.write_text("\n".join(person.card for person in erased), "utf-8")
    with place.server() as server:  # a server holds the state: it forgets while it serves
        server.decide([others[0].event(5)])
        words = ("erase", "--from", str(names), "--reason", "case 7", "--json")
        assert place.run(*words) == 0
        assert said(capsys)["keys"] == n_erased
        again = server.decide([erased[0].event(50_000)])[0]
    names.unlink()

    assert search(place.data, everything(erased[1:])) == {}
    with place.session() as session:
        recorded = records_of(session)
        (act,) = [r for r in recorded if r.get("act") == "erase"]
        assert act["details"]["subjects"] == n_erased
        assert act["reason"] == "case 7"
        found = list(session.sealed_decisions("payments"))
        replayed = replay(found, session.bundle, unsealer=session.unsealer)
    assert not [one for one in replayed if one.difference]
    theirs = {a["id"] for i, a in enumerate(answers) if i % n_people < n_erased}
    assert {one.id for one in replayed if one.erased} == theirs
    assert place.run("ledger", "checkpoint") == 0
    assert place.run("ledger", "verify") == 0
    capsys.readouterr()
    assert place.run("ledger", "proof", min(theirs)) == 0
    capsys.readouterr()
    assert place.run("replay", *sorted(theirs)[:2], again["id"], "--json") == 0
    told = said(capsys)
    assert (told["erased"], told["identical"]) == (2, 1)
    assert place.run("explain", min(theirs), "--json") == 0
    told = said(capsys)
    assert told["erased"] is True
    assert "event" not in told
    after = counts(place)
    assert {k: after[k] - before[k] for k in after} == {"decision": 2, "erase": 1, "checkpoint": 0}
    # The others are as they were.
    with place.session() as session:
        theirs_now = {
            record.event["card"] for record in session.decisions() if not record.is_sealed
        }
    assert {person.card for person in others} <= theirs_now


def counts(place: PeoplePlace) -> Counter[str]:
    with place.session() as session:
        kinds = Counter(r.get("act") or "decision" for r in records_of(session))
    return Counter({name: kinds[name] for name in ("decision", "erase", "checkpoint")})


def test_not_a_byte_is_left_of_erased_people_and_all_proofs_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    erase_and_look(PeoplePlace(tmp_path), capsys, n_people=60, n_erased=50)


@pytest.mark.soak
def test_not_a_byte_is_left_of_a_thousand_people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    erase_and_look(PeoplePlace(tmp_path), capsys, n_people=1_200, n_erased=1_000)
