"""A key store's conformance suite: what ``ports.SubjectKeys`` promises, as checks that raise.

A check takes a function that opens the same store again and again, empty at first; each call is as
another process would open it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from baluarte.core.envelope import Subject, lone_event, person
from baluarte.core.erasure import Erasure
from baluarte.errors import TrustError
from baluarte.ports import SubjectKeys
from baluarte.testing.expect import expect, refused

OpenKeys = Callable[[], SubjectKeys]
KeysCheck = Callable[[OpenKeys], None]


def sample_subjects(n: int) -> list[Subject]:
    """Some people."""
    return [person("user", f"user-{i}") for i in range(n)]


def sample_erasure(name: str, *subjects: Subject, places: tuple[str, ...] = ()) -> Erasure:
    """An erasure as it is asked for."""
    return Erasure(
        id=name, at=1_700_000_000_000_000, actor="ada", reason="asked", subjects=subjects,
        places=places,
    )  # fmt: skip


def check_a_subject_has_one_key_for_every_process(open_keys: OpenKeys) -> None:
    """And no two subjects share one, whatever their names have in common."""
    one, other = open_keys(), open_keys()
    subjects = [*sample_subjects(20), person("card", "user-1"), lone_event("flows", "user-1")]
    expect(one.at_hand(subjects) is None, "a new store has no key at hand")
    first = one.keys(subjects)
    second = other.keys(subjects[::-1])[::-1]
    expect([k.id for k in first] == [k.id for k in second], "two processes see the same keys")
    expect(len({k.id for k in first}) == len(subjects), "no two subjects share a key")
    expect(one.at_hand(subjects) == first, "keys that were asked for are at hand")
    expect(one.find(subjects) == [k.id for k in first], "keys are found by their subjects")
    again = one.keys([subjects[3], subjects[3]])
    expect(again[0] is again[1], "a subject named twice has one key")
    one.close()
    other.close()


def check_what_was_sealed_opens_in_its_place_only(open_keys: OpenKeys) -> None:
    """In another context, by another key or changed it does not."""
    keys = open_keys()
    mine, other = keys.keys(sample_subjects(2))
    sealed = mine.seal(b"some values", b"here")
    again = open_keys()
    opened = again.by_id([mine.id])[mine.id]
    expect(
        opened is not None and opened.open(sealed, b"here") == b"some values",
        "what was sealed opens",
    )
    expect(mine.seal(b"some values", b"here") != sealed, "no two envelopes are alike")
    for key, data, context in (
        (mine, sealed, b"there"),
        (other, sealed, b"here"),
        (mine, sealed[:-1] + bytes([sealed[-1] ^ 1]), b"here"),
        (mine, b"", b"here"),
    ):
        refused(TrustError, partial(key.open, data, context))
    expect(
        mine.digest(b"x") == keys.keys(sample_subjects(1))[0].digest(b"x"),
        "a subject's digests stay the same",
    )
    expect(mine.digest(b"x") != other.digest(b"x"), "digests differ by key")
    expect(mine.digest(b"x") != mine.digest(b"y"), "digests differ by value")
    keys.close()
    again.close()


def check_a_destroyed_key_is_gone_for_every_process(open_keys: OpenKeys) -> None:
    """And known to be destroyed; the others stay; the subject may come again."""
    one, other = open_keys(), open_keys()
    subjects = sample_subjects(5)
    ids = [key.id for key in one.keys(subjects)]
    other.keys(subjects)
    destroyed = one.destroy(subjects[1:3], erasure=sample_erasure("a" * 32, *subjects[1:3]))
    expect(set(destroyed) == set(ids[1:3]), "the subjects' keys are destroyed")
    expect(one.at_hand(subjects[1:2]) is None, "a destroyed key is not used")
    other.refresh()
    expect(other.at_hand(subjects[1:2]) is None, "nor by another process")
    for keys in (one, other, open_keys()):
        found = keys.by_id([*ids, "f" * 32])
        expect(
            [found[i] is None for i in ids] == [False, True, True, False, False],
            "destroyed keys are known as such",
        )
        expect("f" * 32 not in found, "a key that never was is not known")
        expect(keys.find(subjects[1:3]) == [], "nothing is found of a destroyed key's subject")
    new = other.keys(subjects[1:2])[0]
    expect(new.id != ids[1], "a destroyed key does not come again")
    one.close()
    other.close()


def check_an_erasure_is_remembered_until_it_is_finished(open_keys: OpenKeys) -> None:
    """By whatever process opens the store next."""
    one = open_keys()
    subject = sample_subjects(1)[0]
    (key,) = one.keys([subject])
    asked = sample_erasure("b" * 32, subject, places=("windows/flows", "quarantine"))
    one.destroy([subject], erasure=asked)
    one.close()
    two = open_keys()
    (found,) = two.unfinished()
    expect(found.subjects == (subject,) and found.keys == (key.id,), "what was asked is remembered")
    expect(found.places == asked.places, "and every place")
    two.forgotten(found.id, "quarantine")
    expect(
        open_keys().unfinished()[0].places == ("windows/flows",),
        "a place that forgot is not asked again",
    )
    two.forgotten("c" * 32, "quarantine")
    two.finish(found.id)
    expect(open_keys().unfinished() == [], "a finished erasure is over")
    two.close()


def check_what_was_erased_elsewhere_can_be_destroyed_by_id(open_keys: OpenKeys) -> None:
    """As after restoring a backup that is older than the erasure."""
    keys = open_keys()
    subjects = sample_subjects(3)
    ids = [key.id for key in keys.keys(subjects)]
    expect(keys.destroy_ids([ids[0], "d" * 32], at=5) == 1, "those that were here are counted")
    expect(keys.at_hand(subjects[:1]) is None, "they are not used any more")
    found = keys.by_id([*ids, "d" * 32])
    expect(found[ids[0]] is None and found["d" * 32] is None, "they are known to be destroyed")
    expect(found[ids[1]] is not None, "the others stay")
    keys.close()


CHECKS: dict[str, KeysCheck] = {
    name.removeprefix("check_"): value
    for name, value in list(globals().items())
    if name.startswith("check_")
}
