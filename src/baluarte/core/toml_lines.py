"""Where each key of a TOML text stands, so that a fault can name its line.

``tomllib`` gives values without places. This scanner walks a text that ``tomllib`` has already
accepted, so it needs no error handling of its own.
Source: TOML v1.0.0, sections Keys, String, Array, Table, Inline Table, Array of Tables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

KeyPath = tuple[str | int, ...]  #: keys, and positions in arrays

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_SCALAR = re.compile(r"[^,\]}#\n]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2}(?!"))'
    r"|'''.*?'''(?:'{0,2}(?!'))"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)")


@dataclass(frozen=True, slots=True)
class Place:
    """One key or array element: its line, and the span of its value (a header's: of itself)."""

    line: int  #: from 1
    start: int
    end: int


def places(text: str) -> dict[KeyPath, Place]:
    """The place of every key, table header and array element of a valid TOML text."""
    return _Scanner(text).scan()


def line_of(known: dict[KeyPath, Place], path: KeyPath) -> int:
    """The line of a path; where it is not written out, that of the table it would be in."""
    while path and path not in known:
        path = path[:-1]
    return known[path].line if path else 1


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", " \n")  # same length: places stay those of the text
        self.at = 0
        self.found: dict[KeyPath, Place] = {}
        self.tables: dict[KeyPath, int] = {}  # arrays of tables: entries so far

    def scan(self) -> dict[KeyPath, Place]:
        table: KeyPath = ()
        while self._skip(_BLANK) < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self.found

    def _header(self) -> KeyPath:
        start = self.at
        is_array = self.text.startswith("[[", start)
        self.at += 2 if is_array else 1
        keys = self._keys()
        self.at += 2 if is_array else 1
        path = (*self._resolve(keys[:-1]), keys[-1])
        if is_array:
            position = self.tables.get(path, 0)
            self.tables[path] = position + 1
            self._put(path, start)
            path = (*path, position)
        elif path in self.tables:
            path = (*path, self.tables[path] - 1)
        self._put(path, start)
        return path

    def _resolve(self, keys: tuple[str, ...]) -> KeyPath:
        """The path of these keys, through the latest entry of each array of tables on the way."""
        path: KeyPath = ()
        for key in keys:
            path = (*path, key)
            if path in self.tables:
                path = (*path, self.tables[path] - 1)
        return path

    def _pair(self, table: KeyPath) -> None:
        start = self.at
        path = (*table, *self._keys())
        self.at += 1  # the equals sign
        self._skip(_SPACE)
        line = self._line(start)
        self._value(path, line=line)
        self._put(path, start)

    def _keys(self) -> tuple[str, ...]:
        keys = []
        while True:
            self._skip(_SPACE)
            keys.append(self._key())
            self._skip(_SPACE)
            if self.text[self.at] != ".":
                return tuple(keys)
            self.at += 1

    def _key(self) -> str:
        quoted = _STRING.match(self.text, self.at)
        if quoted:
            self.at = quoted.end()
            inner = quoted.group()[1:-1]
            return inner if quoted.group()[0] == "'" else _ESCAPE.sub(_unescape, inner)
        bare = _BARE_KEY.match(self.text, self.at)
        assert bare is not None, "the text was accepted by tomllib"  # noqa: S101 - our own bug
        self.at = bare.end()
        return bare.group()

    def _value(self, path: KeyPath, *, line: int) -> None:
        start = self.at
        if self.text[start] == "[":
            self._array(path)
        elif self.text[start] == "{":
            self._inline_table(path)
        else:
            self._skip(_STRING if self.text[start] in "\"'" else _SCALAR)
        self.found[path] = Place(line, start, self.at)

    def _array(self, path: KeyPath) -> None:
        self.at += 1
        position = 0
        while self.text[self._skip(_BLANK)] != "]":
            self._value((*path, position), line=self._line(self.at))
            position += 1
            if self.text[self._skip(_BLANK)] == ",":
                self.at += 1
        self.at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self.at += 1
        while self.text[self._skip(_BLANK)] != "}":
            self._pair(path)
            if self.text[self._skip(_BLANK)] == ",":
                self.at += 1
        self.at += 1

    def _skip(self, what: re.Pattern[str]) -> int:
        match = what.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at

    def _line(self, at: int) -> int:
        return self.text.count("\n", 0, at) + 1

    def _put(self, path: KeyPath, start: int) -> None:
        """Note a header's or pair's place, and of the tables that it is the first mention of."""
        for length in range(1, len(path) + 1):
            self.found.setdefault(path[:length], Place(self._line(start), start, self.at))


def _unescape(match: re.Match[str]) -> str:
    code = match.group(1)
    if code[0] in "uU":
        return chr(int(code[1:], 16))
    return _ESCAPES[code]
