"""baluarte.core.national: a column of national numbers is found, one of other numbers is not."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from baluarte.core.national import national_phones, national_tax_numbers

RNG = random.Random(5)


def d(n: int) -> str:
    return "".join(RNG.choices("0123456789", k=n))


PHONES: dict[str, Callable[[], str]] = {
    "PT": lambda: f"9{RNG.choice('1236')}{d(1)} {d(3)} {d(3)}",
    "PT, landline": lambda: f"2{RNG.randint(1, 9)}{d(1)} {d(3)} {d(3)}",
    "ES": lambda: f"6{d(2)} {d(2)} {d(2)} {d(2)}",
    "ES, landline": lambda: f"9{RNG.randint(1, 8)} {d(3)} {d(2)} {d(2)}",
    "BR": lambda: f"({RNG.choice(['11', '21', '61', '98'])}) 9{d(4)}-{d(4)}",
    "FR": lambda: f"0{RNG.randint(1, 9)} {d(2)} {d(2)} {d(2)} {d(2)}",
    "DE": lambda: f"0{RNG.choice(['30', '171', '221'])} {RNG.randint(1, 9)}{d(6)}",
    "GB": lambda: f"07{d(3)} {d(6)}",
    "GB, London": lambda: f"020 {d(4)} {d(4)}",
    "US": lambda: f"({RNG.randint(2, 9)}{d(2)}) {RNG.randint(2, 9)}{d(2)}-{d(4)}",
}
OTHERS: dict[str, Callable[[], str]] = {
    "amounts": lambda: f"{RNG.randint(1, 9999)}.{d(2)}",
    "counts": lambda: str(RNG.randint(1, 9999)),
    "order numbers": lambda: f"9{d(8)}",
    "seconds": lambda: str(RNG.randint(1_500_000_000, 1_800_000_000)),
    "dates": lambda: f"{RNG.randint(1, 28):02} {RNG.randint(1, 12):02} 20{d(2)}",
    "times": lambda: f"{RNG.randint(0, 23):02}:{RNG.randint(0, 59):02}:{RNG.randint(0, 59):02}",
    "versions": lambda: f"{RNG.randint(0, 9)}.{d(1)}.{d(2)}",
    "social security": lambda: f"{d(3)}-{d(2)}-{d(4)}",
    "books": lambda: f"978-{d(1)}-{d(4)}-{d(4)}-{d(1)}",
    "parts": lambda: f"{d(3)}-{d(3)}-{d(3)}",
    "post codes": lambda: f"{d(4)}-{d(3)}",
    "grouped thousands": lambda: f"{RNG.randint(1, 999)} {d(3)} {d(3)}",
    "places": lambda: f"{RNG.uniform(-90, 90):.5f}",
    "addresses": lambda: f"10.{RNG.randint(0, 255)}.{RNG.randint(0, 255)}.{RNG.randint(0, 255)}",
    "sort codes": lambda: f"{d(2)}-{d(2)}-{d(2)} {d(8)}",
    "articles": lambda: f"04{d(2)} {d(3)} {d(2)}",
    "words": lambda: f"plan {d(3)}",
}


def column(maker: Callable[[], str], n: int = 300) -> list[str]:
    return sorted({maker() for _ in range(n)})


@pytest.mark.parametrize("country", PHONES)
def test_telephones_of_a_country_are_found_by_their_form_and_bare_by_the_columns_name(
    country: str,
) -> None:
    texts = column(PHONES[country])
    assert national_phones(texts, named=False) >= 0.95 * len(texts)
    bare = ["".join(c for c in text if c.isdigit()) for text in texts]
    assert national_phones(bare, named=True) >= 0.95 * len(bare)
    assert national_phones(bare, named=False) == 0
    assert national_phones([*texts, *column(OTHERS["words"])], named=True) == 0


def test_of_columns_of_other_numbers_none_is_found_by_its_form() -> None:
    found = [name for name in OTHERS if national_phones(column(OTHERS[name]), named=False)]
    assert found == []


def test_of_columns_named_as_telephones_most_others_are_none() -> None:
    found = {name for name in OTHERS if national_phones(column(OTHERS[name]), named=True)}
    assert found <= {"order numbers"}  # nine digits that begin as a mobile's


def test_portuguese_tax_numbers_are_told_from_other_numbers_by_their_check_digit() -> None:
    def nif() -> str:
        body = RNG.choice("1235689") + d(7)
        rest = sum(int(x) * (9 - i) for i, x in enumerate(body)) % 11
        text = body + str(11 - rest if rest > 1 else 0)
        return RNG.choice([text, f"{text[:3]} {text[3:6]} {text[6:]}"])

    texts = column(nif)
    assert national_tax_numbers(texts) == len(texts)
    assert national_tax_numbers(column(lambda: f"2{d(8)}")) == 0
    assert national_tax_numbers(texts[:10]) == 0
