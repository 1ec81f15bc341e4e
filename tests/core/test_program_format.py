"""baluarte.core.program.format: one canonical form, and nothing else is ever evaluated."""

from __future__ import annotations

import contextlib
import json
import mmap
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program_cases import KERNELS, damaged, mixed_draft, random_trees, trap_rows

from baluarte.core.program.check import MAX_SUM, faults
from baluarte.core.program.draft import Draft, DraftTrees, seal
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.program.format import MAGIC, dumps, loads
from baluarte.core.program.model import Program, StackPart, TreePart, columns_read
from baluarte.errors import TrustError

seeds = st.integers(0, 2**32 - 1)


def program_of(seed, **kwargs):
    return seal(mixed_draft(np.random.default_rng(seed), **kwargs))


def with_part(program, at, **changes):
    parts = list(program.parts)
    parts[at] = replace(parts[at], **changes)
    return replace(program, parts=tuple(parts))


@settings(deadline=None)
@given(seed=seeds, n_trees=st.integers(0, 4), depth=st.integers(0, 6))
def test_a_program_reads_back_as_itself(seed, n_trees, depth):
    program = program_of(seed, n_trees=n_trees, depth=depth)
    data = dumps(program)
    again = loads(data)
    assert dumps(again) == data
    assert (again.n_features, again.scale_bits, again.base) == (
        program.n_features,
        program.scale_bits,
        program.base,
    )
    for part, other in zip(program.parts, again.parts, strict=True):
        for field in fields(part):
            ours, theirs = getattr(part, field.name), getattr(other, field.name)
            assert np.array_equal(ours, theirs)
            assert field.name == "rule" or (ours.dtype == theirs.dtype)


def test_arrays_of_a_loaded_program_are_read_only_views():
    data = dumps(program_of(1))
    part = loads(data).parts[0]
    assert isinstance(part, TreePart)
    assert not part.leaf.flags.writeable
    assert np.shares_memory(part.leaf, np.frombuffer(data, np.uint8))


def test_a_mapped_program_is_not_copied_and_scores(tmp_path):
    program = program_of(3)
    path = tmp_path / "program.bin"
    path.write_bytes(dumps(program))
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    read = loads(memoryview(mapped))
    for part in read.parts:
        for field in fields(part):
            array = getattr(part, field.name)
            if isinstance(array, np.ndarray) and array.size:
                assert np.shares_memory(array, np.frombuffer(mapped, np.uint8))
    X = trap_rows(program, np.random.default_rng(3), 50)
    for kernel in KERNELS:
        expected = Evaluator(program, kernel=kernel)
        found = Evaluator(read, kernel=kernel)
        assert np.array_equal(found.score(X), expected.score(X))
        assert np.array_equal(found.reasons(X)[1], expected.reasons(X)[1])


def test_a_program_loads_from_any_buffer_at_any_address():
    data = dumps(program_of(2))
    for shift in range(9):
        held = bytearray(shift) + data
        assert dumps(loads(memoryview(held)[shift:])) == data


@settings(deadline=None)
@given(seed=seeds, data=st.data())
def test_any_one_changed_byte_is_refused_or_gives_another_canonical_program(seed, data):
    raw = bytearray(dumps(program_of(seed, n_trees=1, depth=3)))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    try:
        program = loads(bytes(raw))
    except TrustError:
        return
    assert dumps(program) == bytes(raw)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_refused(data):
    for prefix in (b"", MAGIC, MAGIC + (20).to_bytes(4, "little")):
        with pytest.raises(TrustError):
            loads(prefix + data)


@settings(deadline=None)
@given(seed=seeds, data=st.data())
def test_a_program_cut_short_or_grown_is_refused(seed, data):
    raw = dumps(program_of(seed, n_trees=1, depth=3))
    for changed in (raw[: data.draw(st.integers(0, len(raw) - 1))], raw + b"\0", raw + bytes(64)):
        with pytest.raises(TrustError):
            loads(changed)


