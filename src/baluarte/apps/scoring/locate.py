"""Where in a JSON text something is wrong: the slow second look at a body that was refused.

The decoder is fast and says little; this walk says the path. It looks at a bounded number of
tokens, so that a refused body can't cost more than an accepted one.

Source: RFC 8259; section 4 leaves duplicate keys open, we refuse them.
"""

from __future__ import annotations

import re

from baluarte.apps.scoring.problem import ProblemFault, Refusal

MAX_TOKENS = 50_000

_SPACE = re.compile(rb"[ \t\n\r]*")
_STRING = re.compile(rb'"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*"')
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(rb"true|false|null")
_ODD = re.compile(rb"-?[A-Za-z_]+|[^ \t\n\r,\]}]{1,20}")
_MAX_DIGITS = 400  #: of one number; the largest finite float64 has 309


class _Open:
    """One object or array that is open, and where in it the walk is."""

    __slots__ = ("index", "is_object", "key", "keys")

    def __init__(self, *, is_object: bool) -> None:
        self.is_object = is_object
        self.index = 0
        self.key = ""
        self.keys: set[str] = set()


class _Walk:
    """One pass over a text; a grammar of values, keys, commas and ends."""

    def __init__(self, body: bytes, *, max_depth: int, root: str) -> None:
        self.body = body
        self.at = 0
        self.max_depth = max_depth
        self.root = root
        self.stack: list[_Open] = []

    def path(self) -> str:
        steps = (f".{o.key}" if o.is_object else f"[{o.index}]" for o in self.stack)
        return self.root + "".join(steps)

    def refuse(self, code: str, expected: str, found: str) -> Refusal:
        return Refusal(
            code, faults=[ProblemFault(path=self.path(), expected=expected, found=found)]
        )

    def odd(self, expected: str) -> Refusal:
        match = _ODD.match(self.body, self.at)
        found = match[0].decode("utf-8", "replace")[:40] if match else "the end of the body"
        if not match and self.at < len(self.body):
            found = chr(self.body[self.at])
        return self.refuse("malformed_json", expected, found)

    def skip(self) -> bytes:
        match = _SPACE.match(self.body, self.at)
        self.at = match.end() if match else self.at
        return self.body[self.at : self.at + 1]

    def string(self, expected: str) -> str:
        match = _STRING.match(self.body, self.at)
        if match is None:
            raise self.odd(expected)
        try:
            text = match[0][1:-1].decode("utf-8")
        except UnicodeDecodeError:
            raise self.refuse("malformed_json", "UTF-8", "other bytes") from None
        self.at = match.end()
        return _unescape(text)

    def value(self) -> None:
        """Step over one scalar, or open an object or array."""
        first = self.skip()
        if first in (b"{", b"["):
            if len(self.stack) >= self.max_depth:
                raise self.refuse("too_deep", f"at most {self.max_depth} levels", "one more")
            self.stack.append(_Open(is_object=first == b"{"))
            self.at += 1
        elif first == b'"':
            self.string("a string")
        elif match := _WORD.match(self.body, self.at):
            self.at = match.end()
        elif match := _NUMBER.match(self.body, self.at):
            self.at = match.end()
            text = match[0].decode()
            if len(text) > _MAX_DIGITS or abs(float(text)) == float("inf"):
                shown = text if len(text) <= 40 else f"a number of {len(text)} digits"
                raise self.refuse("number_out_of_range", "a finite 64-bit number", shown)
        else:
            raise self.odd("a JSON value")

    def key(self) -> None:
        level = self.stack[-1]
        level.key = self.string("a key in double quotes")
        if level.key in level.keys:
            raise self.refuse("duplicate_key", "each key once", f"{level.key!r} again")
        level.keys.add(level.key)
        if self.skip() != b":":
            raise self.odd("a colon after the key")
        self.at += 1


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text

    def one(match: re.Match[str]) -> str:
        escape = match[1]
        return chr(int(escape[1:], 16)) if escape[0] == "u" and len(escape) == 5 else escape

    said = re.sub(r"\\(u[0-9a-fA-F]{4}|.)", one, text)
    # Two halves are one character, and a half alone is none that could be told.
    return said.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def explain(body: bytes, *, max_depth: int, root: str = "$") -> Refusal | None:
    """The first thing that is wrong with a JSON text, with its path.

    Args:
        root: the path of the text itself, such as ``$[3]`` for the fourth line.

    Returns:
        None where nothing was found within the bounded look.
    """
    walk = _Walk(body, max_depth=max_depth, root=root)
    try:
        for _ in range(MAX_TOKENS):
            if not _step(walk):
                return None
    except Refusal as refusal:
        return refusal
    return None


def _step(walk: _Walk) -> bool:
    """One value, with the key before it and the ends after it; False at the end of the text."""
    if walk.stack:
        level = walk.stack[-1]
        first = walk.skip()
        if first == (b"}" if level.is_object else b"]") and level.index == 0 and not level.keys:
            walk.at += 1
            walk.stack.pop()
            return _after(walk)
        if level.is_object:
            walk.key()
    depth = len(walk.stack)
    walk.value()
    return True if len(walk.stack) > depth else _after(walk)


def _after(walk: _Walk) -> bool:
    """Step over the commas and ends that follow a value."""
    while walk.stack:
        level = walk.stack[-1]
        first = walk.skip()
        walk.at += 1
        if first == b",":
            level.index += 1
            if level.is_object and walk.skip() != b'"':
                raise walk.odd("a key in double quotes")
            return True
        if first != (b"}" if level.is_object else b"]"):
            walk.at -= 1
            raise walk.odd(
                "a comma or the end of the " + ("object" if level.is_object else "array")
            )
        walk.stack.pop()
    if walk.skip():
        raise walk.odd("nothing after the value")
    return False
