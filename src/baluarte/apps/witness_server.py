"""A witness over HTTP: two routes of the specification, and nothing else.

Source: C2SP tlog-witness (https://c2sp.org/tlog-witness): add-checkpoint, monitor retrieval.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from baluarte.core.witnessing import Refusal, Refused
from baluarte.errors import BaluarteError

MAX_BODY_BYTES = 1 << 16  #: a note of 16 post-quantum signatures and 63 hashes
_TIMEOUT_S = 10.0
STATUS: dict[Refusal, HTTPStatus] = {
    "malformed": HTTPStatus.BAD_REQUEST,
    "unsigned": HTTPStatus.FORBIDDEN,
    "unknown": HTTPStatus.NOT_FOUND,
    "conflict": HTTPStatus.CONFLICT,
    "inconsistent": HTTPStatus.UNPROCESSABLE_ENTITY,
}

Cosign = Callable[[bytes], bytes | Refused]
LastOf = Callable[[str], bytes | None]


class WitnessServer(ThreadingHTTPServer):
    """A server that is bound to its address and waits for ``serve_forever``.

    Args:
        cosign: answers a body of add-checkpoint.
        last_of: the last cosigned checkpoint by the hash of its origin.
    """

    daemon_threads = True

    def __init__(self, address: tuple[str, int], cosign: Cosign, last_of: LastOf) -> None:
        self.cosign, self.last_of = cosign, last_of
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: WitnessServer
    protocol_version = "HTTP/1.1"
    server_version = "baluarte-witness"
    sys_version = ""
    timeout = _TIMEOUT_S

    def do_POST(self) -> None:
        """add-checkpoint."""
        length = self.headers.get("Content-Length", "")
        if self.headers.get("Transfer-Encoding") or not length.isdecimal():
            self._send(HTTPStatus.LENGTH_REQUIRED, b"expected a Content-Length\n", close=True)
        elif int(length) > MAX_BODY_BYTES:
            said = b"expected at most %d bytes\n" % MAX_BODY_BYTES
            self._send(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, said, close=True)
        elif self.path != "/add-checkpoint":
            self._send(HTTPStatus.NOT_FOUND, b"there is no such route\n", close=True)
        else:
            self._cosign(self.rfile.read(int(length)))

    def do_GET(self) -> None:
        """The last cosigned checkpoint of a log."""
        _, _, rest = self.path.partition("/")
        origin_hash, _, name = rest.partition("/")
        note = self.server.last_of(origin_hash) if name == "checkpoint" else None
        if note is None:
            self._send(HTTPStatus.NOT_FOUND, b"no checkpoint of such a log was cosigned\n")
        else:
            self._send(HTTPStatus.OK, note)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is inherited
        """Nothing: a witness keeps what it cosigned, not who asked."""

    def _cosign(self, body: bytes) -> None:
        try:
            answer = self.server.cosign(body)
        except BaluarteError:
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, b"the witness can't keep what it saw\n")
            return
        if not isinstance(answer, Refused):
            self._send(HTTPStatus.OK, answer)
        elif answer.kind == "conflict":
            body = b"%d\n" % answer.size
            self._send(HTTPStatus.CONFLICT, body, kind="text/x.tlog.size")
        else:
            self._send(STATUS[answer.kind], answer.message.encode() + b"\n")

    def _send(
        self,
        status: HTTPStatus,
        body: bytes,
        *,
        kind: str = "text/plain; charset=utf-8",
        close: bool = False,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        if close:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)
