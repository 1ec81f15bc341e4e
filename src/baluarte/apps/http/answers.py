"""Answers as bytes.

Source: RFC 9110 (HTTP semantics), RFC 9112 (HTTP/1.1).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_BODILESS = frozenset({204, 304})
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_CLOSE = b"connection: close\r\n"


class _Date:
    """The header of this second."""

    second = -1
    line = b""


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
    head = _plain_start(status, *headers[0]) if len(headers) == 1 else _start(status, headers)
    if status in _BODILESS:
        length, body = b"", b""
    else:
        length = b"content-length: %d\r\n" % len(body)
    if bodiless:
        body = b""
    return b"".join((head, length, date_line(), _CLOSE if ends else b"", b"\r\n", body))


def bare(status: int) -> bytes:
    """An answer of nothing but its status; the connection ends with it."""
    return answer_bytes(status, [], b"", ends=True, bodiless=False)


def date_line() -> bytes:
    """The header that says when."""
    second = int(time.time())
    if second != _Date.second:
        _Date.second = second
        _Date.line = f"date: {formatdate(second, usegmt=True)}\r\n".encode()
    return _Date.line


@lru_cache(maxsize=256)
def _plain_start(status: int, name: str, value: str) -> bytes:
    """What comes before the length where there is one header; that is nobody's secret."""
    return _start(status, [(name, value)])


def _start(status: int, headers: Sequence[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, '')}"]
    for name, value in headers:
        if name != "connection":  # whether it ends is told once, where that is known
            lines.append(f"{name}: {value}")
    if any("\r" in line or "\n" in line or "\0" in line for line in lines):
        raise ValueError("a header of an answer has a line's end in it")
    return "\r\n".join([*lines, ""]).encode("latin-1")
