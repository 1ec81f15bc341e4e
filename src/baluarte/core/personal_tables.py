"""Public number ranges that identifiers are checked against."""

from __future__ import annotations

from typing import Final

#: First and last prefix of a range, and the lengths of its numbers. Source: ISO/IEC 7812-2 issuer
#: ranges as the card networks publish them.
CARD_RANGES: Final[tuple[tuple[str, str, tuple[int, ...]], ...]] = (
    ("4", "4", (13, 16, 19)),  # Visa
    ("51", "55", (16,)),  # Mastercard
    ("2221", "2720", (16,)),  # Mastercard
    ("34", "34", (15,)),  # American Express
    ("37", "37", (15,)),  # American Express
    ("300", "305", (14, 16, 19)),  # Diners Club
    ("36", "36", (14, 16, 19)),  # Diners Club
    ("38", "39", (14, 16, 19)),  # Diners Club
    ("6011", "6011", (16, 19)),  # Discover
    ("644", "649", (16, 19)),  # Discover
    ("65", "65", (16, 19)),  # Discover
    ("3528", "3589", (16, 19)),  # JCB
    ("62", "62", (16, 17, 18, 19)),  # UnionPay
    ("5018", "5020", (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("5038", "5038", (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("5893", "5893", (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("6304", "6304", (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("6759", "6763", (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("2200", "2204", (16, 17, 18, 19)),  # Mir
    ("6370", "6370", (16,)),  # Hipercard
    ("6062", "6062", (16,)),  # Hipercard
    ("636", "636", (16,)),  # Elo, InterPayment
    ("5067", "5067", (16,)),  # Elo
    ("4576", "4576", (16,)),  # Elo
)

#: Characters of an IBAN by country. Source: SWIFT, IBAN Registry.
IBAN_LENGTHS: Final[dict[str, int]] = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FO GL NL SD FK", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV", 22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST", 26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip

#: Country codes of telephones. Source: ITU, Operational Bulletin 1114, annex (list of E.164
#: assigned country codes).
_CALLING_CODES = (
    "1 7 20 27 30-34 36 39-41 43-49 51-58 60-66 81 82 84 86 90-95 98 211-213 216 218 220-258 "
    "260-269 290 291 297-299 350-359 370-378 380-383 385-387 389 420 421 423 500-509 590-599 670 "
    "672-683 685-692 800 808 850 852 853 855 856 870 878 880-883 886 888 960-968 970-977 979 "
    "992-996 998"
)
CALLING_CODES: Final[frozenset[str]] = frozenset(
    str(code)
    for first, _, last in (part.partition("-") for part in _CALLING_CODES.split())
    for code in range(int(first), int(last or first) + 1)
)
