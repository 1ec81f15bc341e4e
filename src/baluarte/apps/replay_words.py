"""What replay found, in words."""

from __future__ import annotations

from baluarte.apps.catalogue import Texts
from baluarte.core.difference import Difference


def difference_text(texts: Texts, difference: Difference | None) -> str:
    """The component, its field and both values."""
    if difference is None:
        return texts.get("replay.same")
    name = texts.get(f"replay.component_{difference.component}")
    if difference.field:
        name = texts.get("replay.component_of", component=name, field=difference.field)
    return texts.get(
        "replay.differs", component=name, recorded=difference.recorded, computed=difference.computed
    )
