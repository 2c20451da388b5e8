"""Make `.venv` and install the pinned requirements into it; a second call with nothing changed is instant.

Runs under the machine's own Python, so it uses the standard library only. It must not know what `.venv` is used for.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
OLDEST = (3, 11)
FILES = {"runtime": ("requirements.txt",), "dev": ("requirements.txt", "requirements-dev.txt")}


class InstallFault(Exception):
    """The environment cannot be made; the message says what to do."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--for", dest="purpose", choices=sorted(FILES), default="runtime")
    purpose = parser.parse_args().purpose
    if sys.version_info < OLDEST:
        return _say(f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed; this is {sys.version.split()[0]}.")
    try:
        with (ROOT / ".venv.lock").open("w") as lock:
            # `make run` and `make test` may be started at once on a fresh machine.
            fcntl.flock(lock, fcntl.LOCK_EX)
            install(purpose)
    except InstallFault as fault:
        return _say(str(fault))
    return 0


def install(purpose: str) -> None:
    """Bring `.venv` in step with the requirements of `purpose`, if it is not.

    Raises:
        InstallFault: no virtual environment can be made here, or a package cannot be installed.
    """
    stamp, wanted = VENV / f".installed-{purpose}", _fingerprint(purpose)
    if not _usable():
        _create()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    last = FILES[purpose][-1]
    print(f"Installing {last} into .venv (once; it takes a minute or two) …", flush=True)
    command: list[str | Path] = [VENV / "bin" / "python", "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    command += ["--no-input", "--requirement", ROOT / last, "--constraint", ROOT / "constraints.txt"]
    if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode:
        raise InstallFault(f"{last} could not be installed: see pip's words above. Is the package index reachable?")
    stamp.write_text(wanted)


def _fingerprint(purpose: str) -> str:
    digest = hashlib.sha256()
    for name in (*FILES[purpose], "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def _usable() -> bool:
    python = VENV / "bin" / "python"
    probe = f"import sys; sys.exit(sys.version_info < {OLDEST})"
    try:
        return subprocess.run([python, "-c", probe], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def _create() -> None:
    print(f"Creating .venv with Python {sys.version.split()[0]} …", flush=True)
    if VENV.exists():
        shutil.rmtree(VENV)
    # `sys.executable` of another virtual environment would make a chain of environments.
    python = getattr(sys, "_base_executable", sys.executable)
    if subprocess.run([python, "-m", "venv", str(VENV)], check=False).returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        raise InstallFault("No virtual environment could be made. On Debian: apt-get install python3-venv")


def _say(fault: str) -> int:
    print(f"install: {fault}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    os.umask(0o022)
    raise SystemExit(main())
