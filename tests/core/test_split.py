"""baluarte.core.split: no row does two things, and no duplicate or entity stands on two sides."""

from __future__ import annotations

import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from baluarte.core.contract import (
    Band,
    Budget,
    Contract,
    Label,
    Learner,
    Objective,
    Points,
    SplitRules,
)
from baluarte.core.event import Events
from baluarte.core.schema import Field, Role, Schema
from baluarte.core.shares import HELD_OUT, solve_shares
from baluarte.core.split import Part, Split, fold_keys, folds_of, split_rows
from baluarte.errors import DataError

HELD = (Part.TUNE, Part.CALIBRATE, Part.THRESHOLD, Part.PROOF)


def contract(
    *roles: tuple[str, Role],
    max_fpr: float = 0.05,
    min_recall: float | None = None,
    min_precision: float | None = None,
) -> Contract:
    kinds = {"time": "time", "entity": "category"}
    budget = Budget(kind="max_fpr", value=max_fpr)
    if min_precision is not None:
        budget = Budget(kind="min_precision", value=min_precision)
    return Contract(
        name="split",
        purpose="",
        owner="",
        events=Schema(
            fields=(
                Field(name="id", type="text", role="id"),
                Field(name="x", type="number"),
                *(Field(name=name, type=kinds[role], role=role) for name, role in roles),  # type: ignore[arg-type]
            )
        ),
        label=Label(field="y", positive=("1",)),
        objective=Objective(budget=budget, min_recall=min_recall),
        bands=(Band(name="pass"), Band(name="alert", budget=budget)),
        points=Points(),
        learner=Learner(),
        gates=(),
    )


def rows(n: int, *, seed: int = 0, values: int | None = None, **columns: np.ndarray) -> Events:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n) if values is None else rng.integers(0, values, n).astype(np.float64)
    ids = np.array([str(i) for i in range(n)], dtype=object)
    return Events(n=n, columns={"id": ids, "x": x} | columns)


def labels(n: int, *, share: float = 0.2, seed: int = 1) -> np.ndarray:
    return (np.random.default_rng(seed).random(n) < share).astype(np.int8)


def sides(split: Split, of: np.ndarray) -> dict[object, set[int]]:
    found: dict[object, set[int]] = {}
    for value, part in zip(of.tolist(), split.parts.tolist(), strict=True):
        found.setdefault(value, set()).add(part)
    return found


@settings(deadline=None, max_examples=60)
@given(n=st.integers(1, 400), values=st.integers(1, 300), seed=st.integers(0, 99))
def test_duplicates_never_straddle_and_every_row_has_one_part(
    n: int, values: int, seed: int
) -> None:
    events = rows(n, seed=seed, values=values)
    split = split_rows(contract(), events, labels(n, seed=seed))
    assert all(len(parts) == 1 for parts in sides(split, events.columns["x"]).values())
    assert sum(sum(counts) for counts in split.evidence.counts.values()) == n


@settings(deadline=None, max_examples=40)
@given(n=st.integers(2, 300), seed=st.integers(0, 99))
def test_the_order_of_the_rows_changes_nothing(n: int, seed: int) -> None:
    events, y = rows(n, seed=seed, values=200), labels(n, seed=seed)
    order = np.random.default_rng(seed).permutation(n)
    one, two = (split_rows(contract(), *pair) for pair in (
        (events, y), (events.take(order), y[order]),
    ))  # fmt: skip
    np.testing.assert_array_equal(two.parts, one.parts[order])
    assert two.evidence.holdout == one.evidence.holdout


