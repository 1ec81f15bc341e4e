"""The victim of ``test_kills.py``: writes a ledger from many threads until a point is reached.

Reads lines ``SEED POINT`` and forks for each: the child writes every acknowledged record and every
acknowledged erasure to its output and kills itself at the point; then the parent says so. One
import for all rounds.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

from baluarte.adapters.disk import LOCAL
from baluarte.adapters.keystores.sqlite import SqliteKeys
from baluarte.adapters.ledger.keeper import SegmentKeeper
from baluarte.adapters.ledger.reader import SegmentReader
from baluarte.adapters.sealing import MasterKeys
from baluarte.adapters.stores.segments import open_shard
from baluarte.core.envelope import person
from baluarte.core.erasure import Erasure
from baluarte.errors import BaluarteError
from baluarte.ports import LedgerShard, SubjectKeys
from baluarte.stages.erase import Asked, Tools, erase
from baluarte.testing.clock import FixedClock
from baluarte.testing.disk import WatchedDisk

SEGMENT = 4096
CLIENTS = 4

#: name -> (when, operation, how the file's name ends)
POINTS = {
    "before commit": ("before", "datasync", ".seg"),
    "after commit": ("after", "datasync", ".seg"),
    "mid-segment": ("middle", "write", ".seg"),
    "before the head": ("before", "write", "head"),
    "mid-head": ("middle", "write", "head"),
    "after the head": ("after", "write", "head"),
    "before rotation": ("before", "rename", ".seg"),
    "after rotation": ("after", "rename", ".seg"),
    "reserving": ("after", "create", "spare"),
    "in a checkpoint": ("middle", "write", ".note"),
    "before a checkpoint's name": ("before", "rename", ".note"),
    "after a checkpoint's name": ("after", "rename", ".note"),
    "before a cold segment": ("before", "rename", ".cold"),
    "after a cold segment": ("after", "rename", ".cold"),
    "before the hot one goes": ("before", "unlink", ".seg"),
    "after the hot one went": ("after", "unlink", ".seg"),
}

#: the same of an erasure: (when, what it does, nothing)
ERASING = {
    "before the keys go": ("before", "destroy", ""),
    "after the keys went": ("after", "destroy", ""),
    "before an erasure's act": ("before", "append", ""),
    "after an erasure's act": ("after", "commit", ""),
    "before a place forgets": ("before", "forget", ""),
    "before a place is told": ("before", "forgotten", ""),
    "before an erasure is finished": ("before", "finish", ""),
    "after an erasure is finished": ("after", "finish", ""),
}


class Ground:
    """The folder of one ledger, its people's keys, and a place that remembers names."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.master = MasterKeys((root.parent / "master").read_text(), where="here")
        self.names = root.parent / "names"
        self.names.mkdir(exist_ok=True)

    def keys(self) -> SqliteKeys:
        return SqliteKeys(self.root.parent / "people.sqlite", self.master)

    def tools(self, keys: SubjectKeys, shard: LedgerShard, place: Place) -> Tools:
        return Tools(
            keys=keys,
            reader=SegmentReader(self.root),
            ledger=lambda: shard,
            places=[place],
            clock=FixedClock(),
            entropy=Entropy(),
        )


class Entropy:
    def token(self, n_bytes: int) -> bytes:
        return os.urandom(n_bytes)


class Place:
    """Holds a file a name."""

    name = "names"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def forget(self, erasure: Erasure) -> bool:
        for subject in erasure.subjects:
            (self._folder / subject.name).unlink(missing_ok=True)
        return True


class Watched:
    """Stands before something and tells of each call, before and after it."""

    def __init__(self, inner: Any, hook: Callable[[str, str, PurePath], None]) -> None:
        self._inner, self._hook = inner, hook

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)

        def act(*args: Any, **named: Any) -> Any:
            self._hook("before", name, PurePath())
            result = found(*args, **named)
            self._hook("after", name, PurePath())
            return result

        return act if callable(found) else found


def live(root: Path, seed: int, point: str) -> None:
    rng = random.Random(seed)
    named = POINTS | ERASING
    left = [rng.randint(1, (3 if point in ERASING else 8) if point in named else 400)]
    wanted = named.get(point)

    def hook(when: str, operation: str, path: PurePath) -> None:
        name = path.name.split(".note")[0] + ".note" if ".note" in path.name else path.name
        name = name.split(".cold")[0] + ".cold" if ".cold" in name else name
        if wanted is None or ((when, operation) == wanted[:2] and name.endswith(wanted[2])):
            left[0] -= 1
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    disk = WatchedDisk(LOCAL, hook)
    shard = open_shard(root, segment_bytes=SEGMENT, disk=disk)

    def client(number: int) -> None:
        own = random.Random(seed * 10 + number)
        for i in range(10**6):
            record = b"%d/%d/%d" % (seed, number, i) + b"." * own.randint(1, 200)
            index = shard.append([record])
            shard.commit()
            os.write(1, b"%s %d %s\n" % (shard.tag.encode(), index, record))

    def keep() -> None:
        reader = SegmentReader(root, disk=disk)
        while True:
            time.sleep(0.003)
            reader.put_note(shard.tag, shard.committed, b"a note")
            try:
                with SegmentKeeper(root, segment_bytes=SEGMENT, disk=disk) as keeper:
                    hot = [one for one in keeper.closed(shard.tag) if not one.is_cold]
                    if hot:
                        keeper.cool(shard.tag, hot[0].first, {})
            except BaluarteError as error:
                os.write(2, str(error).encode())

    def clerk() -> None:
        ground = Ground(root)
        with ground.keys() as keys:
            watched: Any = Watched(keys, hook)
            place: Any = Watched(Place(ground.names), hook)
            tools = ground.tools(watched, Watched(shard, hook), place)  # type: ignore[arg-type]
            for i in range(10**6):
                who = person("card", f"{seed}-{i}")
                (ground.names / who.name).touch()
                keys.keys([who])
                erase(Asked(subjects=[who], texts=(), actor="ada", reason="case"), tools)
                os.write(1, b"erased %s\n" % who.name.encode())

    threading.Thread(target=clerk, daemon=True).start()
    for number in range(CLIENTS):
        threading.Thread(target=client, args=(number,), daemon=True).start()
    threading.Thread(target=keep, daemon=True).start()
    time.sleep(20)
    os._exit(3)  # the point was never reached


def main() -> None:
    root = Path(sys.argv[1])
    for line in sys.stdin:
        seed, _, point = line.strip().partition(" ")
        child = os.fork()
        if child == 0:
            live(root, int(seed), point)
        _, status = os.waitpid(child, 0)
        os.write(1, b"dead %d\n" % status)


if __name__ == "__main__":
    main()
