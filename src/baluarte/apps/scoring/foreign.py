"""Routes of the protocols that others defined: read rows, decide on the one road, write answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from baluarte.apps.scoring.answer import Answer
from baluarte.apps.scoring.asked import JSON, Asked, Reply
from baluarte.apps.scoring.body import Row, Shape
from baluarte.apps.scoring.champions import Champion
from baluarte.apps.scoring.problem import Refusal
from baluarte.apps.scoring.protocols import azureml, open_inference, sagemaker, tensorflow
from baluarte.apps.scoring.reports import Readiness
from baluarte.apps.scoring.settings import Limits

Handler = Callable[[Asked], Reply | Awaitable[Reply]]


class OneRoad(Protocol):
    """What the door offers: everything between a request's bytes and its answers."""

    def champion(self, name: str) -> Champion:
        """The version that decides."""
        ...

    def readiness(self) -> Readiness:
        """Whether the server decides."""
        ...

    async def body(self, asked: Asked) -> bytes:
        """The request's body, within the limit."""
        ...

    async def decided(self, name: str, read: Callable[[], Sequence[Row]]) -> list[Answer]:
        """Answers for the rows that ``read`` finds; without reasons."""
        ...


class Foreign:
    """Handlers by the names of their routes."""

    def __init__(self, road: OneRoad, limits: Limits) -> None:
        self._road = road
        self._limits = limits
        self.handlers: dict[str, Handler] = {
            "tensorflow_status": self._tensorflow_status,
            "tensorflow_metadata": self._tensorflow_metadata,
            "tensorflow_predict": lambda asked: self._tensorflow(asked, "predict"),
            "tensorflow_classify": lambda asked: self._tensorflow(asked, "classify"),
            "tensorflow_regress": lambda asked: self._tensorflow(asked, "regress"),
            "inference_server": lambda _: (200, JSON, open_inference.server()),
            "inference_live": lambda _: (200, JSON, b'{"live":true}'),
            "inference_ready": self._server_ready,
            "inference_model": self._inference_model,
            "inference_model_ready": self._inference_model_ready,
            "inference_infer": self._infer,
            "sagemaker_ping": self._server_ready,
            "sagemaker_invocations": self._invocations,
            "azureml_live": lambda _: (200, JSON, b'{"status":"alive"}'),
            "azureml_score": self._score,
            "azureml_swagger": self._swagger,
        }

    def _champion(self, asked: Asked) -> Champion:
        """The version that decides; another one that the path names is not served."""
        champion = self._road.champion(asked.name)
        if asked.version and int(asked.version) != champion.version.version:
            raise Refusal("not_found", "that version doesn't decide; leave the version out")
        return champion

    def _server_ready(self, _: Asked) -> Reply:
        is_ready = self._road.readiness().status == "ready"
        return 200 if is_ready else 503, JSON, open_inference.ready(is_ready=is_ready)

    # --- TensorFlow Serving -------------------------------------------------------------------

    def _tensorflow_status(self, asked: Asked) -> Reply:
        return 200, JSON, tensorflow.status(self._champion(asked).version.version)

    def _tensorflow_metadata(self, asked: Asked) -> Reply:
        champion = self._champion(asked)
        fields = champion.scorer.contract.events.fields
        return 200, JSON, tensorflow.metadata(asked.name, champion.version.version, fields)

    async def _tensorflow(self, asked: Asked, verb: tensorflow.Verb) -> Reply:
        self._champion(asked)
        body = await self._road.body(asked)
        form: tensorflow.Form = "rows"

        def read() -> Sequence[Row]:
            nonlocal form
            rows, form = tensorflow.read(body, verb, self._limits)
            return rows

        answers = await self._road.decided(asked.name, read)
        return 200, JSON, tensorflow.write(answers, form)

    # --- the Open Inference Protocol ----------------------------------------------------------

    def _inference_model(self, asked: Asked) -> Reply:
        champion = self._champion(asked)
        fields = champion.scorer.contract.events.fields
        return 200, JSON, open_inference.metadata(asked.name, champion.version.version, fields)

    def _inference_model_ready(self, asked: Asked) -> Reply:
        self._champion(asked)
        return 200, JSON, open_inference.ready(is_ready=True)

    async def _infer(self, asked: Asked) -> Reply:
        champion = self._champion(asked)
        body = await self._road.body(asked)
        length = asked.scope.headers.get(open_inference.HEADER_LENGTH)
        request = open_inference.Request(id=None, outputs=())

        def read() -> Sequence[Row]:
            nonlocal request
            rows, request = open_inference.read(body, length, self._limits)
            return rows

        answers = await self._road.decided(asked.name, read)
        version = answers[0].version if answers else champion.version.version
        content, headers = open_inference.write(answers, request, name=asked.name, version=version)
        return 200, headers, content

    # --- SageMaker ------------------------------------------------------------------------------

    async def _invocations(self, asked: Asked) -> Reply:
        headers = asked.scope.headers
        form = sagemaker.form_of(headers.get("content-type"))
        wanted = sagemaker.form_of(headers.get("accept"), default=form)
        fields = self._road.champion(asked.name).scorer.contract.events.fields
        body = await self._road.body(asked)
        shape: Shape = "many"

        def read() -> Sequence[Row]:
            nonlocal shape
            rows, shape = sagemaker.read(body, form, fields, self._limits)
            return rows

        answers = await self._road.decided(asked.name, read)
        content, content_type = sagemaker.write(answers, wanted, shape)
        return 200, [("content-type", content_type)], content

    # --- Azure Machine Learning -----------------------------------------------------------------

    async def _score(self, asked: Asked) -> Reply:
        body = await self._road.body(asked)
        form: azureml.Form = "plain"

        def read() -> Sequence[Row]:
            nonlocal form
            rows, form = azureml.read(body, self._limits)
            return rows

        answers = await self._road.decided(asked.name, read)
        return 200, JSON, azureml.write(answers, form)

    def _swagger(self, asked: Asked) -> Reply:
        fields = self._road.champion(asked.name).scorer.contract.events.fields
        return 200, JSON, azureml.swagger(asked.name, fields)
