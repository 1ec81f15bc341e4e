"""A foreign model as one sum: a constant, trees' leaves and weighted columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from baluarte.core.program.draft import Draft
from baluarte.methods.foreign_columns import Column
from baluarte.methods.foreign_linear import linear_draft
from baluarte.methods.foreign_trees import ForeignTree, draft_trees
from baluarte.ports import Matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Additive:
    """A constant, trees over some columns, and columns with weights."""

    base: float = 0.0
    trees: tuple[ForeignTree, ...] = ()
    terms: tuple[tuple[Column, float], ...] = field(default=())

    def times(self, factor: float) -> Additive:
        """The sum, multiplied."""
        return Additive(
            base=self.base * factor,
            trees=tuple(replace(tree, value=tree.value * factor) for tree in self.trees),
            terms=tuple((column, weight * factor) for column, weight in self.terms),
        )

    def draft(self, columns: Sequence[Column], *, n_inputs: int, rows: Matrix) -> Draft:
        """The sum over the inputs; trees read ``columns`` by number.

        Raises:
            DataError: a step that no program can hold.
            ValueError: nodes that make no trees.
        """
        parts: list[Draft] = []
        if self.terms:
            parts.append(linear_draft(self.terms, base=0.0, n_inputs=n_inputs, rows=rows))
        linear = tuple(part for one in parts for part in one.parts)
        trees = (draft_trees(self.trees, columns, rows),) if self.trees else ()
        base = self.base + sum(one.base for one in parts)
        return Draft(n_features=n_inputs, base=base, parts=(*trees, *linear))


def total(parts: Sequence[Additive]) -> Additive:
    """Several sums as one."""
    return Additive(
        base=sum(part.base for part in parts),
        trees=tuple(tree for part in parts for tree in part.trees),
        terms=tuple(term for part in parts for term in part.terms),
    )