@settings(deadline=None, max_examples=40)
@given(n=st.integers(2, 400), entities=st.integers(1, 80), seed=st.integers(0, 99))
def test_no_entity_stands_on_two_sides(n: int, entities: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    card = np.array([f"c{i}" for i in rng.integers(0, entities, n)], dtype=object)
    split = split_rows(contract(("card", "entity")), rows(n, card=card), labels(n, seed=seed))
    assert split.evidence.how == "entity"
    assert all(len(parts) == 1 for parts in sides(split, card).values())
    assert split.evidence.entities_on_two_sides == 0


@settings(deadline=None, max_examples=40)
@given(n=st.integers(3, 400), instants=st.integers(2, 200), seed=st.integers(0, 99))
def test_by_time_the_oldest_fit_the_newest_prove_and_an_instant_stays_whole(
    n: int, instants: int, seed: int
) -> None:
    at = np.random.default_rng(seed).integers(0, instants, n).astype(np.float64)
    at[:2] = 0.0, float(instants)
    split = split_rows(contract(("at", "time")), rows(n, at=at), labels(n, seed=seed))
    assert split.evidence.how == "time"
    present = [part for part in (Part.FIT, *HELD) if (split.parts == part).any()]
    for earlier, later in itertools.pairwise(present):
        assert at[split.parts == earlier].max() < at[split.parts == later].min()


def test_a_time_that_never_moves_orders_nothing() -> None:
    events = rows(200, at=np.zeros(200))
    assert split_rows(contract(("at", "time")), events, labels(200)).evidence.how == "stratum"


def test_every_part_has_the_natural_mix_of_classes_where_thresholds_ask_for_attacks() -> None:
    n = 40_000
    split = split_rows(contract(min_precision=0.9), rows(n), labels(n, share=0.05))
    for part in (Part.FIT, *HELD):
        negatives, positives = split.evidence.counts[part.name.lower()]
        assert positives / (positives + negatives) == pytest.approx(0.05, rel=0.1)


def test_attacks_that_no_threshold_asks_for_fit_and_the_other_rows_stay_where_they_were() -> None:
    n, y = 40_000, labels(40_000, share=0.05)
    events = rows(n, values=200_000)
    whole = split_rows(contract(min_precision=0.9), events, y)
    counted = split_rows(contract(max_fpr=0.01), events, y)
    assert whole.evidence.attacks_fit is UNSET
    assert counted.evidence.attacks_fit is True
    moved = whole.parts != counted.parts
    assert moved.sum() > 50
    assert (y[moved] == 1).all()
    assert set(counted.parts[moved].tolist()) == {Part.FIT}
    assert set(whole.parts[moved].tolist()) == {Part.THRESHOLD}
    # An attack that is like another row is still among those that set the threshold: whether a
    # row sets it must not hang on what its like turned out to be.
    assert counted.evidence.counts["threshold"][1] > 0


def test_rows_without_a_label_do_nothing() -> None:
    y = labels(1_000)
    y[::4] = -1
    split = split_rows(contract(), rows(1_000), y)
    assert (split.parts[::4] == Part.UNUSED).all()
    assert not (np.delete(split.parts, np.arange(0, 1_000, 4)) == Part.UNUSED).any()


def test_old_rows_only_fit_and_none_repeats_a_held_out_one() -> None:
    events, y = rows(3_000, values=1_500), labels(3_000)
    split = split_rows(contract(), events, y, n_old=1_000)
    assert set(split.parts[:1_000].tolist()) == {Part.FIT, Part.UNUSED}
    held = np.isin(split.parts, HELD)
    fit = split.parts == Part.FIT
    assert not set(events.columns["x"][held].tolist()) & set(events.columns["x"][fit].tolist())


def test_proof_events_of_their_own_prove_and_nothing_else_does() -> None:
    events, y = rows(3_000, values=1_500), labels(3_000)
    y[-5] = -1
    split = split_rows(contract(), events, y, n_apart=1_000)
    assert set(split.parts[-1_000:].tolist()) == {Part.PROOF, Part.UNUSED}
    assert split.parts[-5] == Part.UNUSED
    assert not (split.parts[:2_000] == Part.PROOF).any()
    x = events.columns["x"]
    used = np.isin(split.parts[:2_000], (Part.FIT, Part.TUNE, Part.CALIBRATE, Part.THRESHOLD))
    proving = split.parts[-1_000:] == Part.PROOF
    assert not set(x[:2_000][used].tolist()) & set(x[-1_000:][proving].tolist())
    assert sum(split.evidence.counts["proof"]) == 999


def test_with_proof_events_of_their_own_the_others_have_none_to_spare() -> None:
    events, y = rows(3_000), labels(3_000)
    apart = split_rows(contract(), events, y, n_apart=1_000)
    alone = split_rows(contract(), events.take(np.arange(2_000)), y[:2_000])
    proving = sum(alone.evidence.counts["proof"])
    assert proving > 0
    gained = sum(apart.evidence.counts["fit"]) - sum(alone.evidence.counts["fit"])
    assert gained > 0.8 * proving


def test_looks_at_proof_events_of_their_own_are_counted_whatever_the_others_are() -> None:
    def split(n: int) -> Split:
        events = Events(n=n, columns={"x": np.arange(n, dtype=np.float64)[::-1].copy()})
        return split_rows(contract(), events, (events.columns["x"] % 5 == 0).astype(np.int8),
                          n_apart=500)  # fmt: skip

    one, two = split(2_000), split(3_000)
    assert one.evidence.holdout == two.evidence.holdout
    assert one.evidence.given != two.evidence.given


def test_a_repeated_row_that_would_fill_a_part_stays_in_fit() -> None:
    x = np.concatenate([np.full(5_000, 7.0), np.arange(5_000.0) + 10])
    events = Events(n=10_000, columns={"x": x})
    split = split_rows(contract(), events, labels(10_000, share=0.0))
    assert split.evidence.large_groups == 5_000
    assert (split.parts[:5_000] == Part.FIT).all()


@pytest.mark.parametrize("budget", [0.001, 0.01, 0.05, 0.1])
@pytest.mark.parametrize("n", [300, 3_000, 30_000, 3_000_000])
def test_fit_always_keeps_more_than_half_and_shares_only_fall_with_more_rows(
    n: int, budget: float
) -> None:
    of = contract(max_fpr=budget, min_recall=0.9)
    shares = solve_shares(of, n_negatives=n, n_positives=n // 10)
    assert [share.part for share in shares] == list(HELD_OUT)
    assert sum(share.share for share in shares) <= 0.5
    more = solve_shares(of, n_negatives=100 * n, n_positives=10 * n)
    if all(share.enough for share in shares):
        assert all(b.share <= a.share for a, b in zip(shares, more, strict=True))


def test_enough_rows_get_what_the_contract_must_certify() -> None:
    shares = {
        share.part: share
        for share in solve_shares(
            contract(max_fpr=0.01, min_recall=0.95), n_negatives=1_000_000, n_positives=100_000
        )
    }
    assert all(share.enough for share in shares.values())
    proof = shares["proof"]
    assert proof.share * 1_000_000 >= 5_450  # the budget at the second look
    assert proof.share * 100_000 >= 1_059  # recall at the second look


BOTH = (("at", "time"), ("who", "entity"))


def timed(n: int, **columns: np.ndarray) -> Events:
    who = np.array([f"c{x}" for x in np.random.default_rng(4).integers(0, 60, n)], dtype=object)
    return rows(n, **({"at": np.arange(n) * 1e6, "who": who} | columns))


def ruled(*roles: tuple[str, Role], **rules: str) -> Contract:
    return msgspec.structs.replace(contract(*roles), split=SplitRules(**rules))  # type: ignore[arg-type]


@pytest.mark.parametrize("by", ["time", "entity", "stratum"])
def test_the_contract_says_by_what_the_split_goes(by: str) -> None:
    split = split_rows(ruled(*BOTH, by=by), timed(3_000), labels(3_000))
    assert split.evidence.how == by
    assert split_rows(contract(*BOTH), timed(3_000), labels(3_000)).evidence.how == "time"


def test_by_entity_none_stands_on_two_sides_though_there_is_a_time() -> None:
    events = timed(3_000)
    y = labels(3_000)
    assert split_rows(contract(*BOTH), events, y).evidence.entities_on_two_sides > 0
    split = split_rows(ruled(*BOTH, by="entity"), events, y)
    assert split.evidence.entities_on_two_sides == 0
    who = events.columns["who"]
    for one, other in itertools.combinations((Part.FIT, *HELD), 2):
        assert not set(who[split.rows(one)].tolist()) & set(who[split.rows(other)].tolist())


def test_a_split_by_what_the_events_lack_is_refused() -> None:
    events = timed(300)
    nobody = Events(n=300, columns={k: v for k, v in events.columns.items() if k != "who"})
    with pytest.raises(DataError, match="the entity that the contract splits by"):
        split_rows(ruled(*BOTH, by="entity"), nobody, labels(300))


def copied(split: Split, events: Events, of: Part, among: Part) -> int:
    x = events.columns["x"]
    return int(np.isin(x[split.rows(of)], x[split.rows(among)]).sum())


def test_fit_rows_that_repeat_a_held_out_row_are_left_out_and_the_held_out_ones_stay() -> None:
    events = timed(3_000, x=np.random.default_rng(5).integers(0, 2_000, 3_000).astype(np.float64))
    nameless = Events(n=3_000, columns={k: v for k, v in events.columns.items() if k != "who"})
    y = labels(3_000)
    before = split_rows(contract(("at", "time")), nameless, y)
    after = split_rows(ruled(("at", "time"), repeats="apart"), nameless, y)
    assert copied(before, nameless, Part.PROOF, Part.FIT) > 0
    for part in HELD:
        assert before.rows(part).tolist() == after.rows(part).tolist()
        assert copied(after, nameless, part, Part.FIT) == 0
    gone = len(before.rows(Part.FIT)) - len(after.rows(Part.FIT))
    assert after.evidence.left_out == gone > 0
    assert before.evidence.left_out is UNSET
    assert after.evidence.counts["fit"] == (
        int((y[after.rows(Part.FIT)] == 0).sum()), int((y[after.rows(Part.FIT)] == 1).sum()),
    )  # fmt: skip


def test_once_keeps_one_fit_row_of_each_kind_and_label() -> None:
    events = rows(3_000, values=900)
    y = labels(3_000)
    split = split_rows(ruled(repeats="once"), events, y)
    fit = split.rows(Part.FIT)
    pairs = list(zip(events.columns["x"][fit].tolist(), y[fit].tolist(), strict=True))
    assert len(pairs) == len(set(pairs)) > 400


def measures(n: int, near: int) -> tuple[Events, Contract]:
    """Twelve measures, of which ``near`` rows are another one but for one measure."""
    rng = np.random.default_rng(6)
    X = rng.normal(size=(n, 12))
    X[-near:] = X[rng.integers(0, n - near, near)]
    X[-near:, 3] += rng.normal(size=near)
    of = contract(("at", "time"))
    fields = (*of.events.fields, *(Field(name=f"m{j}", type="number") for j in range(12)))
    events = rows(n, at=rng.permutation(n) * 1e6, **{f"m{j}": X[:, j] for j in range(12)})
    return events, msgspec.structs.replace(of, events=Schema(fields=fields[:1] + fields[2:]))


@pytest.mark.parametrize("rule", ["near", "once"])
def test_fit_rows_that_nearly_repeat_a_held_out_row_are_left_out_too(rule: str) -> None:
    events, of = measures(3_000, 900)
    y = labels(3_000)
    said = msgspec.structs.replace(of, split=SplitRules(repeats=rule))  # type: ignore[arg-type]
    split = split_rows(said, events, y)
    base = events.columns["m0"]
    before = split_rows(of, events, y)
    held, fit = (np.isin(split.parts, HELD), split.parts == Part.FIT)
    assert np.isin(base[before.parts == Part.FIT], base[held]).sum() > 50
    assert np.isin(base[fit], base[held]).sum() == 0
    assert np.array_equal(held, np.isin(before.parts, HELD))
    pairs = list(zip(base[fit].tolist(), y[fit].tolist(), strict=True))
    assert (len(pairs) == len(set(pairs))) == (rule == "once")
    # The order of the rows changes nothing.
    order = np.random.default_rng(7).permutation(3_000)
    np.testing.assert_array_equal(
        split_rows(said, events.take(order), y[order]).parts, split.parts[order]
    )


def test_no_rows_at_all_are_said_so() -> None:
    with pytest.raises(DataError, match="none"):
        split_rows(contract(), rows(3), np.full(3, -1, dtype=np.int8))


@settings(deadline=None, max_examples=40)
@given(n=st.integers(6, 300), folds=st.integers(2, 5), seed=st.integers(0, 50))
def test_folds_keep_groups_whole_and_spread_both_classes(n: int, folds: int, seed: int) -> None:
    keys = np.random.default_rng(seed).integers(0, 2**60, n, dtype=np.uint64)
    keys = np.concatenate([keys, keys[:3]])
    attack = np.concatenate([labels(n, share=0.4, seed=seed), labels(n, share=0.4, seed=seed)[:3]])
    of = folds_of(keys, attack == 1, folds)
    assert (of[n:] == of[:3]).all()
    for stratum in (attack[:n] == 1, attack[:n] == 0):
        sizes = np.bincount(of[:n][stratum], minlength=folds)
        assert sizes.max() - sizes.min() <= 1


def test_folds_keep_the_rarest_families_whole_and_spread_the_common_ones() -> None:
    kinds = ["none"] * 400 + ["flood"] * 200 + ["scan"] * 60 + ["worm"] * 30 + ["probe"] * 10
    family = np.array(kinds, dtype=object)
    events = rows(len(kinds), family=family)
    named = contract()
    named = msgspec.structs.replace(
        named,
        events=Schema(
            fields=(
                *named.events.fields,
                Field(name="family", type="category", available="after"),
            )
        ),
        label=Label(field="y", positive=("1",), family="family"),
    )
    attack = family != "none"
    keys = np.random.default_rng(0).integers(0, 2**60, len(kinds), dtype=np.uint64)
    of = folds_of(fold_keys(named, events, attack, keys), attack, 3)
    folds = {kind: len(np.unique(of[family == kind])) for kind in set(kinds)}
    # scan, worm and probe together are a third of the 300 attacks.
    assert folds == {"none": 3, "flood": 3, "scan": 1, "worm": 1, "probe": 1}


def test_folds_without_families_are_those_of_the_rows_keys() -> None:
    events = rows(40)
    keys = np.arange(40, dtype=np.uint64)
    assert (fold_keys(contract(), events, labels(40, share=0.4) == 1, keys) == keys).all()
