"""Ways of writing that tell of attacks: spaces, capitals, the form of numbers, their precision.

Two systems wrote the file, and one of them wrote the attacks. Only values that say the same are
compared with each other, so a column whose values are all written in one way says nothing here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.chance import ALPHA, by_chance, chance_figure, share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Column, Events
from baluarte.core.evidence import Finding, Picture
from baluarte.core.labels import attacks

BLOCKS = 0.9
WARNS = 0.1
MIXED = 0.001  #: share of the rows written otherwise than most of their value, that is noted
MOST_DECIMALS = 9
PRECISE = 0.3  #: difference in precision that is no accident of what is measured
ATOM = 0.01  #: share of the rows from which a number is a value of its own
BINS = 64
ALIKE = 1 / 200  #: chance of two rows to be the same, above which numbers are counted, not measured
FEWEST = 20

FREE = 0.5  #: different values among those given, from which texts are free
_SPACES = "format_tells.spaces"

#: what cures a way of writing, by its cleaning step; the field is left out where none does
_CURES = {"format_tells.spaces": "trim", "format_tells.capitals": "lower",
          "format_tells.upper": "lower"}  # fmt: skip
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_Marks = dict[str, Callable[[str], bool]]


def _plain_number(text: str) -> bool:
    value = float(text)
    return text == (str(int(value)) if value.is_integer() else repr(value))


_MARKS: _Marks = {
    "format_tells.spaces": lambda text: text != " ".join(text.split()),
    "format_tells.capitals": lambda text: text != text.lower(),
    "format_tells.upper": lambda text: text != text.lower() and text == text.upper(),
    "format_tells.type": lambda text: (
        _NUMBER.fullmatch(text.strip()) is not None and not _plain_number(text.strip())
    ),
}


class FormatTells:
    """Blocks, warns and notes by how far the share of rows so written differs: .9, .1, any.

    Beyond chance only. In free texts, most of which are said once, spaces and capitals are compared
    over all of them, from a difference of .1. Numbers are compared by their decimals within bins of
    like size, values of their own such as 0 and 1 left out, from a difference of .3, and only where
    the finer ones are measured: seldom the same twice. Values that are written in several ways
    without telling anything are noted.
    """

    name: ClassVar[str] = "format_tells"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one of each kind a feature, the worst first."""
        labels = attacks(contract, events)
        present = [f for f in contract.events.features if f.name in events.columns]
        texts = [f.name for f in present if f.type in ("category", "text")]
        numbers = [f.name for f in present if f.type == "number"]
        tests = len(texts) * len(_MARKS) + len(numbers) * MOST_DECIMALS
        found = []
        for name in texts:
            found += _of_texts(name, events.columns[name], labels, tests)
        for name in numbers:
            found += _of_numbers(name, events.columns[name], labels, tests)
        return sorted(found, key=lambda f: ("block", "warn", "note").index(f.level))


def _of_texts(name: str, column: Column, labels: NDArray[np.int8], tests: int) -> list[Finding]:
    codes: dict[str | None, int] = {}
    code = np.array([codes.setdefault(v, len(codes)) for v in column.tolist()], dtype=np.int64)
    forms = ["" if text is None else text for text in codes]
    same: dict[str, int] = {}
    stratum = np.array([same.setdefault(_meaning(t), len(same)) for t in forms], dtype=np.int64)
    rows = np.flatnonzero(np.bincount(stratum)[stratum[code]] > 1) if forms else code
    known = int(np.count_nonzero(code != codes.get(None, -1)))
    free = known >= FEWEST and len(codes) >= FREE * known
    anywhere = (_SPACES, "format_tells.capitals", "format_tells.upper") if free else (_SPACES,)
    found = []
    for check, marks in _MARKS.items():
        marked = np.array([bool(text) and marks(text) for text in forms], dtype=bool)
        one = _tells(check, name, marked[code[rows]], stratum[code[rows]], labels[rows], tests)
        if one is None and check in anywhere:
            # Free texts never say the same twice, and a space too many means nothing in any.
            one = _tells(check, name, marked[code], np.zeros_like(code), labels, tests, least=WARNS)
        if one is not None:
            found.append(one)
    if not found and len(rows):
        found += _mixed(name, code[rows], stratum, forms, len(column))
    return found


def _meaning(text: str) -> str:
    """What a text says, whatever its spaces, capitals and form of numbers."""
    plain = " ".join(unicodedata.normalize("NFKC", text).split()).casefold()
    return repr(float(plain)) if _NUMBER.fullmatch(plain) else plain


