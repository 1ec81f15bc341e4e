"""A sealed program as bytes: one canonical form, checked whole before anything is evaluated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.check import faults
from baluarte.core.program.limits import MAX_NESTING, MAX_PARTS
from baluarte.core.program.model import (
    KernelPart,
    LinearPart,
    NetworkPart,
    Part,
    Program,
    Rule,
    StackPart,
    TreePart,
)
from baluarte.errors import TrustError

MAGIC = b"\x89BALPRG\n"
VERSION = 1  #: of programs of trees and linear parts
DENSE_VERSION = 2  #: of programs with a kernel machine, a network or a stack
MAX_HEADER_BYTES = 1 << 20
_ALIGN = 64

TREE_ARRAYS = {
    "root": "<i4",
    "feature": "<i4",
    "threshold": "<f8",
    "left": "<i4",
    "right": "<i4",
    "flags": "|u1",
    "set_index": "<i4",
    "set_start": "<i4",
    "set_bits": "<u4",
    "leaf": "<i8",
    "node_cover": "<f8",
    "leaf_cover": "<f8",
}
LINEAR_ARRAYS = {
    "column": "<i4",
    "center": "<f8",
    "scale": "<f8",
    "low": "<f8",
    "high": "<f8",
    "weight": "<f8",
    "missing": "<i8",
    "mean": "<i8",
    "table_column": "<i4",
    "table_start": "<i4",
    "table_value": "<i8",
    "cut_start": "<i4",
    "cut": "<f8",
    "table_missing": "<i8",
    "table_other": "<i8",
    "table_mean": "<i8",
}
_PREPARED_ARRAYS = {
    "column": "<i4",
    "center": "<f8",
    "scale": "<f8",
    "low": "<f8",
    "high": "<f8",
    "missing": "<f8",
    "flag_column": "<i4",
    "code": "<i4",
    "on": "<f8",
    "off": "<f8",
}
SAMPLING_ARRAYS = {"sampling": "<i4", "background": "<f8"}  #: read for reasons only
KERNEL_ARRAYS = {
    **_PREPARED_ARRAYS,
    "kernel": "<i4",
    "coefficient": "<f8",
    "vector": "<f8",
    "weight": "<f8",
    **SAMPLING_ARRAYS,
}
NETWORK_ARRAYS = {
    **_PREPARED_ARRAYS,
    "size": "<i4",
    "activation": "<i4",
    "layer_weight": "<f8",
    "bias": "<f8",
    "output": "<f8",
    **SAMPLING_ARRAYS,
}
STACK_ARRAYS = {"link": "<i4", "weight": "<f8", **SAMPLING_ARRAYS}  #: then member0, member1, …

Kind = Literal["kernel", "linear", "network", "stack", "trees"]
_KINDS: dict[Kind, tuple[type[Part], dict[str, str]]] = {
    "kernel": (KernelPart, KERNEL_ARRAYS),
    "linear": (LinearPart, LINEAR_ARRAYS),
    "network": (NetworkPart, NETWORK_ARRAYS),
    "stack": (StackPart, STACK_ARRAYS),
    "trees": (TreePart, TREE_ARRAYS),
}


class _Array(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dtype: str
    offset: int
    shape: tuple[int]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    arrays: dict[str, _Array]
    kind: Kind
    rule: Rule | None


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    base: int
    n_features: int
    parts: tuple[_Part, ...]
    scale_bits: int
    version: int


def dumps(program: Program) -> bytes:
    """The canonical bytes of a program: equal programs give equal bytes."""
    offset = 0
    parts: list[_Part] = []
    chunks: list[bytes] = []
    for part in program.parts:
        arrays: dict[str, _Array] = {}
        for name, dtype, data in _arrays_of(part):
            padding = -offset % _ALIGN
            chunks += [bytes(padding), data]
            offset += padding
            arrays[name] = _Array(dtype, offset, (len(data) // np.dtype(dtype).itemsize,))
            offset += len(data)
        rule = part.rule if isinstance(part, TreePart) else None
        parts.append(_Part(arrays, _kind_of(part), rule))
    header = _encode(
        _Header(
            program.base,
            program.n_features,
            tuple(parts),
            program.scale_bits,
            _version_of(tuple(part.kind for part in parts)),
        )
    )
    return b"".join([_preamble(header), *chunks])


def loads(data: bytes | bytearray | memoryview) -> Program:
    """The program that ``data`` holds; its arrays are read-only views of ``data``.

    Raises:
        TrustError: anything that is not the canonical bytes of a program that may be evaluated.
    """
    program = _read(memoryview(data).cast("B").toreadonly(), "program", nesting=0)
    found = faults(program)
    if found:
        raise TrustError.of(found)
    return program


def _read(view: memoryview, where: str, *, nesting: int) -> Program:
    """The program that a view holds, of canonical form but not yet checked."""
    header, start = _header(view, where)
    parts: list[Part] = []
    end = 0
    for i, described in enumerate(header.parts):
        name = f"{where}.parts[{i}]"
        arrays, end = _read_arrays(view[start:], described, end, name)
        if described.kind == "stack":
            if nesting == MAX_NESTING:
                raise TrustError(f"expected stacks at most {MAX_NESTING} deep", where=name)
            members = tuple(
                _read(memoryview(data).cast("B"), f"{name}.{member}", nesting=nesting + 1)  # type: ignore[arg-type]
                for member, data in arrays.items()
                if member not in STACK_ARRAYS
            )
            own = {kept: arrays[kept] for kept in STACK_ARRAYS}
            parts.append(StackPart(members=members, **own))  # type: ignore[arg-type]
        elif described.rule is not None:
            parts.append(TreePart(rule=described.rule, **arrays))  # type: ignore[arg-type]
        else:
            parts.append(_KINDS[described.kind][0](**arrays))  # type: ignore[arg-type]
    if len(view) != start + end:
        raise TrustError(f"expected {start + end} bytes, found {len(view)}", where=where)
    return Program(
        n_features=header.n_features,
        scale_bits=header.scale_bits,
        base=header.base,
        parts=tuple(parts),
    )


def _read_arrays(
    data: memoryview, described: _Part, end: int, where: str
) -> tuple[dict[str, NDArray[np.generic]], int]:
    """The arrays of a part that start after ``end``, and where the last of them ends."""
    expected = dict(_KINDS[described.kind][1])
    if described.kind == "stack":
        n_members = len(described.arrays) - len(expected)
        expected |= {f"member{j}": "|u1" for j in range(n_members)}
    if set(described.arrays) != set(expected) or (described.rule is None) != (
        described.kind != "trees"
    ):
        raise TrustError(
            f"expected the arrays of a {described.kind} part, found others", where=where
        )
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, dtype in expected.items():
        arrays[name] = _view(data, described.arrays[name], dtype, end, f"{where}.{name}")
        end = described.arrays[name].offset + arrays[name].nbytes
    return arrays, end


def _arrays_of(part: Part) -> Iterator[tuple[str, str, bytes]]:
    """Name, type and bytes of each array, in the order in which they stand."""
    for name, dtype in _KINDS[_kind_of(part)][1].items():
        yield name, dtype, np.ascontiguousarray(getattr(part, name), dtype=dtype).tobytes()
    if isinstance(part, StackPart):
        for j, member in enumerate(part.members):
            yield f"member{j}", "|u1", dumps(member)


def _kind_of(part: Part) -> Kind:
    return next(kind for kind, (made, _) in _KINDS.items() if made is type(part))


def _version_of(kinds: tuple[Kind, ...]) -> int:
    return VERSION if set(kinds) <= {"linear", "trees"} else DENSE_VERSION


def _encode(header: _Header) -> bytes:
    return json.dumps(msgspec.to_builtins(header), sort_keys=True, separators=(",", ":")).encode()


def _preamble(header: bytes) -> bytes:
    raw = MAGIC + len(header).to_bytes(4, "little") + header
    return raw + bytes(-len(raw) % _ALIGN)


def _header(view: memoryview, where: str) -> tuple[_Header, int]:
    """The header and where the arrays start."""
    if bytes(view[: len(MAGIC)]) != MAGIC or len(view) < len(MAGIC) + 4:
        raise TrustError("expected a sealed program, found other bytes", where=where)
    first = len(MAGIC) + 4
    length = int.from_bytes(view[len(MAGIC) : first], "little")
    if length > min(MAX_HEADER_BYTES, len(view) - first):
        raise TrustError(f"the header's length {length} does not fit", where=where)
    raw = bytes(view[first : first + length])
    try:
        header = msgspec.json.decode(raw, type=_Header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise TrustError(f"the header is not readable: {error}", where=where) from error
    version = _version_of(tuple(part.kind for part in header.parts))
    if header.version != version:
        raise TrustError(f"expected version {version}, found {header.version}", where=where)
    if len(header.parts) > MAX_PARTS:
        raise TrustError(f"expected at most {MAX_PARTS} parts", where=where)
    preamble = _preamble(_encode(header))
    if bytes(view[: len(preamble)]) != preamble:
        raise TrustError("the header is not in canonical form", where=where)
    return header, len(preamble)


def _view(
    data: memoryview, described: _Array, dtype: str, end: int, where: str
) -> NDArray[np.generic]:
    """The array at its only place: the next aligned byte after ``end``, zeros between."""
    offset = end + -end % _ALIGN
    (count,) = described.shape
    if described.dtype != dtype or described.offset != offset or count < 0:
        raise TrustError(
            f"expected {dtype} at offset {offset}, found {described.dtype} at {described.offset}"
            f" with {count} items",
            where=where,
        )
    if any(data[end:offset]):
        raise TrustError("expected zeros before the array", where=where)
    n_bytes = count * np.dtype(dtype).itemsize
    if offset + n_bytes > len(data):
        raise TrustError(f"{count} items do not fit in the program's bytes", where=where)
    array = np.frombuffer(data[offset : offset + n_bytes], dtype=dtype)
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return native if native.flags.aligned else native.copy()
