"""Other model servers with the same LightGBM model, each in an environment of its own.

Each does what its documentation says for a LightGBM model: MLflow's scoring server, MLServer's
LightGBM runtime, a model class of KServe's Python server, a BentoML service; and nginx with a fixed
answer, which is the ceiling. They write no access log, record nothing and give no reasons.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from engines import AwayError, environment

_START_S = 300.0
_LIGHTGBM = "lightgbm==4.7.0"


class Peer(NamedTuple):
    """How a server is installed, started and asked."""

    packages: tuple[str, ...]
    files: Callable[[Path, int], dict[str, str]]  #: folder and workers to files by name
    command: Callable[[Path, int, int], list[str]]  #: the environment's bin, port, workers
    path: str
    body: Callable[[list[str], list[float]], object]  #: of one event
    ready: str


_SAVE = """
import mlflow, lightgbm
mlflow.lightgbm.save_model(lightgbm.Booster(model_file="model.txt"), "mlmodel")
"""
_KSERVE = """
import sys
import kserve, lightgbm, numpy as np

class Detector(kserve.Model):
    def load(self):
        self.booster = lightgbm.Booster(model_file="model.txt")
        self.ready = True
        return True

    async def predict(self, payload, headers=None):
        rows = np.array(payload["instances"], dtype=np.float64)
        return {"predictions": self.booster.predict(rows, num_threads=1).tolist()}

if __name__ == "__main__":
    model = Detector("m")
    model.load()
    kserve.ModelServer(
        http_port=int(sys.argv[1]), workers=int(sys.argv[2]), enable_grpc=False,
        access_log_format=None,
    ).start([model])
"""
_BENTO = """
import bentoml, lightgbm, numpy as np

@bentoml.service(workers=%d, logging={"access": {"enabled": False}}, metrics={"enabled": False})
class Detector:
    def __init__(self):
        self.booster = lightgbm.Booster(model_file="model.txt")

    @bentoml.api
    def predict(self, rows: list[list[float]]) -> list[float]:
        return self.booster.predict(np.array(rows, dtype=np.float64), num_threads=1).tolist()
"""
_MLSERVER = {
    "debug": False, "host": "127.0.0.1", "grpc_port": 0, "metrics_endpoint": None,
    "logging_settings": None,
}  # fmt: skip
_NGINX = """
worker_processes %d; daemon off; pid nginx.pid; error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000;
  server {
    listen 127.0.0.1:%d reuseport backlog=1024;
    location / { default_type application/json; return 200
      '{"id":"01M82B224R2SRZR00000000003","outcome":"pass","points":353,"score":-535}'; }
  }
}
"""

PEERS: dict[str, Peer] = {
    "mlflow": Peer(
        ("mlflow==3.17.2", _LIGHTGBM),
        lambda _f, _w: {"save.py": _SAVE},
        lambda bin_, port, workers: [
            "sh", "-c",
            (
                f"{bin_}/python save.py; exec {bin_}/mlflow models serve -m mlmodel"
                f" --env-manager local -h 127.0.0.1 -p {port} -w {workers}"
            ),
        ],
        "/invocations",
        lambda names, row: {"dataframe_split": {"columns": names, "data": [row]}},
        "/ping",
    ),
    "mlserver": Peer(
        ("mlserver==1.7.1", "mlserver-lightgbm==1.7.1", "uvloop<0.22", _LIGHTGBM),
        lambda _f, workers: {
            "model-settings.json": json.dumps({
                "name": "m", "implementation": "mlserver_lightgbm.LightGBMModel",
                "parameters": {"uri": "./model.txt", "version": "1"},
            }),
            "settings.json": json.dumps(_MLSERVER | {"parallel_workers": workers}),
        },
        lambda bin_, port, _: [
            "env", f"MLSERVER_HTTP_PORT={port}", f"MLSERVER_GRPC_PORT={_free_port()}",
            f"MLSERVER_METRICS_PORT={_free_port()}", f"{bin_}/mlserver", "start", ".",
        ],
        "/v2/models/m/infer",
        lambda names, row: {"inputs": [
            {"name": "rows", "shape": [1, len(names)], "datatype": "FP64", "data": row},
        ]},
        "/v2/models/m/ready",
    ),
    "kserve": Peer(
        ("kserve==0.21.0", _LIGHTGBM),
        lambda _f, _w: {"server.py": _KSERVE},
        lambda bin_, port, workers: [f"{bin_}/python", "server.py", str(port), str(workers)],
        "/v1/models/m:predict",
        lambda _names, row: {"instances": [row]},
        "/v1/models/m",
    ),
    "bentoml": Peer(
        ("bentoml==1.4.40", _LIGHTGBM),
        lambda _f, workers: {"service.py": _BENTO % workers},
        lambda bin_, port, _: [
            f"{bin_}/bentoml", "serve", "service:Detector", "--host", "127.0.0.1", "-p", str(port),
        ],
        "/predict",
        lambda _names, row: {"rows": [row]},
        "/readyz",
    ),
}  # fmt: skip


class Running:
    """A peer that answers.

    Raises:
        AwayError: it can't be installed or doesn't start here.
    """

    def __init__(self, name: str, folder: Path, model: str, *, workers: int) -> None:
        self.name, self.port = name, _free_port()
        home = folder / name
        home.mkdir()
        if name == "nginx":
            nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
            if nginx is None:
                raise AwayError("nginx left out: it isn't installed")
            (home / "nginx.conf").write_text(_NGINX % (workers, self.port))
            path = os.environ["PATH"]
            command, ready = [nginx, "-p", str(home), "-c", "nginx.conf"], "/"
            self.path = "/"
        else:
            peer = PEERS[name]
            python = environment(f"serve-{name}", peer.packages)
            (home / "model.txt").write_text(model)
            for file, text in peer.files(home, workers).items():
                (home / file).write_text(text)
            path = f"{python.parent}:{os.environ['PATH']}"
            command, ready = peer.command(python.parent, self.port, workers), peer.ready
            self.path = peer.path
        # Modules that are compiled anew in every process would look like the peer's own slowness.
        environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        with (home / "said.txt").open("wb") as said:
            self._process = subprocess.Popen(
                command, cwd=home, stdout=said, stderr=said, start_new_session=True,
                env={**environ, "OMP_NUM_THREADS": "1", "PATH": path,
                     "BENTOML_DO_NOT_TRACK": "True", "MLFLOW_DISABLE_TELEMETRY": "true"},
            )  # fmt: skip
        started = time.monotonic()
        while not self._answers(ready):
            if self._process.poll() is not None or time.monotonic() - started > _START_S:
                self.close()
                last = (home / "said.txt").read_text(errors="replace").strip().splitlines()
                raise AwayError(f"{name} left out: it said {(last or ['nothing'])[-1]:.150}")
            time.sleep(0.2)
        self.seconds = time.monotonic() - started

    def bodies(self, names: list[str], rows: list[list[float]]) -> list[bytes]:
        """The rows as its requests, one each."""
        if self.name == "nginx":
            return [json.dumps(dict(zip(names, row, strict=True))).encode() for row in rows]
        return [json.dumps(PEERS[self.name].body(names, row)).encode() for row in rows]

    def close(self) -> None:
        """End it and all its processes."""
        for how, wait_s in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(self._process.pid, how)
                self._process.wait(wait_s)

    def _answers(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
