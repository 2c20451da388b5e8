"""What the servers really spent of processor and memory, read from /proc.

It must not know which target is measured; the driver's own process is never part of a figure here.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ProcessTimes:
    """One line of /proc/<pid>/stat, as far as accounting needs it; times in seconds."""

    pid: int
    name: str
    parent: int
    session: int
    own: float
    reaped_children: float


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds by who spent them; None where a part cannot be seen from this host."""

    app: float
    postgres: float | None
    redis: float | None
    foreign: float = 0.0

    @property
    def total(self) -> float | None:
        """Return the sum, None when a part is unknown: a sum with a hole would look like a saving."""
        if self.postgres is None or self.redis is None:
            return None
        return self.app + self.postgres + self.redis

    def since(self, earlier: "Cpu") -> "Cpu":
        """Return what was spent between two readings."""
        return Cpu(
            app=self.app - earlier.app,
            postgres=_minus(self.postgres, earlier.postgres),
            redis=_minus(self.redis, earlier.redis),
            foreign=self.foreign - earlier.foreign,
        )


def _minus(later: float | None, earlier: float | None) -> float | None:
    return None if later is None or earlier is None else later - earlier


def parse_stat(text: str) -> ProcessTimes:
    """Parse /proc/<pid>/stat (proc(5)); the name may hold spaces and brackets, so it is cut at the last bracket."""
    head, _, tail = text.rpartition(")")
    pid, _, name = head.partition(" (")
    fields = tail.split()
    user, system, child_user, child_system = (int(value) for value in fields[11:15])
    return ProcessTimes(
        pid=int(pid),
        name=name,
        parent=int(fields[1]),
        session=int(fields[3]),
        own=(user + system) / TICKS_PER_SECOND,
        reaped_children=(child_user + child_system) / TICKS_PER_SECOND,
    )


def processes() -> Iterator[ProcessTimes]:
    """Yield every process of this host that is still there when it is read."""
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            found = read_process(int(entry.name))
            if found is not None:
                yield found


def read_process(pid: int) -> ProcessTimes | None:
    """Return one process, None when it is gone."""
    try:
        return parse_stat((PROC / str(pid) / "stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None


def title_of(pid: int) -> str:
    """Return the process title, empty when the process is gone."""
    try:
        raw = (PROC / str(pid) / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return raw.replace(b"\0", b" ").decode(errors="replace").strip()


def session_seconds(session: int, *, among: Iterable[ProcessTimes]) -> float:
    """Sum a server's processes, workers that ended and were reaped included.

    The server is started as the leader of its own session, so the session names all its children.
    """
    return sum(one.own + one.reaped_children for one in among if one.session == session)


def session_memory(session: int, *, among: Iterable[ProcessTimes]) -> float | None:
    """Return a server's proportional memory (PSS) in MiB, None where the kernel does not tell."""
    total = 0
    for one in among:
        if one.session != session:
            continue
        try:
            text = (PROC / str(one.pid) / "smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return None
        total += next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)
    return total / 1024 if total else None


def postgres_seconds(
    postmaster: int, *, database: str, among: Iterable[tuple[ProcessTimes, str]]
) -> tuple[float, float]:
    """Return (ours, foreign): our backends, the cluster's own processes and ended backends, and other databases'.

    `among` holds processes with their titles. An ended backend is reaped by the postmaster and cannot be told apart
    any more, so all of them count as ours: the figure can be too high on a busy cluster, never too low.
    """
    ours = foreign = 0.0
    for one, title in among:
        if one.pid == postmaster:
            ours += one.own + one.reaped_children
        elif one.parent == postmaster:
            if _serves_another_database(title, database=database):
                foreign += one.own
            else:
                ours += one.own
    return ours, foreign


_CLUSTER_WORK = (
    "checkpointer",
    "background writer",
    "walwriter",
    "archiver",
    "startup",
    "logger",
    "stats collector",
    "io worker",
    "autovacuum launcher",
    "logical replication launcher",
    "walsummarizer",
)


def _serves_another_database(title: str, *, database: str) -> bool:
    words = title.split()
    if database in words or not words:
        return False
    return not any(kind in title for kind in _CLUSTER_WORK)
