"""One running service: a fresh PostgreSQL database, its own Redis keys, several processes, fake gateways beside it.

It must not know what is proven with it, and starts nothing that it does not stop.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import psycopg
import redis

BACKEND: Final = Path(__file__).resolve().parent.parent
DATABASE_SERVER: Final = os.environ.get("RIG_DATABASE_URL", "postgres://postgres@127.0.0.1:5432")
REDIS_SERVER: Final = os.environ.get("RIG_REDIS_URL", "redis://127.0.0.1:6379/11")
SECRET: Final = "rig-secret-of-more-than-thirty-two-characters-"
# For a service that is to wait for Redis as long as it takes; how short its waits are is proven where Redis breaks.
PATIENT: Final = {"PYTHONPATH": os.pathsep.join((str(BACKEND / "rig" / "patient"), str(BACKEND)))}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def stores_answer() -> str:
    """Return why the rig cannot run here, or empty."""
    try:
        with psycopg.connect(f"{DATABASE_SERVER}/postgres", connect_timeout=10):
            pass
        redis.Redis.from_url(REDIS_SERVER, socket_timeout=10, socket_connect_timeout=10).ping()
    except (psycopg.Error, redis.RedisError) as error:
        return f"PostgreSQL or Redis does not answer: {type(error).__name__}"
    return ""


@dataclass
class RunningService:
    """Use as a context manager. `environ` overrides what the rig chooses; `before` is a command that runs ours."""

    environ: Mapping[str, str] = field(default_factory=dict)
    workers: int = 2
    ready_seconds: float = 180.0
    database_server: str = DATABASE_SERVER
    before: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.port = int(self.environ.get("PORT", 0)) or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = f"rig_{secrets.token_hex(4)}"
        self.database_url = f"{self.database_server}/{self.database}"
        self.process: subprocess.Popen[bytes] | None = None
        self.log: Path = BACKEND / "var" / f"{self.database}.log"

    def environment(self) -> dict[str, str]:
        """Return the environment that the service starts with."""
        return {
            **os.environ,
            "PYTHONPATH": str(BACKEND),
            "DJANGO_SETTINGS_MODULE": "salon_api.settings",
            "OTP_ENV_FILE": os.devnull,
            "DEBUG": "False",
            "SECRET_KEY": SECRET + "key",
            "OTP_SECRET": SECRET + "otp",
            "ADMIN_TOKEN": SECRET + "admin",
            "METRICS_TOKEN": SECRET + "metrics",
            "ALLOWED_HOSTS": "127.0.0.1,localhost",
            "DATABASE_URL": self.database_url,
            "REDIS_URL": REDIS_SERVER,
            "TRUSTED_PROXY_CIDRS": "127.0.0.1/32",
            "WEB_CONCURRENCY": str(self.workers),
            "DATABASE_POOL_MAX": "6",
            "PORT": str(self.port),
            **self.environ,
        }

    def __enter__(self) -> Self:
        self.log.parent.mkdir(exist_ok=True)
        with psycopg.connect(f"{self.database_server}/postgres", autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{self.database}"')
        self.forget_redis()
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        with psycopg.connect(f"{self.database_server}/postgres", autocommit=True) as admin:
            admin.execute(f'DROP DATABASE IF EXISTS "{self.database}" WITH (FORCE)')
        self.forget_redis()

    def start(self) -> None:
        """Start the service as `make serve` does and wait until it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.before, sys.executable, "-m", "salon_api.serve", "--skip-static"],
                env=self.environment(), cwd=BACKEND, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + self.ready_seconds
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(f"the service ended with {self.process.returncode}:\n{self.tail()}")
            if self.answers():
                return
            time.sleep(0.1)
        raise RuntimeError(f"the service was not ready in time:\n{self.tail()}")

    def answers(self) -> bool:
        """Say whether the service is ready."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stop(self, *, kill: bool = False) -> None:
        """Stop the service and everything it started."""
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL if kill else signal.SIGTERM)
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
        except ProcessLookupError:
            pass
        self.process = None

    def tail(self, lines: int = 40) -> str:
        """Return the end of the service's log."""
        if not self.log.is_file():  # a device or a pipe has no end
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def shut_database(self) -> None:
        """Let nobody into the service's database, and end every session in it."""
        with psycopg.connect(f"{self.database_server}/postgres", autocommit=True) as admin:
            admin.execute(f'ALTER DATABASE "{self.database}" ALLOW_CONNECTIONS false')
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (self.database,))

    def open_database(self) -> None:
        """Let everybody in again."""
        with psycopg.connect(f"{self.database_server}/postgres", autocommit=True) as admin:
            admin.execute(f'ALTER DATABASE "{self.database}" ALLOW_CONNECTIONS true')

    def forget_redis(self) -> None:
        """Delete the service's keys, and no others."""
        client = redis.Redis.from_url(self.environ.get("REDIS_URL", REDIS_SERVER))
        for key in client.scan_iter("otp:*"):
            client.delete(key)

    def query(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        """Ask the service's database."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor = connection.execute(sql, params)
            return cursor.fetchall() if cursor.description else []
