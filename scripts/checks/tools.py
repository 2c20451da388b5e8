"""The checks that other people's tools make. It must not know the rules of the house."""

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from apps.accounts.variables import VARIABLES
from scripts.checks.files import ROOT, name_of
from scripts.checks.outcome import Failed, Skipped

BIN: Final = Path(sys.executable).parent
OPENAPI: Final = ROOT / "docs" / "openapi.yaml"
PROMETHEUS: Final = ROOT / "deploy" / "prometheus"
ON_CI: Final = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
PRODUCTION: Final = {
    "DEBUG": "False",
    "SECRET_KEY": "check-" + "k3y" * 20,
    "OTP_SECRET": "check-" + "c0d" * 20,
    "ALLOWED_HOSTS": "login.example.com",
    "PUBLIC_BASE_URL": "https://login.example.com",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "OTP_PROVIDER": "authentica",
    "AUTHENTICA_API_KEY": "check",
}


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which no setting of this machine is left; development where `extra` says nothing."""
    ours = {variable.name for variable in VARIABLES}
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    store = f"sqlite:///{Path(tempfile.gettempdir()) / 'otp-check.sqlite3'}"
    paths = {"OTP_ENV_FILE": os.devnull, "PYTHONPATH": str(ROOT / "backend")}
    return clean | paths | {"DEBUG": "True", "DATABASE_URL": store} | dict(extra or {})


def run(*command: str | Path, extra: Mapping[str, str] | None = None, cwd: Path = ROOT) -> str:
    """Run a tool and return what it printed.

    Raises:
        Failed: it ended with another status than 0.
    """
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment(extra),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(done.stdout.strip() or f"status {done.returncode}")
    return done.stdout


def manage(*arguments: str, extra: Mapping[str, str] | None = None) -> str:
    """Run a management command and return what it printed.

    Raises:
        Failed: it ended with another status than 0.
    """
    return run(sys.executable, ROOT / "manage.py", *arguments, extra=extra)


def formatted() -> None:
    run(BIN / "ruff", "format", "--check", ".")


def linted() -> None:
    run(BIN / "ruff", "check", ".")


def typed() -> None:
    run(BIN / "mypy")


def imports() -> None:
    run(BIN / "lint-imports", "--config", ROOT / ".importlinter", "--no-logo", cwd=ROOT / "backend")


def migrations() -> None:
    manage("makemigrations", "--check", "--dry-run")


def deployable() -> None:
    manage("check", "--deploy", "--fail-level", "WARNING", extra=PRODUCTION)


def openapi() -> None:
    """Make the OpenAPI document anew, and compare it with the committed one."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "openapi.yaml"
        manage("spectacular", "--fail-on-warn", "--validate", "--file", str(made))
        wanted = made.read_text(encoding="utf-8")
    committed = OPENAPI.read_text(encoding="utf-8") if OPENAPI.is_file() else ""
    if committed != wanted:
        lines = difflib.unified_diff(
            committed.splitlines(), wanted.splitlines(), "committed", "made now", n=1, lineterm=""
        )
        raise Failed("docs/openapi.yaml is not in step with the code: make openapi\n" + "\n".join(list(lines)[:40]))


def write_openapi() -> None:
    """Write docs/openapi.yaml."""
    manage("spectacular", "--fail-on-warn", "--validate", "--file", str(OPENAPI))


def configuration() -> None:
    manage("otp_configuration_docs", "--check")


def dangerous_calls() -> None:
    run(BIN / "bandit", "--quiet", "--recursive", "backend", "scripts", "--configfile", "pyproject.toml")


def known_holes() -> None:
    """Ask the vulnerability database about every pinned package."""
    command: list[str | Path] = [
        BIN / "pip-audit",
        "--requirement",
        ROOT / "constraints.txt",
        "--disable-pip",
        "--no-deps",
    ]
    command += ["--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        raise Skipped("no vulnerability database can be reached from here") from None
    if all("skip_reason" in package for package in packages):
        raise Skipped("the package index here has no vulnerability data")
    holes = [
        f"{package['name']} {package['version']}: {hole['id']}, mended in {hole['fix_versions'] or 'no release'}"
        for package in packages
        for hole in package.get("vulns", [])
    ]
    if holes:
        raise Failed("\n".join(holes))


def pinned() -> None:
    """Compare the requirements with the whole tree that is installed from constraints.txt."""
    tree = set(_pins("constraints.txt"))
    named = {*_pins("requirements.txt"), *_pins("requirements-dev.txt")}
    if named - tree:
        raise Failed("not in constraints.txt: " + ", ".join(sorted(named - tree)) + ". Run `make constraints`.")


def _pins(name: str) -> list[str]:
    found = []
    for line in (ROOT / name).read_text().splitlines():
        words = line.partition("#")[0].strip()
        if words and not words.startswith("-"):
            package, _, version = words.partition("==")
            if not version:
                raise Failed(f"{name}: {words} has no version")
            found.append(re.sub(r"[-_.]+", "-", package.partition("[")[0]).lower() + "==" + version)
    return found


def alerts() -> None:
    """Test the alert rules with Prometheus' own tool."""
    rules = sorted(PROMETHEUS.glob("*.y*ml"))
    if not rules:
        raise Skipped("there are no alert rules")
    if not shutil.which("promtool"):
        if ON_CI:
            raise Failed("promtool is missing (Debian's package prometheus)")
        raise Skipped("promtool is missing (Debian's package prometheus)")
    tests = [path for path in rules if "test" in path.stem]
    if not tests:
        raise Failed(f"{name_of(PROMETHEUS)} has rules and no test of them")
    run("promtool", "check", "rules", *(path for path in rules if path not in tests and "rule" in path.stem))
    run("promtool", "test", "rules", *tests)
