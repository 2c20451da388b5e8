"""The sizes that all targets share, and what a run does: options as types.

It must not know how a run is done.
"""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Limits(Enum):
    """Whether the service's send limits work at their default sizes or are switched off."""

    REAL = "real"
    OFF = "off"


class FloorGateway(Enum):
    """Whether the floor hands its codes to the same gateway over HTTP or to nobody."""

    HTTP = "http"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Sizing:
    """Processes, threads and pool of a server, per process where it says so."""

    workers: int
    threads: int
    pool_min: int
    pool_max: int


@dataclass(frozen=True, slots=True)
class Options:
    """One run of the bench; `logins` instead of `seconds` ends a login phase by count."""

    targets: tuple[str, ...]
    rounds: int
    seconds: float
    logins: int | None
    in_flight: int
    sizing: Sizing
    limits: Limits
    floor_gateway: FloorGateway
    gateway_latency: float
    slow_in_flight: tuple[int, ...]
    service_command: str | None
    service_settings: tuple[tuple[str, str], ...]
    private_stores: bool
    count_calls: bool
    json_path: Path | None
