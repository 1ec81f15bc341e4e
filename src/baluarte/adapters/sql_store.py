"""What a store of ours asks of a SQL database, whichever it is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class SqlStore(Protocol):
    """One database, shared by the threads of a process; parameters are written ``?``."""

    def read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows of a query, outside of any transaction."""
        ...

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows of a statement, within :meth:`transaction`."""
        ...

    def many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """One statement for each of many rows, within :meth:`transaction`."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """All of the block or nothing; of two at the same time the second waits."""
        ...

    def close(self) -> None:
        """Let go of the database; nothing may be called after."""
        ...