def header_of(raw):
    first = len(MAGIC) + 4
    length = int.from_bytes(raw[len(MAGIC) : first], "little")
    return json.loads(raw[first : first + length]), raw[-(-(first + length) // 64) * 64 :]


def with_header(header, body, **how):
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), **how).encode()
    head = MAGIC + len(text).to_bytes(4, "little") + text
    return head + bytes(-len(head) % 64) + body


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.update(version=2),
        lambda header: header.update(n_features=1),
        lambda header: header.update(n_features=1 << 30),
        lambda header: header.update(scale_bits=53),
        lambda header: header.update(base=1 << 61),
        lambda header: header.update(base=0.5),
        lambda header: header.update(extra=1),
        lambda header: header.pop("base"),
        lambda header: header["parts"][0].update(rule="catboost"),
        lambda header: header["parts"][0].update(rule=None),
        lambda header: header["parts"][0].update(kind="linear"),
        lambda header: header["parts"][0]["arrays"].pop("leaf"),
        lambda header: header["parts"][0]["arrays"]["leaf"].update(shape=[1 << 40]),
        lambda header: header["parts"][0]["arrays"]["leaf"].update(shape=[-1]),
        lambda header: header["parts"][0]["arrays"]["leaf"].update(offset=0),
        lambda header: header["parts"][0]["arrays"]["leaf"].update(offset=1 << 60),
        lambda header: header["parts"][0]["arrays"]["leaf"].update(dtype="<f8"),
        lambda header: header["parts"][0]["arrays"]["leaf"].update(dtype="|O"),
        lambda header: header.update(parts=header["parts"] * 40),
    ],
)
def test_a_header_that_lies_is_refused(change):
    header, body = header_of(dumps(program_of(3)))
    change(header)
    with pytest.raises(TrustError):
        loads(with_header(header, body))


def test_a_header_in_another_notation_is_refused():
    header, body = header_of(dumps(program_of(4)))
    assert loads(with_header(header, body))
    text = json.dumps(header, sort_keys=True).encode()
    head = MAGIC + len(text).to_bytes(4, "little") + text
    with pytest.raises(TrustError, match="canonical"):
        loads(head + bytes(-len(head) % 64) + body)


def test_bytes_hidden_between_arrays_are_refused():
    raw = bytearray(dumps(program_of(5, n_trees=1, depth=2)))
    header, body = header_of(bytes(raw))
    arrays = header["parts"][0]["arrays"].values()
    ends = [a["offset"] + a["shape"][0] * int(a["dtype"][-1]) for a in arrays]
    gap = next(end for end in ends if end % 64)
    raw[len(raw) - len(body) + gap] = 1
    with pytest.raises(TrustError, match="zeros"):
        loads(bytes(raw))


def chain(depth):
    """One tree that is a path: node i's right child is node i + 1."""
    at = np.arange(depth)
    return TreePart(
        rule="sklearn",
        root=np.zeros(1, np.int32),
        feature=np.zeros(depth, np.int32),
        threshold=np.zeros(depth),
        left=(~at).astype(np.int32),
        right=np.append(at[1:], ~depth).astype(np.int32),
        flags=np.zeros(depth, np.uint8),
        set_index=np.full(depth, -1, np.int32),
        set_start=np.zeros(1, np.int32),
        set_bits=np.zeros(0, np.uint32),
        leaf=np.ones(depth + 1, np.int64),
        node_cover=np.ones(depth),
        leaf_cover=np.ones(depth + 1),
    )


def test_the_deepest_tree_allowed_is_scored_and_one_node_more_is_refused():
    program = Program(n_features=1, scale_bits=0, base=0, parts=(chain(1024),))
    loaded = loads(dumps(program))
    for kernel in KERNELS:
        assert Evaluator(loaded, kernel=kernel).score(np.ones((9, 1))).tolist() == [1] * 9
    deeper = replace(program, parts=(chain(1025),))
    with pytest.raises(TrustError, match="deeper than 1024"):
        loads(dumps(deeper))


