"""Erasures that are killed: afterwards either nobody or everybody is erased."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from baluarte.adapters.keystores.sqlite import SqliteKeys
from baluarte.adapters.sealing import MasterKeys, new_master
from baluarte.adapters.stores.segments import Segments
from baluarte.core.decision import ActRecord, Record
from baluarte.core.envelope import person
from baluarte.core.erasure import Erasure
from baluarte.errors import DataError
from baluarte.stages.erase import Asked, Tools, erase, erased_keys, finish_erasures
from baluarte.testing.clock import FixedClock

WHO = [person("card", f"c{i}") for i in range(3)]
POINTS = (
    "before the keys", "after the keys", "act queued", "act recorded", "first place",
    "first place told", "second place", "second place told", "finished",
)  # fmt: skip


class Dies:
    """Stands before something and ends the process at a named point, as a power cut would."""

    def __init__(self, inner: Any, points: dict[str, tuple[str, str]], at: str) -> None:
        self._inner, self._points, self._at = inner, points, at

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        before, after = self._points.get(name, ("", ""))

        def act(*args: Any, **named: Any) -> Any:
            die(bool(self._at) and before == self._at)
            result = found(*args, **named)
            die(bool(self._at) and after == self._at)
            return result

        return act if name in self._points else found


def die(now: bool) -> None:
    if now:
        os.kill(os.getpid(), signal.SIGKILL)


class Remembering:
    """A place that holds names in a file."""

    def __init__(self, path: Path) -> None:
        self.name, self.path = path.name, path

    def forget(self, erasure: Erasure) -> bool:
        gone = {subject.name for subject in erasure.subjects}
        kept = [line for line in self.path.read_text().split() if line not in gone]
        self.path.write_text("\n".join(kept))
        return True


class Entropy:
    def token(self, n_bytes: int) -> bytes:
        return os.urandom(n_bytes)


class Ground:
    def __init__(self, root: Path) -> None:
        self.root, self.master = root, MasterKeys(new_master(), where="here")
        for name in ("first", "second"):
            (root / name).write_text("c0\nc1\nc2\nc9")
        with self.keys() as keys:
            self.ids = [key.id for key in keys.keys([*WHO, person("card", "c9")])]

    def keys(self) -> SqliteKeys:
        return SqliteKeys(self.root / "people.sqlite", self.master)

    def tools(self, keys: SqliteKeys, at: str = "") -> Tools:
        ledger = Segments(self.root / "ledger", segment_bytes=1 << 16)
        shard = Dies(
            ledger.open_shard(), {"append": ("", "act queued"), "commit": ("", "act recorded")}, at
        )
        points = {
            "destroy": ("before the keys", "after the keys"), "finish": ("", "finished"),
        }  # fmt: skip
        kept = Dies(keys, points, at)
        places = [
            Dies(Remembering(self.root / name), {"forget": (f"{name} place", "")}, at)
            for name in ("first", "second")
        ]
        told = kept.forgotten

        def forgotten(erasure: str, place: str) -> None:
            told(erasure, place)
            die(f"{place} place told" == at)

        kept.forgotten = forgotten
        return Tools(
            keys=kept, reader=ledger.reader(), ledger=lambda: shard, places=places,
            clock=FixedClock(), entropy=Entropy(),
        )  # type: ignore[arg-type]  # fmt: skip

    def acts(self) -> list[ActRecord]:
        reader = Segments(self.root / "ledger").reader()
        found = [
            msgspec.json.decode(data, type=Record)
            for tag in reader.shards()
            for data in reader.records(tag)
        ]
        return [act for act in found if isinstance(act, ActRecord)]


def in_a_process_that_dies(work: Callable[[], object]) -> None:
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(7)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it was to die on the way"


ASKED = Asked(subjects=WHO, texts=("c0", "c1", "c2"), actor="ada", reason="case 7")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of fork in a process with threads
@pytest.mark.parametrize("point", POINTS)
def test_an_erasure_that_is_killed_is_not_begun_or_finished_by_the_next_process(
    point: str, tmp_path: Path
) -> None:
    ground = Ground(tmp_path)

    def work() -> None:
        with ground.keys() as keys:
            erase(ASKED, ground.tools(keys, point))

    in_a_process_that_dies(work)
    with ground.keys() as keys:
        tools = ground.tools(keys)
        finish_erasures(tools)
        finish_erasures(tools)
        found = keys.by_id(ground.ids)
        acts = ground.acts()
        assert keys.unfinished() == []
    gone = [found[key_id] is None for key_id in ground.ids]
    left = [(tmp_path / name).read_text().split() for name in ("first", "second")]
    if point == "before the keys":
        assert (gone, acts, left) == ([False] * 4, [], [["c0", "c1", "c2", "c9"]] * 2)
        return
    assert gone == [True] * 3 + [False]
    assert left == [["c9"]] * 2
    (act,) = acts
    assert set(str(act.details["keys"]).split()) == set(ground.ids[:3])
    assert (act.actor, act.reason, act.detector) == ("ada", "case 7", "*")


def test_the_act_names_nobody_and_the_store_keeps_nothing_of_them(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    wrapped = wrapped_keys(tmp_path / "people.sqlite")
    with ground.keys() as keys:
        done = erase(ASKED, ground.tools(keys))
        raw = b"".join(path.read_bytes() for path in tmp_path.glob("people.sqlite*"))
        assert erased_keys(ground.tools(keys).reader) == set(done.keys)
    assert set(done.keys) == set(ground.ids[:3])
    assert not done.left
    for name in ("c0", "c1", "c2"):
        assert f'"{name}"'.encode() not in raw
    assert [key in raw for key in wrapped] == [False] * 3 + [True]
    (act,) = ground.acts()
    hexadecimal = {"keys": "", "erasure": ""}  # as "c1" may be
    said = msgspec.structs.replace(act, details=act.details | hexadecimal)
    assert msgspec.json.encode(said).count(b"c1") == 0


def wrapped_keys(path: Path) -> list[bytes]:
    import sqlite3

    db = sqlite3.connect(path)
    try:
        return [row[0] for row in db.execute("SELECT wrapped FROM keys ORDER BY number")]
    finally:
        db.close()


def test_a_reason_that_names_the_person_is_refused_before_anything_happens(
    tmp_path: Path,
) -> None:
    ground = Ground(tmp_path)
    asked = Asked(subjects=WHO, texts=("c0", "c1"), actor="ada", reason="c1 asked for it")
    with ground.keys() as keys:
        with pytest.raises(DataError, match="keeps it for ever"):
            erase(asked, ground.tools(keys))
        assert None not in keys.by_id(ground.ids).values()


def test_a_place_held_by_another_process_is_left_and_finished_later(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    with ground.keys() as keys:
        tools = ground.tools(keys)
        busy = tools.places[1]
        busy.forget = lambda _: False  # type: ignore[method-assign]
        done = erase(ASKED, tools)
        assert done.left == ("second",)
        assert keys.unfinished()[0].places == ("second",)
        assert not finish_erasures(ground.tools(keys))[0].left
        assert keys.unfinished() == []
        assert len(ground.acts()) == 1
