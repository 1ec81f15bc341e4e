"""What the sanitized window features are put through; run by test_windows_sanitized.py.

Arguments: the folder of test_windows.py, the sanitized extension module, the number of rounds.
"""

from __future__ import annotations

import os
import random
import sys

from extension import load

NAME = "baluarte.core._windows"


def main(cases_folder, path, rounds):
    sys.path.insert(0, cases_folder)
    module = load(NAME, path)
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
    odd_specs(module)
    odd_intakes(module, plan_of(text, "c"))
    odd_values()
    print("sanitized: clean", flush=True)
    os._exit(0)  # msgspec 0.20 frees foreign memory when the interpreter ends; that is not ours


def refused(call, *arguments):
    try:
        call(*arguments)
    except (TypeError, ValueError, OverflowError, AttributeError, BufferError):
        return
    raise AssertionError(arguments)


def odd_specs(module):
    def yes(_record, _label):
        return True

    leaf = ("compare", yes, (), "number", "amount", "<", 1.0)
    deep = leaf
    for _ in range(200):
        deep = ("not", yes, (deep,), "label", "", "", 0)
    units = ("units", yes, "amount", 1, None)
    count = ((1, 0, True, (("n", 0, 0, 1, None, 1.0),)),)

    def spec(kinds="s", where=None, sources=(units,), spans=count):
        return (0, 0, 64, None, ((kinds, False, where, sources, spans),))

    module.Spec(*spec(where=leaf))
    for odd in (
        (), (1,), (1, 2, 3, 4, 5), (0, 0, 64, None, ((),)), (0, 0, 64, None, (("x", 1),)),
        (0, 0, 0, None, ()), (0, 0, 64, None, (7,)),
        spec(kinds="x"), spec(kinds="s" * 65), spec(kinds="ss"), spec(kinds="h"),
        spec(sources=()), spec(sources=(units[:4],)), spec(sources=(7,)),
        spec(sources=(("soon", *units[1:]),)), spec(sources=((*units[:3], 0, None),)),
        spec(sources=((*units[:3], 2**70, None),)), spec(sources=((*units[:4], leaf),)),
        spec(sources=(("test", *units[1:]),)), spec(sources=(("test", *units[1:4], ()),)),
        spec(where=7), spec(where=()), spec(where=deep), spec(where=("soon", *leaf[1:])),
        spec(where=("not", yes, (), "label", "", "", 0)),
        spec(where=("any", yes, (7,), "label", "", "", 0)),
        spec(where=("any", yes, (leaf, ("not", yes, (), "", "", "", 0)), "label", "", "", 0)),
        spec(where=(*leaf[:3], "soon", *leaf[4:])), spec(where=(*leaf[:5], "=<", 1.0)),
        spec(where=(*leaf[:6], "one")), spec(where=("among", *leaf[1:])),
        spec(spans=(1,)), spec(spans=((1, 0, True, (("n", 5, 0, 1, None, 1.0),)), 7)),
        spec(spans=((1, 0, True, (("n", 7, 0, 1, None, 1.0),)),)),
        spec(spans=((1, 0, True, (("n", 3, 9, 1, None, 1.0),)),)),
    ):  # fmt: skip
        refused(module.Spec, *odd)


def odd_intakes(module, plan):
    """Arguments of every wrong kind, cells of another plan, a callback that takes all away."""
    from array import array

    from baluarte.core.windows import Seen, Told, WindowCounts

    def yes(_record, _label):
        return True

    spec = plan.groups[0].cells.spec
    leaf = ("compare", yes, (), "number", "amount", "<", 1.0)
    for odd in (
        (), ("at",), ("at", None, 0, 0, 1, (), 7), (7, None, 0, 0, 1, (), ()),
        ("at", None, 0, 0, 1, (7,), ()), ("at", None, 0, 0, 1, (("f",),), ()),
        ("at", None, 0, 0, 1, (("f", ()),), ()), ("at", None, 0, 0, 1, (("f", leaf), ("g", 7)), ()),
        ("at", None, 0, 0, 1, (), (spec,)), ("at", None, 0, 0, 1, (), (("card", spec),)),
        ("at", None, 0, 0, 1, (), (((), spec),)), ("at", None, 0, 0, 1, (), ((("card",), 7),)),
    ):  # fmt: skip
        refused(module.Intake, *odd)
    cells, ids, counts, newest = [{}], {}, WindowCounts(), array("q", (0,))

    def clear(found):
        found.clear()
        cells[0] = {}

    intake = module.Intake("at", 7, 0, 0, 0, (("f", leaf),), ((("card", "shop"), spec),))
    seen = Seen(record={"at": 1, 7: "x", "card": 1, "shop": "a", "amount": 1e300})
    for _ in range(3):
        intake.see([seen], cells, ids, counts, newest, clear)
    full = [{(1, "a"): plan.groups[0].cells.new()}]
    for odd in (
        (), (1, 2, 3, 4, 5, 6), ([1], cells, ids, counts, newest, clear),
        ([Seen(record=[])], cells, ids, counts, newest, clear),
        ([Seen(record={"at": "soon"})], cells, ids, counts, newest, clear),
        ([Seen(record={"at": 2**63})], cells, ids, counts, newest, clear),
        ([Seen(record={"at": 1}, arrived_at="soon")], cells, ids, counts, newest, clear),
        ([Seen(record={"at": 1, "card": [], "shop": 1})], cells, ids, counts, newest, clear),
        ([seen], [], ids, counts, newest, clear), ([seen], [7], ids, counts, newest, clear),
        ([seen], [{(1, "a"): 7}], ids, counts, newest, clear),
        ([seen], [{(1, "a"): plan.groups[1].cells.new()}], ids, counts, newest, clear),
        ([seen], cells, {"x": "soon"}, counts, newest, clear),
        ([seen], full, {}, object(), newest, clear), ([seen], full, {}, counts, b"", clear),
        ([seen], full, {}, counts, array("q"), clear), ([seen], [{}], {}, counts, newest, 7),
    ):  # fmt: skip
        refused(intake.see, *odd)
    record = {"at": 1, "card": 1, "shop": "a"}
    for odd in (
        (), (1, 2, 3, 4), ([1], cells, ids, counts),
        ([Told(event_id="x", record=[], label=1)], cells, {}, counts),
        ([Told(event_id="x", record=record, label=1)], [7], {}, counts),
        ([Told(event_id="x", record=record, label=1)], cells, {"x": 1}, counts),
        ([Told(event_id=[], record=record, label=1)], cells, {}, counts),
        ([Told(event_id="x", record={"at": "soon"}, label=1)], cells, {}, counts),
    ):  # fmt: skip
        refused(intake.learn, *odd)
    cell = plan.groups[0].cells.new()
    for odd in ((), ([], 0, 0, 0), ({}, 0, "x", 0), ({}, None, 2**70, 0)):
        refused(cell.step, *odd)
    for odd in ((), ([], 0, 0, 0), ({}, "x", 0, 0)):
        refused(cell.learn, *odd)


def odd_values():
    from test_windows import odd_outcome

    for seed in range(200):
        assert odd_outcome("c", seed) == odd_outcome("numpy", seed)


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
