"""The registry behind `/metrics`: what all processes counted, and the service's state as read at each scrape.

It must not know HTTP.
"""

import os
from collections.abc import Iterable, Iterator

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from apps.accounts import telemetry
from apps.accounts.services.limits import StoreState
from apps.ops import gauges, gauges_login
from apps.ops.board import Level, Standing, board


def registry() -> CollectorRegistry:
    """Return what one scrape reads: the files of all processes where there are several, else this process' counts."""
    standing = board().standing()
    telemetry.gateways_stand({gateway.name: gateway.state for gateway in standing.gateways})
    made = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        MultiProcessCollector(made)  # type: ignore[no-untyped-call]
    else:
        made.register(_Own())
    made.register(_States(standing))
    return made


class _Own(Collector):
    def collect(self) -> Iterator[Metric]:
        yield from REGISTRY.collect()


class _States(Collector):
    """The standing, as gauges."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    def collect(self) -> Iterator[Metric]:
        standing = self._standing
        # With the database gone, too: an alert takes its absence for a service that is gone.
        version = GaugeMetricFamily("otp_build_info", "Which version runs.", labels=["version"])
        version.add_metric([board().services.config["APP_VERSION"]], 1.0)
        yield version
        yield _one_of("otp_status", "The service's level.", "level", [level.value for level in Level], standing.level)
        yield _gauge("otp_database_up", "Whether the database answers.", standing.database)
        yield _gauge("otp_redis_up", "Whether limits are judged by Redis.", standing.store is StoreState.REDIS)
        fallback = standing.store in {StoreState.MEMORY_FALLBACK, StoreState.UNAVAILABLE}
        yield _gauge("otp_redis_lost", "Whether Redis is configured and gone.", fallback)
        if standing.database:
            yield from _families(gauges.readings(with_redis=standing.store is StoreState.REDIS))
            yield from _families(gauges_login.readings(board(), standing))


def _families(readings: Iterator[gauges.Reading]) -> Iterable[Metric]:
    """Gather readings of one name into one family: a name may be described only once."""
    found: dict[str, GaugeMetricFamily] = {}
    for reading in readings:
        labels = [name for name, _ in reading.labels]
        family = found.setdefault(reading.name, GaugeMetricFamily(reading.name, reading.about, labels=labels))
        family.add_metric([value for _, value in reading.labels], reading.value)
    return found.values()


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value=float(value))


def _one_of(name: str, about: str, label: str, choices: list[str], found: str) -> Metric:
    family = GaugeMetricFamily(name, about, labels=[label])
    for choice in choices:
        family.add_metric([choice], float(choice == found))
    return family
