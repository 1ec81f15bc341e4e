"""Ready schemas: what the fields of well-known events are, so that nobody has to guess."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from baluarte.core.schema import FieldType, TimeUnit


class ReadySchema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of one kind of events, by path.

    Attributes:
        marks: paths that every file of this kind has.
        types: paths by the type of their field.
    """

    title: str
    marks: tuple[str, ...]
    time: str
    time_unit: TimeUnit = "s"
    id: str
    entity: str
    types: dict[FieldType, tuple[str, ...]]

    @property
    def fields(self) -> dict[str, FieldType]:
        """Type by path."""
        return {path: kind for kind, paths in self.types.items() for path in paths}


def recognised(names: Iterable[str], known: dict[str, ReadySchema]) -> str | None:
    """The ready schema whose marks are all among a file's columns; the most telling of several.

    >>> conn = ReadySchema(title="c", marks=("ts", "uid"), time="ts", id="uid", entity="", types={})
    >>> recognised(["ts", "uid", "proto"], {"conn": conn}), recognised(["ts"], {"conn": conn})
    ('conn', None)
    """
    there = set(names)
    able: Sequence[str] = [name for name, ready in known.items() if there.issuperset(ready.marks)]
    return max(able, key=lambda name: len(known[name].marks), default=None)
