"""Data keys in memory: found by subject or by id, bounded, the least lately used go first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from baluarte.adapters.sealing import SealingKey
from baluarte.core.envelope import Subject
from baluarte.ports import DataKey


class KeyCache:
    """Unwrapped keys; the caller holds a lock for whatever changes it.

    Args:
        most: keys of each of the two ways to find them.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._by_subject: OrderedDict[Subject, SealingKey] = OrderedDict()
        self._by_id: OrderedDict[str, SealingKey] = OrderedDict()
        self._subject_of: dict[str, Subject] = {}

    def of_all(self, subjects: Sequence[Subject]) -> list[DataKey] | None:
        """The keys of all subjects, or None; may be called without the lock."""
        found: list[DataKey] = []
        cache = self._by_subject
        for subject in subjects:
            key = cache.get(subject)
            if key is None:
                return None
            try:
                cache.move_to_end(subject)
            except KeyError:  # another thread let go of it just now
                return None
            found.append(key)
        return found

    def of(self, subject: Subject) -> SealingKey | None:
        """The key of one subject."""
        return self._by_subject.get(subject)

    def by_id(self, key_id: str) -> SealingKey | None:
        """The key with this id."""
        return self._by_id.get(key_id)

    def keep(self, key: SealingKey, subject: Subject | None = None) -> None:
        """Keep a key, and whose it is where that is known."""
        self._by_id[key.id] = key
        while len(self._by_id) > self._most:
            self._by_id.popitem(last=False)
        if subject is not None:
            self._by_subject[subject] = key
            self._subject_of[key.id] = subject
            while len(self._by_subject) > self._most:
                _, old = self._by_subject.popitem(last=False)
                self._subject_of.pop(old.id, None)

    def drop(self, key_id: str) -> None:
        """Let go of a key."""
        self._by_id.pop(key_id, None)
        subject = self._subject_of.pop(key_id, None)
        if subject is not None:
            self._by_subject.pop(subject, None)

    def clear(self) -> None:
        """Let go of all."""
        self._by_subject.clear()
        self._by_id.clear()
        self._subject_of.clear()
