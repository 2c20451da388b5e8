"""Where the configuration's text comes from: `backend/.env`, overridden by the process environment.

A variable that is set to the empty string hides the file's and means its default. It must not know what any variable
means.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values


def read(path: Path, *, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the file's variables with the process environment laid over them; no `$NAME` is expanded."""
    found: dict[str, str] = {}
    if path.is_file():
        found.update({name: value or "" for name, value in dotenv_values(path, interpolate=False).items()})
    found.update(os.environ if environ is None else environ)
    return found
