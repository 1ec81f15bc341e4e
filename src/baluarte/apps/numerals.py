"""Numbers and times as a person reads them, in English and Spanish."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Language = Literal["en", "es"]
THIN_SPACE = "\u202f"  #: between the digits of thousands in Spanish (RAE), narrow and unbroken
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")  #: digits of an exponent

UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True, slots=True)
class Numerals:
    """How a language writes numbers.

    >>> en, es = Numerals("en"), Numerals("es")
    >>> en.count(125973), en.number(0.01034), en.percent(0.1034)
    ('125,973', '0.01034', '10.3 %')
    >>> es.number(0.01034), es.percent(0.1034), es.number(1.5e-11)
    ('0,01034', '10,3 %', '1,5·10⁻¹¹')
    """

    language: Language = "en"

    def count(self, n: int) -> str:
        """A whole number, its thousands apart."""
        text = f"{n:,}".replace("-", "−")
        if self.language == "es":
            text = text.replace(",", THIN_SPACE if abs(n) >= 10_000 else "")
        return text

    def number(self, x: float, digits: int = 4) -> str:
        """A number to so many significant digits."""
        if type(x) is float and digits > 3 and 1e-4 <= (size := abs(x)) < 999.0 and size % 1:
            text = f"{size:.{digits}g}"  # of most numbers that is all
            if self.language == "es":
                text = text.replace(".", ",")
            return text if x > 0.0 else f"−{text}"
        if math.isnan(x):
            return "–"
        if math.isinf(x):
            return "∞" if x > 0 else "−∞"
        if x == int(x) and abs(x) < 1e15:
            return self.count(int(x))
        if abs(x) >= 10**digits:
            return self.count(round(x))
        return self._localised(f"{x:.{digits}g}")

    def percent(self, share: float, digits: int = 3) -> str:
        """A share of one, in percent to so many significant digits."""
        return f"{self.number(share * 100, digits)} %"

    def size(self, n_bytes: float, digits: int = 2) -> str:
        """Bytes in the decimal unit that fits.

        >>> Numerals("en").size(89_000.0), Numerals("es").size(2.5e12), Numerals("en").size(12)
        ('89 kB', '2,5 TB', '12 B')
        """
        power = 0
        while power < len(UNITS) - 1 and abs(n_bytes) >= 999.5 * 1000**power:
            power += 1
        return f"{self.number(n_bytes / 1000**power, digits)} {UNITS[power]}"

    def _localised(self, text: str) -> str:
        mantissa, e, exponent = text.replace("-", "−", text.startswith("-")).partition("e")
        if e:
            return f"{self._localised(mantissa)}·10{str(int(exponent)).translate(RAISED)}"
        return mantissa.replace(".", ",") if self.language == "es" else mantissa


def spoken_instant(at_us: int) -> str:
    """Microseconds of UTC as a person reads them.

    >>> spoken_instant(1_600_000_000_000_000)
    '2020-09-13 12:26:40 UTC'
    """
    return f"{datetime.fromtimestamp(at_us // 1_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"
