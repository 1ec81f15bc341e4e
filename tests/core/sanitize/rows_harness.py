"""What the sanitized reader of rows is put through; run by test_kernel_sanitized.py.

Arguments: the folder of rows_case.py, the sanitized extension module, the number of rounds.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import random
import sys

NAME = "baluarte.core._rows"


def load(path):
    loader = importlib.machinery.ExtensionFileLoader(NAME, path)
    spec = importlib.util.spec_from_file_location(NAME, path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    sys.modules[NAME] = module
    return module


VALUES = (0, 1, -3, 2**53, 2**53 + 1, -(2**90), 0.5, -0.0, 3.0, 1e300, float("inf"), float("nan"),
          True, None, "", "a", "é" * 600, "a\0b", "\ud800", "10.0.0.1", "2026-07-31", [], {}, b"x",
          object())  # fmt: skip


def main(cases_folder, path, rounds):
    sys.path.insert(0, cases_folder)
    module = load(path)
    from rows_case import SCHEMA

    from baluarte.core.encode import Encoder, EncoderTables, FieldEncoding
    from baluarte.core.quick_rows import quick_reader
    from baluarte.errors import DataError

    reader = quick_reader(SCHEMA)
    assert reader is not None
    assert reader._native is module
    encoder = Encoder(
        EncoderTables(
            fields=tuple(
                FieldEncoding(
                    field=field.name,
                    type=field.type,
                    categories=("http", "ssh") if field.type == "category" else (),
                )
                for field in SCHEMA.fields
                if field.is_feature
            )
        )
    )
    draw = random.Random(7)
    given = [field for field in SCHEMA.fields if field.role != "derived"]
    for _ in range(rounds * 2_000):
        event = {"amount": 1.5}
        for field in given:
            at = event
            for key in field.keys[:-1]:
                at = at.setdefault(key, {})
            if draw.random() < 0.6 and isinstance(at, dict):
                at[field.keys[-1]] = draw.choice(VALUES[:-2])
        text = bytearray(json.dumps(event).encode("utf-8", "surrogatepass"))
        for _ in range(draw.choice((0, 0, 1, 3))):
            text[draw.randrange(len(text))] = draw.randrange(256)
        module.scan(bytes(text))
        module.scan(bytes(text[: draw.randrange(len(text))]))
        found = reader.read(bytes(text), max_depth=16)
        rows = found[0] if found else [{"amount": 1.0, "service": draw.choice(VALUES[:14])}]
        try:
            encoder.encode_rows(rows)
        except (ValueError, TypeError, OverflowError, DataError):
            continue
    hostile(module, draw, rounds)
    print("sanitized: clean", flush=True)
    os._exit(0)


def hostile(module, draw, rounds):
    """Arguments that our own Python never passes are refused or answered; nothing else is read."""
    import numpy as np

    def convert(value):
        if draw.random() < 0.2:
            raise ValueError
        return draw.choice((None, value, 1, "x"))

    for _ in range(rounds * 2_000):
        n = draw.randrange(5)
        names = tuple(f"n{i}" for i in range(n))
        kinds = bytes(draw.choice((0, 1, 2, 3, 4, 5, 65, 69, 200)) for _ in range(n))
        rows = [
            tuple(draw.choice(VALUES) for _ in range(n + draw.choice((0, 0, 0, 1))))
            for _ in range(draw.randrange(4))
        ]
        parts = tuple(
            draw.choice((None, ({"a": 1.0}, 2.0), ({}, "x"), (1,), (1, 2), convert, 7))
            for _ in range(n + draw.choice((0, 0, 0, 1)))
        )
        widths = bytes(draw.choice((1, 1, 1, 0, 2, 255)) for _ in range(n))
        records = [dict.fromkeys(names, draw.choice(VALUES[:-5])) for _ in range(draw.randrange(4))]
        room = np.zeros((draw.randrange(5), draw.randrange(1, 6)))
        for call in (
            lambda: module.records(names, kinds, (convert,) * n, rows, None, n * len(rows)),  # noqa: B023
            lambda: module.encode(names, parts, widths, records, room),  # noqa: B023
            lambda: module.encode(names, (None,) * n, b"\1" * n, records,  # noqa: B023
                                  np.zeros((len(records), n))),  # noqa: B023
            lambda: module.encode(names, (None,) * n, b"\1" * n, [1, ()], np.zeros((2, n))),  # noqa: B023
            lambda: module.scan("no bytes"),
        ):  # fmt: skip
            try:
                call()
            except (ValueError, TypeError, OverflowError):
                continue


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
