"""Markup built from calls: whatever is not already markup is escaped, so no value can become code.

>>> tag("p", "5 < 6 & ", tag("b", "bold"), class_="lead")
'<p class="lead">5 &lt; 6 &amp; <b>bold</b></p>'
"""

from __future__ import annotations

from html import escape

_OF_HTML = frozenset({"br", "hr", "meta", "link", "input"})
VOID = _OF_HTML | frozenset({"circle", "line", "path", "polyline", "rect"})


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, /, *children: str | None, **attributes: str | float | None) -> Html:
    """One element. Children that are no :class:`Html` are escaped; None is left out.

    Attribute names may end in ``_`` (``class_``) and have ``_`` for ``-`` (``text_anchor``).
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_plain(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID and not children:
        return Html(f"<{name}{given}{'' if name in _OF_HTML else '/'}>")
    return Html(f"<{name}{given}>{join(children)}</{name}>")


def join(parts: tuple[str | None, ...] | list[Html] | list[str]) -> Html:
    """The parts one after another, escaped where they are no markup."""
    return Html("".join(_safe(part) for part in parts if part is not None))


def _safe(part: str) -> str:
    return part if isinstance(part, Html) else escape(part)


def _plain(value: str | float) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value)
