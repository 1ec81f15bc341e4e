"""Find personal data in a text: identifiers that carry a check digit, addresses, phone numbers.

A number counts as an identifier only if its form, its length and its check digits are right, so
order numbers, times and hashes are passed over; a number that no check digit protects (a phone's)
counts only in a form that says what it is.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Literal, get_args

import msgspec

from baluarte.core.personal_tables import CALLING_CODES, CARD_RANGES, IBAN_LENGTHS

Kind = Literal["card", "iban", "cpf", "cnpj", "nif", "email", "ip", "phone"]
KINDS: tuple[Kind, ...] = get_args(Kind)

#: How often a random number of the right length and first digits passes, where that can happen.
CHANCE: dict[Kind, float] = {"card": 0.05, "cpf": 0.01, "cnpj": 0.01, "nif": 0.05}

_BEFORE, _AFTER = r"(?<![\w.+/@-])", r"(?![\w/@-])(?!\.\w)"
_NIF_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_CIF_LETTERS = "JABCDEFGHI"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One identifier: its kind, and where it stands in the text."""

    kind: Kind
    start: int
    stop: int


def personal_in(text: str) -> list[Found]:
    """The personal data of a text, in its order; no two overlap.

    >>> [found.kind for found in personal_in("pago 4539 1488 0343 6467, aviso a ana@banco.es")]
    ['card', 'email']
    >>> personal_in("order 4539148803436466")  # its check digit is wrong
    []
    """
    found: list[Found] = []
    for one in _candidates(text):
        if all(one.stop <= other.start or one.start >= other.stop for other in found):
            found.append(one)
    return sorted(found, key=lambda one: one.start)


