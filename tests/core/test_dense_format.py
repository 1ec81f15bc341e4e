"""Kernel machines, networks and stacks as bytes: one canonical form, bounded whatever it says."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from dense_cases import KINDS, dense_draft, random_stack
from program_cases import KERNELS, damaged, mixed_draft, trap_rows
from test_program_format import header_of, with_header

from baluarte.core.program.check import largest_score
from baluarte.core.program.draft import Draft, DraftTrees, Member, add, seal, stack
from baluarte.core.program.draft_dense import background_of
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.program.format import dumps, loads
from baluarte.core.program.model import KernelPart, NetworkPart, StackPart
from baluarte.errors import TrustError


def draft_of(seed, kind):
    rng = np.random.default_rng(seed)
    return dense_draft(rng, kind, others=mixed_draft(rng, n_trees=1, depth=2).parts)


def with_part(program, **changes):
    return replace(program, parts=(replace(program.parts[0], **changes), *program.parts[1:]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_program_with_a_dense_part_reads_back_as_itself(kind):
    for seed in range(20):
        program = seal(draft_of(seed, kind))
        data = dumps(program)
        again = loads(data)
        assert dumps(again) == data
        for part, other in zip(program.parts, again.parts, strict=True):
            for field in fields(part):
                ours, theirs = getattr(part, field.name), getattr(other, field.name)
                if isinstance(ours, np.ndarray):
                    assert ours.dtype == theirs.dtype
                    assert np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f")


def test_the_version_rises_only_where_a_new_kind_is_used():
    old = dumps(seal(mixed_draft(np.random.default_rng(1))))
    new = dumps(seal(draft_of(1, "rbf")))
    assert header_of(old)[0]["version"] == 1
    assert header_of(new)[0]["version"] == 2
    for raw, version in ((old, 2), (new, 1)):
        header, body = header_of(raw)
        header["version"] = version
        with pytest.raises(TrustError, match="expected version"):
            loads(with_header(header, body))


def set_item(name, at, value):
    def change(part):
        array = getattr(part, name).copy()
        array[at] = value
        return {name: array}

    return change


@pytest.mark.parametrize(
    ("kind", "change", "word"),
    [
        ("rbf", set_item("column", 0, 6), "columns"),
        ("rbf", set_item("code", 0, -2), "code"),
        ("rbf", set_item("scale", 0, 0.0), "scale"),
        ("rbf", set_item("center", 0, np.nan), "center: expected finite"),
        ("rbf", set_item("high", 0, -1e300), "low <= high"),
        ("rbf", set_item("low", 0, -1e300), "prepared numbers"),
        ("rbf", set_item("on", 0, 1e100), "prepared numbers"),
        ("rbf", set_item("kernel", 0, 2), "kernel: expected 0 or 1"),
        ("rbf", set_item("kernel", 1, 3), "radial"),
        ("rbf", set_item("kernel", 2, 13), "shift"),
        ("rbf", set_item("coefficient", 0, 0.0), "gamma"),
        ("rbf", set_item("coefficient", 1, -0.0), "radial"),
        ("rbf", set_item("vector", 0, np.inf), "vector"),
        ("rbf", set_item("weight", 0, 1e19), "weight"),
        ("rbf", lambda part: {"vector": part.vector[:-1]}, "vector: expected"),
        ("rbf", lambda part: {"on": part.on[:-1]}, "one length"),
        ("rbf", set_item("sampling", 0, 1), "sampling"),
        ("rbf", set_item("sampling", 1, 0), "sampling"),
        ("rbf", set_item("background", 0, np.inf), "background"),
        ("rbf", lambda part: {"background": part.background[:-1]}, "background: expected"),
        ("polynomial", set_item("kernel", 1, 17), "degree"),
        ("polynomial", set_item("coefficient", 1, 1e300), "coef0"),
        ("polynomial", set_item("coefficient", 0, 1e20), "weight"),
        ("network", set_item("size", -1, 2), "size"),
        ("network", set_item("size", 0, 0), "size"),
        ("network", set_item("activation", 0, 4), "activation"),
        ("network", set_item("bias", 0, np.nan), "bias"),
        ("network", set_item("bias", 0, 1e200), "output"),
        ("network", set_item("output", 0, 1e20), "output"),
        ("network", lambda part: {"bias": part.bias[:-1]}, "biases"),
        ("network", lambda part: {"size": np.ones(17, np.int32)}, "layers"),
        ("stack", set_item("link", 0, 1), "link"),
        ("stack", set_item("weight", 0, np.inf), "weight"),
        ("stack", set_item("weight", 0, 1e19), "weight"),
        ("stack", lambda part: {"members": ()}, "members"),
        ("stack", lambda part: {"members": part.members[:-1]}, "a link and a weight"),
    ],
)
def test_a_damaged_dense_part_is_refused_by_name(kind, change, word):
    seeds = (seed for seed in range(99) if is_rich(seal(draft_of(seed, kind)).parts[0]))
    program = seal(draft_of(next(seeds), kind))
    with pytest.raises(TrustError, match=word):
        loads(dumps(with_part(program, **change(program.parts[0]))))


def is_rich(part):
    """Whether every array has something to damage."""
    arrays = [getattr(part, field.name) for field in fields(part)]
    return all(len(array) for array in arrays) and (
        isinstance(part, StackPart | KernelPart) or len(part.size) > 2
    )


def test_another_pattern_of_nan_in_the_background_is_refused():
    program = seal(draft_of(2, "network"))
    for bits, sound in (
        (0x7FF8000000000000, True),
        (0xFFF8000000000000, False),
        (0x7FF8 << 48 | 1, False),
    ):
        background = program.parts[0].background.copy()
        background.view(np.uint64)[0] = bits
        data = dumps(with_part(program, background=background))
        if sound:
            assert dumps(loads(data)) == data
        else:
            with pytest.raises(TrustError, match="usual pattern"):
                loads(data)


def test_stacks_are_three_deep_and_no_deeper():
    rng = np.random.default_rng(3)
    draft = dense_draft(rng, "network")
    for _ in range(3):
        draft = random_stack(rng, [draft], n_features=6)
    data = dumps(seal(draft))
    assert dumps(loads(data)) == data
    with pytest.raises(ValueError, match="3 deep"):
        seal(random_stack(rng, [draft], n_features=6))


def test_faults_of_a_member_are_named_where_they_are():
    program = seal(draft_of(4, "stack"))
    at = next(i for i, part in enumerate(program.parts) if isinstance(part, StackPart))
    part = program.parts[at]
    bad = replace(part.members[0], scale_bits=60)
    parts = list(program.parts)
    parts[at] = replace(part, members=(bad, *part.members[1:]))
    with pytest.raises(TrustError, match=rf"parts\[{at}\]\.members\[0\]"):
        loads(dumps(replace(program, parts=tuple(parts))))


def test_members_over_other_columns_or_without_finite_weights_do_not_stack():
    rng = np.random.default_rng(5)
    one, other = dense_draft(rng, "rbf", n_features=6), dense_draft(rng, "rbf", n_features=5)
    rows = background_of(np.zeros((4, 6)))

    def member(draft, weight=1.0):
        return Member(draft=draft, weight=weight, link="logistic")

    with pytest.raises(ValueError, match="same columns"):
        stack([member(one), member(other)], base=0.0, background=rows)
    with pytest.raises(ValueError, match="same columns"):
        stack([], base=0.0, background=rows)
    with pytest.raises(ValueError, match="finite weights"):
        stack([member(one, np.inf)], base=0.0, background=rows)


def test_a_stack_is_the_weighted_sum_of_probabilities_and_plain_members_stay_exact():
    rng = np.random.default_rng(6)
    drafts = [mixed_draft(rng) for _ in range(3)]
    links = ("logistic", "identity", "logistic")
    members = [
        Member(draft=draft, weight=weight, link=link)
        for draft, weight, link in zip(drafts, (0.5, 0.2, -1.5), links, strict=True)
    ]
    program = seal(stack(members, base=0.3, background=background_of(np.zeros((4, 6)))))
    X = trap_rows(program, rng, 200)
    expected = np.full(200, 0.3)
    for member in members:
        alone = seal(member.draft)
        margin = Evaluator(alone, kernel=KERNELS[0]).score(X) * 2.0**-alone.scale_bits
        link = 1 / (1 + np.exp(-margin)) if member.link == "logistic" else margin
        expected += member.weight * link
    found = Evaluator(program, kernel=KERNELS[0]).score(X) * 2.0**-program.scale_bits
    assert np.abs(found - expected).max() < 1e-9
    kinds = [type(part).__name__ for part in program.parts]
    assert kinds == ["StackPart", "TreePart", "TreePart", "TreePart", "LinearPart"]
    assert isinstance(stack(members[1:2], base=0.0, background=X).parts[0], DraftTrees)


@pytest.mark.parametrize("kind", KINDS)
def test_a_weighted_sum_of_dense_drafts_scores_as_the_weighted_sum(kind):
    drafts = [draft_of(7, kind), draft_of(8, "network")]
    programs = [seal(draft) for draft in drafts]
    blend = seal(add([(0.5, drafts[0]), (-2.0, drafts[1])]))
    X = trap_rows(blend, np.random.default_rng(9), 100)
    margins = [
        Evaluator(p, kernel=KERNELS[0]).score(X) * 2.0**-p.scale_bits for p in (*programs, blend)
    ]
    size = max(1.0, *(largest_score(p) * 2.0**-p.scale_bits for p in programs))
    assert np.abs(margins[2] - (0.5 * margins[0] - 2.0 * margins[1])).max() < 1e-13 * size + 1e-9


def test_a_part_too_slow_for_its_background_loses_rows_of_it_and_is_refused_otherwise():
    rng = np.random.default_rng(10)
    part, n = dense_draft(rng, "rbf").parts[0], 3000
    ones = {name: np.ones(n) for name in ("scale", "high", "missing")}
    zeros = {name: np.zeros(n) for name in ("center", "low")}
    flags = {name: getattr(part.inputs, name)[:0] for name in ("flag_column", "code", "on", "off")}
    large = replace(
        part,
        inputs=replace(part.inputs, column=np.arange(n, dtype=np.int32), **ones, **zeros, **flags),
        vector=np.zeros((500, n)),
        weight=np.full(500, 1e-3),
        background=np.zeros((64, n)),
    )
    program = seal(Draft(n_features=n, base=0.0, parts=(large,)))
    kept = int(program.parts[0].sampling[0])
    assert 2 <= kept < 64
    more = {"sampling": np.array([64, 1], np.int32), "background": np.zeros(64 * n)}
    with pytest.raises(TrustError, match="operations for a row's reasons"):
        loads(dumps(with_part(program, **more)))


def refused_or_scored(program, rng):
    data = dumps(program)
    try:
        loaded = loads(data)
    except TrustError:
        return True
    assert dumps(loaded) == data
    if loaded.n_features < 100:
        X = trap_rows(loaded, rng, 5)
        scores = [Evaluator(loaded, kernel=kernel).score(X) for kernel in KERNELS]
        assert np.array_equal(scores[0], scores[-1])
        if rng.random() < 0.05:
            base, reasons = Evaluator(loaded, kernel=KERNELS[0]).reasons(X)
            assert (base + reasons.sum(axis=1) == scores[0]).all()
    return False


@pytest.mark.parametrize("kind", KINDS)
def test_structure_aware_damages_of_dense_parts_are_refused_or_scored(kind):
    rng = np.random.default_rng(11)
    whole = [seal(draft_of(seed, kind)) for seed in range(12, 17)]
    refused = sum(refused_or_scored(damaged(whole[i % 5], rng), rng) for i in range(120))
    assert 30 < refused < 120


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_many_more_damages_of_dense_parts_are_refused_or_scored(kind):
    rng = np.random.default_rng(12)
    whole = [seal(draft_of(seed, kind)) for seed in range(20, 25)]
    refused = sum(refused_or_scored(damaged(whole[i % 5], rng), rng) for i in range(20_000))
    assert 5_000 < refused < 20_000


def test_lying_headers_of_dense_programs_are_refused_or_read():
    rng = np.random.default_rng(13)
    header, body = header_of(dumps(seal(draft_of(14, "stack"))))
    numbers = [0, 1, 2, 5, 63, 64, 65, 128, 1 << 20, 1 << 31, 1 << 40, 1 << 62, -1, -64]
    for _ in range(200):
        lying = json.loads(json.dumps(header))
        part = lying["parts"][int(rng.integers(len(lying["parts"])))]
        name = list(part["arrays"])[int(rng.integers(len(part["arrays"])))]
        choice = int(rng.integers(4))
        if choice == 0:
            part["arrays"][name]["offset"] = int(rng.choice(numbers))
        elif choice == 1:
            part["arrays"][name]["shape"] = [int(rng.choice(numbers))]
        elif choice == 2:
            part["kind"] = str(rng.choice(["kernel", "network", "stack", "trees", "linear"]))
        else:
            part["arrays"]["member9"] = part["arrays"].pop(name)
        raw = with_header(lying, body)
        try:
            program = loads(raw)
        except TrustError:
            continue
        assert dumps(program) == raw


def test_any_one_changed_byte_of_a_stack_is_refused_or_gives_another_canonical_program():
    data = dumps(seal(draft_of(15, "stack")))
    rng = np.random.default_rng(16)
    for at in rng.integers(0, len(data), 80):
        raw = bytearray(data)
        raw[at] ^= int(rng.integers(1, 256))
        try:
            program = loads(bytes(raw))
        except TrustError:
            continue
        assert dumps(program) == bytes(raw)


def test_the_scale_of_a_network_is_the_finest_at_which_its_largest_value_fits():
    for seed in range(20):
        program = seal(draft_of(seed, "network"))
        assert isinstance(program.parts[0], NetworkPart)
        size = largest_score(program)
        assert size <= 2**50 + 4
        assert program.scale_bits == 40 or size > 2**49 - 4