def set_item(name, at, value):
    def change(part):
        array = getattr(part, name).copy()
        array[at] = value
        return {name: array}

    return change


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (set_item("left", 0, 0), "not after it"),
        (set_item("right", 0, 1 << 20), "references"),
        (set_item("left", -1, -1), "parents"),
        (set_item("root", 0, -1), "parents"),
        (set_item("threshold", 0, np.nan), "NaN"),
        (set_item("feature", 0, 6), "columns"),
        (set_item("feature", 0, -1), "columns"),
        (set_item("flags", 0, 6), "flags"),
        (set_item("flags", 0, 255), "flags"),
        (set_item("set_index", 0, 1 << 20), "set_index"),
        (set_item("set_start", -1, 1 << 20), "set_start"),
        (set_item("node_cover", 0, 0.0), "node_cover"),
        (set_item("leaf_cover", 0, np.inf), "leaf_cover"),
        (set_item("leaf", 0, MAX_SUM + 1), "leaf"),
        (set_item("leaf", 0, np.iinfo(np.int64).min), "leaf"),
        (lambda part: {"leaf": part.leaf[:-1]}, "one length"),
        (lambda part: {"threshold": part.threshold[:-1]}, "one length"),
    ],
)
def test_a_damaged_ensemble_is_refused_by_name(change, word):
    program = program_of(6, n_trees=3, depth=5)
    with pytest.raises(TrustError, match=word):
        loads(dumps(with_part(program, 0, **change(program.parts[0]))))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (set_item("column", 0, 6), "columns"),
        (set_item("scale", 0, 0.0), "scale"),
        (set_item("scale", 0, np.nan), "scale"),
        (set_item("low", 0, 1e9), "low <= high"),
        (set_item("low", 0, -np.inf), "low: expected finite"),
        (set_item("high", 0, np.inf), "high: expected finite"),
        (set_item("weight", 0, 1e300), "weight"),
        (set_item("missing", 0, MAX_SUM + 1), "missing"),
        (set_item("table_other", 0, -MAX_SUM - 1), "table_other"),
        (set_item("table_start", 1, -5), "table_start"),
        (set_item("cut_start", -1, 1 << 30), "cut_start"),
        (lambda part: {"cut": part.cut[::-1].copy()}, "ascending"),
        (lambda part: {"mean": part.mean[:-1]}, "one length"),
    ],
)
def test_a_damaged_linear_part_is_refused_by_name(change, word):
    program = program_of(8)
    with pytest.raises(TrustError, match=word):
        loads(dumps(with_part(program, 3, **change(program.parts[3]))))


