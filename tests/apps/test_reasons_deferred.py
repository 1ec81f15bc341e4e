"""Above a stated load reasons wait: the record says so, replay and explain give the same bits."""

from __future__ import annotations

from pathlib import Path

import msgspec
from scoring_ground import Server, Workplace, on_the_wire
from workspace_ground import Ground

from baluarte.apps.catalogue import Texts
from baluarte.apps.scoring.settings import Limits
from baluarte.apps.story import story_of
from baluarte.apps.story_words import computed_line
from baluarte.core.decision import DecisionRecord
from baluarte.core.ids import format_ids
from baluarte.stages.replay import replay
from baluarte.stages.score import Scorer
from baluarte.testing.bundles import sample_events

EVENTS = sample_events(40)
LIMITS = Limits(reasons_above=8)


def test_a_server_defers_reasons_above_its_load_and_says_so(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    place.promote(place.seal())
    events = [on_the_wire(event) for event in EVENTS]
    # The same events come again and again here, and each time are to be decided anew.
    with Server(place, limits=LIMITS, repeat_window_s=0) as server:
        _, few = server.decide(events[:8])
        _, many = server.decide(events)
        _, every = server.decide(events, "?reasons=all")
        _, none = server.decide(events, "?reasons=none")
        _, page = server.ask("GET", "/metrics")
        record = server.ask("GET", f"/v1/decisions/{every[0]['id']}")[1]
        bare = server.ask("GET", f"/v1/decisions/{none[0]['id']}")[1]
    alerts = [answer["outcome"] == "alert" for answer in many]
    assert any(alerts)
    assert ["reasons" in answer for answer in few] == alerts[:8]
    assert not any("reasons_deferred" in answer for answer in [*few, *none])
    assert ["reasons_deferred" in answer for answer in many] == alerts
    assert all(answer["reasons_deferred"] for answer in every)
    assert not any("reasons" in answer for answer in [*many, *every, *none])
    assert record["reasons_deferred"] is True
    assert "reasons_deferred" not in bare
    counted = f'baluarte_reasons_deferred_total{{detector="flows"}} {sum(alerts) + 40}.0'
    assert counted in page.decode()


def test_what_was_deferred_is_explained_with_the_same_bits(tmp_path: Path) -> None:
    ground = Ground(tmp_path / "w")
    version = ground.seal()
    ids = ground.decide(version, EVENTS, reasons="all")
    with ground.session() as session:
        bundle = session.bundle(version.digest)
        scorer, shard, now = Scorer(bundle), session.shard, session.clock.now_us()
        decided = scorer.decide_records(EVENTS, reasons="none")
        identities = [
            scorer.identify(event, ordinal=i, arrival_us=now) for i, event in enumerate(EVENTS)
        ]
        new = format_ids(now // 1000, shard.tag, shard.size, len(EVENTS))
        late = [True] * len(EVENTS)
        shard.append(scorer.records(decided, new, identities, decided_at=now, deferred=late))
        shard.commit()
    with ground.session() as session:
        texts = Texts("en")
        for before, after in zip(ids[:12], new[:12], strict=True):
            recorded = session.decision(before)
            story = story_of(session, session.decision(after), texts)
            whole = story_of(session, recorded, texts)
            assert story.record.reasons is None
            assert story.record.reasons_deferred is True
            assert (story.base, story.reasons) == (whole.base, whole.reasons)
            assert story.adds_up
            assert "under load" in computed_line(texts, story)
        records = [session.decision(decision) for decision in new]
        assert all(not each.difference for each in replay(records, lambda *_: bundle))


def test_records_with_nothing_deferred_keep_their_bytes() -> None:
    fields = [field.name for field in msgspec.structs.fields(DecisionRecord)]
    assert fields[-2:] == ["reasons_deferred", "personal"]
    sample = msgspec.json.decode(
        b'{"kind":"decision","v":1,"id":"a","event_id":"e","event_at":1,"decided_at":2,'
        b'"detector":"d","version":1,"bundle":"b","role":"champion","event_digest":"x",'
        b'"event":{},"features":[],"score":1,"points":1,"band":0,"outcome":"pass",'
        b'"threshold":null,"base":null,"reasons":null}',
        type=DecisionRecord,
    )
    assert b"deferred" not in msgspec.json.encode(sample)
