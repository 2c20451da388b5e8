"""A PostgreSQL cluster and a Redis of the run's own, so that nobody else's work is in the figures.

It must not know what is measured on them.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.stores import StoreFault, Stores


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def private_stores() -> Iterator[Stores]:
    """Start both stores in a directory of their own and remove them afterwards.

    Raises StoreFault when their programs are not installed.
    """
    binaries = _postgres_binaries()
    server = shutil.which("redis-server")
    if binaries is None or server is None:
        raise StoreFault("--private-stores needs the programs initdb, postgres and redis-server")
    home = Path(tempfile.mkdtemp(prefix="bench-stores-"))
    try:
        with _cluster(binaries, home=home) as postgres_url, _redis(server, home=home) as redis_url:
            yield Stores(
                postgres_url=postgres_url, redis_url=redis_url, note="private PostgreSQL and Redis, default settings"
            )
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _postgres_binaries() -> Path | None:
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if candidates:
        return candidates[0].parent
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


@contextmanager
def _cluster(binaries: Path, *, home: Path) -> Iterator[str]:
    port = free_port()
    data = home / "postgres"
    data.mkdir()
    account: list[str] = []
    if os.geteuid() == 0:
        # initdb refuses root.
        shutil.chown(home, user="postgres")
        shutil.chown(data, user="postgres")
        account = ["runuser", "-u", "postgres", "--"]
    subprocess.run(
        [
            *account,
            str(binaries / "initdb"),
            "-D",
            str(data),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=home,
    )
    control = [*account, str(binaries / "pg_ctl"), "-D", str(data), "-w", "-s", "-l", str(data / "log")]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=300"
    subprocess.run([*control, "-o", options, "start"], check=True, cwd=home)
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, cwd=home)


@contextmanager
def _redis(server: str, *, home: Path) -> Iterator[str]:
    port = free_port()
    command = [
        server,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        str(home),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        _await_port(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(timeout=10)


def _await_port(port: int, *, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise StoreFault(f"nothing listens on port {port} after {seconds:.0f} s")
