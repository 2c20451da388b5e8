"""False clocks for processes, by libfaketime. It must not know what runs by them."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rig.service import BACKEND

# libfaketime makes an absolute sleep by the monotonic clock, which is Python's, an invalid one.
_SLEEP: Final = "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds) and None\n"
_LIBRARIES: Final = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/local/lib/faketime/libfaketimeMT.so.1")


class FalseClock:
    """A clock for processes that are started with its `environ`; only the wall clock, the monotonic one stays true."""

    def __init__(self, folder: Path, *, seconds: int = 0) -> None:
        self._folder = folder
        self._file = folder / f"clock-{id(self)}"
        (folder / "sitecustomize.py").write_text(_SLEEP)
        self.set(seconds)

    def set(self, seconds: int) -> None:
        """Put it ahead or behind."""
        self._file.write_text(f"{seconds:+d}\n")
        self._file.chmod(0o644)

    @property
    def environ(self) -> dict[str, str]:
        """Return what a process needs to live by it."""
        return {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
            "PYTHONPATH": f"{BACKEND}:{self._folder}",
        }


def library() -> str:
    """Return the path of libfaketime, empty where it is not installed."""
    found = [str(path) for pattern in _LIBRARIES for path in Path("/").glob(pattern.lstrip("/"))]
    return found[0] if found else ""


@contextlib.contextmanager
def clocks() -> Iterator[Path]:
    """Give a folder for clocks that every account may read."""
    with tempfile.TemporaryDirectory(prefix="rig-clocks-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
