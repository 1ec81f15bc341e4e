"""What the sanitized table of claims is put through; run by test_kernel_sanitized.py.

Arguments: the folder of the tests, the sanitized extension module, the number of rounds.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys

from extension import load

NAME = "baluarte.adapters.ledger._claims"
BUCKET = 8 + 16 * 8 + 16 * 16
VALUES = (0, 5, -1, 2**32, 2**64, 2**48, None, "", b"", b"x" * 15, b"x" * 17, [], (), object())


def main(_, path, rounds):
    module = load(NAME, path)
    draw = random.Random(17)

    def value(fitting):
        return fitting if draw.random() < 0.95 else draw.choice(VALUES)

    def request():
        if draw.random() < 0.2:
            return value(([], [value(3)]))
        key = bytes(draw.randrange(256) for _ in range(16))
        return value((value([value(key)]), value([value(0), value(2)])))

    for _ in range(rounds * 4_000):
        n = draw.randrange(1, 4)
        table = bytearray(os.urandom(100 + n * BUCKET - (draw.random() < 0.05)))
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            module.claim(
                value(table), value(100), value(n), value([request() for _ in range(5)]),
                value(2**50), value(1_800_000_000), value(7), value(1_700_000_000),
            )  # fmt: skip
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            module.keys(
                value(os.urandom(draw.randrange(1, 65))), value(os.urandom(16)),
                value([value(draw.choice("aé\ud800") * draw.randrange(400)) for _ in range(5)]),
            )  # fmt: skip
    print("sanitized: clean", flush=True)
    os._exit(0)


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
