"""What a server writes to its log: states of the server, never what it was asked.

A log says when workers come and go, which versions were let in or refused, when the ledger, the
registry or another store is away and back, and that a request failed by our own bug. It never holds
a field's value, an event, a body, a header, a key or a token, nor who asked: what must be known of
a decision is in the ledger, where it is sealed and can be erased. So the text of an unexpected
exception, which may quote a value, is left out; its type and its place in the code stay.

One JSON object a line (RFC 8259, times of RFC 3339), or plain text.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from datetime import UTC, datetime
from typing import Literal

import msgspec

Form = Literal["text", "json"]

#: what a message may carry beside its text, by ``extra``; nothing else of a record is written
FIELDS = ("detector", "version", "shard", "code", "tenant")
_MAX_FRAMES = 24
_FAMILIES = frozenset({"baluarte"})  #: whose messages are ours, or of the HTTP server


class LogLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line in JSON."""

    at: str
    level: str
    logger: str
    pid: int
    message: str
    detector: str | None = None
    version: int | None = None
    shard: str | None = None
    code: str | None = None
    tenant: str | None = None
    error: str | None = None  #: the type of an unexpected exception
    frames: tuple[str, ...] = ()  #: where it came from, the innermost last


class JsonLines(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        error, frames = _exception(record)
        said = {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        line = LogLine(
            at=f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S.%f}Z",
            level=record.levelname.lower(),
            logger=record.name,
            pid=os.getpid(),
            message=_message(record),
            error=error,
            frames=frames,
            **said,
        )
        return msgspec.json.encode(line).decode()


class PlainText(logging.Formatter):
    """A record as text for a terminal; control characters can't start a line of their own."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        error, frames = _exception(record)
        said = [f"{name}={getattr(record, name)}" for name in FIELDS if hasattr(record, name)]
        parts = [f"  {record.levelname} {record.name}: {_message(record)}", *said]
        if error is not None:
            parts.append(f"({error} at {' < '.join(reversed(frames))})")
        return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in " ".join(parts))


def configure(form: Form) -> None:
    """Write this process's log to standard error: all for machines, what is wrong for people."""
    level = logging.INFO if form == "json" else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else PlainText())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for family in _FAMILIES:
        logging.getLogger(family).setLevel(level)


def _message(record: logging.LogRecord) -> str:
    """The text of our own messages; of a library's only that it said something.

    A library that logs what it works on would put an event into the log.
    """
    if record.name.partition(".")[0] in _FAMILIES:
        return record.getMessage()
    return f"a message of {record.name} ({record.module}:{record.lineno})"


def _exception(record: logging.LogRecord) -> tuple[str | None, tuple[str, ...]]:
    """The type of a record's exception, and its frames; never its text."""
    info = record.exc_info
    if not isinstance(info, tuple) or info[0] is None:
        return None, ()
    frames = traceback.extract_tb(info[2])[-_MAX_FRAMES:]
    return info[0].__name__, tuple(
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames
    )
