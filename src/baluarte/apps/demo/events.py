"""Where the demo's events come from: NSL-KDD if it can be had, the project's simulator otherwise.

The data are read where they lie or downloaded into the demo's own folder; they are never part of
the project. Citation: Tavallaee, Bagheri, Lu, Ghorbani, "A Detailed Analysis of the KDD CUP 99 Data
Set", IEEE CISDA 2009.
"""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from baluarte.adapters.outward import outward_tls
from baluarte.errors import OutsideError
from baluarte.testing.simulate_flows import flows
from baluarte.testing.simulate_payments import payments

#: file, address at a pinned commit, SHA-256 of the text as its authors published it
_DOWNLOADS = (
    (
        "KDDTrain+",
        "https://raw.githubusercontent.com/defcom17/NSL_KDD/27bbbdf5c5cccf9970b8b6037a0f19dc09c5a0a9/KDDTrain%2B.txt",
        "1b86d2f957b33082081bba410fe129b475efebcc13c9014c3f447c8271aadf95",
    ),
    (
        "KDDTest+",
        "https://raw.githubusercontent.com/defcom17/NSL_KDD/27bbbdf5c5cccf9970b8b6037a0f19dc09c5a0a9/KDDTest%2B.txt",
        "fa46b0935342616aa83b7c2578db355b6a7aaabbc492248172c7a1e8b7ab8f84",
    ),
)
_TIMEOUT_S = 6.0
_MAX_BYTES = 40_000_000

NSL_KDD_HEADER = (
    "duration protocol_type service flag src_bytes dst_bytes land wrong_fragment urgent hot "
    "num_failed_logins logged_in num_compromised root_shell su_attempted num_root "
    "num_file_creations num_shells num_access_files num_outbound_cmds is_host_login "
    "is_guest_login count srv_count serror_rate srv_serror_rate rerror_rate srv_rerror_rate "
    "same_srv_rate diff_srv_rate srv_diff_host_rate dst_host_count dst_host_srv_count "
    "dst_host_same_srv_rate dst_host_diff_srv_rate dst_host_same_src_port_rate "
    "dst_host_srv_diff_host_rate dst_host_serror_rate dst_host_srv_serror_rate "
    "dst_host_rerror_rate dst_host_srv_rerror_rate label difficulty"
).replace(" ", ",")


Key = Literal["nsl_kdd", "flows", "payments"]
Origin = Literal["local", "downloaded", "simulated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoEvents:
    """Two files of events, and what to call them."""

    key: Key  #: names the contract, and the title in the catalogue
    origin: Origin  #: where they come from, likewise
    train: Path
    later: Path


def find(folder: Path, *, fraud: bool, seed: int) -> DemoEvents:
    """The demo's events, fetched or simulated into ``folder`` where they are not here already."""
    folder.mkdir(parents=True, exist_ok=True)
    if fraud:
        columns = {
            "train": payments(80_000, later=False, seed=seed),
            "later": payments(24_000, later=True, seed=seed),
        }
        return _simulated(folder, "payments", columns)
    return _local() or _downloaded(folder) or _simulated_flows(folder, seed)


def _local() -> DemoEvents | None:
    place = os.environ.get("BALUARTE_DATA")
    if not place:
        return None
    train, later = (
        Path(place) / "nsl-kdd" / f"{name}.parquet" for name in ("KDDTrain+", "KDDTest+")
    )
    if not (train.exists() and later.exists()):
        return None
    return DemoEvents(key="nsl_kdd", origin="local", train=train, later=later)


def _downloaded(folder: Path) -> DemoEvents | None:
    paths = []
    for name, address, digest in _DOWNLOADS:
        path = folder / f"{name}.csv"
        if not path.exists():
            text = None if "BALUARTE_OFFLINE" in os.environ else _fetch(address, digest)
            if text is None:
                return None
            aside = path.with_suffix(".part")
            aside.write_bytes((NSL_KDD_HEADER + "\n").encode() + text)
            aside.replace(path)
        paths.append(path)
    return DemoEvents(key="nsl_kdd", origin="downloaded", train=paths[0], later=paths[1])


def _fetch(address: str, digest: str) -> bytes | None:
    """The text at a pinned address, or None where there is no network.

    Raises:
        OutsideError: something else than the pinned text came.
    """
    try:
        with urllib.request.urlopen(  # noqa: S310 - pinned https
            address, timeout=_TIMEOUT_S, context=outward_tls()
        ) as answer:
            text: bytes = answer.read(_MAX_BYTES)
    except OSError:
        return None
    found = hashlib.sha256(text).hexdigest()
    if found != digest:
        raise OutsideError(
            f"expected SHA-256 {digest}, found {found}",
            where=address,
            hint="Set BALUARTE_OFFLINE=1 to use the simulator instead.",
        )
    return text


def _simulated_flows(folder: Path, seed: int) -> DemoEvents:
    columns = {
        "train": flows(100_000, later=False, seed=seed),
        "later": flows(22_000, later=True, seed=seed),
    }
    return _simulated(folder, "flows", columns)


def _simulated(
    folder: Path, key: Key, columns: Mapping[str, Mapping[str, NDArray[Any]]]
) -> DemoEvents:
    import pyarrow as pa  # noqa: PLC0415 - comes with the extra `train`
    import pyarrow.parquet as pq  # noqa: PLC0415 - likewise

    paths = {}
    for part, values in columns.items():
        paths[part] = folder / f"{key}-{part}.parquet"
        table = {
            name: pa.array(v.tolist() if v.dtype == object else np.ascontiguousarray(v))
            for name, v in values.items()
        }
        pq.write_table(pa.table(table), paths[part])
    return DemoEvents(
        key=key,
        origin="simulated",
        train=paths["train"],
        later=paths["later"],
    )
