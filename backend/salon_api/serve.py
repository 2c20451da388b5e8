"""Run the service: prepare the database, then the web server and the background worker, until told to stop.

`python -m salon_api.serve` is production, `--development` is one web process on loopback. Exit status: 0 after a stop,
78 for a fault of the configuration, otherwise not 0 and a sentence that says why. It must not know what is served.
"""

import argparse
import http.client
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Final

from apps.accounts import config as accounts_config
from salon_api import environment, telling
from salon_api.processes import Child, stop_all

BACKEND: Final = Path(__file__).resolve().parent.parent
MANAGE: Final = BACKEND.parent / "manage.py"
EX_CONFIG: Final = 78
# The server's "backpressure" counts open connections, idle ones too: with 512 of them, 2,000 clients that send
# nothing keep everybody else waiting for 30 s; with 4,096 nobody waits. One costs about 16 KiB for HEADER_SECONDS.
CONNECTIONS_PER_PROCESS: Final = 4096
# Files and sockets that a process opens beside its clients' connections.
_OTHER_FILES: Final = 256
BACKLOG: Final = 2048
HEADER_SECONDS: Final = 10
# The longest answer is a send's: 9 s and one more.
GRACE_SECONDS: Final = 15
MIGRATION_WAIT_SECONDS: Final = 60
_MOST_QUICK_DEATHS: Final = 8
_TICK_SECONDS: Final = 0.1


