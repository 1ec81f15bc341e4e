"""What the sanitized digest of rows is put through; run by test_kernel_sanitized.py.

Arguments: the folder of test_multiset.py, the sanitized extension module, the number of rounds.
"""

from __future__ import annotations

import os
import random
import sys

from extension import load

NAME = "baluarte.core._multiset"


def main(cases_folder, path, rounds):
    sys.path.insert(0, cases_folder)
    module = load(NAME, path)
    from test_multiset import by_definition, digest_of

    from baluarte.core import multiset

    assert multiset._NATIVE is module
    draw = random.Random(rounds)
    for _ in range(10 * rounds):
        sizes = (0, 1, 7, 8, 167, 168, 169, 335, 336, 337, draw.randrange(2_000))
        rows = [draw.randbytes(draw.choice(sizes)) for _ in range(draw.randrange(11))]
        assert digest_of(rows) == by_definition(rows)
    whole = bytearray(2048)
    for odd in (
        (), ([],), (["text"], whole), ([b"", 7], whole), ((b"",), whole), ([b""], bytes(2048)),
        ([b""], bytearray(2047)), ([b""], bytearray()), ([b""], None), ([bytearray(3)], whole),
    ):  # fmt: skip
        try:
            module.add(*odd)
        except (TypeError, ValueError, BufferError):
            continue
        raise AssertionError(odd)
    assert whole == bytearray(2048)  # a row that is none leaves it as it was
    print("sanitized: clean", flush=True)
    os._exit(0)  # msgspec 0.20 frees foreign memory when the interpreter ends; that is not ours


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
