"""Run the suite on SQLite and process memory, and again on PostgreSQL and Redis where they answer.

With CI=true a service that does not answer is a failure; elsewhere that half is left out and said so. Arguments go to
pytest. It must not know what the tests are.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis

ROOT = Path(__file__).resolve().parent.parent
DATABASE_URL = os.environ.get("TEST_DATABASE_URL") or "postgres://postgres@127.0.0.1:5432/otp_suite"
REDIS_URL = os.environ.get("TEST_REDIS_URL") or "redis://127.0.0.1:6379/15"
# What touches neither store is asked once, in the first half.
STORELESS = (
    "backend/fakegateways",
    "backend/bench",
    "backend/apps/accounts/tests/providers",
    "backend/apps/accounts/tests/dev",
    "backend/apps/accounts/tests/services/test_watch_population.py",
    "backend/salon_api/tests/test_serve.py",
    "scripts",
)
# What starts servers of its own over PostgreSQL and Redis is asked once, in the second half.
SERVERS = ("backend/rig",)


def main(arguments: list[str]) -> int:
    """Return 0 when every half that ran has passed."""
    required = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
    missing = [reason for reason in (_postgresql(), _redis()) if reason]
    if missing:
        print("PostgreSQL + Redis half: " + "; ".join(missing), flush=True)
        if required:
            print("CI=true needs both.", flush=True)
            return 1
        print("Only the SQLite + process memory half runs. Name other places in TEST_DATABASE_URL and TEST_REDIS_URL.")
    both = not missing and not arguments
    first = _without(SERVERS) if both else arguments
    status = _pytest("SQLite + process memory", {"TEST_DATABASE_URL": "", "TEST_REDIS_URL": ""}, first)
    if not missing:
        second = _without(STORELESS) if both else arguments
        status = _pytest("PostgreSQL + Redis", _stores(), second) or status
    return status


def _without(paths: Sequence[str]) -> list[str]:
    return [f"--ignore={path}" for path in paths]


def _stores() -> dict[str, str]:
    """Name the stores of the second half, and to the rig their servers: it makes databases of its own there."""
    database, cache = urlsplit(DATABASE_URL), urlsplit(REDIS_URL)
    return {
        "RIG_DATABASE_URL": urlunsplit((database.scheme, database.netloc, "", "", "")),
        "RIG_REDIS_URL": urlunsplit((cache.scheme, cache.netloc, "/11", "", "")),
        **os.environ,
        "TEST_DATABASE_URL": DATABASE_URL,
        "TEST_REDIS_URL": REDIS_URL,
    }


def _pytest(half: str, stores: Mapping[str, str], arguments: Sequence[str]) -> int:
    print(f"\n===== {half} =====", flush=True)
    command = [sys.executable, "-m", "pytest", "--create-db", *arguments]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **stores}, check=False).returncode


def _postgresql() -> str:
    """Return why PostgreSQL cannot be used, or nothing; never the address, which can hold a password."""
    server = psycopg.conninfo.make_conninfo(DATABASE_URL, dbname="postgres", connect_timeout=3)
    try:
        with psycopg.connect(server) as connection:
            row = connection.execute(
                "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
    except psycopg.Error as error:
        return f"PostgreSQL does not answer ({type(error).__name__})"
    return "" if row and row[0] else "PostgreSQL's user may not create databases"


def _redis() -> str:
    """Return why Redis cannot be used, or nothing."""
    try:
        with redis.Redis.from_url(REDIS_URL, socket_connect_timeout=3, socket_timeout=3) as client:
            client.ping()
    except redis.RedisError as error:
        return f"Redis does not answer ({type(error).__name__})"
    return ""


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
