"""A ledger of many versions: five programs, two schemas, window features, restarts and crashes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from workspace_ground import CONTRACT, Ground

from baluarte.adapters.states.memory import MemoryState
from baluarte.apps.windowed import open_windows
from baluarte.core import bands as band_format
from baluarte.core.bands import Bands, point_cuts
from baluarte.core.bundle import BundleParts
from baluarte.core.calibration import Knots
from baluarte.core.contract import Points
from baluarte.core.contract_toml import parse_contract
from baluarte.core.encode import Encoder, encoder_to_json, fit_encoder
from baluarte.core.event import Values
from baluarte.core.event_rows import RowReader, from_records
from baluarte.core.ids import format_ids
from baluarte.core.program import format as program_format
from baluarte.core.program.model import CATEGORICAL, MISSING_LEFT, MISSING_NAN, Program, TreePart
from baluarte.core.registry import Version
from baluarte.stages.score import Scorer
from baluarte.testing.bundles import sample_parts
from baluarte.testing.clock import START_US

WIDER = (
    CONTRACT.replace(
        "[objective]",
        """\
ip = ["source"]
[objective]""",
    )
    .replace('text = ["id"]', 'text = ["id", "agent"]')
    .replace('category = ["service"]', 'category = ["service", "user"]')
    .replace('time = ["time"]', 'time = ["time", "started"]')
    + """
[windows.n_hour]
op = "count"
by = "user"
window_s = 3600
[windows.usual]
op = "mean"
by = "user"
field = "bytes_out"
decimals = 2
window_s = 86400
[windows.pause]
op = "since_last"
by = "user"
window_s = 864000
"""
)


def events(n: int, *, seed: int, first: int = 0) -> list[dict[str, Any]]:
    """Rows as a client sends them, every field of the wider schema missing now and then."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(first, first + n):
        row: dict[str, Any] = {
            "id": f"e{i}",
            "time": START_US / 1e6 + i * 7.25,
            "bytes_out": round(float(rng.lognormal(5, 2)), 2),
            "failures": int(rng.integers(0, 12)),
            "service": str(rng.choice(["http", "ssh", "dns", "telnet"])),
            "user": f"u{rng.integers(40)}",
            "agent": str(rng.choice(["curl/8.1", "Mozilla/5.0 (X11)", "PYTHON-é"])),
            "source": f"10.{rng.integers(3)}.0.{rng.integers(250)}",
            "started": START_US / 1e6 - float(rng.integers(10_000_000)),
        }
        rows.append({k: v for k, v in row.items() if k in ("id", "time") or rng.random() > 0.08})
    return rows


class _Growing:
    """Trees as they are written: parent, left subtree, right subtree."""

    def __init__(self, encoder: Encoder, X: np.ndarray, *, seed: int) -> None:
        self._encoder, self._X = encoder, X
        self.rng = np.random.default_rng(seed)
        self.nodes: list[list[Any]] = []
        self.leaves: list[tuple[int, float]] = []
        self.words: list[int] = []
        self.starts = [0]

    def grow(self, levels: int, cover: float) -> int:
        if levels == 0:
            self.leaves.append((int(self.rng.integers(-900, 900)), cover))
            return ~(len(self.leaves) - 1)
        at = len(self.nodes)
        f = int(self.rng.integers(self._X.shape[1]))
        seen = self._X[~np.isnan(self._X[:, f]), f]
        flag = MISSING_NAN | (MISSING_LEFT if self.rng.random() < 0.5 else 0)
        node = [f, float(self.rng.choice(seen)), 0, 0, flag, -1, cover]
        if self._encoder.columns[f].categorical:
            node[1], node[4], node[5] = 0.0, CATEGORICAL, len(self.starts) - 1
            self.words.append(int(self.rng.integers(1, 1 << 32)))
            self.starts.append(len(self.words))
        self.nodes.append(node)
        node[2] = self.grow(levels - 1, cover / 2)
        node[3] = self.grow(levels - 1, cover / 2)
        return at


def random_program(encoder: Encoder, X: np.ndarray, *, seed: int) -> Program:
    """Eight trees of depth four whose thresholds are values of the events."""
    growing = _Growing(encoder, X, seed=seed)
    roots = [growing.grow(4, 16.0) for _ in range(8)]
    f, t, left, right, flags, sets, covers = zip(*growing.nodes, strict=True)
    trees = TreePart(
        rule="lightgbm",
        root=np.array(roots, np.int32),
        feature=np.array(f, np.int32),
        threshold=np.array(t),
        left=np.array(left, np.int32),
        right=np.array(right, np.int32),
        flags=np.array(flags, np.uint8),
        set_index=np.array(sets, np.int32),
        set_start=np.array(growing.starts, np.int32),
        set_bits=np.array(growing.words, np.uint32),
        leaf=np.array([leaf for leaf, _ in growing.leaves], np.int64),
        node_cover=np.array(covers),
        leaf_cover=np.array([cover for _, cover in growing.leaves]),
    )
    base = int(growing.rng.integers(-50, 50))
    return Program(n_features=X.shape[1], scale_bits=10, base=base, parts=(trees,))


