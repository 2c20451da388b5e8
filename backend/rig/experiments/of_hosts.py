"""A host that runs out of something. It must not know the service."""

import contextlib
import resource
import shutil
import socket
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from rig.around import web_processes
from rig.crowds import Crowd
from rig.experiments.outcomes import Outcome
from rig.experiments.stages import Stage, live_through, stage

FILES: Final = 64
_PEOPLE: Final = 60
# Connections that say nothing: together with the people they are more than fits.
_IDLE: Final = 40
_MORE_MIB: Final = (0, 16)
_MIB: Final = 1024 * 1024


def no_files() -> Outcome:
    """X32: the web processes may open 64 files and no more."""
    outcome = Outcome(
        name="X32",
        title="no file descriptors",
        done=f"The web processes may open {FILES} files: from one moment on in a running service, with {_IDLE} "
        f"connections that say nothing, then a service started with `ulimit -n {FILES}`; {_PEOPLE} people at once.",
        must="Who gets through is served or told to come back, connections may wait outside longer than 5 s or break; "
        "nothing is sent or counted twice, no gateway is blamed; well again with the limit lifted.",
    )
    with stage() as on:

        @contextlib.contextmanager
        def few_files() -> Iterator[None]:
            processes = web_processes(on.service)
            usual = {process: resource.prlimit(process, resource.RLIMIT_NOFILE) for process in processes}
            for process, (_, hard) in usual.items():
                resource.prlimit(process, resource.RLIMIT_NOFILE, (FILES, hard))
            idle = [socket.create_connection(("127.0.0.1", on.service.port)) for _ in range(_IDLE)]
            yield
            for one in idle:
                one.close()
            for process, limits in usual.items():
                with contextlib.suppress(ProcessLookupError):
                    resource.prlimit(process, resource.RLIMIT_NOFILE, limits)

        found = live_through(on, "in mid-run", few_files, during=10, people=_PEOPLE, may_break=True)
        found.notes.append("the slowest calls waited outside, some until they gave up: no process could take them in")
        outcome.rounds.append(found)
    if shutil.which("prlimit") is None:
        outcome.rounds[-1].notes.append("the second round was not run: prlimit is not installed")
        return outcome
    with stage(before=("prlimit", f"--nofile={FILES}:{FILES}")) as on:
        found = live_through(on, "from the start", contextlib.nullcontext, people=_PEOPLE, may_break=True)
        outcome.rounds.append(found)
    return outcome


def no_memory() -> Outcome:
    """X32m: the web processes get no more memory than they have."""
    outcome = Outcome(
        name="X32m",
        title="no memory",
        done=f"A few people log in; then the web processes may take so many MiB more and {_PEOPLE} others "
        "come at once: they need threads and connections, and the address space of a thread's stack alone has 8.",
        must="Who gets through is served or told to come back, connections may break where a process ends; nothing is "
        "sent or counted twice, no gateway is blamed; well again with the limit lifted.",
    )
    for more in _MORE_MIB:
        with stage() as on:
            notes: list[str] = []
            full = partial(_full_memory, on, more * _MIB, notes)
            found = live_through(on, f"{more} MiB more", full, may_break=True)
            found.notes += notes
            outcome.rounds.append(found)
    return outcome


@contextlib.contextmanager
def _full_memory(on: Stage, more: int, notes: list[str]) -> Iterator[None]:
    processes = web_processes(on.service)
    usual = {process: resource.prlimit(process, resource.RLIMIT_AS) for process in processes}
    for process, (_, hard) in usual.items():
        resource.prlimit(process, resource.RLIMIT_AS, (_size_of(process) + more, hard))
    with Crowd(on.service, on.fake, people=_PEOPLE) as crowd:
        yield
    for process, limits in usual.items():
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(process, resource.RLIMIT_AS, limits)
    ended = set(processes) - set(web_processes(on.service))
    notes.append(f"{len(ended)} of {len(processes)} processes ended and were replaced")
    met = Counter({f"{status} {code}".strip(): count for (_, status, code), count in crowd.errors().items()})
    notes.append(f"the others made {len(crowd.calls)} calls and met {dict(met)}")


def _size_of(process: int) -> int:
    """Return the address space that a process has, in bytes."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()
