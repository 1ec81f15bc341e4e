"""A worker's process: an event loop, a service, and connections until a signal says stop."""

from __future__ import annotations

import multiprocessing
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import ssl

    from baluarte.apps.http.exchange import Service
    from baluarte.apps.http.places import Place

LEAVE = signal.SIGURG  #: others take over; a process that doesn't await it doesn't notice
LEAVE_S = 1.5  #: from then to the end: a connection that is in use has ended with an answer


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """Files of a certificate and its chain, of its key, and of the authority of clients."""

    cert: str
    key: str
    client_ca: str = ""  #: empty: any client is let in

    def context(self) -> ssl.SSLContext:
        """TLS 1.3 is the least that is spoken, and the only one there is.

        Raises:
            OSError: a file can't be read.
            ssl.SSLError: they don't fit one another.
        """
        import ssl  # noqa: PLC0415 - where it is spoken

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.cert, self.key)
        context.set_alpn_protocols(["http/1.1"])
        if self.client_ca:
            context.load_verify_locations(self.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def run(
    load: Callable[[], Service],
    listening: socket.socket,
    tls: Tls | None,
    place: Place | None = None,
) -> None:
    """Answer what comes to the socket, until SIGTERM or SIGINT; then what is open, and return.

    Where the parent process dies nobody would tell it to stop, or look after it: it stops then too.

    Args:
        load: makes the service; it may wait until it is needed.
        place: among the workers that share the socket.
    """
    import asyncio  # noqa: PLC0415 - in the worker's process, as what follows

    import uvloop  # noqa: PLC0415

    from baluarte.apps.http.listener import Listener  # noqa: PLC0415

    service = load()
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    stopped = loop.create_future()

    def stop() -> None:
        if not stopped.done():
            stopped.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    parent = multiprocessing.parent_process()
    if parent is not None:
        loop.add_reader(parent.sentinel, stop)
    context = None if tls is None else tls.context()
    listener = Listener(service, listening, loop=loop, context=context, place=place)
    loop.add_signal_handler(LEAVE, listener.stop)
    service.open(loop)
    listener.start()
    try:
        loop.run_until_complete(stopped)
        if parent is not None:
            loop.remove_reader(parent.sentinel)
        loop.run_until_complete(listener.drain())
    finally:
        service.close(loop)
        loop.close()


def listen(host: str, port: int, *, backlog: int = 1_024) -> socket.socket:
    """A socket that listens there, for all workers.

    Raises:
        OSError: the port is taken, or can't be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(backlog)
    except OSError:
        listening.close()
        raise
    return listening
