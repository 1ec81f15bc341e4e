"""Sealed fields of requests, opened by the worker that decides and by nobody before it.

What was sealed is in a worker's memory while it decides. It is in no answer (a reason of a sealed
field has no value), in no refusal and no log; in the ledger it is sealed again under its subject's
key, or a pseudonym stands for it: a version whose contract doesn't say so is not let in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from baluarte.core.contract import Contract
from baluarte.core.contract_personal import window_reads
from baluarte.core.event_faults import Faults
from baluarte.core.event_rows import place_of
from baluarte.core.event_value import ValueRefusedError
from baluarte.core.field_sealing import SEALED_KEY, NotSealedError, put_in, read_sealed
from baluarte.core.json_object import decode_object
from baluarte.errors import ContractError, DataError, Fault

if TYPE_CHECKING:
    from baluarte.adapters.field_keys import FieldKeys

_CLEAR = "expected it sealed within {key}; it came in the clear"
_HIDDEN = "expected a value of the field's type; what was found came sealed and is not told"


class Opener:
    """Opens the sealed fields of one version's events.

    Args:
        names: of the fields that come sealed.

    Raises:
        ContractError: one of them is no field that an event gives, would stand in the clear
            somewhere, or the event's id can't be bound to.
    """

    def __init__(self, contract: Contract, names: Sequence[str], keys: FieldKeys) -> None:
        schema = contract.events
        faults = [
            Fault(message, f"workspace.toml: detectors.{contract.name}.sealed", hint)
            for message, hint in _faults(contract, names)
        ]
        if faults:
            raise ContractError.of(faults)
        own = schema.by_role("id")
        assert own is not None  # noqa: S101 - one of the faults
        self._id_path = own.keys
        self._detector = contract.name
        self._keys = keys
        self._paths = {".".join(schema[name].keys): schema[name].keys for name in names}
        #: fields whose values no answer tells: those, and what windows make of them
        self.hidden = frozenset(names) | {
            window.name
            for window in contract.windows
            if not window_reads(schema, window).isdisjoint(names)
        }

    def rows(self, rows: Sequence[dict[str, Any]]) -> None:
        """Open the rows in place.

        Raises:
            DataError: a declared field is in the clear, or what is sealed doesn't open here.
        """
        faults = Faults(place_of("$"))
        for i, row in enumerate(rows):
            for whole, keys in self._paths.items():
                if _is_in(row, keys) or whole in row:
                    faults.add(i, whole, _CLEAR.format(key=SEALED_KEY))
            if SEALED_KEY in row:
                try:
                    put_in(row, self._opened(row))
                except NotSealedError as error:
                    faults.add(i, SEALED_KEY, str(error))
        faults.raise_any()

    def silenced(self, error: DataError) -> DataError:
        """An error whose faults quote no value that came sealed."""
        return DataError.of(
            [
                Fault(_HIDDEN, fault.where)
                if any((fault.where or "").endswith(f".{whole}") for whole in self._paths)
                else fault
                for fault in error.faults
            ]
        )

    def _opened(self, row: Mapping[str, Any]) -> dict[str, Any]:
        at: Any = row
        for key in self._id_path:
            at = at.get(key) if isinstance(at, dict) else None
        if at is None:
            at = row.get(".".join(self._id_path))
        if not isinstance(at, str) or not at:
            raise NotSealedError("expected the event's id beside it, as a text")
        key, sealed = read_sealed(row[SEALED_KEY])
        text = self._keys.open(key, sealed, detector=self._detector, event_id=at)
        try:
            values = decode_object(text)
        except ValueRefusedError:
            raise NotSealedError("expected a JSON object of fields within it") from None
        if not values.keys() <= self._paths.keys():
            raise NotSealedError("expected only the declared fields within it, by whole path")
        return values


def _is_in(row: Mapping[str, Any], keys: Sequence[str]) -> bool:
    at: Any = row
    for key in keys:
        if not isinstance(at, dict) or key not in at:
            return False
        at = at[key]
    return True


def _faults(contract: Contract, names: Sequence[str]) -> list[tuple[str, str]]:
    """Everything that keeps these fields from travelling sealed."""
    schema, found = contract.events, []
    own = schema.by_role("id")
    if own is None:
        found.append(("expected a field of the role id, which sealed fields are bound to", ""))
    if any(field.keys[0] == SEALED_KEY for field in schema.fields):
        found.append((f"expected no field called {SEALED_KEY}", "Give it another path."))
    for name in names:
        if name not in schema or not schema[name].is_given:
            found.append((f"expected a field that events give, found {name!r}", ""))
        elif own is not None and name == own.name:
            found.append((f"expected {name!r} in the clear: it is the event's id", ""))
        elif not (schema[name].is_personal or schema[name].is_pseudonym):
            found.append((
                f"expected {name!r} to be personal or a pseudonym: records hold others in clear",
                "personal = true, or pseudonym = true, in detector.toml.",
            ))  # fmt: skip
    return found
