"""Start, watch and stop child processes. It must not know what they do.

Each child leads a process group of its own, so that Ctrl-C in a terminal reaches only the parent, which then stops its
children in order; a child whose parent was killed is told to stop by the kernel.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
# A child that lives this long has started; its next death is an accident and not a fault of its configuration.
SETTLED_SECONDS: Final = 5.0
_LONGEST_PAUSE_SECONDS: Final = 5.0


def _die_with_parent() -> None:
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass(slots=True)
class Child:
    """One supervised process.

    `essential`: when it cannot start, nothing else makes sense. `serves` says whether it does its work by now; without
    it, a life of SETTLED_SECONDS is taken for that.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    essential: bool
    serves: Callable[[], bool] | None = None
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    settled: bool = False
    quick_deaths: int = 0
    not_before: float = 0.0
    clock: Callable[[], float] = field(default=time.monotonic)

    def start(self) -> None:
        """Start the process; what it prints goes where ours goes."""
        self.started_at = self.clock()
        self.process = subprocess.Popen(
            self.command,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  # the parent has one thread, and prctl is safe after a fork
        )

    def died(self) -> int | None:
        """Return the exit status of a process that is gone, negative for a signal; None while it lives."""
        if self.process is None:
            return None
        status = self.process.poll()
        if status is None and not self.settled:
            self.settled = self.serves() if self.serves else self.clock() - self.started_at >= SETTLED_SECONDS
        return status

    def schedule_restart(self) -> float:
        """Forget the dead process and return the pause in seconds until the next start: longer at each quick death."""
        quick = self.clock() - self.started_at < SETTLED_SECONDS
        self.quick_deaths = self.quick_deaths + 1 if quick else 0
        self.kill_group()  # a killed server leaves its workers behind, and with them the port
        pause: float = min(0.2 * 2.0**self.quick_deaths, _LONGEST_PAUSE_SECONDS)
        self.process, self.not_before = None, self.clock() + pause
        return pause

    def due(self) -> bool:
        """Say whether a restart waits for nothing more."""
        return self.process is None and self.clock() >= self.not_before

    def send(self, signum: int) -> None:
        """Send a signal to the process itself, if it lives."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signum)

    def kill_group(self) -> None:
        """Kill the process and whatever it started."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                return
            self.process.wait()


def stop_all(children: Sequence[Child], *, grace_seconds: float) -> None:
    """Ask all to stop at once, wait for them together, and kill what is left after `grace_seconds`."""
    for child in children:
        child.send(signal.SIGTERM)
    until = time.monotonic() + grace_seconds
    for child in children:
        if child.process is None:
            continue
        try:
            child.process.wait(max(0.01, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill_group()
