"""baluarte.core.personal: what is an identifier is found, what only looks like one is not."""

from __future__ import annotations

import ipaddress
import random
import string
from collections import Counter
from collections.abc import Callable

from baluarte.core.personal import (
    Kind,
    personal_in,
)
from baluarte.core.personal_tables import CALLING_CODES, CARD_RANGES, IBAN_LENGTHS

RNG = random.Random(20)
N = 5_000


def digits(n: int) -> str:
    return "".join(RNG.choices(string.digits, k=n))


def grouped(text: str, by: int, mark: str) -> str:
    return mark.join(text[i : i + by] for i in range(0, len(text), by))


def card() -> str:
    low, high, lengths = RNG.choice(CARD_RANGES)
    prefix = str(RNG.randint(int(low), int(high)))
    body = prefix + digits(RNG.choice(lengths) - len(prefix) - 1)
    number = next(body + check for check in string.digits if luhn(body + check))
    style = RNG.randrange(3)
    return number if style == 0 else grouped(number, 4, " " if style == 1 else "-")


def luhn(number: str) -> bool:
    table = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
    odd, even = number[-1::-2], number[-2::-2]
    return (sum(map(int, odd)) + sum(table[int(d)] for d in even)) % 10 == 0


def iban() -> str:
    country = RNG.choice(sorted(IBAN_LENGTHS))
    body = digits(IBAN_LENGTHS[country] - 4)
    check = 98 - int(body + "".join(str(ord(c) - 55) for c in country) + "00") % 97
    text = f"{country}{check:02}{body}"
    return text if RNG.random() < 0.5 else grouped(text, 4, " ")


def modulo_11(values: list[int], weights: list[int]) -> int:
    rest = sum(a * b for a, b in zip(values, weights, strict=True)) % 11
    return 0 if rest < 2 else 11 - rest


def cpf() -> str:
    values = [RNG.randrange(10) for _ in range(9)]
    for n in (10, 11):
        values.append(modulo_11(values, list(range(n, 1, -1))))
    text = "".join(map(str, values))
    return text if RNG.random() < 0.5 else f"{text[:3]}.{text[3:6]}.{text[6:9]}-{text[9:]}"


def cnpj() -> str:
    alphabet = string.digits + (string.ascii_uppercase if RNG.random() < 0.2 else "")
    text = "".join(RNG.choices(alphabet, k=8)) + "0001"
    weights = [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]
    for n in (12, 13):
        text += str(modulo_11([ord(c) - 48 for c in text], weights[13 - n :]))
    if RNG.random() < 0.5:
        return f"{text[:2]}.{text[2:5]}.{text[5:8]}/{text[8:12]}-{text[12:]}"
    return text


def nif() -> str:
    letters = "TRWAGMYFPDXBNJZSQVHLCKE"
    number = RNG.randrange(10**8)
    if RNG.random() < 0.6:
        text, mark = f"{number:08}{letters[number % 23]}", "-"
        return text if RNG.random() < 0.7 else f"{text[:8]}{mark}{text[8:]}"
    first = RNG.randrange(3)
    rest = RNG.randrange(10**7)
    text = f"{'XYZ'[first]}{rest:07}{letters[(first * 10**7 + rest) % 23]}"
    return text if RNG.random() < 0.5 else f"{text[0]}-{text[1:8]}-{text[8]}"


def nif_pt() -> str:
    body = RNG.choice("125689") + digits(7)
    text = body + str(modulo_11([int(d) for d in body], list(range(9, 1, -1))))
    form = RNG.choice(["PT{}{}{}", "PT {} {} {}", "PT-{}.{}.{}"])
    return form.format(text[:3], text[3:6], text[6:])


def email() -> str:
    name = RNG.choice(["ana.ruiz", "j_silva", "o.brien+news", "m-99", "info"])
    return f"{name}{RNG.randrange(999)}@{RNG.choice(['banco', 'mail.corp', 'x-y'])}.{RNG.choice(['es', 'com', 'com.br', 'dev'])}"  # noqa: E501


def ip() -> str:
    if RNG.random() < 0.7:
        return ".".join(
            [str(RNG.choice([8, 10, 81, 192, 203])), *map(str, RNG.choices(range(256), k=3))]
        )
    return str(ipaddress.IPv6Address((0x2001 << 112) | RNG.getrandbits(100)))


