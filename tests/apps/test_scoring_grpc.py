"""The Open Inference Protocol over gRPC, with the clients that its users have: Triton's."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scoring_ground import Server, Workplace, on_the_wire

from baluarte.apps.scoring.grpc_process import require_grpc
from baluarte.errors import ContractError
from baluarte.testing.bundles import sample_events, sample_parts

grpc = pytest.importorskip("grpc", reason="the extra grpc is not installed")
from baluarte.apps.scoring.protocols.inference_messages import MESSAGES, SERVICE  # noqa: E402

EVENTS = [on_the_wire(event) for event in sample_events(8)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Ground:
    """A server with both doors, and what the native route says of the events."""

    def __init__(self, folder: Path) -> None:
        place = Workplace(folder)
        place.promote(place.seal(sample_parts()))
        self.address = f"127.0.0.1:{free_port()}"
        self.server = Server(place, grpc=self.address)
        self.headers = {"authorization": f"Bearer {self.server.token}"}
        self.wait()
        _, native = self.server.decide(EVENTS)
        self.scores = [one["score"] for one in native]

    def wait(self) -> None:
        """Until the gRPC door answers."""
        for _ in range(600):
            try:
                if self.call("ServerLive").live:
                    return
            except grpc.RpcError:
                time.sleep(0.05)
        raise AssertionError("the gRPC door does not answer")

    def call(self, method: str, metadata: Any = None, **fields: Any) -> Any:
        with grpc.insecure_channel(self.address) as channel:
            make = channel.unary_unary(
                f"/{SERVICE}/{method}",
                request_serializer=MESSAGES[f"{method}Request"].SerializeToString,
                response_deserializer=MESSAGES[f"{method}Response"].FromString,
            )
            return make(
                MESSAGES[f"{method}Request"](**fields),
                metadata=list((metadata or self.headers).items()),
                timeout=20,
            )


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    made = Ground(tmp_path_factory.mktemp("grpc"))
    with made.server:
        yield made


def columns() -> dict[str, np.ndarray[Any, Any]]:
    """The events as tensors: NaN is missing, and events without a service come apart."""
    known = [event for event in EVENTS if "service" in event]
    return {
        "id": np.array([event["id"].encode() for event in known], dtype=object),
        "service": np.array([event["service"].encode() for event in known], dtype=object),
        "flow.bytes_out": np.array(
            [event.get("flow", {}).get("bytes_out", np.nan) for event in known], dtype=np.float64
        ),
        "failures": np.array([event.get("failures", np.nan) for event in known], dtype=np.float64),
    }


def expected(ground: Ground) -> list[int]:
    pairs = zip(EVENTS, ground.scores, strict=True)
    return [score for event, score in pairs if "service" in event]


def triton(module: Any, client: Any, **more: Any) -> Any:
    kinds = {"O": "BYTES", "f": "FP64"}
    inputs = []
    for name, values in columns().items():
        tensor = module.InferInput(name, list(values.shape), kinds[values.dtype.kind])
        tensor.set_data_from_numpy(values)
        inputs.append(tensor)
    outputs = [module.InferRequestedOutput(name) for name in ("score", "outcome")]
    return client.infer("flows", inputs, outputs=outputs, **more)


def test_tritons_grpc_client_gets_the_native_scores(ground: Ground) -> None:
    client = pytest.importorskip("tritonclient.grpc")
    with client.InferenceServerClient(ground.address) as made:
        assert made.is_server_live()
        assert made.is_server_ready()
        assert made.is_model_ready("flows", headers=dict(ground.headers))
        metadata = made.get_model_metadata("flows", headers=dict(ground.headers))
        assert {one.name for one in metadata.outputs} >= {"score", "outcome"}
        result = triton(client, made, headers=dict(ground.headers), request_id="7")
    assert result.as_numpy("score").tolist() == expected(ground)
    assert result.as_numpy("outcome")[0] in (b"pass", b"alert")
    assert result.get_response().id == "7"


def test_tritons_http_client_gets_the_native_scores(ground: Ground) -> None:
    client = pytest.importorskip("tritonclient.http")
    with client.InferenceServerClient(f"localhost:{ground.server.port}") as made:
        assert made.is_server_live()
        assert made.is_model_ready("flows", headers=dict(ground.headers))
        result = triton(client, made, headers=dict(ground.headers))
    assert result.as_numpy("score").tolist() == expected(ground)


def test_tensors_in_contents_get_the_same_scores(ground: Ground) -> None:
    inputs = []
    for name, values in columns().items():
        bytes_ = values.dtype.kind == "O"
        tensor = MESSAGES["InferInputTensor"](
            name=name, datatype="BYTES" if bytes_ else "FP64", shape=list(values.shape)
        )
        getattr(tensor.contents, "bytes_contents" if bytes_ else "fp64_contents").extend(values)
        inputs.append(tensor)
    answer = ground.call("ModelInfer", model_name="flows", model_version="1", inputs=inputs)
    at = [output.name for output in answer.outputs].index("score")
    found = np.frombuffer(answer.raw_output_contents[at], "<i8").tolist()
    assert found == expected(ground)


def code_of(ground: Ground, method: str, metadata: Any = None, **fields: Any) -> Any:
    with pytest.raises(grpc.RpcError) as info:
        ground.call(method, metadata, **fields)
    return info.value.code()


def test_refusals_have_grpcs_own_codes_and_the_guard_is_the_doors(ground: Ground) -> None:
    wrong = {"authorization": "Bearer blt_no"}
    code = grpc.StatusCode
    assert code_of(ground, "ModelMetadata", wrong, name="flows") == code.UNAUTHENTICATED
    assert code_of(ground, "ModelInfer", wrong, model_name="flows") == code.UNAUTHENTICATED
    assert code_of(ground, "ModelMetadata", name="none") == code.NOT_FOUND
    assert code_of(ground, "ModelMetadata", name="flows", version="9") == code.NOT_FOUND
    assert code_of(ground, "ModelMetadata", name="../detectors/flows") == code.NOT_FOUND
    tensor = MESSAGES["InferInputTensor"](name="what", datatype="FP64", shape=[1])
    tensor.contents.fp64_contents.append(1.0)
    assert code_of(ground, "ModelInfer", model_name="flows", inputs=[tensor]) == (
        code.INVALID_ARGUMENT
    )
    tensor.datatype = "COMPLEX"
    assert code_of(ground, "ModelInfer", model_name="flows", inputs=[tensor]) == (
        code.INVALID_ARGUMENT
    )
    text = MESSAGES["InferInputTensor"](name="service", datatype="BYTES", shape=[1])
    text.contents.bytes_contents.append(b"\xff")
    assert code_of(ground, "ModelInfer", model_name="flows", inputs=[text]) == (
        code.INVALID_ARGUMENT
    )
    with grpc.insecure_channel(ground.address) as channel:
        raw = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        with pytest.raises(grpc.RpcError) as info:
            raw(b"\xff\xff\xff", metadata=list(ground.headers.items()), timeout=20)
        assert info.value.code() == code.INVALID_ARGUMENT
        assert "google" not in info.value.details()


def test_a_door_that_is_killed_comes_back_and_its_decisions_are_recorded(ground: Ground) -> None:
    parent = ground.server.process.pid
    tasks = Path(f"/proc/{parent}/task").glob("*/children")
    children = [pid for task in tasks for pid in task.read_text().split()]
    port = int(ground.address.rpartition(":")[2])
    (door,) = [pid for pid in map(int, children) if _listens(pid, port)]
    os.kill(door, signal.SIGKILL)
    ground.wait()
    test_tensors_in_contents_get_the_same_scores(ground)


def _listens(pid: int, port: int) -> bool:
    """Whether a process has the listening socket of the port."""
    wanted = f":{port:04X} "
    inodes = {
        line.split()[9]
        for kind in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{kind}").read_text().splitlines()
        if wanted in line and line.split()[3] == "0A"
    }
    links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
    return any(f"socket:[{inode}]" in links for inode in inodes)


def test_it_listens_on_loopback_only(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="TLS"):
        require_grpc(Workplace(tmp_path).settings(grpc="0.0.0.0:8316"))
    require_grpc(Workplace(tmp_path / "b").settings(grpc="127.0.0.1:8316"))
