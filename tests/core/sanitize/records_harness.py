"""What the sanitized writer of records is put through; run by test_kernel_sanitized.py.

Arguments: the folder of the tests, the sanitized extension module, the number of rounds.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import random
import sys
from types import SimpleNamespace

NAME = "baluarte.core._records"
VALUES = (0, 5, -(2**63), 2**63, 2**53, 0.5, True, None, "", "e1", 'a"\\\n\x01\x7fé', "é" * 600,
          "\ud800", b"", b"x", b"x" * 997, [], (), ("k", b"s"), ("k", "s"), (1, b"s"),
          object())  # fmt: skip


def load(path):
    loader = importlib.machinery.ExtensionFileLoader(NAME, path)
    spec = importlib.util.spec_from_file_location(NAME, path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def main(_, path, rounds):
    module = load(path)
    draw = random.Random(11)

    def value(fitting):
        return fitting if draw.random() < 0.93 else draw.choice(VALUES)

    for _ in range(rounds * 4_000):
        n = draw.randrange(4)

        def several(make, n=n):
            return [make() for _ in range(n + (draw.random() < 0.03))]

        def answer():
            return SimpleNamespace(
                id=value("01M82B224R2SRZR00000000003"), event_id=value(draw.choice(VALUES[8:12])),
                score=value(-7), points=value(812), band=value(1), base=value(None),
            )  # fmt: skip

        def event():
            return SimpleNamespace(event_at=value(5), digest=value("sha256:1"), event=value(b"{}"))

        parts = (
            several(answer),
            several(event),
            several(lambda: value(b"[1.0]")),
            several(lambda: value(draw.choice((None, b"[3,4]")))),
            several(lambda: value(draw.choice((True, False)))),
            several(lambda: value(draw.choice((None, ("0f" * 16, b"x" * draw.randrange(40)))))),
        )
        common = value(b',"version":1'), value((b',"band":0', b',"band":1')), value(2**50)
        for call in (
            lambda: module.compose(*common, *parts),  # noqa: B023
            lambda: module.compose(*common[:2], *parts),  # noqa: B023
            lambda: module.ids("0" * draw.randrange(80), draw.randrange(2**60),
                               draw.randrange(-1, 9)),
        ):  # fmt: skip
            try:
                call()
            except (ValueError, TypeError, OverflowError, IndexError, AttributeError):
                continue
    print("sanitized: clean", flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
