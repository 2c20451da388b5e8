"""Which files are the project's own. It must not know what is asked of them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Text that others wrote and we ship as it is.
VENDORED = ("/vendor/",)


def own_files(*suffixes: str) -> Iterator[Path]:
    """Give every file that is or would be committed, with one of `suffixes`; without any, all of them."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    for name in sorted(set(listing.decode().split("\0")) - {""}):
        path = ROOT / name
        if (
            path.is_file()
            and (not suffixes or path.suffix in suffixes)
            and not any(part in f"/{name}" for part in VENDORED)
        ):
            yield path


def name_of(path: Path) -> str:
    """Return the path as a person at the root would type it."""
    return str(path.relative_to(ROOT))
