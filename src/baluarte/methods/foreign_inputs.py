"""The inputs of a foreign model while its graph is walked: which are numbers, which are codes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from baluarte.core.adopted import ModelInput
from baluarte.errors import DataError
from baluarte.methods.foreign_columns import Coded, Column, Number


@dataclass(slots=True, kw_only=True)
class Inputs:
    """Collects what the graph says of each input."""

    names: Sequence[str | None]
    where: str
    tables: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def coded(self, j: int, values: Mapping[str, float], *, other: float, missing: float) -> Coded:
        """A category input with the value that the model sees for each text.

        Raises:
            DataError: the input was given other texts before.
        """
        known = self.tables.setdefault(j, tuple(values))
        if not values.keys() <= set(known):
            raise DataError(
                f"the model codes {self.names[j]} twice, with different categories",
                where=self.where,
                hint="Use one encoder for the field.",
            )
        table = (*(values.get(text, other) for text in known), other)
        return Coded(j, tuple(float(value) for value in table), float(missing))

    def finished(
        self,
        columns: Sequence[Column],
        *,
        whole: Collection[int] = (),
        undefined: Collection[int] = (),
    ) -> tuple[ModelInput, ...]:
        """All inputs, once the columns that the model reads are known.

        Args:
            whole: inputs that the model compares with sets of codes.
            undefined: numbers of the columns of which the model says nothing for missing values.

        Raises:
            DataError: an input is read as a number and as a category.
        """
        numbers = {column.input for column in columns if isinstance(column, Number)}
        both = sorted(numbers & self.tables.keys())
        if both:
            raise DataError(
                f"the model reads {self.names[both[0]]} as a number and as a category",
                where=self.where,
                hint="Give it the field once for each, under two names.",
            )
        closed = {columns[k].input for k in undefined if columns[k].passes_missing}
        return tuple(
            ModelInput(
                name=name,
                categories=self.tables.get(j),
                whole=j in whole,
                missing=j not in closed,
            )
            for j, name in enumerate(self.names)
        )
