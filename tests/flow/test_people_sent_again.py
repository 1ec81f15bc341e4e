"""An event about a person that is sent again: its first decision comes out of a sealed record."""

from __future__ import annotations

import json
import urllib.error
from pathlib import Path

import people_ground
import pytest
from people_ground import PeoplePlace, Person


def test_a_sealed_first_decision_is_opened_compared_and_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_id = people_ground.CONTRACT.replace('time = "at"\n', 'time = "at"\nid = "id"\n', 1)
    with_id = with_id.replace('text = ["card", "holder"]', 'text = ["card", "holder", "id"]')
    monkeypatch.setattr(people_ground, "CONTRACT", with_id)
    place = PeoplePlace(tmp_path)
    events = [Person(i % 3).event(i) | {"id": f"e{i}"} for i in range(9)]
    with place.server() as server:
        first = server.decide(events)
        # Also what windows counted is as it was: an event that is sent again is seen once.
        assert server.decide(events) == first
        events[2]["pin"] += 1
        with pytest.raises(urllib.error.HTTPError) as caught:
            server.decide(events)
        problem = json.loads(caught.value.read())
        assert (problem["status"], problem["code"]) == (409, "event_id_taken")
        assert [fault["path"] for fault in problem["faults"]] == ["$[2].id"]
    with place.session() as session:
        assert len(list(session.decisions("payments"))) == len(events)
