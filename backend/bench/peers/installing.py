"""Installs a peer's programs once, by the package manager of its own world. It must not know the peers.

A stamp of what was asked for tells whether it is there; a half-done installation has no stamp and is done again.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.targets import StartFault

STAMP = "installed"


def program(name: str, *, wanted_by: str) -> str:
    """Return where a program is.

    Raises StartFault when it is not on the PATH.
    """
    found = shutil.which(name)
    if found is None:
        raise StartFault(f"{wanted_by} cannot be measured without the program `{name}`, and none is on the PATH")
    return found


def copy_sources(sources: Sequence[Path], *, into: Path) -> None:
    """Copy a peer's own few files beside what is installed for them, where its language looks for that."""
    into.mkdir(parents=True, exist_ok=True)
    for source in sources:
        shutil.copyfile(source, into / source.name)


def stamp_of(sources: Sequence[Path], *, also: str = "") -> str:
    """Return what an installation depends on, as one word: the files that pin it, and what it was made with."""
    found = hashlib.sha256(also.encode())
    for source in sources:
        found.update(source.read_bytes())
    return found.hexdigest()


def is_installed(home: Path, *, stamp: str) -> bool:
    """Tell whether just this is installed."""
    path = home / STAMP
    return path.is_file() and path.read_text() == stamp


def set_stamp(home: Path, *, stamp: str) -> None:
    """Note that everything is installed."""
    (home / STAMP).write_text(stamp)


def run(command: Sequence[str], *, cwd: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run one step and return what it printed; the developer's own environment holds proxies and registries.

    Raises StartFault with its last words when it fails.
    """
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = f"{done.stdout[-1500:]}{done.stderr[-1500:]}"
        raise StartFault(f"{Path(command[0]).name} {' '.join(command[1:3])} failed:\n{said}")
    return done.stdout