def test_terms_that_together_could_overflow_are_refused():
    program = program_of(7)
    part = program.parts[0]
    huge = with_part(program, 0, leaf=np.full_like(part.leaf, MAX_SUM // 2))
    assert len(part.root) > 2
    with pytest.raises(TrustError, match="sum of largest terms"):
        loads(dumps(huge))


def test_all_faults_are_reported_at_once():
    program = program_of(8)
    part = program.parts[0]
    bad = with_part(program, 0, **set_item("node_cover", 0, -1.0)(part))
    bad = with_part(bad, 3, **set_item("scale", 0, -1.0)(bad.parts[3]))
    assert [fault.where for fault in faults(bad)] == ["program.parts[0]", "program.parts[3]"]


def refused_or_scored(program, rng):
    """True where the loader refuses; otherwise scores and reasons are computed and add up."""
    data = dumps(program)
    try:
        loaded = loads(data)
    except TrustError:
        return True
    assert dumps(loaded) == data
    if loaded.n_features < 100:
        X = trap_rows(loaded, rng, 5)
        evaluator = Evaluator(loaded, kernel=KERNELS[0])
        scores = evaluator.score(X)
        if rng.random() < 0.2:
            base, reasons = evaluator.reasons(X)
            assert (base + reasons.sum(axis=1) == scores).all()
    return False


def test_twenty_thousand_structure_aware_damages_are_refused_or_scored():
    rng = np.random.default_rng(9)
    whole = [program_of(seed, n_trees=2, depth=3) for seed in range(5)]
    single = [replace(program, parts=(part,)) for program in whole for part in program.parts]
    refused = sum(refused_or_scored(damaged(single[i % 20], rng), rng) for i in range(20_000))
    assert 10_000 < refused < 20_000


def test_a_thousand_lying_headers_are_refused_or_scored():
    rng = np.random.default_rng(10)
    header, body = header_of(dumps(program_of(11, n_trees=2, depth=3)))
    numbers = [0, 1, 2, 5, 63, 64, 65, 128, 1 << 20, 1 << 31, 1 << 40, 1 << 62, -1, -64]
    for _ in range(1000):
        lying = json.loads(json.dumps(header))
        part = lying["parts"][int(rng.integers(len(lying["parts"])))]
        name = list(part["arrays"])[int(rng.integers(len(part["arrays"])))]
        number = int(rng.choice(numbers))
        place = int(rng.integers(3))
        if place == 0:
            part["arrays"][name]["offset"] = number
        elif place == 1:
            part["arrays"][name]["shape"] = [number]
        else:
            lying[str(rng.choice(["n_features", "base", "scale_bits", "version"]))] = number
        raw = with_header(lying, body)
        with contextlib.suppress(TrustError):
            assert dumps(loads(raw)) == raw


def test_equal_models_numbered_otherwise_have_equal_bytes():
    rng = np.random.default_rng(12)
    draft = random_trees(rng, "lightgbm", n_trees=4, depth=4, n_features=3)
    n_leaves = len(draft.leaf)
    other = replace(  # leaves numbered backwards
        draft,
        root=np.where(draft.root < 0, ~(n_leaves - 1 - ~draft.root), draft.root).astype(np.int32),
        left=np.where(draft.left < 0, ~(n_leaves - 1 - ~draft.left), draft.left).astype(np.int32),
        right=np.where(draft.right < 0, ~(n_leaves - 1 - ~draft.right), draft.right).astype(
            np.int32
        ),
        leaf=draft.leaf[::-1].copy(),
        leaf_cover=draft.leaf_cover[::-1].copy(),
    )
    first, second = (seal(Draft(n_features=3, base=1.0, parts=(part,))) for part in (draft, other))
    assert dumps(first) == dumps(second)


def test_trees_too_deep_for_so_many_columns_are_refused():
    """Running totals of a row's reasons are columns x quadrature nodes: 512 MiB here."""
    rng = np.random.default_rng(40)
    chain = random_chain(130)
    found = faults(replace(seal(chain), n_features=1 << 20))
    assert any("too deep for so many columns" in fault.message for fault in found)
    assert not faults(replace(seal(chain), n_features=1 << 18))
    X = rng.normal(size=(70, 3000))
    wide = replace(seal(chain), n_features=3000)
    answers = [Evaluator(wide, kernel=kernel).reasons(X) for kernel in KERNELS]
    assert np.array_equal(answers[0][1], answers[-1][1])


def random_chain(d):
    """One leaf behind d columns, so d / 2 quadrature nodes."""
    at = np.arange(d)
    return Draft(
        n_features=d,
        base=0.0,
        parts=(
            DraftTrees(
                rule="sklearn",
                root=np.zeros(1, np.int32),
                feature=at.astype(np.int32),
                threshold=np.zeros(d),
                left=np.append(at[1:], ~d).astype(np.int32),
                right=(~at).astype(np.int32),
                flags=np.zeros(d, np.uint8),
                set_index=np.full(d, -1, np.int32),
                set_start=np.zeros(1, np.int32),
                set_bits=np.zeros(0, np.uint32),
                leaf=np.append(np.zeros(d), 1.0),
                node_cover=np.full(d, 2.0),
                leaf_cover=np.ones(d + 1),
            ),
        ),
    )


def test_more_columns_times_parts_than_can_be_made_ready_soon_are_refused():
    empty = seal(Draft(n_features=1, base=0.0, parts=()))
    linear = program_of(41, n_trees=0).parts[-1]
    many = replace(empty, n_features=1 << 20, parts=(linear,) * 60)
    assert not faults(many)
    inner = StackPart(
        link=np.zeros(5, np.int32),
        weight=np.ones(5),
        sampling=np.array([2, 1], np.int32),
        background=np.zeros(2 * len(columns_read(linear))),
        members=(many,) * 5,
    )
    found = faults(replace(many, parts=(inner,)))
    assert any("columns x parts" in fault.message for fault in found)
