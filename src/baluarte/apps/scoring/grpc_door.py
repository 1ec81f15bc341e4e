"""The Open Inference Protocol over gRPC: a door of its own, in a process with a shard of its own.

Each call becomes the request of the same protocol over HTTP, with its tensors raw, and goes through
the one door: the same guard, limits, quotas, figures and road. gRPC's own library can't be held to
TLS 1.3, so this door listens on loopback; others reach it through a proxy that ends TLS, and show
the same keys in the metadata ``authorization``.

Comes with the extra ``grpc``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import msgspec
from google.protobuf.message import DecodeError

from baluarte.apps.http.exchange import Headers
from baluarte.apps.scoring.protocols.inference_messages import MESSAGES, SERVICE
from baluarte.apps.scoring.protocols.open_inference import HEADER_LENGTH
from baluarte.apps.scoring.settings import ServeSettings
from baluarte.apps.scoring.worker import Worker, load

LOG = logging.getLogger("baluarte.scoring")
_GRACE_S = 20.0
_PARENT_S = 0.5  #: between two looks whether the parent is still there
_CONTENTS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents",
    "INT32": "int_contents", "INT64": "int64_contents", "UINT8": "uint_contents",
    "UINT16": "uint_contents", "UINT32": "uint_contents", "UINT64": "uint64_contents",
    "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip
_STATUS = {
    400: grpc.StatusCode.INVALID_ARGUMENT, 401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED, 404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.ALREADY_EXISTS, 413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    422: grpc.StatusCode.INVALID_ARGUMENT, 429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL, 503: grpc.StatusCode.UNAVAILABLE,
}  # fmt: skip


class _Headers:
    """Headers of a call, as the door looks at them."""

    def __init__(self, given: dict[str, str]) -> None:
        self._given = given

    def get(self, key: str) -> str | None:
        return self._given.get(key)

    def get_all(self, key: str) -> list[str]:
        return [self._given[key]] if key in self._given else []


class _Call:
    """A call as a request: its head and body, and where the answer goes."""

    query_string = ""
    client = "grpc"
    authority: str | None = None

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method, self.path = method, path
        self.headers: Headers = _Headers({**headers, "content-length": str(len(body))})
        self._body = body
        self.status, self.answer = 500, b""
        self.told: dict[str, str] = {}

    async def __call__(self) -> bytes:
        return self._body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.told, self.answer = status, dict(headers), body


class GrpcDoor:
    """Answers calls by a worker's door."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._host = worker.own_name

    def methods(self) -> dict[str, Callable[[Any, Any], Awaitable[Any]]]:
        """By the names of the service's methods."""
        return {
            "ServerLive": self._live,
            "ServerReady": self._server_ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "ModelInfer": self._infer,
        }

    async def _asked(
        self, context: Any, method: str, path: str, body: bytes = b"", head: int | None = None
    ) -> _Call:
        """The door's answer to a request; one that is no good ends the call."""
        metadata = dict(context.invocation_metadata() or ())
        headers = {"host": self._host, "content-type": "application/octet-stream"}
        if head is not None:
            headers[HEADER_LENGTH] = str(head)
        if isinstance(metadata.get("authorization"), str):
            headers["authorization"] = metadata["authorization"]
        call = _Call(method, path, headers, body)
        await self._worker.handle(call, call)
        if call.status not in (200, 503) or (call.status == 503 and method == "POST"):
            said = msgspec.json.decode(call.answer)
            code = _STATUS.get(call.status, grpc.StatusCode.UNKNOWN)
            await context.abort(code, said.get("error") or said.get("title") or said["code"])
        return call

    async def _live(self, _: Any, context: Any) -> Any:
        await self._asked(context, "GET", "/v2/health/live")
        return MESSAGES["ServerLiveResponse"](live=True)

    async def _server_ready(self, _: Any, context: Any) -> Any:
        call = await self._asked(context, "GET", "/v2/health/ready")
        return MESSAGES["ServerReadyResponse"](ready=call.status == 200)

    async def _model_ready(self, request: Any, context: Any) -> Any:
        call = await self._asked(context, "GET", _path(request.name, request.version) + "/ready")
        return MESSAGES["ModelReadyResponse"](ready=call.status == 200)

    async def _server_metadata(self, _: Any, context: Any) -> Any:
        call = await self._asked(context, "GET", "/v2")
        return MESSAGES["ServerMetadataResponse"](**msgspec.json.decode(call.answer))

    async def _model_metadata(self, request: Any, context: Any) -> Any:
        call = await self._asked(context, "GET", _path(request.name, request.version))
        return MESSAGES["ModelMetadataResponse"](**msgspec.json.decode(call.answer))

    async def _infer(self, request: Any, context: Any) -> Any:
        try:
            head, raw = _request(request)
        except UnicodeDecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "expected texts in UTF-8")
        path = _path(request.model_name, request.model_version) + "/infer"
        call = await self._asked(context, "POST", path, head + raw, len(head))
        return _response(call)


