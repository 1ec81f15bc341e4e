"""Numbers as a country writes them: telephones without a plus, tax numbers without a prefix.

By itself such a number is any other number. A whole column of them, all written in one way, or in a
field whose name says what they are, is not; so these are asked of columns, never of texts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from baluarte.core.personal import is_nif_pt

SAID = 0.8  #: share of a column's values, where its name says what they are
WRITTEN = 0.95  #: the same where it doesn't, of values in the form of one country
FEWEST = 20  #: different values

#: by country: digits alone, of national numbers. Sources: the numbering plans of ANACOM, CNMC,
#: Anatel (Resolução 749/2022), Arcep, Bundesnetzagentur, Ofcom and NANPA.
_DIGITS = {
    "PT": re.compile(r"(?:9[1236]\d|2[1-9]\d|30\d|[78]0[0-9])\d{6}"),
    "ES": re.compile(r"[6789]\d{8}"),
    "BR": re.compile(r"0?(?:1[1-9]|2[12478]|3[1-578]|[4689][1-9]|5[1345]|7[134579])"
                     r"(?:9\d{8}|[2-5]\d{7})"),
    "FR": re.compile(r"0[1-9]\d{8}"),
    "DE": re.compile(r"0[1-9]\d{8,10}"),
    "GB": re.compile(r"0(?:[127]\d{8,9}|3\d{9}|8\d{8,9})"),
    "US": re.compile(r"1?[2-9]\d\d[2-9]\d{6}"),
}  # fmt: skip
#: by country: as they are written with the marks that are usual there
_WRITTEN = {
    "PT": re.compile(r"[29]\d\d( )\d{3}\1\d{3}|[29]\d \d{3} \d\d \d\d"),
    "ES": re.compile(r"[6789]\d\d([ .-])\d{3}\1\d{3}|[6789]\d\d([ .-])\d\d\2\d\d\2\d\d"
                     r"|[89]\d([ .-])\d{3}\3\d\d\3\d\d"),
    "BR": re.compile(r"\(?\d\d\)? ?(?:9\d{4}|[2-5]\d{3})-\d{4}"),
    "FR": re.compile(r"0[1-9]([ .-])\d\d\1\d\d\1\d\d\1\d\d"),
    "DE": re.compile(r"\(?0[1-9]\d{1,4}\)?(?: |/| / )\d{5,8}|0[1-9]\d{1,4} \d{2,4} \d{2,4}"),
    "GB": re.compile(r"\(?0(?:2\d\)? \d{4} \d{4}|[17]\d{3}\)? \d{5,6}|[13]\d\d\)? \d{3} \d{4})"),
    "US": re.compile(r"(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}"),
}  # fmt: skip
_MARKS = re.compile(r"[\s./()-]")


def national_phones(texts: Sequence[str], *, named: bool) -> int:
    """How many of a column's different values are telephone numbers of one country; 0 if too few.

    Args:
        named: whether the column's name says that it holds telephone numbers; else they must be
            written with the marks that are usual there.

    >>> national_phones([f"06 12 34 56 {n:02}" for n in range(40)], named=False)
    40
    >>> national_phones([f"6123456{n:02}" for n in range(40)], named=False)
    0
    """
    if len(texts) < FEWEST:
        return 0
    most = 0
    for country, written in _WRITTEN.items():
        n = 0
        for text in texts:
            said = text.strip()
            digits = _MARKS.sub("", said)
            if _DIGITS[country].fullmatch(digits) is None:
                continue
            n += named or written.fullmatch(said) is not None
        most = max(most, n)
    return most if most >= (SAID if named else WRITTEN) * len(texts) else 0


def national_tax_numbers(texts: Sequence[str]) -> int:
    """How many of a column's different values are Portuguese tax numbers; 0 if too few.

    One number of nine digits in eleven is, by chance, so this is asked where the name says so.
    """
    n = sum(is_nif_pt(_MARKS.sub("", text)) for text in texts)
    return n if len(texts) >= FEWEST and n >= SAID * len(texts) else 0
