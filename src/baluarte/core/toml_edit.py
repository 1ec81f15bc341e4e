"""Edit a TOML text in place: one line or one item more, or one less, every other byte as it was."""

from __future__ import annotations

import json

from baluarte.core.toml_lines import KeyPath, Place, places


def quoted(text: str) -> str:
    """The text as a TOML basic string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def added(text: str, key: str, item: str) -> str:
    """The item in the list of this key of ``events``."""
    known = places(text)
    path: KeyPath = ("events", key)
    if path in known:
        return in_list(text, path, item)
    return in_events(text, f"{key} = [{item}]")


def removed(text: str, path: KeyPath) -> str:
    """The text without this item of a list, and without the comma that parted it."""
    known = places(text)
    place = known[path]
    start, stop = place.start, place.end
    rest = text[stop:]
    after = len(rest) - len(rest.lstrip(" \t\r\n"))
    if rest[after : after + 1] == ",":
        stop += after + 1
        stop += len(text[stop:]) - len(text[stop:].lstrip(" \t"))
    else:  # the last one: the comma before it goes
        before = text[:start].rstrip()
        if before.endswith(","):
            start = len(before) - 1
    return text[:start] + text[stop:]


def replaced(text: str, path: KeyPath, value: str) -> str:
    """The text with another value at this path, which is there."""
    place = places(text)[path]
    return text[: place.start] + value + text[place.end :]


def in_events(text: str, line: str) -> str:
    """The line as the first of ``events``, which is made where it is not there."""
    known = places(text)
    events = known.get(("events",))
    if events is None:
        return _before_first_table(text, known, f"[events]\n{line}\n\n")
    return _first_in(text, events, line, "events.")


def in_table(text: str, path: KeyPath, header: str, key: str, line: str) -> str:
    """The line in a table, which is made at the end of the file where it is not there."""
    known = places(text)
    old = known.get((*path, key))
    if old is not None:
        return f"{text[: old.start]}{line.partition(' = ')[2]}{text[old.end :]}"
    table = known.get(path)
    if table is not None:
        return _first_in(text, table, line, header.strip("[]") + ".")
    gap = "" if text.endswith("\n") else "\n"
    return f"{text}{gap}\n{header}\n{line}\n"


def _first_in(text: str, table: Place, line: str, dotted: str) -> str:
    """The line in a table that is there: of its own, inline, or of dotted keys."""
    line_start = text.rfind("\n", 0, table.start) + 1
    if text[line_start:].lstrip(" \t").startswith("["):
        end = text.find("\n", table.start)
        end = len(text) if end < 0 else end
        return f"{text[:end]}\n{line}{text[end:]}"
    if text[table.start] == "{":
        inside = text[table.start + 1 : table.end - 1].rstrip()
        comma = "," if inside.strip() else ""
        return f"{text[: table.start + 1]}{inside}{comma} {line} {text[table.end - 1 :]}"
    return f"{text[:line_start]}{dotted}{line}\n{text[line_start:]}"


def in_list(text: str, path: KeyPath, item: str) -> str:
    """The item behind the last one of a list; one that ends in a comma goes on so."""
    known = places(text)
    place = known[path]
    items = [p for at, p in known.items() if at[:-1] == path and isinstance(at[-1], int)]
    if not items:
        return f"{text[: place.start]}[{item}]{text[place.end :]}"
    end = max(p.end for p in items)
    return f"{text[:end].rstrip()}, {item}{text[end:]}"


def _before_first_table(text: str, known: dict[KeyPath, Place], block: str) -> str:
    tables = [
        p.start for p in known.values() if text[p.start] == "[" and _starts_line(text, p.start)
    ]
    start = min(tables, default=len(text))
    gap = "" if not text[:start] or text[:start].endswith("\n") else "\n"
    return f"{text[:start]}{gap}{block}{text[start:]}"


def _starts_line(text: str, at: int) -> bool:
    return text[text.rfind("\n", 0, at) + 1 : at].strip() == ""
