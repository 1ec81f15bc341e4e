"""XML as elements, read within bounds: no document type, no entities, no other file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from baluarte.errors import DataError

_MAX_ELEMENTS = 1 << 23
_MAX_DEPTH = 4096


@dataclass(slots=True)
class Element:
    """One element: its name without namespace, its attributes and what is in it."""

    tag: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def get(self, name: str, absent: str = "") -> str:
        """An attribute."""
        return self.attributes.get(name, absent)

    def all(self, tag: str) -> Iterator[Element]:
        """The children with this name."""
        return (child for child in self.children if child.tag == tag)

    def one(self, tag: str) -> Element | None:
        """The first child with this name."""
        return next(self.all(tag), None)


def read_xml(data: bytes) -> Element:
    """The root element.

    Raises:
        DataError: no well-formed XML, a document type or entities, or too large or deep.
    """
    root = Element("", {})
    open_ones = [root]
    n_elements = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal n_elements
        n_elements += 1
        if n_elements > _MAX_ELEMENTS or len(open_ones) > _MAX_DEPTH:
            raise DataError(
                f"expected at most {_MAX_ELEMENTS} elements, {_MAX_DEPTH} deep, found more"
            )
        element = Element(tag.rpartition(" ")[2], attributes)
        open_ones[-1].children.append(element)
        open_ones.append(element)

    def end(tag: str) -> None:  # noqa: ARG001 - expat's
        open_ones.pop()

    def text(said: str) -> None:
        if said.strip():
            open_ones[-1].text += said

    def refuse(*_: object) -> int:
        raise DataError(
            "expected XML without a document type and entities, found one",
            hint="Take the <!DOCTYPE …> out: nothing here needs it.",
        )

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    try:
        parser.Parse(data, True)  # noqa: FBT003 - expat's only way to say the end
    except (expat.ExpatError, ValueError) as error:
        raise DataError(f"not readable as XML: {error}") from error
    return root.children[0]