def _path(name: str, version: str) -> str:
    # A slash or a control character in a name can't make another path: none of the routes has it.
    return f"/v2/models/{name}/versions/{version}" if version else f"/v2/models/{name}"


def _request(request: Any) -> tuple[bytes, bytes]:
    """The JSON and the raw tensors of an inference request over HTTP."""
    raw = list(request.raw_input_contents)
    inputs = []
    for i, tensor in enumerate(request.inputs):
        one: dict[str, Any] = {
            "name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape),
        }  # fmt: skip
        if i < len(raw):
            one["parameters"] = {"binary_data_size": len(raw[i])}
        else:
            values = list(getattr(tensor.contents, _CONTENTS.get(tensor.datatype, "bool_contents")))
            if tensor.datatype == "BYTES":
                values = [value.decode() for value in values]
            elif tensor.datatype in ("FP32", "FP64"):
                values = [None if value != value else value for value in values]  # noqa: PLR0124 - NaN
            one["data"] = values
        inputs.append(one)
    said: dict[str, Any] = {"inputs": inputs, "parameters": {"binary_data_output": True}}
    if request.id:
        said["id"] = request.id
    if request.outputs:
        said["outputs"] = [{"name": output.name} for output in request.outputs]
    return msgspec.json.encode(said), b"".join(raw)


def _response(call: _Call) -> Any:
    """An answer over HTTP as the call's."""
    size = int(call.told[HEADER_LENGTH])
    said, raw = msgspec.json.decode(call.answer[:size]), call.answer[size:]
    answer = MESSAGES["ModelInferResponse"](
        model_name=said["model_name"], model_version=said["model_version"], id=said.get("id", "")
    )
    for output in said["outputs"]:
        answer.outputs.add(name=output["name"], datatype=output["datatype"], shape=output["shape"])
        length = output["parameters"]["binary_data_size"]
        answer.raw_output_contents.append(raw[:length])
        raw = raw[length:]
    return answer


def _guarded(name: str, method: Callable[[Any, Any], Awaitable[Any]]) -> Callable[..., Any]:
    """A method that tells nothing of the inside, whatever is sent or fails."""

    async def answer(raw: bytes, context: Any) -> Any:
        try:
            request = MESSAGES[f"{name}Request"].FromString(raw)
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "expected a message of " + name)
        try:
            return await method(request, context)
        except grpc.aio.AbortError:
            raise
        except Exception:  # our bug: the log has it, the caller learns nothing of the inside
            LOG.exception("a call failed")
            await context.abort(grpc.StatusCode.INTERNAL, "The server failed.")

    return answer


def run(settings: ServeSettings) -> None:
    """Answer calls in this process until SIGTERM, or until the parent is gone."""
    asyncio.run(_run(settings, os.getppid()))


async def _run(settings: ServeSettings, parent: int) -> None:
    loop = asyncio.get_running_loop()
    worker = load(settings)
    worker.open(loop)
    methods = {
        name: grpc.unary_unary_rpc_method_handler(
            _guarded(name, method),
            response_serializer=MESSAGES[f"{name}Response"].SerializeToString,
        )
        for name, method in GrpcDoor(worker).methods().items()
    }
    limit = settings.limits.max_body_bytes + 65_536
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", limit),
            ("grpc.max_metadata_size", 16_384),
            ("grpc.so_reuseport", 0),
        ],
        maximum_concurrent_rpcs=settings.limits.max_inflight,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    server.add_insecure_port(settings.grpc)
    await server.start()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    while not ended.is_set() and os.getppid() == parent:
        try:
            await asyncio.wait_for(ended.wait(), _PARENT_S)
        except TimeoutError:
            continue
    await server.stop(_GRACE_S)
    await asyncio.get_running_loop().run_in_executor(None, worker.close, loop)