class ServeFault(Exception):
    """The service cannot run; the message says why."""

    def __init__(self, message: str, *, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT and return the exit status."""
    options = _parser().parse_args(arguments)
    metrics = Path(tempfile.mkdtemp(prefix="otp-metrics-"))
    as_json = False
    try:
        service = _Service(options, metrics=metrics)
        as_json = service.as_json
        return service.run()
    except ServeFault as fault:
        telling.say(telling.line(str(fault), as_json=as_json, event="otp.stopped", level="error", status=fault.status))
        return fault.status
    finally:
        shutil.rmtree(metrics, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m salon_api.serve", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--development", action="store_true", help="one web process on 127.0.0.1, and where to look")
    parser.add_argument(
        "--only", choices=("web", "worker"), help="one half alone, where each has a container of its own"
    )
    parser.add_argument("--skip-migrate", action="store_true", help="somebody else migrates before us")
    parser.add_argument("--skip-static", action="store_true", help="the static files are in the image")
    return parser


class _Service:
    def __init__(self, options: argparse.Namespace, *, metrics: Path) -> None:
        self.options = options
        self.development = bool(options.development)
        found = environment.read(Path(os.environ.get("OTP_ENV_FILE") or BACKEND / ".env"))
        try:
            self.config = accounts_config.load(found)
        except accounts_config.ConfigurationError as error:
            raise ServeFault(str(error), status=EX_CONFIG) from None
        self.host = "127.0.0.1" if self.development else str(self.config["HOST"])
        self.port = int(self.config["PORT"])
        self.processes = 1 if self.development else self.config.processes
        self.environment = self._environment(metrics)
        self.stopping = False
        self.as_json = not self.config.debug

    def _environment(self, metrics: Path) -> Mapping[str, str]:
        inherited = dict(os.environ)
        paths = [str(BACKEND), inherited.get("PYTHONPATH", "")]
        # What each process counts is in files of this directory, so that any of them can answer /metrics for all.
        inherited.setdefault("PROMETHEUS_MULTIPROC_DIR", str(metrics))
        return inherited | {
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "DJANGO_SETTINGS_MODULE": "salon_api.settings",
            "WEB_CONCURRENCY": str(self.processes),
            "PYTHONUNBUFFERED": "1",
        }

    def run(self) -> int:
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._stop)
        web, worker = self.options.only in {None, "web"}, self.options.only in {None, "worker"}
        if not self.development:
            for warning in self.config.warnings:
                telling.say(telling.line(warning, as_json=self.as_json, event="otp.configuration", level="warning"))
        if web:
            require_free(self.host, self.port)
        if not self.options.skip_migrate:
            self._manage("otp_migrate", "--wait", str(MIGRATION_WAIT_SECONDS))
        if web and not self.config.debug and not self.options.skip_static:
            self._manage("collectstatic", "--no-input", "--verbosity", "0")
        if self.stopping:
            return 0
        children = [*([self._web()] if web else []), *([self._worker()] if worker else [])]
        return self._supervise(children)

    def _stop(self, _signum: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def _manage(self, *arguments: str) -> None:
        begins = telling.line("", as_json=self.as_json, event="otp.preparing", level="info", command=arguments[0])
        # Where the log's disk is full, a command would fail of its own words.
        status = subprocess.run(
            [sys.executable, str(MANAGE), *arguments],
            env=dict(self.environment),
            check=False,
            stdout=None if telling.say(begins, sys.stdout) else subprocess.DEVNULL,
            stderr=None if telling.say(begins, sys.stderr) else subprocess.DEVNULL,
        ).returncode
        if status and not self.stopping:
            raise ServeFault(f"`manage.py {arguments[0]}` failed with status {status}", status=max(1, status))

    def _web(self) -> Child:
        command = [sys.executable, "-m", "salon_api.succession", "--interface", "rsgi", "--http", "1", "--no-ws"]
        command += ["--host", self.host, "--port", str(self.port), "--workers", str(self.processes)]
        command += ["--backpressure", str(_connections())]
        command += ["--backlog", str(BACKLOG), "--http1-header-read-timeout", str(HEADER_SECONDS * 1000)]
        # The interval says only that a reload is to wait; until what, `succession` knows.
        command += ["--respawn-failed-workers", "--respawn-interval", "5"]
        command += ["--workers-kill-timeout", str(GRACE_SECONDS), "--log-level", "error", "salon_api.rsgi:app"]
        return Child(
            name="web",
            command=command,
            environment=self.environment,
            essential=True,
            serves=lambda: _answers(self.host, self.port),
        )

    def _worker(self) -> Child:
        command = [sys.executable, str(MANAGE), "otp_worker", "--no-reload", "--interval", "0.5", "--no-startup-delay"]
        return Child(
            name="worker", command=command, environment=self.environment, essential=self.options.only == "worker"
        )

    def _supervise(self, children: list[Child]) -> int:
        reload_wanted = False

        def reload(_signum: int, _frame: FrameType | None) -> None:
            nonlocal reload_wanted
            reload_wanted = True

        signal.signal(signal.SIGHUP, reload)
        try:
            for child in children:
                child.start()
            announced = not self.development
            while not self.stopping:
                if reload_wanted:
                    reload_wanted = False
                    _reload(children)
                for child in children:
                    _watch(child, as_json=self.as_json)
                if not announced and children[0].settled:
                    announced = True
                    self._announce()
                time.sleep(_TICK_SECONDS)
            return 0
        finally:
            stop_all(children, grace_seconds=GRACE_SECONDS + 2)

    def _announce(self) -> None:
        base = f"http://{self.host}:{self.port}"
        print(
            f"\nPhone login is up at {base}\n"
            f"  handset   {base}/dev/phone/   what a phone would show\n"
            f"  API docs  {base}/api/docs/\n"
            f"  status    {base}/otp/status\n"
            f"  stop      Ctrl-C\n",
            flush=True,
        )


def _watch(child: Child, *, as_json: bool) -> None:
    status = child.died()
    if status is not None:
        if child.essential and not child.settled:
            raise ServeFault(
                f"The {child.name} process could not start (status {status}).", status=_exit_status(status)
            )
        if child.essential and child.quick_deaths >= _MOST_QUICK_DEATHS:
            raise ServeFault(f"The {child.name} process dies again and again (status {status}).")
        pause = child.schedule_restart()
        sentence = f"The {child.name} process ended with status {status}; next start in {pause:g} s."
        telling.say(
            telling.line(sentence, as_json=as_json, event="otp.process_ended", process=child.name, status=status)
        )
    elif child.due():
        child.start()


def _connections() -> int:
    """Raise the limit of open files as far as we may, and return how many connections fit under it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_PER_PROCESS + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return CONNECTIONS_PER_PROCESS if soft == resource.RLIM_INFINITY else max(64, min(wanted, soft) - _OTHER_FILES)


def _reload(children: list[Child]) -> None:
    """Replace the web processes one by one, and let the worker finish its task and start anew."""
    for child in children:
        child.send(signal.SIGHUP if child.name == "web" else signal.SIGTERM)


def _exit_status(status: int) -> int:
    return 128 - status if status < 0 else status or 1


def require_free(host: str, port: int) -> None:
    """Make sure that nobody listens on the port: the server's own sockets would share it silently.

    Raises:
        ServeFault: the port is taken, or the address is not ours.
    """
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in infos:
            with socket.socket(family, kind, protocol) as probe:
                # A port in TIME_WAIT is free; SO_REUSEPORT is left off, so another server's port is not.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as error:
        hint = f"Choose another one: PORT={port + 1 if port < 65535 else port - 1}"
        raise ServeFault(f"Port {port} of {host} cannot be used: {error.strerror or error}. {hint}") from None


def _answers(host: str, port: int) -> bool:
    """Say whether a process answers by now; the port alone is open before the first one has loaded the service."""
    # To connect to the address that means all of them is to connect to this machine.
    connection = http.client.HTTPConnection(host, port, timeout=1)
    try:
        connection.request("GET", "/healthz", headers={"Host": "localhost"})
        return connection.getresponse().status > 0
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    raise SystemExit(main())
