"""The Open Inference Protocol, version 2, over HTTP: KServe, Triton and their clients speak it.

Each field of an event is a tensor of n values. Tensors stand in the JSON, or behind it as raw bytes
(Triton's binary extension); a NaN there is a missing value, as is null in the JSON.

Source: KServe, Open Inference Protocol (V2), REST; Triton Inference Server, binary tensor data
extension.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from baluarte import __version__
from baluarte.apps.scoring.answer import Answer
from baluarte.apps.scoring.body import Row, check_n_rows, parse_object
from baluarte.apps.scoring.problem import wrong_shape
from baluarte.apps.scoring.protocols.tensorflow import rows_of_columns
from baluarte.apps.scoring.settings import Limits
from baluarte.core.schema import Field

HEADER_LENGTH = "inference-header-content-length"
#: datatype -> little-endian numpy type
_NUMBERS = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1",
    "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
_OF_FIELD = {"number": "FP64", "integer": "INT64", "boolean": "BOOL"}
#: what comes out, in this order, where the request doesn't name its outputs
OUTPUTS = {
    "score": "INT64", "points": "INT64", "probability": "FP64", "outcome": "BYTES", "id": "BYTES",
}  # fmt: skip


class _Wanted(msgspec.Struct, frozen=True):
    name: str
    binary: bool


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer repeats or needs."""

    id: str | None
    outputs: tuple[_Wanted, ...]


class _Parameters(msgspec.Struct, frozen=True):
    binary_data_size: int | None = None
    binary_data: bool = False
    binary_data_output: bool = False


class _Tensor(msgspec.Struct, frozen=True):
    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | None = None
    parameters: _Parameters = _Parameters()


class _Output(msgspec.Struct, frozen=True):
    name: str
    parameters: _Parameters = _Parameters()


class _Infer(msgspec.Struct, frozen=True):
    inputs: list[_Tensor]
    id: str | None = None
    parameters: _Parameters = _Parameters()
    outputs: list[_Output] = []


def read(body: bytes, header_length: str | None, limits: Limits) -> tuple[Sequence[Row], Request]:
    """The events of a request, and what its answer needs.

    Args:
        header_length: the header that says where the JSON ends and raw tensors begin.

    Raises:
        Refusal: 400 or 413, with the path of what is wrong.
    """
    head, raw = body, b""
    if header_length is not None:
        if not header_length.isdecimal() or int(header_length) > len(body):
            raise wrong_shape("$", f"{HEADER_LENGTH} within the body", header_length[:40])
        head, raw = body[: int(header_length)], body[int(header_length) :]
    said = parse_object(head, limits)
    try:
        request = msgspec.convert(said, _Infer)
    except msgspec.ValidationError as error:
        message = str(error)
        raise wrong_shape("$", "an inference request of named tensors", message[:200]) from None
    columns: dict[str, list[Any]] = {}
    for i, tensor in enumerate(request.inputs):
        path = f"$.inputs[{i}]"
        n = _rows_of(tensor, path)
        check_n_rows(n, limits)
        if tensor.name in columns:
            raise wrong_shape(f"{path}.name", "each tensor once", tensor.name)
        size = tensor.parameters.binary_data_size
        if size is None:
            values = _plain(tensor, n, path)
        else:
            values, raw = _binary(tensor, n, raw, size, path), raw[size:]
        columns[tensor.name] = values
    if raw:
        raise wrong_shape("$", "as many raw bytes as the tensors say", f"{len(raw)} more")
    named = [
        _Wanted(one.name, one.parameters.binary_data or request.parameters.binary_data_output)
        for one in request.outputs
    ]
    for i, one in enumerate(named):
        if one.name not in OUTPUTS:
            raise wrong_shape(f"$.outputs[{i}].name", f"one of {', '.join(OUTPUTS)}", one.name[:60])
    whole = [_Wanted(name, request.parameters.binary_data_output) for name in OUTPUTS]
    rows = rows_of_columns(columns, "$.inputs", limits)
    return rows, Request(id=request.id, outputs=tuple(named or whole))


