"""What the sanitized writer of records is put through; run by test_kernel_sanitized.py.

Arguments: the folder of the tests, the sanitized extension module, the number of rounds.
"""

from __future__ import annotations

import array
import datetime as dt
import os
import random
import sys
from types import SimpleNamespace

from extension import load

NAME = "baluarte.core._records"
VALUES = (0, 5, -(2**63), 2**63, 2**53, 0.5, True, None, "", "e1", 'a"\\\n\x01\x7fé', "é" * 600,
          "\ud800", b"", b"x", b"x" * 997, [], (), ("k", b"s"), ("k", "s"), (1, b"s"),
          object())  # fmt: skip
JSON = (b"[]", b"[", b"]", b"", b"[,]", b"[1.5,]", b"[,1.5]", b"[1.5", b"[1.5,null,2.5]",
        b"[" + b"7," * 400 + b"7]")  # fmt: skip
ERRORS = (ValueError, TypeError, OverflowError, IndexError, AttributeError, BufferError)


def batch(draw, n, value, several):
    """What a batch is made of: as it should be, or nearly."""

    def whole():
        return draw.choice((0, 1, 1, 1, -7, 812, 2**31 - 1))

    def band():
        return draw.choice((0, 1) * 9 + (2, -1))

    def column(make):
        whole = array.array(draw.choice("q" * 60 + "ldi"), several(make))
        return value(memoryview(whole)[:: draw.choice((1,) * 60 + (2, -1))])

    def event():
        key = SimpleNamespace(id=value("0f" * 16), compiled=value(draw.choice(KEYS)))
        return SimpleNamespace(
            event_id=value(draw.choice(VALUES[8:12])), event_at=value(5), digest=value("sha256:1"),
            event=value(b"{}"), personal=value(b"x" * draw.randrange(300)), key=value(key),
        )  # fmt: skip

    def cells(width):
        fitting = b"[" + b",".join([b"-1.5"] * (n * width)) + b"]"
        return fitting if draw.random() < 0.9 else draw.choice(JSON)

    def reasons():
        return value(draw.choice((None, (), (3, -4), [2**63 - 1, 0])))

    width, personal = draw.randrange(4), draw.randrange(3)
    parts = (
        value(b',"version":1'), value((b',"band":0', b',"band":1')),
        several(lambda: value("01M82B224R2SRZR00000000003")), several(event),
        column(whole), column(whole), column(band), value(-40), value(cells(width)),
        draw.choice((width,) * 30 + (-1, 2**62)), several(reasons),
        several(lambda: value(draw.choice((True, False)))),
    )  # fmt: skip
    more = (
        value(b',"columns":[0],"features":'), value(cells(personal)),
        draw.choice((personal,) * 30 + (-1, 2**62)), draw.random() < 0.5, value(b"head"),
        value(b"tail"), value(os.urandom(12 * n + (draw.random() < 0.01))),
    )  # fmt: skip
    return parts, more


KEYS = []


def main(_, path, rounds):
    module = load(NAME, path)
    draw = random.Random(11)
    import _hashlib

    can_seal = module.load(getattr(_hashlib, "__file__", ""))
    for bad in (b"k" * 31, b"k" * 33, "k" * 32, None):
        try:
            module.key(bad)
        except (ValueError, TypeError):
            continue
        raise AssertionError(bad)
    KEYS.extend([module.key(bytes([i]) * 32) for i in range(3)] * 7)
    KEYS.extend([None, "no key", dt.datetime_CAPI])  # a capsule of something else
    n_done = 0

    def value(fitting):
        return fitting if draw.random() < odds else draw.choice(VALUES)

    for k in range(rounds * 2_500):
        odds = (0.999, 0.93)[k % 2]
        n = draw.choice((0, 1, 2, 3, 9, 30)) if odds > 0.99 else draw.randrange(4)

        def several(make, n=n):
            return [make() for _ in range(n + (draw.random() < 0.01))]

        parts, more = batch(draw, n, value, several)
        envelopes = several(
            lambda: value(draw.choice((None, ("0f" * 16, b"x" * draw.randrange(40)))))
        )
        for call in (
            lambda: module.compose(parts, envelopes, draw.random() < 0.5),  # noqa: B023
            lambda: module.compose(parts[:-1], envelopes, 1),  # noqa: B023
            lambda: module.compose_sealed(parts, more),  # noqa: B023
            lambda: module.compose_sealed(more, parts),  # noqa: B023
            lambda: module.answers(
                *(parts[k] for k in (2, 3, 1, 6, 5, 4)),  # noqa: B023
                value(b"[" + b",".join([b"0.5"] * n) + b"]"),  # noqa: B023
            ),
            lambda: module.ids("0" * draw.randrange(80), draw.randrange(2**60),
                               draw.randrange(-1, 9)),
        ):  # fmt: skip
            try:
                found = call()
            except ERRORS:
                continue
            if isinstance(found, tuple):
                data, lengths = found
                assert sum(memoryview(lengths).cast("I")) == len(data), found
                n_done += b'"sealed"' in data
    assert n_done > 30 * rounds or not can_seal, n_done
    assert not module.load("/nowhere/libcrypto.so")
    try:
        module.compose_sealed(*sound(module))
    except RuntimeError:
        print("sanitized: clean", flush=True)
    os._exit(0)


def sound(module):
    """A batch of one that can be sealed where there is a library."""
    key = SimpleNamespace(id="0f" * 16, compiled=module.key(b"k" * 32))
    event = SimpleNamespace(
        event_id="e", event_at=5, digest="sha256:1", event=b"{}", personal=b"{}", key=key
    )
    zero = array.array("q", [0])
    parts = b"", (b"",), ["1"], [event], zero, zero, zero, 0, b"[]", 0, [None], [False]
    return parts, (b"", b"[]", 0, True, b"", b"", bytes(12))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
