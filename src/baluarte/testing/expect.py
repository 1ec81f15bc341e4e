"""Expectations of the conformance suites; unlike ``assert`` they also hold under ``python -O``."""

from __future__ import annotations

from collections.abc import Callable

from baluarte.errors import BaluarteError


def same(found: object, expected: object) -> None:
    """Return if both are equal.

    Raises:
        AssertionError: they are not; the traceback says where.
    """
    if found != expected:
        raise AssertionError(f"expected {expected!r}, found {found!r}")


def refused(kind: type[Exception], action: Callable[[], object]) -> None:
    """Return if the action raises an error of this kind.

    Raises:
        AssertionError: it does nothing of the sort.
    """
    try:
        action()
    except kind:
        return
    raise AssertionError(f"expected {kind.__name__}, found an answer")


def expect(holds: bool, promise: str) -> None:
    """Return if a promise is kept.

    Raises:
        AssertionError: it isn't; the message is the promise.
    """
    if not holds:
        raise AssertionError(promise)


def refusal(act: Callable[[], object], promise: str) -> BaluarteError:
    """The error that an act ends with.

    Raises:
        AssertionError: it ends without one; the message is the promise.
    """
    try:
        act()
    except BaluarteError as error:
        return error
    raise AssertionError(promise)
