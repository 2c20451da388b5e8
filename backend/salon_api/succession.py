"""The web server, whose processes are replaced one by one: the old one ends when the new one takes connections.

The server itself waits a fixed time for the new process, and each process listens for itself: where loading the
service takes longer than that, as on a busy host, nobody would listen for a while. And where it cannot be loaded, as
with a fault in the settings, the old ones go on. It must not know what is served.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

# A new process that does not come up must not keep the old one for ever.
LONGEST_SECONDS: Final = 120.0
_LOOK_AGAIN_SECONDS: Final = 0.1
_PROC: Final = Path("/proc")
_LISTENS: Final = "0A"
# The socket is there a moment before the first connection is taken from it.
_BREATH_SECONDS: Final = 0.5

Respawn = Callable[..., None]


class NeverListened(Exception):
    """A new process ended before it took connections."""


def listens(process: int) -> bool:
    """Say whether a process has a listening TCP socket of its own."""
    try:
        entries = list((_PROC / str(process) / "fd").iterdir())
        tables = [(_PROC / str(process) / "net" / name) for name in ("tcp", "tcp6")]
        rows = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    except OSError:  # it has ended
        return False
    links = [_link(entry) for entry in entries]
    own = {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:[")}
    return any(row[3] == _LISTENS and row[9] in own for row in rows)


def _link(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:  # it was closed while we looked
        return ""


def until_it_listens(server: Any, worker: Any) -> None:
    """Wait for a new process, but no longer while the server is to stop.

    Raises:
        NeverListened: it has ended.
    """
    worker.interrupt_by_parent = True  # its end is heard of here; the server would start others in its place
    until = time.monotonic() + LONGEST_SECONDS
    while worker.is_alive() and not server.interrupt_signal and time.monotonic() < until:
        if listens(worker._id()):
            time.sleep(_BREATH_SECONDS)
            break
        time.sleep(_LOOK_AGAIN_SECONDS)
    if not worker.is_alive() and not server.interrupt_signal:
        raise NeverListened
    worker.interrupt_by_parent = False


def in_turn(respawn: Respawn) -> Respawn:
    """Return the server's way of replacing processes, with the old one told to end once the new one listens."""

    def replace(server: Any, workers: list[int], target: Any, loader: Any, delay: float = 0.0) -> None:
        for nth, place in enumerate(workers):
            if server.interrupt_signal:
                return  # it is to stop: those that are left end together, and not one after the other
            old = server.wrks[place]
            if delay:  # else it has died, and there is nothing to wait with
                old.terminate = _after(server, place, old.terminate)
            try:
                respawn(server, [place], target, loader)
            except NeverListened:
                del old.terminate
                server.wrks[place] = old
                _tell(f"A new web process did not come up; {len(workers) - nth} old ones go on.")
                return

    return replace


def _tell(text: str) -> None:
    from granian.log import logger

    logger.error(text)


def _after(server: Any, place: int, end: Callable[[], None]) -> Callable[[], None]:
    def ends() -> None:
        until_it_listens(server, server.wrks[place])
        end()

    return ends


def main() -> None:
    """Run the server with its own command line."""
    from granian import cli
    from granian.server import common

    server: Any = common.AbstractServer
    server._respawn_workers = in_turn(server._respawn_workers)
    run: Any = cli.entrypoint
    run()


if __name__ == "__main__":
    main()
