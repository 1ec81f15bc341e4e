"""The victim of ``test_kills.py``: writes a ledger from many threads until a point is reached.

Reads lines ``SEED POINT`` and forks for each: the child writes every acknowledged record to its
output and kills itself at the point; then the parent says so. One import for all rounds.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from pathlib import Path, PurePath

from baluarte.adapters.disk import LOCAL
from baluarte.adapters.ledger.keeper import SegmentKeeper
from baluarte.adapters.ledger.reader import SegmentReader
from baluarte.adapters.stores.segments import open_shard
from baluarte.errors import BaluarteError
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


def live(root: Path, seed: int, point: str) -> None:
    rng = random.Random(seed)
    left = [rng.randint(1, 8 if point in POINTS else 400)]
    wanted = POINTS.get(point)

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
