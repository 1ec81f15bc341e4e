"""What the sanitized reader of bands is put through; run by test_kernel_sanitized.py.

Arguments: the folder of the tests, the sanitized extension module, the number of rounds.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
from array import array

from extension import load

NAME = "baluarte.core._bands"
EXTREMES = (0, 1, -1, 2**53 - 1, 1 - 2**53, 2**63 - 1, -(2**63))


def main(_, path, rounds):
    module = load(NAME, path)
    draw = random.Random(19)

    def column(n, kind="q"):
        n += draw.choice((-1, 1)) * (draw.random() < 0.03)
        if kind == "d":
            return array("d", (draw.random() for _ in range(n)))
        return array("q", (draw.choice(EXTREMES) for _ in range(n)))

    for _ in range(rounds * 4_000):
        n, k = draw.randrange(5), draw.randrange(4)
        given = [
            column(n), column(draw.randrange(4)), column(draw.randrange(4)), column(k),
            column(k, "d"), column(n), column(n), column(n, "d"),
        ]  # fmt: skip
        if draw.random() < 0.05:
            given[draw.randrange(8)] = draw.choice((None, b"123", b"", array("b", [1]), "x"))
        with contextlib.suppress(TypeError, ValueError, BufferError):
            module.read(*given)
    print("sanitized: clean", flush=True)
    os._exit(0)


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
