"""Every error, grouped by who must act. A failed check or gate is a value, never one of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: where, what was expected and found, what to do."""

    message: str  #: what was expected and what was found
    where: str | None = None  #: file:line, row, field path
    hint: str | None = None  #: what to do

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        stop = "" if self.message.endswith((".", "?", "!", ":")) else "."
        cure = f"{stop} {self.hint}" if self.hint else ""
        return f"{place}{self.message}{cure}"


class BaluarteError(Exception):
    """The root: a message, where it happened and what to do about it.

    Args:
        message: what was expected and what was found.
        where: file and line, row, or field path.
        hint: what to do next, as a sentence or a command.
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.faults: tuple[Fault, ...] = (Fault(message, where, hint),)
        super().__init__(str(self.faults[0]))

    @classmethod
    def of(cls, faults: Sequence[Fault]) -> Self:
        """One error that reports every fault at once; ``faults`` is not empty."""
        first = faults[0]
        error = cls(first.message, where=first.where, hint=first.hint)
        error.faults = tuple(faults)
        error.args = ("\n".join(str(fault) for fault in faults),)
        return error

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.faults)


def _rebuild(cls: type[BaluarteError], faults: Sequence[Fault]) -> BaluarteError:
    return cls.of(faults)


class ContractError(BaluarteError):
    """The author of ``detector.toml`` or ``workspace.toml`` must act."""

    exit_code = 2


class DataError(BaluarteError):
    """The data's owner must act."""

    exit_code = 3


class TrustError(BaluarteError):
    """A signature, digest or proof does not hold: fail closed, never retry."""

    exit_code = 4


class OutsideError(BaluarteError):
    """The operator must act: disk, network, another program.

    Args:
        retryable: whether the same call may succeed later without anyone acting.
    """

    exit_code = 5

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.retryable = retryable
