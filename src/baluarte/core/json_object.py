"""One line of JSON to one object, hiding nothing: what parsers let through is refused by name.

msgspec refuses NaN, Infinity, numbers beyond float64 and text that is not UTF-8; it keeps the last
of duplicate keys, which RFC 8259 section 4 leaves open and an attacker can use.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from baluarte.core.event_value import ValueRefusedError

_DECODER = msgspec.json.Decoder(dict[str, Any])
_BLANKS = b" \t\n\r"
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_OUT_OF_RANGE = re.compile(rb"(?<![\w.])-?\d[\d.]*[eE]\+?\d{3,}|\d{300,}")
_WORD = re.compile(rb"-?(?:NaN|Infinity|nan|inf)\b")


def decode_object(line: bytes) -> dict[str, Any]:
    """The object that a JSON text holds.

    Raises:
        ValueRefusedError: it is no JSON object, or holds something that no event may.
    """
    try:
        found = _DECODER.decode(line)
    except RecursionError:
        raise ValueRefusedError("expected a JSON object, found one nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueRefusedError(
            f"expected UTF-8, found byte {error.object[error.start]:#04x}",
            "Save the file as UTF-8.",
        ) from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise _refused(line, str(error)) from None
    # Without blanks every key ends with a quote and a colon, and what strings hold only adds to
    # their number: where there are no more of them than keys in the object, none was given twice.
    n_ends = line.translate(None, _BLANKS).count(b'":')
    if n_ends != len(found) and _has_repeated(line, n_ends, _count_keys(found)):
        raise ValueRefusedError(f"expected each key once, found {_repeated(line)} more than once")
    return found


def _has_repeated(line: bytes, n_ends: int, n_keys: int) -> bool:
    # Each key has one colon outside strings.
    return n_ends != n_keys and _STRING.sub(b"", line).count(b":") != n_keys


def _count_keys(value: Any) -> int:
    if type(value) is dict:
        return len(value) + sum(_count_keys(v) for v in value.values() if type(v) in (dict, list))
    return sum(_count_keys(item) for item in value if type(item) in (dict, list))


def _repeated(line: bytes) -> str:
    repeated: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                repeated.append(key)
            seen.add(key)

    json.loads(line, object_pairs_hook=look)
    return ", ".join(repr(key[:60]) for key in repeated[:3])


def _refused(line: bytes, reason: str) -> ValueRefusedError:
    bare = _STRING.sub(b'""', line)
    if word := _WORD.search(bare):
        return ValueRefusedError(
            f"expected JSON, found {word[0].decode()}", "Write null where a value is missing."
        )
    if number := _OUT_OF_RANGE.search(bare):
        shown = number[0].decode() if len(number[0]) <= 40 else f"one of {len(number[0])} digits"
        return ValueRefusedError(f"expected numbers within float64, found {shown}")
    if not line.lstrip().startswith(b"{"):
        return ValueRefusedError("expected a JSON object, found another value or no JSON")
    return ValueRefusedError(f"expected a JSON object: {reason}")