def write(
    answers: Sequence[Answer], request: Request, *, name: str, version: int
) -> tuple[bytes, list[tuple[str, str]]]:
    """The answer's body, and its headers."""
    outputs, raw = [], []
    for wanted in request.outputs:
        values = [getattr(one, wanted.name) for one in answers]
        kind = OUTPUTS[wanted.name]
        output: dict[str, Any] = {"name": wanted.name, "datatype": kind, "shape": [len(values)]}
        if wanted.binary:
            packed = _pack(values, kind)
            output["parameters"] = {"binary_data_size": len(packed)}
            raw.append(packed)
        else:
            output["data"] = values
        outputs.append(output)
    said: dict[str, Any] = {
        "model_name": name, "model_version": str(version), "outputs": outputs,
    }  # fmt: skip
    if request.id is not None:
        said["id"] = request.id
    head = msgspec.json.encode(said)
    if not raw:
        return head, [("content-type", "application/json")]
    return b"".join((head, *raw)), [
        ("content-type", "application/octet-stream"),
        (HEADER_LENGTH, str(len(head))),
    ]


def server() -> bytes:
    """What the server is."""
    return msgspec.json.encode(
        {"name": "baluarte", "version": __version__, "extensions": ["binary_tensor_data"]}
    )


def metadata(name: str, version: int, fields: Sequence[Field]) -> bytes:
    """What goes into a model, and what comes out."""
    inputs = [
        {"name": ".".join(f.keys), "datatype": _OF_FIELD.get(f.type, "BYTES"), "shape": [-1]}
        for f in fields
        if f.is_given
    ]
    outputs = [{"name": n, "datatype": kind, "shape": [-1]} for n, kind in OUTPUTS.items()]
    return msgspec.json.encode(
        {
            "name": name,
            "versions": [str(version)],
            "platform": "baluarte",
            "inputs": inputs,
            "outputs": outputs,
        }
    )


# --- tensors -----------------------------------------------------------------------------------


def _rows_of(tensor: _Tensor, path: str) -> int:
    """N of a shape (n,) or (n, 1)."""
    shape = tensor.shape
    if tensor.datatype not in _NUMBERS and tensor.datatype != "BYTES":
        raise wrong_shape(
            f"{path}.datatype", f"one of {', '.join(_NUMBERS)}, BYTES", tensor.datatype
        )
    if len(shape) not in (1, 2) or shape[0] < 0 or (len(shape) == 2 and shape[1] != 1):
        raise wrong_shape(f"{path}.shape", "[n] or [n, 1]", str(shape)[:60])
    return shape[0]


def _plain(tensor: _Tensor, n: int, path: str) -> list[Any]:
    data = tensor.data if tensor.data is not None else []
    if len(data) == n and all(isinstance(one, list) and len(one) == 1 for one in data):
        data = [one[0] for one in data]
    if len(data) != n:
        raise wrong_shape(f"{path}.data", f"{n} values, as the shape says", str(len(data)))
    return data


def _binary(tensor: _Tensor, n: int, raw: bytes, size: int, path: str) -> list[Any]:
    if tensor.data is not None or not 0 <= size <= len(raw):
        raise wrong_shape(
            f"{path}.parameters.binary_data_size", "the size of what follows", str(size)
        )
    part = raw[:size]
    if tensor.datatype == "BYTES":
        return _unpack_texts(part, n, path)
    kind = np.dtype(_NUMBERS[tensor.datatype])
    if len(part) != n * kind.itemsize:
        raise wrong_shape(f"{path}", f"{n * kind.itemsize} raw bytes", str(len(part)))
    values = np.frombuffer(part, dtype=kind)
    if kind.kind == "f":
        wide = values.astype(np.float64)
        return [None if math.isnan(one) else one for one in wide.tolist()]
    plain: list[Any] = values.tolist()
    return plain


def _unpack_texts(part: bytes, n: int, path: str) -> list[str]:
    parts: list[bytes] = []
    at = 0
    while at + 4 <= len(part):
        stop = at + 4 + struct.unpack_from("<I", part, at)[0]
        parts.append(part[at + 4 : stop])
        at = stop
    try:
        texts = [one.decode() for one in parts] if at == len(part) else None
    except UnicodeDecodeError:
        texts = None
    if texts is None:
        raise wrong_shape(path, "texts in UTF-8, each behind its length", "other bytes")
    if len(texts) != n:
        raise wrong_shape(path, f"{n} texts, as the shape says", str(len(texts)))
    return texts


def _pack(values: Sequence[Any], kind: str) -> bytes:
    if kind == "BYTES":
        texts = [one.encode() for one in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.array(values, dtype=_NUMBERS[kind]).tobytes()


def ready(*, is_ready: bool) -> bytes:
    """Whether a server or a model answers."""
    said: Mapping[str, bool] = {"ready": is_ready}
    return msgspec.json.encode(said)
