"""baluarte.core.keys: when a key may be believed."""

from __future__ import annotations

import msgspec
import pytest

from baluarte.core.keys import PublicKey, only_key
from baluarte.errors import TrustError

KEY = PublicKey(name="demo", public_key=b"k" * 32, not_before=10, not_after=20)


@pytest.mark.parametrize("at", [10, 15, 20])
def test_a_key_holds_from_its_first_to_its_last_moment(at: int) -> None:
    KEY.check_valid(at)


@pytest.mark.parametrize(("at", "word"), [(9, "not valid yet"), (21, "expired")])
def test_a_key_does_not_hold_outside(at: int, word: str) -> None:
    with pytest.raises(TrustError, match=word):
        KEY.check_valid(at)


def test_a_revoked_key_held_before_and_not_from_then_on() -> None:
    revoked = msgspec.structs.replace(KEY, revoked_at=15)
    revoked.check_valid(14)
    with pytest.raises(TrustError, match="revoked"):
        revoked.check_valid(15)


def test_only_a_known_key_is_found() -> None:
    assert only_key([KEY], KEY.key_id) is KEY
    with pytest.raises(TrustError, match="not trusted"):
        only_key([KEY], "0" * 64)
