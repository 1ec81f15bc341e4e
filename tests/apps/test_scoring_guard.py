"""baluarte.apps.scoring.guard: who may ask, for which host, from where."""

from __future__ import annotations

import pytest

from baluarte.apps.scoring.guard import DAY_US, Guard, require_loopback, token_of
from baluarte.apps.scoring.problem import Refusal
from baluarte.errors import ContractError

NOW = 1_700_000_000_000_000
TOKEN = token_of("blt_" + "t" * 43, now_us=NOW)
GUARD = Guard(token_hash=TOKEN.token_hash, pepper=TOKEN.pepper, until_us=TOKEN.until_us, port=8317)


@pytest.mark.parametrize("header", [f"Bearer {TOKEN.text}", f"bearer  {TOKEN.text} "])
def test_the_token_is_let_in(header: str) -> None:
    GUARD.check_token(header, now_us=NOW)


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", TOKEN.text, f"Basic {TOKEN.text}", f"Bearer {TOKEN.text}x",
     f"Bearer {TOKEN.text[:-1]}", "Bearer \u00e9\ud7ff", "Bearer \udcff",
     token_of("blt_" + "u" * 43, now_us=NOW).text],
)  # fmt: skip
def test_anything_else_is_401(header: str | None) -> None:
    with pytest.raises(Refusal) as caught:
        GUARD.check_token(header, now_us=NOW)
    assert caught.value.status == 401
    assert ("www-authenticate", "Bearer") in caught.value.headers


def test_after_the_token_was_let_in_others_still_are_not() -> None:
    for _ in range(2):
        GUARD.check_token(f"Bearer {TOKEN.text}", now_us=NOW)
        with pytest.raises(Refusal):
            GUARD.check_token(f"Bearer {TOKEN.text} x", now_us=NOW)
        with pytest.raises(Refusal):
            GUARD.check_token("", now_us=NOW)


def test_a_token_holds_for_a_day() -> None:
    GUARD.check_token(f"Bearer {TOKEN.text}", now_us=NOW + DAY_US - 1)
    with pytest.raises(Refusal):
        GUARD.check_token(f"Bearer {TOKEN.text}", now_us=NOW + DAY_US)


def test_the_token_is_kept_only_as_a_hash() -> None:
    kept = (TOKEN.token_hash, TOKEN.pepper)
    assert all(TOKEN.text.encode() not in part for part in kept)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8317", "[::1]:8317", "LOCALHOST:8317"])
def test_loopback_names_are_ours(host: str) -> None:
    GUARD.check_host([host], None)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost:8318", "localhost.", "127.0.0.2", "",
     "169.254.169.254", "localhost:8317:1", "[::ffff:127.0.0.1]"],
)  # fmt: skip
def test_a_rebound_name_is_421(host: str) -> None:
    with pytest.raises(Refusal) as caught:
        GUARD.check_host([host], None)
    assert caught.value.status == 421


def test_an_absolute_target_must_be_ours_too() -> None:
    with pytest.raises(Refusal) as caught:
        GUARD.check_host(["localhost"], "evil.example")
    assert caught.value.status == 421


@pytest.mark.parametrize("hosts", [[], ["localhost", "localhost"]])
def test_none_or_two_hosts_are_400(hosts: list[str]) -> None:
    with pytest.raises(Refusal) as caught:
        GUARD.check_host(hosts, None)
    assert caught.value.status == 400


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_addresses_may_be_served_on(host: str) -> None:
    require_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "10.0.0.1", "example.org", ""])
def test_any_other_address_is_refused_before_anything_starts(host: str) -> None:
    with pytest.raises(ContractError, match="loopback"):
        require_loopback(host)
