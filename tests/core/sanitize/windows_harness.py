"""What the sanitized window features are put through; run by test_windows_sanitized.py.

Arguments: the folder of test_windows.py, the sanitized extension module, the number of rounds.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import random
import sys

NAME = "baluarte.core._windows"


def load(path):
    loader = importlib.machinery.ExtensionFileLoader(NAME, path)
    spec = importlib.util.spec_from_file_location(NAME, path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    sys.modules[NAME] = module
    return module


def main(cases_folder, path, rounds):
    sys.path.insert(0, cases_folder)
    module = load(path)
    import msgspec
    from test_windows import CONTRACT, history_of, plan_of

    from baluarte.core.windows import Seen, WindowMemory

    assert module.__file__ == path
    text = CONTRACT.replace("window_s = 60", "window_s = 4000")
    for seed in range(rounds):
        states = [WindowMemory(plan_of(text, kernel)) for kernel in ("c", "numpy")]
        runs = [history_of(random.Random(seed), 400) for _ in states]
        for ours, theirs in zip(*runs, strict=True):
            for state, one in zip(states, (ours, theirs), strict=True):
                state.see([one]) if isinstance(one, Seen) else state.learn([one])
            assert ours == theirs
        rows = [msgspec.msgpack.encode(row) for row in states[0].dump()]
        assert rows == [msgspec.msgpack.encode(row) for row in states[1].dump()]
        damage(rows, random.Random(seed), plan_of(text, "c"))
    for odd in ((), (1,), (1, 2, 3, 4, 5), (0, 0, 64, None, ((),)), (0, 0, 64, None, (("x", ()),)),
                (0, 0, 64, None, (("s", ((1, 0, True, (("n", 5, 0, 1, None, 1.0),)),)),)),
                (0, 0, 64, None, (("s", ((1, 0, True, (("n", 7, 0, 1, None, 1.0),)),)),)),
                (0, 0, 64, None, (("s", ((1, 0, True, (("n", 3, 9, 1, None, 1.0),)),)),)),
                ):  # fmt: skip
        try:
            module.Spec(*odd)
        except (TypeError, ValueError):
            continue
        raise AssertionError(odd)
    print("sanitized: clean", flush=True)
    os._exit(0)  # msgspec 0.20 frees foreign memory when the interpreter ends; that is not ours


def damage(rows, draw, plan):
    """Cells of a damaged snapshot are refused, or go on without reading what isn't theirs."""
    import msgspec

    from baluarte.core.windows import Seen, WindowMemory

    for _ in range(40):
        cut = list(rows)
        i = draw.randrange(1, len(cut))
        broken = bytearray(cut[i])
        for _ in range(draw.choice((1, 1, 4))):
            broken[draw.randrange(len(broken))] = draw.randrange(256)
        cut[i] = bytes(broken)
        try:
            state = WindowMemory.load(plan, map(msgspec.msgpack.decode, cut))
        except (ValueError, TypeError, IndexError, OverflowError, KeyError, msgspec.MsgspecError):
            continue
        for n in range(5):
            record = {"id": f"x{n}", "at": 10**9 * n, "card": 1, "shop": "a", "amount": 2.5}
            state.see([Seen(record=record)])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
