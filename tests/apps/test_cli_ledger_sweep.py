"""``baluarte ledger sweep``: compress and drop in a workspace, and what verify says after it."""

from __future__ import annotations

from pathlib import Path

import pytest
from workspace_ground import Ground, Shell

from baluarte.adapters.ledger.keeper import SegmentKeeper
from baluarte.testing.bundles import sample_events

RETENTION = """
[ledger]
cold_after_days = 0

[ledger.retention]
decision_days = 1

[ledger.accept]
decision_days = "a test"
"""
OLD = 1_600_000_000_000_000  #: decided in 2020


def test_a_sweep_of_a_workspace_drops_old_decisions_and_everything_still_verifies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ground = Ground(tmp_path / "w", settings=RETENTION)
    version = ground.seal()
    old = ground.decide(version, sample_events(30), change={"decided_at": OLD})
    with ground.session() as session:
        session.shard.end_segment()
    young = ground.decide(version, sample_events(5))
    shell = Shell(ground.root, capsys)
    assert shell.json("ledger", "checkpoint")[0] == 0
    code, said = shell.json("ledger", "sweep", "--dry-run")
    assert (code, said["dry_run"], said["dropped"]["decision"]) == (0, True, 30)
    code, said = shell.json("ledger", "sweep")
    assert (code, said["dropped"]["decision"], said["rewritten"]) == (0, 30, 1)
    code, said = shell.json("ledger", "verify")
    assert (code, said["holds"], said["dropped"]) == (0, True, 30)
    code, said = shell.text("ledger", "proof", old[0])
    assert code == 3
    assert "retention" in said
    assert shell.json("ledger", "proof", young[0])[0] == 0
    code, said = shell.json("ledger", "sweep")
    assert (code, said["dropped"]["decision"]) == (0, 0)
    with SegmentKeeper(ground.root / ".baluarte" / "ledger"):
        assert shell.text("ledger", "sweep")[0] == 5
    for language in ("en", "es"):
        code, said = shell.text("ledger", "--lang", language, "sweep")
        assert code == 0
        assert {"en": "For ever", "es": "Siempre"}[language] in said
