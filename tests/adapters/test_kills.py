"""baluarte.adapters.ledger: killed at any point, with clients at work, it keeps what it said."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kills import ERASING, POINTS, SEGMENT, Ground, Place

from baluarte.adapters.sealing import new_master
from baluarte.adapters.stores.segments import Segments, open_shard
from baluarte.core.envelope import person
from baluarte.core.merkle import leaf_hash, root_of
from baluarte.stages.erase import erase_acts, finish_erasures

HERE = Path(__file__).parent


class Victims:
    """Writers of one ledger, each killed at a point."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root.parent / "master").write_text(new_master())
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "kills.py"), str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.acknowledged: dict[tuple[str, int], str] = {}
        self.erased: list[str] = []

    def kill(self, seed: int, point: str) -> int:
        """Let one write until it is killed at the point; how many records it acknowledged."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{seed} {point}\n")
        self.process.stdin.flush()
        n = 0
        for line in self.process.stdout:
            first, *rest = line.split()
            if first == "dead":
                assert int(rest[0]) == signal.SIGKILL, f"{point} was never reached"
                return n
            if first == "erased" and line.endswith("\n"):
                self.erased.extend(rest)
            elif len(rest) == 2:  # a line that the kill cut acknowledges nothing
                self.acknowledged[first, int(rest[0])] = rest[1]
                n += 1
        raise AssertionError("the victims' parent ended")

    def check(self) -> None:
        """Every acknowledged record stands where it was said, and no record twice."""
        with open_shard(self.root, segment_bytes=SEGMENT) as shard:
            reader = Segments(self.root).reader()
            found = [record.decode() for record in reader.records(shard.tag)]
            for (tag, index), record in self.acknowledged.items():
                assert tag == shard.tag
                assert found[index] == record, f"record {index} is lost or another"
            assert len(set(found)) == len(found), "a record stands twice"
            assert shard.root() == root_of(leaf_hash(record.encode()) for record in found)
            assert len(reader.leaf_hashes(shard.tag)) == len(found)

    def check_erasures(self) -> None:
        """Whoever was said to be erased is; one that was begun is finished, and told once."""
        ground = Ground(self.root)
        with ground.keys() as keys, open_shard(self.root, segment_bytes=SEGMENT) as shard:
            finish_erasures(ground.tools(keys, shard, Place(ground.names)))
            assert keys.unfinished() == []
            names = [person("card", name) for name in self.erased]
            assert keys.find(names) == []
            acts = list(erase_acts(Segments(self.root).reader()))
            assert len({act.details["erasure"] for act in acts}) == len(acts) >= len(names)
            gone = [str(act.details["keys"]) for act in acts]
            assert set(keys.by_id(gone).values()) <= {None}
            assert not any((ground.names / name).exists() for name in self.erased)


@pytest.fixture
def victims(tmp_path: Path) -> Iterator[Victims]:
    one = Victims(tmp_path / "ledger")
    yield one
    with one.process as process:
        assert process.stdin is not None
        process.stdin.close()


def test_twenty_rounds_of_kill_9_at_named_points_and_at_random(victims: Victims) -> None:
    points = [*POINTS, *["random"] * 4]
    assert sum(victims.kill(seed, point) for seed, point in enumerate(points)) > 50
    victims.check()
    victims.check_erasures()


def test_kill_9_at_each_point_of_an_erasure_with_clients_at_work(victims: Victims) -> None:
    for seed, point in enumerate(ERASING):
        victims.kill(seed, point)
        victims.check_erasures()
    victims.check()
    assert victims.erased


@pytest.mark.soak
def test_three_hundred_rounds_of_kill_9_each_checked(victims: Victims) -> None:
    points = [*POINTS, *ERASING, *["random"] * 9]
    for seed in range(300):
        victims.kill(seed, points[seed % len(points)])
        victims.check()
        victims.check_erasures()
