"""Sockets that obey one wall-clock deadline for a whole call: name lookup, connecting, TLS, every read and write.

It must not know HTTP. A timeout of the standard library counts each read anew, so a peer that drips one byte a second
would never meet it; here every operation is given only what is left.
"""

import socket
import ssl
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from enum import StrEnum
from typing import Any, Final

Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


class Stage(StrEnum):
    """How far the call of this thread has come."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    ANSWER = "answer"  # bytes of the request may have left


class Call(threading.local):
    """The call that this thread makes now: a connection is used by one thread at a time, so its sockets ask here."""

    deadline: float = 0.0
    stage: Stage = Stage.CONNECT

    def begin(self, deadline: float) -> None:
        """Start counting towards `deadline`, a `time.monotonic()` instant."""
        self.deadline = deadline
        self.stage = Stage.CONNECT

    def seconds_left(self) -> float:
        """Return the seconds that are left.

        Raises:
            TimeoutError: none are. (A socket timeout of 0 would mean "do not block", which is something else.)
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        return left


CALL: Final = Call()


class TimedSocket(socket.socket):
    """A TCP socket whose reads and writes end at the deadline of the call."""

    __slots__ = ()

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(CALL.seconds_left())
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.settimeout(CALL.seconds_left())
        CALL.stage = Stage.ANSWER
        super().sendall(*args, **kwargs)


class TimedTLSSocket(ssl.SSLSocket):
    """The same over TLS; the handshake counts as one operation."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(CALL.seconds_left())
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.settimeout(CALL.seconds_left())
        CALL.stage = Stage.ANSWER
        super().sendall(*args, **kwargs)


class Resolver:
    """Name lookups that can be left behind: the C library's own cannot be given a deadline.

    Callers that want the same name at once share one thread, so a dead name server costs one thread a name.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[tuple[str, int], Future[Sequence[Address]]] = {}

    def lookup(self, host: str, port: int, *, seconds: float) -> Sequence[Address]:
        """Return the addresses of `host`.

        Raises:
            OSError: there are none, or they were not found in time (TimeoutError).
        """
        try:
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            return self._ask(host, port).result(timeout=seconds)

    def _ask(self, host: str, port: int) -> "Future[Sequence[Address]]":
        with self._lock:
            future = self._running.get((host, port))
            if future is None:
                future = self._running[(host, port)] = Future()
                threading.Thread(target=self._run, args=(host, port, future), name="dns", daemon=True).start()
            return future

    def _run(self, host: str, port: int, future: "Future[Sequence[Address]]") -> None:
        found: Sequence[Address] = ()
        failure: Exception | None = None
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except Exception as error:  # UnicodeError for an odd name, besides OSError
            failure = error
        with self._lock:
            self._running.pop((host, port), None)
        if failure is None:
            future.set_result(found)
        else:
            future.set_exception(failure)


_RESOLVER: Final = Resolver()


def dial(host: str, port: int) -> TimedSocket:
    """Connect to the first address of `host` that answers before the deadline of the call.

    Raises:
        OSError: none did.
    """
    CALL.stage = Stage.DNS
    addresses = _RESOLVER.lookup(host, port, seconds=CALL.seconds_left())
    CALL.stage = Stage.CONNECT
    failure: OSError = OSError("no address")
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        # An address that swallows packets gets its share of the time only, so that the next one has its chance.
        share = CALL.seconds_left() / (len(addresses) - tried)
        connection = TimedSocket(family, kind, protocol)
        try:
            connection.settimeout(share)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.connect(address)
            return connection
        except OSError as error:
            connection.close()
            failure = error
    raise failure


def tls_context(ca_bundle: str) -> ssl.SSLContext:
    """Return a context that verifies names and certificates against the file `ca_bundle`.

    Raises:
        OSError: the file is not there or holds no certificates.
    """
    context = ssl.create_default_context(cafile=ca_bundle)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = TimedTLSSocket
    return context