def is_card(digits: str) -> bool:
    """Whether these digits are a payment card's: range, length, check digit.

    Source: ISO/IEC 7812-1:2017, annex B (Luhn's formula).
    """
    ranged = any(
        len(digits) in lengths and low <= digits[: len(low)] <= high
        for low, high, lengths in CARD_RANGES
    )
    if not ranged:
        return False
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether this is an IBAN, without spaces: length of its country, check digits.

    Source: ISO 13616-1:2020; ISO/IEC 7064 (mod 97-10).
    """
    if IBAN_LENGTHS.get(text[:2]) != len(text):
        return False
    turned = text[4:] + text[:4]
    return int("".join(str(int(c, 36)) for c in turned)) % 97 == 1


def is_cpf(digits: str) -> bool:
    """Whether these 11 digits are a Brazilian CPF.

    Source: Receita Federal, Instrução Normativa RFB 2172/2024 (modulo 11, weights 10 … 2).
    """
    if len(set(digits)) == 1:
        return False
    for n in (9, 10):
        rest = sum(int(d) * (n + 1 - i) for i, d in enumerate(digits[:n])) % 11
        if int(digits[n]) != (11 - rest if rest > 1 else 0):
            return False
    return True


def is_cnpj(text: str) -> bool:
    """Whether these 14 characters are a Brazilian CNPJ, also of the form with letters.

    Source: Receita Federal, Instrução Normativa RFB 2229/2024 (modulo 11 of the characters' codes
    less 48, weights 2 … 9 from the right).
    """
    if len(set(text)) == 1 or not text[12:].isdigit():
        return False
    for n in (12, 13):
        rest = sum((ord(c) - 48) * (2 + i % 8) for i, c in enumerate(reversed(text[:n]))) % 11
        if int(text[n]) != (11 - rest if rest > 1 else 0):
            return False
    return True


def is_nif(text: str) -> bool:
    """Whether these 9 characters are a Spanish NIF: a DNI, a NIE, a K, L or M, or a company's.

    Source: Real Decreto 1065/2007, articles 18-28; Orden EHA/451/2008 (control characters).
    """
    if text[0].isdigit() or text[0] in "XYZ":
        number = text[:8].translate(str.maketrans("XYZ", "012"))
        return number.isdigit() and text[8] == _NIF_LETTERS[int(number) % 23]
    digits = text[1:8]
    if not digits.isdigit():
        return False
    if text[0] in "KLM":
        return text[8] == _NIF_LETTERS[int(digits) % 23]
    doubled = [int(d) * 2 for d in digits[::2]]
    total = sum(int(d) for d in digits[1::2]) + sum(d // 10 + d % 10 for d in doubled)
    control = (10 - total % 10) % 10
    if text[0] in "PQRSNW":
        return text[8] == _CIF_LETTERS[control]
    if text[0] in "ABEH":
        return text[8] == str(control)
    return text[8] in {str(control), _CIF_LETTERS[control]}


def is_nif_pt(digits: str) -> bool:
    """Whether these 9 digits are a Portuguese NIF.

    Source: Decreto-Lei 14/2013, article 9; its control digit is modulo 11, weights 9 … 2.
    """
    if len(digits) != 9 or not digits.isdigit() or digits[0] in "04":
        return False
    rest = sum(int(d) * (9 - i) for i, d in enumerate(digits[:8])) % 11
    return int(digits[8]) == (11 - rest if rest > 1 else 0)


def is_phone(digits: str) -> bool:
    """Whether digits written after a plus can be a number of a telephone.

    Source: ITU-T E.164 (11/2010), at most 15 digits, and its list of country codes.
    """
    code = next((digits[:n] for n in (1, 2, 3) if digits[:n] in CALLING_CODES), None)
    if code is None:
        return False
    national = digits[len(code) :]
    if code == "1":
        return len(national) == 10 and national[0] > "1" and national[3] > "1"
    return len(national) >= 6 and 8 <= len(digits) <= 15 and national[0] != "0"


def _email(text: str) -> bool:
    local, _, domain = text.rpartition("@")
    labels = domain.split(".")
    sound = all(label and label[0] != "-" and label[-1] != "-" for label in labels)
    dots = local[0] != "." and local[-1] != "." and ".." not in local
    return sound and dots and len(local) <= 64 and not labels[-1].isdigit()


def _ip(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_unspecified or address.is_loopback or address.is_multicast)


def _packed(text: str) -> str:
    return re.sub(r"[\s./()-]", "", text).upper()


_Test = Callable[[str], bool]
_FORMS: tuple[tuple[Kind, re.Pattern[str], _Test], ...] = (
    (
        "email",
        # RFC 5321 section 4.1.2, without quoted local parts and address literals.
        re.compile(r"(?<![\w.+-])[\w.!#$%&'*+/=?^`{|}~-]+@(?:[\w-]+\.)+[A-Za-z][\w-]*[\w](?![\w@])"),
        _email,
    ),
    (
        "iban",
        re.compile(
            r"(?<![\w-])[A-Za-z]{2}\d\d(?:[ -]?[A-Za-z0-9]{4}){2,7}(?:[ -]?[A-Za-z0-9]{1,3})?"
            r"(?![\w-])"
        ),
        lambda text: is_iban(_packed(text)),
    ),
    (
        "cnpj",
        re.compile(
            _BEFORE + r"(?:\w\w\.\w{3}\.\w{3}/\w{4}-\d\d|[0-9A-Z]{12}\d\d)" + _AFTER, re.ASCII
        ),
        lambda text: is_cnpj(_packed(text)),
    ),
    (
        "cpf",
        re.compile(_BEFORE + r"(?:\d{3}\.\d{3}\.\d{3}-\d\d|\d{9}-\d\d|\d{11})" + _AFTER),
        lambda text: is_cpf(_packed(text)),
    ),
    (
        "card",
        re.compile(_BEFORE + r"\d(?:[ -]?\d){11,18}" + _AFTER),
        lambda text: is_card(_packed(text)),
    ),
    (
        "nif",
        re.compile(
            _BEFORE + r"(?:ES[ -]?)?(?:\d{8}[ -]?[A-Za-z]|\d\d\.\d{3}\.\d{3}[ -]?[A-Za-z]"
            r"|[XYZxyzKLMklm][ -]?\d\.?\d{3}\.?\d{3}[ -]?[A-Za-z]"
            r"|[A-HJNP-SUVWa-hjnp-suvw][ -]?\d\d\.?\d{3}\.?\d\d[ -]?[0-9A-Ja-j])" + _AFTER
        ),
        lambda text: is_nif(_packed(text).removeprefix("ES")),
    ),
    (
        "nif",
        re.compile(_BEFORE + r"PT[ -]?\d{3}[ .-]?\d{3}[ .-]?\d{3}" + _AFTER),
        lambda text: is_nif_pt(_packed(text).removeprefix("PT")),
    ),
    (
        "phone",
        re.compile(
            r"(?<![\w+.-])\+\d(?:[ .()/-]{0,2}\d){7,14}" + _AFTER
        ),
        lambda text: is_phone(_packed(text).removeprefix("+")),
    ),
    (
        "phone",
        # Brazil: (11) 91234-5678; North America: (212) 555-0123, 212-555-0123; Spain: 612 345 678.
        re.compile(
            r"(?<![\w+.-])(?:\([1-9]{2}\) ?9?[2-9]\d{3}-\d{4}"
            r"|(?:\([2-9]\d\d\) ?|[2-9]\d\d[-.])[2-9]\d\d[-.]\d{4}"
            r"|[6789]\d\d (?:\d{3} \d{3}|\d\d \d\d \d\d))" + _AFTER
        ),
        lambda _: True,
    ),
    (
        "ip",
        re.compile(r"(?<![\w.:])(?<![vV])(?:\d{1,3}(?:\.\d{1,3}){3}|(?=\S*:\S*:)[0-9A-Fa-f:.]{3,45}(?<![:.])|[0-9A-Fa-f:]+::)(?![\w:]|\.\d)"),
        _ip,
    ),
)  # fmt: skip


def _candidates(text: str) -> Iterator[Found]:
    """Identifiers of every form, the forms that say most first; they may overlap."""
    for kind, form, test in _FORMS:
        for match in form.finditer(text):
            if test(match.group()):
                yield Found(kind=kind, start=match.start(), stop=match.end())
