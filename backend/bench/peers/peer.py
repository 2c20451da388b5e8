"""What the bench asks of another product: get ready, serve, speak. It must not know any of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.calls import Caller
from bench.phases import Stop
from bench.sizing import Sizing
from bench.targets import BACKEND, Running

# Programs of others live here: never committed, gone with `make clean`.
HOMES = BACKEND / "var" / "bench"


@dataclass(frozen=True, slots=True)
class Site:
    """What a peer shares with the other targets of the run: the same stores, gateway and sizes, and the run's keys."""

    database_url: str
    redis_url: str
    gateway_url: str
    sizing: Sizing
    keys: Mapping[str, str]


class Peer(ABC):
    """Another product as a target; `device` is a client that speaks its calls, `warm_up` ends its warming."""

    name: ClassVar[str]
    device: ClassVar[type[Caller]]
    warm_up: ClassVar[Stop]

    @property
    def home(self) -> Path:
        """Return the folder in which its programs are installed."""
        return HOMES / self.name

    @abstractmethod
    def install(self, say: Callable[[str], None]) -> str:
        """Install what it needs unless that is there, and return in one line what is measured.

        Raises StartFault when something is missing that cannot be installed.
        """

    @abstractmethod
    def serve(self, site: Site) -> AbstractContextManager[Running]:
        """Prepare its database and start it, as `targets.serve` does.

        Raises StartFault when it does not come up.
        """
