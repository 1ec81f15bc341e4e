"""Adopt a model: find who can read the file, and hand what it read to the stage."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from baluarte import wiring
from baluarte.adapters.mlflow_folder import model_file
from baluarte.adapters.model_files import ModelBytes, read_model
from baluarte.adapters.unpickle import unpickle
from baluarte.apps.making import from_sources, keep_candidate, provenance_of, training_tools
from baluarte.apps.place import Detector
from baluarte.apps.session import Session
from baluarte.core.candidate import Candidate
from baluarte.core.event import Events
from baluarte.core.evidence import DataSource
from baluarte.errors import DataError
from baluarte.ports import ForeignModel
from baluarte.stages.adopt import ModelFile, adopt

_PICKLE_NAMES = (".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle")
_SAFE = (
    "Save it in a format that is data: LightGBM `booster.save_model`, XGBoost "
    '`save_model("m.json")`, scikit-learn `skops.io.dump`, or ONNX.'
)
#: what a file starts with that no reader takes, why, and what to do
_KNOWN_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x89HDF", "an HDF5 file, as Keras writes", "Export the model to ONNX."),
    (b"CBM1", "a CatBoost model", "CatBoost writes ONNX: save_model(…, format='onnx')."),
    (b"binf", "XGBoost's old binary format", 'Load it and save_model("model.json").'),
    (b"\x1f\x8b", "a gzip archive", "Unpack it first."),
    (b"PAR1", "a Parquet file: events, not a model", "Events go after --events."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be adopted, as it was asked for."""

    path: Path
    positive: str | None = None  #: the class that is the attack
    columns: tuple[str, ...] = ()  #: fields in the order of the model's inputs
    unsafe_pickle: bool = False


def adopt_model(
    session: Session,
    detector: Detector,
    wanted: Wanted,
    events: Events,
    *,
    sources: tuple[DataSource, ...] = (),
    n_apart: int = 0,
) -> Candidate:
    """Read the model, make it the detector's candidate and keep it as the pending one.

    Args:
        n_apart: how many of the last events are proof events of their own.

    Raises:
        DataError: a file that can't be read or put as a program; says why, and what to do.
    """
    contract = detector.contract()
    path = model_file(wanted.path) if wanted.path.is_dir() else wanted.path
    found, confined = read_model(path), ""
    if wanted.unsafe_pickle and _is_pickle(found):
        opened = unpickle(found)
        found, confined = opened.model, opened.confined
    model = _read(found, wanted)
    columns = wanted.columns
    if columns == ("fields",):
        columns = tuple(field.name for field in contract.events.features)
    candidate = adopt(
        contract,
        events,
        model,
        file=ModelFile(digest=found.digest, name=path.name, columns=columns, unpickled=confined),
        tools=training_tools(session.place, contract, progress=None),
        provenance=provenance_of(session, contract),
        n_apart=n_apart,
    )
    candidate = from_sources(candidate, sources)
    keep_candidate(session, candidate)
    return candidate


def _read(found: ModelBytes, wanted: Wanted) -> ForeignModel:
    reader = wiring.reader_for(found.name, found.head)
    if reader is None:
        raise _unreadable(found)
    return reader.read(found.data, positive=wanted.positive, where=found.name)


def _unreadable(found: ModelBytes) -> DataError:
    """Why nobody reads this file, and what to do."""
    for start, what, cure in _KNOWN_OTHERS:
        if found.head.startswith(start):
            return DataError(f"this is {what}, which can't be adopted", where=found.name, hint=cure)
    if _is_pickle(found):
        return DataError(
            "this is a pickle: reading it can run any code that someone put into it",
            where=found.name,
            hint=f"{_SAFE} Where that can't be: --unsafe-pickle unpickles it in a confined child "
            "process.",
        )
    return DataError(
        f"no reader knows this format; there are: {', '.join(wiring.plugin_names('readers'))}",
        where=found.name,
        hint=_SAFE,
    )


def _is_pickle(found: ModelBytes) -> bool:
    if found.name.lower().endswith(_PICKLE_NAMES) or found.head[:1] == b"\x80":
        return True
    if not found.head.startswith(b"PK"):
        return False
    try:
        names: Sequence[str] = zipfile.ZipFile(BytesIO(found.data)).namelist()
    except (zipfile.BadZipFile, ValueError, OSError):
        return False
    return any(name.endswith(".pkl") for name in names)
