"""Several starts at once migrate one after the other."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from apps.ops.management.commands.otp_migrate import LOCK_KEY

ROOT = Path(__file__).resolve().parents[4]
SERVER = os.environ.get("TEST_DATABASE_URL", "")
pytestmark = pytest.mark.skipif(not SERVER.startswith("postgres"), reason="SQLite has no advisory lock")


@pytest.fixture
def database_url() -> Iterator[str]:
    """A new, empty database."""
    name = f"otp_migrate_{secrets.token_hex(4)}"
    admin_url = urlunsplit(urlsplit(SERVER)._replace(path="/postgres"))
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        yield urlunsplit(urlsplit(SERVER)._replace(path=f"/{name}"))
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _migrate(database_url: str, *, wait: float, **settings: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OTP_ENV_FILE": os.devnull, "DEBUG": "True", "REDIS_URL": "", **settings}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "otp_migrate", "--wait", str(wait)],
        env=environment | {"DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "salon_api.settings"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_three_starts_at_once_on_an_empty_database_all_succeed(database_url: str) -> None:
    started = [_migrate(database_url, wait=60) for _ in range(3)]
    outputs = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], outputs
    assert sum("Applying accounts.0001_initial" in out for out in outputs) == 1
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
            "WHERE l.locktype = 'advisory' AND d.datname = current_database()"
        ).fetchone()
        assert row == (0,)


def test_a_start_waits_for_the_lock_and_says_so_when_it_never_comes(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY])
        process = _migrate(database_url, wait=1)
        out, _ = process.communicate(timeout=60)
        assert process.returncode != 0
        assert "held the migration lock" in out
        tables = holder.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        assert tables == (0,)


PRODUCTION = {
    "DEBUG": "False", "SECRET_KEY": "k" * 40, "OTP_SECRET": "s" * 40, "REDIS_URL": "redis://127.0.0.1:9/0",
    "OTP_PROVIDER": "authentica", "AUTHENTICA_API_KEY": "key",
}  # fmt: skip


def test_in_production_each_migration_is_one_json_line(database_url: str) -> None:
    process = _migrate(database_url, wait=60, **PRODUCTION)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    told = [json.loads(line) for line in out.splitlines()]
    assert {one["event"] for one in told} == {"otp.migrating"}
    assert any(one["line"].startswith("Applying accounts.0001_initial") for one in told)


def test_in_production_a_migration_that_fails_is_one_json_line_without_an_address() -> None:
    process = _migrate("postgres://anna:hunter2@127.0.0.1:9/none", wait=0.1, **PRODUCTION)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    # The pool's own threads may tell of their tries, before it and after.
    told = [one for one in map(json.loads, out.splitlines()) if one["event"] != "otp.library"]
    assert told[-1]["event"] == "otp.migration_failed"
    assert "DATABASE_URL cannot be reached" in told[-1]["reason"]
    assert "hunter2" not in out
