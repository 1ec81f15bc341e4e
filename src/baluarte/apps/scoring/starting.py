"""How a worker starts, named by a parent that loads nothing of what a worker needs.

The parent's own loading would come before the worker's: it is short, and its memory small.
"""

from __future__ import annotations

import gc
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from baluarte.apps.scoring.settings import ServeSettings

if TYPE_CHECKING:
    from baluarte.apps.scoring.worker import Worker


def load(settings: ServeSettings) -> Worker:
    """A worker, made in its own process; one that can't start says why and ends."""
    gc.disable()  # what is loaded stays: to look through it on the way is time lost
    from baluarte.apps.scoring import worker  # noqa: PLC0415 - in the worker's process

    return worker.load(settings)


def load_when_told(settings: ServeSettings, word: Connection) -> Worker:
    """A spare worker: made ahead, and begun when the parent says so; without a word it ends."""
    gc.disable()
    from baluarte.apps.scoring import worker  # noqa: PLC0415 - in the worker's process

    return worker.load_when_told(settings, word)
