"""Features about what is protected of persons: sex, race, age, nationality."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.chance import share_figure
from baluarte.core.column_names import PROTECTED_TOKENS, plain, tokens
from baluarte.core.contract import Contract
from baluarte.core.event import Column, Events
from baluarte.core.evidence import Finding, Picture
from baluarte.core.labels import as_text, attacks
from baluarte.core.schema import Field
from baluarte.core.telling import missing_in

PHRASES = ("native_country", "country_of_birth", "place_of_birth", "foreign_worker", "birth_date",
           "date_of_birth")  # fmt: skip
WORDS = PROTECTED_TOKENS | {"nationality", "disability", "pregnant", "pregnancy", "dob"}
THINGS = frozenset(
    {"domain", "account", "card", "device", "host", "file", "session", "certificate"}
)
MOST_GROUPS = 20
FEWEST = 50  #: labelled events of a group


class Protected:
    """Warns of features so named, with the share of attacks in their groups."""

    name: ClassVar[str] = "protected"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a feature, in the contract's order."""
        labels = attacks(contract, events)
        found = []
        for field in contract.events.features:
            if field.name not in events.columns or not _is_protected(field.name):
                continue
            groups = _groups(events, field, labels)
            values: dict[str, str | int | float] = {"field": field.name}
            check, picture = "protected.named", None
            evidence = [share_figure("filled", *_filled(events.columns[field.name]))]
            if groups:
                low, high = groups[-1], groups[0]
                check = "protected.groups"
                values |= {
                    "low": low[1] / low[2], "low_group": low[0],
                    "high": high[1] / high[2], "high_group": high[0],
                }  # fmt: skip
                evidence = [share_figure("group", hits, n) for _, hits, n in (high, low)]
                picture = Picture(
                    name="attacks",
                    labels=tuple(name[:40] for name, _, _ in groups),
                    values=tuple(hits / n for _, hits, n in groups),
                )
            found.append(
                Finding(
                    check=check,
                    level="warn",
                    field=field.name,
                    values=values,
                    fix=f"sensitive:{field.name}",
                    evidence=tuple(evidence),
                    picture=picture,
                )
            )
        return found


def _filled(column: Column) -> tuple[int, int]:
    """How many events say something in a column, of how many."""
    return int((~missing_in(column)).sum()), max(len(column), 1)


def _is_protected(name: str) -> bool:
    words, whole = tokens(name), plain(name)
    aged = (whole == "age" or whole.endswith("_age")) and not words & THINGS
    return bool(words & WORDS) or aged or any(phrase in whole for phrase in PHRASES)


def _groups(events: Events, field: Field, labels: NDArray[np.int8]) -> list[tuple[str, int, int]]:
    """Name, attacks and labelled events of each group that is large enough, most attacks first."""
    column = events.columns[field.name]
    if field.type in ("text", "ip", "time"):
        return []
    if field.type in ("number", "integer"):
        return []
    texts = np.array([text or "–" for text in as_text(column, field.type)])
    known = labels >= 0
    names, group = np.unique(texts[known], return_inverse=True)
    if not 2 <= len(names) <= MOST_GROUPS:
        return []
    rows = np.bincount(group)
    hits = np.bincount(group, weights=labels[known] == 1)
    large = [
        (str(name), int(h), int(n))
        for name, h, n in zip(names, hits, rows, strict=True)
        if n >= FEWEST
    ]
    return sorted(large, key=lambda each: -each[1] / each[2]) if len(large) > 1 else []
