"""The conformance suite of registries."""

from __future__ import annotations

from typing import Literal

from baluarte.core.registry import (
    LabelIntake,
    LabelRow,
    Promotion,
    Shadowing,
    Version,
    WorkerState,
)
from baluarte.errors import DataError
from baluarte.ports import Registry
from baluarte.testing.expect import refused, same


def check_registry(registry: Registry) -> None:
    """Conformance of a fresh registry.

    Raises:
        AssertionError: it breaks a rule of the port.
    """
    one, two = _version("flows", 1), _version("flows", 2)
    same(registry.detectors(), [])
    same(registry.versions("flows"), [])
    same(registry.champion("flows"), None)
    refused(DataError, lambda: registry.add(two))
    for version in (one, two, _version("cards", 1)):
        registry.add(version)
    refused(DataError, lambda: registry.add(two))
    same(registry.versions("flows"), [one, two])
    same(registry.detectors(), ["cards", "flows"])
    _check_champions(registry, one, two)
    _check_shadows(registry, one, two)
    _check_workers(registry)
    _check_approvals_and_looks(registry)
    _check_labels(registry)


def _check_champions(registry: Registry, one: Version, two: Version) -> None:
    epochs = [registry.champion_epoch("flows")]
    kinds: tuple[Literal["promote", "rollback"], ...] = ("promote", "promote", "rollback")
    changes = [
        Promotion(detector="flows", version=v, at=at, actor="ada", reason="why", kind=kind)
        for v, at, kind in zip((1, 2, 1), (5, 6, 7), kinds, strict=True)
    ]
    for change in changes:
        registry.set_champion(change)
        epochs.append(registry.champion_epoch("flows"))
    same(epochs, sorted(set(epochs)))
    same(registry.champion("flows"), one)
    same(registry.promotions("flows"), changes)
    same(registry.champion("cards"), None)
    same(registry.champion_epoch("cards"), 0)
    nothing = Promotion(detector="flows", version=3, at=8, actor="ada", reason="", kind="promote")
    refused(DataError, lambda: registry.set_champion(nothing))
    same(registry.versions("flows")[1], two)


def _check_shadows(registry: Registry, one: Version, two: Version) -> None:
    def change(version: int, kind: Literal["shadow", "unshadow"], detector: str = "flows") -> None:
        registry.shadow(
            Shadowing(
                detector=detector, version=version, at=3, actor="ada", reason="try", kind=kind
            )
        )

    same(registry.challengers("flows"), [])
    refused(DataError, lambda: change(9, "shadow"))
    change(2, "shadow")
    change(1, "shadow")
    change(2, "shadow")
    change(1, "shadow", "cards")
    same(registry.challengers("flows"), [one, two])
    change(1, "unshadow")
    same(registry.challengers("flows"), [two])
    same(len(registry.challengers("cards")), 1)
    change(2, "unshadow")
    same(registry.challengers("flows"), [])


def _check_workers(registry: Registry) -> None:
    def state(worker: str, at: int, version: int) -> WorkerState:
        return WorkerState(
            worker=worker,
            host="h",
            pid=7,
            seen_at=at,
            deciding={"flows": version},
            shadowing={"flows": (1, 2)},
        )

    same(registry.workers(), [])
    for said in (state("b", 5, 1), state("a", 6, 1), state("b", 7, 2)):
        registry.beat(said)
    same(registry.workers(), [state("a", 6, 1), state("b", 7, 2)])
    registry.leave("a")
    registry.leave("nobody")
    same(registry.workers(), [state("b", 7, 2)])
    registry.beat(state("c", 86_400_000_008, 2))
    same([said.worker for said in registry.workers()], ["c"])


def _check_approvals_and_looks(registry: Registry) -> None:
    registry.approve("flows", 2, actor="bea", at=9, reason="good")
    refused(DataError, lambda: registry.approve("flows", 2, actor="bea", at=10, reason="again"))
    refused(DataError, lambda: registry.approve("flows", 9, actor="bea", at=10, reason=""))
    same(registry.approvals("flows", 2), [("bea", 9, "good")])
    same(registry.approvals("flows", 1), [])
    registry.decline("flows", 2, actor="eva", at=11, reason="too slow")
    registry.decline("flows", 2, actor="bea", at=12, reason="read it again")
    refused(DataError, lambda: registry.decline("flows", 2, actor="eva", at=13, reason="again"))
    refused(DataError, lambda: registry.decline("flows", 9, actor="eva", at=13, reason=""))
    same(registry.declines("flows", 2), [("eva", 11, "too slow"), ("bea", 12, "read it again")])
    same(registry.declines("flows", 1), [])
    numbers = [
        registry.spend_look(holdout, detector="flows", actor="ada", at=1, candidate="c")
        for holdout in ("h1", "h1", "h2", "h1")
    ]
    same(numbers, [1, 2, 1, 3])
    same((registry.looks("h1"), registry.looks("h2"), registry.looks("h3")), (3, 1, 0))


def _check_labels(registry: Registry) -> None:
    def row(event_id: str, label: int, at: int, source: str) -> LabelRow:
        attack: Literal[0, 1] = 1 if label else 0
        return LabelRow(event_id=event_id, label=attack, at=at, source=source, taken_at=at + 7)

    first = registry.add_labels("flows", [row("e1", 1, 1, "bank"), row("e2", 0, 1, "bank")])
    same(first, LabelIntake(new=2, corrections=0, conflicts=0))
    repeated = registry.add_labels("flows", [row("e1", 1, 2, "bank"), row("e1", 1, 2, "desk")])
    same(repeated, LabelIntake(new=0, corrections=0, conflicts=0))
    then = registry.add_labels("flows", [row("e2", 1, 3, "bank"), row("e1", 0, 4, "desk")])
    same(then, LabelIntake(new=0, corrections=2, conflicts=1))
    newest = {e: r.label for e, r in registry.labels("flows").items()}
    same(newest, {"e1": 0, "e2": 1})
    some = registry.labels_of("flows", ["e2", "e3", *(f"x{i}" for i in range(1_100))])
    same({e: r.label for e, r in some.items()}, {"e2": 1})
    same(registry.labels_of("flows", []), {})
    late = registry.add_labels("flows", [row("e2", 0, 0, "bank"), row("e2", 1, 3, "bank")])
    same(late, LabelIntake(new=0, corrections=1, conflicts=0))
    same(registry.labels("flows")["e2"].label, 1)
    differing = registry.label_conflicts("flows")
    words = [(r.event_id, r.source, r.label) for r in differing]
    same(words, [("e1", "bank", 1), ("e1", "desk", 0)])
    same(registry.labels("cards"), {})


def _version(detector: str, number: int) -> Version:
    return Version(
        detector=detector,
        version=number,
        digest=f"sha256:{detector}{number}",
        epoch=number,
        sealed_at=number,
        sealed_by="ada",
        trained_by="eve",
        provisional=False,
    )
