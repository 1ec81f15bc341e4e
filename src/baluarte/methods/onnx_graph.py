"""ONNX's file as plain values: nodes, attributes, constants and inputs; nothing is run.

Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; field numbers are its.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baluarte.errors import DataError
from baluarte.methods.protobuf import Message, written

FLOAT, INT32, INT64, STRING, BOOL, DOUBLE = 1, 6, 7, 8, 9, 11  #: TensorProto.DataType
_RAW = {FLOAT: "<f4", INT32: "<i4", INT64: "<i8", DOUBLE: "<f8", BOOL: "|b1", 2: "|u1"}
_MAX_NODES = 10_000

Attribute = NDArray[Any] | list[str] | str | float | int


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphInput:
    """One input tensor: its name, element type and number of columns (0: not stated)."""

    name: str
    kind: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operation."""

    domain: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Attribute]


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A graph and the file that it came from."""

    producer: str
    inputs: tuple[GraphInput, ...]
    nodes: tuple[Node, ...]
    constants: dict[str, NDArray[Any]]
    model: Message


def read_graph(data: bytes) -> Graph:
    """The graph in an ONNX file.

    Raises:
        DataError: it isn't one, holds parts that this reader doesn't know, or points to other
            files.
    """
    model = Message(data)
    graphs = model.parts(7)
    if len(graphs) != 1 or not model.integer(1):
        raise DataError("expected an ONNX model with one graph, found none")
    graph = Message(graphs[0])
    if graph.parts(15):
        raise DataError("sparse constants can't be read", hint="Export the model without them.")
    constants = {tensor.text(8): _tensor(tensor) for tensor in graph.messages(5)}
    parts = graph.messages(1)
    if len(parts) > _MAX_NODES:
        raise DataError(f"expected at most {_MAX_NODES} operations, found {len(parts)}")
    inputs = tuple(_input(one) for one in graph.messages(11))
    return Graph(
        producer=f"{model.text(2)} {model.text(3)}".strip()[:80],
        inputs=tuple(one for one in inputs if one.name not in constants),
        nodes=tuple(_node(part) for part in parts),
        constants=constants,
        model=model,
    )


def raw_scores(graph: Graph, node: int, output: str) -> bytes:
    """The file with everything after a model's node cut off, and its scores as they add up.

    Args:
        node: number of the model's node; its ``post_transform`` is left out, which means none.
        output: name of the node's scores.
    """
    graph_message = graph.model.message(7)
    kept: list[tuple[int, bytes | memoryview]] = []
    seen = -1
    for number, raw in graph_message.raw:
        if number == 1:
            seen += 1
            if seen < node:
                kept.append((0, raw))
            elif seen == node:
                kept.append((1, _without(graph_message.messages(1)[seen], "post_transform")))
        elif number != 12:
            kept.append((0, raw))
    tensor = written([(1, output.encode()), (2, written([(1, b"\x08\x01")]))])  # elem_type FLOAT
    kept.append((12, tensor))
    rest: list[tuple[int, bytes | memoryview]] = [
        (0, raw) for number, raw in graph.model.raw if number != 7
    ]
    return written([*rest, (7, written(kept))])


def _without(node: Message, attribute: str) -> bytes:
    fields: list[tuple[int, bytes | memoryview]] = []
    at = -1
    for number, raw in node.raw:
        if number == 5:
            at += 1
            if node.messages(5)[at].text(1) == attribute:
                continue
        fields.append((0, raw))
    return written(fields)


def _input(one: Message) -> GraphInput:
    tensor = one.message(2).message(1)
    dims = tensor.message(2).messages(1)
    width = dims[1].integer(1) if len(dims) > 1 else 0
    return GraphInput(name=one.text(1), kind=tensor.integer(1), width=max(width, 0))


def _node(part: Message) -> Node:
    return Node(
        domain=part.text(7),
        op=part.text(4),
        inputs=tuple(part.texts(1)),
        outputs=tuple(part.texts(2)),
        attributes={one.text(1): _attribute(one) for one in part.messages(5)},
    )


def _attribute(one: Message) -> Attribute:
    readers: dict[int, Callable[[], Attribute]] = {
        1: lambda: float(one.floats(2)[-1]) if one.floats(2).size else 0.0,
        2: lambda: one.integer(3),
        3: lambda: one.text(4),
        4: lambda: _tensor(one.message(5)),
        6: lambda: one.floats(7),
        7: lambda: one.integers(8),
        8: lambda: one.texts(9),
    }
    reader = readers.get(one.integer(20))
    if reader is None:
        raise DataError(f"the attribute {one.text(1)!r:.60} is of a kind that can't be read")
    return reader()


def _tensor(tensor: Message) -> NDArray[Any]:
    if tensor.integer(14) or tensor.parts(13):
        raise DataError(
            "the model's numbers stand in another file",
            hint="Save it in one file: onnx.save(model, path, save_as_external_data=False).",
        )
    kind = tensor.integer(2)
    shape = tuple(tensor.integers(1).tolist())
    if kind == STRING:
        return np.array(tensor.texts(6), dtype=object).reshape(shape)
    raw = tensor.parts(9)
    found: NDArray[Any]
    if raw and kind in _RAW:
        found = np.frombuffer(bytes(raw[-1]), dtype=_RAW[kind])
    elif kind == FLOAT:
        found = tensor.floats(4)
    elif kind == DOUBLE:
        found = tensor.doubles(10)
    elif kind == INT64:
        found = tensor.integers(7)
    else:
        found = tensor.integers(5)
    return found.reshape(shape)
