"""The head of a request, read by llhttp and remembered by its bytes.

On a connection that stays open, heads are often the same to the byte; what llhttp said of them is
then looked up. Where the head ends is found here, and must be where llhttp ends it: a head on which
the two differ is refused, so no byte of a body is ever read as a head.

Source: RFC 9112 (HTTP/1.1); llhttp by way of httptools.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

import httptools

END = b"\r\n\r\n"
_PROTOCOL = re.compile(rb"[\r\n]*[^\r\n]* HTTP/1\.[01]\r\n")  # llhttp reads RTSP and ICE too
MOST_BYTES = 64 << 10  #: of a head; more is refused with 431
MOST_HEADERS = 100
_MOST_KNOWN_BYTES = 2 << 10  #: of a head that is remembered
_MOST_KNOWN_HEADERS = 32  #: likewise: each takes many times its bytes
_MOST_KNOWN = 2_048  #: heads that are remembered
#: No status line may stand in an answer's body, where a careless reader could take it for one.
_FORM = (
    "expected a request of HTTP 1.1: a line with a registered method, a path and the version, then "
    "one header a line, each line ended by CR LF"
)
_ONE_END = "expected one Content-Length in digits, or in its place one Transfer-Encoding: chunked"
TOO_LARGE = f"expected a head of at most {MOST_BYTES} bytes and {MOST_HEADERS} headers"


class BadHeadError(Exception):
    """A head that is not answered by any service; the connection ends.

    Args:
        status: what the caller gets.
        expected: what should have been there; nothing of what was is told back.
    """

    def __init__(self, status: int, expected: str) -> None:
        super().__init__(expected)
        self.status = status


class HeadFields:
    """The headers of a request; names in lower case, values as Latin-1."""

    __slots__ = ("_first", "_pairs")

    def __init__(self, pairs: list[tuple[bytes, bytes]]) -> None:
        self._pairs = [(n.decode("latin-1").lower(), v.decode("latin-1")) for n, v in pairs]
        self._first: dict[str, str] = {}
        for name, value in self._pairs:
            self._first.setdefault(name, value)

    def __len__(self) -> int:
        return len(self._pairs)

    def get(self, key: str) -> str | None:
        """The first value, or None."""
        return self._first.get(key)

    def get_all(self, key: str) -> list[str]:
        """All values, in order."""
        return [value for name, value in self._pairs if name == key]


class Head:
    """What a head says; it is shared by all requests with the same bytes.

    Attributes:
        length: bytes of the body; None where it comes in chunks.
        keeps: whether the connection may stay open after the answer.
        expects: whether the caller waits for a word before the body.
        memo: a service's own, of what follows from the head alone.
    """

    __slots__ = (
        "authority",
        "expects",
        "headers",
        "keeps",
        "length",
        "memo",
        "method",
        "path",
        "query_string",
    )

    def __init__(self, read: _Read, parser: httptools.HttpRequestParser) -> None:
        self.method = parser.get_method().decode("ascii")
        self.headers = HeadFields(read.headers)
        version = parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise BadHeadError(400, _FORM)
        self.length = _length(self.headers, version)
        # A caller of HTTP/1.0 takes for granted that it ends, unless it is told otherwise.
        self.keeps = read.keeps and version == "1.1" and self.length is not None
        self.expects = _expects(self.headers) and version == "1.1"
        self.path, self.query_string, self.authority = _target(read.url, self.method)
        self.memo: object = None


class _Read:
    """What llhttp calls while it reads a head."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.keeps = False
        self.parser: httptools.HttpRequestParser | None = None  # while it reads

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= MOST_HEADERS:
            raise BadHeadError(431, TOO_LARGE)
        self.headers.append((name, value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True
        self.keeps = self.parser is not None and self.parser.should_keep_alive()  # later it forgets


class Heads:
    """Reads heads, and remembers them."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}

    def read(self, data: bytes) -> Head:
        """The head that these bytes are, up to and with the empty line.

        Raises:
            BadHeadError: they are none.
        """
        head = self._known.get(data)
        if head is None:
            head = read_head(data)
            if len(data) <= _MOST_KNOWN_BYTES and len(head.headers) <= _MOST_KNOWN_HEADERS:
                if len(self._known) >= _MOST_KNOWN:
                    self._known.clear()
                self._known[data] = head
        return head


def read_head(data: bytes) -> Head:
    """The head that these bytes are.

    Raises:
        BadHeadError: they are none.
    """
    read = _Read()
    read.parser = parser = httptools.HttpRequestParser(read)
    is_whole = False
    try:
        parser.feed_data(data[:-1])
        is_whole = not read.complete  # else what llhttp takes for more would be a body to us
        parser.feed_data(data[-1:])
    except httptools.HttpParserUpgrade:  # to what isn't spoken here: it is answered as it is
        read.keeps = False
    except httptools.HttpParserCallbackError as error:
        raise _cause(error) from None
    except httptools.HttpParserError as error:  # llhttp's words are its own, none of the caller's
        raise BadHeadError(400, f"{_FORM}; found: {error}") from None
    finally:
        read.parser = None
    if not (is_whole and read.complete and _PROTOCOL.match(data)):
        raise BadHeadError(400, _FORM)
    return Head(read, parser)


def _cause(error: BaseException) -> BadHeadError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, BadHeadError):
            return cause
        cause = cause.__context__
    return BadHeadError(400, _FORM)


def _length(headers: HeadFields, version: str) -> int | None:
    """Bytes of the body; None where it comes in chunks.

    Raises:
        BadHeadError: the message's end is not one that all would find at the same place.
    """
    codings = headers.get_all("transfer-encoding")
    lengths = headers.get_all("content-length")
    if codings:
        if lengths or version == "1.0" or len(codings) > 1 or codings[0].lower() != "chunked":
            raise BadHeadError(400, _ONE_END)
        return None
    if not lengths:
        return 0
    if len(lengths) > 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
        raise BadHeadError(400, _ONE_END)
    return int(lengths[0]) if len(lengths[0]) <= 18 else 1 << 62


def _expects(headers: HeadFields) -> bool:
    wanted = headers.get("expect")
    if wanted is None:
        return False
    if wanted.lower() != "100-continue":
        raise BadHeadError(417, "expected of an Expect header only 100-continue")
    return True


def _target(url: bytes, method: str) -> tuple[str, str, str | None]:
    """Path, query and authority of a request's target.

    Raises:
        BadHeadError: it is none.
    """
    if method == "CONNECT":
        raise BadHeadError(405, "expected a path of this server; it is no proxy")
    if url == b"*":
        return "*", "", None
    try:
        parts = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError:
        raise BadHeadError(400, "expected a target such as /readyz") from None
    authority = None
    if parts.host is not None:
        authority = parts.host.decode("latin-1")
        if b":" in parts.host:
            authority = f"[{authority}]"
        if parts.port is not None:
            authority += f":{parts.port}"
    path = (parts.path or b"/").decode("latin-1")
    if "%" in path:
        path = unquote(path, "utf-8", "replace")
    return path, (parts.query or b"").decode("latin-1"), authority
