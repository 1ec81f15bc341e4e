"""ONNX: tree ensembles and linear models behind the usual treatment of inputs.

The graph is walked, not run. Where it computes in float32 before a tree compares, the same float32
decides here, by an exact threshold; sums are ours, and the certificate says by how much the
runtime's float32 sums differ.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.adopted import LibraryOutput, ModelInput, Scale
from baluarte.core.program.draft import Draft
from baluarte.errors import DataError
from baluarte.methods.foreign_columns import (
    Affine,
    Coded,
    Column,
    Filled,
    InFloat32,
    Number,
    Product,
)
from baluarte.methods.foreign_inputs import Inputs
from baluarte.methods.foreign_linear import linear_draft
from baluarte.methods.foreign_text import category_text, refuse_damaged
from baluarte.methods.foreign_trees import draft_trees
from baluarte.methods.libraries import library
from baluarte.methods.onnx_graph import (
    BOOL,
    DOUBLE,
    FLOAT,
    INT32,
    INT64,
    STRING,
    Graph,
    GraphInput,
    Node,
    raw_scores,
    read_graph,
)
from baluarte.methods.onnx_models import Summed, is_model, scores_of, summed
from baluarte.ports import ForeignModel, Matrix

_AFTER = frozenset(
    {
        *("Identity", "Cast", "ZipMap", "Normalizer", "ArgMax", "Reshape", "Squeeze", "Flatten"),
        *("ArrayFeatureExtractor", "Sigmoid", "Concat", "Gather", "Unsqueeze"),
    }
)  #: operations after the model that keep the order of its scores
_ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div"})
_NUMPY = {FLOAT: np.float32, DOUBLE: np.float64, INT64: np.int64, INT32: np.int32, BOOL: np.bool_}
_ABSENT = "\x00absent"  #: no category's text
_MAX_WIDTH = 1 << 16


@dataclass(frozen=True, slots=True)
class Text:
    """A text input that nothing has coded yet."""

    input: int


Vector = list[Number | Coded | Text]


class Onnx:
    """Reads ONNX."""

    name: ClassVar[str] = "onnx"

    def recognises(self, name: str, head: bytes) -> bool:
        """By its name: the format has no mark of its own."""
        return name.lower().endswith(".onnx") and head[:1] == b"\x08"

    def read(self, data: bytes, *, positive: str | None, where: str) -> ForeignModel:
        """Walk the graph up to its one model."""
        with refuse_damaged("an ONNX model", where):
            graph = read_graph(data)
            walk = _Walk(graph, where)
            at = walk.up_to_the_model()
            node = graph.nodes[at]
            found = summed(node, positive)
            columns = walk.columns(node.inputs[0])
            if found.weights is not None and len(found.weights) != len(columns):
                raise DataError(
                    f"expected {len(columns)} weights, found {len(found.weights)}", where=where
                )
            whole = {columns[int(tree.column[i])].input for tree in found.trees for i in tree.sets}
            inputs = walk.inputs.finished(columns, whole=sorted(whole))
            return OnnxModel(
                read_as=f"onnx, {graph.producer}".rstrip(", "),
                inputs=inputs,
                scale=found.scale,
                columns=tuple(columns),
                model=found,
                graph=graph,
                node=at,
                where=where,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxModel:
    """A model in an ONNX graph."""

    read_as: str
    scale: Scale
    inputs: tuple[ModelInput, ...]
    columns: tuple[Column, ...]
    model: Summed
    graph: Graph
    node: int
    where: str

    def draft(self, rows: Matrix) -> Draft:
        """The sum over the graph's inputs."""
        n = len(self.inputs)
        model = self.model
        if model.weights is not None:
            terms = list(zip(self.columns, model.weights.tolist(), strict=True))
            return linear_draft(terms, base=model.base, n_inputs=n, rows=rows)
        with refuse_damaged("an ONNX model", self.where):
            part = draft_trees(model.trees, self.columns, rows)
        return Draft(n_features=n, base=model.base, parts=(part,))

    def by_library(self, rows: Matrix) -> LibraryOutput | None:
        """ONNX Runtime's own float32 scores, before the probability is made of them."""
        if importlib.util.find_spec("onnxruntime") is None:
            return None
        runtime = library("onnxruntime")
        output = scores_of(self.graph.nodes[self.node])
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        session = runtime.InferenceSession(
            raw_scores(self.graph, self.node, output),
            options,
            providers=["CPUExecutionProvider"],
        )
        (raw,) = session.run([output], self._fed(rows))
        scores = np.asarray(raw, dtype=np.float64).reshape(len(rows), -1)
        place = self.model.place
        single = scores[:, 1] - scores[:, 0] if place < 0 else scores[:, place]
        return LibraryOutput(library="onnxruntime", version=runtime.__version__, single=single)

    def _fed(self, rows: Matrix) -> dict[str, NDArray[Any]]:
        fed: dict[str, NDArray[Any]] = {}
        first = 0
        for one, width in zip(self.graph.inputs, _widths(self.graph), strict=True):
            own = rows[:, first : first + width]
            if one.kind == STRING:
                tables = [self.inputs[first + j].categories or () for j in range(width)]
                fed[one.name] = np.array(
                    [
                        [_text(table, code) for table, code in zip(tables, row, strict=True)]
                        for row in own.tolist()
                    ],
                    dtype=object,
                )
            else:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", RuntimeWarning)
                    fed[one.name] = own.astype(_NUMPY[one.kind])
            first += width
        return fed


