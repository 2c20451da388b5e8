"""Sets the stage: gateway, databases, servers and meters, taken down again whatever happens.

It must not know what is driven on it.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bench import targets
from bench.accounting import Cpu, postgres_seconds, processes, session_memory, session_seconds
from bench.calls import Caller
from bench.floor.codes import derive
from bench.floor.schema import create_schema
from bench.peers import PEERS
from bench.peers.peer import Site
from bench.people import Crowd
from bench.phases import CodeFor, Meter, Stage
from bench.sink import GatewaySink
from bench.sizing import FloorGateway, Options
from bench.stores import (
    Stores,
    database_url,
    fresh_database,
    postmaster_pid,
    redis_seconds,
    titled_processes,
    with_port,
)
from bench.targets import Running


@dataclass(frozen=True, slots=True)
class Ground:
    """What all targets stand on."""

    options: Options
    stores: Stores
    sink: GatewaySink
    redis: Any
    databases: dict[str, str]
    postmaster: int | None
    crowd: Crowd
    keys: dict[str, str]
    floor_key: str


@dataclass(frozen=True, slots=True)
class Wires:
    """Ports of taps in front of the stores; None speaks to them directly."""

    postgres: int
    redis: int


@asynccontextmanager
async def ground(options: Options, *, stores: Stores, redis: Any) -> AsyncIterator[Ground]:
    """Create a database per target and the gateway."""
    async with AsyncExitStack() as stack:
        databases = {name: stack.enter_context(fresh_database(stores, purpose=name)) for name in options.targets}
        sink = GatewaySink(latency=options.gateway_latency)
        await sink.start()
        stack.push_async_callback(sink.stop)
        if "floor" in databases:
            create_schema(database_url(stores, name=databases["floor"]))
        yield Ground(
            options=options,
            stores=stores,
            sink=sink,
            redis=redis,
            databases=databases,
            postmaster=postmaster_pid(stores),
            crowd=Crowd(),
            keys=targets.new_keys(),
            floor_key=secrets.token_urlsafe(48),
        )


@asynccontextmanager
async def stage(name: str, *, on: Ground, wires: Wires | None = None) -> AsyncIterator[Stage]:
    """Start one target and yield it with its meter and its way to the codes."""
    postgres = database_url(on.stores, name=on.databases[name])
    redis = on.stores.redis_url
    if wires is not None:
        postgres, redis = with_port(postgres, port=wires.postgres), with_port(redis, port=wires.redis)
    # In a thread: a starting server may already speak through taps that this event loop serves.
    server = await asyncio.to_thread(_server, name, on, postgres, redis)
    running = await asyncio.to_thread(server.__enter__)
    try:
        meter = Meter(
            cpu=lambda: read_cpu(running, on=on),
            memory=lambda: session_memory(running.session, among=processes()),
        )
        device = PEERS[name].device if name in PEERS else Caller
        yield Stage(running, code_for=_code_for(running, on=on), meter=meter, crowd=on.crowd, device=device)
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


def _server(name: str, on: Ground, postgres: str, redis: str) -> AbstractContextManager[Running]:
    if name == "floor":
        return _serve_floor(on, postgres, redis)
    if name == "service":
        return _serve_service(on, postgres, redis)
    site = Site(
        database_url=postgres, redis_url=redis, gateway_url=on.sink.base_url, sizing=on.options.sizing, keys=on.keys
    )
    return PEERS[name].serve(site)


def _serve_floor(on: Ground, postgres: str, redis: str) -> AbstractContextManager[Running]:
    port = targets.new_port()
    gateway = on.sink.base_url if on.options.floor_gateway is FloorGateway.HTTP else ""
    environment = targets.floor_environment(
        database_url=postgres,
        redis_url=redis,
        gateway_url=gateway,
        secret=on.floor_key,
        sizing=on.options.sizing,
    )
    command = targets.granian_command("bench.floor.wsgi:application", port=port, sizing=on.options.sizing)
    return targets.serve("floor", command=command, environment=environment, port=port, paths=targets.FLOOR_PATHS)


def _serve_service(on: Ground, postgres: str, redis: str) -> AbstractContextManager[Running]:
    port = targets.new_port()
    environment = targets.service_environment(
        database_url=postgres,
        redis_url=redis,
        gateway_url=on.sink.base_url,
        port=port,
        sizing=on.options.sizing,
        limits=on.options.limits,
        keys=on.keys,
    ) | dict(on.options.service_settings)
    targets.prepare_service(environment)
    command = targets.service_command(on.options.sizing, port=port, own=on.options.service_command)
    return targets.serve("service", command=command, environment=environment, port=port, paths=targets.SERVICE_PATHS)


def _code_for(running: Running, *, on: Ground) -> CodeFor:
    if running.name == "floor" and on.options.floor_gateway is FloorGateway.NONE:
        key = on.floor_key.encode()

        async def derived(phone: str) -> str:
            return derive(key, phone=phone)

        return derived
    return on.sink.take


def read_cpu(running: Running, *, on: Ground) -> Cpu:
    """Return what the target and its stores have used so far."""
    app = session_seconds(running.session, among=processes())
    postgres: float | None = None
    foreign = 0.0
    if on.postmaster is not None:
        postgres, foreign = postgres_seconds(
            on.postmaster, database=on.databases[running.name], among=titled_processes()
        )
    return Cpu(app=app, postgres=postgres, redis=redis_seconds(on.redis), foreign=foreign)
