"""The command line of the bench, with the environment it falls back to.

It must not know how a run is done.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from bench.peers import PEERS
from bench.sizing import FloorGateway, Limits, Options, Sizing
from bench.stores import Stores

DEFAULT_POSTGRES = "postgres://postgres@127.0.0.1:5432/"
DEFAULT_REDIS = "redis://127.0.0.1:6379/8"
TARGETS = ("floor", "service")


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Return the options of a run; exits with a message for arguments that make no sense."""
    parser = build_parser()
    found = parser.parse_args(arguments)
    if found.rounds < 1 or found.seconds <= 0 or found.in_flight < 1:
        parser.error("rounds, seconds and in-flight must be positive")
    if found.only and found.peer:
        parser.error("--only measures one target; name the peer there, or leave it out")
    slow = tuple(found.slow_in_flight) if found.gateway_latency_ms else ()
    return Options(
        targets=(found.only,) if found.only else (*TARGETS, *dict.fromkeys(found.peer)),
        rounds=found.rounds,
        seconds=found.seconds,
        logins=found.logins,
        in_flight=found.in_flight,
        sizing=Sizing(workers=found.workers, threads=found.threads, pool_min=found.pool_min, pool_max=found.pool_max),
        limits=Limits(found.limits),
        floor_gateway=FloorGateway(found.floor_gateway),
        gateway_latency=found.gateway_latency_ms / 1000,
        slow_in_flight=slow,
        service_command=found.service_cmd,
        service_settings=tuple(found.set),
        private_stores=found.private_stores,
        count_calls=not found.no_counts,
        json_path=found.json,
    )


def setting(text: str) -> tuple[str, str]:
    """Read NAME=VALUE.

    Raises ArgumentTypeError for anything else.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError("must be NAME=VALUE")
    return name, value


def build_parser() -> argparse.ArgumentParser:
    """Return the parser, so that a test can read its defaults."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Drive complete logins against the service and against the floor."
    )
    load = parser.add_argument_group("load")
    load.add_argument("--only", choices=(*TARGETS, *PEERS), help="measure one target; no ratios then")
    load.add_argument("--peer", choices=tuple(PEERS), action="append", default=[], help="measure another product, too")
    load.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default %(default)s)")
    load.add_argument("--seconds", type=float, default=6.0, help="length of a login phase (default %(default)s)")
    load.add_argument("--logins", type=int, help="end a login phase after so many logins")
    load.add_argument("--in-flight", type=int, default=16, help="logins at the same time (default %(default)s)")
    load.add_argument("--gateway-latency-ms", type=float, default=0.0, help="requests only, against a slow gateway")
    load.add_argument("--slow-in-flight", type=int, nargs="+", default=[64, 256], help="in flight with a slow gateway")
    shape = parser.add_argument_group("servers")
    shape.add_argument("--workers", type=int, default=max(2, os.cpu_count() or 2), help="processes of each server")
    shape.add_argument("--threads", type=int, default=128, help="floor's threads per process (default %(default)s)")
    shape.add_argument("--pool-min", type=int, default=1, help="floor's pool per process, smallest")
    shape.add_argument(
        "--pool-max", type=int, default=16, help="PostgreSQL connections per process of each target, at most"
    )
    shape.add_argument("--service-cmd", help="start the service by this command; {port} and {workers} are filled in")
    shape.add_argument(
        "--set", type=setting, action="append", default=[], metavar="NAME=VALUE", help="a variable of the service"
    )
    shape.add_argument("--limits", choices=[one.value for one in Limits], default=Limits.REAL.value)
    shape.add_argument("--floor-gateway", choices=[one.value for one in FloorGateway], default=FloorGateway.HTTP.value)
    shape.add_argument("--private-stores", action="store_true", help="start a PostgreSQL and a Redis for this run only")
    output = parser.add_argument_group("output")
    output.add_argument("--json", type=Path, help="write every figure to this file")
    output.add_argument("--no-counts", action="store_true", help="leave out the counting of SQL and Redis per call")
    return parser


def configured_stores() -> Stores:
    """Return the stores that the environment names, or those of a development machine."""
    return Stores(
        postgres_url=os.environ.get("BENCH_DATABASE_URL", DEFAULT_POSTGRES),
        redis_url=os.environ.get("BENCH_REDIS_URL", DEFAULT_REDIS),
        note="PostgreSQL and Redis as found: other users of the same servers disturb the figures",
    )
