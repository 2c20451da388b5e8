"""PostgreSQL that is slow, full, conflicting with itself, or replaced by its standby. It must not know the service."""

import contextlib
import os
import random
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import psycopg

from rig.databases import PrivatePostgres
from rig.experiments.outcomes import Outcome, Round
from rig.experiments.stages import Stage, live_through, stage
from rig.wires import Wire

DELAYS_MS: Final = (20, 50, 200)
_DISK_MB: Final = 160
_LOCKED: Final = ("accounts_phoneline", "accounts_code", "accounts_challenge", "accounts_failurelane")


def slow() -> Outcome:
    """X27: every answer of PostgreSQL comes later."""
    outcome = Outcome(
        name="X27",
        title="slow PostgreSQL",
        done="A proxy holds back whatever PostgreSQL says, by 20, 50 and 200 ms each; 8 people.",
        must="Limits exact; calls longer by what their round trips add, and no more; no 503 for want of a connection.",
    )
    with PrivatePostgres() as database, Wire(database.port) as wire:
        url = f"postgres://postgres@127.0.0.1:{wire.port}"
        with stage(url) as on:
            for delay in DELAYS_MS:

                @contextlib.contextmanager
                def later(seconds: float = delay / 1000) -> Iterator[None]:
                    wire.delay = seconds
                    yield
                    wire.delay = 0.0

                found = live_through(on, f"{delay} ms", later, during=10, people=8)
                added = (found.median - found.calm_median) * 1000
                found.notes.append(f"{added / delay:.1f} delays added to the median call")
                outcome.rounds.append(found)
    return outcome


def conflicts() -> Outcome:
    """X29: a server whose default is SERIALIZABLE, and somebody who locks rows in the wrong order."""
    outcome = Outcome(
        name="X29",
        title="serialization errors and deadlocks",
        done="PostgreSQL runs with default_transaction_isolation=serializable; then somebody beside the service locks "
        "the newest numbers' rows of four tables, in any order, without a pause.",
        must="Limits exact; the default costs nobody a call; a deadlock is a 503 at worst, never a 500.",
    )
    options = ("default_transaction_isolation=serializable", "deadlock_timeout=50ms")
    with PrivatePostgres(options=options) as database, stage(database.url) as on:
        found = live_through(on, "default of the server", contextlib.nullcontext, people=12)
        if found.failures:
            found.broken.append("the server's default cost calls")
        outcome.rounds.append(found)
        found = live_through(on, "deadlocks", lambda: crossing(on), people=12)
        sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        found.notes.append(f"{on.service.query(sql)[0][0]} deadlocks, ended at the cost of either side")
        outcome.rounds.append(found)
    return outcome


@contextlib.contextmanager
def crossing(on: Stage) -> Iterator[None]:
    """Lock the newest numbers' rows of several tables, in any order, over and over."""
    enough, order = threading.Event(), random.Random(7)

    def cross() -> None:
        while not enough.is_set():
            with contextlib.suppress(psycopg.Error), psycopg.connect(on.service.database_url) as connection:
                newest = "SELECT phone FROM accounts_code WHERE state = 'open' ORDER BY expires_at DESC LIMIT 6"
                phones = [phone for (phone,) in connection.execute(newest)]
                for table in order.sample(_LOCKED, len(_LOCKED)):
                    connection.execute(f"SELECT 1 FROM {table} WHERE phone = ANY(%s) FOR UPDATE", (phones,))
                    time.sleep(0.02)

    thread = threading.Thread(target=cross, daemon=True)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join(10)


def full() -> Outcome:
    """X30: the disk of PostgreSQL is full, of its tables and then of its log as well."""
    outcome = Outcome(
        name="X30",
        title="disk full for PostgreSQL",
        done=f"The data directory is on a tmpfs of {_DISK_MB} MB that a ballast file fills up for 8 s; first with "
        "the write-ahead log elsewhere, then on it too. Then the ballast goes; where PostgreSQL has ended itself it is "
        "started again, as a supervisor would.",
        must="503, nobody is told that something worked which is lost, well again when there is room.",
    )
    for label, apart in (("tables", True), ("tables and log", False)):
        try:
            with small_disk() as disk, contextlib.ExitStack() as stack:
                outcome.rounds.append(_filled(label, disk, stack, apart=apart))
        except (OSError, subprocess.SubprocessError) as error:
            outcome.not_run = f"a tmpfs could not be mounted ({type(error).__name__})"
            return outcome
    return outcome


