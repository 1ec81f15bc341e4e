"""What is recorded about a person, to hand over: all of it, and nothing of anybody else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from people_ground import PeoplePlace, Person, records_of

from baluarte.adapters.system import lone_name
from baluarte.core.event import Values
from baluarte.core.ids import format_ids
from baluarte.stages.score import Scorer


def decide(place: PeoplePlace, people: list[Person], n: int) -> None:
    """Record events of people, without a server."""
    events: list[Values] = []
    for i in range(n):
        for person in people:
            event = dict(person.event(i))
            event["at"] *= 1_000_000
            events.append({**event, "n_day": i, "spent": i * person.amount, "cards": 1})
    with place.session() as session:
        scorer = Scorer(session.bundle(place.version.digest))
        subjects = scorer.subjects(events, lone_name) or []
        who = scorer.identify_all(
            events, ordinals=range(len(events)), arrival_us=1, subjects=subjects,
            keys=session.people.keys(subjects),
        )  # fmt: skip
        decisions = scorer.decide_records(events, reasons="none")
        now = session.clock.now_us()
        ids = format_ids(now // 1000, session.shard.tag, session.shard.size, len(events))
        session.shard.append(scorer.records(decisions, ids, who, decided_at=now))
        session.shard.commit()


def test_a_person_is_told_every_decision_and_nothing_of_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, people = PeoplePlace(tmp_path), [Person(1), Person(2)]
    decide(place, people, 4)
    out, page = tmp_path / "her.json", tmp_path / "her.html"
    words = ("subject", people[0].card, "--out", str(out), "--page", str(page), "--json")
    assert place.run(*words, "--reason", "article 15", "--actor", "dpo") == 0
    assert json.loads(capsys.readouterr().out)["decisions"] == 4
    told = json.loads(out.read_text("utf-8"))
    assert told["names"] == [people[0].card]
    for i, one in enumerate(told["decisions"]):
        assert one["values"]["holder"] == people[0].holder
        assert one["values"]["pin"] == people[0].pin
        assert one["values"]["n_day"] == i
        assert (one["detector"], one["version"]) == ("payments", 1)
        assert one["outcome"]
        assert all(reason["text"] for reason in one["reasons"])
    assert any(one["reasons"] for one in told["decisions"])
    shown = page.read_text("utf-8")
    assert people[0].holder in shown
    for text in (out.read_text("utf-8"), shown):
        assert people[1].card not in text
        assert people[1].holder not in text
    with place.session() as session:
        (act,) = [r for r in records_of(session) if r.get("act") == "export"]
    assert (act["actor"], act["reason"], act["details"]) == ("dpo", "article 15", {"decisions": 4})
    assert people[0].card not in json.dumps(act)


def test_of_an_erased_person_there_is_nothing_to_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, people = PeoplePlace(tmp_path), [Person(1), Person(2)]
    decide(place, people, 2)
    assert place.run("erase", people[0].card, "--reason", "asked") == 0
    assert place.run("subject", people[0].card) == 3
    assert "nothing is kept about this name" in capsys.readouterr().err
    assert place.run("subject", people[1].card) == 0
    assert place.run("subject", people[1].card, "--of", "name") == 3


def test_a_new_master_key_takes_over_while_a_server_decides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, people = PeoplePlace(tmp_path), [Person(i) for i in range(4)]
    master = place.data / "keys" / "people.key"
    with place.server() as server:
        server.decide([person.event(1) for person in people[:2]])
        old = master.read_text()
        assert place.run("keys", "rotate-people", "--reason", "yearly", "--json") == 0
        assert json.loads(capsys.readouterr().out)["keys"] == 2
        assert master.read_text() != old
        assert len(master.read_text().split()) == 1
        assert master.stat().st_mode & 0o777 == 0o600
        answers = server.decide([person.event(2) for person in people])  # two of them are new
    assert len(answers) == 4
    for person in people:
        assert place.run("subject", person.card) == 0
    master.write_text(old)
    assert place.run("subject", people[0].card) == 4
