"""A workplace with a sealed detector in it, and a real server on a free loopback port."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import msgspec

from baluarte import wiring
from baluarte.adapters.system import SystemClock
from baluarte.apps.scoring.reach import Token, make_token
from baluarte.apps.scoring.settings import Limits, ServeSettings
from baluarte.core.bundle import BundleParts
from baluarte.core.event import Values
from baluarte.core.registry import Version
from baluarte.core.windows import WindowCounts
from baluarte.ports import Room
from baluarte.stages.promote import promote
from baluarte.stages.seal import seal
from baluarte.testing.bundles import sample_parts


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for it; on a busy machine as long as it takes, within reason."""
    for _ in range(int(seconds * 100)):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come about")


class CountsKept:
    """Figures in lists."""

    def __init__(self) -> None:
        self.champions: list[tuple[str, int]] = []
        self.refused_champions: list[str] = []
        self.writable: list[bool] = []
        self.accepts = True
        self.shed = self.gaps = self.repeats = self.forgotten_early = 0

    def decided(
        self, detector: str, version: int, outcomes: Sequence[str], points: Sequence[int]
    ) -> None: ...

    def deferred(self, detector: str, n: int) -> None: ...

    def repeated(self, detector: str, n: int) -> None:
        self.repeats += n

    def forgotten(self, n: int) -> None:
        self.forgotten_early += n

    def shadowed(self, detector: str, version: int, n: int) -> None: ...

    def shadow_shed(self, detector: str, n: int) -> None:
        self.shed += n

    def answered(self, seconds: Sequence[float], detector: str, version: int) -> None: ...

    def refused(self, code: str) -> None: ...

    def ledger(self, *, waiting: int, lag_s: float | None, writable: bool) -> None:
        self.writable.append(writable)

    def room(self, room: Room, *, accepts: bool) -> None:
        self.accepts = accepts

    def gap(self, detector: str, n: int) -> None:
        self.gaps += n

    def champion(self, detector: str, version: int) -> None:
        self.champions.append((detector, version))

    def kernel(self, kernel: str) -> None: ...

    def champion_refused(self, error: str) -> None:
        self.refused_champions.append(error)

    def windows(self, detector: str, counts: WindowCounts) -> None: ...

    def page(self) -> bytes:
        return b""


_RUN = """
import sys, msgspec
from baluarte.apps.scoring.server import serve
from baluarte.apps.scoring.settings import ServeSettings
if __name__ == "__main__":
    said = msgspec.json.decode(sys.argv[1], type=ServeSettings)
    serve(said, ready=lambda serving: print(msgspec.json.encode(serving).decode(), flush=True))
"""


@dataclass
class Workplace:
    """Stores, a key and a token in one folder."""

    root: Path
    token: Token = field(init=False)

    def __post_init__(self) -> None:
        now = SystemClock().now_us()
        self.token = make_token(now_us=now)
        wiring.create_key(
            self.root / "keys" / "test.key",
            self.root / "trusted",
            not_before=now - 1_000_000,
            not_after=now + 3_600_000_000,
        )

    @property
    def registry(self) -> str:
        return f"sqlite:{self.root / 'registry.sqlite'}"

    def stores(self) -> dict[str, Any]:
        return {
            "registry": wiring.open_registry(self.registry),
            "bundles": wiring.open_bundles(self.root / "bundles"),
            "verifier": wiring.open_verifier(self.root / "trusted"),
            "clock": SystemClock(),
        }

    def seal(self, parts: BundleParts | None = None) -> Version:
        shard = wiring.open_ledger_shard(self.root / "acts")
        try:
            return seal(
                parts or sample_parts(),
                actor="ana",
                signer=wiring.open_signer(self.root / "keys" / "test.key", self.root / "trusted"),
                ledger=shard,
                **self.stores(),
            )
        finally:
            shard.close()

    def promote(self, version: Version) -> None:
        shard = wiring.open_ledger_shard(self.root / "acts")
        try:
            promote(
                version.detector,
                version.version,
                actor="ana",
                reason="test",
                approvals=0,
                ledger=shard,
                **self.stores(),
            )
        finally:
            shard.close()

    def settings(self, **changes: Any) -> ServeSettings:
        token = self.token
        given = ServeSettings(
            registry=self.registry,
            bundles=str(self.root / "bundles"),
            ledger=str(self.root / "ledger"),
            trusted=str(self.root / "trusted"),
            token_hash=token.token_hash,
            token_pepper=token.pepper,
            token_until_us=token.until_us,
            port=0,
            workers=1,
            poll_ms=50,
            repeat_events=20_000,
            spare=False,
            limits=Limits(max_body_bytes=1 << 20, max_rows=6_000),
        )
        return msgspec.structs.replace(given, **changes)


