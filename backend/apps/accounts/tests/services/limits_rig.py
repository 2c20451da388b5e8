"""Run a private Redis and stand between it and the limiter, to break it on demand.

This room must not know how the limiter reacts.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from enum import Enum
from typing import NoReturn

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from apps.accounts.services.limits import prompt_pool

REDIS_URL = os.environ.get("REDIS_URL") or "redis://127.0.0.1:6379/9"


def missing(reason: str) -> NoReturn:
    """Skip for want of a service on a laptop; fail for it on CI, where a skipped proof would pass for a proof."""
    if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
        pytest.fail(reason)
    pytest.skip(reason)


def shared_client() -> Redis:
    """Open the Redis that the whole suite shares; skips or fails when there is none."""
    client = Redis(connection_pool=prompt_pool(REDIS_URL))
    try:
        client.ping()
    except Exception as error:
        missing(f"no Redis answers at REDIS_URL ({type(error).__name__})")
    return client


def free_port() -> int:
    """Find a TCP port of the loopback interface that nobody listens on."""
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def eventually(condition: Callable[[], bool], *, within_s: float = 15.0) -> bool:
    """Wait until the condition holds; says whether it did in time."""
    ends_at = time.monotonic() + within_s
    while time.monotonic() < ends_at:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


class PrivateRedis:
    """A redis-server of our own, which may be killed, frozen and misconfigured."""

    def __init__(self) -> None:
        binary = shutil.which("redis-server")
        if binary is None:
            missing("the redis-server binary is not installed")
        self._binary = binary
        self.port = free_port()
        self._folder = tempfile.TemporaryDirectory()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, *options: str, wait: bool = True) -> None:
        command = [self._binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(
            [*command, "--dir", self._folder.name, "--enable-debug-command", "yes", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if wait and not eventually(self._answers):
            raise RuntimeError("the private Redis did not start")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        self.kill()
        self._folder.cleanup()

    def operator(self) -> Redis:
        """Open a patient client for the test itself."""
        return Redis(host="127.0.0.1", port=self.port, socket_timeout=5, retry=Retry(NoBackoff(), 0))

    def _answers(self) -> bool:
        with suppress(Exception), closing(self.operator()) as client:
            return bool(client.ping())
        return False


class Fault(Enum):
    """What the proxy does to the bytes that come in."""

    PASS = "pass"
    SWALLOW = "swallow"
    REFUSE = "refuse"


class FaultProxy:
    """A TCP proxy of loopback that can swallow, delay and refuse."""

    def __init__(self, target_port: int) -> None:
        self._target = ("127.0.0.1", target_port)
        self.port = free_port()
        self.fault = Fault.PASS
        self.delay_s = 0.0
        self._sockets: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self._listen()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def swallow(self) -> None:
        """Accept everything and answer nothing, on open connections too."""
        self.fault = Fault.SWALLOW

    def refuse(self) -> None:
        """Reset all connections and take no new ones."""
        self.fault = Fault.REFUSE
        self._close_listener()
        self._cut()

    def heal(self, *, cut: bool = True) -> None:
        """Pass everything on again; what was swallowed is lost, so those connections are cut."""
        self.delay_s = 0.0
        if cut:
            self._cut()
        self.fault = Fault.PASS
        if self._listener is None:
            self._listen()

    def close(self) -> None:
        self._close_listener()
        self._cut()

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(256)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _close_listener(self) -> None:
        if self._listener is not None:
            # A thread blocked in accept() keeps a merely closed socket listening.
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self._target)
                for sock in (near, far):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self.fault is Fault.SWALLOW:
                    continue
                if self.delay_s:
                    time.sleep(self.delay_s)
                sink.sendall(data)
        for sock in (source, sink):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _cut(self) -> None:
        sockets, self._sockets = self._sockets, []
        for sock in sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


@contextmanager
def deaf_port() -> Iterator[int]:
    """Give a port whose accept queue is full, so that a connect gets no answer at all."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        crowd = [socket.socket() for _ in range(4)]
        for sock in crowd:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        time.sleep(0.05)
        try:
            yield int(listener.getsockname()[1])
        finally:
            for sock in crowd:
                sock.close()
