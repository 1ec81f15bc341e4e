"""The protocols that others defined: each answers what the native route answers."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scoring_ground import Server, Workplace, on_the_wire

from baluarte.testing.bundles import sample_events, sample_parts

PLAIN = ("score", "points", "probability", "outcome")


class Ground:
    """A server of one detector, events, and what the native route says of them."""

    def __init__(self, folder: Path) -> None:
        place = Workplace(folder)
        place.promote(place.seal(sample_parts()))
        self.server = Server(place, platform=True)
        self.events = [on_the_wire(event) for event in sample_events(7)]
        status, native = self.server.decide(self.events)
        assert status == 200
        self.native = [{name: one[name] for name in PLAIN} for one in native]

    def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {name.replace("_", "-").title(): value for name, value in headers.items()}
        return self.server.ask("POST", path, raw, sent)

    @property
    def columns(self) -> dict[str, list[Any]]:
        """The events as lists, one a field; nested ones under their whole path."""
        flat = [
            {k: v for k, v in event.items() if k != "flow"}
            | {f"flow.{k}": v for k, v in event.get("flow", {}).items()}
            for event in self.events
        ]
        names = sorted(set().union(*flat))
        return {name: [event.get(name) for event in flat] for name in names}


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    made = Ground(tmp_path_factory.mktemp("protocols"))
    with made.server:
        yield made


def plain(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: one[name] for name in PLAIN} for one in answers]


# --- TensorFlow Serving -------------------------------------------------------------------------


def test_tensorflow_predicts_rows(ground: Ground) -> None:
    for path in ("/v1/models/flows:predict", "/v1/models/flows/versions/1:predict"):
        status, said = ground.post(path, {"instances": ground.events})
        assert (status, plain(said["predictions"])) == (200, ground.native)


def test_tensorflow_predicts_columns(ground: Ground) -> None:
    body = {"signature_name": "serving_default", "inputs": ground.columns}
    status, said = ground.post("/v1/models/flows:predict", body)
    assert status == 200
    assert said["outputs"]["score"] == [one["score"] for one in ground.native]


def test_tensorflow_classifies_and_regresses_with_a_common_context(ground: Ground) -> None:
    common = {"flow": ground.events[0]["flow"]} if "flow" in ground.events[0] else {}
    examples = [{k: v for k, v in ground.events[0].items() if k not in common}]
    body = {"examples": examples, "context": common}
    probability = ground.native[0]["probability"]
    _, said = ground.post("/v1/models/flows:regress", body)
    assert said == {"results": [probability]}
    _, said = ground.post("/v1/models/flows:classify", body)
    assert said == {"results": [[["attack", probability], ["other", 1 - probability]]]}


def test_tensorflow_tells_status_and_metadata(ground: Ground) -> None:
    _, said = ground.server.ask("GET", "/v1/models/flows")
    assert said["model_version_status"][0]["state"] == "AVAILABLE"
    _, said = ground.server.ask("GET", "/v1/models/flows/versions/1/metadata")
    signature = said["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["outputs"]["score"]["dtype"] == "DT_INT64"
    assert "flow.bytes_out" in signature["inputs"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"instances": []}, "at least one"),
        ({"instances": [1]}, "$.instances[0]"),
        ({"instances": [{}], "inputs": {}}, "instances or inputs"),
        ({"inputs": {"a": [1], "b": [1, 2]}}, "lists of one length"),
        ({"instances": [{}], "signature_name": "other"}, "signature_name"),
        (b'{"instances": [{"a": 1, "a": 2}]}', "twice"),
        (b'{"instances": [NaN]}', "$.instances[0]"),
        ({"instances": [{"no_such_field": 1}]}, "no_such_field"),
    ],
)
def test_tensorflow_refusals_say_why_under_the_key_error(
    ground: Ground, body: Any, said: str
) -> None:
    status, answer = ground.post("/v1/models/flows:predict", body)
    assert status in (400, 422)
    assert said in answer["error"]


@pytest.mark.parametrize(
    "path", ["/v1/models/other:predict", "/v1/models/flows/versions/9:predict"]
)
def test_a_model_or_a_version_that_does_not_decide_is_404(ground: Ground, path: str) -> None:
    status, answer = ground.post(path, {"instances": ground.events})
    assert (status, answer["code"]) == (404, "not_found")


# --- the Open Inference Protocol ------------------------------------------------------------------


def tensors(ground: Ground) -> list[dict[str, Any]]:
    kinds = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES"}
    made = []
    for name, values in ground.columns.items():
        first = next((v for v in values if v is not None), 0.0)
        made.append(
            {"name": name, "datatype": kinds[type(first)], "shape": [len(values)], "data": values}
        )
    return made


def test_inference_answers_in_tensors(ground: Ground) -> None:
    body = {"id": "42", "inputs": tensors(ground), "outputs": [{"name": "score"}]}
    status, said = ground.post("/v2/models/flows/infer", body)
    assert status == 200
    assert (said["model_name"], said["model_version"], said["id"]) == ("flows", "1", "42")
    (output,) = said["outputs"]
    assert output["data"] == [one["score"] for one in ground.native]
    assert (output["datatype"], output["shape"]) == ("INT64", [7])


def test_inference_takes_and_gives_raw_tensors(ground: Ground) -> None:
    head, raw = [], b""
    for tensor in tensors(ground):
        values = tensor.pop("data")
        if tensor["datatype"] == "BYTES" and None in values:
            head.append({**tensor, "data": values})  # a missing text has no raw form; both may mix
            continue
        if tensor["datatype"] == "BYTES":
            texts = [str(v).encode() for v in values]
            part = b"".join(struct.pack("<I", len(t)) + t for t in texts)
        elif tensor["datatype"] == "FP64" or None in values:
            tensor["datatype"] = "FP64"  # a whole number can't be missing in raw bytes, a NaN can
            part = np.array([np.nan if v is None else v for v in values], "<f8").tobytes()
        else:
            part = np.array(values, {"INT64": "<i8", "BOOL": "?"}[tensor["datatype"]]).tobytes()
        head.append({**tensor, "parameters": {"binary_data_size": len(part)}})
        raw += part
    body = json.dumps({"inputs": head, "parameters": {"binary_data_output": True}}).encode()
    connection = ground.server.connection()
    connection.request(
        "POST", "/v2/models/flows/versions/1/infer", body + raw,
        {
            "Authorization": f"Bearer {ground.server.token}",
            "Inference-Header-Content-Length": str(len(body)),
        },
    )  # fmt: skip
    response = connection.getresponse()
    content = response.read()
    assert response.status == 200, content
    assert "inference-header-content-length" in response.headers, content
    size = int(response.headers["inference-header-content-length"])
    said, rest = json.loads(content[:size]), content[size:]
    scores = np.frombuffer(rest[: said["outputs"][0]["parameters"]["binary_data_size"]], "<i8")
    assert scores.tolist() == [one["score"] for one in ground.native]


def test_inference_tells_what_there_is(ground: Ground) -> None:
    assert ground.server.ask("GET", "/v2")[1]["extensions"] == ["binary_tensor_data"]
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/flows/ready"):
        assert ground.server.ask("GET", path)[0] == 200
    _, said = ground.server.ask("GET", "/v2/models/flows")
    assert said["versions"] == ["1"]
    assert {"name": "flow.bytes_out", "datatype": "FP64", "shape": [-1]} in said["inputs"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shape": [3]}, "3 values"),
        ({"shape": [7, 2]}, "[n] or [n, 1]"),
        ({"datatype": "FP12"}, "datatype"),
        ({"data": None}, "values"),
        ({"parameters": {"binary_data_size": 8}}, "binary_data_size"),
        ({"parameters": {"binary_data_size": -8}, "data": None}, "binary_data_size"),
        ({"name": 7}, "inputs[0].name"),
    ],
)
def test_inference_refusals_say_where(ground: Ground, change: dict[str, Any], said: str) -> None:
    given = tensors(ground)
    given[0].update(change)
    status, answer = ground.post("/v2/models/flows/infer", {"inputs": given})
    assert status == 400
    assert said in answer["error"]


# --- SageMaker and Azure, which come without a key ----------------------------------------------


def test_sagemaker_takes_and_gives_its_content_types(ground: Ground) -> None:
    assert ground.server.ask("GET", "/ping")[0] == 200
    status, said = ground.post("/invocations", ground.events)
    assert (status, plain(said)) == (200, ground.native)
    lines = "\n".join(json.dumps(event) for event in ground.events).encode()
    status, said = ground.post(
        "/invocations", lines, content_type="application/jsonlines", accept="text/csv"
    )
    assert status == 200
    scores = [int(line.split(",")[0]) for line in said.decode().splitlines()]
    assert scores == [one["score"] for one in ground.native]


def test_sagemaker_reads_csv_by_the_order_of_the_given_fields(ground: Ground) -> None:
    _, info = ground.server.ask("GET", "/v1/detectors/flows")
    names = [
        field.get("path") or field["name"]
        for field in info["fields"]
        if field.get("role", "feature") not in ("ignored", "derived")
    ]
    columns = ground.columns
    rows = [
        ",".join("" if columns.get(n, [None] * 7)[i] is None else str(columns[n][i]) for n in names)
        for i in range(7)
    ]
    status, said = ground.post("/invocations", "\n".join(rows).encode(), content_type="text/csv")
    assert status == 200, said
    scores = [int(line.split(",")[0]) for line in said.decode().splitlines()]
    assert scores == [one["score"] for one in ground.native]
    status, said = ground.post("/invocations", b"1,2", content_type="text/csv")
    assert status == 400
    assert "given fields in order" in said["error"]


def test_azure_takes_its_three_forms(ground: Ground) -> None:
    names = sorted(ground.columns)
    table = [list(row) for row in zip(*(ground.columns[n] for n in names), strict=True)]
    for body, answers in (
        ({"data": ground.events}, lambda said: said),
        ({"Inputs": {"data": ground.events}}, lambda said: said["Results"]),
        ({"input_data": {"columns": names, "data": table}}, lambda said: said),
    ):
        status, said = ground.post("/score", body)
        assert (status, plain(answers(said))) == (200, ground.native)
    assert ground.server.ask("GET", "/swagger.json")[1]["swagger"] == "2.0"
    assert ground.server.ask("GET", "/")[0] == 200


def test_only_a_platforms_own_routes_are_open_to_it(ground: Ground) -> None:
    connection = ground.server.connection()
    seen = {}
    for path, body in (
        ("/invocations", ground.events), ("/score", {"data": ground.events}),
        ("/v1/detectors/flows/decisions", ground.events),
        ("/v1/models/flows:predict", {"instances": ground.events}),
    ):  # fmt: skip
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        seen[path] = response.status
    assert list(seen.values()) == [200, 200, 401, 401]