def _mixed(
    name: str, code: NDArray[np.int64], stratum: NDArray[np.int64], forms: list[str], n: int
) -> list[Finding]:
    """That values are written in several ways, with the commonest pair."""
    counts = np.bincount(code, minlength=len(forms))
    most: dict[int, int] = {}
    for form in np.argsort(-counts, kind="stable").tolist():
        most.setdefault(int(stratum[form]), form)
    usual = np.array([most[int(s)] for s in stratum])
    others = np.flatnonzero((usual != np.arange(len(forms))) & (counts > 0))
    odd = int(counts[others].sum())
    if odd < MIXED * n:
        return []
    example = int(others[np.argmax(counts[others])])
    values: dict[str, str | int | float] = {
        "field": name, "n": odd, "one": repr(forms[int(usual[example])]),
        "other": repr(forms[example]),
    }  # fmt: skip
    one, other = forms[int(usual[example])], forms[example]
    cure = "trim" if one.strip() == other.strip() else "lower"
    alike = one.strip().lower() == other.strip().lower()
    return [
        Finding(
            check="format_tells.mixed",
            level="note",
            field=name,
            values=values,
            fix=f"{cure}:{name}" if alike else None,
            evidence=(share_figure("otherwise", odd, n),),
        )
    ]


def _of_numbers(name: str, column: Column, labels: NDArray[np.int8], tests: int) -> list[Finding]:
    """Whether attacks have more decimals, or fewer, among numbers of like size."""
    rows = np.flatnonzero(~np.isnan(column) & (labels >= 0))
    if not len(rows):
        return []
    _, level, counts = np.unique(column[rows], return_inverse=True, return_counts=True)
    rows = rows[counts[level] < max(ATOM * len(column), 2)]
    if len(rows) < FEWEST:
        return []
    values, size = column[rows], np.abs(column[rows])
    bins = np.searchsorted(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]), values)
    decimals = np.full(len(values), MOST_DECIMALS)
    for d in range(MOST_DECIMALS - 1, -1, -1):
        decimals[(np.round(values, d) == values) | (size > 2.0**50)] = d
    found = (
        _tells("format_tells.precision", name, decimals > d, bins, labels[rows], tests,
               least=PRECISE)
        for d in range(MOST_DECIMALS)
        if _alike(values[decimals > d]) <= ALIKE
    )  # fmt: skip
    best = max(
        (f for f in found if f is not None), key=lambda f: float(f.values["difference"]),
        default=None,
    )  # fmt: skip
    return [] if best is None else [best]


def _alike(values: Column) -> float:
    """The chance that two of these rows have the same value, estimated without bias.

    A share of different values falls with the number of rows; this one stays what it is. Source:
    Simpson, Nature 163, 1949. 1 where there are no two rows.
    """
    n = len(values)
    if n < 2:
        return 1.0
    _, counts = np.unique(values, return_counts=True)
    return float((counts * (counts - 1.0)).sum() / (n * (n - 1.0)))


def _tells(  # noqa: PLR0917 - the parts of one question
    check: str,
    name: str,
    marked: NDArray[np.bool_],
    stratum: NDArray[np.int64],
    labels: NDArray[np.int8],
    tests: int,
    least: float = 0.0,
) -> Finding | None:
    """A finding if rows so marked are attacks more or less often than their like."""
    known = labels >= 0
    marked, stratum, hit = marked[known], stratum[known], labels[known] == 1
    if not len(marked):
        return None
    n = int(stratum.max()) + 1
    rows = np.bincount(stratum, minlength=n)
    of_marked = np.bincount(stratum[marked], minlength=n)
    mixed = (of_marked > 0) & (of_marked < rows)
    inside = mixed[stratum]
    marked, stratum, hit = marked[inside], stratum[inside], hit[inside]
    n_hits, n_rest = int(hit.sum()), int((~hit).sum())
    if min(n_hits, n_rest) < FEWEST:
        return None
    in_hits, in_rest = int(marked[hit].sum()), int(marked[~hit].sum())
    difference = abs(in_hits / n_hits - in_rest / n_rest)
    hits = np.bincount(stratum[marked & hit], minlength=n)[mixed]
    of_hits = np.bincount(stratum[hit], minlength=n)[mixed]
    chance = by_chance(hits, of_marked[mixed], of_hits, rows[mixed])
    if difference < least or chance * tests > ALPHA:
        return None
    shares = (in_hits / n_hits, in_rest / n_rest)
    return Finding(
        check=check,
        level="block" if difference >= BLOCKS else "warn" if difference >= WARNS else "note",
        field=name,
        values={"field": name, "attacks": shares[0], "rest": shares[1], "difference": difference},
        fix=f"{_CURES[check]}:{name}" if check in _CURES else name,
        evidence=(
            share_figure("written_attacks", in_hits, n_hits),
            share_figure("written_rest", in_rest, n_rest),
            chance_figure(chance, tests),
        ),
        picture=Picture(name="written", labels=("attacks", "rest"), values=shares),
    )
