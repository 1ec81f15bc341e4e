"""Clients that users have, on a running server: KServe's, and calls as requests makes them.

What requests sends is what urllib3 sends beneath it; what a SageMaker container gets is what
boto3's ``invoke_endpoint`` was asked for, at ``/invocations``, with Amazon's headers.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scoring_ground import Server, Workplace, on_the_wire
from test_scoring_grpc import free_port

from baluarte.testing.bundles import sample_events, sample_parts

urllib3 = pytest.importorskip("urllib3", reason="urllib3 is not installed")
ROOT = Path(__file__).parents[2]
EVENTS = [on_the_wire(event) for event in sample_events(6)]
#: as requests 2 and the Azure and Amazon front ends send them along
LIKE_REQUESTS = {
    "User-Agent": "python-requests/2.34.2",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept": "*/*",
    "Connection": "keep-alive",
}


class Ground:
    """A server for platforms, and the scores that the native route gives."""

    def __init__(self, folder: Path) -> None:
        place = Workplace(folder)
        place.promote(place.seal(sample_parts()))
        self.grpc = f"127.0.0.1:{free_port()}"
        self.server = Server(place, platform=True, grpc=self.grpc)
        self.pool = urllib3.PoolManager()
        self.url = f"http://localhost:{self.server.port}"
        status, native = self.server.decide(EVENTS)
        assert status == 200
        self.scores = [one["score"] for one in native]

    def post(self, path: str, body: Any, **headers: str) -> Any:
        sent = LIKE_REQUESTS | {"Authorization": f"Bearer {self.server.token}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if not any(name.lower() == "content-type" for name in sent):
            sent["Content-Type"] = "application/json"
        answer = self.pool.request("POST", self.url + path, body=body, headers=sent)
        assert answer.status == 200, answer.data
        return answer


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    made = Ground(tmp_path_factory.mktemp("clients"))
    with made.server:
        yield made


def test_requests_posts_instances_to_tensorflow_servings_route(ground: Ground) -> None:
    said = json.dumps({"signature_name": "serving_default", "instances": EVENTS})
    answer = ground.post("/v1/models/flows:predict", said).json()
    assert [one["score"] for one in answer["predictions"]] == ground.scores


def test_a_body_in_chunks_as_requests_sends_a_generator_is_read(ground: Ground) -> None:
    whole = json.dumps({"instances": EVENTS}).encode()
    parts = (whole[at : at + 50] for at in range(0, len(whole), 50))
    sent = LIKE_REQUESTS | {
        "Authorization": f"Bearer {ground.server.token}",
        "Content-Type": "application/json",
    }
    answer = ground.pool.request(
        "POST", f"{ground.url}/v1/models/flows:predict", body=parts, headers=sent, chunked=True
    )
    assert [one["score"] for one in answer.json()["predictions"]] == ground.scores


def test_boto3s_invoke_endpoint_arrives_as_the_platform_passes_it_on(ground: Ground) -> None:
    amazon = {
        "X-Amzn-SageMaker-Custom-Attributes": "trace=1",
        "X-Amzn-SageMaker-Inference-Id": "b3f1",
        "User-Agent": "Boto3/1.43 md/Botocore#1.43 ua/2.1",
    }
    lines = "\n".join(json.dumps(event) for event in EVENTS)
    answer = ground.post(
        "/invocations", lines,
        **{"Content-Type": "application/jsonlines", "Accept": "application/jsonlines"}, **amazon,
    )  # fmt: skip
    assert answer.headers["Content-Type"] == "application/jsonlines"
    found = [json.loads(line)["score"] for line in answer.data.decode().splitlines()]
    assert found == ground.scores
    one = ground.post("/invocations", json.dumps(EVENTS[0]), Accept="application/json", **amazon)
    assert one.json()["score"] == ground.scores[0]


def test_requests_posts_to_an_online_endpoint_of_azure(ground: Ground) -> None:
    azure = {"azureml-model-deployment": "blue", "x-ms-client-request-id": "b3f1"}
    for said in ({"data": EVENTS}, {"Inputs": {"data": EVENTS}}):
        answer = ground.post("/score", json.dumps(said), **azure).json()
        rows = answer if isinstance(answer, list) else next(iter(answer.values()))
        assert [row["score"] for row in rows] == ground.scores


_KSERVE = """
import asyncio, json, sys
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

url, grpc, token, columns = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])

def request():
    n = len(next(iter(columns.values())))
    inputs = [
        InferInput(name, [n], "FP64" if name in ("failures", "flow.bytes_out") else "BYTES", values)
        for name, values in columns.items()
    ]
    return InferRequest("flows", inputs)

def scores(answer):
    (found,) = [output for output in answer.outputs if output.name == "score"]
    return [int(value) for value in found.as_numpy().tolist()]

async def main():
    rest = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    assert await rest.is_server_live(url)
    answer = await rest.infer(url, request(), model_name="flows", headers=headers)
    client = InferenceGRPCClient(grpc)
    kept = await client.infer(request(), headers=[("authorization", f"Bearer {token}")])
    print(json.dumps([scores(answer), scores(kept)]))

asyncio.run(main())
"""


@pytest.mark.soak
def test_kserves_clients_get_the_native_scores_over_both_roads(ground: Ground) -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from engines import AwayError, environment

    try:
        python = environment("clients-kserve", ("kserve==0.21.0",))
    except AwayError as away:
        pytest.skip(str(away))
    known = [i for i, event in enumerate(EVENTS) if {"service", "failures", "flow"} <= event.keys()]
    columns = {
        "id": [EVENTS[i]["id"] for i in known],
        "service": [EVENTS[i]["service"] for i in known],
        "failures": [float(EVENTS[i]["failures"]) for i in known],
        "flow.bytes_out": [float(EVENTS[i]["flow"]["bytes_out"]) for i in known],
    }
    done = subprocess.run(
        [str(python), "-c", _KSERVE, ground.url, ground.grpc, ground.server.token,
         json.dumps(columns)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    expected = [ground.scores[i] for i in known]
    assert json.loads(done.stdout.splitlines()[-1]) == [expected, expected]
