"""A host that runs out of something. It must not know the service."""

import contextlib
import resource
import shutil
import socket
from collections.abc import Iterator
from typing import Final

from rig.around import web_processes
from rig.experiments.outcomes import Outcome
from rig.experiments.stages import live_through, stage

FILES: Final = 64
_PEOPLE: Final = 60
# Connections that say nothing: together with the people they are more than fits.
_IDLE: Final = 40


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
