"""A PostgreSQL of our own that may be restarted, frozen, killed and made small.

It must not know what is kept in it.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import psycopg

from rig.service import free_port

# PostgreSQL refuses to run as root; this account comes with its packages.
_ACCOUNT: Final = "postgres"


def programs() -> Path | None:
    """Return the folder of initdb and pg_ctl, None where PostgreSQL's server is not installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    return folders[-1] if folders else None


@dataclass
class PrivatePostgres:
    """A context manager: a cluster in a folder of its own, with the settings that `options` names.

    `environ` is added to what the server starts with, `initdb` to what the cluster is made with, `inside` is where its
    folder goes. With `copy_of` it is that one's streaming standby.
    """

    options: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    environ: Mapping[str, str] = field(default_factory=dict)
    initdb: tuple[str, ...] = ()
    inside: Path | None = None
    copy_of: "PrivatePostgres | None" = None

    @property
    def url(self) -> str:
        """Return the address of the server, without a database."""
        return f"postgres://{_ACCOUNT}@127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        folder = programs()
        if folder is None:
            raise RuntimeError("the PostgreSQL server's programs are not installed")
        self._programs = folder
        self._home = Path(tempfile.mkdtemp(prefix="rig-postgres-", dir=self.inside))
        if os.geteuid() == 0:
            shutil.chown(self._home, _ACCOUNT)
        self._data = self._home / "data"
        if self.copy_of is None:
            self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", _ACCOUNT, "--no-sync", *self.initdb)
        else:
            source = ("-h", "127.0.0.1", "-p", str(self.copy_of.port), "-U", _ACCOUNT)
            self._run("pg_basebackup", "-D", str(self._data), *source, "-R", "-c", "fast", "--no-sync")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            self.thaw()
            self._control("stop", "-m", "immediate")
        shutil.rmtree(self._home, ignore_errors=True)

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            RuntimeError: it did not start; with the end of its log.
        """
        settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", *self.options]
        line = f"-p {self.port} " + " ".join(f"-c {setting}" for setting in settings)
        try:
            self._control("start", "-w", "-l", str(self._home / "log"), "-o", line)
        except subprocess.SubprocessError as error:
            log = (self._home / "log").read_text(errors="replace").splitlines()[-10:]
            raise RuntimeError("PostgreSQL did not start:\n" + "\n".join(log)) from error

    def promote(self) -> None:
        """Make the standby a server that takes writes."""
        self._control("promote", "-w")

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement as its owner, outside any transaction."""
        with psycopg.connect(f"{self.url}/postgres", autocommit=True, connect_timeout=30) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def stop(self, mode: str) -> None:
        """Stop it `fast` (sessions are ended in order) or `immediate` (as in a crash)."""
        self._control("stop", "-w", "-m", mode)

    def restart(self, mode: str, *, pause: float = 0.0) -> None:
        """Stop it, wait, start it again."""
        self.stop(mode)
        time.sleep(pause)
        self.start()

    def processes(self) -> list[int]:
        """Return the ids of the processes that live, the first one's first."""
        first = int((self._data / "postmaster.pid").read_text().split("\n")[0])
        return [first, *_children(first)]

    def processes_live(self) -> bool:
        """Say whether it runs."""
        try:
            return _parent(self.processes()[0]) is not None
        except (OSError, ValueError):
            return False

    def freeze(self) -> None:
        """Stop every process where it is: connections stay open and nothing is answered."""
        first, *_ = self.processes()
        os.kill(first, signal.SIGSTOP)  # it starts no more of them
        for process in _children(first):
            _send(process, signal.SIGSTOP)

    def kill(self) -> None:
        """Kill every process, as a machine that dies would; none is left that could keep the next start out."""
        first, *_ = self.processes()
        os.kill(first, signal.SIGSTOP)
        while children := _children(first):
            for process in children:
                _send(process, signal.SIGKILL)
            time.sleep(0.01)
        os.kill(first, signal.SIGKILL)
        while _parent(first) is not None:
            time.sleep(0.01)
        # Where nobody waits for orphans the dead one keeps its number, and the next start would take it for running.
        (self._data / "postmaster.pid").unlink()

    def thaw(self) -> None:
        """Let all go on."""
        for process in reversed(self.processes()):
            _send(process, signal.SIGCONT)

    def end_sessions(self) -> int:
        """End every session but ours, as an operator may; return how many there were."""
        with psycopg.connect(f"{self.url}/postgres", autocommit=True) as connection:
            found = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            return len(found.fetchall())

    def _control(self, verb: str, *more: str) -> None:
        self._run("pg_ctl", verb, "-D", str(self._data), "-t", "120", *more)

    def _run(self, program: str, *arguments: str) -> None:
        account = pwd.getpwnam(_ACCOUNT) if os.geteuid() == 0 else None
        subprocess.run(
            [str(self._programs / program), *arguments], check=True, timeout=180, cwd=self._home,
            env={**os.environ, **self.environ},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            user=account.pw_uid if account else None, group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )  # fmt: skip


def _children(parent: int) -> list[int]:
    """Return the children of a process that live, those included that the kernel's own quick list may leave out."""
    numbers = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [number for number in numbers if _parent(number) == parent]


def _parent(process: int) -> int | None:
    """Return the parent of a process that lives; None for one that has ended, also while nobody has waited for it."""
    try:
        _, _, rest = Path(f"/proc/{process}/stat").read_text().rpartition(")")
    except OSError:
        return None
    state, parent, *_ = rest.split()
    return None if state == "Z" else int(parent)


def _send(process: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)
