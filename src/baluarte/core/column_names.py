"""What the name of a column says about it: its words, and the words that give it away."""

from __future__ import annotations

import re

#: words of what is known only after the decision
AFTER_TOKENS = frozenset({
    "chargeback", "refund", "refunded", "closed", "resolved", "settled", "reported", "verdict",
    "confirmed", "investigation", "investigated", "recovered", "difficulty",
})  # fmt: skip
#: words of what the law or decency protects, of persons
PROTECTED_TOKENS = frozenset({"sex", "gender", "race", "ethnicity", "religion"})


def tokens(name: str) -> set[str]:
    """The words of a column's name in lower case: of ``srcBytes`` and ``src_bytes`` the same."""
    return {word for word in plain(name).split("_") if word}


def plain(name: str) -> str:
    """The name in lower case, its words joined by underscores.

    >>> plain("srcBytes"), plain("native-country")
    ('src_bytes', 'native_country')
    """
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")
