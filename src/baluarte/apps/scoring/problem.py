"""A refusal as the caller sees it: an HTTP status, a stable code, and faults with their paths.

Nothing of the inside - paths of files, handles, traces - is ever put into one.

Source: RFC 9457, problem details for HTTP APIs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

CONTENT_TYPE = "application/problem+json"

#: code -> (status, title); the codes are part of the interface.
CODES: dict[str, tuple[int, str]] = {
    "malformed_json": (400, "The body is not JSON."),
    "duplicate_key": (400, "An object names the same key twice."),
    "number_out_of_range": (400, "A number is not a finite 64-bit number."),
    "too_deep": (400, "The body nests too deeply."),
    "wrong_shape": (400, "The body is not an event, nor a list of events."),
    "bad_query": (400, "A query parameter is not known or has a wrong value."),
    "bad_host": (400, "A request names exactly one host."),
    "incomplete_body": (400, "The body is shorter than was announced."),
    "unauthorized": (401, "The request has no valid key."),
    "forbidden": (403, "The key's account may not do this."),
    "not_found": (404, "There is no such resource."),
    "method_not_allowed": (405, "The resource doesn't have this method."),
    "too_slow": (408, "The body didn't come in time."),
    "event_id_taken": (409, "An event's id stands for another event."),
    "body_too_large": (413, "The body is too large."),
    "too_many_rows": (413, "The request has too many events."),
    "unsupported_media_type": (415, "The body's content type is not known."),
    "misdirected": (421, "This server doesn't answer for that host."),
    "invalid_event": (422, "An event doesn't conform to the detector's schema."),
    "too_many_requests": (429, "The key asks too often."),
    "quota_used_up": (429, "The tenant has no events left today."),
    "no_room_to_record": (503, "Decisions can't be recorded, so none are made."),
    "nearly_full": (503, "The ledger's disk is nearly full, so no more decisions are made."),
    "labels_not_kept": (503, "Labels can't be kept now; none of these were."),
    "state_away": (503, "The state of window features is away, so nothing is decided."),
    "keys_away": (503, "Personal values can't be sealed now, so nothing is decided."),
    "still_deciding": (503, "The event is being decided by another request."),
    "first_away": (503, "The first decision on an event can't be read now."),
    "no_champion": (503, "The detector has no version that decides."),
    "overloaded": (503, "Too many events are waiting."),
    "internal": (500, "The server failed; nothing was decided."),
}


class ProblemFault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong, and where in the body or the request."""

    path: str  #: such as ``$[3].flow.bytes``
    message: str = ""
    expected: str = ""
    found: str = ""
    hint: str = ""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a refusal."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    faults: tuple[ProblemFault, ...] = ()


class Refusal(Exception):  # noqa: N818 - it is the caller's answer, not our error
    """Ends a request with a problem.

    Args:
        code: one of the codes of its door.
        retry_after_s: when the same request may succeed.
    """

    codes: ClassVar[Mapping[str, tuple[int, str]]] = CODES

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        faults: Sequence[ProblemFault] = (),
        retry_after_s: int | None = None,
        allow: str = "",
    ) -> None:
        super().__init__(code)
        self.code = code
        self.plain = False  # the route's clients look for the reason under the key ``error``
        self.body_read = False  # what follows an unread body on the connection can't be trusted
        self.status, title = self.codes[code]
        self.problem = Problem(
            type=f"urn:baluarte:problem:{code}",
            title=title,
            status=self.status,
            code=code,
            detail=detail,
            faults=tuple(faults),
        )
        self.headers: list[tuple[str, str]] = []
        if retry_after_s is not None:
            self.headers.append(("retry-after", str(retry_after_s)))
        if allow:
            self.headers.append(("allow", allow))
        if self.status == 401:
            self.headers.append(("www-authenticate", "Bearer"))

    def head(self) -> list[tuple[str, str]]:
        """The answer's headers; the connection ends with it unless the body was read."""
        kind = "application/json" if self.plain else CONTENT_TYPE
        head = [("content-type", kind), *self.headers]
        return head if self.body_read else [*head, ("connection", "close")]

    def body(self) -> bytes:
        """The problem as JSON."""
        if not self.plain:
            return msgspec.json.encode(self.problem)
        said = [self.problem.title, self.problem.detail]
        for fault in self.problem.faults:
            said.append(f"{fault.path}: {fault.message}".rstrip(": "))
            if fault.expected:
                said.append(f"{fault.path}: expected {fault.expected}, found {fault.found}")
        text = " ".join(part for part in said if part)
        return msgspec.json.encode({"error": text, "code": self.code})


def wrong_shape(path: str, expected: str, found: str) -> Refusal:
    """400: something in a body is not what stands there in this protocol."""
    return Refusal(
        "wrong_shape", faults=[ProblemFault(path=path, expected=expected, found=found[:200])]
    )