def parts(text: str, *, seed: int) -> BundleParts:
    """All that a seal takes, with a program by chance."""
    contract = parse_contract(text, where="detector.toml")
    rows = RowReader(contract.events, unknown="ignore").records(events(400, seed=seed))
    for i, row in enumerate(rows):
        row.update({w.name: float(i % 9) for w in contract.windows})
    seen = from_records(contract.events, rows)
    encoder = fit_encoder(contract.events, seen)
    X = encoder.encode(seen)
    program = random_program(encoder, X, seed=seed)
    knots = Knots(
        scores=np.array([-4000, -500, 500, 4000], dtype=np.int64),
        probabilities=np.array([0.01, 0.2, 0.6, 0.99]),
    )
    bands = Bands(
        names=("pass", "alert"),
        thresholds=(400 + 10 * seed,),
        knot_scores=tuple(knots.scores.tolist()),
        knot_probabilities=tuple(knots.probabilities.tolist()),
        point_cuts=point_cuts(knots, Points()),
        calibration="isotonic",
    )
    like = sample_parts()
    return BundleParts(
        contract=contract,
        encoder_json=encoder_to_json(encoder),
        program=program_format.dumps(program),
        bands_json=band_format.dumps(bands),
        evidence=like.evidence,
        lineage=like.lineage,
    )


class Life:
    """A workspace whose detector decides by one version after the other.

    Args:
        n: decisions in all, over five versions; a process decides 250 at most and ends, every
            other one without keeping its window state.
    """

    def __init__(self, root: Path, *, n: int) -> None:
        self.ground = Ground(root)
        self.versions = [
            self.ground.seal(parts(text, seed=seed))
            for seed, text in enumerate((CONTRACT, CONTRACT, WIDER, WIDER, CONTRACT), 1)
        ]
        self.n_deferred = 0
        self._rng = np.random.default_rng(7)
        done = 0
        for turn, version in enumerate([*self.versions, self.versions[2], self.versions[3]]):
            share = n // 7 if turn < 6 else n - 6 * (n // 7)
            while share:
                some = min(share, 250)
                self._process(version, events(some, seed=turn, first=done), turn=done)
                share, done = share - some, done + some

    def _process(self, version: Version, rows: list[dict[str, Any]], *, turn: int) -> None:
        """One process's life: it opens all anew, decides in requests, and ends or is killed."""
        with self.ground.session() as session:
            scorer = Scorer(session.bundle(version.digest))
            reader = RowReader(scorer.contract.events, unknown="ignore")
            folder = self.ground.root / "state"
            windows = open_windows(
                scorer.contract,
                lambda plan, name: MemoryState(plan, detector=name, folder=folder),
                reader=session.reader,
            )
            while rows:
                some = int(self._rng.integers(1, 60))
                request, rows = rows[:some], rows[some:]
                now = session.clock.now_us()
                records = reader.records(request)
                if windows is not None:
                    windows.see(records, arrived_at=now)
                self._decide(session, scorer, records, now)
            if windows is not None:
                if turn % 2:
                    windows.keep()
                windows.close()

    def _decide(self, session: Any, scorer: Scorer, records: list[Values], now: int) -> None:
        late = self._rng.random() < 0.2
        wish = str(self._rng.choice(["alerts", "all", "none"]))
        decided = scorer.decide_records(records, reasons="none" if late else wish)  # type: ignore[arg-type]
        deferred = [late and band > 0 for band in decided.bands.tolist()]
        self.n_deferred += sum(deferred)
        who = [scorer.identify(r, ordinal=i, arrival_us=now) for i, r in enumerate(records)]
        ids = format_ids(now // 1000, session.shard.tag, session.shard.size, len(records))
        session.shard.append(scorer.records(decided, ids, who, decided_at=now, deferred=deferred))
        session.shard.commit()

    def put(self, records: list[dict[str, Any]], root: Path) -> None:
        """Write a ledger of these records alone, as a forger would who holds its folder."""
        shutil.rmtree(root / ".baluarte" / "ledger")
        with self.ground.session() as session:
            session.shard.append([msgspec.json.encode(record) for record in records])
            session.shard.commit()
