"""A sealed program as bytes: one canonical form, checked whole before anything is evaluated."""

from __future__ import annotations

import json
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.check import MAX_PARTS, faults
from baluarte.core.program.model import LinearPart, Part, Program, Rule, TreePart
from baluarte.errors import TrustError

MAGIC = b"\x89BALPRG\n"
VERSION = 1
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


class _Array(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dtype: str
    offset: int
    shape: tuple[int]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    arrays: dict[str, _Array]
    kind: Literal["linear", "trees"]
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
        for name, dtype in _arrays_of(part).items():
            data = np.ascontiguousarray(getattr(part, name), dtype=dtype).tobytes()
            padding = -offset % _ALIGN
            chunks += [bytes(padding), data]
            offset += padding
            arrays[name] = _Array(dtype, offset, (len(data) // np.dtype(dtype).itemsize,))
            offset += len(data)
        if isinstance(part, TreePart):
            parts.append(_Part(arrays, "trees", part.rule))
        else:
            parts.append(_Part(arrays, "linear", None))
    header = _encode(
        _Header(program.base, program.n_features, tuple(parts), program.scale_bits, VERSION)
    )
    return b"".join([_preamble(header), *chunks])


def loads(data: bytes | bytearray | memoryview) -> Program:
    """The program that ``data`` holds; its arrays are read-only views of ``data``.

    Raises:
        TrustError: anything that is not the canonical bytes of a program that may be evaluated.
    """
    view = memoryview(data).cast("B").toreadonly()
    header, start = _header(view)
    parts: list[Part] = []
    end = 0
    for i, described in enumerate(header.parts):
        expected = TREE_ARRAYS if described.kind == "trees" else LINEAR_ARRAYS
        if set(described.arrays) != set(expected) or (described.rule is None) != (
            described.kind == "linear"
        ):
            raise TrustError(
                f"expected the arrays of a {described.kind} part, found others",
                where=f"program.parts[{i}]",
            )
        arrays: dict[str, NDArray[np.generic]] = {}
        for name, dtype in expected.items():
            where = f"program.parts[{i}].{name}"
            arrays[name] = _view(view[start:], described.arrays[name], dtype, end, where)
            end = described.arrays[name].offset + arrays[name].nbytes
        part = (
            TreePart(rule=described.rule, **arrays)  # type: ignore[arg-type]
            if described.rule is not None
            else LinearPart(**arrays)  # type: ignore[arg-type]
        )
        parts.append(part)
    if len(view) != start + end:
        raise TrustError(f"expected {start + end} bytes, found {len(view)}", where="program")
    program = Program(
        n_features=header.n_features,
        scale_bits=header.scale_bits,
        base=header.base,
        parts=tuple(parts),
    )
    found = faults(program)
    if found:
        raise TrustError.of(found)
    return program


def _arrays_of(part: Part) -> dict[str, str]:
    return TREE_ARRAYS if isinstance(part, TreePart) else LINEAR_ARRAYS


def _encode(header: _Header) -> bytes:
    return json.dumps(msgspec.to_builtins(header), sort_keys=True, separators=(",", ":")).encode()


def _preamble(header: bytes) -> bytes:
    raw = MAGIC + len(header).to_bytes(4, "little") + header
    return raw + bytes(-len(raw) % _ALIGN)


def _header(view: memoryview) -> tuple[_Header, int]:
    """The header and where the arrays start."""
    if bytes(view[: len(MAGIC)]) != MAGIC or len(view) < len(MAGIC) + 4:
        raise TrustError("expected a sealed program, found other bytes", where="program")
    first = len(MAGIC) + 4
    length = int.from_bytes(view[len(MAGIC) : first], "little")
    if length > min(MAX_HEADER_BYTES, len(view) - first):
        raise TrustError(f"the header's length {length} does not fit", where="program")
    raw = bytes(view[first : first + length])
    try:
        header = msgspec.json.decode(raw, type=_Header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise TrustError(f"the header is not readable: {error}", where="program") from error
    if header.version != VERSION:
        raise TrustError(f"expected version {VERSION}, found {header.version}", where="program")
    if len(header.parts) > MAX_PARTS:
        raise TrustError(f"expected at most {MAX_PARTS} parts", where="program")
    preamble = _preamble(_encode(header))
    if bytes(view[: len(preamble)]) != preamble:
        raise TrustError("the header is not in canonical form", where="program")
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
