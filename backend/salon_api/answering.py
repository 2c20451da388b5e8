"""The threads that answer requests, and how a call gets to one of them and its reply out again.

It must not know what is asked or answered, nor which server asks.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

# So long at most the loop remembers a call that is answered, to let go of many with one waking. Waking it for each
# costs a login a sixth of its CPU time: the threads and the loop take turns at the interpreter's lock.
_LET_GO_SECONDS: Final = 0.02

Reply = tuple[int, list[tuple[str, str]], bytes]
Work = tuple[dict[str, Any], Any, "asyncio.Future[None]"]


class Pool:
    """Threads that answer requests. Each sends its reply itself; the loop only has to forget the call afterwards.

    Who was busy last is asked first: what a few threads keep warm (connections, memory, the processor's caches) would
    grow cold if all of them took turns. Threads are made as they are needed.
    """

    def __init__(
        self,
        answer: Callable[[dict[str, Any]], Reply],
        *,
        threads: int,
        loop: asyncio.AbstractEventLoop,
        crashed: Callable[[Exception], Reply],
    ) -> None:
        """Take what answers an environment, how many threads there may be, and the answer to a crash."""
        self._answer = answer
        self._crashed = crashed
        self._loop = loop
        self._left = threads
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._waiting: deque[Work] = deque()
        self._answered: deque[asyncio.Future[None]] = deque()
        self._called = False
        self._made_once = False

    def submit(self, environ: dict[str, Any], protocol: Any) -> "asyncio.Future[None]":
        """Have a request answered; the future is done some time after its reply was sent."""
        future: asyncio.Future[None] = self._loop.create_future()
        work = (environ, protocol, future)
        with self._lock:
            worker = self._idle.pop() if self._idle else None
            if worker is None and self._left:
                worker = self._made()
            if worker is None:
                self._waiting.append(work)
        if worker is not None:
            worker.give(work)
        return future

    def _made(self) -> "_Worker | None":
        """Make one more thread; None where the host has none to spare and another one is there to come back."""
        worker = _Worker(self)
        try:
            worker.start()
        except RuntimeError:
            if not self._made_once:
                raise
            return None
        self._left -= 1
        self._made_once = True
        return worker

    def next_for(self, worker: "_Worker") -> "Work | None":
        """Return what waits, or let the worker be found."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._idle.append(worker)
        return None

    def answer(self, work: "Work") -> None:
        """Answer one request."""
        environ, protocol, future = work
        try:
            reply = self._answer(environ)
        except Exception as error:  # the last ditch: Django answers its own exceptions
            reply = self._crashed(error)
        try:
            protocol.response_bytes(*reply)
        finally:
            self._answered.append(future)
            if not self._called:
                self._called = True
                self._loop.call_soon_threadsafe(self._loop.call_later, _LET_GO_SECONDS, self._let_go)

    def _let_go(self) -> None:
        self._called = False  # before the queue is emptied: who comes later calls again
        while self._answered:
            future = self._answered.popleft()
            if not future.done():  # the client may have gone away meanwhile
                future.set_result(None)


class _Worker(threading.Thread):
    def __init__(self, pool: Pool) -> None:
        super().__init__(name="answers", daemon=True)
        self._pool = pool
        self._work: Work | None = None
        self._called = threading.Lock()
        self._called.acquire()

    def give(self, work: "Work") -> None:
        self._work = work
        self._called.release()

    def run(self) -> None:
        work: Work | None = None
        while True:
            if work is None:
                self._called.acquire()
                work = self._work
            try:
                self._pool.answer(cast(Work, work))
            except Exception:  # a reply that the server does not take must not cost a thread
                logging.getLogger(__name__).exception("a reply was lost")
            work = self._pool.next_for(self)