class Server:
    """A server in a process of its own."""

    def __init__(self, workplace: Workplace, *, code: str = _RUN, **changes: Any) -> None:
        self.token = workplace.token.text
        script = workplace.root / "run_server.py"
        script.write_text(code)
        self.process = subprocess.Popen(
            [sys.executable, str(script), msgspec.json.encode(workplace.settings(**changes))],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            _, said = self.process.communicate()
            raise AssertionError(said.decode())
        self.serving: dict[str, Any] = json.loads(line)
        self.port = int(self.serving["url"].rsplit(":", 1)[1])
        self._local = threading.local()
        self._seen: set[int] = set()
        self._connections: list[http.client.HTTPConnection] = []

    def connection(self) -> http.client.HTTPConnection:
        last, self._local.used = getattr(self._local, "used", 0.0), time.monotonic()
        if self._local.used - last > 10:  # the server closes what is idle for long
            self._local.__dict__.pop("connection", None)
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            self._connections.append(self._local.connection)
        return self._local.connection  # type: ignore[no-any-return]

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> tuple[int, Any]:
        sent = {"Authorization": f"Bearer {self.token}"}
        if body is not None:
            sent["Content-Type"] = "application/json"
        connection = self.connection()
        try:
            connection.request(method, path, body=body, headers={**sent, **(headers or {})}, **more)
            response = connection.getresponse()
            content = response.read()
        except (http.client.HTTPException, OSError):
            connection.close()
            raise
        if (
            "json" in (response.headers["Content-Type"] or "")
            and "ndjson" not in (response.headers["Content-Type"])
        ):
            return response.status, json.loads(content)
        return response.status, content

    def decide(self, events: Any, query: str = "", detector: str = "flows") -> tuple[int, Any]:
        body = events if isinstance(events, bytes) else json.dumps(events).encode()
        return self.ask("POST", f"/v1/detectors/{detector}/decisions{query}", body)

    def fresh_decide(self, events: Any, detector: str = "flows") -> tuple[int, Any]:
        """The same over a connection of its own: whichever worker takes it."""
        with contextlib.closing(
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        ) as connection:
            head = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            path = f"/v1/detectors/{detector}/decisions"
            connection.request("POST", path, json.dumps(events).encode(), head)
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def try_to_decide(self, events: Any) -> tuple[int, Any]:
        """The same; status 0 where the server went away meanwhile."""
        try:
            return self.fresh_decide(events)
        except (http.client.HTTPException, OSError):
            return 0, None

    def until_answered(self, events: Any) -> tuple[int, Any]:
        """As a caller does that repeats what was not answered, or answered by 503."""
        while (answered := self.try_to_decide(events))[0] in {0, 503}:
            time.sleep(0.02)
        return answered

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        found = [
            int(pid)
            for pid in children.split()
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        self._seen.update(found)
        return found

    def workers_left(self) -> list[int]:
        """Those that outlived their parent, of all that were ever seen."""
        return [pid for pid in sorted(self._seen) if Path(f"/proc/{pid}/root").exists()]

    def stop(self, wait_s: float = 20) -> tuple[int, str]:
        """SIGTERM; the exit status and what was said."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=wait_s)
        return self.process.returncode, said.decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            self.process.kill()
            for connection in self._connections:
                connection.close()
            for pipe in (self.process.stdout, self.process.stderr):
                if pipe is not None:
                    pipe.close()


def on_the_wire(record: Values) -> dict[str, Any]:
    """An event as a caller sends it: the sample's record with its nested object."""
    event: dict[str, Any] = dict(record)
    event.pop("time", None)  # a record has microseconds, the field's unit is seconds
    if "bytes_out" in event:
        event["flow"] = {"bytes_out": event.pop("bytes_out")}
    return event
