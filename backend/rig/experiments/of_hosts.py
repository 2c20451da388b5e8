"""A host that runs out of something. It must not know the service."""

import contextlib
import resource
import shutil
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from rig.around import web_processes
from rig.experiments.outcomes import Outcome
from rig.experiments.stages import Stage, live_through, stage

FILES: Final = 64
_PEOPLE: Final = 60
# Connections that say nothing: together with the people they are more than fits.
_IDLE: Final = 40
# What a process may take beyond what it has: nothing, less than the stack of one thread, less than that of three.
_MORE_MIB: Final = (0, 4, 20)
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
        done=f"From one moment on the web processes of a running service may take {_MORE_MIB} MiB of address space "
        f"beyond what they have; {_PEOPLE} people at once, who need more threads than there are.",
        must="Who gets through is served or told to come back, connections may break where a process ends; nothing is "
        "sent or counted twice, no gateway is blamed; well again with the limit lifted.",
    )
    for more in _MORE_MIB:
        with stage() as on:
            replaced: list[int] = []
            full = partial(_full_memory, on, more * _MIB, replaced)
            found = live_through(on, f"{more} MiB more", full, during=10, people=_PEOPLE, may_break=True)
            found.notes.append(f"{len(replaced)} processes ended and were replaced")
            outcome.rounds.append(found)
    return outcome


@contextlib.contextmanager
def _full_memory(on: Stage, more: int, replaced: list[int]) -> Iterator[None]:
    processes = web_processes(on.service)
    usual = {process: resource.prlimit(process, resource.RLIMIT_AS) for process in processes}
    for process, (_, hard) in usual.items():
        resource.prlimit(process, resource.RLIMIT_AS, (_size_of(process) + more, hard))
    yield
    for process, limits in usual.items():
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(process, resource.RLIMIT_AS, limits)
    replaced += set(processes) - set(web_processes(on.service))


def _size_of(process: int) -> int:
    """Return the address space that a process has, in bytes."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()
