"""Features with more values than a table holds: rare categories, and free text."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from baluarte.core.chance import share_figure
from baluarte.core.contract import Contract
from baluarte.core.encode import MAX_CATEGORIES
from baluarte.core.event import Events
from baluarte.core.evidence import Finding

MANY = 0.05


class Cardinality:
    """Notes categories beyond the encoder's table, warns if they are one event in twenty.

    A text is noted: the encoder takes its form, not its words.
    """

    name: ClassVar[str] = "cardinality"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one a feature, the worst first."""
        found = []
        for field in contract.events.features:
            if field.name not in events.columns or field.type not in ("category", "text"):
                continue
            counts = Counter(v for v in events.columns[field.name].tolist() if v is not None)
            if field.type == "text" and counts:
                values: dict[str, str | int | float] = {"field": field.name, "n": len(counts)}
                figure = share_figure("different_texts", len(counts), counts.total())
                found.append(
                    Finding(
                        check="cardinality.text",
                        level="note",
                        field=field.name,
                        values=values,
                        evidence=(figure,),
                    )
                )
            elif len(counts) > MAX_CATEGORIES:
                held = sum(n for _, n in counts.most_common(MAX_CATEGORIES))
                rare, n = counts.total() - held, counts.total()
                share = rare / n
                values = {
                    "field": field.name, "n": len(counts), "most": MAX_CATEGORIES, "share": share,
                }  # fmt: skip
                found.append(
                    Finding(
                        check="cardinality.categories",
                        level="warn" if share > MANY else "note",
                        field=field.name,
                        values=values,
                        fix=field.name if share > MANY and field.role == "feature" else None,
                        evidence=(share_figure("beyond", rare, n),),
                    )
                )
        return sorted(found, key=lambda finding: finding.level == "note")
