"""Refusals of the control plane: as the data plane's, with codes of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from baluarte.apps.scoring.problem import CODES as SHARED
from baluarte.apps.scoring.problem import Refusal
from baluarte.errors import BaluarteError, DataError, OutsideError, TrustError

_OF_BOTH = (
    "malformed_json", "duplicate_key", "number_out_of_range", "too_deep", "bad_query", "bad_host",
    "not_found", "method_not_allowed", "too_slow", "incomplete_body", "body_too_large",
    "unsupported_media_type", "misdirected", "too_many_requests",
)  # fmt: skip
#: code -> (status, title); the codes are part of the interface.
CODES: dict[str, tuple[int, str]] = {
    **{code: SHARED[code] for code in _OF_BOTH},
    "wrong_shape": (400, "The body is not what this route takes."),
    "not_let_in": (401, "The name and the password, or the provider, let nobody in."),
    "unauthorized": (401, "The request has no session and no key that hold."),
    "cross_site": (403, "A change doesn't come from a page of this console."),
    "forbidden": (403, "The account may not do this."),
    "conflict": (409, "What there is doesn't allow it."),
    "not_trusted": (409, "A signature or a digest doesn't hold."),
    "too_many_tries": (429, "Too many sign-ins of this address failed."),
    "overloaded": (503, "Too much is asked at the same time."),
    "away": (503, "A store, the ledger or a provider is away; nothing was changed."),
    "internal": (500, "The server failed."),
}


class Refused(Refusal):
    """Ends a request of the control plane with a problem."""

    codes: ClassVar[Mapping[str, tuple[int, str]]] = CODES


def of_error(error: BaluarteError) -> Refused:
    """The caller's answer to an error; where something stands on the disk is not told."""
    if isinstance(error, DataError):
        said = [f"{fault.message}. {fault.hint or ''}".strip() for fault in error.faults]
        return Refused("conflict", " ".join(said))
    if isinstance(error, TrustError):
        return Refused("not_trusted")
    if isinstance(error, OutsideError):
        return Refused("away", retry_after_s=5)
    return Refused("internal")