def _text(table: Sequence[str], code: float) -> str:
    known = not np.isnan(code) and int(code) < len(table)
    return table[int(code)] if known else _ABSENT


def _widths(graph: Graph) -> list[int]:
    """Columns of each input; where the graph doesn't say, as many as its model reads."""
    widths = [one.width for one in graph.inputs]
    if len(widths) == 1 and widths[0] == 0:
        read = [
            np.asarray(node.attributes["nodes_featureids"])
            for node in graph.nodes
            if "nodes_featureids" in node.attributes
        ]
        widths[0] = int(max((ids.max(initial=-1) for ids in read), default=-1)) + 1
    if not all(1 <= width <= _MAX_WIDTH for width in widths):
        raise DataError(
            "the graph doesn't say how many columns its inputs have",
            hint="Export it with shapes: [None, n] for n columns.",
        )
    return widths


@dataclass(slots=True)
class _Walk:
    """What each name of the graph stands for, as far as it was walked."""

    graph: Graph
    where: str
    inputs: Inputs = field(init=False)
    known: dict[str, Vector] = field(init=False)

    def __post_init__(self) -> None:
        names: list[str | None] = []
        self.known = {}
        for one, width in zip(self.graph.inputs, _widths(self.graph), strict=True):
            if one.kind not in {*_NUMPY, STRING}:
                raise DataError(
                    f"the input {one.name} is of element type {one.kind}, which can't be read",
                    where=self.where,
                    hint="Export it with float, double, integer or string inputs.",
                )
            first = len(names)
            names += [one.name if width == 1 else None] * width
            self.known[one.name] = [_input(first + j, one) for j in range(width)]
        if len(set(names)) != len(names):
            names = [None] * len(names)
        self.inputs = Inputs(names=names, where=self.where)

    def up_to_the_model(self) -> int:
        """Number of the model's node; what comes before it is known then."""
        models = [i for i, node in enumerate(self.graph.nodes) if is_model(node)]
        if len(models) != 1:
            ops = sorted({node.op for node in self.graph.nodes})
            raise DataError(
                f"expected one tree ensemble or linear model in the graph, found {len(models)}; "
                f"its operations: {', '.join(ops)[:300]}",
                where=self.where,
                hint="Neural networks and sums of several models can't be adopted through ONNX.",
            )
        after: set[str] = set(self.graph.nodes[models[0]].outputs)
        for i, node in enumerate(self.graph.nodes):
            if i == models[0]:
                continue
            if after & set(node.inputs):
                if node.op not in _AFTER:
                    raise self._refused(node, "after the model")
                after.update(node.outputs)
            elif i < models[0]:
                self._take(node)
        return models[0]

    def columns(self, name: str) -> list[Column]:
        """What the model reads.

        Raises:
            DataError: a text that nothing codes.
        """
        found: list[Column] = []
        for one in self.known[name]:
            if isinstance(one, Text):
                raise DataError("the model reads a text that nothing codes", where=self.where)
            found.append(one)
        return found

    def _take(self, node: Node) -> None:
        if node.op == "Constant":
            self.graph.constants[node.outputs[0]] = np.asarray(node.attributes["value"])
            return
        method = getattr(self, f"_{node.op.lower()}", None)
        if node.op in _ARITHMETIC:
            vector = self._arithmetic(node)
        elif node.op in {"Identity", "Flatten", "Reshape", "Squeeze"}:
            vector = self.known[node.inputs[0]]
        elif method is None or node.op != _OPERATIONS.get(node.op.lower()):
            raise self._refused(node, "before the model")
        else:
            vector = method(node)
        self.known[node.outputs[0]] = vector

    def _refused(self, node: Node, place: str) -> DataError:
        return DataError(
            f"the operation {node.op!r:.60} {place} can't be put as a program exactly",
            where=self.where,
            hint="Supported before a model: Scaler, Imputer, OneHotEncoder, LabelEncoder, Concat, "
            "Cast, Gather and arithmetic with constants.",
        )

    def _numbers(self, name: str) -> list[Number | Coded]:
        found: list[Number | Coded] = []
        for one in self.known[name]:
            if isinstance(one, Text):
                raise DataError("arithmetic on a text can't be read", where=self.where)
            found.append(one)
        return found

    def _cast(self, node: Node) -> Vector:
        to = int(_whole(node, "to"))
        if to == FLOAT:
            return [column.then(InFloat32()) for column in self._numbers(node.inputs[0])]
        kinds = {one.name: one.kind for one in self.graph.inputs}
        same = kinds.get(node.inputs[0]) in {INT32, INT64, BOOL, to}
        if to == DOUBLE or (to in {INT32, INT64, STRING} and same):
            return self.known[node.inputs[0]]
        raise self._refused(node, "before the model")

    def _concat(self, node: Node) -> Vector:
        return [one for name in node.inputs for one in self.known[name]]

    def _featurevectorizer(self, node: Node) -> Vector:
        return [one.then(InFloat32()) for name in node.inputs for one in self._numbers(name)]

    def _scaler(self, node: Node) -> Vector:
        columns = self._numbers(node.inputs[0])
        offsets = _each(node, "offset", len(columns), 0.0)
        scales = _each(node, "scale", len(columns), 1.0)
        return [
            self._step(self._step(column, 1.0, -offset, node), scale, 0.0, node)
            for column, offset, scale in zip(columns, offsets, scales, strict=True)
        ]

    def _imputer(self, node: Node) -> Vector:
        replaced = node.attributes.get("replaced_value_float", np.nan)
        if not isinstance(replaced, float) or not np.isnan(replaced):
            raise self._refused(node, "that fills other values than missing ones")
        columns = self._numbers(node.inputs[0])
        values = _each(node, "imputed_value_floats", len(columns), np.nan)
        return [c.then(Filled(v)) for c, v in zip(columns, values, strict=True)]

    def _gather(self, node: Node) -> Vector:
        index = self.graph.constants[node.inputs[1]].astype(np.int64).ravel()
        vector = self.known[node.inputs[0]]
        if int(node.attributes.get("axis", 0)) != 1:  # type: ignore[arg-type]
            raise self._refused(node, "along rows")
        return [vector[i] for i in index.tolist()]

    def _arrayfeatureextractor(self, node: Node) -> Vector:
        index = self.graph.constants[node.inputs[1]].astype(np.int64).ravel()
        vector = self.known[node.inputs[0]]
        return [vector[i] for i in index.tolist()]

    def _onehotencoder(self, node: Node) -> Vector:
        if int(node.attributes.get("zeros", 1)) != 1:  # type: ignore[arg-type]
            raise self._refused(node, "that fails on unseen categories")
        texts, vector = _keys(node, "cats_strings", "cats_int64s", self.where), []
        for column in self.known[node.inputs[0]]:
            j = self._raw(column)
            for text in texts:
                values = {other: float(other == text) for other in texts}
                vector.append(self.inputs.coded(j, values, other=0.0, missing=0.0))
        return list(vector)

    def _labelencoder(self, node: Node) -> Vector:
        keys = _keys(node, "keys_strings", "keys_int64s", self.where)
        given = [node.attributes.get(f"values_{kind}") for kind in ("floats", "int64s")]
        values = next((np.asarray(one, dtype=np.float64) for one in given if one is not None), None)
        if values is None or len(values) != len(keys):
            raise self._refused(node, "to texts")
        default = node.attributes.get("default_float", node.attributes.get("default_int64", -0.0))
        table = dict(zip(keys, values.tolist(), strict=True))
        other = float(default)  # type: ignore[arg-type]
        return [
            self.inputs.coded(self._raw(column), table, other=other, missing=other)
            for column in self.known[node.inputs[0]]
        ]

    def _raw(self, column: Number | Coded | Text) -> int:
        """The input of a column that nothing has treated."""
        if isinstance(column, Coded) or (
            isinstance(column, Number) and any(step != InFloat32() for step in column.steps)
        ):
            raise DataError("categories of treated values can't be read", where=self.where)
        return column.input

    def _arithmetic(self, node: Node) -> Vector:
        first, second = node.inputs
        swapped = first in self.graph.constants
        if swapped:
            first, second = second, first
        if second not in self.graph.constants or (swapped and node.op in {"Sub", "Div"}):
            raise self._refused(node, "of two columns")
        columns = self._numbers(first)
        constant = self.graph.constants[second].astype(np.float64).ravel()
        values = np.broadcast_to(constant, (len(columns),)).tolist()
        out: Vector = []
        for column, value in zip(columns, values, strict=True):
            match node.op:
                case "Add":
                    out.append(self._step(column, 1.0, value, node))
                case "Sub":
                    out.append(self._step(column, 1.0, -value, node))
                case "Mul":
                    out.append(self._step(column, value, 0.0, node))
                case _:
                    out.append(self._divided(column, value, node))
        return out

    def _step(
        self, column: Number | Coded, factor: float, offset: float, node: Node
    ) -> Number | Coded:
        if not (factor > 0 and np.isfinite(factor) and np.isfinite(offset)):
            raise self._refused(node, "with a factor that is not above 0")
        step = Product(factor, offset)
        return column.then(InFloat32(step) if self._single(column) else step)

    def _divided(self, column: Number | Coded, by: float, node: Node) -> Number | Coded:
        if not (by > 0 and np.isfinite(by)):
            raise self._refused(node, "by a number that is not above 0")
        step = Affine(0.0, by)
        return column.then(InFloat32(step) if self._single(column) else step)

    def _single(self, column: Number | Coded) -> bool:
        """Whether the graph computes in float32 here."""
        if isinstance(column, Number):
            return any(isinstance(step, InFloat32) for step in column.steps)
        return all(one.kind != DOUBLE for one in self.graph.inputs)


_OPERATIONS = {
    op.lower(): op
    for op in (
        *("Cast", "Concat", "FeatureVectorizer", "Scaler", "Imputer", "Gather"),
        *("ArrayFeatureExtractor", "OneHotEncoder", "LabelEncoder"),
    )
}


def _input(j: int, one: GraphInput) -> Number | Text:
    if one.kind == STRING:
        return Text(j)
    number = Number(j)
    # A runtime compares and weighs integers as float32, too.
    return number if one.kind == DOUBLE else number.then(InFloat32())


def _each(node: Node, name: str, n: int, absent: float) -> list[float]:
    found = np.asarray(node.attributes.get(name, [absent]), dtype=np.float64).ravel()
    values: list[float] = np.broadcast_to(found, (n,)).tolist()
    return values


def _whole(node: Node, name: str) -> int:
    found = node.attributes[name]
    if not isinstance(found, int):
        raise TypeError(f"expected one number for {name}")
    return found


def _keys(node: Node, texts: str, integers: str, where: str) -> list[str]:
    found = node.attributes.get(texts)
    if isinstance(found, list) and found:
        return found
    whole = np.asarray(node.attributes[integers]).astype(np.int64).tolist()
    return [category_text(value, where) for value in whole]
