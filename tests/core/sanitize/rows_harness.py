"""What the sanitized reader of rows is put through; run by test_kernel_sanitized.py.

Arguments: the folder of rows_case.py, the sanitized extension module, the number of rounds.
"""

from __future__ import annotations

import json
import os
import random
import sys

import msgspec
from extension import load

NAME = "baluarte.core._rows"


VALUES = (0, 1, -3, 2**53, 2**53 + 1, -(2**90), 0.5, -0.0, 3.0, 1e300, float("inf"), float("nan"),
          True, None, "", "a", "é" * 600, "a\0b", "\ud800", "10.0.0.1", "2026-07-31", [], {}, b"x",
          object())  # fmt: skip


PLAIN = {
    "number": (0, 1.5, -2.25, 1e-9, 123456789012345.678), "integer": (0, 7, -3), "text": ("a", ""),
    "category": ("http", "b"), "boolean": (True, False), "ip": ("10.0.0.1",),
    "time": ("2026-07-31", 5),
}  # fmt: skip


def main(cases_folder, path, rounds):
    sys.path.insert(0, cases_folder)
    module = load(NAME, path)
    from rows_case import SCHEMA

    from baluarte.core.encode import Encoder, EncoderTables, FieldEncoding
    from baluarte.core.plain_rows import plain_reader
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
    bare = msgspec.structs.replace(SCHEMA, fields=tuple(given))
    plain = plain_reader(
        bare,
        Encoder(
            EncoderTables(
                fields=tuple(
                    f for f in encoder.tables.fields if f.field in {one.name for one in given}
                )
            )
        ),
    )
    n_plain = 0
    for _ in range(rounds * 2_000):
        event = {"amount": 1.5}
        for field in given:
            at = event
            for key in field.keys[:-1]:
                at = at.setdefault(key, {})
            if draw.random() < 0.6 and isinstance(at, dict):
                odd = draw.random() < 0.05
                at[field.keys[-1]] = draw.choice(VALUES[:-2] if odd else PLAIN[field.type])
        text = bytearray(json.dumps(event).encode("utf-8", "surrogatepass"))
        for _ in range(draw.choice((0, 0, 1, 3))):
            text[draw.randrange(len(text))] = draw.randrange(256)
        module.scan(bytes(text))
        module.scan(bytes(text[: draw.randrange(len(text))]))
        cut = bytes(text[: draw.randrange(len(text))])
        n_plain += len(plain.read([bytes(text), cut], max_depth=16).which)
        found = reader.read(bytes(text), max_depth=16)
        rows = found[0] if found else [{"amount": 1.0, "service": draw.choice(VALUES[:14])}]
        try:
            encoder.encode_rows(rows)
        except (ValueError, TypeError, OverflowError, DataError):
            continue
    assert n_plain > rounds * 100, n_plain
    hostile(module, draw, rounds)
    hostile_plans(module, draw, rounds)
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


NUMERALS = ("0", "-0", "1", "12.5", "-0.25", "1e5", "9007199254740993", "1" * 70, "0." + "1" * 70,
            "0.00001", "1.0", "4503599627370496.5", "-", "1.", "1e", "null", "true", "nul", '"a"',
            '"é"', '"', "{}", '{"b":1}', "[", "")  # fmt: skip


def hostile_plans(module, draw, rounds):
    """Plans and texts of any shape are refused or read within their bounds."""
    import numpy as np

    texts = []

    def convert(value):
        if draw.random() < 0.1 and texts:
            texts.clear()  # a converter may do that
        if draw.random() < 0.2:
            raise draw.choice((ValueError, OverflowError))
        return draw.choice((None, value, 1, "x", float("nan"), b"no"))

    def part(value, out):
        out.extend([draw.choice((1, 2.5, float("nan"), "x"))] * draw.choice((0, 1, 1, 2)))

    def encode(value):
        return draw.choice((b"1", b"", b"x" * 99, b"1", b"1", "no"))

    for _ in range(rounds * 1_000):
        n = draw.randrange(4)
        kinds = (0, 1, 2, 3, 4, 5, 65, 69)
        fields = tuple((b'"f":', draw.choice(kinds), convert) for _ in range(n))
        targets = [*range(n)] + [-2] * (n > 1)
        if draw.random() < 0.1:
            targets += [9, -1, -9]
        objects = (
            tuple((b"abc"[i : i + 1], draw.choice(targets)) for i in range(n)),
            tuple((b"ab"[i : i + 1], draw.choice(range(n))) for i in range(2 * (n > 0))),
        )
        parts = (None, ({"a": 1.0}, 2.0), ({}, 0.5), part, 7, (1,))
        columns = tuple(
            (
                draw.choice((n, -1)) if draw.random() < 0.05 else draw.randrange(n),
                draw.choice(parts),
                draw.choice((1, 1, 1, 2, 0)),
            )
            for _ in range(draw.randrange(4) * (n > 0))
        )
        texts.clear()
        for _ in range(draw.randrange(4)):
            pairs = [
                f'"{draw.choice("abc")}":{draw.choice(NUMERALS)}' for _ in range(draw.randrange(3))
            ]
            texts.append(("{" + ",".join(pairs) + draw.choice(("}", "}", "}", "", " } "))).encode())
        try:
            plan = module.plan(
                fields, objects, columns, encode, draw.choice((-1, 0, n)), draw.choice((-1, -1, n))
            )
            width = sum(one[2] for one in columns) + (draw.random() < 0.1)
            module.read(plan, texts, np.zeros((len(texts), width)))
            module.read(plan, [b"{}", 1], np.zeros((2, width)))
        except (ValueError, TypeError, OverflowError, IndexError):
            continue


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