def phone() -> str:
    style = RNG.randrange(5)
    if style == 0:
        return f"+34 6{digits(2)} {digits(3)} {digits(3)}"
    if style == 1:
        return f"+55119{RNG.randint(2, 9)}{digits(7)}"
    if style == 2:
        area = RNG.choice([11, 21, 61, 98])
        return f"({area}) 9{RNG.randint(2, 9)}{digits(3)}-{digits(4)}"
    if style == 3:
        return f"({RNG.randint(2, 9)}{digits(2)}) {RNG.randint(2, 9)}{digits(2)}-{digits(4)}"
    code = RNG.choice(sorted(CALLING_CODES - {"1"}))
    return f"+{code} {RNG.randint(1, 9)}{digits(8)}"


def nif_of_any_form() -> str:
    if RNG.random() < 0.3:
        return nif_pt()
    text = nif()
    if text[:8].isdigit() and RNG.random() < 0.3:
        text = f"{text[:2]}.{text[2:5]}.{text[5:]}"
    return f"ES{text}" if RNG.random() < 0.1 else text


MAKERS: dict[Kind, Callable[[], str]] = {
    "card": card, "iban": iban, "cpf": cpf, "cnpj": cnpj, "nif": nif_of_any_form,
    "email": email, "ip": ip, "phone": phone,
}  # fmt: skip


def one_digit_off(text: str) -> str:
    """The same with one digit changed, which every check digit notices."""
    places = [i for i, c in enumerate(text) if c.isdigit()]
    at = RNG.choice(places)
    return text[:at] + str((int(text[at]) + RNG.randint(1, 9)) % 10) + text[at + 1 :]


LOOKALIKES: tuple[Callable[[], str], ...] = (
    lambda: one_digit_off(card()),
    lambda: one_digit_off(iban()),
    lambda: one_digit_off(cpf()),
    lambda: one_digit_off(nif()),
    lambda: one_digit_off(nif_pt()),
    lambda: f"ORD-{digits(12)}",
    lambda: digits(16),
    lambda: digits(11),
    lambda: str(RNG.randint(1_500_000_000_000, 1_800_000_000_000)),  # milliseconds
    lambda: f"{RNG.getrandbits(128):032x}",
    lambda: f"{RNG.getrandbits(32):08x}-{RNG.getrandbits(16):04x}-4{RNG.getrandbits(12):03x}",
    lambda: f"2026-{RNG.randint(1, 12):02}-{RNG.randint(1, 28):02} 10:{digits(2)}:{digits(2)}",
    lambda: f"v{RNG.randint(1, 9)}.{RNG.randint(0, 20)}.{RNG.randint(0, 99)}.{digits(2)}",
    lambda: f"{RNG.randint(1, 10**7)}.{digits(2)}",
    lambda: f"{RNG.randint(256, 999)}.{RNG.randint(0, 255)}.1.{RNG.randint(0, 255)}",
    lambda: f"@user{digits(3)} at host-{digits(2)}",
    lambda: f"+{digits(4)}",
    lambda: f"{digits(3)}-{digits(2)}-{digits(4)}",
    lambda: f"{RNG.randint(0, 23):02}:{digits(2)}:{digits(2)}",
    lambda: f"1Z{digits(16)}",
    lambda: f"{RNG.uniform(-90, 90):.6f},{RNG.uniform(-180, 180):.6f}",
)
SENTENCES = (
    "{}",
    "{}",
    "see {}",
    "ref {}, closed",
    "call ({}) back",
    '"{}"',
    "{}; urgent",
    "de: {}.",
)


def test_of_5000_planted_99_in_100_are_found_and_95_of_100_found_are_such() -> None:
    kinds = list(MAKERS)
    hits, false, missed = 0, Counter[str](), Counter[str]()
    for i in range(N):
        kind = kinds[i % len(kinds)]
        text = RNG.choice(SENTENCES).format(MAKERS[kind]())
        found = [one.kind for one in personal_in(text)]
        hits += kind in found
        missed[f"{kind}: {text}"] += kind not in found
        false.update(other for other in found if other != kind)
    for i in range(N):
        text = RNG.choice(SENTENCES).format(LOOKALIKES[i % len(LOOKALIKES)]())
        false.update(f"{one.kind}: {text}" for one in personal_in(text))
    recall, precision = hits / N, hits / (hits + false.total())
    told = f"recall {recall:.4f}, precision {precision:.4f}: {+missed}, {false}"
    assert recall >= 0.99, told
    assert precision >= 0.95, told
