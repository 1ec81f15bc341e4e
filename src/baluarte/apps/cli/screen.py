"""What a command shows: calm lines for a person, or one JSON document for a program.

Colour carries meaning only (green kept, amber not enough data, red broken), and only on a terminal;
every line reads well without it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from baluarte.apps.catalogue import Texts

Tone = Literal["kept", "unsure", "broken", "plain", "dim"]
_CODES: Mapping[Tone, str] = {
    "kept": "32",
    "unsure": "33",
    "broken": "31;1",
    "plain": "",
    "dim": "2",
}
WIDTH = 100


class Screen:
    """Collects a command's result and shows it in the form that was asked for."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ and not as_json
        self.live = self.colour
        self._document: dict[str, object] = {}
        self._next = "Next"

    def speaks(self, texts: Texts) -> Texts:
        """Take the language of these texts for the screen's own words; returns the texts."""
        self._next = texts.get("build.next")
        return texts

    def paint(self, text: str, tone: Tone) -> str:
        """The text in a tone, where there is colour."""
        code = _CODES[tone]
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code else text

    def line(self, text: str = "", tone: Tone = "plain") -> None:
        """One line for a person."""
        if not self.as_json:
            print(self.paint(f"  {text}" if text else "", tone), flush=True)

    def item(self, label: str, text: str, tone: Tone = "plain") -> None:
        """A labelled line: the label in its column, wrapped at 100 columns under itself."""
        if self.as_json:
            return
        import textwrap  # noqa: PLC0415 - only for a person

        text = text.replace(" %", "\u00a0%")  # a number and its unit stay on one line
        rows = textwrap.wrap(text, WIDTH - 4 - max(10, len(label)), break_long_words=False) or [""]
        rows = [row.replace("\u00a0", " ") for row in rows]
        print(f"  {label:<10} {self.paint(rows[0], tone)}", flush=True)
        for row in rows[1:]:
            print(f"  {'':<10} {self.paint(row, tone)}", flush=True)

    def data(self, **values: object) -> None:
        """Values of the JSON document; its keys never translate."""
        self._document.update(values)

    def next(self, *commands: str) -> None:
        """The last line: what to do next."""
        self.data(next=list(commands))
        if not self.as_json and commands:
            print(f"  {self._next}: {' · '.join(commands)}", flush=True)

    def end(self, status: int = 0) -> int:
        """Write the JSON document, if one was asked for, and return the exit status."""
        if self.as_json:
            print(json.dumps(self._document, ensure_ascii=False, default=str))
        return status

    @contextmanager
    def progress(self, label: str) -> Iterator[Bar]:
        """A progress bar for long work; on a pipe, nothing until the line that follows."""
        bar = Bar(self, label)
        try:
            yield bar
        finally:
            bar.clear()


class Bar:
    """A one-line progress bar; meets ``ports.Progress``."""

    def __init__(self, screen: Screen, label: str) -> None:
        self._screen = screen
        self._label = label
        self._started = time.monotonic()
        self._shown = False

    def step(self, done: int, total: int, note: str = "") -> None:
        """``done`` of ``total`` steps are complete; a total of 0 is not known."""
        if not self._screen.live:
            return
        took = time.monotonic() - self._started
        if total:
            full = 19 * min(done, total) // total
            bar = f"{'█' * full}{'·' * (19 - full)} {done}/{total}"
        else:
            bar = f"{done:,}"
        text = f"  {self._label:<10} {bar}  {took:.0f} s  {note}"
        sys.stdout.write("\r\x1b[K" + text[:WIDTH])
        sys.stdout.flush()
        self._shown = True

    def clear(self) -> None:
        """Take the bar away; the result's own line comes in its place."""
        if self._shown:
            sys.stdout.write("\r\x1b[K")
            sys.stdout.flush()
            self._shown = False
