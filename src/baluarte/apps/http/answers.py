"""Answers as bytes.

Source: RFC 9110 (HTTP semantics), RFC 9112 (HTTP/1.1), RFC 9457 (problem details).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import ClassVar

import msgspec

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_BODILESS = frozenset({204, 304})
_MOST_STARTS = 64
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_CLOSE = b"connection: close\r\n"


class _Now:
    """What is the same for all answers of one second."""

    second = -1
    date = b""
    #: of answers with a type and no other header
    starts: ClassVar[dict[tuple[int, str], bytes]] = {}


def answer_bytes(
    status: int, headers: Sequence[tuple[str, str]], body: bytes, *, ends: bool, bodiless: bool
) -> bytes:
    """An answer.

    Args:
        ends: whether the connection ends with it.
        bodiless: whether the caller asked for the head alone.

    Raises:
        ValueError: a header is none.
    """
    date = date_line()
    if (
        len(headers) == 1
        and headers[0][0] == "content-type"
        and not (ends or bodiless)
        and status not in _BODILESS
    ):
        start = _Now.starts.get((status, headers[0][1]))
        if start is None:
            start = b"".join((_start(status, headers), date, b"content-length: "))
            if len(_Now.starts) < _MOST_STARTS:
                _Now.starts[status, headers[0][1]] = start
        return b"%b%d\r\n\r\n%b" % (start, len(body), body)
    if status in _BODILESS:
        length, body = b"", b""
    else:
        length = b"content-length: %d\r\n" % len(body)
    if bodiless:
        body = b""
    end = _CLOSE if ends else b""
    return b"".join((_start(status, headers), date, length, end, b"\r\n", body))


def bare(status: int, detail: str = "") -> bytes:
    """An answer that no service gives; the connection ends with it.

    Args:
        detail: what was expected; with it the answer is a problem (RFC 9457).
    """
    if not detail:
        return answer_bytes(status, [], b"", ends=True, bodiless=False)
    said = {"title": _PHRASES[status], "status": status, "detail": detail}
    body = msgspec.json.encode(said)
    head = [("content-type", "application/problem+json")]
    return answer_bytes(status, head, body, ends=True, bodiless=False)


def date_line() -> bytes:
    """The header that says when."""
    second = int(time.time())
    if second != _Now.second:
        _Now.second = second
        _Now.date = f"date: {formatdate(second, usegmt=True)}\r\n".encode()
        _Now.starts.clear()
    return _Now.date


def _start(status: int, headers: Sequence[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, '')}"]
    for name, value in headers:
        if name != "connection":  # whether it ends is told once, where that is known
            lines.append(f"{name}: {value}")
    if any("\r" in line or "\n" in line or "\0" in line for line in lines):
        raise ValueError("a header of an answer has a line's end in it")
    return "\r\n".join([*lines, ""]).encode("latin-1")
