"""``baluarte keys fields``: a pair for sealed fields, and an act that says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from workspace_ground import Ground, Shell

from baluarte import FieldSealer
from baluarte.adapters.field_keys import FieldKeys


def test_a_pair_is_made_its_record_is_handed_out_and_the_act_is_in_the_ledger(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ground, shell = Ground(tmp_path), Shell(tmp_path, capsys)
    out = tmp_path / "field-key.json"
    status, said = shell.json("keys", "fields", "--out", str(out))
    assert status == 0
    assert Path(said["private"]).stat().st_mode & 0o777 == 0o600
    assert FieldSealer("flows", fields=["user"], key=out).key_id == said["key"]
    assert FieldKeys(Path(said["private"]).parent).ids == {said["key"]}
    with ground.session() as session:
        acts = [
            json.loads(record)
            for tag in session.reader.shards()
            for record in session.reader.records(tag)
        ]
    assert said["key"] in json.dumps([act for act in acts if act["kind"] == "act"])
