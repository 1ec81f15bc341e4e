"""A workspace with the small detector that is made by hand, and ledgers of its decisions."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import pytest

from baluarte.adapters.system import lone_name
from baluarte.apps.cli.main import main
from baluarte.apps.cli.seal import ensure_key
from baluarte.apps.place import find_workspace
from baluarte.apps.session import Session
from baluarte.core.bundle import BundleParts
from baluarte.core.encode import encoder_from_json
from baluarte.core.event import Values
from baluarte.core.ids import format_ids
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.program.format import loads
from baluarte.core.registry import Version
from baluarte.methods.drift.e_detector import EDetector
from baluarte.stages.promote import approve, promote
from baluarte.stages.score import Scorer
from baluarte.stages.seal import seal
from baluarte.testing.bundles import sample_events, sample_parts

CONTRACT = """\
name = "flows"
purpose = "Find hostile flows."
owner = "security"

[events]
id = "id"
time = "time"
label = "attack"
positive = ["true"]

[types]
text = ["id"]
time = ["time"]
number = ["bytes_out"]
integer = ["failures"]
category = ["service"]
boolean = ["attack"]

[objective]
min_recall = 0.9
max_fpr = 0.01
"""


class Ground:
    """A workspace in a folder."""

    def __init__(self, root: Path, *, settings: str = "") -> None:
        self.root = root
        (root / "flows").mkdir(parents=True)
        (root / "flows" / "detector.toml").write_text(CONTRACT, "utf-8")
        (root / "workspace.toml").write_text(
            f'{settings}\n[detectors.flows]\npath = "flows"\n', "utf-8"
        )

    @contextmanager
    def session(self, actor: str = "ana") -> Iterator[Session]:
        """The workspace's stores."""
        named = argparse.Namespace(workspace=str(self.root / "workspace.toml"), set=[])
        with Session(find_workspace(named), actor=actor) as session:
            ensure_key(session)
            yield session

    def seal(self, parts: BundleParts | None = None) -> Version:
        """Seal the small detector."""
        with self.session() as session:
            return seal(
                parts or sample_parts(),
                actor=session.actor,
                signer=session.signer,
                verifier=session.verifier,
                bundles=session.bundles,
                registry=session.registry,
                ledger=session.shard,
                clock=session.clock,
            )

    def approve(self, version: Version, actor: str, reason: str = "") -> None:
        """Approve it."""
        with self.session() as session:
            approve(
                version.detector,
                version.version,
                actor=actor,
                reason=reason,
                registry=session.registry,
                ledger=session.shard,
                clock=session.clock,
            )

    def promote(self, version: Version, reason: str = "first version") -> None:
        """Let it decide."""
        with self.session() as session:
            promote(
                version.detector,
                version.version,
                actor=session.actor,
                reason=reason,
                approvals=0,
                registry=session.registry,
                bundles=session.bundles,
                verifier=session.verifier,
                ledger=session.shard,
                clock=session.clock,
            )

    def decide(
        self,
        version: Version,
        events: Sequence[Values],
        *,
        reasons: Literal["alerts", "all", "none"] = "alerts",
        change: dict[str, Any] | None = None,
    ) -> list[str]:
        """Decide and record events; the decisions' ids.

        Args:
            change: written over every record, as a forger would who holds the ledger's folder.
        """
        with self.session() as session:
            scorer = Scorer(session.bundle(version.digest))
            now, shard = session.clock.now_us(), session.shard
            decisions = scorer.decide_records(events, reasons=reasons)
            subjects = scorer.subjects(events, lone_name)
            keys = None if subjects is None else session.people.keys(subjects)
            identities = scorer.identify_all(
                events, ordinals=range(len(events)), arrival_us=now, subjects=subjects, keys=keys
            )
            ids = format_ids(now // 1000, shard.tag, shard.size, len(events))
            records = scorer.records(decisions, ids, identities, decided_at=now)
            if change:
                records = [
                    msgspec.json.encode(msgspec.json.decode(record) | change) for record in records
                ]
            shard.append(records)
            shard.commit()
            return ids


def armed_parts(n: int = 6_000) -> BundleParts:
    """The small detector with a drift monitor, armed on ``n`` quiet events."""
    parts = sample_parts()
    encoder, program = encoder_from_json(parts.encoder_json), loads(parts.program)
    X = np.array([encoder.encode_row(event) for event in sample_events(n)])
    X = np.random.default_rng(0).permutation(X)
    drift = EDetector().arm(
        X,
        Evaluator(program, kernel="numpy").score(X),
        names=[column.name for column in encoder.columns],
        categorical=[column.categorical for column in encoder.columns],
        arl=10_000,
    )
    return BundleParts(
        contract=parts.contract,
        encoder_json=parts.encoder_json,
        program=parts.program,
        bands_json=parts.bands_json,
        evidence=parts.evidence,
        lineage=parts.lineage,
        drift_json=drift,
    )


class Shell:
    """Types commands in a folder, and reads what they say."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._root, self._capsys = root, capsys

    def text(self, *words: str) -> tuple[int, str]:
        """Exit status and standard output."""
        self._capsys.readouterr()
        status = main([*words, "--workspace", str(self._root / "workspace.toml")])
        said = self._capsys.readouterr()
        return status, said.out + said.err

    def json(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Exit status and the JSON document."""
        status, said = self.text(*words, "--json")
        document: dict[str, Any] = json.loads(said)
        return status, document
