"""The servers under measurement: how each is started, spoken to and stopped. THE place to adapt to a new start.

It must not know how they are loaded.
"""

import os
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.accounting import processes
from bench.private_stores import free_port
from bench.sizing import Limits, Sizing

BACKEND = Path(__file__).resolve().parent.parent
ROOT = BACKEND.parent
# The service trusts the driver as its proxy, so that every login can come from an address of its own.
TRUSTED = "127.0.0.1/32"
STOP_SECONDS = 25.0


class StartFault(Exception):
    """A server did not come up."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Where a target's calls are; one whose sessions live on by themselves has no refresh."""

    request: str
    verify: str
    refresh: str | None
    status: str
    ready: str


@dataclass(frozen=True, slots=True)
class Running:
    """A started server; `session` names all its processes, `environment` is what it was started with."""

    name: str
    port: int
    session: int
    paths: Paths
    environment: Mapping[str, str]


FLOOR_PATHS = Paths(request="/request", verify="/verify", refresh="/refresh", status="/status", ready="/ready")
SERVICE_PATHS = Paths(
    request="/api/auth/phone/request/",
    verify="/api/auth/phone/verify/",
    refresh="/api/auth/token/refresh/",
    status="/api/auth/status/",
    ready="/readyz",
)


def granian_command(application: str, *, port: int, sizing: Sizing) -> list[str]:
    """Return the server command of the floor and of peers on WSGI: granian, which the service's own start uses, too."""
    return [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", str(sizing.workers), "--blocking-threads", str(sizing.threads), "--log-level", "warning"),
        *("--http", "1", "--no-ws", "--backlog", "2048", "--backpressure", "512", application),
    ]


def floor_environment(
    *, database_url: str, redis_url: str, gateway_url: str, secret: str, sizing: Sizing
) -> dict[str, str]:
    """Return what the floor reads; an empty gateway address hands no code over."""
    return {
        "DJANGO_SETTINGS_MODULE": "bench.floor.settings",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "FLOOR_SECRET_KEY": secret,
        "FLOOR_GATEWAY_URL": gateway_url,
        "FLOOR_THREADS": str(sizing.threads),
        "FLOOR_POOL_MIN": str(sizing.pool_min),
        "FLOOR_POOL_MAX": str(sizing.pool_max),
    }


def new_keys() -> dict[str, str]:
    """Return the service's secrets for one run; a second start on the same database needs the same ones."""
    names = ("SECRET_KEY", "OTP_SECRET", "ADMIN_TOKEN", "METRICS_TOKEN", "AUTHENTICA_API_KEY")
    return {name: secrets.token_urlsafe(48) for name in names}


def service_environment(
    *,
    database_url: str,
    redis_url: str,
    gateway_url: str,
    port: int,
    sizing: Sizing,
    limits: Limits,
    keys: Mapping[str, str],
) -> dict[str, str]:
    """Return production settings for the service."""
    return {
        "DJANGO_SETTINGS_MODULE": "salon_api.settings",
        # A developer's own file must not leak into a measurement.
        "OTP_ENV_FILE": os.devnull,
        "DEBUG": "False",
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "PORT": str(port),
        "WEB_CONCURRENCY": str(sizing.workers),
        "DATABASE_URL": database_url,
        "DATABASE_POOL_MAX": str(sizing.pool_max),
        "REDIS_URL": redis_url,
        "TRUSTED_PROXY_CIDRS": TRUSTED,
        "OTP_PROVIDER": "authentica",
        "OTP_FALLBACK_PROVIDERS": "",
        "OTP_ROUTES": "",
        "OTP_TEST_NUMBERS": "",
        "OTP_ALLOWED_COUNTRIES": "",
        "AUTHENTICA_BASE_URL": gateway_url,
        "AUTHENTICA_MODE": "otp",
        "AUTHENTICA_TEMPLATE_ID": "1",
        "TWILIO_ENABLED": "False",
        **keys,
        **_limit_environment(limits),
    }


def _limit_environment(limits: Limits) -> dict[str, str]:
    if limits is Limits.OFF:
        return dict.fromkeys(
            (
                "OTP_MAX_PER_WINDOW",
                "OTP_RESEND_COOLDOWN_SECONDS",
                "PHONE_AUTH_IP_MAX_PER_WINDOW",
                "PHONE_AUTH_DEVICE_MAX_PER_WINDOW",
                "OTP_GLOBAL_MAX_PER_MINUTE",
            ),
            "0",
        )
    # Every limiter does all its work with its default size; only the service-wide ones are out of the way.
    return {"OTP_GLOBAL_MAX_PER_MINUTE": "1000000", "OTP_GLOBAL_MAX_FAILURES_PER_MINUTE": "1000000"}


def service_command(sizing: Sizing, *, port: int, own: str | None) -> list[str]:
    """Return the command that serves: the production start, which reads PORT and WEB_CONCURRENCY.

    One given by hand has {port} and {workers} filled in.
    """
    if own:
        return shlex.split(own.replace("{port}", str(port)).replace("{workers}", str(sizing.workers)))
    return [sys.executable, "-m", "salon_api.serve", "--skip-static"]


def prepare_service(environment: Mapping[str, str]) -> None:
    """Apply the service's migrations to its empty database.

    Raises StartFault with the last lines of the command when it fails.
    """
    manage("migrate", "--no-input", environment=environment)


def manage(*arguments: str, environment: Mapping[str, str]) -> str:
    """Run one management command of the service with the run's settings and return what it printed.

    Raises StartFault when it fails.
    """
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env=_process_environment(environment),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StartFault(f"manage.py {arguments[0]} failed:\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
    return done.stdout


def _process_environment(environment: Mapping[str, str]) -> dict[str, str]:
    passed = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "USER") if name in os.environ}
    return {**passed, "PYTHONPATH": str(BACKEND), "PYTHONUNBUFFERED": "1", **environment}


@contextmanager
def serve(
    name: str, *, command: list[str], environment: Mapping[str, str], port: int, paths: Paths, patience: float = 60
) -> Iterator[Running]:
    """Start a server as the leader of its own session, wait until it answers, and stop every process of it.

    Raises StartFault with the end of its log when it does not answer within `patience` seconds.
    """
    with tempfile.TemporaryFile(mode="w+b") as log:
        process = subprocess.Popen(
            command, env=_process_environment(environment), cwd=ROOT, stdout=log, stderr=log, start_new_session=True
        )
        try:
            if not _answers(process, url=f"http://127.0.0.1:{port}{paths.ready}", patience=patience):
                log.seek(0)
                raise StartFault(f"{name} did not start:\n{log.read().decode(errors='replace')[-3000:]}")
            yield Running(name=name, port=port, session=process.pid, paths=paths, environment=environment)
        finally:
            _stop(process)


def _answers(process: "subprocess.Popen[bytes]", *, url: str, patience: float) -> bool:
    end = time.monotonic() + patience
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as refusal:
            # Only "not ready yet" (503) is worth waiting for.
            if refusal.code < 500:
                return True
        except OSError:
            pass
        time.sleep(0.1)
    return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    # A server may lead its workers in groups of their own; the session still names them.
    for one in list(processes()):
        if one.session == process.pid:
            with suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)


def new_port() -> int:
    """Return a free loopback port for a server."""
    return free_port()
