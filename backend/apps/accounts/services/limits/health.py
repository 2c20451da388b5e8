"""Know whether a backing store may be used now, so that requests never wait to find out.

This room must not know what the store is for, nor what is used instead while it is gone.
"""

import contextlib
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)


class Probe(Protocol):
    """One question to the store; raises when the store cannot serve."""

    def __call__(self, *, cold: bool) -> None:
        """Ask on the open connection, or on a new one when `cold`."""


class StoreHealth:
    """A circuit breaker that one daemon thread per process closes again.

    The first failure of a call opens it: from then on no call waits, and one request that uses the store several
    times pays for one wait only. The prober looks at once, so a single lost packet costs a few milliseconds of
    fallback. It also looks every `interval_s` while all is well, so the state is true without traffic. Two probes in
    a row, each on a new connection, close the breaker. A store on the edge, which passes probes and fails calls, is
    left alone once it has opened the breaker `max_openings` times within `window_s`: that bounds the calls that wait.
    """

    _thread: threading.Thread | None
    _generation: int

    def __init__(
        self,
        probe: Probe,
        *,
        interval_s: float = 0.5,
        window_s: float = 10.0,
        max_openings: int = 3,
        on_recovery: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the probe and what to do between a good probe and the first call (`on_recovery`)."""
        self._probe = probe
        self._interval_s = interval_s
        self._window_s = window_s
        self.on_recovery = on_recovery
        self._clock = clock
        self._openings: deque[float] = deque(maxlen=max_openings)
        self._open = False
        self._closings = 0
        self._begin_in_this_process()
        _alive.add(self)

    @property
    def usable(self) -> bool:
        """Say whether a call may try the store now; never waits."""
        if self._thread is None:
            self._start()
        return not self._open

    def settled(self, *, timeout_s: float = 0.3) -> bool:
        """Say whether the store is usable, waiting in a new process for the first probe (at most `timeout_s`)."""
        if self._thread is None:
            self._start()
        self._first_look.wait(timeout_s)
        return not self._open

    @property
    def epoch(self) -> int:
        """Number the present stretch of good health; a call notes it before it starts."""
        return self._closings

    def record_failure(self, error: Exception, *, epoch: int) -> None:
        """Open the breaker after a failed call and have the prober look at once.

        A call that began in an earlier `epoch` tells nothing about this one: it hung through the outage.
        """
        if epoch != self._closings:
            return
        self._open_up(error)
        self._wake.set()

    def stop(self) -> None:
        """End the prober; the next use starts another."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._generation += 1
        self._wake.set()
        if thread is not None:
            thread.join(timeout=2)

    def look(self, *, cold: bool = False) -> bool:
        """Ask the store once and open the breaker when it fails; returns whether it answered. May wait."""
        try:
            self._probe(cold=cold)
        except Exception as error:
            self._open_up(error)
            return False
        finally:
            self._first_look.set()
        return True

    def try_to_close(self) -> bool:
        """Close the breaker if the store answers twice in a row and has not been flapping."""
        if not (self.look(cold=True) and self.look(cold=True)) or self._is_flapping():
            return False
        try:
            self.on_recovery()
        except Exception as error:
            self._open_up(error)
            return False
        with self._lock:
            self._closings += 1
            self._open = False
        log.info("otp.limiter_store_back")
        return True

    def _open_up(self, error: Exception) -> None:
        with self._lock:
            if self._open:
                return
            self._open = True
            self._openings.append(self._clock())
        # The class alone: the text of a driver's error may hold an address or a user name.
        log.warning("otp.limiter_store_gone", extra={"error_class": type(error).__name__})

    def _is_flapping(self) -> bool:
        return len(self._openings) == self._openings.maxlen and self._clock() - self._openings[0] < self._window_s

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            arguments = (
                weakref.ref(self),
                self._generation,
                self._wake,
                self._interval_s,
            )
            thread = threading.Thread(
                target=_keep_looking,
                args=arguments,
                name="limiter-store-probe",
                daemon=True,
            )
            # Without a thread to spare the breaker works as before, and the next call tries again.
            with contextlib.suppress(RuntimeError):
                thread.start()
                self._thread = thread

    def _begin_in_this_process(self) -> None:
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._first_look = threading.Event()
        self._thread = None
        self._generation = 0


def _keep_looking(
    reference: "weakref.ref[StoreHealth]",
    generation: int,
    wake: threading.Event,
    interval_s: float,
) -> None:
    # Only a weak reference is held while waiting, so that a forgotten limiter takes its thread with it.
    while True:
        health = reference()
        if health is None or health._generation != generation:
            return
        if health._open or not health.look():
            health.try_to_close()
        del health
        wake.wait(interval_s)
        wake.clear()


_alive: "weakref.WeakSet[StoreHealth]" = weakref.WeakSet()


def _begin_in_child() -> None:
    for health in list(_alive):
        health._begin_in_this_process()


# Threads do not survive a fork, and a lock held at that moment would never be released: the child starts afresh.
os.register_at_fork(after_in_child=_begin_in_child)