def _filled(label: str, disk: Path, stack: contextlib.ExitStack, *, apart: bool) -> Round:
    small: tuple[str, ...] = ("--wal-segsize=1",)
    if apart:
        elsewhere = stack.enter_context(tempfile.TemporaryDirectory())
        os.chmod(elsewhere, 0o777)
        small = (*small, f"--waldir={elsewhere}/wal")
    options = ("min_wal_size=2MB", "max_wal_size=8MB", "checkpoint_timeout=30s")
    database = stack.enter_context(PrivatePostgres(options=options, initdb=small, inside=disk))
    on = stack.enter_context(stage(database.url))
    ballast = disk / "ballast"
    notes: list[str] = []

    @contextlib.contextmanager
    def no_room() -> Iterator[None]:
        fill(ballast)
        yield
        ballast.unlink()
        if not database.processes_live():
            notes.append("PostgreSQL had ended itself and was started again")
            database.start()

    found = live_through(on, label, no_room, during=10)
    found.notes += notes
    return found


def fill(ballast: Path) -> None:
    """Write until there is no room, down to the last page."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"\0" * 4096):
            pass


@contextlib.contextmanager
def small_disk() -> Iterator[Path]:
    """Mount a small file system of memory, and give it back.

    Raises:
        CalledProcessError, FileNotFoundError: we may not mount.
    """
    with tempfile.TemporaryDirectory(prefix="rig-disk-") as folder:
        os.chmod(folder, 0o755)
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m,mode=0777", "tmpfs", folder],
            check=True,
            capture_output=True,
        )
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=False, capture_output=True)


def failover() -> Outcome:
    """X25: the server dies, and its synchronous standby takes over behind the same address."""
    outcome = Outcome(
        name="X25",
        title="failover to a standby",
        done="PostgreSQL with one synchronous standby dies in mid-run; 2 s later the standby is promoted and the proxy "
        "in front of both leads there.",
        must="Every challenge, session and used-up try that was acknowledged is there afterwards.",
    )
    options = ("wal_level=replica", "max_wal_senders=4", "hot_standby=on", "wal_keep_size=64MB")
    with (
        PrivatePostgres(options=options) as first,
        PrivatePostgres(options=("synchronous_standby_names=",), copy_of=first) as second,
        Wire(first.port) as wire,
    ):
        first.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        first.execute("SELECT pg_reload_conf()")
        wait_until(lambda: bool(first.execute("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'")))
        with stage(f"postgres://postgres@127.0.0.1:{wire.port}") as on:
            kept: list[str] = []

            @contextlib.contextmanager
            def dies() -> Iterator[None]:
                kept.extend(acknowledged(on))
                first.kill()
                time.sleep(2)
                second.promote()
                wire.target = second.port
                yield

            found = live_through(on, "synchronous", dies, during=6)
            missing = set(kept) - set(acknowledged(on))
            found.notes.append(f"{len(kept)} challenges and sessions acknowledged before, {len(missing)} missing after")
            if missing:
                found.broken.append(f"{len(missing)} acknowledged rows are gone")
            outcome.rounds.append(found)
    return outcome


def acknowledged(on: Stage) -> list[str]:
    """Return the ids of all challenges and sessions there are."""
    sql = "SELECT id::text FROM accounts_challenge UNION ALL SELECT id::text FROM accounts_session"
    return [found for (found,) in on.service.query(sql)]


def wait_until(held: Callable[[], bool], *, seconds: float = 10.0) -> None:
    """Wait for something of the stores.

    Raises:
        TimeoutError: it did not come.
    """
    until = time.monotonic() + seconds
    while not held():
        if time.monotonic() > until:
            raise TimeoutError("the stores were not ready in time")
        time.sleep(0.1)
